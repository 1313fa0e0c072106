//! `hooklatch completions`: what a shell needs to complete our command line.

use std::io::Write as _;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::failure::Failure;

const EXAMPLE: &str = "\
Example:
  hooklatch completions bash > /etc/bash_completion.d/hooklatch
  hooklatch completions zsh > ~/.zfunc/_hooklatch
  hooklatch completions fish > ~/.config/fish/completions/hooklatch.fish";

/// Options of `hooklatch completions`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Prints the script.
pub(crate) fn run(arguments: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut Cli::command(),
        "hooklatch",
        &mut script,
    );
    std::io::stdout()
        .write_all(&script)
        .map_err(|error| Failure::failed("the script cannot be printed", error))
}
