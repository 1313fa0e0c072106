//! A source as a form, and the form as the API's input.

use hooklatch_core::provider::presets;
use maud::{Markup, html};
use serde_json::{Map, Value, json};

use crate::pages::fields::{Field, Filled, plain};
use crate::pages::form::Form;
use crate::pages::wire::Source;

const NAME: Field<'_> = Field {
    name: "name",
    label: "Name",
    hint: "For people. It is not a part of any key.",
    pointer: "/name",
};
const PROVIDER: Field<'_> = Field {
    name: "provider",
    label: "Provider",
    hint: "Its preset knows the key, the signature and how long it tries again.",
    pointer: "/provider",
};
const SECRET: Field<'_> = Field {
    name: "secret",
    label: "Secret",
    hint: "What the provider signs with, from its own pages. Kept sealed; empty leaves it as it is.",
    pointer: "/verifier",
};
const LOCATIONS: Field<'_> = Field {
    name: "locations",
    label: "Where the key is",
    hint: "One a line: header:NAME, body:PATH, query:NAME. Empty takes the provider's.",
    pointer: "/key",
};
const MODE: Field<'_> = Field {
    name: "mode",
    label: "Of several places",
    hint: "All together make the key, or the first that has a value.",
    pointer: "/key/mode",
};
const MISSING: Field<'_> = Field {
    name: "missing_key",
    label: "Where there is no key",
    hint: "Accept unkeyed, take the whole body as the key, or refuse with 422.",
    pointer: "/key/missing_key",
};
const BIND: Field<'_> = Field {
    name: "bind_body",
    label: "Bind the body",
    hint: "The body's fingerprint becomes a part of the key.",
    pointer: "/key/bind_body",
};
const WINDOW: Field<'_> = Field {
    name: "window_seconds",
    label: "Window in seconds",
    hint: "How long a key is remembered; or “forever”. Empty takes the provider's.",
    pointer: "/window_seconds",
};
const CONFLICT: Field<'_> = Field {
    name: "on_conflict",
    label: "Same key, other payload",
    hint: "Suppress and flag it, accept it as new, refuse it, or hold it for a person.",
    pointer: "/on_conflict",
};
const EVENT_TYPE: Field<'_> = Field {
    name: "event_type",
    label: "Where the event type is",
    hint: "Such as body:$.type. Empty takes the provider's.",
    pointer: "/event_type",
};
const HEADER: Field<'_> = Field {
    name: "header",
    label: "Signature header",
    hint: "Without a preset: the header with an HMAC of the body. Empty lets everything in.",
    pointer: "/verifier/header",
};
const ALGORITHM: Field<'_> = Field {
    name: "algorithm",
    label: "Hash",
    hint: "",
    pointer: "/verifier/algorithm",
};
const ENCODING: Field<'_> = Field {
    name: "encoding",
    label: "Written in",
    hint: "",
    pointer: "/verifier/encoding",
};
const PREFIX: Field<'_> = Field {
    name: "prefix",
    label: "After the prefix",
    hint: "Such as sha256=",
    pointer: "/verifier/prefix",
};

/// The fields of a source.
pub(in crate::pages) fn fields(filled: &Filled<'_>) -> Markup {
    html! {
        (filled.line(NAME, "text", "stripe"))
        (filled.choice(PROVIDER, &provider_options()))
        (filled.line(SECRET, "password", ""))
        fieldset {
            legend { "Key" }
            (filled.lines(LOCATIONS, 3, "body:$.id"))
            (filled.choice(MODE, &plain(&["all", "first"])))
            (filled.choice(MISSING, &plain(&["accept", "content", "reject"])))
            (filled.tick(BIND))
            (filled.line(WINDOW, "text", "604800"))
            (filled.choice(CONFLICT, &plain(&["suppress", "accept", "reject", "quarantine"])))
        }
        details {
            summary { "Without a preset" }
            (filled.line(EVENT_TYPE, "text", "body:$.type"))
            (filled.line(HEADER, "text", "x-signature"))
            (filled.choice(ALGORITHM, &plain(&["sha256", "sha1", "sha512"])))
            (filled.choice(ENCODING, &plain(&["hex", "base64"])))
            (filled.line(PREFIX, "text", ""))
        }
    }
}

/// The providers as options, after none.
pub(in crate::pages) fn provider_options() -> Vec<(String, String)> {
    let none = (String::new(), "none: my own sender".to_owned());
    let known = presets()
        .iter()
        .map(|preset| (preset.id.to_owned(), preset.display_name.to_owned()));
    std::iter::once(none).chain(known).collect()
}

/// The form of a source as it is.
pub(super) fn filled_from(source: &Source) -> Form {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let key = &source.key;
    let locations = key["locations"].as_array().into_iter().flatten();
    let locations: Vec<&str> = locations.filter_map(Value::as_str).collect();
    let window = match &source.window_seconds {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut fields = vec![
        ("name", source.name.clone()),
        ("provider", source.provider.clone().unwrap_or_default()),
        ("locations", locations.join("\n")),
        ("mode", text(&key["mode"])),
        ("missing_key", text(&key["missing_key"])),
        ("window_seconds", window),
        ("on_conflict", source.on_conflict.clone()),
        ("event_type", source.event_type.clone().unwrap_or_default()),
        ("header", text(&source.verifier["header"])),
        ("algorithm", text(&source.verifier["algorithm"])),
        ("encoding", text(&source.verifier["encoding"])),
        ("prefix", text(&source.verifier["prefix"])),
    ];
    if key["bind_body"] == true {
        fields.push(("bind_body", "on".to_owned()));
    }
    Form::of(fields)
}

/// What the form asks the API for: of a source that exists, only what was changed.
pub(in crate::pages) fn input(form: &Form, existing: Option<&Source>) -> Value {
    let before = existing.map(filled_from);
    let unchanged = |name: &str| {
        before
            .as_ref()
            .is_some_and(|before| before.text(name) == form.text(name))
    };
    let mut input = Map::new();
    for name in ["name", "provider", "on_conflict", "event_type"] {
        match form.text(name) {
            _ if unchanged(name) => {}
            Some(text) => drop(input.insert(name.to_owned(), json!(text))),
            None if existing.is_some() && name != "name" => {
                drop(input.insert(name.to_owned(), Value::Null))
            }
            None => {}
        }
    }
    if let Some(text) = form
        .text("window_seconds")
        .filter(|_| !unchanged("window_seconds"))
    {
        input.insert("window_seconds".to_owned(), window(text));
    }
    let of_key = ["locations", "mode", "missing_key", "bind_body"];
    let key_changed = of_key.iter().any(|name| !unchanged(name));
    if key_changed && (existing.is_some() || form.text("locations").is_some()) {
        input.insert("key".to_owned(), key(form, existing));
    }
    if let Some(verifier) = verifier(form, existing) {
        input.insert("verifier".to_owned(), verifier);
    }
    Value::Object(input)
}

/// The key rule of the form, where it has one.
pub(super) fn tried(form: &Form, existing: &Source) -> Value {
    let mut asked = Map::new();
    let key = key(form, Some(existing));
    if !key.is_null() {
        asked.insert("key".to_owned(), key);
    }
    if let Some(text) = form.text("window_seconds") {
        asked.insert("window_seconds".to_owned(), window(text));
    }
    Value::Object(asked)
}

fn window(text: &str) -> Value {
    text.parse::<i64>()
        .map_or_else(|_| json!(text), |seconds| json!(seconds))
}

/// The key rule, with what this form does not show as it was.
fn key(form: &Form, existing: Option<&Source>) -> Value {
    let mut key = existing
        .and_then(|source| source.key.as_object().cloned())
        .unwrap_or_default();
    let locations = form.lines("locations");
    if locations.is_empty() && !key.contains_key("content") {
        return Value::Null;
    }
    key.insert("locations".to_owned(), json!(locations));
    for name in ["mode", "missing_key"] {
        if let Some(text) = form.text(name) {
            key.insert(name.to_owned(), json!(text));
        }
    }
    key.insert("bind_body".to_owned(), json!(form.is_on("bind_body")));
    Value::Object(key)
}

/// The verifier: the preset's with this secret, an HMAC of one's own, or none at all.
fn verifier(form: &Form, existing: Option<&Source>) -> Option<Value> {
    let secret = form.text("secret");
    let same_header =
        existing.is_some_and(|source| source.verifier["header"].as_str() == form.text("header"));
    match (form.text("provider"), secret, form.text("header")) {
        (_, None, _) if existing.is_some() => None,
        (Some(_), Some(secret), _) => Some(json!({"secret": secret})),
        (Some(_), None, _) => None,
        (None, Some(secret), _) if same_header && form.text("header").is_none() => {
            Some(json!({"secret": secret}))
        }
        (None, _, None) => None,
        (None, _, Some(header)) => Some(json!({
            "type": "hmac",
            "header": header,
            "algorithm": form.text("algorithm").unwrap_or("sha256"),
            "encoding": form.text("encoding").unwrap_or("hex"),
            "prefix": form.text("prefix").unwrap_or_default(),
            "secret": secret.unwrap_or_default(),
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_form_of_a_preset_asks_for_the_preset_alone() {
        let form = Form::of([
            ("name", "s".into()),
            ("provider", "stripe".into()),
            ("secret", "w".into()),
            ("mode", "all".into()),
        ]);
        let expected = json!({"name": "s", "provider": "stripe", "verifier": {"secret": "w"}});
        assert_eq!(input(&form, None), expected);
    }

    #[test]
    fn a_sender_of_ones_own_may_sign_with_an_hmac() {
        let form = Form::of([
            ("name", "s".into()),
            ("header", "x-s".into()),
            ("secret", "w".into()),
            ("locations", "body:$.id\n".into()),
        ]);
        let asked = input(&form, None);
        assert_eq!(asked["verifier"]["type"], "hmac");
        assert_eq!(
            asked["key"],
            json!({"locations": ["body:$.id"], "bind_body": false})
        );
    }
}
