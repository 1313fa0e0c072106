//! Twilio signs the URL that it calls and, of a form, every field: names in order, each name and
//! its value run together. Of any other body it puts the SHA-256 into the query as `bodySHA256`,
//! and signs the URL alone. A body for which neither holds is not signed, and not let in.
//!
//! The URL's port may be left out or not; as Twilio's libraries do, both spellings are tried.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::mac::{Encoding, MacKey, Signature};
use super::request::malformed;
use super::{Header, Refusal, SignedRequest};
use crate::limits::FORM_FIELDS_MAX;

const HEADER: &str = "x-twilio-signature";
const EXPECTED: &str = "the signature in base64";
const BODY_HASH: &str = "bodySHA256";

/// The live auth tokens.
pub(super) struct Twilio {
    pub(super) keys: Vec<MacKey>,
}

impl Twilio {
    pub(super) fn verify(&self, request: &SignedRequest<'_>) -> Result<(), Refusal> {
        let text = request.text(HEADER, EXPECTED)?;
        let signature =
            Signature::decode(text, Encoding::Base64).ok_or_else(|| malformed(HEADER, EXPECTED))?;
        let fields = signed_fields(request)?;
        for url in spellings(request.url) {
            let parts = [url.as_bytes(), fields.as_bytes()];
            if self.keys.iter().any(|key| key.signed(&parts, &[signature])) {
                return Ok(());
            }
        }
        Err(Refusal::MismatchWithUrl)
    }
}

/// The fields as they are signed: none where the URL carries the body's hash, or nothing was sent.
fn signed_fields(request: &SignedRequest<'_>) -> Result<String, Refusal> {
    let mut query = form_urlencoded::parse(request.query.as_bytes());
    if let Some((_, hash)) = query.find(|(name, _)| name == BODY_HASH) {
        let body = Signature::of(&Sha256::digest(request.body));
        let named = Signature::decode(&hash, Encoding::Hex);
        // No secret: who can change the query cannot sign the URL.
        return match named {
            Some(named) if named.as_bytes() == body.as_bytes() => Ok(String::new()),
            Some(_) | None => Err(Refusal::Mismatch),
        };
    }
    if request.body.is_empty() {
        return Ok(String::new());
    }
    if !is_form(request) {
        return Err(Refusal::MissingQuery {
            name: BODY_HASH.to_owned(),
        });
    }
    let mut fields: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (count, (name, value)) in form_urlencoded::parse(request.body).enumerate() {
        if count >= FORM_FIELDS_MAX {
            return Err(Refusal::MalformedBody {
                name: "form".to_owned(),
                expected: "a form of at most a thousand fields",
            });
        }
        fields
            .entry(name.into_owned())
            .or_default()
            .insert(value.into_owned());
    }
    let mut text = String::new();
    for (name, values) in &fields {
        for value in values {
            text.push_str(name);
            text.push_str(value);
        }
    }
    Ok(text)
}

fn is_form(request: &SignedRequest<'_>) -> bool {
    match request.headers.header("content-type") {
        Header::Once(value) => value
            .to_ascii_lowercase()
            .starts_with(b"application/x-www-form-urlencoded"),
        Header::Absent | Header::Repeated => false,
    }
}

/// The URL without its port, and with one: the standard one where it has none.
fn spellings(url: &str) -> [String; 2] {
    let Some((scheme, rest)) = url.split_once("://") else {
        return [url.to_owned(), url.to_owned()];
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    // A colon before the bracket belongs to an IPv6 address.
    let after_bracket = authority.rfind(']').map_or(0, |at| at + 1);
    let port = authority[after_bracket..]
        .find(':')
        .map(|at| after_bracket + at);
    let host = &authority[..port.unwrap_or(authority.len())];
    let standard = if scheme.eq_ignore_ascii_case("https") {
        ":443"
    } else {
        ":80"
    };
    let port = port.map_or(standard, |at| &authority[at..]);
    [
        format!("{scheme}://{host}{path}"),
        format!("{scheme}://{host}{port}{path}"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_tried_with_and_without_its_port() {
        for (url, without, with) in [
            (
                "https://a.b/c?d=e",
                "https://a.b/c?d=e",
                "https://a.b:443/c?d=e",
            ),
            ("http://a.b:80/c", "http://a.b/c", "http://a.b:80/c"),
            ("https://a.b:8443", "https://a.b", "https://a.b:8443"),
            ("http://[::1]/c", "http://[::1]/c", "http://[::1]:80/c"),
            ("no url", "no url", "no url"),
        ] {
            assert_eq!(spellings(url), [without, with]);
        }
    }
}
