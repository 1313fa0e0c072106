//! What was measured over a shared database, for people and for machines, beside the targets.

use comfy_table::Table;
use serde::Serialize;
use serde_json::{Value, json};

use crate::Failure;
use crate::database::{PerMessage, Setting};
use crate::machine::Machine;
use crate::measure::Figures;
use crate::report::{
    DELIVERY_COLUMNS, Floor, delivery_cells, new_table, print_floors, print_machine,
};
use crate::scenario::Scenario;
use crate::shared::baseline::Baseline;
use crate::shared::dropping::{Dropping, Window};
use crate::shared::ledger::Comparison;
use crate::shared::pace::{self, Pace};
use crate::shared::targets;

/// What a full ledger must leave of the empty store's rate.
const LEDGER_SHARE_MIN: f64 = 0.8;

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// What it was measured on.
    pub machine: Machine,
    /// How the database is set.
    pub settings: Vec<Setting>,
    /// How long each row was measured.
    pub seconds: u64,
    /// How many attempts the endpoint allows at once.
    pub endpoint_concurrency: u16,
    /// The bare server.
    pub floors: Vec<Floor>,
    /// The bare database.
    pub baselines: Vec<Baseline>,
    /// How quick the database is on this machine.
    pub pace: Pace,
    /// The gateway.
    pub rows: Vec<Row>,
    /// On a large ledger, if that was asked for.
    pub ledger: Option<Comparison>,
    /// While history is dropped.
    pub dropping: Option<Dropping>,
    /// What went wrong.
    pub failures: Vec<String>,
}

/// One scenario on so many nodes, over so many connections.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    /// The nodes.
    pub nodes: usize,
    /// The scenario.
    pub scenario: Scenario,
    /// The connections.
    pub connections: u16,
    /// The figures.
    pub figures: Figures,
}

impl Report {
    fn share_of_baseline(&self, row: &Row) -> Option<f64> {
        let mut baselines = self.baselines.iter();
        let baseline = baselines.find(|it| it.connections == row.connections)?;
        Some(row.figures.per_second / baseline.per_second)
    }
}

/// Prints it to standard output.
pub(super) fn print(report: &Report, json: bool) -> Result<(), Failure> {
    if json {
        println!("{}", serde_json::to_string_pretty(&to_json(report)?)?);
        return Ok(());
    }
    print_machine(&report.machine, report.seconds, report.endpoint_concurrency);
    let settings = report.settings.iter();
    let settings = settings.map(|it| format!("{}={}", it.name, it.value));
    println!("PostgreSQL: {}", settings.collect::<Vec<_>>().join(", "));
    print_floors(&report.floors);
    print_baselines(&report.baselines);
    print_rows(report);
    print_deliveries(&report.rows);
    print_targets(report);
    if let Some(ledger) = &report.ledger {
        print_ledger(ledger);
    }
    if let Some(dropping) = &report.dropping {
        print_dropping(dropping);
    }
    for failure in &report.failures {
        println!("FAILED: {failure}");
    }
    Ok(())
}

/// The report, with each row's share of what the bare database does, and the targets.
fn to_json(report: &Report) -> Result<Value, Failure> {
    let mut json = serde_json::to_value(report)?;
    for (at, row) in report.rows.iter().enumerate() {
        json["rows"][at]["share_of_pgbench"] = json!(report.share_of_baseline(row));
    }
    if let Some(ledger) = &report.ledger {
        json["ledger"]["share_of_empty"] = json!(ledger.share());
    }
    json["targets"] = serde_json::to_value(targets::verdicts(&report.rows, &report.pace))?;
    Ok(json)
}

const COST_COLUMNS: [&str; 7] = [
    "CPU-ms gateway",
    "CPU-ms database",
    "CPU-ms all",
    "statements",
    "commits",
    "WAL KiB",
    "refused",
];

fn cost_cells(cost: Option<&PerMessage>, refused: u64) -> Vec<String> {
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |it| format!("{it:.3}"));
    let of = |field: fn(&PerMessage) -> Option<f64>| number(cost.and_then(field));
    vec![
        of(|it| Some(it.gateway_cpu_ms)),
        of(|it| it.database_cpu_ms),
        of(PerMessage::cpu_ms),
        of(|it| it.statements),
        of(|it| Some(it.commits)),
        of(|it| Some(it.wal_kib)),
        refused.to_string(),
    ]
}

fn print_baselines(baselines: &[Baseline]) {
    println!(
        "\nThe bare database: pgbench inserts the rows of an accepted message, one statement and one \
         commit each"
    );
    let columns = ["pgbench", "conns", "per s", "p50 ms", "p99 ms"];
    let mut table = new_table(&[columns.as_slice(), &COST_COLUMNS].concat());
    for baseline in baselines {
        let mut cells = vec![
            "message".to_owned(),
            baseline.connections.to_string(),
            format!("{:.0}", baseline.per_second),
            format!("{:.2}", baseline.p50_ms),
            format!("{:.2}", baseline.p99_ms),
        ];
        cells.extend(cost_cells(Some(&baseline.database), 0));
        table.add_row(cells);
    }
    println!("{table}");
}

fn print_rows(report: &Report) {
    println!(
        "\nNodes that share a database, a new one for each row. What a message costs is counted from \
         before the first request to after the last arrival"
    );
    let columns = [
        "answers",
        "nodes",
        "conns",
        "per s",
        "p50 ms",
        "p99 ms",
        "of pgbench",
    ];
    let mut table = new_table(&[columns.as_slice(), &COST_COLUMNS].concat());
    for row in &report.rows {
        let share = report.share_of_baseline(row).unwrap_or(f64::NAN);
        let mut cells = vec![
            row.scenario.name(),
            row.nodes.to_string(),
            row.connections.to_string(),
            format!("{:.0}", row.figures.per_second),
            format!("{:.2}", row.figures.p50_ms),
            format!("{:.2}", row.figures.p99_ms),
            format!("{share:.3}"),
        ];
        let figures = &row.figures;
        cells.extend(cost_cells(figures.database.as_ref(), figures.refused));
        table.add_row(cells);
    }
    println!("{table}");
}

fn print_deliveries(rows: &[Row]) {
    let mut table = new_table(&DELIVERY_COLUMNS);
    for row in rows {
        if let Some(deliveries) = &row.figures.deliveries {
            let name = format!("{}, nodes: {}", row.scenario.name(), row.nodes);
            table.add_row(delivery_cells(name, row.connections, deliveries));
        }
    }
    print_unless_empty(&table);
}

fn print_targets(report: &Report) {
    let pace = &report.pace;
    println!(
        "\nTargets come from a machine whose PostgreSQL took {:.0} single rows a second, and {:.0} in \
         statements of 100; this one takes {:.0} and {:.0}, and is expected to do {:.0} %",
        pace::THEIRS.single_rows_per_second,
        pace::THEIRS.batched_rows_per_second,
        pace.single_rows_per_second,
        pace.batched_rows_per_second,
        pace.share() * 100.0,
    );
    let columns = [
        "target", "nodes", "conns", "measured", "wanted", "met", "here", "met here",
    ];
    let mut table = new_table(&columns);
    let yes = |met| if met { "yes" } else { "no" }.to_owned();
    for verdict in targets::verdicts(&report.rows, pace) {
        table.add_row([
            verdict.what,
            verdict.nodes.to_string(),
            verdict.connections.to_string(),
            rounded(verdict.measured),
            verdict.bound.said(rounded(verdict.target)),
            yes(verdict.met),
            verdict.bound.said(rounded(verdict.target_here)),
            yes(verdict.met_here),
        ]);
    }
    print_unless_empty(&table);
}

fn print_unless_empty(table: &Table) {
    if !table.is_empty() {
        println!("{table}");
    }
}

/// Rates are large, costs are small.
fn rounded(figure: f64) -> String {
    if figure >= 100.0 {
        format!("{figure:.0}")
    } else {
        format!("{figure:.3}")
    }
}

fn print_ledger(ledger: &Comparison) {
    println!(
        "\nA ledger of {} claims ({:.0} MiB, filled in {:.0} s) accepts {:.0} % of what an empty store \
         does, over {} s after a checkpoint; wanted: {:.0} %",
        ledger.claims,
        ledger.ledger_mib,
        ledger.filling_seconds,
        ledger.share() * 100.0,
        ledger.measured_seconds,
        LEDGER_SHARE_MIN * 100.0,
    );
    let mut table = new_table(&["store", "conns", "per s", "p50 ms", "p99 ms", "max ms"]);
    let [before, after] = &ledger.empty;
    for (name, figures) in [
        ("empty, before", before),
        ("filled", &ledger.filled),
        ("empty, after", after),
    ] {
        table.add_row([
            name.to_owned(),
            ledger.connections.to_string(),
            format!("{:.0}", figures.per_second),
            format!("{:.2}", figures.p50_ms),
            format!("{:.2}", figures.p99_ms),
            format!("{:.1}", figures.max_ms),
        ]);
    }
    println!("{table}");
}

fn print_dropping(dropping: &Dropping) {
    println!(
        "\nDropping a day of history ({} messages, {:.0} MiB) under that load took {:.0} ms",
        dropping.messages, dropping.size_mib, dropping.took_ms,
    );
    let columns = ["answers", "seconds", "per s", "p50 ms", "p99 ms", "max ms"];
    let mut table = new_table(&columns);
    for (name, window) in [("before", &dropping.before), ("around", &dropping.around)] {
        table.add_row(window_cells(name, window));
    }
    println!("{table}");
}

fn window_cells(name: &str, window: &Window) -> Vec<String> {
    vec![
        name.to_owned(),
        format!("{:.1}", window.seconds),
        format!("{:.0}", window.per_second),
        format!("{:.2}", window.p50_ms),
        format!("{:.2}", window.p99_ms),
        format!("{:.1}", window.max_ms),
    ]
}
