//! What an endpoint may say, what stays secret, and what a patch leaves alone.

use serde_json::json;

use crate::config::testing::{World, pointers};
use crate::config::{Disabled, Endpoint, EndpointInput, Record, Rotation};
use crate::limits::LIVE_SECRETS_MAX;
use crate::retry::Strategy;
use crate::seal::SealingKey;
use crate::signature::SigningSecret;
use crate::time::Millis;

#[test]
fn an_endpoint_has_a_default_for_everything_but_its_name_and_address() {
    let mut world = World::new();
    let endpoint = world.endpoint(json!({}));
    assert_eq!(
        endpoint.public(&world.sealing_key),
        json!({
            "id": "ep_0000000000001",
            "project_id": "prj_0000000000001",
            "name": "shop",
            "url": "https://shop.example/hook",
            "tenant": null,
            "event_types": [],
            "headers": {},
            "timeout_seconds": 30,
            "retry": {
                "strategy": "schedule",
                "schedule_seconds":
                    [5, 30, 120, 600, 1_800, 7_200, 21_600, 43_200, 86_400, 86_400],
                "max_attempts": 11,
                "max_age_seconds": 604_800,
                "on_status": {},
            },
            "rate_limit": {"per_second": null, "burst": null, "concurrency": 64},
            "on_uncertain": "retry",
            "environment": null,
            "method": "POST",
            "forward_path": false,
            "auth": null,
            "ordered_by": null,
            "paused": false,
            "circuit_breaker": {
                "enabled": false, "failure_percent": 50, "minimum_attempts": 20,
                "window_seconds": 60, "cooldown_seconds": 60,
            },
            "disable_after_seconds": 432_000,
            "failover_endpoint_id": null,
            "resumed_at": null,
            "disabled": null,
            "warnings": [],
            "created_at": "2023-11-14T22:13:20.000Z",
            "updated_at": "2023-11-14T22:13:20.000Z",
        })
    );
}

#[test]
fn every_bad_field_is_named_at_once() {
    let mut world = World::new();
    assert_eq!(
        world.refused_endpoint(json!({
            "url": "http://169.254.169.254/latest", "tenant": "", "secret": "short",
            "timeout_seconds": 0, "environment": "e".repeat(65), "method": "GET",
            "headers": {"bad name": "v", "x-empty": "", "X-Two": "a", "x-two": "b"},
            "retry": {"max_attempts": 0}, "rate_limit": {"burst": 9, "concurrency": 0}, "disable_after_seconds": 40_000_000,
        })),
        [
            "/secret",
            "/headers/bad name",
            "/headers/x-empty",
            "/headers/x-two",
            "/retry/max_attempts",
            "/environment",
            "/name",
            "/url",
            "/tenant",
            "/timeout_seconds",
            "/rate_limit/burst",
            "/rate_limit/concurrency",
            "/method",
            "/disable_after_seconds",
        ]
    );
    assert_eq!(
        world.refused_endpoint(json!({
            "name": "a", "url": 7, "circuit_breaker": "on", "ordered_by": "somewhere:c",
            "event_types": ["ord*"], "retry": {"max_attempts": "many"}, "timeout_seconds": -1,
        })),
        [
            "/circuit_breaker",
            "/event_types",
            "/ordered_by",
            "/retry/max_attempts",
            "/timeout_seconds",
            "/url",
        ]
    );
}

#[test]
fn lists_have_limits() {
    let mut world = World::new();
    let base = json!({"name": "a", "url": "https://a.example"});
    let many: serde_json::Map<_, _> = (0..33)
        .map(|index| (format!("x-{index}"), json!("v")))
        .collect();
    let mut input = base.clone();
    input["headers"] = json!(many);
    assert_eq!(world.refused_endpoint(input), ["/headers"]);
    let mut input = base.clone();
    input["event_types"] = json!(vec!["a.*"; 65]);
    assert_eq!(world.refused_endpoint(input), ["/event_types"]);
    let mut input = base;
    input["headers"] = json!({"x-long": "v".repeat(4_097)});
    assert_eq!(world.refused_endpoint(input), ["/headers/x-long"]);
}

#[test]
fn o1_reserved_headers_are_named_and_not_refused() {
    let mut world = World::new();
    let headers = json!({"Webhook-Id": "mine", "X-Team": "red"});
    let endpoint = world.endpoint(json!({"headers": headers}));
    assert_eq!(endpoint.warnings.len(), 1);
    assert!(endpoint.warnings[0].contains("Webhook-Id"));
    assert_eq!(endpoint.public(&world.sealing_key)["headers"], headers);
}

#[test]
fn o1_a_secret_is_made_shown_once_and_kept_sealed() {
    let mut world = World::new();
    let input = json!({"name": "a", "url": "https://a.example"});
    let input = EndpointInput::from_json(input).unwrap();
    let built = world.try_endpoint(input, None).unwrap();
    let secret = built.secret.expect("a new endpoint shows its secret");
    assert!(secret.expose().starts_with("whsec_"));
    let stored = built.endpoint.to_stored();
    assert!(!stored.contains(secret.expose()));
    assert!(
        !built
            .endpoint
            .public(&world.sealing_key)
            .to_string()
            .contains("whsec_")
    );
    let opened = Endpoint::from_stored(&stored).unwrap();
    assert_eq!(opened, built.endpoint);
    let live = opened
        .signing_secrets(&world.sealing_key, world.now)
        .unwrap();
    assert_eq!(live.len(), 1);
    assert_eq!(live[0].to_text(), secret);

    let input = EndpointInput::patched(
        &built.endpoint,
        json!({"tenant": "acme"}),
        &world.sealing_key,
    )
    .unwrap();
    let changed = world.try_endpoint(input, Some(&built.endpoint)).unwrap();
    assert_eq!(changed.secret, None);
    assert_eq!(changed.endpoint.secrets, built.endpoint.secrets);
}

#[test]
fn o1_while_rotating_both_secrets_sign_for_a_day() {
    let mut world = World::new();
    let mut endpoint = world.endpoint(json!({}));
    let new = SigningSecret::generate_hmac([9; 32]);
    let rotated = |secret: &SigningSecret, seconds| Rotation {
        secret: secret.clone(),
        overlap: Millis::from_seconds(seconds),
    };
    world.with(|making| endpoint.rotate_secret(&rotated(&new, 86_400), making));
    let live = endpoint
        .signing_secrets(&world.sealing_key, world.now)
        .unwrap();
    assert_eq!(live.len(), 2);
    assert_eq!(live[0].to_text(), new.to_text());
    let tomorrow = world.now + Millis::from_seconds(86_400);
    let live = endpoint
        .signing_secrets(&world.sealing_key, tomorrow)
        .unwrap();
    assert_eq!(live.len(), 1);

    for byte in 10..30 {
        let next = SigningSecret::generate_hmac([byte; 32]);
        world.with(|making| endpoint.rotate_secret(&rotated(&next, 86_400), making));
    }
    assert_eq!(endpoint.secrets.len(), LIVE_SECRETS_MAX);
    world.with(|making| endpoint.rotate_secret(&rotated(&new, 0), making));
    assert_eq!(
        endpoint.secrets.len(),
        1,
        "those of before are taken back at once"
    );
}

#[test]
fn a_secret_of_the_clients_own_is_taken_once() {
    let mut world = World::new();
    let own = SigningSecret::generate_hmac([3; 32]).to_text();
    let input = || {
        let input = json!({"name": "a", "url": "https://a.example", "secret": own.expose()});
        EndpointInput::from_json(input).unwrap()
    };
    let first = world.try_endpoint(input(), None).unwrap();
    assert_eq!(first.endpoint.secrets.len(), 1);
    let again = world.try_endpoint(input(), Some(&first.endpoint)).unwrap();
    assert_eq!(again.secret, None);
    assert_eq!(again.endpoint.secrets, first.endpoint.secrets);
    let live = again
        .endpoint
        .signing_secrets(&world.sealing_key, world.now)
        .unwrap();
    assert_eq!(live[0].to_text(), own);
}

#[test]
fn o7_a_patch_to_another_strategy_leaves_the_old_numbers_behind() {
    let mut world = World::new();
    let endpoint = world.endpoint(json!({"retry": {"schedule_seconds": [1, 2]}}));
    let patch = json!({"retry": {"strategy": "fixed", "base_seconds": 9}});
    let input = EndpointInput::patched(&endpoint, patch, &world.sealing_key).unwrap();
    let retry = input.retry.unwrap();
    assert_eq!(retry.strategy, Strategy::Fixed { base_seconds: 9 });
    assert_eq!(retry.max_attempts, 3);
}

#[test]
fn a_patch_adds_and_removes_single_headers() {
    let mut world = World::new();
    let endpoint = world.endpoint(json!({"headers": {"x-a": "1", "x-b": "2"}, "tenant": "acme"}));
    let patch = json!({"headers": {"x-a": null, "x-c": "3"}, "tenant": null});
    let input = EndpointInput::patched(&endpoint, patch, &world.sealing_key).unwrap();
    let changed = world.try_endpoint(input, Some(&endpoint)).unwrap().endpoint;
    assert_eq!(
        changed.public(&world.sealing_key)["headers"],
        json!({"x-b": "2", "x-c": "3"})
    );
    assert_eq!(changed.tenant, None);
    assert_eq!(changed.id, endpoint.id);
}

#[test]
fn d2_a_change_does_not_enable_an_endpoint_but_resume_does() {
    let mut world = World::new();
    let mut endpoint = world.endpoint(json!({"paused": true}));
    endpoint.disabled = Some(Disabled {
        at: world.now,
        reason: "answered 410".to_owned(),
    });
    let input =
        EndpointInput::patched(&endpoint, json!({"tenant": "acme"}), &world.sealing_key).unwrap();
    let mut changed = world.try_endpoint(input, Some(&endpoint)).unwrap().endpoint;
    assert_eq!(
        changed.public(&world.sealing_key)["disabled"]["reason"],
        "answered 410"
    );
    let refused = EndpointInput::patched(&changed, json!({"disabled": null}), &world.sealing_key)
        .unwrap_err();
    assert_eq!(pointers(refused), ["/disabled"]);
    changed.resume(world.now);
    assert!(changed.disabled.is_none() && !changed.paused);
}

#[test]
fn the_values_of_headers_are_sealed_and_secret_ones_are_masked() {
    let mut world = World::new();
    let headers = json!({"Authorization": "Bearer hush", "X-Team": "team-red"});
    let endpoint = world.endpoint(json!({"headers": headers}));
    let stored = endpoint.to_stored();
    assert!(
        !stored.contains("hush") && !stored.contains("team-red"),
        "{stored}"
    );
    let shown = json!({"Authorization": "***", "X-Team": "team-red"});
    assert_eq!(endpoint.public(&world.sealing_key)["headers"], shown);
    let read = Endpoint::from_stored(&stored).unwrap();
    assert_eq!(
        opened(&read, &world),
        ["Authorization: Bearer hush", "X-Team: team-red"]
    );

    let lost = SealingKey::from_bytes([8; 32]);
    assert!(read.open_headers(&lost).is_err());
    let masked = json!({"Authorization": "***", "X-Team": "***"});
    assert_eq!(read.public(&lost)["headers"], masked);
}

#[test]
fn a_mask_that_is_sent_back_keeps_the_value() {
    let mut world = World::new();
    let headers = json!({"Authorization": "Bearer hush", "X-Key": "old", "X-Team": "red"});
    let endpoint = world.endpoint(json!({"headers": headers}));
    let patch = json!({"headers": {"X-Key": "new", "X-Team": "blue"}});
    let input = EndpointInput::patched(&endpoint, patch, &world.sealing_key).unwrap();
    let patched = world.try_endpoint(input, Some(&endpoint)).unwrap().endpoint;
    let expected = ["Authorization: Bearer hush", "X-Key: new", "X-Team: blue"];
    assert_eq!(opened(&patched, &world), expected);

    let put = json!({"name": "shop", "url": "https://shop.example/hook",
                     "headers": {"authorization": "***", "x-team": "***"}});
    let input = EndpointInput::from_json(put.clone()).unwrap();
    let replaced = world.try_endpoint(input, Some(&patched)).unwrap().endpoint;
    let expected = ["authorization: Bearer hush", "x-team: blue"];
    assert_eq!(opened(&replaced, &world), expected);

    let nothing_to_keep = ["/headers/authorization", "/headers/x-team"];
    assert_eq!(world.refused_endpoint(put), nothing_to_keep);
}

/// Each header as a line, in the order in which they are kept.
fn opened(endpoint: &Endpoint, world: &World) -> Vec<String> {
    let headers = endpoint.open_headers(&world.sealing_key).unwrap();
    let line = |(name, value)| format!("{name}: {value}");
    headers.into_iter().map(line).collect()
}
