//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::commands::Asking;
use crate::commands::check::{self, CheckQuery};
use crate::config::{self, Config, ConfigError, Layers, LogFormat};
use crate::{access, logs, maintenance, ruler, serve};

/// The exit code for a command or configuration that cannot be used, as clap's own.
const USAGE: u8 = 2;

/// A Loki-compatible log store in one binary.
#[derive(Debug, Parser)]
#[command(name = "timberline", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  timberline serve
      Listens on 127.0.0.1:3100 and keeps everything in ./data.

  timberline serve --data-dir /var/lib/timberline --listen 0.0.0.0:3100 --log-format json

  timberline config --print > timberline.yaml
  timberline serve --config timberline.yaml
      Writes every key with its default and a comment; runs with the edited file.

  TIMBERLINE_LIMITS_CONFIG_QUERY_TIMEOUT=5m timberline serve
      Every key may be set in the environment: TIMBERLINE_ and the key's path in capitals.

  echo hello | timberline push - --labels job=demo
  timberline query '{job=\"demo\"}'";

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the server until SIGTERM or Ctrl-C.
    #[command(after_help = SERVE_HELP)]
    Serve(Serve),
    /// Shows the effective configuration.
    Config(Show),
    /// Reads every byte of a data directory that no server is using, and says what is damaged.
    #[command(after_help = MAINTENANCE_HELP)]
    Check(OneDirectory),
    /// Sets what is damaged in a data directory aside, saves what can be read, and says what is lost.
    #[command(after_help = MAINTENANCE_HELP)]
    Repair(OneDirectory),
    /// Copies a data directory that no server is using; of a running server POST
    /// /timberline/api/v1/backup?name=NAME does the same.
    #[command(after_help = MAINTENANCE_HELP)]
    Backup(TwoDirectories),
    /// Copies a backup to a new data directory, and checks the copy.
    #[command(after_help = MAINTENANCE_HELP)]
    Restore(TwoDirectories),
    /// Makes the hash of a secret, for the credentials file.
    #[command(after_help = HASH_HELP)]
    Hash(Hash),
    /// Checks rule files, and tests what rules find.
    Rules(ruler::command::Rules),
    #[command(flatten)]
    Asking(Box<Asking>),
    /// Holds a query's numbers against thresholds, as a plugin of Nagios, Icinga and their like.
    #[command(after_help = check::HELP)]
    CheckQuery(Box<CheckQuery>),
}

#[derive(Args, Debug)]
struct OneDirectory {
    /// The data directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

#[derive(Args, Debug)]
struct TwoDirectories {
    /// The directory that is copied
    #[arg(value_name = "FROM")]
    from: PathBuf,
    /// The copy; empty or not there
    #[arg(value_name = "TO")]
    to: PathBuf,
}

const MAINTENANCE_HELP: &str = "\
Examples:
  timberline check /var/lib/timberline
  timberline repair /var/lib/timberline
  timberline backup /var/lib/timberline /backup/monday
  timberline restore /backup/monday /var/lib/timberline

Exit codes: 0 when all is well, 1 when it could not be done (a server is using the directory, the disk
refuses), 2 when the command is wrong, 3 when something is damaged, was lost, or is missing.";

const SERVE_HELP: &str = "\
Example:
  timberline serve --data-dir /var/lib/timberline --listen 0.0.0.0:3100 --log-format json

Exit codes: 0 after a clean stop, 1 when the server cannot run (the data directory or the port is
taken), 2 when the command or the configuration is wrong.";

const HASH_HELP: &str = "\
Reads the secret's only line from standard input, and prints its Argon2id hash.

Examples:
  timberline hash --generate
      Makes a secret, and prints it in front of its hash.

  read -rs SECRET && printf %s \"$SECRET\" | timberline hash";

#[derive(Args, Debug)]
struct Hash {
    /// Makes a secret that nobody guesses, instead of reading one
    #[arg(long)]
    generate: bool,
}

#[derive(Args, Debug)]
struct Serve {
    /// The directory that holds everything [default: ./data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Host and port; port 0 takes a free one [default: 127.0.0.1:3100]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// A YAML file; see `timberline config --print`
    #[arg(long, value_name = "FILE", env = config::FILE_VARIABLE)]
    config: Option<PathBuf>,
    /// How log lines on stderr look [default: human]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// error, warn, info, debug, trace, or directives per module [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

#[derive(Args, Debug)]
struct Show {
    /// Prints the configuration as YAML, with a comment on every key; it can be loaded back
    #[arg(long, required = true)]
    print: bool,
    /// A YAML file whose values are shown in place of the defaults
    #[arg(long, value_name = "FILE", env = config::FILE_VARIABLE)]
    config: Option<PathBuf>,
}

/// Runs the command line and says how the process should end: 0 for success, 1 when it could not be
/// done, 2 when what was asked is wrong, 3 when data is damaged.
pub fn run() -> ExitCode {
    match parsed().command {
        Command::Serve(arguments) => run_serve(arguments),
        Command::Config(arguments) => run_config(arguments),
        Command::Check(arguments) => maintenance::check(&arguments.directory),
        Command::Repair(arguments) => maintenance::repair(&arguments.directory),
        Command::Backup(arguments) => maintenance::backup(&arguments.from, &arguments.to),
        Command::Restore(arguments) => maintenance::restore(&arguments.from, &arguments.to),
        Command::Hash(arguments) => run_hash(&arguments),
        Command::Rules(arguments) => ruler::command::run(&arguments),
        Command::Asking(asking) => asking.run(Cli::command()),
        Command::CheckQuery(check) => check.run(),
    }
}

/// The command line. What is wrong with a check's is UNKNOWN to whoever runs it: 2 would be CRITICAL.
fn parsed() -> Cli {
    Cli::try_parse().unwrap_or_else(|error| {
        let is_check = std::env::args_os().nth(1).is_some_and(|word| word == "check-query");
        if is_check && error.use_stderr() {
            print(&format!("LOGQL UNKNOWN - {}", error.render()));
            std::process::exit(check::UNKNOWN.into());
        }
        error.exit()
    })
}

fn run_serve(arguments: Serve) -> ExitCode {
    crate::allocator::keep_little();
    let layers = Layers {
        file: arguments.config,
        environment: std::env::vars_os().collect(),
        data_dir: arguments.data_dir,
        listen: arguments.listen,
        log_format: arguments.log_format,
        log_level: arguments.log_level,
    };
    let config = match layers.clone().load() {
        Ok(config) => config,
        Err(error) => return usage(&error),
    };
    if let Err(error) = logs::init(&config.server) {
        complain(&error.to_string());
        return ExitCode::from(USAGE);
    }
    match serve::run(config, layers) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn run_config(arguments: Show) -> ExitCode {
    let environment = std::env::vars_os().collect();
    let layers = Layers { file: arguments.config, environment, ..Layers::default() };
    let text = layers.load().and_then(|config: Config| Ok(config::to_yaml(&config)?));
    match text {
        Ok(text) => print(&text),
        Err(error) => usage(&error),
    }
}

fn run_hash(arguments: &Hash) -> ExitCode {
    let secret = match read_secret(arguments) {
        Ok(secret) => secret,
        Err(error) => {
            complain(&format!("cannot read the secret: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match access::hash_secret(secret.as_bytes()) {
        Ok(hash) if arguments.generate => print(&format!("secret: {secret}\nhash: {hash}\n")),
        Ok(hash) => print(&format!("{hash}\n")),
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(USAGE)
        }
    }
}

/// The secret without the end of its line.
fn read_secret(arguments: &Hash) -> std::io::Result<String> {
    if arguments.generate {
        return Ok(access::generate_secret());
    }
    let mut text = std::io::read_to_string(std::io::stdin())?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(text)
}

/// The command's answer.
pub(crate) fn print(text: &str) -> ExitCode {
    use std::io::Write as _;
    // A reader that closed the pipe early (`| head`) has what it wanted.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn usage(error: &ConfigError) -> ExitCode {
    complain(&error.to_string());
    ExitCode::from(USAGE)
}

/// One message for the person at the terminal, whatever the log level is.
#[expect(clippy::print_stderr, reason = "a message for the person who started the command")]
pub(crate) fn complain(message: &str) {
    eprintln!("timberline: {message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_are_read() {
        let cli = Cli::try_parse_from([
            "timberline",
            "serve",
            "--data-dir",
            "d",
            "--listen",
            "x:1",
            "--log-format",
            "json",
        ]);
        let Command::Serve(serve) = cli.unwrap().command else { panic!("not serve") };
        assert_eq!(serve.data_dir, Some(PathBuf::from("d")));
        assert_eq!(serve.listen.as_deref(), Some("x:1"));
        assert_eq!(serve.log_format, Some(LogFormat::Json));
        assert!(Cli::try_parse_from(["timberline", "config"]).is_err());
        assert!(Cli::try_parse_from(["timberline", "serve", "--log-format", "xml"]).is_err());
    }
}
