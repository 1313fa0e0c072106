//! C7: how a changed rule is remembered, and for how long.

use serde_json::json;

use crate::config::testing::{World, pointers};
use crate::config::{Source, SourceInput, Window};
use crate::limits::FORMER_RULES_MAX;
use crate::time::{Millis, Timestamp};

const DAY: i64 = 86_400;

fn after(world: &mut World, seconds: i64) -> Timestamp {
    world.now = world.now + Millis::from_seconds(seconds);
    world.now
}

fn key(name: &str) -> serde_json::Value {
    json!({"key": {"locations": [format!("body:$.{name}")]}})
}

fn keyed(world: &mut World, window_seconds: i64) -> Source {
    let key = key("a")["key"].clone();
    world.source(json!({"name": "s", "window_seconds": window_seconds, "key": key}))
}

#[test]
fn c7_a_changed_rule_is_looked_up_until_its_window_has_run_out() {
    let mut world = World::new();
    let first = keyed(&mut world, DAY);
    let changed_at = after(&mut world, 100);
    let second = world.patched_source(&first, key("b"));
    assert_eq!(second.former_rules.len(), 1);
    assert_eq!(Some(&second.former_rules[0].key), first.key.as_ref());
    assert_eq!(
        second.former_rules[0].until,
        changed_at + Millis::from_seconds(DAY)
    );

    after(&mut world, DAY - 1);
    assert_eq!(
        world
            .patched_source(&second, json!({"sliding": true}))
            .former_rules
            .len(),
        1
    );
    after(&mut world, 1);
    assert_eq!(
        world
            .patched_source(&second, json!({"sliding": true}))
            .former_rules
            .len(),
        0
    );
}

#[test]
fn c7_a_window_without_end_keeps_its_rule_for_ever() {
    let mut world = World::new();
    let first = keyed(&mut world, DAY);
    let forever = world.patched_source(&first, json!({"window_seconds": "forever"}));
    let second = world.patched_source(&forever, key("b"));
    assert_eq!(second.former_rules[0].until, Timestamp::NEVER);
}

#[test]
fn c7_every_part_of_a_rule_counts() {
    let mut world = World::new();
    let first = world.source(json!({
        "name": "s", "key": {"locations": ["body:$.a", "body:$.b"]},
    }));
    for patch in [
        json!({"key": {"locations": ["body:$.b", "body:$.a"]}}),
        json!({"key": {"locations": ["body:$.a", "body:$.b"], "mode": "first"}}),
        json!({"key": {"locations": ["body:$.a", "body:$.b"], "bind_body": true}}),
        json!({"key": {"content": true}}),
        json!({"key": null}),
        json!({"event_type": "body:$.type"}),
        json!({"fingerprint_exclude": ["$.attempt"]}),
        json!({"split": "body:$.events"}),
    ] {
        let second = world.patched_source(&first, patch.clone());
        assert_eq!(second.former_rules.len(), 1, "{patch}");
    }
    for patch in [
        json!({"window_seconds": 60}),
        json!({"on_conflict": "accept"}),
        json!({"name": "t"}),
        json!({}),
    ] {
        let second = world.patched_source(&first, patch.clone());
        assert_eq!(second.former_rules, [], "{patch}");
    }
}

#[test]
fn c7_an_unkeyed_source_has_claimed_nothing() {
    let mut world = World::new();
    let unkeyed = world.source(json!({"name": "s"}));
    assert_eq!(world.patched_source(&unkeyed, key("a")).former_rules, []);
}

#[test]
fn c7_a_shortened_window_does_not_shorten_the_claims_that_were_made_before() {
    let mut world = World::new();
    let first = keyed(&mut world, 30 * DAY);
    let shortened_at = world.now;
    let shorter = world.patched_source(&first, json!({"window_seconds": 60}));
    assert_eq!(shorter.window, Window::Seconds(60));
    after(&mut world, DAY);
    let second = world.patched_source(&shorter, key("b"));
    let claims_end = shortened_at + Millis::from_seconds(30 * DAY);
    assert_eq!(second.former_rules[0].until, claims_end);
}

#[test]
fn c7_a_rule_that_comes_back_is_not_former_and_its_first_claims_still_count() {
    let mut world = World::new();
    let first = keyed(&mut world, 30 * DAY);
    let long_claims_end = world.now + Millis::from_seconds(30 * DAY);
    let second = world.patched_source(&first, key("b"));
    let second = world.patched_source(&second, json!({"window_seconds": DAY}));
    let back = world.patched_source(&second, key("a"));
    let former: Vec<_> = back
        .former_rules
        .iter()
        .map(|rule| rule.key.clone())
        .collect();
    assert_eq!(former, [second.key.clone().unwrap()]);
    let third = world.patched_source(&back, key("c"));
    let first_rule = third
        .former_rules
        .iter()
        .find(|rule| Some(&rule.key) == first.key.as_ref());
    assert_eq!(first_rule.map(|rule| rule.until), Some(long_claims_end));
}

#[test]
fn c7_no_former_rule_is_forgotten_while_it_protects_keys() {
    let mut world = World::new();
    let mut source = keyed(&mut world, DAY);
    for change in 0..FORMER_RULES_MAX {
        source = world.patched_source(&source, key(&format!("n{change}")));
    }
    assert_eq!(source.former_rules.len(), FORMER_RULES_MAX);
    let input = SourceInput::patched(&source, key("one_more")).unwrap();
    let refused = world.try_source(input, Some(&source), None).unwrap_err();
    assert_eq!(pointers(refused), ["/key"]);

    after(&mut world, DAY);
    assert_eq!(
        world
            .patched_source(&source, key("one_more"))
            .former_rules
            .len(),
        1
    );
}
