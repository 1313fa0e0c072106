//! Measures what a gateway does on this machine, beside what is possible on it at all.
//!
//! Load generator, sink and gateway share the cores, as they would in any comparison on one machine.
//! In the same run a bare hyper server answers the same requests: it is the floor, and every figure is
//! also given as its share of it, so that figures from two machines can be compared.

mod api;
mod child;
mod database;
mod fairness;
mod floor;
mod gateway;
mod head;
mod histogram;
mod load;
mod machine;
mod measure;
mod options;
mod pages;
mod process;
mod report;
mod request;
mod run;
mod scenario;
mod shared;
mod sink;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;

use options::{Arguments, Role};

/// What stopped a measurement, as one sentence.
type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let Arguments { role, options } = Arguments::parse();
    let done = match role {
        None if options.fairness => fairness::run(&options),
        None if options.pages => pages::run(&options),
        None => run::run(&options),
        Some(Role::Floor) => floor::serve().map(|()| ExitCode::SUCCESS),
        Some(Role::DropHistory) => shared::dropping::be_a_node().map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|failure| {
        eprintln!("bench: {failure}");
        ExitCode::FAILURE
    })
}
