//! One line of the log, for people.

use std::fmt::Write as _;

use serde_json::Value;

use crate::terminal::{Colours, Tint, clipped, plain};

/// Characters of a reason or an error.
const WHY_CHARS_MAX: usize = 100;
/// Characters of a name, a key or an event's type.
const NAME_CHARS_MAX: usize = 40;

/// The line of an event. `of` is the name of its source or endpoint.
pub(super) fn line(kind: &str, record: &Value, of: &str, colours: Colours) -> String {
    let (at, word, rest) = match kind {
        "request" => request(record),
        "attempt" => attempt(record),
        "delivery" => delivery(record),
        // What a newer gateway logs is shown as it is.
        _ => return format!("{} {}", plain(kind), plain(&record.to_string())),
    };
    let time = colours.paint(Tint::Quiet, &clock_time(&at));
    let painted = colours.paint(tint(&word), &format!("{word:<10}"));
    let of = clipped(of, NAME_CHARS_MAX);
    let line = format!("{time}  {kind:<8}  {painted}  {of:<16}  {rest}");
    line.trim_end().to_owned()
}

fn request(record: &Value) -> (String, String, String) {
    let mut rest = format!(
        "{:<24}",
        clipped(text(record, "event_type"), NAME_CHARS_MAX)
    );
    let message = text(record, "message_id");
    let id = if message.is_empty() {
        text(record, "id")
    } else {
        message
    };
    add(&mut rest, "", id);
    add(
        &mut rest,
        "key ",
        &clipped(text(record, "key"), NAME_CHARS_MAX),
    );
    add(&mut rest, "", text(record, "cause"));
    if record["payload_differs"] == true {
        rest.push_str("  another payload");
    }
    add(
        &mut rest,
        "",
        &clipped(text(record, "reason"), WHY_CHARS_MAX),
    );
    parts(record, "received_at", "outcome", rest)
}

fn attempt(record: &Value) -> (String, String, String) {
    let status = record["status_code"].as_u64();
    let status = status.map_or("-".to_owned(), |status| status.to_string());
    let number = record["number"].as_u64().unwrap_or_default();
    let took = record["duration_ms"].as_u64().unwrap_or_default();
    let trigger = text(record, "trigger");
    let mut rest = format!("{status:<24}");
    add(&mut rest, "", text(record, "message_id"));
    write!(rest, "  #{number} {trigger}  {took} ms").expect("a text takes everything");
    add(
        &mut rest,
        "",
        &clipped(text(record, "error"), WHY_CHARS_MAX),
    );
    parts(record, "started_at", "outcome", rest)
}

fn delivery(record: &Value) -> (String, String, String) {
    let attempts = record["attempts"].as_u64().unwrap_or_default();
    let mut rest = format!("{:<24}", format!("{attempts} attempts"));
    add(&mut rest, "", text(record, "message_id"));
    add(&mut rest, "next at ", text(record, "next_attempt_at"));
    add(&mut rest, "", text(record, "reason"));
    // While it waits the record has no time of its own: it follows its attempt.
    parts(record, "ended_at", "status", rest)
}

fn parts(record: &Value, at: &str, word: &str, rest: String) -> (String, String, String) {
    let word = plain(text(record, word)).into_owned();
    (text(record, at).to_owned(), word, plain(&rest).into_owned())
}

fn text<'a>(record: &'a Value, field: &str) -> &'a str {
    record[field].as_str().unwrap_or_default()
}

fn add(line: &mut String, label: &str, value: &str) {
    if !value.is_empty() {
        write!(line, "  {label}{value}").expect("a text takes everything");
    }
}

fn tint(word: &str) -> Tint {
    match word {
        "accepted" | "delivered" => Tint::Good,
        "duplicate" | "uncertain" | "held" | "cancelled" => Tint::Doubtful,
        "conflict" | "rejected" | "failed" => Tint::Bad,
        _ => Tint::Plain,
    }
}

/// The time of the day, in UTC.
fn clock_time(at: &str) -> String {
    let time = at.split('T').nth(1).unwrap_or_default();
    format!("{:<12}", clipped(time.trim_end_matches('Z'), 12))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_kind_says_what_matters_on_one_line() {
        let request = json!({
            "id": "req_1", "received_at": "2026-11-22T08:00:01.250Z", "outcome": "duplicate",
            "event_type": "order.paid", "message_id": "msg_1", "key": "evt_1",
            "cause": "provider_retry", "payload_differs": false, "reason": null,
        });
        let shown = line("request", &request, "stripe", Colours::Hidden);
        assert_eq!(
            shown.split_whitespace().collect::<Vec<_>>().join(" "),
            "08:00:01.250 request duplicate stripe order.paid msg_1 key evt_1 provider_retry"
        );
        let attempt = json!({
            "started_at": "2026-11-22T08:00:02Z", "outcome": "failed", "status_code": 503,
            "message_id": "msg_1", "number": 2, "trigger": "retry", "duration_ms": 12,
            "error": "the endpoint\nanswered 503",
        });
        let shown = line("attempt", &attempt, "shop", Colours::Hidden);
        assert!(!shown.contains('\n'), "{shown}");
        assert!(shown.contains("#2 retry  12 ms"), "{shown}");
        let delivery = json!({"status": "pending", "attempts": 1, "message_id": "msg_1"});
        let shown = line("delivery", &delivery, "shop", Colours::Hidden);
        assert!(
            shown.contains("pending") && shown.contains("1 attempts"),
            "{shown}"
        );
    }

    #[test]
    fn the_outcome_is_coloured_and_nothing_else_is_lost() {
        let record = json!({"outcome": "rejected", "reason": "verification failed"});
        let shown = line("request", &record, "shop", Colours::Shown);
        assert!(shown.contains("\u{1b}[31mrejected"), "{shown}");
        assert!(shown.ends_with("verification failed"), "{shown}");
    }

    #[test]
    fn a_kind_that_is_not_known_is_shown_as_it_is() {
        let shown = line("pruned", &json!({"many": 1}), "", Colours::Hidden);
        assert_eq!(shown, "pruned {\"many\":1}");
    }
}
