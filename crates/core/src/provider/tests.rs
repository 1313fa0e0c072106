//! Every row against a sample that the provider's library made or accepted, and what a row says of
//! itself.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::admission::Arrival;
use crate::arrive::{Asked, Intake, Received, Refused, Routes};
use crate::config::testing::World;
use crate::message::Envelope;
use crate::time::Timestamp;
use crate::verify::{Chain, Presented, Refusal, SignedRequest, TrustAnchor, Verifier};

/// A file of `samples`, as `make.mjs` writes it.
#[derive(Debug, Deserialize)]
struct Sample {
    provider: String,
    made_by: String,
    secret: String,
    other_secret: String,
    /// A text of what is signed, and another in its place.
    tamper: (String, String),
    /// How old the signature may be, where it has an age.
    stale_after: Option<i64>,
    method: String,
    url: String,
    /// The first try and a retry.
    tries: [Try; 2],
    events: Vec<Event>,
    /// Whom to believe about its certificate, where it has one: in DER and base64.
    #[serde(default)]
    roots: Vec<String>,
    /// Its certificate, and those of its issuers, as they are fetched.
    #[serde(default)]
    files: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Try {
    now: i64,
    headers: BTreeMap<String, String>,
    body: String,
}

#[derive(Debug, Deserialize)]
struct Event {
    /// The parts of the key; none where the body is the key.
    key: Option<Vec<String>>,
    event_type: String,
}

const SAMPLES: [&str; 29] = [
    include_str!("samples/adyen.json"),
    include_str!("samples/aws_sns.json"),
    include_str!("samples/bitbucket.json"),
    include_str!("samples/calendly.json"),
    include_str!("samples/clerk.json"),
    include_str!("samples/docusign.json"),
    include_str!("samples/github.json"),
    include_str!("samples/gitlab.json"),
    include_str!("samples/hubspot.json"),
    include_str!("samples/intercom.json"),
    include_str!("samples/linear.json"),
    include_str!("samples/mailgun.json"),
    include_str!("samples/meta.json"),
    include_str!("samples/openai.json"),
    include_str!("samples/paddle.json"),
    include_str!("samples/paypal.json"),
    include_str!("samples/resend.json"),
    include_str!("samples/sendgrid.json"),
    include_str!("samples/shopify.json"),
    include_str!("samples/slack.json"),
    include_str!("samples/square.json"),
    include_str!("samples/standard_webhooks.json"),
    include_str!("samples/stripe.json"),
    include_str!("samples/svix.json"),
    include_str!("samples/twilio.json"),
    include_str!("samples/typeform.json"),
    include_str!("samples/xero.json"),
    include_str!("samples/zendesk.json"),
    include_str!("samples/zoom.json"),
];

fn samples() -> Vec<Sample> {
    let read = |text: &&str| serde_json::from_str(text).unwrap();
    SAMPLES.iter().map(read).collect()
}

fn sample(provider: &str) -> Sample {
    let mut samples = samples().into_iter();
    samples.find(|sample| sample.provider == provider).unwrap()
}

/// What was fetched, one file after the other.
fn chain(files: &[String]) -> Option<Chain> {
    let mut files = files.iter().map(|file| match STANDARD.decode(file) {
        Ok(der) => der,
        Err(_) => file.clone().into_bytes(),
    });
    let mut chain = Chain::read(&files.next()?).unwrap();
    files.for_each(|file| chain.extend(&file).unwrap());
    Some(chain)
}

fn roots(authorities: &[String]) -> Vec<TrustAnchor<'static>> {
    let anchor = |text: &String| Chain::anchor(&STANDARD.decode(text).unwrap()).unwrap();
    authorities.iter().map(anchor).collect()
}

impl Sample {
    /// A source that names the provider and says nothing else but the secret.
    fn intake(&self, secret: &str) -> Intake {
        let mut world = World::new();
        let source = world.source(json!({
            "name": "s", "provider": self.provider, "verifier": {"secret": secret},
        }));
        let verifier = source.verifier.open(source.id, &world.sealing_key).unwrap();
        Intake::new(&source, verifier)
    }

    fn received(&self, secret: &str, came: &Try, seconds: i64) -> Received {
        let (_, query) = self.url.split_once('?').unzip();
        let envelope = Envelope {
            method: self.method.clone(),
            path: String::new(),
            query: query.map(str::to_owned),
            headers: came.headers.clone().into_iter().collect(),
        };
        let body = Bytes::from(came.body.clone());
        let now = Timestamp::from_millis(seconds * 1_000);
        let intake = self.intake(secret);
        let (chain, roots) = (chain(&self.files), roots(&self.roots));
        let presented = chain.as_ref().map(|chain| Presented {
            chain,
            roots: &roots,
        });
        let routes = Routes::default();
        intake.receive_certified(envelope, &self.url, body, now, &routes, presented)
    }

    fn arrivals(&self, came: &Try) -> Vec<Arrival> {
        match self.received(&self.secret, came, came.now).outcome {
            Ok(Asked::One(arrival)) => vec![*arrival],
            Ok(Asked::Batch(arrivals)) => arrivals,
            other => panic!("{}: {other:?}", self.provider),
        }
    }

    fn refusal(&self, secret: &str, came: &Try, seconds: i64) -> Refusal {
        match self.received(secret, came, seconds).outcome {
            Err(Refused::Unverified(refusal)) => refusal,
            other => panic!("{}: {other:?}", self.provider),
        }
    }
}

#[test]
fn every_row_has_a_sample_and_every_sample_a_row() {
    let sampled: Vec<String> = samples().into_iter().map(|one| one.provider).collect();
    let rows: Vec<&str> = presets().iter().map(|preset| preset.id).collect();
    assert_eq!(sampled, rows);
    assert!(rows.is_sorted() && rows.len() >= 25);
    assert!(samples().iter().all(|sample| !sample.made_by.is_empty()));
}

#[test]
fn k7_a_signed_sample_is_let_in_with_its_key_and_its_type() {
    for sample in samples() {
        let arrivals = sample.arrivals(&sample.tries[0]);
        assert_eq!(arrivals.len(), sample.events.len(), "{}", sample.provider);
        for (arrival, event) in arrivals.iter().zip(&sample.events) {
            let found = arrival.event_type.as_deref();
            assert_eq!(
                found,
                Some(event.event_type.as_str()),
                "{}",
                sample.provider
            );
            let parts = &arrival.keys[0].parts;
            if let Some(key) = &event.key {
                assert!(parts.starts_with(key), "{}: {parts:?}", sample.provider);
            }
            let bound = preset(&sample.provider).unwrap().bind_body;
            let named = event.key.as_ref().map_or(parts.len(), Vec::len);
            assert_eq!(parts.len(), named + usize::from(bound), "{parts:?}");
        }
    }
}

#[test]
fn k11_a_retry_has_the_key_and_the_fingerprint_of_the_first_try() {
    for sample in samples() {
        let of = |came: &Try| {
            let arrivals = sample.arrivals(came).into_iter();
            let seen = arrivals.map(|one| (one.keys[0].checksum, one.fingerprint));
            seen.collect::<Vec<_>>()
        };
        assert_eq!(
            of(&sample.tries[0]),
            of(&sample.tries[1]),
            "{}",
            sample.provider
        );

        let volatile = preset(&sample.provider).unwrap().fingerprint_exclude;
        let differ = sample.tries[0].body != sample.tries[1].body;
        assert_eq!(!volatile.is_empty(), differ, "{}", sample.provider);
    }
}

#[test]
fn k7_a_changed_request_is_refused() {
    for sample in samples() {
        let first = &sample.tries[0];
        let (from, to) = &sample.tamper;
        let changed = Try {
            body: first.body.replace(from, to),
            ..first.clone()
        };
        assert_ne!(changed.body, first.body, "{}", sample.provider);
        let refusal = sample.refusal(&sample.secret, &changed, first.now);
        assert_eq!(
            refusal.reason(),
            "signature_mismatch",
            "{}",
            sample.provider
        );
    }
}

#[test]
fn k7_another_secret_refuses_the_sample() {
    for sample in samples() {
        let first = &sample.tries[0];
        let refusal = sample.refusal(&sample.other_secret, first, first.now);
        let expected = match sample.provider.as_str() {
            "aws_sns" => "topic_mismatch",
            _ => "signature_mismatch",
        };
        assert_eq!(refusal.reason(), expected, "{}", sample.provider);
    }
}

#[test]
fn k7_a_sample_without_its_signature_is_refused() {
    for sample in samples() {
        let mut bare = sample.tries[0].clone();
        bare.headers.retain(|name, _| {
            !["signature", "hmac", "-sig"]
                .iter()
                .any(|it| name.contains(it))
        });
        bare.body = bare.body.replace("ignature", "");
        let refusal = sample.refusal(&sample.secret, &bare, bare.now);
        assert_eq!(
            refusal.reason().split('_').next(),
            Some("verification"),
            "{}: {refusal}",
            sample.provider
        );
    }
}

#[test]
fn k7_a_stale_signature_is_refused_where_the_provider_signs_anew() {
    for sample in samples() {
        let first = &sample.tries[0];
        let Some(age) = sample.stale_after else {
            let later = sample.received(&sample.secret, first, first.now + 30 * DAY);
            assert!(later.outcome.is_ok(), "{}", sample.provider);
            continue;
        };
        let on_time = sample.received(&sample.secret, first, first.now + age);
        assert!(on_time.outcome.is_ok(), "{}", sample.provider);
        let late = sample.refusal(&sample.secret, first, first.now + age + 1);
        assert!(
            matches!(late, Refusal::Stale { .. }),
            "{}: {late}",
            sample.provider
        );
    }
}

#[test]
fn k8_a_row_says_of_its_signature_what_the_verifier_says() {
    for sample in samples() {
        let preset = preset(&sample.provider).unwrap();
        let secret = json!({"secret": sample.secret});
        let spec = verifier_spec(Some(preset), Some(secret)).unwrap();
        let verifier = Verifier::new(spec).unwrap();
        assert_eq!(
            preset.verifier.coverage(),
            verifier.coverage(),
            "{}",
            preset.id
        );
    }
}

#[test]
fn k8_mailgun_signs_nothing_of_the_event() {
    let sample = sample("mailgun");
    let first = &sample.tries[0];
    let changed = Try {
        body: first.body.replace("CPgfbmQMTCKtHW6uIWtuVe", "another"),
        ..first.clone()
    };
    let received = sample.received(&sample.secret, &changed, first.now);
    assert!(received.outcome.is_ok());
    let coverage = preset("mailgun").unwrap().verifier.coverage();
    assert!(!coverage.covers("body:$['event-data'].id"));
}

#[test]
fn k8_adyen_signs_the_key_and_not_the_rest() {
    let adyen = preset("adyen").unwrap();
    let coverage = adyen.verifier.coverage();
    assert!(
        adyen
            .key_locations
            .iter()
            .all(|location| coverage.covers(location))
    );
    assert!(!coverage.covers("body:$.NotificationRequestItem.reason"));
}

#[test]
fn k7_gitlabs_secret_token_is_compared_and_masked() {
    let sample = sample("gitlab");
    let mut came = sample.tries[0].clone();
    came.headers
        .insert("x-gitlab-token".to_owned(), "glsec".to_owned());
    let received = sample.received("glsec", &came, came.now);
    assert!(received.outcome.is_ok(), "{:?}", received.outcome);
    assert!(!format!("{received:?}").contains("glsec"));
    let wrong = sample.refusal("another", &came, came.now);
    assert_eq!(wrong, Refusal::WrongCredentials);

    let both = json!({"secrets": ["glsec", sample.secret]});
    let spec = verifier_spec(preset("gitlab"), Some(both)).unwrap();
    assert_eq!(
        Verifier::new(spec).unwrap_err().pointer,
        "/verifier/secrets"
    );
}

#[test]
fn k7_twilio_signs_a_body_of_another_kind_by_its_hash_in_the_url() {
    // twilio 6.2.0 (Node), getExpectedTwilioSignature with no fields.
    let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let mut sample = sample("twilio");
    sample.url = format!("https://hooks.example.com/ingest/hlw_sample?bodySHA256={hash}");
    let mut came = sample.tries[0].clone();
    came.headers
        .insert("content-type".to_owned(), "application/json".to_owned());
    let signature = "YY6KLor8IQuIJjnWhx5MltNB9WI=".to_owned();
    came.headers
        .insert("x-twilio-signature".to_owned(), signature);
    came.body = "test".to_owned();
    assert_eq!(sample.arrivals(&came).len(), 1);

    let changed = Try {
        body: "text".to_owned(),
        ..came.clone()
    };
    assert_eq!(
        sample.refusal(&sample.secret, &changed, came.now),
        Refusal::Mismatch
    );
    sample.url = "https://hooks.example.com/ingest/hlw_sample".to_owned();
    let unsigned = sample.refusal(&sample.secret, &came, came.now);
    assert!(
        matches!(unsigned, Refusal::MissingQuery { .. }),
        "{unsigned}"
    );
}

#[test]
fn k7_a_signature_over_the_url_holds_for_that_url_alone() {
    for provider in ["hubspot", "square", "twilio"] {
        let mut sample = sample(provider);
        let first = sample.tries[0].clone();
        sample.url = sample.url.replace("hooks.", "other.");
        assert_eq!(
            sample.refusal(&sample.secret, &first, first.now),
            Refusal::MismatchWithUrl
        );
    }
}

#[test]
fn a_secret_of_the_wrong_kind_is_found_when_the_source_is_saved() {
    for provider in ["adyen", "sendgrid", "svix", "openai"] {
        let secret = json!({"secret": "not the kind!"});
        let spec = verifier_spec(preset(provider), Some(secret)).unwrap();
        let error = Verifier::new(spec).unwrap_err();
        assert_eq!(error.pointer, "/verifier/secret", "{provider}");
    }
}

fn stripe() -> &'static Preset {
    preset("stripe").unwrap()
}

#[test]
fn every_row_can_be_used_as_it_stands() {
    for preset in presets() {
        assert!(super::preset(preset.id).is_some_and(|found| found.id == preset.id));
        assert!(
            !preset.display_name.is_empty() && !preset.secret.is_empty(),
            "{}",
            preset.id
        );
        let locations = preset.key_locations.iter().chain(&preset.event_type);
        for location in locations {
            let (place, name) = location.split_once(':').unwrap();
            let known = match place {
                "header" => !name.is_empty() && name.to_lowercase() == name,
                "body" => name.starts_with('$'),
                _ => false,
            };
            assert!(known, "{}: {location}", preset.id);
        }
        let window = preset.default_window_seconds();
        assert!(preset.window_warning(window).is_none(), "{}", preset.id);
    }
    assert!(preset("nobody").is_none());
}

#[test]
fn every_cell_that_claims_something_says_what_it_was_checked_against() {
    for preset in presets() {
        let checked = &preset.checked;
        for evidence in [
            checked.key,
            checked.event_type,
            checked.signature,
            checked.retry,
        ] {
            assert!(!evidence.checked_against.is_empty(), "{}", preset.id);
        }
        for evidence in [checked.key, checked.event_type, checked.signature] {
            assert_ne!(evidence.confidence, Confidence::Unchecked, "{}", preset.id);
        }
        let unknown = preset.automatic_retry_window_seconds.is_none()
            && preset.manual_resend_window_seconds.is_none()
            && preset.retry_schedule.is_empty();
        let unchecked = checked.retry.confidence == Confidence::Unchecked;
        assert_eq!(unknown, unchecked, "{}", preset.id);
        for (claimed, evidence) in [
            (preset.timeout_seconds.is_some(), checked.timeout),
            (!preset.fingerprint_exclude.is_empty(), checked.volatile),
            (preset.handshake.is_some(), checked.handshake),
        ] {
            assert_eq!(claimed, evidence.is_some(), "{}", preset.id);
        }
    }
}

#[test]
fn d3_a_schedule_lies_within_the_providers_window() {
    for preset in presets() {
        let offsets: Vec<i64> = preset
            .retry_schedule
            .iter()
            .map(|one| one.offset_seconds)
            .collect();
        assert!(offsets.is_sorted(), "{}", preset.id);
        let window = preset.automatic_retry_window_seconds.unwrap_or(0);
        assert!(
            offsets.iter().all(|offset| *offset <= window),
            "{}",
            preset.id
        );
    }
}

#[test]
fn k7_a_provider_needs_nothing_but_the_secret() {
    for sample in samples() {
        let preset = preset(&sample.provider).unwrap();
        let secret = json!({"secret": sample.secret});
        let spec = verifier_spec(Some(preset), Some(secret.clone())).unwrap();
        Verifier::new(spec.clone()).unwrap();

        let mut named = secret;
        named["type"] = json!(preset.id);
        assert_eq!(
            verifier_spec(None, Some(named)).as_ref(),
            Ok(&spec),
            "{}",
            preset.id
        );
    }
}

#[test]
fn k7_a_provider_without_a_secret_is_a_mistake_and_says_so() {
    for verifier in [None, Some(json!({})), Some(json!({"type": "stripe"}))] {
        let error = verifier_spec(Some(stripe()), verifier).unwrap_err();
        assert_eq!(error.pointer, "/verifier/secret");
        assert!(error.detail.contains("Stripe"), "{}", error.detail);
    }
    let open = verifier_spec(Some(stripe()), Some(json!({"type": "none"})));
    assert_eq!(open, Ok(VerifierSpec::None {}));
    assert_eq!(verifier_spec(None, None), Ok(VerifierSpec::None {}));
}

#[test]
fn a_verifier_with_a_type_of_its_own_stands_for_itself() {
    let basic = json!({"type": "basic", "username": "u", "password": "p"});
    let spec = verifier_spec(Some(stripe()), Some(basic)).unwrap();
    assert!(matches!(spec, VerifierSpec::Basic { .. }), "{spec:?}");
}

#[test]
fn c4_the_default_window_outlives_the_provider() {
    let window = |id| preset(id).unwrap().default_window_seconds();
    assert_eq!(window("stripe"), (3 + 30 + 1) * DAY);
    assert_eq!(window("github"), 7 * DAY);
    assert_eq!(window("shopify"), 7 * DAY);
    assert_eq!(window("standard_webhooks"), 7 * DAY);
    assert_eq!(window("adyen"), 31 * DAY);
}

#[test]
fn c4_a_window_that_is_too_short_is_warned_about_with_both_numbers() {
    let warning = stripe().window_warning(DAY).unwrap();
    for number in [
        "86400 s (1 d)",
        "259200 s (3 d)",
        "2592000 s (30 d)",
        "2851200 s (33 d)",
    ] {
        assert!(warning.contains(number), "{warning}");
    }
    let warning = preset("shopify").unwrap().window_warning(90).unwrap();
    assert!(
        warning.contains("90 s") && warning.contains("14400 s (4 h)"),
        "{warning}"
    );

    assert_eq!(stripe().window_warning(33 * DAY), None);
    assert_eq!(stripe().window_warning(i64::MAX), None);
    assert_eq!(preset("standard_webhooks").unwrap().window_warning(1), None);
}

#[test]
fn a_preset_is_shown_with_what_it_was_checked_against() {
    let shown = json!(preset("github").unwrap());
    assert_eq!(shown["key_mode"], "all");
    assert_eq!(shown["verifier"]["prefix"], "sha256=");
    assert_eq!(
        shown["checked"]["signature"]["confidence"],
        "from_library_code"
    );
    assert_eq!(
        json!(preset("clerk").unwrap())["verifier"],
        json!({"type": "svix"})
    );
}

#[derive(Debug, Deserialize)]
struct Certified {
    roots: Vec<String>,
    cases: Vec<CertifiedCase>,
}

/// A request of which everything but its certificate's trust, or one other thing, is as it should
/// be.
#[derive(Debug, Deserialize)]
struct CertifiedCase {
    what: String,
    provider: String,
    /// `event`, `confirm`, or the reason of the refusal.
    expect: String,
    now: i64,
    headers: BTreeMap<String, String>,
    body: String,
    files: Vec<String>,
}

#[test]
fn k7_a_certificate_has_to_be_the_providers_own_and_lead_to_a_root() {
    let certified: Certified =
        serde_json::from_str(include_str!("samples/certified.json")).unwrap();
    for case in certified.cases {
        let sample = Sample {
            files: case.files.clone(),
            roots: certified.roots.clone(),
            ..sample(&case.provider)
        };
        let came = Try {
            now: case.now,
            headers: case.headers.clone(),
            body: case.body.clone(),
        };
        let found = match sample.received(&sample.secret, &came, came.now).outcome {
            Ok(Asked::One(_)) => "event",
            Ok(Asked::Confirm { url }) => {
                assert!(url.starts_with("https://sns.eu-west-1.amazonaws.com/?Action="));
                "confirm"
            }
            Err(Refused::Unverified(refusal)) => refusal.reason(),
            other => panic!("{}: {other:?}", case.what),
        };
        assert_eq!(found, case.expect, "{}", case.what);
    }
}

#[test]
fn k7_an_issuer_is_asked_for_until_the_chain_reaches_a_root() {
    let sample = sample("paypal");
    let (now, roots) = (
        Timestamp::from_millis(sample.tries[0].now * 1_000),
        roots(&sample.roots),
    );
    let leaf = chain(&sample.files[..1]).unwrap();
    let wanted = leaf.issuer_wanted(&roots, now);
    assert_eq!(wanted.as_deref(), Some("http://ca.example.com/issuer.cer"));
    let whole = chain(&sample.files).unwrap();
    assert_eq!(whole.issuer_wanted(&roots, now), None);
    // The issuer says of no other, so there is nothing to ask for where no root is trusted.
    assert_eq!(whole.issuer_wanted(&[], now), None);
    for file in ["", "<html>", "-----BEGIN CERTIFICATE-----\nAAAA"] {
        assert!(Chain::read(file.as_bytes()).is_err(), "{file}");
    }
    let many = sample.files[0].repeat(6);
    assert!(Chain::read(many.as_bytes()).is_err());
    let mut long = chain(&sample.files[..1]).unwrap();
    let added = (0..9).take_while(|_| long.extend(sample.files[0].as_bytes()).is_ok());
    assert_eq!(added.count(), 4);
}

#[test]
fn k7_nothing_is_fetched_for_a_request_that_can_be_refused_without() {
    let wanted = |sample: &Sample, secret: &str, headers: &[(&str, &str)], body: &str| {
        let mut came = sample.tries[0].clone();
        for (name, value) in headers {
            came.headers.insert((*name).to_owned(), (*value).to_owned());
        }
        let envelope = Envelope {
            method: sample.method.clone(),
            path: String::new(),
            query: None,
            headers: came.headers.into_iter().collect(),
        };
        sample
            .intake(secret)
            .wanted(&envelope, &sample.url, body.as_bytes())
    };
    let paypal = sample("paypal");
    let body = &paypal.tries[0].body;
    let url = "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-test";
    let found = wanted(&paypal, &paypal.secret, &[], body).unwrap();
    assert_eq!(found.unwrap().url, url);
    for header in [
        (
            "paypal-cert-url",
            "https://evil.example/v1/notifications/certs/CERT-1",
        ),
        ("paypal-auth-algo", "NONE"),
        ("paypal-transmission-sig", "not base64!"),
        ("paypal-transmission-id", ""),
    ] {
        assert!(
            wanted(&paypal, &paypal.secret, &[header], body).is_err(),
            "{header:?}"
        );
    }

    let sns = sample("aws_sns");
    let body = &sns.tries[0].body;
    assert!(wanted(&sns, &sns.secret, &[], body).unwrap().is_some());
    let refused = wanted(&sns, &sns.other_secret, &[], body).unwrap_err();
    assert_eq!(refused, Refused::Unverified(Refusal::WrongTopic));
    for (from, to) in [
        (
            "sns.eu-west-1.amazonaws.com",
            "sns.eu-west-1.amazonaws.com.evil.example",
        ),
        ("/SimpleNotificationService-", "/upload/"),
        ("\"SignatureVersion\": \"1\"", "\"SignatureVersion\": \"3\""),
        ("\"Type\": \"Notification\"", "\"Type\": \"Other\""),
        ("\"Message\":", "\"Massage\":"),
    ] {
        let changed = body.replace(from, to);
        assert_ne!(changed, *body, "{from}");
        assert!(wanted(&sns, &sns.secret, &[], &changed).is_err(), "{from}");
    }
    let slack = sample("slack");
    assert_eq!(wanted(&slack, &slack.secret, &[], "{}"), Ok(None));
}

#[test]
fn sns_is_named_by_its_topic_and_confirms_unless_told_otherwise() {
    let spec = |verifier: Value| verifier_spec(preset("aws_sns"), Some(verifier));
    let arn = "arn:aws:sns:eu-west-1:123456789012:orders";
    let usual = spec(json!({"topic_arn": arn})).unwrap();
    assert_eq!(spec(json!({"secret": arn})).as_ref(), Ok(&usual));
    let shown = Verifier::new(usual).unwrap().to_public();
    assert_eq!(
        shown,
        json!({"type": "aws_sns", "topic_arn": arn, "confirm": true})
    );
    let by_hand = spec(json!({"topic_arn": arn, "confirm": false})).unwrap();
    let by_hand = Verifier::new(by_hand).unwrap();
    assert_eq!(by_hand.to_public()["confirm"], false);
    let patched = by_hand.patched(json!({"confirm": true})).unwrap();
    assert_eq!(patched.to_public(), shown);
    let moved = spec(json!({"topic_arn": "arn:aws:sns:eu-west-1:1:old", "secret": arn}));
    assert_eq!(
        moved.as_ref(),
        Ok(&spec(json!({"topic_arn": arn})).unwrap())
    );

    for (verifier, pointer) in [
        (json!({}), "/verifier/topic_arn"),
        (json!({"topic_arn": 7}), "/verifier/topic_arn"),
        (json!({"topic_arn": "orders"}), "/verifier/topic_arn"),
        (
            json!({"topic_arn": "arn:aws:sqs:eu-west-1:1:orders"}),
            "/verifier/topic_arn",
        ),
        (json!({"topic_arn": arn, "confrim": false}), "/verifier"),
        (json!({"type": "paypal"}), "/verifier/webhook_id"),
        (
            json!({"type": "paypal", "webhook_id": "a b"}),
            "/verifier/webhook_id",
        ),
    ] {
        let mistake = spec(verifier.clone()).and_then(Verifier::new).unwrap_err();
        assert_eq!(mistake.pointer, pointer, "{verifier}");
    }
}

/// Every sample and its verifier, made once.
static VERIFIERS: LazyLock<Vec<(Sample, Verifier)>> = LazyLock::new(|| {
    let verifier = |sample: Sample| {
        let secret = json!({"secret": sample.secret});
        let spec = verifier_spec(preset(&sample.provider), Some(secret)).unwrap();
        (sample, Verifier::new(spec).unwrap())
    };
    samples().into_iter().map(verifier).collect()
});

/// What a stranger may write into a header, a URL or a body: noise, and pieces of the true thing.
fn noise() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "v0=",
        "v1,",
        "t=1,v1=ab",
        "ts=1;h1=ab",
        "sha256=",
        "AAAA",
        "{\"signature\":",
        "{}",
        "[]",
        "{\"notificationItems\":[{\"NotificationRequestItem\":{",
        "\"",
        "}",
        "]",
        "https://",
        ":",
        "[::1]",
        "?bodySHA256=",
        "a=b&",
        "%zz",
        "é",
        "1760000000",
    ]);
    prop::collection::vec(prop_oneof![pieces.prop_map(str::to_owned), ".{0,6}"], 0..6)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn k7_no_noise_makes_a_verifier_panic_or_passes_it(
        value in noise(), body in noise(), url in noise(), keep_body in any::<bool>(),
    ) {
        for (sample, verifier) in VERIFIERS.iter() {
            let first = &sample.tries[0];
            let names = first.headers.keys().filter(|name| *name != "content-type");
            let mut headers: Vec<(&str, &str)> = names.map(|name| (name.as_str(), value.as_str())).collect();
            headers.push(("content-type", &first.headers["content-type"]));
            // Where the signature is in the body, the true body would pass.
            let in_body = matches!(sample.provider.as_str(), "adyen" | "mailgun");
            let body = if keep_body && !in_body { &first.body } else { &body };
            let request = SignedRequest {
                method: "POST",
                url: &url,
                headers: &headers.as_slice(),
                query: url.split_once('?').map_or("", |(_, query)| query),
                body: body.as_bytes(),
            };
            let now = Timestamp::from_millis(first.now * 1_000);
            prop_assert!(verifier.verify(&request, now).is_err(), "{}", sample.provider);
        }
    }
}
