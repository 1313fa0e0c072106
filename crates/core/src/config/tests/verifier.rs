//! How a source keeps, changes and hides its verifier.

use serde_json::{Value, json};

use crate::config::testing::{World, pointers};
use crate::config::{Record, Source, SourceInput};
use crate::verify::{Refusal, SignedRequest};

fn basic(world: &mut World) -> Source {
    world.source(json!({
        "name": "a", "verifier": {"type": "basic", "username": "u", "password": "correct horse"},
    }))
}

fn verified(world: &World, source: &Source, authorization: &str) -> Result<(), Refusal> {
    let verifier = source.verifier.open(source.id, &world.sealing_key).unwrap();
    let headers = [("authorization", authorization.as_bytes())];
    verifier.verify(
        &SignedRequest {
            method: "POST",
            url: "",
            headers: &headers,
            query: "",
            body: b"",
        },
        world.now,
    )
}

/// `u:correct horse` and `v:correct horse` in base64.
const GOOD: &str = "Basic dTpjb3JyZWN0IGhvcnNl";
const OTHER_USER: &str = "Basic djpjb3JyZWN0IGhvcnNl";

fn put(world: &mut World, source: &Source, input: Value) -> Result<Source, Vec<String>> {
    let input = SourceInput::from_json(input).unwrap();
    let built = world.try_source(input, Some(source), None);
    built.map(|built| built.source).map_err(pointers)
}

#[test]
fn secrets_are_neither_shown_nor_stored_in_clear() {
    let mut world = World::new();
    let source = basic(&mut world);
    assert_eq!(
        source.public("")["verifier"],
        json!({"type": "basic", "username": "u"})
    );
    assert!(!source.to_stored().contains("horse"));
    assert!(!format!("{source:?}").contains("horse"));
    assert_eq!(verified(&world, &source, GOOD), Ok(()));
}

#[test]
fn a_patch_that_names_no_secret_keeps_it() {
    let mut world = World::new();
    let source = basic(&mut world);
    let paused = world.patched_source(&source, json!({"paused": true}));
    assert_eq!(verified(&world, &paused, GOOD), Ok(()));
    let renamed = world.patched_source(&paused, json!({"verifier": {"username": "v"}}));
    assert_eq!(verified(&world, &renamed, OTHER_USER), Ok(()));
    assert!(verified(&world, &renamed, GOOD).is_err());
}

#[test]
fn a_script_that_runs_twice_without_the_secret_turns_nothing_off() {
    let mut world = World::new();
    let source = basic(&mut world);
    let again = put(&mut world, &source, json!({"name": "a"})).unwrap();
    assert_eq!(verified(&world, &again, GOOD), Ok(()));
    let verifier = json!({"type": "basic", "username": "u"});
    let again = put(
        &mut world,
        &again,
        json!({"name": "a", "verifier": verifier}),
    )
    .unwrap();
    assert_eq!(verified(&world, &again, GOOD), Ok(()));
    let open = put(
        &mut world,
        &again,
        json!({"name": "a", "verifier": {"type": "none"}}),
    )
    .unwrap();
    assert_eq!(verified(&world, &open, "Basic nonsense"), Ok(()));
}

#[test]
fn a_providers_secrets_are_kept_as_well() {
    let mut world = World::new();
    let github = world.source(json!({
        "name": "g", "provider": "github", "verifier": {"secret": "hush"},
    }));
    for input in [
        json!({"name": "g", "provider": "github"}),
        json!({"name": "g", "provider": "github", "verifier": {}}),
        json!({"name": "g", "provider": "github", "verifier": {"type": "github"}}),
    ] {
        let again = put(&mut world, &github, input.clone()).unwrap();
        assert_eq!(
            again.public("")["verifier"],
            github.public("")["verifier"],
            "{input}"
        );
        assert!(again.verifier.open(again.id, &world.sealing_key).is_ok());
    }
}

#[test]
fn a_secret_of_one_type_never_serves_another() {
    let mut world = World::new();
    let source = basic(&mut world);
    let verifier = json!({"type": "api_key", "header": "x-key"});
    let errors = put(
        &mut world,
        &source,
        json!({"name": "a", "verifier": verifier}),
    );
    assert_eq!(errors.unwrap_err(), ["/verifier/secret"]);
    let patched = SourceInput::patched(&source, json!({"verifier": {"type": "api_key"}})).unwrap();
    let errors = world.try_source(patched, Some(&source), None).unwrap_err();
    assert_eq!(pointers(errors), ["/verifier/secret"]);
}

#[test]
fn another_provider_needs_another_secret() {
    let mut world = World::new();
    let source = basic(&mut world);
    for patch in [json!({"provider": "github"}), json!({"provider": "stripe"})] {
        let input = SourceInput::patched(&source, patch).unwrap();
        let errors = world.try_source(input, Some(&source), None).unwrap_err();
        assert_eq!(pointers(errors), ["/verifier"]);
    }
    let open = world.source(json!({"name": "b"}));
    let input = SourceInput::patched(&open, json!({"provider": "github"})).unwrap();
    assert!(world.try_source(input, Some(&open), None).is_ok());
}

#[test]
fn k7_a_provider_whose_signatures_are_not_checked_is_warned_of() {
    let mut world = World::new();
    let source = world.source(json!({
        "name": "g", "provider": "github", "verifier": {"type": "none"},
    }));
    assert_eq!(source.warnings.len(), 1, "{:?}", source.warnings);
    assert!(source.warnings[0].contains("GitHub"));
}

#[test]
fn a_provider_without_a_secret_is_refused() {
    let mut world = World::new();
    let pointers = world.refused_source(json!({"name": "g", "provider": "github"}));
    assert_eq!(pointers, ["/verifier/secret"]);
}
