//! Compares what a command printed with what the page shows: fields, outcomes and counts are the
//! same; ids, tokens, times and whatever stands behind an ellipsis differ each time.

use serde_json::Value;

/// A run of characters this long that holds a digit is an id, a token or a checksum.
const ID_CHARS_MIN: usize = 16;

/// What differs in a way that matters; none if nothing does.
pub fn difference(expected: &str, printed: &str) -> Option<String> {
    let (expected_lines, expected_json) = parts(expected);
    let (printed_lines, printed_json) = parts(printed);
    for line in expected_lines {
        let line = normal(line.trim());
        let shown = printed_lines
            .iter()
            .any(|printed| matches(&line, &normal(printed.trim())));
        if !line.is_empty() && !shown {
            return Some(format!("expected the line {line:?}"));
        }
    }
    if expected_json.trim().is_empty() {
        return None;
    }
    let expected: Value = match serde_json::from_str(&without_ellipses(expected_json)) {
        Ok(expected) => expected,
        Err(error) => {
            return Some(format!("the page shows no JSON ({error}): {expected_json}"));
        }
    };
    match serde_json::from_str(printed_json) {
        Ok(printed) => in_value("", &expected, &printed),
        Err(error) => Some(format!("expected JSON ({error})")),
    }
}

/// The lines before the JSON, such as headers, and the JSON.
fn parts(text: &str) -> (Vec<&str>, &str) {
    let starts = text.match_indices(['{', '[']).map(|(at, _)| at);
    let mut starts = starts.filter(|at| *at == 0 || text[..*at].ends_with('\n'));
    let at = starts.next().unwrap_or(text.len());
    (text[..at].lines().collect(), &text[at..])
}

/// `{"id": 1, …}` as `{"id": 1}`: an ellipsis outside of texts, with its comma, says "and more".
fn without_ellipses(json: &str) -> String {
    let mut kept = String::new();
    let mut in_text = false;
    let mut escaped = false;
    for c in json.replace("...", "…").chars() {
        match c {
            '…' if !in_text => {
                let end = kept.trim_end().trim_end_matches(',').len();
                kept.truncate(end);
                continue;
            }
            '"' if !escaped => in_text = !in_text,
            _ => {}
        }
        escaped = in_text && c == '\\' && !escaped;
        kept.push(c);
    }
    kept
}

fn in_value(at: &str, expected: &Value, printed: &Value) -> Option<String> {
    let same = match (expected, printed) {
        (Value::Object(expected), Value::Object(printed)) => {
            return expected.iter().find_map(|(name, expected)| {
                let at = format!("{at}/{name}");
                match printed.get(name) {
                    Some(printed) => in_value(&at, expected, printed),
                    None => Some(format!("expected a field {at}")),
                }
            });
        }
        (Value::Array(expected), Value::Array(printed)) if expected.len() <= printed.len() => {
            let mut pairs = expected.iter().zip(printed).enumerate();
            return pairs.find_map(|(index, (expected, printed))| {
                in_value(&format!("{at}/{index}"), expected, printed)
            });
        }
        (Value::String(expected), Value::String(printed)) => {
            matches(&normal(expected), &normal(printed))
        }
        (expected, printed) => expected == printed || (at.ends_with("_ms") && printed.is_number()),
    };
    (!same).then(|| format!("expected {expected} at {at}, not {printed}"))
}

/// Whether a text is as shown, up to the ellipsis if there is one.
fn matches(expected: &str, printed: &str) -> bool {
    let Some((start, _)) = expected.split_once('…') else {
        return expected == printed;
    };
    // What stands right before the ellipsis may be the beginning of an id.
    let before = start.trim_end_matches(|c| c == '*' || is_of_ids(c));
    let rest = printed.strip_prefix(before);
    printed.starts_with(start) || rest.is_some_and(|rest| rest.starts_with('*'))
}

fn is_of_ids(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// Ids, secrets and times as `*`.
fn normal(text: &str) -> String {
    if text.starts_with("whsec_") || is_time(text) {
        return "*".to_owned();
    }
    let mut normal = String::new();
    let mut run = String::new();
    for c in text.chars().chain(['\0']) {
        if is_of_ids(c) {
            run.push(c);
            continue;
        }
        let is_id = run.len() >= ID_CHARS_MIN && run.contains(|c: char| c.is_ascii_digit());
        normal.push_str(if is_id { "*" } else { &run });
        run.clear();
        normal.push(c);
    }
    normal.pop();
    normal
}

/// `2026-11-21T22:17:03.123Z`
fn is_time(text: &str) -> bool {
    text.len() >= 20
        && text.ends_with('Z')
        && text.as_bytes()[4] == b'-'
        && text.as_bytes()[10] == b'T'
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = r#"{"id": "msg_01JD3V0M6Q8ZK4", "outcome": "accepted", "duplicates": 0,
        "url": "http://127.0.0.1:4711/ingest/in_8fj2hd92hf72hf82", "list": [{"attempts": 2}, 1],
        "received_at": "2026-11-21T22:17:03.123Z", "duration_ms": 4, "secret": "whsec_a+b/c=",
        "scope": "source:src_1m804wycc0000"}"#;

    fn agrees(expected: &str) -> bool {
        difference(expected, PRINTED).is_none()
    }

    #[test]
    fn ids_times_and_what_is_left_out_may_differ() {
        for expected in [
            "",
            r#"{"id": "msg_09XYZV0M6Q8ZK4", "outcome": "accepted"}"#,
            r#"{"id": "msg_…", "duplicates": 0, …}"#,
            r#"{"id": "msg_01…", ...}"#,
            r#"{"received_at": "2025-01-01T00:00:00.000Z", "duration_ms": 11}"#,
            r#"{"url": "http://127.0.0.1:4711/ingest/in_…", "secret": "whsec_…"}"#,
            r#"{"list": [{"attempts": 2, …}, …]}"#,
            r#"{"scope": "source:src_…"}"#,
        ] {
            assert!(agrees(expected), "{:?}", difference(expected, PRINTED));
        }
    }

    #[test]
    fn fields_outcomes_and_counts_may_not() {
        for expected in [
            r#"{"outcome": "duplicate"}"#,
            r#"{"effect": "routed"}"#,
            r#"{"duplicates": 1}"#,
            r#"{"id": 7}"#,
            r#"{"url": "http://127.0.0.1:4711/other/in_…"}"#,
            r#"{"list": [{"attempts": 1}]}"#,
            r#"{"list": [{"attempts": 2}, 1, 1]}"#,
            "HTTP/1.1 200 OK",
            "{not JSON",
        ] {
            assert!(!agrees(expected), "{expected}");
        }
    }

    #[test]
    fn lines_before_the_json_are_looked_for() {
        let printed =
            "HTTP/1.1 200 OK\r\nidempotent-replayed: true\r\ndate: today\r\n\r\n{\"a\": 1}";
        let agrees = |expected: &str| difference(expected, printed).is_none();
        assert!(agrees(
            "HTTP/1.1 200 OK\nidempotent-replayed: true\n…\n\n{\"a\": 1}"
        ));
        assert!(!agrees("idempotent-replayed: false\n"));
        assert!(!agrees("HTTP/1.1 201 OK\n"));
    }
}
