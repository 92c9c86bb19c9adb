//! What a shell and `man` know about the command: `completions` and `man`.

use std::path::PathBuf;

use clap::{Args, Command, ValueEnum};
use clap_complete::{Shell, generate};

use super::Failure;
use super::out::note;

/// `timberline completions`
#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: KnownShell,
}

/// `timberline man`
#[derive(Args, Debug)]
pub(crate) struct ManPages {
    /// The directory that the pages are written to, a file each; made if it is not there
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum KnownShell {
    Bash,
    Zsh,
    Fish,
}

impl Completions {
    pub(super) fn run(&self, mut command: Command) -> Result<(), Failure> {
        let shell = match self.shell {
            KnownShell::Bash => Shell::Bash,
            KnownShell::Zsh => Shell::Zsh,
            KnownShell::Fish => Shell::Fish,
        };
        let mut script = Vec::new();
        generate(shell, &mut command, "timberline", &mut script);
        use std::io::Write as _;
        let mut out = std::io::stdout();
        let written = out.write_all(&script).and_then(|()| out.flush());
        written.map_err(|error| Failure::output(&error))
    }
}

impl ManPages {
    pub(super) fn run(&self, command: Command) -> Result<(), Failure> {
        let failed = |error| Failure::file("write to", &self.directory, &error);
        std::fs::create_dir_all(&self.directory).map_err(failed)?;
        clap_mangen::generate_to(command, &self.directory).map_err(failed)?;
        note(&format!("wrote the pages to {}", self.directory.display()));
        Ok(())
    }
}
