//! `timberline rules`: what is wrong with rule files, and whether rules find what they should.
//!
//! Output and exit codes are those of `promtool`.

mod check;
mod report;
mod suite;
mod testing;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

/// The arguments of `timberline rules`.
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Rules {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Says what is wrong with rule files
    #[command(after_help = CHECK_HELP)]
    Check(Files),
    /// Runs unit tests of rules, on lines that stand in the test file
    #[command(after_help = TEST_HELP)]
    Test(Files),
}

#[derive(Args, Debug)]
struct Files {
    /// The files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

const CHECK_HELP: &str = "\
Example:
  timberline rules check /var/lib/timberline/rules/fake/*.yaml

Exit codes: 0 when all files are good, 1 when one is not, 2 when the command is wrong.";

const TEST_HELP: &str = "\
Example:
  timberline rules test alerts_test.yaml

  rule_files: [alerts.yaml]
  evaluation_interval: 1m
  tests:
    - input_streams:
        - labels: {app: shop}
          entries:
            - {at: 0s, every: 10s, count: 60, line: 'level=error msg=\"payment failed\"'}
      alert_rule_test:
        - eval_time: 10m
          alertname: ManyErrors
          exp_alerts:
            - exp_labels: {app: shop, severity: page}
              exp_annotations: {summary: 'shop fails'}
      logql_expr_test:
        - expr: sum by (app) (count_over_time({app=\"shop\"}[1m]))
          eval_time: 5m
          exp_samples: [{labels: '{app=\"shop\"}', value: 6}]

Exit codes: 0 when all tests pass, 1 when one does not, 2 when the command is wrong.";

/// Takes any bytes for a test file.
#[doc(hidden)]
pub fn fuzz_tests(bytes: &[u8]) {
    testing::fuzz(bytes);
}

/// Runs the command.
pub(crate) fn run(arguments: &Rules) -> ExitCode {
    let all_well = match &arguments.command {
        Command::Check(files) => check::run(&files.files),
        Command::Test(files) => testing::run(&files.files),
    };
    if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
