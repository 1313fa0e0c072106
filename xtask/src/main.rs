//! The project's own commands, in Rust so that a toolchain is all that they need:
//! `cargo xtask test`, `cargo xtask tidy`, `cargo xtask services`, `cargo xtask providers`,
//! `cargo xtask configuration`, `cargo xtask screenshots`, `cargo xtask dist` and
//! `cargo xtask bench`.

mod bench;
mod configuration;
mod dist;
mod packages;
mod providers;
mod screenshots;
mod services;
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
    /// Measure hooklatch on this machine, beside a bare server.
    ///
    /// Example: `cargo xtask bench --fill 0 --seconds 2`; `cargo xtask bench --help` names the options.
    /// `cargo xtask bench --receiver [EVENTS] [STORE …]` measures the kit for receivers, on every store
    /// or on those that are named.
    #[command(disable_help_flag = true)]
    Bench {
        /// The options of the load generator.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Build the archive for people who do not build it themselves, in target/dist.
    ///
    /// Example: `cargo xtask dist`
    Dist(dist::Arguments),
    /// Run a command beside the servers that the tests talk to.
    ///
    /// Example: `cargo xtask services -- cargo nextest run -p hooklatch-store-postgres`
    Services {
        /// The command and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Write docs/providers.md and a page for each provider from the table of presets.
    ///
    /// Example: `cargo xtask providers`
    Providers,
    /// Write docs/configuration.md from the options of `hooklatch serve`.
    ///
    /// Example: `cargo xtask configuration`
    Configuration,
    /// Take the pictures of the dashboard in docs/screenshots anew.
    ///
    /// Example: `cargo xtask screenshots`
    Screenshots,
    /// Fetch what the tests need, start the servers that they talk to, then run tidy, every test
    /// and every doc test.
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
        Command::Bench { arguments } => bench::run(&arguments),
        Command::Dist(arguments) => dist::run(&arguments),
        Command::Services { command } => services::run(&command),
        Command::Providers => providers::run(),
        Command::Configuration => configuration::run(),
        Command::Screenshots => screenshots::run(),
        Command::Test { filters } => test::run(&filters),
        Command::Tidy => tidy::run(),
    };
    done.unwrap_or_else(|failure| {
        eprintln!("xtask: {failure}");
        ExitCode::FAILURE
    })
}
