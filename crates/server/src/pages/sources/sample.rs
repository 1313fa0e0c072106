//! A first event, as a command to copy: with a key where the provider has it.

use hooklatch_core::provider::{Preset, Recipe, preset};
use hooklatch_core::verify::{Algorithm, Encoding};
use serde_json::{Map, Value, json};

use crate::pages::ui::quoted;

/// A command that sends an event which the source takes; none where a shell cannot sign it.
pub(in crate::pages) fn curl(provider: Option<&str>, url: &str) -> Option<String> {
    let Some(preset) = provider.and_then(preset) else {
        let body = json!({"id": "evt_1", "type": "order.paid", "total": 4200}).to_string();
        return Some(format!(
            "curl {} -H 'Content-Type: application/json' \\\n  -d {}",
            quoted(url),
            quoted(&body)
        ));
    };
    let (signing, header) = signing(&preset.verifier)?;
    let (body, headers) = event(preset)?;
    let headers: String = headers
        .iter()
        .map(|line| format!(" \\\n  -H {}", quoted(line)))
        .collect();
    Some(format!(
        "SECRET='the secret that you gave'; BODY={}\n{signing}\ncurl {} -H 'Content-Type: application/json' \\\n  \
         -H \"{header}\"{headers} -d \"$BODY\"",
        quoted(&body),
        quoted(url),
    ))
}

/// How a shell signs, and the header that it sends.
fn signing(recipe: &Recipe) -> Option<(String, String)> {
    match recipe {
        Recipe::Hmac {
            header,
            algorithm,
            encoding,
            prefix,
        } => {
            let hash = match algorithm {
                Algorithm::Sha1 => "sha1",
                Algorithm::Sha256 => "sha256",
                Algorithm::Sha512 => "sha512",
            };
            let written = match encoding {
                Encoding::Hex => {
                    format!("openssl dgst -{hash} -hmac \"$SECRET\" -r | cut -d' ' -f1")
                }
                Encoding::Base64 => {
                    format!("openssl dgst -{hash} -hmac \"$SECRET\" -binary | base64")
                }
            };
            let signing = format!("SIGNATURE=$(printf %s \"$BODY\" | {written})");
            Some((signing, format!("{header}: {prefix}$SIGNATURE")))
        }
        Recipe::Stripe => {
            let signing = "NOW=$(date +%s)\nSIGNATURE=$(printf %s \"$NOW.$BODY\" | \
                openssl dgst -sha256 -hmac \"$SECRET\" -r | cut -d' ' -f1)";
            Some((
                signing.to_owned(),
                "Stripe-Signature: t=$NOW,v1=$SIGNATURE".to_owned(),
            ))
        }
        Recipe::StandardWebhooks | Recipe::Paypal | Recipe::AwsSns | Recipe::Scheme { .. } => None,
    }
}

/// A body and headers with something at each place of the key and of the type; none where a place
/// is not simply a name under a name.
fn event(preset: &Preset) -> Option<(String, Vec<String>)> {
    if preset.split.is_some() {
        return None;
    }
    let mut body = Map::new();
    let mut headers = Vec::new();
    let type_place = preset.event_type.map(|place| (place, "test"));
    let places = preset.key_locations.iter().map(|place| (*place, "evt_1"));
    for (place, value) in places.chain(type_place) {
        if let Some(name) = place.strip_prefix("header:") {
            if !headers.iter().any(|line: &String| line.starts_with(name)) {
                headers.push(format!("{name}: {value}"));
            }
        } else if let Some(path) = place.strip_prefix("body:$.") {
            put(&mut body, path, value)?;
        } else {
            return None;
        }
    }
    Some((Value::Object(body).to_string(), headers))
}

fn put(body: &mut Map<String, Value>, path: &str, value: &str) -> Option<()> {
    let simple = |part: &str| {
        part.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let (names, last) = path
        .rsplit_once('.')
        .map_or((None, path), |(names, last)| (Some(names), last));
    let mut place = body;
    for name in names.into_iter().flat_map(|names| names.split('.')) {
        if !simple(name) {
            return None;
        }
        let inner = place.entry(name).or_insert_with(|| json!({}));
        place = inner.as_object_mut()?;
    }
    if !simple(last) {
        return None;
    }
    place.entry(last).or_insert_with(|| json!(value));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_its_key_where_the_provider_has_it() {
        let stripe = curl(Some("stripe"), "http://x/ingest/t").unwrap();
        assert!(
            stripe.contains(r#"{"id":"evt_1","type":"test"}"#),
            "{stripe}"
        );
        let github = curl(Some("github"), "http://x").unwrap();
        assert!(github.contains("-H 'x-github-delivery: evt_1'"), "{github}");
        assert!(
            github.contains("x-hub-signature-256: sha256=$SIGNATURE"),
            "{github}"
        );
        assert!(curl(None, "http://x").unwrap().contains("evt_1"));
        assert_eq!(curl(Some("adyen"), "http://x"), None);
    }
}
