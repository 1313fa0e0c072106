//! What was measured, for people and for machines.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use crate::Failure;
use crate::machine::Machine;
use crate::measure::{Deliveries, Figures};
use crate::process::Memory;
use crate::scenario::{Scenario, Shape};

/// Everything.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// What it was measured on.
    pub machine: Machine,
    /// How long each row was measured.
    pub seconds: u64,
    /// How many attempts the endpoint allows at once.
    pub endpoint_concurrency: u16,
    /// The bare server.
    pub floors: Vec<Floor>,
    /// The gateway, on empty stores and on a filled one.
    pub phases: Vec<Phase>,
    /// What went wrong.
    pub failures: Vec<String>,
}

/// The bare server's figures for requests of one shape.
#[derive(Debug, Serialize)]
pub(crate) struct Floor {
    /// The requests' shape.
    pub shape: Shape,
    /// Over how many connections they came.
    pub connections: u16,
    /// The figures.
    pub figures: Figures,
}

/// The gateway's figures in one state of its store.
#[derive(Debug, Serialize)]
pub(crate) struct Phase {
    /// How the store was filled; none if every row had an empty one.
    pub filling: Option<Filling>,
    /// The rows.
    pub rows: Vec<Row>,
}

/// How a store was filled.
#[derive(Debug, Serialize)]
pub(crate) struct Filling {
    /// With so many messages, all delivered: half by the send API, half by a source.
    pub messages: u64,
    /// So many of them a second, from request to delivery, in parts that were each awaited.
    pub end_to_end_per_second: f64,
    /// Size of the files, a write-ahead log among them: what one row adds drowns in that log's size,
    /// so only the whole is told.
    pub store_mib: f64,
    /// The same for each message.
    pub bytes_per_message: f64,
    /// The gateway's memory then.
    pub memory: Memory,
}

/// One scenario over one number of connections.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// The scenario.
    pub scenario: Scenario,
    /// The connections.
    pub connections: u16,
    /// The figures.
    pub figures: Figures,
}

impl Report {
    /// How fast the bare server answered requests like those of this row.
    fn floor_of(&self, row: &Row) -> Option<&Floor> {
        let shape = row.scenario.target().shape();
        self.floors
            .iter()
            .find(|floor| floor.shape == shape && floor.connections == row.connections)
    }
}

/// Prints it to standard output.
pub(crate) fn print(report: &Report, json: bool) -> Result<(), Failure> {
    if json {
        println!("{}", serde_json::to_string_pretty(&to_json(report)?)?);
        return Ok(());
    }
    print_machine(&report.machine, report.seconds, report.endpoint_concurrency);
    print_floors(&report.floors);
    for phase in &report.phases {
        print_phase(report, phase);
    }
    for failure in &report.failures {
        println!("FAILED: {failure}");
    }
    Ok(())
}

/// The report, with the share of the floor in each row.
fn to_json(report: &Report) -> Result<serde_json::Value, Failure> {
    let mut json = serde_json::to_value(report)?;
    for (at_phase, phase) in report.phases.iter().enumerate() {
        for (at_row, row) in phase.rows.iter().enumerate() {
            let share = report.floor_of(row).map(|floor| share(row, floor));
            json["phases"][at_phase]["rows"][at_row]["share_of_floor"] = share.into();
        }
    }
    Ok(json)
}

/// Prints what it was measured on, how long each row was, and what the endpoint allows.
pub(crate) fn print_machine(machine: &Machine, seconds: u64, endpoint_concurrency: u16) {
    println!(
        "{} cores of {}, {} MiB, Linux {}",
        machine.cores, machine.processor, machine.memory_mib, machine.kernel
    );
    println!(
        "append of 4 KiB and sync: p50 {:.3} ms, p99 {:.3} ms; each row {seconds} s; payloads of 1 KiB",
        machine.sync_p50_ms, machine.sync_p99_ms
    );
    println!("the endpoint allows {endpoint_concurrency} attempts at once");
}

/// Prints what the bare server did.
pub(crate) fn print_floors(floors: &[Floor]) {
    println!("\nThe floor: a bare hyper server that reads and answers the same requests");
    let mut table = new_table(&ANSWER_COLUMNS);
    for floor in floors {
        let name = floor.shape.floor_name().to_owned();
        table.add_row(answer_cells(name, floor.connections, &floor.figures, 1.0));
    }
    println!("{table}");
}

fn print_phase(report: &Report, phase: &Phase) {
    println!("\n{}", title_of(phase));
    let mut table = new_table(&ANSWER_COLUMNS);
    for row in &phase.rows {
        let share = report
            .floor_of(row)
            .map_or(f64::NAN, |floor| share(row, floor));
        let name = row.scenario.name();
        table.add_row(answer_cells(name, row.connections, &row.figures, share));
    }
    println!("{table}");
    print_deliveries(phase);
}

fn title_of(phase: &Phase) -> String {
    let Some(filling) = &phase.filling else {
        return "Empty stores: a new one for each row".to_owned();
    };
    format!(
        "One store, filled with {} delivered messages first ({:.0} a second end to end): \
         {:.0} MiB of files, {:.0} bytes a message, {:.0} MiB resident, at most {:.0} MiB",
        filling.messages,
        filling.end_to_end_per_second,
        filling.store_mib,
        filling.bytes_per_message,
        filling.memory.resident_mib,
        filling.memory.peak_mib,
    )
}

fn print_deliveries(phase: &Phase) {
    let rows: Vec<(&Row, &Deliveries)> = phase
        .rows
        .iter()
        .filter_map(|row| Some((row, row.figures.deliveries.as_ref()?)))
        .collect();
    if rows.is_empty() {
        return;
    }
    let mut table = new_table(&DELIVERY_COLUMNS);
    for (row, deliveries) in rows {
        let name = row.scenario.name();
        table.add_row(delivery_cells(name, row.connections, deliveries));
    }
    println!("{table}");
}

const ANSWER_COLUMNS: [&str; 12] = [
    "answers",
    "conns",
    "per s",
    "p50 ms",
    "p99 ms",
    "max ms",
    "of floor",
    "CPU-ms",
    "load CPU-ms",
    "written KiB",
    "RSS MiB",
    "refused",
];

fn answer_cells(name: String, connections: u16, figures: &Figures, share: f64) -> Vec<String> {
    vec![
        name,
        connections.to_string(),
        format!("{:.0}", figures.per_second),
        format!("{:.2}", figures.p50_ms),
        format!("{:.2}", figures.p99_ms),
        format!("{:.1}", figures.max_ms),
        format!("{share:.3}"),
        format!("{:.3}", figures.cpu_ms),
        format!("{:.3}", figures.load_cpu_ms),
        format!("{:.1}", figures.written_kib),
        format!("{:.0}", figures.memory.resident_mib),
        figures.refused.to_string(),
    ]
}

/// The columns of deliveries.
pub(crate) const DELIVERY_COLUMNS: [&str; 9] = [
    "deliveries",
    "conns",
    "messages",
    "under load per s",
    "draining per s",
    "end to end per s",
    "CPU-ms",
    "repeated",
    "missing",
];

/// What stands in them.
pub(crate) fn delivery_cells(
    name: String,
    connections: u16,
    deliveries: &Deliveries,
) -> Vec<String> {
    vec![
        name,
        connections.to_string(),
        deliveries.messages.to_string(),
        format!("{:.0}", deliveries.under_load_per_second),
        deliveries
            .drain_per_second
            .map_or("-".to_owned(), |rate| format!("{rate:.0}")),
        format!("{:.0}", deliveries.end_to_end_per_second),
        format!("{:.3}", deliveries.cpu_ms),
        deliveries.repeated.to_string(),
        deliveries.missing.to_string(),
    ]
}

fn share(row: &Row, floor: &Floor) -> f64 {
    row.figures.per_second / floor.figures.per_second
}

/// Numbers to the right, under their heading.
pub(crate) fn new_table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(columns);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(per_second: f64) -> Figures {
        Figures {
            per_second,
            p50_ms: 1.0,
            p99_ms: 2.0,
            max_ms: 3.0,
            cpu_ms: 0.1,
            load_cpu_ms: 0.01,
            written_kib: 4.0,
            memory: Memory {
                resident_mib: 20.0,
                peak_mib: 30.0,
            },
            deliveries: None,
            database: None,
            sent: 10,
            refused: 0,
            mistaken: 0,
        }
    }

    fn report() -> Report {
        let floor = |connections, per_second| Floor {
            shape: Shape::Send,
            connections,
            figures: figures(per_second),
        };
        let row = Row {
            scenario: Scenario::SendDuplicate,
            connections: 64,
            figures: figures(25.0),
        };
        Report {
            machine: Machine {
                cores: 2,
                processor: "one".into(),
                kernel: "6".into(),
                memory_mib: 1,
                sync_p50_ms: 0.1,
                sync_p99_ms: 0.2,
            },
            seconds: 5,
            endpoint_concurrency: 256,
            floors: vec![floor(1, 10.0), floor(64, 100.0)],
            phases: vec![Phase {
                filling: None,
                rows: vec![row],
            }],
            failures: Vec::new(),
        }
    }

    #[test]
    fn a_row_is_compared_with_the_floor_of_its_shape_and_connections() {
        let json = to_json(&report()).unwrap();
        assert_eq!(json["phases"][0]["rows"][0]["share_of_floor"], 0.25);
        assert_eq!(json["phases"][0]["rows"][0]["scenario"], "send-duplicate");
    }

    #[test]
    fn a_row_without_a_floor_has_no_share() {
        let mut report = report();
        report.floors.pop();
        let json = to_json(&report).unwrap();
        assert!(json["phases"][0]["rows"][0]["share_of_floor"].is_null());
    }

    #[test]
    fn a_row_has_a_cell_for_every_column() {
        let report = report();
        let row = &report.phases[0].rows[0];
        let cells = answer_cells(row.scenario.name(), 64, &row.figures, 0.25);
        assert_eq!(cells.len(), ANSWER_COLUMNS.len());
        let deliveries = Deliveries {
            messages: 1,
            under_load_per_second: 1.0,
            drain_per_second: None,
            end_to_end_per_second: 1.0,
            cpu_ms: 1.0,
            repeated: 0,
            missing: 0,
        };
        assert_eq!(
            delivery_cells(row.scenario.name(), 64, &deliveries).len(),
            DELIVERY_COLUMNS.len()
        );
    }
}
