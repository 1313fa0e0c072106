//! A plan as a form, and the form as the API's input.

use maud::{Markup, html};
use serde_json::{Map, Value, json};

use crate::pages::fields::{Field, Filled, plain};
use crate::pages::filters::OPTIONS_MAX;
use crate::pages::form::Form;
use crate::pages::names::Names;

const SOURCE: Field<'_> = Field {
    name: "source_id",
    label: "Through the source",
    hint: "",
    pointer: "/filter/source_id",
};
const ENDPOINT: Field<'_> = Field {
    name: "endpoint_id",
    label: "To the endpoint",
    hint: "",
    pointer: "/filter/endpoint_id",
};
const STATUS: Field<'_> = Field {
    name: "status",
    label: "With the status",
    hint: "",
    pointer: "/filter/status",
};
const TYPE: Field<'_> = Field {
    name: "event_type",
    label: "Event type",
    hint: "",
    pointer: "/filter/event_type",
};
const KEY: Field<'_> = Field {
    name: "key",
    label: "Key",
    hint: "As the provider writes it.",
    pointer: "/filter/key",
};
const AFTER: Field<'_> = Field {
    name: "after",
    label: "Received after (UTC)",
    hint: "",
    pointer: "/filter/after",
};
const BEFORE: Field<'_> = Field {
    name: "before",
    label: "Received before (UTC)",
    hint: "",
    pointer: "/filter/before",
};
const DELIVERED: Field<'_> = Field {
    name: "include_delivered",
    label: "Also what was delivered",
    hint: "Receivers with idempotency skip it: it keeps its webhook-id.",
    pointer: "/include_delivered",
};
const TO: Field<'_> = Field {
    name: "to_endpoint",
    label: "Send elsewhere",
    hint: "To staging, for example. The originals stay as they are.",
    pointer: "/to_endpoint",
};
const AS_NEW: Field<'_> = Field {
    name: "as_new",
    label: "As new messages",
    hint: "With new ids, so that receivers do their work again.",
    pointer: "/as_new",
};
const CONFIRM: Field<'_> = Field {
    name: "confirm",
    label: "I mean it",
    hint: "Needed for new messages, and from one environment to another.",
    pointer: "/confirm",
};
const RATE: Field<'_> = Field {
    name: "rate_per_second",
    label: "At most so many a second",
    hint: "Live traffic goes first.",
    pointer: "/rate_per_second",
};
const REASON: Field<'_> = Field {
    name: "reason",
    label: "Reason",
    hint: "Kept in the audit log.",
    pointer: "/reason",
};

const STATUSES: [&str; 6] = [
    "failed",
    "held",
    "cancelled",
    "pending",
    "delivered",
    "no_route",
];

/// The fields of a plan.
pub(super) fn fields(filled: &Filled<'_>, names: &Names<'_>) -> Markup {
    let any = |options: Vec<(String, String)>| {
        let any = (String::new(), "any".to_owned());
        std::iter::once(any).chain(options).collect::<Vec<_>>()
    };
    let endpoints = names.endpoint_options(OPTIONS_MAX);
    let elsewhere: Vec<_> =
        std::iter::once((String::new(), "no: where each went before".to_owned()))
            .chain(endpoints.clone())
            .collect();
    html! {
        fieldset {
            legend { "Which" }
            (filled.choice(SOURCE, &any(names.source_options(OPTIONS_MAX))))
            (filled.choice(ENDPOINT, &any(endpoints)))
            (filled.choice(STATUS, &any(plain(&STATUSES))))
            (filled.line(TYPE, "text", "order.paid"))
            (filled.line(KEY, "text", "evt_1"))
            (filled.line(AFTER, "text", "2026-01-31T08:00:00Z"))
            (filled.line(BEFORE, "text", "2026-01-31T09:00:00Z"))
            (filled.tick(DELIVERED))
        }
        fieldset {
            legend { "How" }
            (filled.line(RATE, "number", ""))
            (filled.choice(TO, &elsewhere))
            (filled.tick(AS_NEW))
            (filled.tick(CONFIRM))
            (filled.line(REASON, "text", ""))
        }
    }
}

/// What the form asks the API for.
pub(super) fn input(form: &Form) -> Value {
    let mut filter = Map::new();
    for name in [
        "source_id",
        "endpoint_id",
        "status",
        "event_type",
        "key",
        "after",
        "before",
    ] {
        if let Some(text) = form.text(name) {
            filter.insert(name.to_owned(), json!(text));
        }
    }
    let mut input = Map::new();
    input.insert("filter".to_owned(), Value::Object(filter));
    for name in ["include_delivered", "as_new", "confirm"] {
        input.insert(name.to_owned(), json!(form.is_on(name)));
    }
    for name in ["to_endpoint", "reason"] {
        if let Some(text) = form.text(name) {
            input.insert(name.to_owned(), json!(text));
        }
    }
    if let Some(text) = form.text("rate_per_second") {
        let rate = text
            .parse::<u32>()
            .map_or_else(|_| json!(text), |rate| json!(rate));
        input.insert("rate_per_second".to_owned(), rate);
    }
    Value::Object(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_asks_for_what_the_form_says_and_no_more() {
        let form = Form::of([
            ("status", "failed".into()),
            ("rate_per_second", "5".into()),
            ("confirm", "on".into()),
        ]);
        let expected = json!({
            "filter": {"status": "failed"},
            "include_delivered": false, "as_new": false, "confirm": true,
            "rate_per_second": 5,
        });
        assert_eq!(input(&form), expected);
    }
}
