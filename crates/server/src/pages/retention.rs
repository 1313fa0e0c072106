//! How long a project's past is kept, as Settings shows and changes it.

use hooklatch_core::config::Scope;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::fields::{Field, Filled};
use super::form::Form;
use super::session::Viewer;
use super::ui;

const PAYLOAD_DAYS: Field<'_> = Field {
    name: "payload_days",
    label: "Payloads, in days",
    hint: "Empty: for as long as the gateway's own settings say.",
    pointer: "/payload_days",
};
const HISTORY_DAYS: Field<'_> = Field {
    name: "history_days",
    label: "History, in days",
    hint: "Messages, requests and attempts. A key is remembered until its window ends, whatever stands here.",
    pointer: "/history_days",
};
const PAYLOAD_BYTES: Field<'_> = Field {
    name: "payload_bytes_max",
    label: "All payloads together, in bytes",
    hint: "50000000000 are 50 GB. Beyond that the oldest go first.",
    pointer: "/payload_bytes_max",
};
const FIELDS: [Field<'_>; 3] = [PAYLOAD_DAYS, HISTORY_DAYS, PAYLOAD_BYTES];

/// How long a project's past is kept.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Retention {
    payload_days: Option<u32>,
    history_days: Option<u32>,
    payload_bytes_max: Option<u64>,
}

impl Retention {
    fn form(&self) -> Form {
        let text = |number: Option<u64>| number.map(|it| it.to_string()).unwrap_or_default();
        Form::of([
            ("payload_days", text(self.payload_days.map(u64::from))),
            ("history_days", text(self.history_days.map(u64::from))),
            ("payload_bytes_max", text(self.payload_bytes_max)),
        ])
    }

    /// For how long payloads are kept, in words.
    pub fn payloads(&self) -> String {
        let days = days(self.payload_days);
        match self.payload_bytes_max {
            Some(most) => format!("{days}, at most {}", ui::bytes(most)),
            None => days,
        }
    }

    /// For how long everything else is kept, in words.
    pub fn history(&self) -> String {
        days(self.history_days)
    }
}

fn days(days: Option<u32>) -> String {
    days.map_or_else(
        || "no limit of its own".to_owned(),
        |days| format!("{days} d"),
    )
}

/// The section of the viewer's own project; `submitted` is a form that was refused.
pub(super) async fn section(viewer: &Viewer, submitted: Option<&Filled<'_>>) -> Markup {
    let retention: Retention = viewer.find("/v1/retention").await.unwrap_or_default();
    let stored = retention.form();
    let fresh = Filled {
        form: &stored,
        refusal: None,
    };
    let filled = submitted.unwrap_or(&fresh);
    html! {
        h2 #retention { "How long the past of “" (viewer.project_name) "” is kept" }
        @if viewer.may(Scope::Manage) {
            form.edit method="post" action="/settings/retention"
                data-confirm="What is older goes, and does not come back. Go on?" {
                (viewer.token())
                @for field in FIELDS { (filled.line(field, "number", "")) }
                button.primary type="submit" { "Keep it so long" }
            }
        } @else {
            (ui::facts(&[
                ("Payloads", html! { (retention.payloads()) }),
                ("History", html! { (retention.history()) }),
            ]))
        }
    }
}

/// What the form asks the API for. What is no number goes as it is, and is refused there.
pub(super) fn input(form: &Form) -> Value {
    let mut input = serde_json::Map::new();
    for field in FIELDS {
        let value = match form.text(field.name) {
            None => Value::Null,
            Some(text) => text
                .trim()
                .parse::<u64>()
                .map_or_else(|_| json!(text), |it| json!(it)),
        };
        input.insert(field.name.to_owned(), value);
    }
    Value::Object(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_field_is_no_limit_and_what_is_no_number_is_left_to_the_api() {
        let form = Form::of([
            ("payload_days", "30".into()),
            ("payload_bytes_max", "much".into()),
        ]);
        let expected =
            json!({"payload_days": 30, "history_days": null, "payload_bytes_max": "much"});
        assert_eq!(input(&form), expected);
    }
}
