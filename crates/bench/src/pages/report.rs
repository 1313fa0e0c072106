//! What came of it, for people and for machines, and whether it is what is promised.

use serde::Serialize;

use super::visit::Visits;
use super::watch::{Rounds, Watching};
use crate::Failure;
use crate::machine::Machine;
use crate::report::new_table;

/// What a page may take at the median.
const MEDIAN_MS_MAX: f64 = 150.0;
/// What its first view may weigh.
const BYTES_MAX: usize = 150 * 1_024;
/// By how much five who watch may prolong the slowest hundredth of answers.
const P99_RATIO_MAX: f64 = 1.2;

/// The whole measurement.
#[derive(Serialize)]
pub(super) struct Report {
    pub machine: Machine,
    pub messages: u64,
    pub visits: Vec<Visits>,
    pub watching: Watching,
}

impl Report {
    /// Whether every page is fast and light, and watching is cheap.
    pub(super) fn keeps_its_promises(&self) -> bool {
        let well = |visits: &Visits| {
            visits.median_ms <= MEDIAN_MS_MAX && visits.first_view_bytes <= BYTES_MAX
        };
        self.visits.iter().all(well) && self.watching.p99_ratio <= P99_RATIO_MAX
    }

    pub(super) fn print(&self, json: bool) -> Result<(), Failure> {
        if json {
            println!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        let machine = &self.machine;
        println!(
            "{} cores of {}; append of 4 KiB and sync: p50 {:.3} ms; {} messages stored",
            machine.cores, machine.processor, machine.sync_p50_ms, self.messages
        );
        self.print_pages();
        self.print_watching();
        println!(
            "every page within {MEDIAN_MS_MAX} ms at the median and {} KiB, watching within {P99_RATIO_MAX}: {}",
            BYTES_MAX / 1_024,
            if self.keeps_its_promises() {
                "yes"
            } else {
                "no"
            }
        );
        Ok(())
    }

    fn print_pages(&self) {
        let mut table = new_table(&["page", "median ms", "worst ms", "rows", "first view KiB"]);
        for visits in &self.visits {
            let slow = visits.median_ms > MEDIAN_MS_MAX;
            table.add_row([
                visits.name.clone(),
                format!("{:.1}{}", visits.median_ms, if slow { " !" } else { "" }),
                format!("{:.1}", visits.worst_ms),
                visits.rows.to_string(),
                format!("{:.0}", visits.first_view_bytes as f64 / 1_024.0),
            ]);
        }
        println!("{table}");
    }

    fn print_watching(&self) {
        let watching = &self.watching;
        let columns = [
            "answers at a fixed rate",
            "answers",
            "p50 ms",
            "p99 ms",
            "p99 of rounds",
            "max ms",
            "refused",
            "CPU",
        ];
        let mut table = new_table(&columns);
        for (name, rounds) in [
            ("alone", &watching.alone),
            ("watched by five", &watching.watched),
        ] {
            table.add_row(cells(name, rounds));
        }
        println!("{table}");
        println!(
            "{} a second; p99 grows by {:.2}; {} looks, {:.1} ms at the median",
            watching.per_second, watching.p99_ratio, watching.looks, watching.look_median_ms
        );
    }
}

fn cells(name: &str, rounds: &Rounds) -> Vec<String> {
    vec![
        name.to_owned(),
        rounds.answers.to_string(),
        format!("{:.2}", rounds.p50_ms),
        format!("{:.2}", rounds.p99_ms),
        format!("{:.2}", rounds.p99_of_rounds_ms),
        format!("{:.1}", rounds.longest_ms),
        rounds.refused.to_string(),
        format!("{:.2}", rounds.cpu_share),
    ]
}
