//! Questions that a provider asks before it sends events, or now and then: a challenge to echo, or
//! a proof that the other side has the secret. They are answered as the provider wants it, each
//! time, and are no events: nothing is claimed and nothing recorded.

use serde::Serialize;
use serde_json::json;

use crate::json::{Document, Element, Value, parse};
use crate::token::token_hash;

/// The longest request that is a question, in bytes.
const QUESTION_BYTES_MAX: usize = 8 * 1024;
/// The longest challenge that is echoed, in bytes.
const CHALLENGE_BYTES_MAX: usize = 1_024;

const PLAIN: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// How a provider makes sure that somebody wants its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Handshake {
    /// `GET` with `hub.mode=subscribe`: the verify token is looked at and `hub.challenge` echoed.
    /// The verify token is the last part of the ingest URL, so that a source needs no second
    /// secret.
    HubChallenge,
    /// A signed `url_verification`: its `challenge` is echoed.
    UrlVerification,
    /// A signed request without events: 200 with nothing in it, and 401 with nothing in it where
    /// the signature is wrong.
    IntentToReceive,
    /// A signed `endpoint.url_validation`: `plainToken` is echoed beside its HMAC.
    UrlValidation,
    /// A signed `SubscriptionConfirmation`: the URL in it is called. The verifier names that URL;
    /// nothing is echoed.
    SubscriptionConfirmation,
}

/// What a provider is answered, to the byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body's type; none where there is no body.
    pub content_type: Option<&'static str>,
    /// The body.
    pub body: String,
}

impl Handshake {
    /// The answer to a question that comes unsigned, from method, query, and the hash of the
    /// source's token.
    pub fn unsigned(self, method: &str, query: &str, source_token: &[u8; 32]) -> Option<Answer> {
        match self {
            Self::HubChallenge if method == "GET" => hub_challenge(query, source_token),
            Self::HubChallenge
            | Self::UrlVerification
            | Self::IntentToReceive
            | Self::UrlValidation
            | Self::SubscriptionConfirmation => None,
        }
    }

    /// The answer to a question whose signature is right. `proof` is the HMAC-SHA256 of a text in
    /// hex, under the secret that signed it.
    pub fn signed(self, body: &[u8], proof: impl FnOnce(&str) -> Option<String>) -> Option<Answer> {
        if body.len() > QUESTION_BYTES_MAX {
            return None;
        }
        let document = parse(body).ok()?;
        match self {
            Self::HubChallenge | Self::SubscriptionConfirmation => None,
            Self::UrlVerification => {
                let asked = text(&document, &["type"])? == "url_verification";
                let challenge = text(&document, &["challenge"])?;
                asked.then(|| Answer::of(PLAIN, challenge))
            }
            Self::IntentToReceive => {
                let events = document.root().get("events").map(Element::value)?;
                matches!(events, Value::Array(events) if events.clone().count() == 0)
                    .then(Answer::empty)
            }
            Self::UrlValidation => {
                let asked = text(&document, &["event"])? == "endpoint.url_validation";
                let plain = text(&document, &["payload", "plainToken"]).filter(|_| asked)?;
                let encrypted = proof(&plain)?;
                let body = json!({"plainToken": plain, "encryptedToken": encrypted});
                Some(Answer::of(JSON, body.to_string()))
            }
        }
    }

    /// Whether a refusal has to come without a body.
    pub const fn refuses_silently(self) -> bool {
        match self {
            Self::IntentToReceive => true,
            Self::HubChallenge
            | Self::UrlVerification
            | Self::UrlValidation
            | Self::SubscriptionConfirmation => false,
        }
    }
}

impl Answer {
    /// What is said once a subscription is confirmed.
    pub fn confirmed() -> Self {
        Self::of(PLAIN, "the subscription is confirmed".to_owned())
    }

    fn of(content_type: &'static str, body: String) -> Self {
        Self {
            status: 200,
            content_type: Some(content_type),
            body,
        }
    }

    fn empty() -> Self {
        Self {
            status: 200,
            content_type: None,
            body: String::new(),
        }
    }
}

fn hub_challenge(query: &str, source_token: &[u8; 32]) -> Option<Answer> {
    let parameter = |wanted: &str| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value)
    };
    if parameter("hub.mode")? != "subscribe" {
        return None;
    }
    let challenge = parameter("hub.challenge")?;
    let token = parameter("hub.verify_token").unwrap_or_default();
    // Hashes are compared, so the time it takes tells nothing of the token.
    if token_hash(&token) != *source_token || challenge.len() > CHALLENGE_BYTES_MAX {
        let body = "the verify token is wrong: use the last part of the ingest URL as verify token";
        return Some(Answer {
            status: 403,
            ..Answer::of(PLAIN, body.to_owned())
        });
    }
    Some(Answer::of(PLAIN, challenge.into_owned()))
}

fn text(document: &Document<'_>, path: &[&str]) -> Option<String> {
    let mut element = document.root();
    for name in path {
        element = element.get(name)?;
    }
    match element.value() {
        Value::String(text) if text.len() <= CHALLENGE_BYTES_MAX => Some(text.into_owned()),
        Value::String(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Array(_)
        | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(handshake: Handshake, body: &str) -> Option<Answer> {
        handshake.signed(body.as_bytes(), |plain| Some(format!("proof of {plain}")))
    }

    #[test]
    fn a_signed_question_is_answered_to_the_byte() {
        let slack = r#"{"token":"t","challenge":"3eZb rw","type":"url_verification"}"#;
        let answer = signed(Handshake::UrlVerification, slack).unwrap();
        assert_eq!(answer, Answer::of(PLAIN, "3eZb rw".to_owned()));

        let zoom = r#"{"event":"endpoint.url_validation","payload":{"plainToken":"q\"1"}}"#;
        let answer = signed(Handshake::UrlValidation, zoom).unwrap();
        let body = r#"{"plainToken":"q\"1","encryptedToken":"proof of q\"1"}"#;
        assert_eq!(answer, Answer::of(JSON, body.to_owned()));

        let xero = r#"{"events":[],"firstEventSequence":0,"entropy":"S0"}"#;
        let answer = signed(Handshake::IntentToReceive, xero).unwrap();
        assert_eq!(answer, Answer::empty());
    }

    #[test]
    fn an_event_is_no_question() {
        for (handshake, body) in [
            (
                Handshake::UrlVerification,
                r#"{"type":"event_callback","challenge":"c"}"#,
            ),
            (
                Handshake::UrlVerification,
                r#"{"type":"url_verification","challenge":7}"#,
            ),
            (
                Handshake::UrlValidation,
                r#"{"event":"meeting.started","payload":{"plainToken":"p"}}"#,
            ),
            (Handshake::IntentToReceive, r#"{"events":[{}]}"#),
            (Handshake::IntentToReceive, "no json"),
            (Handshake::HubChallenge, r#"{"entry":[]}"#),
        ] {
            assert_eq!(signed(handshake, body), None, "{body}");
        }
        let long = format!(
            r#"{{"type":"url_verification","challenge":"{}"}}"#,
            "a".repeat(2_000)
        );
        assert_eq!(signed(Handshake::UrlVerification, &long), None);
    }

    #[test]
    fn a_hub_challenge_is_echoed_for_the_sources_own_token() {
        let token = token_hash("src-token");
        let ask =
            |method: &str, query: &str| Handshake::HubChallenge.unsigned(method, query, &token);
        let query = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=src-token";
        let answer = ask("GET", query).unwrap();
        assert_eq!(answer, Answer::of(PLAIN, "1158201444".to_owned()));
        assert_eq!(ask("POST", query), None);
        assert_eq!(ask("GET", "a=b"), None);
        assert_eq!(ask("GET", "hub.mode=unsubscribe&hub.challenge=1"), None);
        for wrong in ["hub.verify_token=other", "hub.verify_token=", "x=y"] {
            let query = format!("hub.mode=subscribe&hub.challenge=1&{wrong}");
            assert_eq!(ask("GET", &query).unwrap().status, 403, "{query}");
        }
        let other = Handshake::UrlVerification.unsigned("GET", query, &token);
        assert_eq!(other, None);
    }
}
