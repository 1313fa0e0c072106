//! Sources that share one key space.

use serde_json::{Value, json};

use crate::config::testing::World;
use crate::config::{BuiltSource, Group, GroupFacts, Record, Source, SourceInput, Window};
use crate::ids::GroupId;

fn member(
    world: &mut World,
    existing: Option<&Source>,
    group: Option<(&Group, &[&Source])>,
    fields: Value,
) -> BuiltSource {
    let mut input = json!({"name": "m", "key": {"locations": ["body:$.id"], "group": "shop"}});
    input
        .as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    let input = SourceInput::from_json(input).unwrap();
    assert_eq!(input.group_name(), Some("shop"));
    let facts = GroupFacts {
        existing: group.map(|(group, _)| group),
        others: group.map_or(&[], |(_, others)| others),
        new_id: GroupId::from_number(77),
    };
    world.try_source(input, existing, Some(facts)).unwrap()
}

#[test]
fn c1_the_first_member_founds_the_group() {
    let mut world = World::new();
    let built = member(
        &mut world,
        None,
        None,
        json!({"window_seconds": 60, "on_conflict": "reject", "fingerprint_exclude": ["$.n"]}),
    );
    let group = built.group.unwrap();
    assert_eq!(group.id, GroupId::from_number(77));
    assert_eq!(
        (group.name.as_str(), group.window),
        ("shop", Window::Seconds(60))
    );
    assert_eq!(built.source.group, Some(group.id));
    assert_eq!(built.source.warnings, [""; 0]);
    assert_eq!(Group::from_stored(&group.to_stored()).unwrap(), group);
}

#[test]
fn c1_later_members_follow_and_are_told_what_changed() {
    let mut world = World::new();
    let founder = member(
        &mut world,
        None,
        None,
        json!({"window_seconds": 60, "on_conflict": "reject", "fingerprint_exclude": ["$.n"],
            "key": {"locations": ["body:$.id", "body:$.n"], "mode": "first", "group": "shop"}}),
    );
    let group = founder.group.unwrap();
    let joined = member(
        &mut world,
        None,
        Some((&group, &[&founder.source])),
        json!({"window_seconds": 90}),
    );
    assert_eq!(joined.group, None);
    assert_eq!(joined.source.group, Some(group.id));
    assert_eq!(joined.source.window, Window::Seconds(60));
    assert_eq!(joined.source.on_conflict, group.on_conflict);
    assert_eq!(joined.source.fingerprint_exclude, group.fingerprint_exclude);
    assert_eq!(joined.source.public("")["key"]["mode"], "first");
    let fields: Vec<_> = joined
        .source
        .warnings
        .iter()
        .map(|text| text.split(' ').next().unwrap())
        .collect();
    assert_eq!(
        fields,
        [
            "key.mode",
            "window_seconds",
            "on_conflict",
            "fingerprint_exclude"
        ]
    );
}

#[test]
fn c1_the_only_member_changes_its_group() {
    let mut world = World::new();
    let founder = member(&mut world, None, None, json!({}));
    let group = founder.group.unwrap();
    let source = Some(&founder.source);
    let same = member(&mut world, source, Some((&group, &[])), json!({}));
    assert_eq!(same.group, None);
    let changed = member(
        &mut world,
        source,
        Some((&group, &[])),
        json!({"window_seconds": 90}),
    );
    assert_eq!(changed.source.window, Window::Seconds(90));
    assert_eq!(
        changed.group,
        Some(Group {
            window: Window::Seconds(90),
            ..group
        })
    );
}

#[test]
fn c7_joining_and_leaving_a_group_keeps_the_old_scope_in_view() {
    let mut world = World::new();
    let alone = world.source(json!({"name": "m", "key": {"locations": ["body:$.id"]}}));
    let facts = world.group_facts();
    let patch = json!({"key": {"locations": ["body:$.id"], "group": "shop"}});
    let input = SourceInput::patched(&alone, patch).unwrap();
    let joined = world
        .try_source(input, Some(&alone), Some(facts))
        .unwrap()
        .source;
    assert_eq!(joined.former_rules.len(), 1);
    assert_eq!(joined.former_rules[0].group, None);

    let left = world.patched_source(&joined, json!({"key": {"locations": ["body:$.id"]}}));
    assert_eq!(left.group, None);
    assert_eq!(left.former_rules.len(), 1);
    assert_eq!(left.former_rules[0].group, joined.group);
}

#[test]
fn c7_a_source_that_joins_looks_up_what_the_group_claimed_under_former_rules() {
    let mut world = World::new();
    let founder = member(
        &mut world,
        None,
        None,
        json!({"key": {"locations": ["body:$.old"], "group": "shop"}}),
    );
    let group = founder.group.unwrap();
    let old_rule = founder.source.key.clone().map(|mut key| {
        key.group = None;
        key
    });
    let alone: (&Group, &[&Source]) = (&group, &[]);
    let changed = member(&mut world, Some(&founder.source), Some(alone), json!({})).source;
    let stranger = world.source(json!({"name": "x", "key": {"locations": ["body:$.x"]}}));
    let stranger = world.patched_source(&stranger, json!({"key": {"locations": ["body:$.y"]}}));
    assert_eq!(stranger.former_rules.len(), 1);

    let left = world.patched_source(&changed, json!({"key": {"locations": ["body:$.id"]}}));
    for other in [&changed, &left] {
        let others = [other, &stranger];
        let joined = member(&mut world, None, Some((&group, &others)), json!({})).source;
        let [taken] = joined.former_rules.as_slice() else {
            panic!("one rule claimed in the group: {:?}", joined.former_rules);
        };
        assert_eq!(Some(&taken.key), old_rule.as_ref());
        assert_eq!(taken.group, Some(group.id));

        // A second way to the same rule adds nothing, and the current rule is never former.
        let again = [&joined, other];
        let second = member(&mut world, None, Some((&group, &again)), json!({})).source;
        assert_eq!(second.former_rules.len(), 1);
    }

    world.now = changed.former_rules[0].until;
    let late = member(&mut world, None, Some((&group, &[&changed])), json!({})).source;
    assert_eq!(late.former_rules, []);
}
