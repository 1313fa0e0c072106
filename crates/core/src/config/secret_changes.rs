//! Whether two states of a resource hold different secrets, without showing any.
//!
//! A secret is shown once and sealed under a new nonce whenever it is saved, so that neither what is
//! shown nor what is stored says whether it changes. Whoever may replace a secret may ask whether
//! that would make a difference: it tells them nothing that a replacement would not.

use serde::Serialize;
use serde_json::Value;

use crate::seal::{Opener, SealingKey};

/// Members of stored resources that hold secrets, each with the name that clients know it by.
const MEMBERS: [(&str, &str); 4] = [
    ("verifier", "verifier"),
    ("secrets", "secret"),
    ("headers", "headers"),
    ("auth", "auth"),
];

/// The members whose secrets differ, as clients name them. `owner` is the id that they are sealed
/// for.
pub fn secret_changes<T: Serialize>(
    before: &T,
    after: &T,
    owner: &str,
    sealing_key: &SealingKey,
) -> Vec<&'static str> {
    let stored = |it: &T| serde_json::to_value(it).expect("a resource always serialises");
    let (before, after) = (stored(before), stored(after));
    let opener = Opener::new(sealing_key, owner);
    let differs = |member: &str| {
        let secrets = |of: &Value| {
            let mut found = Vec::new();
            collect(&of[member], &opener, &mut found);
            found
        };
        secrets(&before) != secrets(&after)
    };
    let members = MEMBERS.into_iter().filter(|(member, _)| differs(member));
    members.map(|(_, name)| name).collect()
}

/// What every sealed text of a value says. One that does not open differs from every other.
fn collect(value: &Value, opener: &Opener<'_>, found: &mut Vec<String>) {
    match value {
        Value::String(text) if crate::seal::is_sealed(text) => {
            let opened = opener.open(text);
            found.push(opened.map_or_else(|_| text.clone(), |it| it.expose().to_owned()));
        }
        Value::Array(items) => items.iter().for_each(|it| collect(it, opener, found)),
        Value::Object(fields) => fields.values().for_each(|it| collect(it, opener, found)),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OWNER: &str = "src_0000000000001";

    #[test]
    fn a_secret_that_was_only_sealed_anew_is_the_same() {
        let key = SealingKey::from_bytes([1; 32]);
        let sealed = |text: &str, nonce: u8| key.seal(OWNER, text.as_bytes(), [nonce; 24]);
        let resource = |verifier: &str, secret: &str, nonce: u8| {
            json!({
                "verifier": {"stored": {"secrets": [sealed(verifier, nonce)]}, "public": {}},
                "secrets": [{"sealed": sealed(secret, nonce), "created_at": nonce}],
                "url": "http://a",
            })
        };
        let before = resource("one", "two", 1);
        let changes = |after: &Value| secret_changes(&before, after, OWNER, &key);
        assert_eq!(changes(&resource("one", "two", 2)), [] as [&str; 0]);
        assert_eq!(changes(&resource("other", "two", 2)), ["verifier"]);
        assert_eq!(
            changes(&resource("other", "new", 2)),
            ["verifier", "secret"]
        );
        assert_eq!(changes(&json!({})), ["verifier", "secret"]);
    }

    #[test]
    fn what_does_not_open_counts_as_changed() {
        let (key, other) = (
            SealingKey::from_bytes([1; 32]),
            SealingKey::from_bytes([2; 32]),
        );
        let with = |key: &SealingKey, nonce| json!({"auth": key.seal(OWNER, b"one", [nonce; 24])});
        let (before, after) = (with(&other, 1), with(&key, 2));
        assert_eq!(secret_changes(&before, &after, OWNER, &key), ["auth"]);
    }
}
