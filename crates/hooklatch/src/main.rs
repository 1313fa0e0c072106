//! The `hooklatch` binary: reads the command line, runs one command, and says by its exit code
//! what came of it: 0 done, 1 refused or failed, 2 not understood.

mod apply;
mod backtest;
mod backup;
mod cli;
mod completions;
mod connect;
mod copy;
mod demo;
mod doctor;
mod failure;
mod listed;
mod listen;
mod lookup;
mod man;
mod migrate;
mod prove;
mod reference;
mod replay;
mod resources;
mod send;
mod serve;
mod signals;
mod tail;
mod terminal;
mod when;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Action, Cli};
use crate::failure::Failure;

/// Many small buffers that live as long as a request: what this allocator is made for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if matches!(cli.command, Action::TransformWorker) {
        // No runtime: nothing of the gateway is needed there.
        hooklatch_transform::work();
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(run(cli.command));
            // Whatever still runs has been told to end, or shall end now: a second Ctrl-C does not
            // wait for a disk.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(Failure::failed("the runtime does not start", error)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("hooklatch: {failure}");
            failure.exit_code()
        }
    }
}

async fn run(action: Action) -> Result<(), Failure> {
    match action {
        Action::Serve(arguments) => serve::run(arguments).await,
        Action::Send(arguments) => send::run(arguments).await,
        Action::Backtest(arguments) => backtest::run(arguments).await,
        Action::Apply(arguments) => apply::run(arguments).await,
        Action::Listen(arguments) => listen::run(arguments).await,
        Action::Replay(arguments) => replay::run(arguments).await,
        Action::Migrate(arguments) => migrate::run(arguments).await,
        Action::Copy(arguments) => copy::run(arguments).await,
        Action::Tail(arguments) => tail::run(arguments).await,
        Action::Backup(arguments) => backup::run(arguments).await,
        Action::Doctor(arguments) => doctor::run(arguments).await,
        Action::Resource(called) => resources::run(called).await,
        Action::Completions(arguments) => completions::run(&arguments),
        Action::Man(arguments) => man::run(&arguments),
        Action::Configuration(_) => reference::run(),
        Action::Demo(arguments) => demo::run(arguments).await,
        Action::Prove(arguments) => prove::run(arguments).await,
        Action::TransformWorker => unreachable!("it was handled before the runtime started"),
    }
}
