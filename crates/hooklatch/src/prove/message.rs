//! The event that is delivered: made from a captured or a generated one by giving it a key that
//! nobody has seen, so that one scenario never meets what another one left behind.

use hooklatch_core::location::{Location, Segment};
use serde_json::{Map, Value};

/// What stands for the fresh key in a payload, a URL or a query.
pub(super) const KEY: &str = "{key}";
/// What stands for the `webhook-id` there.
pub(super) const WEBHOOK_ID: &str = "{webhook_id}";

/// The member that makes another payload of an object.
const OTHER_MEMBER: &str = "hooklatch_prove";

/// What events are made from.
#[derive(Debug, Clone)]
pub(super) struct Template {
    /// Headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, in which [`KEY`] may stand.
    pub body: String,
    /// Where the fresh key is written.
    pub places: Vec<Location>,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// What nobody has seen before.
    pub key: String,
    /// The header `webhook-id`.
    pub webhook_id: String,
    /// The other headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
    /// Another body under the same key.
    pub other_body: String,
}

/// Why no event can be made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TemplateError {
    /// A place that cannot be written.
    #[error("a fresh key is written to header:NAME and body:PATH, not to {0:?}")]
    Place(String),
    /// A body that is no JSON.
    #[error("the body is no JSON, so that {0} cannot be set in it; put {{key}} into it instead")]
    Body(String),
    /// A path that leads nowhere.
    #[error("the body has no place for {0}")]
    Path(String),
    /// Nothing in the event would differ from the one before.
    #[error("nothing says where the key is: name its place (--key), or put {{key}} into the body")]
    NoKey,
}

impl Template {
    /// An event with a fresh key, made from this randomness.
    pub fn event(&self, random: u128) -> Result<Event, TemplateError> {
        let has_id = self.places.contains(&Location::Header(ID_HEADER.into()));
        if self.places.is_empty() && !self.body.contains(KEY) {
            return Err(TemplateError::NoKey);
        }
        let key = fresh_like(self.sample().as_ref(), random);
        let webhook_id = if has_id {
            key.clone()
        } else {
            format!("msg_prove_{random:032x}")
        };
        let mut headers = self.headers.clone();
        headers.retain(|(name, _)| name != ID_HEADER);
        let mut body = self.body.replace(KEY, &key);
        body = body.replace(WEBHOOK_ID, &webhook_id);
        for place in &self.places {
            match place {
                Location::Header(name) if name == ID_HEADER => {}
                Location::Header(name) => set_header(&mut headers, name, &key),
                Location::Body(path) => body = with_value(&body, place, path.segments(), &key)?,
                Location::Query(_) | Location::Method | Location::Path => {
                    return Err(TemplateError::Place(place.to_string()));
                }
            }
        }
        Ok(Event {
            other_body: other(&body),
            key,
            webhook_id,
            headers,
            body,
        })
    }

    /// What stands in the first place that has something.
    fn sample(&self) -> Option<Value> {
        let document = serde_json::from_str(&self.body).unwrap_or(Value::Null);
        self.places.iter().find_map(|place| match place {
            Location::Header(name) => {
                let header = self.headers.iter().find(|(given, _)| given == name);
                header.map(|(_, value)| Value::String(value.clone()))
            }
            Location::Body(path) => find(&document, path.segments()).cloned(),
            Location::Query(_) | Location::Method | Location::Path => None,
        })
    }
}

/// The header that names a message, in Standard Webhooks.
pub(super) const ID_HEADER: &str = "webhook-id";

/// A key that looks like this one, for receivers and databases that are particular: a number, a
/// UUID, or whatever stands before the last underscore.
fn fresh_like(sample: Option<&Value>, random: u128) -> String {
    match sample {
        // Exact in every language: below 2^53.
        Some(Value::Number(_)) => (random % (1 << 52)).to_string(),
        Some(Value::String(text)) if is_uuid(text) => uuid(random),
        Some(Value::String(text)) => match text.rsplit_once('_') {
            Some((prefix, _)) if is_word(prefix) => format!("{prefix}_{random:032x}"),
            Some(_) | None => format!("prove_{random:032x}"),
        },
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => {
            format!("prove_{random:032x}")
        }
    }
}

fn is_word(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=32).contains(&text.len()) && text.bytes().all(is_plain)
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let is_hex = |part: &&str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]) && parts.iter().all(is_hex)
}

/// A random one: version 4, variant 1 (RFC 9562, section 5.4).
fn uuid(random: u128) -> String {
    let bits = random & !(0xf << 76) & !(0b11 << 62) | (4 << 76) | (0b10 << 62);
    let hex = format!("{bits:032x}");
    let (a, rest) = hex.split_at(8);
    let (b, rest) = rest.split_at(4);
    let (c, rest) = rest.split_at(4);
    let (d, e) = rest.split_at(4);
    format!("{a}-{b}-{c}-{d}-{e}")
}

fn set_header(headers: &mut Vec<(String, String)>, name: &str, value: &str) {
    headers.retain(|(given, _)| given != name);
    headers.push((name.to_owned(), value.to_owned()));
}

fn with_value(
    body: &str,
    place: &Location,
    segments: &[Segment],
    key: &str,
) -> Result<String, TemplateError> {
    let mut document: Value =
        serde_json::from_str(body).map_err(|_| TemplateError::Body(place.to_string()))?;
    let slot = slot(&mut document, segments);
    let slot = slot.ok_or_else(|| TemplateError::Path(place.to_string()))?;
    *slot = match (&*slot, key.parse::<u64>()) {
        (Value::Number(_), Ok(number)) => number.into(),
        (_, Ok(_) | Err(_)) => key.into(),
    };
    Ok(document.to_string())
}

/// The value at a path.
pub(super) fn find<'d>(document: &'d Value, segments: &[Segment]) -> Option<&'d Value> {
    segments
        .iter()
        .try_fold(document, |value, segment| match segment {
            Segment::Name(name) => value.get(name),
            Segment::Index(index) => {
                let elements = value.as_array()?;
                elements.get(position(*index, elements.len())?)
            }
        })
}

/// The value at a path; members that are not there are made.
fn slot<'d>(document: &'d mut Value, segments: &[Segment]) -> Option<&'d mut Value> {
    segments
        .iter()
        .try_fold(document, |value, segment| match segment {
            Segment::Name(name) => {
                if value.is_null() {
                    *value = Value::Object(Map::new());
                }
                let members = value.as_object_mut()?;
                Some(members.entry(name.clone()).or_insert(Value::Null))
            }
            Segment::Index(index) => {
                let elements = value.as_array_mut()?;
                let at = position(*index, elements.len())?;
                elements.get_mut(at)
            }
        })
}

fn position(index: i64, len: usize) -> Option<usize> {
    match usize::try_from(index) {
        Ok(index) => Some(index),
        Err(_) => len.checked_sub(usize::try_from(index.unsigned_abs()).ok()?),
    }
}

/// A payload that says something else. Its key is where it was.
fn other(body: &str) -> String {
    match serde_json::from_str(body) {
        Ok(Value::Object(mut members)) => {
            members.insert(OTHER_MEMBER.to_owned(), "another payload".into());
            Value::Object(members).to_string()
        }
        Ok(Value::Array(mut elements)) => {
            if let Some(Value::Object(members)) = elements.first_mut() {
                members.insert(OTHER_MEMBER.to_owned(), "another payload".into());
            } else {
                elements.push(OTHER_MEMBER.into());
            }
            Value::Array(elements).to_string()
        }
        Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | Err(_) => {
            format!("{body}&{OTHER_MEMBER}=1")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANDOM: u128 = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;
    const HEX: &str = "0123456789abcdef0123456789abcdef";

    fn template(headers: &[(&str, &str)], body: &str, places: &[&str]) -> Template {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Template {
            headers: headers.iter().map(owned).collect(),
            body: body.to_owned(),
            places: places.iter().map(|place| place.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn a_fresh_key_stands_wherever_the_event_has_its_key() {
        let body = r#"{"type":"order.paid","order":{"id":"order-7"},"of":"{key}"}"#;
        let template = template(&[], body, &["header:webhook-id", "body:$.order.id"]);
        let event = template.event(RANDOM).unwrap();
        assert_eq!(event.key, format!("prove_{HEX}"));
        assert_eq!(event.webhook_id, event.key);
        assert_eq!(event.headers, []);
        let expected = r#"{"type":"order.paid","order":{"id":"KEY"},"of":"KEY"}"#;
        assert_eq!(event.body, expected.replace("KEY", &event.key));
        let other: Value = serde_json::from_str(&event.other_body).unwrap();
        assert_eq!(other["order"]["id"], event.key.as_str());
        assert_ne!(event.other_body, event.body);
    }

    #[test]
    fn a_fresh_key_looks_like_the_one_that_was_captured() {
        let uuid = "72d3162e-cc78-11e3-81ab-4c9367dc0958";
        let cases = [
            (r#"{"id":"evt_1NG8Du2eZvKYlo2C"}"#, format!("evt_{HEX}")),
            (r#"{"id":"evt_test_1NG8"}"#, format!("evt_test_{HEX}")),
            (r#"{"id":"a b_c"}"#, format!("prove_{HEX}")),
            (r#"{"id":1042}"#, (RANDOM % (1 << 52)).to_string()),
            (r#"{"id":null}"#, format!("prove_{HEX}")),
            (r#"{}"#, format!("prove_{HEX}")),
        ];
        for (body, expected) in cases {
            let event = template(&[], body, &["body:$.id"]).event(RANDOM).unwrap();
            assert_eq!(event.key, expected, "{body}");
            assert!(event.body.contains(&expected), "{}", event.body);
        }
        let github = template(
            &[("x-github-delivery", uuid)],
            "{}",
            &["header:x-github-delivery"],
        );
        let event = github.event(RANDOM).unwrap();
        assert_eq!(event.key, "01234567-89ab-4def-8123-456789abcdef");
        assert_eq!(
            event.headers,
            [("x-github-delivery".to_owned(), event.key.clone())]
        );
        assert!(is_uuid(&event.key) && event.webhook_id.starts_with("msg_prove_"));
    }

    #[test]
    fn a_number_stays_a_number() {
        let event = template(&[], r#"{"id":1042}"#, &["body:$.id"]);
        let body: Value = serde_json::from_str(&event.event(RANDOM).unwrap().body).unwrap();
        assert!(body["id"].is_u64(), "{body}");
    }

    #[test]
    fn what_cannot_be_given_a_key_is_refused() {
        let refused = |body: &str, places: &[&str]| template(&[], body, places).event(1);
        assert_eq!(refused("{}", &[]), Err(TemplateError::NoKey));
        assert!(refused("id={key}", &[]).is_ok());
        for (body, place) in [
            ("id=7", "body:$.id"),
            ("[]", "body:$[0].id"),
            ("7", "body:$.id"),
        ] {
            assert!(refused(body, &[place]).is_err(), "{body}");
        }
        assert!(refused("{}", &["query:id"]).is_err());
    }

    #[test]
    fn another_payload_is_another_one_whatever_the_body() {
        for body in ["{}", "[{}]", "[]", "[1]", "7", "a=b", ""] {
            assert_ne!(other(body), body);
        }
    }
}
