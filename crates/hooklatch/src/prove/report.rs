//! What the scenarios have shown, for people and for machines.

use std::collections::BTreeMap;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use serde_json::{Value, json};

use super::run::Played;
use super::verdict::Verdict;

const HEADER: [&str; 7] = [
    "scenario", "sent", "answers", "receipts", "before", "after", "verdict",
];

/// The table, and a line that says what it comes to.
pub(super) fn table(played: &[Played]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(HEADER);
    for one in played {
        table.add_row([
            one.name.clone(),
            one.sent().to_string(),
            counts(&one.answers),
            counts(&one.receipts),
            one.seen.before.to_string(),
            one.seen.after.to_string(),
            verdict(one),
        ]);
    }
    for number in [1, 4, 5] {
        if let Some(column) = table.column_mut(number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{table}\n{}", summary(played))
}

/// The report as JSON. The URL is shown without what may be secret in it.
pub(super) fn json(url: &str, played: &[Played]) -> Value {
    let scenario = |one: &Played| {
        json!({
            "scenario": one.name,
            "key": one.key,
            "webhook_id": one.webhook_id,
            "sent": one.sent(),
            "answers": one.answers,
            "receipts": one.receipts,
            "effects_before": one.seen.before,
            "effects_after": one.seen.after,
            "acknowledged": one.seen.acknowledged,
            "verdict": one.seen.verdict(),
            "passed": one.seen.passes(),
        })
    };
    json!({
        "url": url,
        "scenarios": played.iter().map(scenario).collect::<Vec<_>>(),
        "passed": passed(played),
    })
}

/// Whether the receiver did right in every scenario.
pub(super) fn passed(played: &[Played]) -> bool {
    played.iter().all(|one| one.seen.passes())
}

/// The URL without its query, which may hold a key.
pub(super) fn shown_url(url: &str) -> &str {
    url.split('?').next().unwrap_or_default()
}

fn summary(played: &[Played]) -> String {
    let count = |verdict| {
        let same = played.iter().filter(|one| one.seen.verdict() == verdict);
        same.count()
    };
    let (once, twice, lost) = (
        count(Verdict::Once),
        count(Verdict::Twice),
        count(Verdict::Lost),
    );
    let mut text = format!(
        "{} scenarios: once {once}, twice {twice}, lost {lost}",
        played.len()
    );
    let silent = played.iter().filter(|one| !one.seen.acknowledged).count();
    if silent > 0 {
        text.push_str(&format!(", never acknowledged {silent}"));
    }
    text
}

fn verdict(one: &Played) -> String {
    let verdict = one.seen.verdict().as_str();
    match one.seen.acknowledged {
        true => verdict.to_owned(),
        false => format!("{verdict}, never acknowledged"),
    }
}

fn counts(counts: &BTreeMap<String, usize>) -> String {
    let written = counts.iter().map(|(label, count)| match count {
        1 => label.clone(),
        several => format!("{several} × {label}"),
    });
    written.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::verdict::Seen;
    use super::*;

    fn played(name: &str, answers: &[(&str, usize)], after: u64, acknowledged: bool) -> Played {
        let counted = |(label, count): &(&str, usize)| ((*label).to_owned(), *count);
        Played {
            name: name.to_owned(),
            key: "prove_1".to_owned(),
            webhook_id: "msg_1".to_owned(),
            answers: answers.iter().map(counted).collect(),
            receipts: BTreeMap::from([("processed".to_owned(), 1)]),
            seen: Seen {
                before: 0,
                after,
                acknowledged,
            },
        }
    }

    #[test]
    fn the_table_says_what_was_sent_and_what_came_of_it() {
        let all = [
            played("twice in a row", &[("200", 2)], 1, true),
            played("16 at once", &[("200", 16), ("503", 3)], 4, true),
            played("killed at 50 %", &[("broken off", 1), ("500", 9)], 0, false),
        ];
        insta::assert_snapshot!(table(&all), @r"
        ┌────────────────┬──────┬─────────────────────┬───────────┬────────┬───────┬──────────────────────────┐
        │ scenario       ┆ sent ┆ answers             ┆ receipts  ┆ before ┆ after ┆ verdict                  │
        ╞════════════════╪══════╪═════════════════════╪═══════════╪════════╪═══════╪══════════════════════════╡
        │ twice in a row ┆    2 ┆ 2 × 200             ┆ processed ┆      0 ┆     1 ┆ once                     │
        │ 16 at once     ┆   19 ┆ 16 × 200, 3 × 503   ┆ processed ┆      0 ┆     4 ┆ twice                    │
        │ killed at 50 % ┆   10 ┆ 9 × 500, broken off ┆ processed ┆      0 ┆     0 ┆ lost, never acknowledged │
        └────────────────┴──────┴─────────────────────┴───────────┴────────┴───────┴──────────────────────────┘
        3 scenarios: once 1, twice 1, lost 1, never acknowledged 1
        ");
        assert!(!passed(&all) && passed(&all[..1]));
    }

    #[test]
    fn a_machine_reads_the_same_and_no_secret_of_the_url() {
        let url = shown_url("http://shop/hooks?token=s3same");
        let report = json(url, &[played("once", &[("204", 1)], 1, true)]);
        insta::assert_json_snapshot!(report, @r#"
        {
          "url": "http://shop/hooks",
          "scenarios": [
            {
              "scenario": "once",
              "key": "prove_1",
              "webhook_id": "msg_1",
              "sent": 1,
              "answers": {
                "204": 1
              },
              "receipts": {
                "processed": 1
              },
              "effects_before": 0,
              "effects_after": 1,
              "acknowledged": true,
              "verdict": "once",
              "passed": true
            }
          ],
          "passed": true
        }
        "#);
    }
}
