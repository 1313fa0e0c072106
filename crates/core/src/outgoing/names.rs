//! Which header names are ours, and which never go from one hop to the next.

/// Names that only the gateway may set: they say which event this is, which attempt, and prove it.
const OURS: [&str; 4] = [
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "idempotency-key",
];
const OUR_PREFIX: &str = "hooklatch-";

/// Names that belong to one connection or to the framing of one body.
const HOP_BY_HOP: [&str; 13] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Names that were meant for us: credentials, and the encodings that the *sender* can read.
const FOR_US: [&str; 3] = ["accept-encoding", "authorization", "cookie"];

/// Whether a name belongs to the gateway (O1, O2), in any case.
pub fn reserved(name: &str) -> bool {
    is_one_of(&OURS, name)
        || name
            .get(..OUR_PREFIX.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(OUR_PREFIX))
}

/// Whether an endpoint's custom header with this name is left out: ours, or part of the framing.
pub fn reserved_for_custom(name: &str) -> bool {
    reserved(name) || is_one_of(&HOP_BY_HOP, name)
}

/// Whether a header of the original request goes on to the receiver (O6).
pub fn forwardable(name: &str) -> bool {
    !reserved_for_custom(name) && !is_one_of(&FOR_US, name)
}

/// The custom headers that will not be sent, for `warnings`: named, not refused (O1).
pub fn dropped_reserved(custom: &[(String, String)]) -> Vec<String> {
    let names = custom.iter().map(|(name, _)| name);
    names
        .filter(|name| reserved_for_custom(name))
        .cloned()
        .collect()
}

/// The names that the original's `Connection` headers declare to be hop-by-hop, in lower case.
pub(super) fn listed_in_connection(headers: &[(String, String)]) -> Vec<String> {
    let mut listed = Vec::new();
    for (_, value) in headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("connection"))
    {
        let names = value.split(',').map(str::trim);
        listed.extend(names.map(str::to_ascii_lowercase));
    }
    listed
}

fn is_one_of(names: &[&str], name: &str) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o1_o2_our_names_are_reserved_in_any_case() {
        for name in [
            "webhook-id",
            "Webhook-Timestamp",
            "WEBHOOK-SIGNATURE",
            "Idempotency-Key",
            "hooklatch-attempt",
            "Hooklatch-Whatever-Comes",
        ] {
            assert!(
                reserved(name) && reserved_for_custom(name) && !forwardable(name),
                "{name}"
            );
        }
        for name in [
            "webhook-i",
            "x-webhook-id",
            "hooklatch",
            "x-hooklatch-a",
            "",
            "é-long-name",
        ] {
            assert!(!reserved(name), "{name}");
        }
    }

    #[test]
    fn o6_credentials_may_be_set_but_are_never_forwarded() {
        for name in ["Authorization", "Cookie"] {
            assert!(!forwardable(name) && !reserved_for_custom(name), "{name}");
        }
        for name in ["Host", "Transfer-Encoding", "Content-Length", "TE"] {
            assert!(!forwardable(name) && reserved_for_custom(name), "{name}");
        }
        for name in ["X-GitHub-Event", "Content-Encoding", "Accept", "User-Agent"] {
            assert!(forwardable(name), "{name}");
        }
    }

    #[test]
    fn o1_dropped_headers_are_named_as_they_were_written() {
        let custom = [("X-A", "1"), ("Webhook-Id", "2"), ("Host", "3")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(dropped_reserved(&custom), ["Webhook-Id", "Host"]);
    }
}
