//! Which names of headers and parameters give their value away as a secret.
//!
//! One rule for everything that is shown: the headers of attempts, of requests and of endpoints. A
//! value that is masked for nothing costs a look elsewhere; one that is shown costs a credential.

/// What the name of a secret contains, written in lower case and with hyphens.
const MARKS: [&str; 10] = [
    "authorization",
    "token",
    "key",
    "secret",
    "cookie",
    "password",
    "passwd",
    "signature",
    "hmac",
    "credential",
];
/// A word that is no mark within another one: `x-author` is harmless.
const MARKED_WORD: &str = "auth";

/// Names that end so say which event it is, and are looked for by everybody who reads the log.
const NOT_SECRET: [&str; 2] = ["idempotency-key", "event-key"];

/// Whether a header or a parameter with this name may carry a secret. Case plays no part, nor does
/// whether words are joined by hyphens or underscores.
///
/// Every header of every attempt comes through here, so that nothing is copied.
pub fn may_be_secret(name: &str) -> bool {
    let name = name.as_bytes();
    let marked = (0..name.len()).any(|at| {
        let rest = &name[at..];
        MARKS.iter().any(|mark| begins_with(rest, mark)) || is_marked_word(name, at)
    });
    let ends_with = |end: &str| {
        let begin = name.len().checked_sub(end.len());
        begin.is_some_and(|begin| begins_with(&name[begin..], end))
    };
    marked && !NOT_SECRET.into_iter().any(ends_with)
}

/// Whether [`MARKED_WORD`] stands here by itself.
fn is_marked_word(name: &[u8], at: usize) -> bool {
    let is_hyphen = |byte: &u8| folded(*byte) == b'-';
    let end = at + MARKED_WORD.len();
    (at == 0 || is_hyphen(&name[at - 1]))
        && begins_with(&name[at..], MARKED_WORD)
        && name.get(end).is_none_or(is_hyphen)
}

fn begins_with(name: &[u8], word: &str) -> bool {
    let mut pairs = name.iter().zip(word.as_bytes());
    name.len() >= word.len() && pairs.all(|(byte, of)| folded(*byte) == *of)
}

/// As [`MARKS`] are written.
fn folded(byte: u8) -> u8 {
    match byte {
        b'_' => b'-',
        byte => byte.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_says_secret_is_one_in_any_spelling() {
        for name in [
            "authorization",
            "Proxy-Authorization",
            "auth",
            "x-auth",
            "X_Auth",
            "X-Auth-User",
            "x-api-key",
            "X_API_KEY",
            "apikey",
            "ocp-apim-subscription-key",
            "x-auth-token",
            "access_token",
            "cookie",
            "set-cookie",
            "x-client-secret",
            "x-password",
            "webhook-signature",
            "x-hub-signature-256",
            "X-Shopify-Hmac-Sha256",
            "x-gitlab-token",
        ] {
            assert!(may_be_secret(name), "{name}");
        }
    }

    #[test]
    fn what_says_which_event_it_is_stays_readable() {
        for name in [
            "idempotency-key",
            "Idempotency-Key",
            "X-Idempotency-Key",
            "x-event-key",
            "webhook-id",
            "content-type",
            "x-github-event",
            "x-author",
            "x-team",
        ] {
            assert!(!may_be_secret(name), "{name}");
        }
    }
}
