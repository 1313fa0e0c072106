//! What a payload is compared by (C5): the same key with another fingerprint is a conflict.
//!
//! A fingerprint is the SHA-256 of these bytes, numbers in big-endian order:
//!
//! ```text
//! "hooklatch-fingerprint-v1"
//! 0x00                               without an event type, or
//! 0x01, u32 length, event type      with one, in UTF-8
//! 'c', the canonical JSON            where the body has a canonical form (see `json`), or
//! 'r', the raw body                  where it has none
//! ```
//!
//! The parts that `fingerprint_exclude` names are left out of the canonical JSON (K11); raw bytes
//! are always hashed whole. The letter keeps a body of one kind from passing for the other.

use sha2::{Digest, Sha256};

use crate::json::{Document, NoCanonicalForm, Selection, write_selected};
use crate::key::Body;
use crate::location::WildPath;

pub use crate::digest::{DigestError, Fingerprint};

const VERSION: &[u8] = b"hooklatch-fingerprint-v1";

/// The fingerprint of a payload: `raw` is the body as it came, `body` what was understood of it.
pub fn fingerprint(
    event_type: Option<&str>,
    body: &Body<'_>,
    raw: &[u8],
    exclude: &[WildPath],
) -> Fingerprint {
    let mut start = Sha256::new_with_prefix(VERSION);
    match event_type {
        Some(event_type) => {
            start.update([1]);
            start.update(length_prefix(event_type.len()));
            start.update(event_type);
        }
        None => start.update([0]),
    }
    let canonical = body.json().and_then(|document| {
        let selection = Selection::without(picked_by(exclude, document));
        let mut hash = start.clone();
        hash.update(b"c");
        update_selected(&mut hash, document, &selection)
            .ok()
            .map(|_written| hash)
    });
    let hash = canonical.unwrap_or_else(|| start.chain_update(b"r").chain_update(raw));
    Fingerprint::from_bytes(hash.finalize().into())
}

/// Hashes the canonical form of what is selected, and says how many bytes that was.
pub(crate) fn update_selected(
    hash: &mut Sha256,
    document: &Document<'_>,
    selection: &Selection,
) -> Result<usize, NoCanonicalForm> {
    let mut written = 0;
    write_selected(document.root(), selection, &mut |part: &[u8]| {
        written += part.len();
        hash.update(part);
    })?;
    Ok(written)
}

/// Every element that one of the paths picks.
pub(crate) fn picked_by<'p>(
    paths: impl IntoIterator<Item = &'p WildPath>,
    document: &Document<'_>,
) -> Vec<crate::json::NodeId> {
    let mut picked = Vec::new();
    for path in paths {
        path.select(document.root(), &mut picked);
    }
    picked
}

/// A length as the encodings of keys and fingerprints have it.
pub(crate) fn length_prefix(length: usize) -> [u8; 4] {
    u32::try_from(length)
        .expect("every part is limited far below 4 GiB")
        .to_be_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(event_type: Option<&str>, raw: &[u8], exclude: &[&str]) -> Fingerprint {
        let exclude: Vec<WildPath> = exclude.iter().map(|path| path.parse().unwrap()).collect();
        fingerprint(event_type, &Body::understand(None, raw), raw, &exclude)
    }

    #[test]
    fn c5_the_encoding_is_fixed() {
        // Computed outside of this program, from the module's documentation.
        let json = of(Some("order.paid"), br#" { "b": 1.0, "a": "x" } "#, &[]);
        assert_eq!(
            json.to_string(),
            "33379209680053ecadd6ecaf5ca1d0373631f83f2de4faf2201c47d329d5e7dd"
        );
        let raw = of(None, b"not json", &[]);
        assert_eq!(
            raw.to_string(),
            "133c846ee7c0590e142440c6975b48015a7917582dba9047230cd4df969d9a13"
        );
    }

    #[test]
    fn c5_equal_payloads_agree() {
        let cases: [(&[u8], &[u8]); 3] = [
            (
                br#"{"a":1,"b":[true]}"#,
                b" {\"b\" : [ true ], \"a\" : 1.0 }\n",
            ),
            (br#""\u0041""#, br#""A""#),
            (b"plain", b"plain"),
        ];
        for (one, other) in cases {
            assert_eq!(of(Some("t"), one, &[]), of(Some("t"), other, &[]));
        }
    }

    #[test]
    fn c5_different_payloads_differ() {
        let all = [
            of(None, b"null", &[]),
            of(None, b"", &[]),
            of(Some(""), b"null", &[]),
            of(Some("a"), b"null", &[]),
            of(None, b"\"null\"", &[]),
            of(None, b"9007199254740993", &[]),
            of(None, b"9007199254740992", &[]),
            fingerprint(None, &Body::Opaque, b"null", &[]),
            fingerprint(None, &Body::Opaque, b"cnull", &[]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[at + 1..].contains(one), "{at}");
        }
    }

    #[test]
    fn c5_and_k9_without_a_canonical_form_the_raw_bytes_count() {
        let repeated = of(None, br#"{"a":1,"a":2}"#, &[]);
        assert_ne!(repeated, of(None, br#"{"a":2}"#, &[]));
        assert_ne!(repeated, of(None, br#"{"a":1, "a":2}"#, &[]));
        assert_eq!(repeated, of(None, br#"{"a":1,"a":2}"#, &["$.a"]));
    }

    #[test]
    fn k11_excluded_paths_do_not_count() {
        let exclude = ["body:$.attempt", "$.events[*].retryCount"];
        let first = of(
            None,
            br#"{"attempt":1,"events":[{"id":7,"retryCount":0}]}"#,
            &exclude,
        );
        let again = of(
            None,
            br#"{"events":[{"retryCount":3,"id":7}],"attempt":2}"#,
            &exclude,
        );
        let absent = of(None, br#"{"events":[{"id":7}]}"#, &exclude);
        assert_eq!([first, first], [again, absent]);
        let other = of(
            None,
            br#"{"attempt":1,"events":[{"id":8,"retryCount":0}]}"#,
            &exclude,
        );
        assert_ne!(first, other);
    }

    proptest! {
        #[test]
        fn c5_event_type_and_body_never_run_into_each_other(
            one in ("[ab]{0,3}", "[ab]{0,3}"),
            other in ("[ab]{0,3}", "[ab]{0,3}"),
        ) {
            let of = |(event_type, body): &(String, String)| {
                fingerprint(Some(event_type), &Body::Opaque, body.as_bytes(), &[])
            };
            prop_assert_eq!(of(&one) == of(&other), one == other);
        }
    }
}
