//! The envelope of a request, as one JSON text: a stored format.

use hooklatch_core::message::Envelope;

use super::{Unreadable, VERSION, check_version};

#[derive(serde::Serialize)]
struct Written<'a> {
    v: u32,
    method: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<&'a str>,
    headers: &'a [(String, String)],
}

#[derive(serde::Deserialize)]
struct Stored {
    v: u32,
    method: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    query: Option<String>,
    headers: Vec<(String, String)>,
}

/// An envelope as it is stored.
pub fn encode(envelope: &Envelope) -> String {
    let written = Written {
        v: VERSION,
        method: &envelope.method,
        path: &envelope.path,
        query: envelope.query.as_deref(),
        headers: &envelope.headers,
    };
    serde_json::to_string(&written).expect("strings and lists always serialise")
}

/// An envelope from its text.
///
/// # Errors
/// Where the text is not one, or is of another version.
pub fn decode(text: &str) -> Result<Envelope, Unreadable> {
    let stored: Stored = serde_json::from_str(text)?;
    check_version(stored.v, "an envelope")?;
    Ok(Envelope {
        method: stored.method,
        path: stored.path,
        query: stored.query,
        headers: stored.headers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_survives_its_text() {
        let full = Envelope {
            method: "PUT".into(),
            path: "/a b".into(),
            query: Some("x=\"1\"".into()),
            headers: vec![
                ("x-a".into(), "\u{e9}\n".into()),
                ("x-a".into(), String::new()),
            ],
        };
        for envelope in [full, Envelope::default()] {
            assert_eq!(decode(&encode(&envelope)).unwrap(), envelope);
        }
    }

    #[test]
    fn an_envelope_of_a_newer_version_is_unreadable() {
        assert!(decode(r#"{"v":2,"method":"POST","headers":[]}"#).is_err());
    }
}
