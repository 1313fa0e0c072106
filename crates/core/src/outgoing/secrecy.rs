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
pub fn may_be_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    let marked = MARKS.iter().any(|mark| name.contains(mark))
        || name.split('-').any(|word| word == MARKED_WORD);
    marked && !NOT_SECRET.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_says_secret_is_one_in_any_spelling() {
        for name in [
            "authorization",
            "Proxy-Authorization",
            "x-auth",
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
