//! Whether people can look while a gateway works: every page of the dashboard, and the log under
//! every single filter, on a store with a month of history in it; and what five people who watch
//! cost those who send.
//!
//! The history is made by the store's own methods under a clock of ours, so that it lies in its
//! files as a month of traffic would have left it there.

mod arrivals;
mod event;
mod fill;
mod paced;
mod report;
mod visit;
mod watch;
mod world;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::child::Server;
use crate::gateway::{Store, command};
use crate::machine::Machine;
use crate::options::Options;
use crate::run::Bench;
use report::Report;
use visit::Visitor;
use world::World;

/// How often each page is asked for.
const VISITS: usize = 20;
/// How long to wait until a gateway has added up what it found in its store.
const SETTLING: Duration = Duration::from_secs(60);

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let bench = Bench::new(options)?;
    let scratch = tempfile::Builder::new()
        .prefix("pages-")
        .tempdir_in(&bench.work_dir)?;
    let directory: PathBuf = match &options.store {
        Some(directory) => directory.clone(),
        None => scratch.path().to_owned(),
    };
    let world = filled(&bench, &directory, options.fill)?;
    if options.only_fill {
        return Ok(ExitCode::SUCCESS);
    }
    let server = serve(&bench.binary, &directory)?;
    let world = world.woken(server.address, &bench.sink)?;
    let visitor = Visitor::sign_in(server.address)?;
    settled(&visitor)?;
    eprintln!("every page, {VISITS} times");
    let mut visits = Vec::new();
    for page in visit::pages(server.address)? {
        visits.push(visitor.measure(&page, VISITS)?);
    }
    let watching = watch::measure(
        &server,
        &visitor,
        &world,
        Duration::from_secs(options.seconds),
    )?;
    let report = Report {
        machine: Machine::describe(&bench.work_dir)?,
        messages: options.fill,
        visits,
        watching,
    };
    report.print(options.json)?;
    Ok(if report.keeps_its_promises() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The store in that directory, made if there is none.
fn filled(bench: &Bench, directory: &Path, messages: u64) -> Result<World, Failure> {
    if let Some(world) = World::read(directory)? {
        eprintln!("the store in {} was filled before", directory.display());
        return Ok(world);
    }
    std::fs::create_dir_all(directory)?;
    let draft = tempfile::Builder::new()
        .prefix("draft-")
        .tempdir_in(directory)?;
    let server = serve(&bench.binary, draft.path())?;
    let world = World::make(server.address)?;
    drop(server);
    let began = Instant::now();
    fill::fill(
        &draft.path().join("store"),
        &directory.join("store"),
        &world,
        messages,
    )?;
    eprintln!("filled in {:.0} s", began.elapsed().as_secs_f64());
    world.write(directory)?;
    Ok(world)
}

fn serve(binary: &Path, directory: &Path) -> Result<Server, Failure> {
    Server::start(&mut command(binary, directory, Store::Directory))
}

/// Waits until the overview is answered as fast as it will be: sums are made beside traffic.
fn settled(visitor: &Visitor) -> Result<(), Failure> {
    let until = Instant::now() + SETTLING;
    let mut before = f64::INFINITY;
    while Instant::now() < until {
        let began = Instant::now();
        visitor.look("/?span=30d")?;
        let took = began.elapsed().as_secs_f64();
        if took > before * 0.9 {
            return Ok(());
        }
        before = took;
        std::thread::sleep(Duration::from_secs(2));
    }
    Ok(())
}
