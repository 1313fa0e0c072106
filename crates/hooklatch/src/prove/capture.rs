//! What is delivered, from what the user names: a file, a message of a gateway, a payload, or
//! nothing but a provider.

use hooklatch_core::location::Location;
use hooklatch_core::provider::{self, Preset};
use hooklatch_core::secret::MASK;
use serde_json::{Value, json};

use super::args::{MessageArgs, ProveArgs};
use super::message::{ID_HEADER, KEY, Template};
use crate::failure::Failure;

/// The largest message that is delivered.
const BODY_BYTES_MAX: u64 = 25 * 1024 * 1024;
/// What an event is called that says nothing of itself.
const EVENT_TYPE: &str = "hooklatch.prove";

/// Headers of a captured request that belong to its connection, or that are made anew.
const HEADERS_LEFT_OUT: [&str; 12] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "webhook-signature",
    "webhook-timestamp",
];

/// The provider that was named.
pub(super) fn preset(arguments: &MessageArgs) -> Result<Option<&'static Preset>, Failure> {
    let Some(name) = &arguments.provider else {
        return Ok(None);
    };
    match provider::preset(name) {
        Some(preset) => Ok(Some(preset)),
        None => {
            let known: Vec<&str> = provider::presets().iter().map(|it| it.id).collect();
            let known = known.join(", ");
            let text = format!("no provider is known as {name:?}; known are {known}");
            Err(Failure::Usage(text))
        }
    }
}

/// What events are made from.
pub(super) async fn template(
    arguments: &ProveArgs,
    preset: Option<&'static Preset>,
) -> Result<Template, Failure> {
    let message = &arguments.message;
    let places = places(message, preset)?;
    let mut template = captured(arguments).await?;
    if let Some(template) = &mut template {
        template.places = applicable(places.clone(), preset, template);
    }
    let mut template = template.unwrap_or_else(|| generated(preset, places));
    for line in &message.headers {
        let (name, value) = header(line)?;
        template.headers.retain(|(given, _)| *given != name);
        template.headers.push((name, value));
    }
    if !template
        .headers
        .iter()
        .any(|(name, _)| name == "content-type")
    {
        let json = "application/json".to_owned();
        template.headers.push(("content-type".to_owned(), json));
    }
    Ok(template)
}

/// A header as it is written on the command line.
pub(super) fn header(line: &str) -> Result<(String, String), Failure> {
    let parts = line
        .split_once(':')
        .map(|(name, value)| (name.trim(), value.trim()));
    let named = parts.filter(|(name, value)| {
        let name = http::HeaderName::try_from(*name);
        name.is_ok() && http::HeaderValue::try_from(*value).is_ok()
    });
    // The value may be a secret, and is not repeated.
    let hint = "a header is written as \"Name: value\"";
    let (name, value) = named.ok_or_else(|| Failure::Usage(hint.to_owned()))?;
    Ok((name.to_ascii_lowercase(), value.to_owned()))
}

/// The provider's places, or that of Standard Webhooks, and the user's.
fn places(
    arguments: &MessageArgs,
    preset: Option<&'static Preset>,
) -> Result<Vec<Location>, Failure> {
    let known: &[&str] = preset.map_or(&["header:webhook-id"], |it| it.key_locations);
    let known: Result<Vec<Location>, _> = known.iter().map(|text| text.parse()).collect();
    let mut places = known.map_err(|error| Failure::failed("the provider's key", error))?;
    for place in &arguments.key {
        if !places.contains(place) {
            places.push(place.clone());
        }
    }
    let written = |it: &&Location| !matches!(it, Location::Header(_) | Location::Body(_));
    match places.iter().find(written) {
        None => Ok(places),
        Some(place) => Err(Failure::Usage(format!(
            "a key is written to header:NAME and body:PATH, not to {place}"
        ))),
    }
}

/// Of a provider's several places, one is enough to make a captured event a fresh one: the first
/// that it has. The user's own places all count.
fn applicable(
    places: Vec<Location>,
    preset: Option<&'static Preset>,
    template: &Template,
) -> Vec<Location> {
    let Some(preset) = preset else {
        return places;
    };
    let (of_preset, mut chosen): (Vec<_>, Vec<_>) = places
        .into_iter()
        .partition(|place| preset.key_locations.contains(&place.to_string().as_str()));
    let document = serde_json::from_str(&template.body).unwrap_or(Value::Null);
    let has = |place: &Location| match place {
        Location::Header(name) => template.headers.iter().any(|(given, _)| given == name),
        Location::Body(path) => super::message::find(&document, path.segments()).is_some(),
        Location::Query(_) | Location::Method | Location::Path => false,
    };
    let first = of_preset.iter().position(has).unwrap_or(0);
    chosen.extend(of_preset.into_iter().nth(first));
    chosen
}

async fn captured(arguments: &ProveArgs) -> Result<Option<Template>, Failure> {
    let message = &arguments.message;
    if let Some(path) = &message.message {
        let shown = path.display();
        let size = std::fs::metadata(path).map_or(0, |found| found.len());
        if size > BODY_BYTES_MAX {
            return Err(Failure::Usage(format!("{shown} is larger than 25 MiB")));
        }
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::failed(format_args!("{shown} cannot be read"), error))?;
        return Ok(Some(of_file(&text)));
    }
    if let Some(id) = &message.message_id {
        let found = arguments.connect.client()?.message(id).await?;
        let body = found.payload.map(|payload| payload.get().to_owned());
        let body =
            body.ok_or_else(|| Failure::Failed(format!("{id} has no payload to deliver")))?;
        return Ok(Some(bare(headers_of(&found.headers), body)));
    }
    let Some(payload) = &message.payload else {
        return Ok(None);
    };
    let Some(file) = payload.strip_prefix('@') else {
        return Ok(Some(bare(Vec::new(), payload.clone())));
    };
    let text = std::fs::read_to_string(file);
    let text = text.map_err(|error| Failure::failed(format_args!("{file} cannot be read"), error));
    Ok(Some(bare(Vec::new(), text?)))
}

fn bare(headers: Vec<(String, String)>, body: String) -> Template {
    Template {
        headers,
        body,
        places: Vec::new(),
    }
}

/// A record of the API has headers, and a `payload` or a `body`; anything else is a body.
fn of_file(text: &str) -> Template {
    let document: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    let body = document.get("payload").or_else(|| document.get("body"));
    match (document.get("headers"), body) {
        (Some(headers), Some(Value::String(body))) => bare(headers_of(headers), body.clone()),
        (Some(headers), Some(body)) => bare(headers_of(headers), body.to_string()),
        (_, _) => bare(Vec::new(), text.trim_end().to_owned()),
    }
}

/// Headers as an object, or as a list of pairs. What was masked is not sent.
fn headers_of(headers: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    match headers {
        Value::Object(members) => {
            for (name, value) in members {
                found.extend(texts(name, value));
            }
        }
        Value::Array(pairs) => {
            for pair in pairs {
                if let (Some(Value::String(name)), Some(value)) = (pair.get(0), pair.get(1)) {
                    found.extend(texts(name, value));
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    found.retain(is_kept);
    found
}

fn texts(name: &str, value: &Value) -> Vec<(String, String)> {
    let name = name.to_ascii_lowercase();
    match value {
        Value::String(text) => vec![(name, text.clone())],
        Value::Array(several) => {
            let several = several.iter().filter_map(Value::as_str);
            several
                .map(|text| (name.clone(), text.to_owned()))
                .collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

fn is_kept((name, value): &(String, String)) -> bool {
    !HEADERS_LEFT_OUT.contains(&name.as_str())
        && value != MASK
        && http::HeaderName::try_from(name).is_ok()
        && http::HeaderValue::try_from(value).is_ok()
}

/// The smallest event that has what the provider's events have.
fn generated(preset: Option<&'static Preset>, places: Vec<Location>) -> Template {
    let mut template = match preset {
        None => {
            let body = json!({"type": EVENT_TYPE, "data": {"id": KEY}});
            bare(Vec::new(), body.to_string())
        }
        Some(preset) => of_preset(preset),
    };
    template.headers.retain(|(name, _)| name != ID_HEADER);
    template.places = places;
    template
}

fn of_preset(preset: &'static Preset) -> Template {
    let mut template = bare(Vec::new(), "{}".to_owned());
    match preset.event_type.map(str::parse) {
        Some(Ok(Location::Header(name))) => template.headers.push((name, EVENT_TYPE.to_owned())),
        Some(Ok(place @ Location::Body(_))) => {
            // The place is the event's type and not its key: it is written once, here.
            let typed = bare(Vec::new(), "{}".to_owned());
            let typed = Template {
                places: vec![place],
                ..typed
            };
            if let Ok(event) = typed.event(0) {
                template.body = event.body.replace(&event.key, EVENT_TYPE);
            }
        }
        Some(Ok(Location::Query(_) | Location::Method | Location::Path) | Err(_)) | None => {}
    }
    template
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(headers: &[(String, String)]) -> Vec<(&str, &str)> {
        headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }

    #[test]
    fn a_captured_record_gives_its_body_and_what_belongs_to_it() {
        let record = r#"{"id": "msg_1", "headers": {"X-GitHub-Event": "push", "Host": "x",
            "Content-Length": "7", "Authorization": "***", "Many": ["a", "b"]},
            "payload": {"ref": "main"}}"#;
        let template = of_file(record);
        assert_eq!(template.body, r#"{"ref":"main"}"#);
        let expected = [("x-github-event", "push"), ("many", "a"), ("many", "b")];
        assert_eq!(pairs(&template.headers), expected);
        let listed = of_file(r#"{"headers": [["A", "1"], ["B", "bad\nvalue"]], "body": "x=1"}"#);
        assert_eq!(pairs(&listed.headers), [("a", "1")]);
        assert_eq!(listed.body, "x=1");
        for body in [r#"{"id": 7}"#, "a=b", r#"{"headers": {}}"#] {
            assert_eq!(of_file(body).body, body);
        }
    }

    #[test]
    fn every_provider_whose_key_can_be_written_has_an_event_to_start_with() {
        let mut made = 0;
        for preset in provider::presets() {
            let places: Vec<Location> = preset
                .key_locations
                .iter()
                .map(|it| it.parse().unwrap())
                .collect();
            let template = generated(Some(preset), places);
            if let Ok(event) = template.event(7) {
                assert_ne!(event, template.event(8).unwrap(), "{}", preset.id);
                made += 1;
            }
        }
        assert!(made > 15, "{made}");
        let stripe = provider::preset("stripe").unwrap();
        let template = generated(Some(stripe), vec!["body:$.id".parse().unwrap()]);
        let event = template.event(7).unwrap();
        let body: Value = serde_json::from_str(&event.body).unwrap();
        assert_eq!(body["type"], EVENT_TYPE);
        assert_eq!(body["id"], event.key.as_str());
    }

    #[test]
    fn of_a_providers_places_the_first_that_an_event_has_is_made_fresh() {
        let calendly = provider::preset("calendly").unwrap();
        let places: Vec<Location> = calendly
            .key_locations
            .iter()
            .map(|it| it.parse().unwrap())
            .collect();
        let event = bare(Vec::new(), r#"{"payload":{"uri":"u"},"mine":1}"#.to_owned());
        let mut with_mine = places;
        let mine: Location = "body:$.mine".parse().unwrap();
        with_mine.push(mine.clone());
        let chosen = applicable(with_mine, Some(calendly), &event);
        let expected: Location = "body:$.payload.uri".parse().unwrap();
        assert_eq!(chosen, [mine, expected]);
    }

    #[test]
    fn a_header_is_a_name_and_a_value_and_is_never_repeated() {
        assert_eq!(header("X-A: b:c").unwrap(), ("x-a".into(), "b:c".into()));
        for wrong in ["s3same", "a b: s3same", "a: s3same\r\nb: c"] {
            let error = header(wrong).unwrap_err().to_string();
            assert!(!error.contains("s3same"), "{error}");
        }
    }
}
