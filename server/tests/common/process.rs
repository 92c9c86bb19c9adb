//! The real command in a process of its own.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The command without the variables of whoever runs the tests.
pub fn timberline() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_timberline"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TIMBERLINE_") {
            command.env_remove(name);
        }
    }
    command
}

pub fn serve(data_dir: &Path, listen: &str) -> Command {
    let mut command = timberline();
    command.args(["serve", "--log-format", "json", "--listen", listen, "--data-dir"]).arg(data_dir);
    command
}

/// A running server; killed when the test fails before it stops it.
pub struct Running {
    child: Child,
    pub address: SocketAddr,
}

impl Running {
    /// Starts the server and waits for its line that says where it listens.
    pub fn start(data_dir: &Path) -> Self {
        Self::start_with(data_dir, &[])
    }

    /// The same with variables in its environment.
    pub fn start_with(data_dir: &Path, variables: &[(&str, &str)]) -> Self {
        let mut command = serve(data_dir, "127.0.0.1:0");
        command.envs(variables.iter().copied());
        Self::of(command)
    }

    /// Starts a server that may have this many files open, connections included.
    #[cfg(target_os = "linux")]
    pub fn start_with_files(data_dir: &Path, files: u32, variables: &[(&str, &str)]) -> Self {
        let server = serve(data_dir, "127.0.0.1:0");
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {files} && exec \"$0\" \"$@\"")]);
        command.arg(server.get_program()).args(server.get_args());
        for (name, value) in server.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.envs(variables.iter().copied());
        Self::of(command)
    }

    fn of(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines.by_ref().map(Result::unwrap).find_map(|line| {
            let line: serde_json::Value = serde_json::from_str(&line).ok()?;
            let is_ready = line["message"] == "ready";
            is_ready.then(|| line["address"].as_str().unwrap().parse().unwrap())
        });
        // Somebody has to read on, or the server would wait for room in the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address: address.expect("the server said that it is ready") }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that the process ever had, in KiB.
    #[cfg(target_os = "linux")]
    pub fn peak_memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// What the process has used of processors, in ticks of the system (a hundredth of a second).
    #[cfg(target_os = "linux")]
    pub fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        // Behind the command's name, which may have blanks; user and system time are 12th and 13th.
        let fields = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace();
        fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    pub fn exit_code(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
