//! The project's own commands, in Rust so that a toolchain is all that they need:
//! `cargo xtask test` and `cargo xtask tidy`.

mod test;
mod tidy;
mod workspace;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What stopped a command, as one sentence.
type Failure = Box<dyn Error>;

/// Tests, checks and benchmarks of hooklatch.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fetch what the tests need, then run tidy, every test and every doc test.
    ///
    /// Example: `cargo xtask test`, or `cargo xtask test -- kill::` for a part of them.
    Test {
        /// Only the tests whose names contain one of these.
        #[arg(last = true)]
        filters: Vec<String>,
    },
    /// Check what compilers do not: edges between crates, lengths, docs, and a test for every rule.
    ///
    /// Example: `cargo xtask tidy`
    Tidy,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Test { filters } => test::run(&filters),
        Command::Tidy => tidy::run(),
    };
    done.unwrap_or_else(|failure| {
        eprintln!("xtask: {failure}");
        ExitCode::FAILURE
    })
}
