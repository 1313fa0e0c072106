//! `cargo xtask providers`: writes docs/providers.md and a page for each provider from the table of
//! presets, so that they say what the program does. `cargo xtask tidy` finds a page that is not the
//! table's.

mod pages;
mod setup;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use hooklatch_core::provider::{Confidence, Evidence, Handshake, KeyMode, Preset, Recipe, presets};
use hooklatch_core::verify::Encoding;

use crate::{Failure, workspace};

const DOCS: &str = "docs";
const OVERVIEW: &str = "providers.md";
const SUMMARY: &str = "SUMMARY.md";
const DAY: i64 = 86_400;

const HEAD: &str = "\
# Providers

<!-- Written by `cargo xtask providers` from crates/core/src/provider/table. Change it there. -->

A source that names a provider needs nothing but the secret:

```json
{\"name\": \"payments\", \"provider\": \"stripe\", \"verifier\": {\"secret\": \"whsec_…\"}}
```

Whatever the source says itself counts before the preset. Each provider has a page, which says how
to set it up, what the preset knows, for how long a key is kept, and what to watch out for. Each cell
of its table was read in the provider's documentation (**docs**) or in code that has to agree with
it, a library or a public integration (**code**); what could not be checked is left to the general
default and says so (**open**). For each provider a request that was signed by its library, or
accepted by it, is a test (`crates/core/src/provider/samples`).

A key that is *not signed* (K8) lies outside of what the signature covers: whoever gets hold of one
signed request can send it again under another key. `\"bind_body\": true` makes the body a part of
such a key. Where the signature covers the URL, `public_url` has to be the URL that the provider
calls.

Handshakes are answered each time they come, and are no events: nothing is recorded.

## Certificates

PayPal and Amazon SNS sign with a key whose certificate the request names. hooklatch fetches it only
from the provider's own hosts, by HTTPS, through the same guard as deliveries (no private addresses,
no redirects, 64 KiB, five seconds), together with the issuers that the file leaves out; it has to
lead to one of the web's usual authorities, be in force, and bear the provider's name. So the
gateway has to reach `api.paypal.com` or `sns.<region>.amazonaws.com`, and the addresses of issuers
that these certificates name.

A certificate is kept for a day. What cannot be fetched is answered with 503 and `Retry-After`, so
that the provider tries again; a certificate or a signature that is wrong, with 401. Whatever can be
refused without the certificate is; each source has eight fetches at once and one more every fifteen
seconds, and a failure is the answer for thirty seconds, so that a flood of forged requests makes
hooklatch fetch next to nothing.

```json
{\"name\": \"paypal\", \"provider\": \"paypal\", \"verifier\": {\"webhook_id\": \"8PT59…\"}}
{\"name\": \"topic\", \"provider\": \"aws_sns\", \"verifier\": {\"topic_arn\": \"arn:aws:sns:eu-west-1:123456789012:orders\", \"confirm\": true}}
```
";

/// Writes the pages, and their lines in the book's summary.
pub fn run() -> Result<ExitCode, Failure> {
    let docs = workspace::read()?.root.join(DOCS);
    let pages = every_page();
    for path in existing(&docs) {
        if !pages.contains_key(&path) {
            fs::remove_file(docs.join(path))?;
        }
    }
    fs::create_dir_all(docs.join(pages::DIRECTORY))?;
    for (path, text) in pages {
        fs::write(docs.join(path), text)?;
    }
    let summary = fs::read_to_string(docs.join(SUMMARY))?;
    fs::write(docs.join(SUMMARY), pages::summary(&summary))?;
    println!("{DOCS}/{OVERVIEW}: {} providers", presets().len());
    Ok(ExitCode::SUCCESS)
}

/// Pages that are not what the table says.
pub fn check(root: &Path) -> Vec<String> {
    let docs = root.join(DOCS);
    let read = |path: &str| fs::read_to_string(docs.join(path)).unwrap_or_default();
    let pages = every_page();
    let stale = pages.iter().filter(|(path, text)| read(path) != **text);
    let mut wrong: Vec<_> = stale.map(|(path, _)| path.clone()).collect();
    wrong.extend(
        existing(&docs)
            .into_iter()
            .filter(|path| !pages.contains_key(path)),
    );
    let summary = read(SUMMARY);
    if pages::summary(&summary) != summary {
        wrong.push(SUMMARY.to_owned());
    }
    let say = |path| format!("{DOCS}/{path}: is not the table's; run cargo xtask providers");
    wrong.into_iter().map(say).collect()
}

/// Each page by its path below `docs`.
fn every_page() -> BTreeMap<String, String> {
    let own = presets()
        .iter()
        .map(|preset| (pages::path(preset), pages::page(preset)));
    own.chain([(OVERVIEW.to_owned(), page())]).collect()
}

/// The pages of providers that lie there.
fn existing(docs: &Path) -> Vec<String> {
    let entries = fs::read_dir(docs.join(pages::DIRECTORY));
    let names = entries.into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .map(|name| format!("{}/{name}", pages::DIRECTORY))
        .collect()
}

fn page() -> String {
    let mut text = HEAD.to_owned();
    text.push_str("\n| provider | `provider` | key | signed | window |\n|---|---|---|---|---|\n");
    for preset in presets() {
        line(&mut text, &overview(preset));
    }
    text
}

fn overview(preset: &Preset) -> String {
    format!(
        "| [{}]({}) | `{}` | {} | {} | {} |",
        preset.display_name,
        pages::path(preset),
        preset.id,
        key(preset),
        signed(preset),
        span(preset.default_window_seconds()),
    )
}

fn section(text: &mut String, preset: &Preset) {
    line(text, "| | | checked against |\n|---|---|---|");
    let checked = &preset.checked;
    row(text, "secret", preset.secret, None);
    row(
        text,
        "signature",
        &signature(preset.verifier),
        Some(checked.signature),
    );
    let of_key = format!("{}; {}", key(preset), signed(preset));
    row(text, "key", &of_key, Some(checked.key));
    let event_type = preset.event_type.map_or("none".to_owned(), code);
    row(text, "event type", &event_type, Some(checked.event_type));
    if let Some(split) = preset.split {
        let what = format!("each element of {} is an event of its own", code(split));
        row(text, "batch", &what, Some(checked.key));
    }
    if let Some(evidence) = checked.volatile {
        let paths = codes(preset.fingerprint_exclude, ", ");
        row(text, "differs between tries", &paths, Some(evidence));
    }
    row(text, "tries again", &retries(preset), Some(checked.retry));
    if let (Some(seconds), Some(evidence)) = (preset.timeout_seconds, checked.timeout) {
        row(
            text,
            "waits for an answer",
            &format!("{seconds} s"),
            Some(evidence),
        );
    }
    if let (Some(handshake), Some(evidence)) = (preset.handshake, checked.handshake) {
        row(text, "handshake", asked(handshake), Some(evidence));
    }
    if let Some((content_type, body)) = preset.answer {
        let what = if body.is_empty() {
            "nothing".to_owned()
        } else {
            format!("{} as {}", code(body), code(content_type))
        };
        row(text, "is answered with", &what, None);
    }
}

fn row(text: &mut String, name: &str, what: &str, evidence: Option<Evidence>) {
    let source = evidence.map_or(String::new(), |evidence| {
        let kind = match evidence.confidence {
            Confidence::VerifiedInDocs => "docs",
            Confidence::FromLibraryCode => "code",
            Confidence::Unchecked => "open",
        };
        format!("**{kind}**: {}", evidence.checked_against)
    });
    line(text, &format!("| {name} | {what} | {source} |"));
}

fn key(preset: &Preset) -> String {
    if preset.key_locations.is_empty() {
        return "the body".to_owned();
    }
    let locations = match preset.key_mode {
        KeyMode::All => codes(preset.key_locations, " + "),
        KeyMode::First => codes(preset.key_locations, ", else "),
    };
    let body = if preset.bind_body { " + the body" } else { "" };
    format!("{locations}{body}")
}

fn signed(preset: &Preset) -> &'static str {
    let coverage = preset.verifier.coverage();
    let covered = |location: &&str| coverage.covers(location);
    let all = preset.key_locations.iter().all(covered);
    let any = preset.key_locations.iter().any(covered);
    match (all, any) {
        (true, _) => "signed",
        (false, true) => "signed in part",
        (false, false) => "not signed",
    }
}

fn signature(recipe: Recipe) -> String {
    match recipe {
        Recipe::Hmac {
            header,
            algorithm,
            encoding,
            prefix,
        } => {
            let encoding = match encoding {
                Encoding::Hex => "hex",
                Encoding::Base64 => "base64",
            };
            let hash = format!("{algorithm:?}").to_lowercase();
            let behind = if prefix.is_empty() {
                String::new()
            } else {
                format!(", behind {}", code(prefix))
            };
            format!(
                "HMAC ({hash}) of the body in {}, {encoding}{behind}",
                code(header)
            )
        }
        Recipe::StandardWebhooks => {
            "Standard Webhooks: id, time and body, HMAC-SHA256 or Ed25519; 300 s away at most"
                .to_owned()
        }
        Recipe::Stripe => {
            "HMAC-SHA256 (hex) of `{t}.{body}` in `stripe-signature`, which holds `t=` and `v1=`; \
             300 s old at most"
                .to_owned()
        }
        Recipe::Paypal => "RSA (SHA-256) of `{paypal-transmission-id}|{paypal-transmission-time}|\
             {webhook_id}|{CRC-32 of the body}` in `paypal-transmission-sig`, by the certificate \
             at `paypal-cert-url`"
            .to_owned(),
        Recipe::AwsSns => "RSA (SHA-1 or SHA-256, by `SignatureVersion`) of the members of the \
             message in its `Signature`, by the certificate at `SigningCertURL`"
            .to_owned(),
        Recipe::Scheme { scheme } => scheme.summary().to_owned(),
    }
}

fn retries(preset: &Preset) -> String {
    let automatic = match preset.automatic_retry_window_seconds {
        None => "how long is not known".to_owned(),
        Some(0) => "never by itself".to_owned(),
        Some(seconds) => format!("for {}", span(seconds)),
    };
    let times = preset.retry_schedule.iter();
    let times: Vec<String> = times.map(|retry| span(retry.offset_seconds)).collect();
    let times = if times.is_empty() {
        String::new()
    } else {
        format!(" (after {})", times.join(", "))
    };
    let manual = preset
        .manual_resend_window_seconds
        .map_or(String::new(), |seconds| {
            format!("; a person can resend for {}", span(seconds))
        });
    format!("{automatic}{times}{manual}")
}

fn asked(handshake: Handshake) -> &'static str {
    match handshake {
        Handshake::HubChallenge => {
            "`GET` with `hub.challenge`, which is echoed if `hub.verify_token` is right"
        }
        Handshake::UrlVerification => "`url_verification`: its `challenge` is echoed as text",
        Handshake::IntentToReceive => {
            "intent to receive: 200 for a good signature, 401 for another, both without a body"
        }
        Handshake::UrlValidation => {
            "`endpoint.url_validation`: `plainToken` is echoed beside its HMAC"
        }
        Handshake::SubscriptionConfirmation => {
            "`SubscriptionConfirmation`: its `SubscribeURL` is called, if the signature is right"
        }
    }
}

/// A span in the largest unit that fits it evenly.
fn span(seconds: i64) -> String {
    for (unit, name) in [(DAY, "d"), (3_600, "h"), (60, "min")] {
        if seconds > 0 && seconds % unit == 0 {
            return format!("{} {name}", seconds / unit);
        }
    }
    format!("{seconds} s")
}

fn codes(texts: &[&str], between: &str) -> String {
    let texts: Vec<String> = texts.iter().map(|text| code(text)).collect();
    texts.join(between)
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn line(page: &mut String, text: &str) {
    writeln!(page, "{text}").expect("a text takes every line");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_has_a_page_and_is_on_the_overview() {
        let pages = every_page();
        for preset in presets() {
            let path = pages::path(preset);
            assert!(pages[OVERVIEW].contains(&format!("({path})")), "{path}");
            let title = format!("# {}\n", preset.display_name);
            assert!(pages[&path].starts_with(&title), "{path}");
        }
        assert_eq!(pages.len(), presets().len() + 1);
    }

    #[test]
    fn spans_are_readable() {
        assert_eq!(span(3 * DAY), "3 d");
        assert_eq!(span(5_400), "90 min");
        assert_eq!(span(99_305), "99305 s");
    }

    #[test]
    fn k8_an_unsigned_key_says_so() {
        let of = |id: &str| signed(presets().iter().find(|one| one.id == id).expect(id));
        assert_eq!(of("stripe"), "signed");
        assert_eq!(of("github"), "not signed");
        assert_eq!(of("gitlab"), "signed in part");
        assert_eq!(of("mailgun"), "not signed");
    }
}
