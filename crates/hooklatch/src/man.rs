//! `hooklatch man`: a manual page for every command, from the same table as its help.

use std::path::PathBuf;

use clap::{Args, CommandFactory};

use crate::cli::Cli;
use crate::failure::Failure;

const EXAMPLE: &str = "\
Example:
  hooklatch man --to /usr/local/share/man/man1";

/// Options of `hooklatch man`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct ManArgs {
    /// The directory to write the pages into; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
}

/// Writes the pages.
pub(crate) fn run(arguments: &ManArgs) -> Result<(), Failure> {
    let to = &arguments.to;
    let written = std::fs::create_dir_all(to)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), to))
        .and_then(|()| std::fs::read_dir(to));
    let pages = written.map_err(|error| {
        Failure::failed(format_args!("{} cannot be written", to.display()), error)
    })?;
    println!("{} holds {} pages", to.display(), pages.count());
    Ok(())
}
