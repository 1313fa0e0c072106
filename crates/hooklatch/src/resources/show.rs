//! Answers for people: lists as tables, records with a field a line. Lines are never broken, so that
//! an id, a URL or a secret can be copied whole.

use std::fmt;
use std::fmt::Write as _;

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::json_text::{compact, pretty};
use super::table::Column;
use crate::terminal::{clipped, plain};

/// Characters of a cell; ids and times are shorter.
const CELL_CHARS_MAX: usize = 48;
/// A value of this many characters still fits on one line.
const LINE_CHARS_MAX: usize = 80;

/// A table in the making.
pub(super) struct List {
    columns: &'static [Column],
    table: Table,
    rows: usize,
}

impl List {
    pub(super) fn new(columns: &'static [Column]) -> Self {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header(columns.iter().map(|(heading, _)| *heading));
        Self {
            columns,
            table,
            rows: 0,
        }
    }

    pub(super) fn add(&mut self, item: &Value) {
        let cells = self.columns.iter().map(|(_, path)| cell(item, path));
        self.table.add_row(cells);
        self.rows += 1;
    }

    pub(super) fn text(&self) -> String {
        if self.rows == 0 {
            return "there are none".to_owned();
        }
        self.table.to_string()
    }
}

fn cell(item: &Value, path: &str) -> String {
    let value = path
        .split('.')
        .try_fold(item, |value, member| value.get(member));
    let text = match value {
        None | Some(Value::Null) => return String::new(),
        Some(Value::Bool(yes)) => if *yes { "yes" } else { "no" }.to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => all_texts(items).unwrap_or_else(|| items.len().to_string()),
        Some(other) => other.to_string(),
    };
    clipped(&text, CELL_CHARS_MAX)
}

/// Texts of a few words are shown; of what is longer, and of everything else, how many.
fn all_texts(items: &[Value]) -> Option<String> {
    let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
    let text = texts?.join(", ");
    (!text.is_empty() && text.chars().count() <= CELL_CHARS_MAX).then_some(text)
}

/// A record, a field a line, in the order in which it was answered.
pub(super) fn record(answer: &RawValue) -> String {
    let Ok(Fields(fields)) = serde_json::from_str(answer.get()) else {
        return plain(answer.get()).into_owned();
    };
    let widest = fields.iter().map(|(name, _)| name.chars().count()).max();
    let width = widest.unwrap_or(0).min(28);
    let mut text = String::new();
    for (name, value) in &fields {
        let shown = shown(value.get(), width + 2);
        let name = plain(name);
        writeln!(text, "{name:<width$}  {shown}").expect("a text takes everything");
    }
    text.truncate(text.trim_end().len());
    text
}

fn shown(json: &str, margin: usize) -> String {
    match json.as_bytes().first() {
        Some(b'"') => {
            let text: String = serde_json::from_str(json).unwrap_or_default();
            plain(&text).into_owned()
        }
        Some(b'n') => "-".to_owned(),
        Some(b'{' | b'[') => {
            let line = compact(json);
            if line.chars().count() <= LINE_CHARS_MAX {
                return plain(&line).into_owned();
            }
            let lines = pretty(json, margin);
            let lines: Vec<_> = lines.split('\n').map(plain).collect();
            lines.join("\n")
        }
        Some(_) | None => json.to_owned(),
    }
}

/// The fields of an object, in their order.
struct Fields(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cell_says_it_in_a_word() {
        let item = json!({
            "name": "a\u{1b}b", "key": {"locations": ["body:$.id"]}, "rules": [{}, {}],
            "paused": false, "none": null, "count": 3, "long": "x".repeat(100), "empty": [],
        });
        let cells = [
            "name",
            "key.locations",
            "rules",
            "paused",
            "none",
            "count",
            "no.such",
            "empty",
        ]
        .map(|path| cell(&item, path));
        assert_eq!(
            cells,
            ["a\\u{1b}b", "body:$.id", "2", "no", "", "3", "", "0"]
        );
        assert_eq!(cell(&item, "long").chars().count(), CELL_CHARS_MAX);
    }

    #[test]
    fn a_record_keeps_its_order_and_its_digits() {
        let answer =
            r#"{"id":"msg_1","n":1.0,"none":null,"list":["a"],"z":{"a": 12345678901234567890123}}"#;
        let answer = RawValue::from_string(answer.to_owned()).unwrap();
        let expected = "id    msg_1\nn     1.0\nnone  -\nlist  [\"a\"]\n\
                        z     {\"a\":12345678901234567890123}";
        assert_eq!(record(&answer), expected);
    }

    #[test]
    fn what_is_long_is_set_out_over_lines() {
        let items = ["\"0123456789\""; 12].join(",");
        let answer = RawValue::from_string(format!("{{\"list\":[{items}]}}")).unwrap();
        let shown = record(&answer);
        assert_eq!(shown.lines().count(), 14, "{shown}");
        assert!(
            shown.starts_with("list  [\n        \"0123456789\",\n"),
            "{shown}"
        );
    }

    #[test]
    fn an_empty_list_says_so() {
        assert_eq!(List::new(&[("id", "id")]).text(), "there are none");
    }
}
