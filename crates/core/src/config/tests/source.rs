//! What a source may say, what its provider adds, and what it is warned of.

use serde_json::json;

use crate::config::testing::World;
use crate::config::{OnConflict, Record, Source, SourceInput, Window};
use crate::token::token_hash;

const STRIPE: &str = "whsec_stripe_secret";

#[test]
fn a_source_has_a_default_for_everything_but_its_name() {
    let mut world = World::new();
    let source = world.source(json!({"name": "orders"}));
    assert_eq!(
        source.public("https://gateway.example/ingest/token"),
        json!({
            "id": "src_0000000000001",
            "project_id": "prj_0000000000001",
            "name": "orders",
            "provider": null,
            "verifier": {"type": "none"},
            "key": null,
            "shadow_key": null,
            "window_seconds": 604_800,
            "sliding": false,
            "on_conflict": "suppress",
            "on_failed_original": "redrive",
            "event_type": null,
            "split": null,
            "fingerprint_exclude": [],
            "methods": ["POST"],
            "response": null,
            "max_body_bytes": 5_242_880,
            "paused": false,
            "ingest_url": "https://gateway.example/ingest/token",
            "former_ingest_urls_until": null,
            "unsigned_locations": [],
            "former_rules": [],
            "warnings": [],
            "created_at": "2023-11-14T22:13:20.000Z",
            "updated_at": "2023-11-14T22:13:20.000Z",
        })
    );
}

#[test]
fn a_provider_gives_what_is_left_out() {
    let mut world = World::new();
    let github = world.source(json!({
        "name": "github", "provider": "github", "verifier": {"secret": "hush"},
    }));
    let shown = github.public("");
    assert_eq!(
        shown["key"]["locations"],
        json!(["header:x-github-delivery"])
    );
    assert_eq!(shown["event_type"], "header:x-github-event");
    assert_eq!(shown["max_body_bytes"], 25 * 1024 * 1024);
    assert_eq!(shown["verifier"]["header"], "x-hub-signature-256");
}

#[test]
fn what_is_said_beats_the_preset() {
    let mut world = World::new();
    let source = world.source(json!({
        "name": "stripe", "provider": "stripe", "verifier": {"secret": STRIPE},
        "key": {"locations": ["body:$.data.object.id"]}, "event_type": "header:x-type",
        "window_seconds": "forever", "max_body_bytes": 10,
    }));
    let shown = source.public("");
    assert_eq!(shown["key"]["locations"], json!(["body:$.data.object.id"]));
    assert_eq!(shown["event_type"], "header:x-type");
    assert_eq!(shown["window_seconds"], "forever");
    assert_eq!(shown["max_body_bytes"], 10);
}

#[test]
fn a_key_rule_without_locations_uses_those_of_the_preset() {
    let mut world = World::new();
    let source = world.source(json!({
        "name": "shopify", "provider": "shopify", "verifier": {"secret": "hush"},
        "key": {"missing_key": "reject", "bind_body": true},
    }));
    let shown = source.public("");
    assert_eq!(shown["key"]["locations"].as_array().map(Vec::len), Some(2));
    assert_eq!(shown["key"]["missing_key"], "reject");
}

#[test]
fn c4_a_window_below_the_providers_own_is_warned_of_with_both_numbers() {
    let mut world = World::new();
    let source = world.source(json!({
        "name": "stripe", "provider": "stripe", "verifier": {"secret": STRIPE},
        "window_seconds": 86_400,
    }));
    assert_eq!(source.warnings.len(), 1, "{:?}", source.warnings);
    assert!(source.warnings[0].contains("86400") && source.warnings[0].contains("2851200"));
    let longer = world.patched_source(&source, json!({"window_seconds": 4_000_000}));
    assert_eq!(longer.warnings, [""; 0]);
}

#[test]
fn k12_a_key_of_times_is_warned_of() {
    let mut world = World::new();
    let source = world.source(json!({"name": "a", "key": {"locations": ["body:$.created_at"]}}));
    assert_eq!(source.warnings.len(), 1, "{:?}", source.warnings);
}

#[test]
fn k6_a_content_key_is_warned_of() {
    let mut world = World::new();
    let source = world.source(json!({"name": "a", "key": {"content": true}}));
    assert!(
        source.warnings[0].contains("content"),
        "{:?}",
        source.warnings
    );
}

#[test]
fn k8_a_location_outside_the_signature_is_named() {
    let mut world = World::new();
    let github = world.source(json!({
        "name": "github", "provider": "github", "verifier": {"secret": "hush"},
    }));
    assert_eq!(github.unsigned_locations, ["header:x-github-delivery"]);
    assert!(
        github.warnings[0].contains("bind_body"),
        "{:?}",
        github.warnings
    );

    let key = json!({"locations": ["header:x-github-delivery"], "bind_body": true});
    let bound = world.patched_source(&github, json!({"key": key}));
    assert_eq!(bound.unsigned_locations, ["header:x-github-delivery"]);
    assert_eq!(bound.warnings, [""; 0]);
}

#[test]
fn every_bad_field_is_named_at_once() {
    let mut world = World::new();
    assert_eq!(world.refused_source(json!([])), [""]);
    assert_eq!(
        world.refused_source(json!({
            "provider": "strype", "window_seconds": 0, "max_body_bytes": 1_000_000_000_000_u64,
            "key": {"locations": []}, "methods": ["TRACE"],
            "response": {"status": 404, "content_type": "a\nb", "body": "b".repeat(20_000)},
        })),
        [
            "/provider",
            "/name",
            "/key/locations",
            "/window_seconds",
            "/max_body_bytes",
            "/response/status",
            "/response/content_type",
            "/response/body",
            "/methods",
        ]
    );
    assert_eq!(
        world.refused_source(json!({
            "name": 7, "circuit_breaker": {}, "window_seconds": "long", "sliding": "yes",
            "event_type": "body:$..id", "key": {"locations": ["where"]},
            "response": {"status": "ok"}, "on_conflict": "ignore", "split": "header:x",
        })),
        [
            "/circuit_breaker",
            "/event_type",
            "/key/locations",
            "/name",
            "/on_conflict",
            "/response/status",
            "/sliding",
            "/split",
            "/window_seconds",
        ]
    );
}

#[test]
fn names_have_limits() {
    let mut world = World::new();
    for name in ["", " a", "a\n", &"n".repeat(129)] {
        assert_eq!(
            world.refused_source(json!({"name": name})),
            ["/name"],
            "{name:?}"
        );
    }
    assert_eq!(
        world
            .source(json!({"name": "ü".repeat(128)}))
            .name
            .chars()
            .count(),
        128
    );
}

#[test]
fn methods_are_upper_case_and_unique() {
    let mut world = World::new();
    let source = world.source(json!({"name": "a", "methods": ["post", "PUT", "Post"]}));
    assert_eq!(source.methods, ["POST", "PUT"]);
    assert_eq!(
        world.refused_source(json!({"name": "a", "methods": []})),
        ["/methods"]
    );
}

#[test]
fn the_ingest_token_can_be_shown_again_and_found_by_its_hash() {
    let mut world = World::new();
    let source = world.source(json!({"name": "a"}));
    let token = source.token(&world.sealing_key).unwrap();
    assert_eq!(token_hash(token.expose()), source.token_hash.0);
    assert!(!source.to_stored().contains(token.expose()));
    let other = world.source(json!({"name": "b"}));
    assert_ne!(other.token_hash, source.token_hash);
}

#[test]
fn a_changed_source_keeps_its_id_token_and_birth() {
    let mut world = World::new();
    let source = world.source(json!({"name": "a", "paused": true}));
    world.now = world.now + crate::time::Millis::from_seconds(5);
    let input = SourceInput::from_json(json!({"name": "a", "sliding": true})).unwrap();
    let changed = world.try_source(input, Some(&source), None).unwrap().source;
    assert_eq!(changed.id, source.id);
    assert_eq!(changed.token_hash, source.token_hash);
    assert_eq!(changed.created_at, source.created_at);
    assert_eq!(changed.updated_at, world.now);
    assert!(changed.paused && changed.sliding);
}

#[test]
fn a_patch_changes_what_it_names() {
    let mut world = World::new();
    let source = world.source(json!({
        "name": "a", "key": {"locations": ["body:id"], "mode": "first"}, "on_conflict": "reject",
        "response": {"status": 202, "body": "ok"},
    }));
    let patch = json!({"window_seconds": "forever", "response": {"status": 204}});
    let changed = world.patched_source(&source, patch);
    assert_eq!(changed.window, Window::Forever);
    assert_eq!(changed.on_conflict, OnConflict::Reject);
    let response = changed.response.clone().unwrap();
    assert_eq!(
        (response.status, response.body.as_deref()),
        (204, Some("ok"))
    );
    assert_eq!(changed.key, source.key);

    let replaced = world.patched_source(&changed, json!({"key": {"locations": ["body:id2"]}}));
    assert_eq!(replaced.public("")["key"]["mode"], "all");
    let unkeyed = world.patched_source(&replaced, json!({"key": null, "response": null}));
    assert!(unkeyed.key.is_none() && unkeyed.response.is_none());
}

#[test]
fn what_get_shows_can_be_sent_back_as_a_patch() {
    let mut world = World::new();
    let source = world.source(json!({
        "name": "stripe", "provider": "stripe", "verifier": {"secret": STRIPE},
    }));
    let same = world.patched_source(&source, source.public("https://here.example/ingest/x"));
    assert_eq!(same.public(""), source.public(""));
    let errors = SourceInput::patched(&source, json!({"id": "src_0000000000009"})).unwrap_err();
    assert_eq!(errors[0].pointer, "/id");
}

#[test]
fn another_provider_gives_its_own_where_the_old_one_had_given() {
    let mut world = World::new();
    let stripe = world.source(json!({
        "name": "a", "provider": "stripe", "verifier": {"secret": STRIPE},
        "event_type": "header:x-own",
    }));
    let patch = json!({"provider": "github", "verifier": {"secret": "hush"}});
    let github = world.patched_source(&stripe, patch);
    let shown = github.public("");
    assert_eq!(
        shown["key"]["locations"],
        json!(["header:x-github-delivery"])
    );
    assert_eq!(shown["event_type"], "header:x-own");
    assert_eq!(shown["window_seconds"], 604_800);

    let alone = world.patched_source(
        &github,
        json!({"provider": null, "verifier": {"type": "none"}}),
    );
    assert_eq!(alone.public("")["key"], json!(null));
}

#[test]
fn a_stored_source_comes_back_as_it_was() {
    let mut world = World::new();
    let source = world.source(json!({
        "name": "a", "provider": "stripe", "verifier": {"secret": STRIPE},
        "window_seconds": "forever", "split": "body:$.events", "response": {"status": 201},
        "fingerprint_exclude": ["$.attempt", "body:$.items[*].sent_at"],
    }));
    let changed = world.patched_source(&source, json!({"key": {"locations": ["body:$.other"]}}));
    assert_eq!(changed.former_rules.len(), 1);
    let stored = changed.to_stored();
    assert_eq!(Source::from_stored(&stored).unwrap(), changed);
    assert!(!stored.contains(STRIPE), "{stored}");
}

#[test]
fn a_later_field_is_ignored_and_a_later_version_refused() {
    let mut world = World::new();
    let source = world.source(json!({"name": "a"}));
    let mut stored: serde_json::Value = serde_json::from_str(&source.to_stored()).unwrap();
    stored["record"]["colour"] = json!("red");
    stored["record"].as_object_mut().unwrap().remove("warnings");
    assert_eq!(Source::from_stored(&stored.to_string()).unwrap(), source);
    stored["version"] = json!(2);
    let error = Source::from_stored(&stored.to_string()).unwrap_err();
    assert!(error.to_string().contains("version 2"), "{error}");
    assert!(Source::from_stored("{}").is_err());
}
