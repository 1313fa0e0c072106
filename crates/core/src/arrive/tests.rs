//! What a request becomes, without a server and without a store.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::address::Reach;
use crate::admission::{Arrival, Decision, OnFailedOriginal, Original, Prior, decide};
use crate::claim::{Claim, SendTarget};
use crate::config::{Making, Source, SourceInput, SourcePlace};
use crate::ids::{Mint, ProjectId, SourceId};
use crate::message::Envelope;
use crate::seal::SealingKey;
use crate::time::{Millis, Timestamp};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A source as the API would make it, or change it.
fn source(settings: Value, existing: Option<&Source>) -> Source {
    let sealing_key = SealingKey::from_bytes([7; 32]);
    let mut random = |bytes: &mut [u8]| bytes.fill(9);
    let mut making = Making {
        project: ProjectId::from_number(1),
        now: NOW,
        reach: Reach::PublicOnly,
        sealing_key: &sealing_key,
        random: &mut random,
    };
    let input = match existing {
        Some(existing) => SourceInput::patched(existing, settings).unwrap(),
        None => SourceInput::from_json(settings).unwrap(),
    };
    let place = SourcePlace {
        new_id: SourceId::from_number(2),
        existing,
        group: None,
    };
    input.build(place, &mut making).unwrap().source
}

fn intake(source: &Source) -> Intake {
    let verifier = source
        .verifier
        .open(source.id, &SealingKey::from_bytes([7; 32]));
    Intake::new(source, verifier.unwrap())
}

fn envelope(headers: &[(&str, &str)], query: Option<&str>) -> Envelope {
    let line = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Envelope {
        method: "POST".to_owned(),
        path: String::new(),
        query: query.map(str::to_owned),
        headers: headers.iter().map(line).collect(),
    }
}

fn received(intake: &Intake, body: &str, now: Timestamp) -> Received {
    let envelope = envelope(&[("content-type", "application/json")], None);
    intake.receive(
        envelope,
        "",
        Bytes::copy_from_slice(body.as_bytes()),
        now,
        &Routes::default(),
    )
}

fn one(intake: &Intake, body: &str, now: Timestamp) -> Arrival {
    match received(intake, body, now).outcome {
        Ok(Asked::One(arrival)) => *arrival,
        other => panic!("not one arrival: {other:?}"),
    }
}

/// The claims of one accepted arrival, as a store finds them for the next.
fn priors(claims: &[Claim], arrival: &Arrival) -> Vec<Prior> {
    let mut priors = Vec::new();
    for (key, wanted) in arrival.keys.iter().enumerate() {
        let found = claims
            .iter()
            .filter(|claim| (&claim.scope, claim.checksum) == (&wanted.scope, wanted.checksum));
        priors.extend(found.map(|claim| Prior {
            key,
            claim: claim.clone(),
            original: Original {
                message_id: claim.message_id,
                source_id: arrival.source_id,
                received_at: NOW,
                answered_at: Some(NOW),
                routed: true,
                failed: Vec::new(),
            },
        }));
    }
    priors
}

fn accepted_claims(arrival: &Arrival, mint: &mut Mint) -> Vec<Claim> {
    match decide(arrival, &[], mint, NOW) {
        Decision::Accept(accepted) => accepted.claims,
        other => panic!("not accepted: {other:?}"),
    }
}

fn payload_differs(arrival: &Arrival, claims: &[Claim], mint: &mut Mint) -> bool {
    match decide(arrival, &priors(claims, arrival), mint, NOW) {
        Decision::Repeat(repeat) => repeat.request.payload_differs,
        other => panic!("not recognised: {other:?}"),
    }
}

#[test]
fn k7_a_request_that_is_not_verified_is_not_looked_into() {
    let verifier = json!({"type": "api_key", "header": "x-token", "secret": "hush"});
    let key = json!({"locations": ["body:$.id"], "missing_key": "reject"});
    let source = source(json!({"name": "s", "verifier": verifier, "key": key}), None);
    let intake = intake(&source);
    let refused = received(&intake, "{}", NOW).outcome;
    assert!(
        matches!(refused, Err(Refused::Unverified(_))),
        "{refused:?}"
    );
}

#[test]
fn k7_a_credential_is_masked_before_anything_is_recorded() {
    for (place, headers, query, shown) in [
        (
            json!({"header": "x-token"}),
            [("x-token", "hush")],
            None,
            None,
        ),
        (
            json!({"query": "k"}),
            [("x-other", "1")],
            Some("a=1&k=hush&b"),
            Some("a=1&k=***&b"),
        ),
        (
            json!({"query": "k"}),
            [("x-other", "1")],
            Some("%6B=hush"),
            Some("k=***"),
        ),
    ] {
        let mut verifier = json!({"type": "api_key", "secret": "hush"});
        verifier
            .as_object_mut()
            .unwrap()
            .extend(place.as_object().unwrap().clone());
        let source = source(json!({"name": "s", "verifier": verifier}), None);
        let came = envelope(&headers, query);
        let received = intake(&source).receive(came, "", Bytes::new(), NOW, &Routes::default());
        assert!(received.outcome.is_ok(), "{:?}", received.outcome);
        assert!(!format!("{received:?}").contains("hush"), "{received:?}");
        assert_eq!(received.envelope.query.as_deref(), shown);
    }
}

#[test]
fn k10_each_element_is_an_arrival_with_a_key_and_a_body_of_its_own() {
    let key = json!({"locations": ["body:$.id"]});
    let settings = json!({"name": "s", "key": key, "split": "body:$.events",
                          "event_type": "body:$.type"});
    let intake = intake(&source(settings, None));
    let body = r#"{"events": [{"id": 1, "type": "a"}, {"id": 2,  "type": "b"}]}"#;
    let Ok(Asked::Batch(arrivals)) = received(&intake, body, NOW).outcome else {
        panic!("it is a batch");
    };
    let [first, second] = arrivals.as_slice() else {
        panic!("two elements, two arrivals");
    };
    assert_eq!(&second.body[..], br#"{"id": 2,  "type": "b"}"#);
    assert_eq!(second.event_type.as_deref(), Some("b"));
    assert_ne!(first.keys[0].checksum, second.keys[0].checksum);
    assert!(Arc::ptr_eq(&first.envelope, &second.envelope));
}

#[test]
fn k5_what_cannot_be_split_is_kept_whole() {
    let key = json!({"locations": ["body:$.id"]});
    let settings = json!({"name": "s", "key": key, "split": "body:$.events"});
    let intake = intake(&source(settings, None));
    for body in ["no json", r#"{"events": 7}"#, "{}", r#"{"events": []}"#] {
        assert_eq!(&one(&intake, body, NOW).body[..], body.as_bytes());
    }
    let many = format!(r#"{{"events": [{}]}}"#, vec!["1"; 10_001].join(","));
    let refused = received(&intake, &many, NOW).outcome;
    assert!(matches!(refused, Err(Refused::Batch(_))));
}

#[test]
fn l1_a_bound_body_is_a_part_that_lets_the_rest_be_looked_up() {
    let key = json!({"locations": ["body:$.id"], "bind_body": true});
    let intake = intake(&source(json!({"name": "s", "key": key}), None));
    let claim_key = |body: &str| one(&intake, body, NOW).keys.remove(0);
    let (first, other) = (
        claim_key(r#"{"id": "a"}"#),
        claim_key(r#"{"id": "a", "n": 1}"#),
    );
    assert_ne!(first.checksum, other.checksum, "K8");
    let [value, bound] = first.parts.as_slice() else {
        panic!("two parts: {:?}", first.parts);
    };
    assert_eq!(value, "a");
    assert_eq!(bound, &format!("sha256:{}", first.fingerprint));
    assert_ne!(&other.parts[1], bound);
}

#[test]
fn c7_former_rules_give_keys_until_their_claims_have_run_out() {
    let old = source(
        json!({"name": "s", "key": {"locations": ["body:$.id"]}, "window_seconds": 60}),
        None,
    );
    let new = source(json!({"key": {"locations": ["body:$.ref"]}}), Some(&old));
    let body = r#"{"id": "a", "ref": "b"}"#;
    let before = one(&intake(&old), body, NOW);
    let after = one(&intake(&new), body, NOW + Millis::from_seconds(59));
    let parts: Vec<_> = after.keys.iter().map(|key| key.parts.concat()).collect();
    assert_eq!(parts, ["b", "a"], "the rule of today first");
    assert_eq!(after.keys[1], before.keys[0]);
    let later = one(&intake(&new), body, NOW + Millis::from_seconds(61));
    assert_eq!(later.keys.len(), 1);
}

#[test]
fn c7_a_rule_that_reads_another_fingerprint_from_one_key_makes_no_conflict() {
    let key = json!({"locations": ["body:$.id"]});
    let old = source(json!({"name": "s", "key": key}), None);
    let new = source(json!({"fingerprint_exclude": ["$.attempt"]}), Some(&old));
    let (old, new) = (intake(&old), intake(&new));
    let mut mint = Mint::default();
    let body = |attempt: u8| format!(r#"{{"id": 1, "attempt": {attempt}}}"#);

    let claims = accepted_claims(&one(&old, &body(1), NOW), &mut mint);
    assert!(!payload_differs(
        &one(&new, &body(1), NOW),
        &claims,
        &mut mint
    ));
    assert!(payload_differs(
        &one(&new, &body(2), NOW),
        &claims,
        &mut mint
    ));

    // What is claimed under the new rule is one claim, with the new rule's fingerprint (INV-1).
    let claims = accepted_claims(&one(&new, &body(1), NOW), &mut mint);
    assert_eq!(claims.len(), 1, "{claims:?}");
    assert!(!payload_differs(
        &one(&new, &body(2), NOW),
        &claims,
        &mut mint
    ));
}

#[test]
fn c7_a_single_event_is_known_after_its_source_learns_to_split_or_splits_elsewhere() {
    let change = |split: Value, name: &str, existing: Option<&Source>| {
        let key = json!({"locations": [format!("body:$.{name}")]});
        source(json!({"name": "s", "split": split, "key": key}), existing)
    };
    let plain = change(Value::Null, "a", None);
    let split = change(json!("body:$.events"), "b", Some(&plain));
    let moved = change(json!("body:$.data.events"), "c", Some(&split));
    let unsplit = change(Value::Null, "d", Some(&moved));
    let event = r#"{"a": 1, "b": 2, "c": 3, "d": 4}"#;
    let mut sources = vec![];
    for now in [&plain, &split, &moved, &unsplit] {
        sources.push(now);
        let keys = one(&intake(now), event, NOW).keys;
        assert_eq!(keys.len(), sources.len(), "{keys:?}");
        for then in &sources {
            let first = one(&intake(then), event, NOW).keys.remove(0);
            assert!(keys.contains(&first), "{first:?} is not among {keys:?}");
        }
    }
}

#[test]
fn c7_an_element_is_not_looked_up_under_a_rule_that_kept_its_batch_whole() {
    let plain = source(json!({"name": "s", "key": {"content": true}}), None);
    let key = json!({"locations": ["body:$.id"]});
    let split = source(json!({"split": "body:$.events", "key": key}), Some(&plain));
    let moved = source(json!({"key": {"locations": ["body:$.ref"]}}), Some(&split));
    let body = r#"{"events": [{"id": 1, "ref": 2}]}"#;
    let keys = |source: &Source| match received(&intake(source), body, NOW).outcome {
        Ok(Asked::Batch(arrivals)) => arrivals[0].keys.clone(),
        other => panic!("not a batch: {other:?}"),
    };
    assert_eq!(keys(&split).len(), 1);
    assert_eq!(keys(&moved).len(), 2, "only the rule that split it as well");
    assert_eq!(keys(&moved)[1], keys(&split)[0]);
}

#[test]
fn d3_a_retry_header_of_the_provider_is_passed_on_as_a_hint() {
    let source = source(
        json!({"name": "s", "key": {"locations": ["body:$.id"]}}),
        None,
    );
    let intake = Intake {
        retry_headers: &["x-retry-num"],
        resend_headers: &["x-resent"],
        ..intake(&source)
    };
    let hints = intake.hints_for(&envelope(&[("x-retry-num", "1")], None));
    assert_eq!(hints.retry_header.as_deref(), Some("x-retry-num"));
    assert_eq!(hints.resend_header, None);
    let plain = intake.hints_for(&envelope(&[], None));
    assert!(Arc::ptr_eq(&plain, &intake.hints));
}

#[test]
fn d5_a_keyless_arrival_has_a_look_alike_key_and_no_other() {
    let unkeyed = intake(&source(json!({"name": "s"}), None));
    let arrival = one(&unkeyed, "{}", NOW);
    let kinds: Vec<_> = arrival.keys.iter().map(|key| key.kind).collect();
    assert_eq!(kinds, [ClaimKind::LookAlike]);
    assert_ne!(
        arrival.keys[0].checksum,
        one(&unkeyed, "[]", NOW).keys[0].checksum
    );
}

fn call(target: SendTarget, payload: &str) -> Call {
    Call {
        project_id: ProjectId::from_number(1),
        received_at: NOW,
        target,
        key: Some("order-7".to_owned()),
        event_type: Some("order.paid".to_owned()),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        extra_headers: Vec::new(),
        trace: Vec::new(),
        warnings: Vec::new(),
        payload_kept: None,
        delay: Millis::ZERO,
        on_failed_original: OnFailedOriginal::Suppress,
        sealed_secret: None,
        destinations: Vec::new(),
        rulebooks: Vec::new(),
        ordered: Vec::new(),
        disabled: Arc::default(),
    }
}

#[test]
fn s2_headers_delay_and_secret_play_no_part_in_what_is_the_same() {
    let target = SendTarget::Url("https://a.example/".to_owned());
    let plain = outbound(call(target.clone(), r#"{"a": 1, "b": 2}"#));
    let other = outbound(Call {
        extra_headers: vec![("x".to_owned(), "y".to_owned())],
        delay: Millis::from_seconds(5),
        sealed_secret: Some("hl1:x".to_owned()),
        ..call(target, r#"{"b": 2.0, "a": 1}"#)
    });
    assert_eq!(plain.keys, other.keys);
    assert_eq!(plain.fingerprint, other.fingerprint);
}

#[test]
fn c1_a_key_counts_per_target_and_a_repeated_key_can_be_looked_up() {
    let targets = [
        SendTarget::Broadcast,
        SendTarget::Tenant("broadcast".to_owned()),
        SendTarget::Url("https://a.example/".to_owned()),
    ];
    let mut checksums = Vec::new();
    for target in targets {
        let arrival = outbound(call(target.clone(), "1"));
        let scope = Scope::Send(ProjectId::from_number(1), target);
        assert_eq!(arrival.keys[0].checksum, send_checksum(&scope, "order-7"));
        checksums.push(arrival.keys[0].checksum);
    }
    checksums.sort_unstable();
    checksums.dedup();
    assert_eq!(checksums.len(), 3);
}
