//! What the figures over a shared database should be.

use serde::Serialize;

use crate::database::PerMessage;
use crate::scenario::{Arrivals, Scenario};
use crate::shared::pace::Pace;
use crate::shared::report::Row;

/// Five times what Svix, a comparable server, was measured to accept a second (1,650) on two cores
/// with the load generator beside it, PostgreSQL 15 and Redis 7.
const ACCEPTED_MIN: f64 = 8_250.0;
/// Five times what it delivered (886).
const DELIVERED_MIN: f64 = 4_430.0;
/// Processor time of gateway and database for a message that was accepted and delivered.
const CPU_MS_MAX: f64 = 0.45;
/// Commits a message, under load.
const COMMITS_MAX: f64 = 0.2;
/// A row with fewer connections is no load.
const LOAD_CONNECTIONS_MIN: u16 = 32;

/// On which side of its target a figure should lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Bound {
    /// More is better.
    AtLeast,
    /// Less is better.
    AtMost,
}

impl Bound {
    fn holds(self, measured: f64, target: f64) -> bool {
        match self {
            Self::AtLeast => measured >= target,
            Self::AtMost => measured <= target,
        }
    }

    /// A target as people read it.
    pub(super) fn said(self, target: String) -> String {
        match self {
            Self::AtLeast => format!("≥ {target}"),
            Self::AtMost => format!("≤ {target}"),
        }
    }
}

/// A figure beside what it should be.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Verdict {
    /// Of which scenario, and which figure.
    pub what: String,
    /// The nodes.
    pub nodes: usize,
    /// The connections.
    pub connections: u16,
    /// The figure.
    pub measured: f64,
    /// On which side it should lie.
    pub bound: Bound,
    /// Of what, on the machine on which the peer was measured.
    pub target: f64,
    /// Whether it does.
    pub met: bool,
    /// Of what, on this machine.
    pub target_here: f64,
    /// Whether it does.
    pub met_here: bool,
}

/// Everything for which there is a target.
pub(super) fn verdicts(rows: &[Row], pace: &Pace) -> Vec<Verdict> {
    // An event of the claim API is two requests, each of which waits for its own commit: the targets
    // are of messages.
    let loaded =
        |row: &&Row| row.connections >= LOAD_CONNECTIONS_MIN && row.scenario != Scenario::Claim;
    let rows = rows.iter().filter(loaded);
    rows.flat_map(|row| verdicts_on(row, pace.share()))
        .collect()
}

fn verdicts_on(row: &Row, share: f64) -> Vec<Verdict> {
    let verdict =
        |what: &str, measured: f64, bound: Bound, target: f64, target_here: f64| Verdict {
            what: format!("{}: {what}", row.scenario.name()),
            nodes: row.nodes,
            connections: row.connections,
            measured,
            bound,
            target,
            met: bound.holds(measured, target),
            target_here,
            met_here: bound.holds(measured, target_here),
        };
    let rate =
        |what, measured, target| verdict(what, measured, Bound::AtLeast, target, target * share);
    let figures = &row.figures;
    let mut verdicts = Vec::new();
    if row.scenario.arrivals() == Arrivals::Unique {
        verdicts.push(rate("accepted/s", figures.per_second, ACCEPTED_MIN));
    }
    if let Some(deliveries) = &figures.deliveries {
        let delivered = deliveries.end_to_end_per_second;
        verdicts.push(rate("delivered/s", delivered, DELIVERED_MIN));
        let cpu_ms = figures.database.as_ref().and_then(PerMessage::cpu_ms);
        let here = CPU_MS_MAX / share;
        let what = "CPU-ms a message";
        verdicts.extend(cpu_ms.map(|it| verdict(what, it, Bound::AtMost, CPU_MS_MAX, here)));
    }
    if let Some(database) = &figures.database {
        let commits = database.commits;
        let what = "commits a message";
        verdicts.push(verdict(
            what,
            commits,
            Bound::AtMost,
            COMMITS_MAX,
            COMMITS_MAX,
        ));
    }
    verdicts
}
