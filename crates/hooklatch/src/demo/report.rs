//! The table at the end: what was sent, what the gateway made of it, and what came of it.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};

use hooklatch_client::{Cause, Trigger};

use super::book::Tally;
use super::counts::Counts;

/// The table.
pub(crate) fn table(tally: &Tally, counts: &Counts) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["", "count", ""]);
    for (label, count, note) in rows(tally, counts) {
        table.add_row([label, count.to_string(), note.to_owned()]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// The last line, for people in a hurry and for scripts.
pub(crate) fn verdict(tally: &Tally) -> String {
    let (events, lost, twice) = (tally.events, tally.lost, tally.twice);
    format!("{events} business events: lost {lost}, twice {twice}")
}

fn rows(tally: &Tally, counts: &Counts) -> Vec<(String, u64, &'static str)> {
    let row = |label: &str, count, note| (label.to_owned(), count, note);
    let mut rows = vec![
        row("business events", tally.events, "each should happen once"),
        row(
            "calls made",
            tally.calls,
            "some met a gateway that was down",
        ),
        row("arrivals", counts.arrivals, "as the gateway logged them"),
        row("  accepted", counts.accepted, "became a message"),
        row(
            "  duplicates",
            counts.duplicates.values().sum(),
            "recognised, by cause:",
        ),
    ];
    for (cause, count) in &counts.duplicates {
        rows.push((format!("    {cause}"), *count, why_it_came(*cause)));
    }
    rows.push(row(
        "  conflicts",
        counts.conflicts,
        "a used key, another payload: 409",
    ));
    if counts.rejected > 0 {
        rows.push(row("  rejected", counts.rejected, ""));
    }
    let attempts = counts.attempts.values().sum();
    rows.push(row("attempts", attempts, "to deliver, by trigger:"));
    for (trigger, count) in &counts.attempts {
        rows.push((format!("    {trigger}"), *count, why_it_was_made(*trigger)));
    }
    rows.extend([
        row("effects", tally.effects, "work that the shop did"),
        row(
            "repeats skipped",
            tally.skipped,
            "the shop knew their webhook-id",
        ),
        row("second webhook-ids", tally.other_ids, "must be 0"),
        row("bad signatures", tally.unverified, "must be 0"),
        row("lost", tally.lost, "must be 0"),
        row("twice", tally.twice, "must be 0"),
    ]);
    rows
}

const fn why_it_came(cause: Cause) -> &'static str {
    match cause {
        Cause::Concurrent => "before the first had been answered",
        Cause::ProducerRetry => "the shop's program said it again",
        Cause::ProviderRetry => "by the provider's own schedule",
        Cause::ProviderResend => "a person had it sent again",
        Cause::SecondRoute => "through another source",
        Cause::Unknown => "the provider does not say why",
        Cause::Other => "",
    }
}

const fn why_it_was_made(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::First => "",
        Trigger::Retry => "the one before failed",
        Trigger::Manual => "a person asked for it",
        Trigger::Replay => "a replay asked for it",
        Trigger::Redrive => "a duplicate of a failed one asked for it",
        Trigger::Recovery => "the one before ended with the process",
        Trigger::Failover => "it went over to the failover endpoint",
        Trigger::Other => "",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_table_tells_causes_and_triggers() {
        let tally = Tally {
            events: 3,
            calls: 9,
            effects: 3,
            skipped: 1,
            ..Tally::default()
        };
        let counts = Counts {
            arrivals: 8,
            accepted: 3,
            duplicates: BTreeMap::from([(Cause::Concurrent, 3), (Cause::Unknown, 1)]),
            conflicts: 1,
            rejected: 0,
            attempts: BTreeMap::from([(Trigger::First, 3), (Trigger::Recovery, 2)]),
        };
        insta::assert_snapshot!(table(&tally, &counts), @r"
        ┌────────────────────┬───────┬───────────────────────────────────────┐
        │                    ┆ count ┆                                       │
        ╞════════════════════╪═══════╪═══════════════════════════════════════╡
        │ business events    ┆     3 ┆ each should happen once               │
        │ calls made         ┆     9 ┆ some met a gateway that was down      │
        │ arrivals           ┆     8 ┆ as the gateway logged them            │
        │   accepted         ┆     3 ┆ became a message                      │
        │   duplicates       ┆     4 ┆ recognised, by cause:                 │
        │     concurrent     ┆     3 ┆ before the first had been answered    │
        │     unknown        ┆     1 ┆ the provider does not say why         │
        │   conflicts        ┆     1 ┆ a used key, another payload: 409      │
        │ attempts           ┆     5 ┆ to deliver, by trigger:               │
        │     first          ┆     3 ┆                                       │
        │     recovery       ┆     2 ┆ the one before ended with the process │
        │ effects            ┆     3 ┆ work that the shop did                │
        │ repeats skipped    ┆     1 ┆ the shop knew their webhook-id        │
        │ second webhook-ids ┆     0 ┆ must be 0                             │
        │ bad signatures     ┆     0 ┆ must be 0                             │
        │ lost               ┆     0 ┆ must be 0                             │
        │ twice              ┆     0 ┆ must be 0                             │
        └────────────────────┴───────┴───────────────────────────────────────┘
        ");
        assert_eq!(verdict(&tally), "3 business events: lost 0, twice 0");
    }
}
