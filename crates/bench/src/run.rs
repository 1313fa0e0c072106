//! The whole run: the machine, the floor, every scenario on a store of its own that starts empty,
//! then every scenario once more on one store that was filled first.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::Failure;
use crate::child::Server;
use crate::database::Database;
use crate::gateway::{API_KEY, Gateway, SECRET, Store};
use crate::load::Numbers;
use crate::machine::Machine;
use crate::measure::{Extent, Figures, Subject};
use crate::options::Options;
use crate::process;
use crate::report::{self, Filling, Floor, Phase, Report, Row};
use crate::request::Request;
use crate::scenario::{Arrivals, Scenario, Shape, Target};
use crate::shared;
use crate::sink::Sink;

/// So many messages must be known before duplicates of them are measured.
const KNOWN_MIN: u64 = 1_000;
/// A store is filled in parts, so that deliveries never lag behind by more.
const FILLING_PART: u64 = 50_000;
const FILLING_CONNECTIONS: u16 = 64;

/// Measures, prints, and fails if anything went wrong on the way.
pub(crate) fn run(options: &Options) -> Result<ExitCode, Failure> {
    if let Some(url) = &options.database_url {
        return shared::run(options, url);
    }
    if options.postgres {
        return Err("--postgres is for `cargo xtask bench`, which starts one".into());
    }
    let bench = Bench::new(options)?;
    // One that does not start, or takes no configuration, is known now rather than after each row.
    drop(bench.start()?);
    let mut report = Report {
        machine: Machine::describe(&bench.work_dir)?,
        seconds: options.seconds,
        endpoint_concurrency: options.endpoint_concurrency,
        floors: floors(&bench)?,
        phases: Vec::new(),
        failures: Vec::new(),
    };
    let empty = bench.empty_stores(&mut report.failures);
    report.phases.push(empty);
    if options.fill > 0 {
        match bench.filled_store(options.fill, &mut report.failures) {
            Ok(filled) => report.phases.push(filled),
            Err(failure) => report.failures.push(format!("filled store: {failure}")),
        }
    }
    report::print(&report, options.json)?;
    Ok(if report.failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What is measured, where, and with what.
pub(crate) struct Bench {
    pub binary: PathBuf,
    pub work_dir: PathBuf,
    pub sink: Sink,
    pub scenarios: Vec<Scenario>,
    pub connections: Vec<u16>,
    endpoint_concurrency: u16,
    extent: Extent,
}

impl Bench {
    /// Looks whether everything is there.
    pub(crate) fn new(options: &Options) -> Result<Self, Failure> {
        let here = std::env::current_exe()?;
        let binary = match &options.server_binary {
            Some(path) => path
                .canonicalize()
                .map_err(|e| format!("{}: {e}", path.display()))?,
            None => here.with_file_name("hooklatch"),
        };
        if !binary.is_file() {
            return Err(format!("there is no gateway to measure at {}", binary.display()).into());
        }
        let beside = here.parent().ok_or("this program lies in no directory")?;
        let measured = Duration::from_secs(options.seconds);
        let scenarios = match options.scenarios.as_slice() {
            [] => Scenario::value_variants().to_vec(),
            chosen => chosen.to_vec(),
        };
        Ok(Self {
            binary,
            work_dir: options
                .work_dir
                .clone()
                .unwrap_or_else(|| beside.to_owned()),
            sink: Sink::start()?,
            scenarios,
            connections: options
                .connections
                .iter()
                .map(|number| number.get())
                .collect(),
            endpoint_concurrency: options.endpoint_concurrency,
            extent: Extent {
                warm_up: measured / 5,
                measured,
            },
        })
    }

    /// Starts a gateway on a store of its own that is empty.
    pub(crate) fn start(&self) -> Result<Gateway, Failure> {
        self.start_on(Store::Directory)
    }

    /// Starts a gateway on an empty store.
    pub(crate) fn start_on(&self, store: Store<'_>) -> Result<Gateway, Failure> {
        let Self {
            binary, work_dir, ..
        } = self;
        Gateway::start(
            binary,
            work_dir,
            &self.sink,
            self.endpoint_concurrency,
            store,
        )
    }

    /// Every row of the tables: scenario and connections.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (Scenario, u16)> {
        self.scenarios.iter().flat_map(|scenario| {
            self.connections
                .iter()
                .map(|connections| (*scenario, *connections))
        })
    }

    fn empty_stores(&self, failures: &mut Vec<String>) -> Phase {
        let mut rows = Vec::new();
        for (scenario, connections) in self.rows() {
            progress(&format!("empty store, {}", scenario.name()), connections);
            let row = self
                .start()
                .and_then(|mut gateway| self.row(&mut gateway, scenario, connections));
            note(row, scenario, connections, &mut rows, failures);
        }
        Phase {
            filling: None,
            rows,
        }
    }

    fn filled_store(&self, messages: u64, failures: &mut Vec<String>) -> Result<Phase, Failure> {
        let mut gateway = self.start()?;
        let started = Instant::now();
        while gateway.messages() < messages {
            let part = FILLING_PART.min(messages - gateway.messages());
            let least_sent = |target: &Target| gateway.sent(*target);
            let delivering = Target::ALL.into_iter().filter(|target| target.delivers());
            let target = delivering
                .min_by_key(least_sent)
                .ok_or("no target delivers")?;
            self.fill(&mut gateway, target, part, FILLING_CONNECTIONS)?;
            eprintln!("filling: {} of {messages}", gateway.messages());
        }
        let filling = filling_of(&gateway, started.elapsed())?;
        let mut rows = Vec::new();
        for (scenario, connections) in self.rows() {
            progress(&format!("filled store, {}", scenario.name()), connections);
            let row = self.row(&mut gateway, scenario, connections);
            note(row, scenario, connections, &mut rows, failures);
        }
        Ok(Phase {
            filling: Some(filling),
            rows,
        })
    }

    fn row(
        &self,
        gateway: &mut Gateway,
        scenario: Scenario,
        connections: u16,
    ) -> Result<Row, Failure> {
        let figures = self.figures(gateway, None, scenario, connections)?;
        Ok(Row {
            scenario,
            connections,
            figures,
        })
    }

    /// Measures one row.
    pub(crate) fn figures(
        &self,
        gateway: &mut Gateway,
        database: Option<&Database>,
        scenario: Scenario,
        connections: u16,
    ) -> Result<Figures, Failure> {
        let target = scenario.target();
        let numbers = match scenario.arrivals() {
            Arrivals::Unique => Numbers::From(gateway.sent(target)),
            Arrivals::Known => {
                let missing = KNOWN_MIN.saturating_sub(gateway.sent(target));
                self.fill(gateway, target, missing, connections)?;
                Numbers::Below(gateway.sent(target))
            }
        };
        let subject = self.subject(gateway, database, target, numbers, connections);
        let figures = subject.measure(scenario.arrivals(), self.extent)?;
        if scenario.arrivals() == Arrivals::Unique {
            gateway.add_sent(target, figures.sent);
        }
        Ok(figures)
    }

    /// Measures each row for so long from now on, if it was less.
    pub(crate) fn lengthen(&mut self, measured: Duration) {
        self.extent.measured = self.extent.measured.max(measured);
    }

    /// How long each row is measured.
    pub(crate) fn measured(&self) -> Duration {
        self.extent.measured
    }

    /// Sends so many messages, and waits until they have arrived.
    pub(crate) fn fill(
        &self,
        gateway: &mut Gateway,
        target: Target,
        messages: u64,
        connections: u16,
    ) -> Result<(), Failure> {
        let numbers = Numbers::From(gateway.sent(target));
        self.subject(gateway, None, target, numbers, connections)
            .fill(messages)?;
        gateway.add_sent(target, messages);
        Ok(())
    }

    /// What is sent to a gateway, and how.
    pub(crate) fn subject<'a>(
        &'a self,
        gateway: &'a Gateway,
        database: Option<&'a Database>,
        target: Target,
        numbers: Numbers,
        connections: u16,
    ) -> Subject<'a> {
        Subject {
            servers: gateway.nodes(),
            database,
            request: gateway.request(target),
            numbers,
            connections,
            sink: target.delivers().then_some(&self.sink),
        }
    }
}

/// What a bare server does with requests like those of the rows.
pub(crate) fn floors(bench: &Bench) -> Result<Vec<Floor>, Failure> {
    let server = Server::start(Command::new(std::env::current_exe()?).arg("floor"))?;
    let mut floors = Vec::new();
    for shape in Shape::ALL {
        let mut scenarios = bench.scenarios.iter();
        if !scenarios.any(|scenario| scenario.target().shape() == shape) {
            continue;
        }
        for connections in bench.connections.iter().copied() {
            progress(shape.floor_name(), connections);
            let subject = Subject {
                servers: std::slice::from_ref(&server),
                database: None,
                request: floor_request(shape),
                numbers: Numbers::From(0),
                connections,
                sink: None,
            };
            let figures = subject.measure(Arrivals::Unique, bench.extent)?;
            floors.push(Floor {
                shape,
                connections,
                figures,
            });
        }
    }
    Ok(floors)
}

/// As long as those that the gateway gets.
fn floor_request(shape: Shape) -> Request {
    match shape {
        Shape::Plain => Request::ingest("/ingest/0123456789abcdef0123456789abcdef", None),
        Shape::Signed => Request::ingest("/ingest/0123456789abcdef0123456789abcdef", Some(SECRET)),
        Shape::Send => Request::send("ep_0123456789abc", API_KEY),
        Shape::Claim => Request::claim(API_KEY),
    }
}

fn filling_of(gateway: &Gateway, took: Duration) -> Result<Filling, Failure> {
    let messages = gateway.messages();
    let store_bytes = gateway.store_bytes()?;
    Ok(Filling {
        messages,
        end_to_end_per_second: messages as f64 / took.as_secs_f64(),
        store_mib: store_bytes as f64 / (1_024.0 * 1_024.0),
        bytes_per_message: store_bytes as f64 / messages as f64,
        memory: process::memory(gateway.nodes()[0].process_id())?,
    })
}

/// Keeps the row, and what was wrong with it: figures of wrong answers are no figures.
fn note(
    row: Result<Row, Failure>,
    scenario: Scenario,
    connections: u16,
    rows: &mut Vec<Row>,
    failures: &mut Vec<String>,
) {
    let name = format!("{}, connections: {connections}", scenario.name());
    match row {
        Ok(row) => {
            failures.extend(faults(&row.figures).map(|fault| format!("{name}: {fault}")));
            rows.push(row);
        }
        Err(failure) => failures.push(format!("{name}: {failure}")),
    }
}

/// What is wrong with figures.
pub(crate) fn faults(figures: &Figures) -> impl Iterator<Item = String> {
    let missing = figures
        .deliveries
        .as_ref()
        .map_or(0, |deliveries| deliveries.missing);
    [
        (figures.refused, "requests were refused"),
        (
            figures.mistaken,
            "answers took a new message for a duplicate, or a duplicate for new",
        ),
        (missing, "messages were accepted and did not arrive"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
}

/// Says what is being measured.
pub(crate) fn progress(what: &str, connections: u16) {
    eprintln!("measuring: {what}, connections: {connections}");
}
