//! The run over a database that nodes share: every row on a database of its own, for one node and for
//! several, beside what the database does without a gateway; then what a large ledger costs, and what
//! dropping history does to the load.

pub(crate) mod baseline;
pub(crate) mod dropping;
pub(crate) mod ledger;
pub(crate) mod pace;
mod report;
mod targets;

use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use crate::Failure;
use crate::database::{Cluster, Database};
use crate::gateway::{Gateway, Store};
use crate::load::Numbers;
use crate::machine::Machine;
use crate::options::Options;
use crate::run::{Bench, faults, floors, progress};
use crate::scenario::{Scenario, Target};

use baseline::Baseline;
use dropping::Dropping;
use ledger::Comparison;
use pace::Pace;
use report::{Report, Row};

/// What is measured unless scenarios are named.
const SCENARIOS: [Scenario; 5] = [
    Scenario::Ingest,
    Scenario::IngestDuplicate,
    Scenario::Send,
    Scenario::EndToEnd,
    Scenario::Claim,
];

/// How long each part of the pace is measured.
const PACE_SECONDS: u64 = 2;

/// Measures, prints, and fails if anything went wrong on the way.
pub(crate) fn run(options: &Options, url: &str) -> Result<ExitCode, Failure> {
    let mut bench = Bench::new(options)?;
    if options.scenarios.is_empty() {
        bench.scenarios = SCENARIOS.to_vec();
    }
    let mut shared = Shared {
        cluster: Cluster::reach(url)?,
        seconds: options.seconds,
        bench,
    };
    let floors = floors(&shared.bench)?;
    let pace = shared.pace()?;
    let mut report = Report {
        machine: Machine::describe(&shared.bench.work_dir)?,
        settings: shared.cluster.settings()?,
        seconds: options.seconds,
        endpoint_concurrency: options.endpoint_concurrency,
        floors,
        baselines: shared.baselines()?,
        pace,
        rows: Vec::new(),
        ledger: None,
        dropping: None,
        failures: Vec::new(),
    };
    for nodes in options.nodes.iter().copied().map(usize::from) {
        shared.rows(nodes, &mut report);
    }
    // A machine that others use too is not as quick all the time.
    match shared.pace() {
        Ok(pace) => report.pace = report.pace.or_quicker(pace),
        Err(failure) => report.failures.push(format!("pace: {failure}")),
    }
    if options.fill_claims > 0 {
        shared.bench.lengthen(ledger::MEASURED_MIN);
        shared.large_ledger(options.fill_claims, &mut report);
    }
    report::print(&report, options.json)?;
    Ok(if report.failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

struct Shared {
    // The sink in it outlives the gateways.
    bench: Bench,
    cluster: Rc<Cluster>,
    seconds: u64,
}

/// A gateway, and the database that its nodes share.
struct Setting {
    // Fields end in this order: the nodes first, then their database.
    gateway: Gateway,
    database: Database,
}

impl Shared {
    fn start(&self, nodes: usize) -> Result<Setting, Failure> {
        let database = self.cluster.make_database()?;
        let url = database.address.url();
        let store = Store::Shared { url, nodes };
        let gateway = self.bench.start_on(store)?;
        Ok(Setting { gateway, database })
    }

    fn baselines(&self) -> Result<Vec<Baseline>, Failure> {
        let mut setting = self.start(1)?;
        let Setting { gateway, database } = &mut setting;
        self.bench
            .fill(gateway, Target::Connected, 1, 1)
            .map_err(|failure| format!("the message that is copied: {failure}"))?;
        let baseline = baseline::Bench::prepare(database, &self.bench.work_dir)?;
        let connections = self.bench.connections.iter();
        let measured = connections.map(|connections| {
            progress("pgbench, the rows of an accepted message", *connections);
            baseline.measure(*connections, self.seconds)
        });
        measured.collect()
    }

    fn pace(&self) -> Result<Pace, Failure> {
        let database = self.cluster.make_database()?;
        baseline::Bench::prepare_plain(&database, &self.bench.work_dir)?.pace(PACE_SECONDS)
    }

    fn rows(&self, nodes: usize, report: &mut Report) {
        for (scenario, connections) in self.bench.rows() {
            // Fewer connections than nodes would leave nodes out.
            if usize::from(connections) < nodes {
                continue;
            }
            let name = format!("{}, nodes: {nodes}", scenario.name());
            progress(&name, connections);
            match self.row(nodes, scenario, connections) {
                Ok(row) => {
                    let faults = faults(&row.figures);
                    let named = faults.map(|fault| format!("{name}, {connections}: {fault}"));
                    report.failures.extend(named);
                    report.rows.push(row);
                }
                Err(failure) => report.failures.push(format!("{name}: {failure}")),
            }
        }
    }

    fn row(&self, nodes: usize, scenario: Scenario, connections: u16) -> Result<Row, Failure> {
        let mut setting = self.start(nodes)?;
        let Setting { gateway, database } = &mut setting;
        let bench = &self.bench;
        let figures = bench.figures(gateway, Some(database), scenario, connections)?;
        Ok(Row {
            nodes,
            scenario,
            connections,
            figures,
        })
    }

    /// The store with a large ledger, and then, while it is there, the drop of a day.
    fn large_ledger(&self, claims: u64, report: &mut Report) {
        match self.compare(claims, report) {
            Ok(comparison) => report.ledger = Some(comparison),
            Err(failure) => report.failures.push(format!("large ledger: {failure}")),
        }
    }

    fn compare(&self, claims: u64, report: &mut Report) -> Result<Comparison, Failure> {
        let connections = self.bench.connections.iter().copied().max();
        let connections = connections.ok_or("no number of connections")?;
        let scenario = Scenario::Ingest;
        let measure = |setting: &mut Setting| {
            let Setting { gateway, database } = setting;
            let bench = &self.bench;
            bench.figures(gateway, Some(database), scenario, connections)
        };
        let mut setting = self.start(1)?;
        progress("empty store, before", connections);
        let before = measure(&mut setting)?;
        let filling_seconds = ledger::fill(&setting.database, claims)?;
        let ledger_mib = ledger::size_mib(&setting.database)?;
        progress("filled ledger", connections);
        let filled = measure(&mut setting)?;
        progress("dropping a day of history", connections);
        match self.drop_a_day(&mut setting, connections) {
            Ok(dropping) => report.dropping = Some(dropping),
            Err(failure) => report.failures.push(format!("dropping a day: {failure}")),
        }
        drop(setting);
        progress("empty store, after", connections);
        let after = measure(&mut self.start(1)?)?;
        for figures in [&before, &filled, &after] {
            report.failures.extend(faults(figures));
        }
        Ok(Comparison {
            claims,
            filling_seconds,
            ledger_mib,
            measured_seconds: self.bench.measured().as_secs(),
            connections,
            empty: [before, after],
            filled,
        })
    }

    fn drop_a_day(&self, setting: &mut Setting, connections: u16) -> Result<Dropping, Failure> {
        let Setting { gateway, database } = setting;
        // A message that was delivered, for the rows of the day to be like.
        self.bench.fill(gateway, Target::Connected, 1, 1)?;
        let target = Scenario::Ingest.target();
        let numbers = Numbers::From(gateway.sent(target));
        let subject = self
            .bench
            .subject(gateway, Some(database), target, numbers, connections);
        dropping::watch(&subject, database, Duration::from_secs(self.seconds))
    }
}
