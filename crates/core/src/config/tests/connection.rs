//! What a connection may say, and what it is told when it may not.

use serde_json::json;

use crate::config::testing::{World, pointers};
use crate::config::{Connection, ConnectionInput, Origin, Record};
use crate::ids::{EndpointId, SourceId};

#[test]
fn a_connection_leads_from_a_source_or_from_event_types() {
    let mut world = World::new();
    let source = SourceId::from_number(5);
    let endpoint = EndpointId::from_number(6);
    let from_source =
        world.connection(json!({"name": "c", "source_id": source, "endpoint_id": endpoint}));
    assert_eq!(from_source.from, Origin::Source(source));
    let by_type = world.connection(
        json!({"name": "d", "event_types": ["order.*"], "endpoint_id": endpoint, "rules": []}),
    );
    assert_eq!(by_type.public()["event_types"], json!(["order.*"]));
    assert_eq!(by_type.public()["rules"], json!([]));
    for connection in [from_source, by_type] {
        assert_eq!(
            Connection::from_stored(&connection.to_stored()).unwrap(),
            connection
        );
    }
}

#[test]
fn every_bad_field_is_named_at_once() {
    let mut world = World::new();
    let unknown = SourceId::from_number(404);
    let nowhere = EndpointId::from_number(404);
    let somewhere = EndpointId::from_number(6);
    for (input, refused) in [
        (json!({}), vec!["/name", "/source_id", "/endpoint_id"]),
        (
            json!({"name": "c", "source_id": unknown, "endpoint_id": nowhere}),
            vec!["/source_id", "/endpoint_id"],
        ),
        (
            json!({"name": "c", "source_id": SourceId::from_number(5), "event_types": ["*"],
                "endpoint_id": somewhere}),
            vec!["/event_types"],
        ),
        (
            json!({"name": "c", "event_types": [], "endpoint_id": somewhere}),
            vec!["/event_types"],
        ),
        (
            json!({"name": "c", "event_types": ["*"], "endpoint_id": somewhere,
                "rules": [{"type": "filter"}]}),
            vec!["/rules/0"],
        ),
        (
            json!({"source_id": "ep_1", "rule": []}),
            vec!["/rule", "/source_id"],
        ),
    ] {
        let built = ConnectionInput::from_json(input.clone());
        let errors = built
            .and_then(|input| world.try_connection(input, None))
            .unwrap_err();
        assert_eq!(pointers(errors), refused, "{input}");
    }
}

#[test]
fn a_patch_may_turn_a_source_into_event_types() {
    let mut world = World::new();
    let connection = world.connection(json!({
        "name": "c", "source_id": SourceId::from_number(5),
        "endpoint_id": EndpointId::from_number(6), "paused": false,
    }));
    let input = ConnectionInput::patched(&connection, json!({"event_types": ["*"]})).unwrap();
    let changed = world.try_connection(input, Some(&connection)).unwrap();
    assert!(matches!(changed.from, Origin::EventTypes(_)));
    assert_eq!(changed.id, connection.id);
    assert!(!changed.paused);
}

#[test]
fn a_connection_is_paused_and_resumed_and_says_since_when() {
    let mut world = World::new();
    let mut connection = world.connection(json!({
        "name": "c", "event_types": ["*"], "endpoint_id": EndpointId::from_number(6),
        "paused": true,
    }));
    assert!(connection.paused);
    let patched = ConnectionInput::patched(&connection, json!({"paused": false})).unwrap();
    let changed = world.try_connection(patched, Some(&connection)).unwrap();
    assert_eq!(changed.resumed_at, Some(world.now));
    let renamed = ConnectionInput::patched(&changed, json!({"name": "d"})).unwrap();
    let renamed = world.try_connection(renamed, Some(&changed)).unwrap();
    assert_eq!(renamed.resumed_at, Some(world.now), "it is kept");
    connection.resume(world.now);
    assert!(!connection.paused);
    connection.pause(world.now);
    assert!(connection.paused);
}

#[test]
fn rules_are_kept_as_they_were_written() {
    let mut world = World::new();
    let rules = json!([
        {"type": "filter", "body": {"total": {"$gt": 0.5}, "n": 9_007_199_254_740_993_u64}},
        {"type": "deduplicate", "locations": ["body:$.id"], "window_seconds": 60},
        {"type": "deduplicate", "exclude": ["$.at"], "window_seconds": "forever"},
        {"type": "delay", "seconds": 5},
    ]);
    let connection = world.connection(json!({
        "name": "c", "event_types": ["*"], "endpoint_id": EndpointId::from_number(6),
        "rules": rules,
    }));
    assert_eq!(connection.public()["rules"], rules);
    let stored = Connection::from_stored(&connection.to_stored()).unwrap();
    assert_eq!(stored, connection);
    let renamed = ConnectionInput::patched(&connection, json!({"name": "d"})).unwrap();
    let renamed = world.try_connection(renamed, Some(&connection)).unwrap();
    assert_eq!(renamed.rules, connection.rules);
    let without = ConnectionInput::patched(&connection, json!({"rules": []})).unwrap();
    let without = world.try_connection(without, Some(&connection)).unwrap();
    assert_eq!(without.rules, []);
}

#[test]
fn every_mistake_in_the_rules_is_named_by_its_place() {
    let mut world = World::new();
    let rules = json!([
        {"type": "filter", "body": {"a": {"$is": 1}}},
        {"type": "deduplicate", "locations": ["body:$.id"], "include": ["$.a"]},
        {"type": "deduplicate", "window_seconds": 0},
        {"type": "deduplicate", "locations": ["id"]},
        {"type": "delay"},
        {"type": "filtre"},
        7,
        {"type": "delay", "second": 1},
    ]);
    let input = ConnectionInput::from_json(json!({
        "name": "c", "event_types": ["*"], "endpoint_id": EndpointId::from_number(6),
        "rules": rules,
    }));
    let errors = input
        .and_then(|input| world.try_connection(input, None))
        .unwrap_err();
    let expected = [
        "/rules/0/body/a/$is",
        "/rules/1/include",
        "/rules/2/window_seconds",
        "/rules/3/locations",
        "/rules/4/seconds",
        "/rules/5/type",
        "/rules/6",
        "/rules/7/second",
    ];
    let found = pointers(errors);
    for pointer in expected {
        assert!(found.iter().any(|it| it == pointer), "{pointer}: {found:?}");
    }
}
