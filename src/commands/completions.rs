//! `completions`.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::standard_output::print;
use crate::cli::Cli;
use crate::error::{Failure, Result};

/// Prints the completion script of a shell.
pub fn run(shell: Shell) -> Result<()> {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    print(&String::from_utf8(script).map_err(|error| Failure::bug("a completion script is not Unicode").because(error))?)
}
