//! Measures Timberline: the command.

fn main() -> anyhow::Result<()> {
    timberline_benches::run()
}
