//! Projects and API keys.

use serde_json::json;

use crate::config::testing::{World, pointers};
use crate::config::{ApiKey, ApiKeyInput, Project, ProjectInput, Record, RotationInput, Scope};
use crate::ids::{ApiKeyId, ProjectId};
use crate::secret::Secret;
use crate::time::Millis;
use crate::token::api_key_hash;

#[test]
fn a_project_signs_with_a_secret_that_is_kept_sealed() {
    let mut world = World::new();
    let input = ProjectInput::from_json(json!({"name": "shop"})).unwrap();
    let (project, secret) = world.with(|making| input.build(making)).unwrap();
    let stored = project.to_stored();
    assert!(!stored.contains(secret.expose()));
    let project = Project::from_stored(&stored).unwrap();
    let opened = project.signing_secrets(&world.sealing_key).unwrap();
    assert_eq!((opened.len(), opened[0].0.to_text()), (1, secret));
    assert!(!project.public().to_string().contains("secret"));
}

#[test]
fn a_projects_secret_rotates_and_the_one_before_signs_beside_it() {
    let mut world = World::new();
    let input = ProjectInput::from_json(json!({"name": "shop"})).unwrap();
    let (mut project, first) = world.with(|making| input.build(making)).unwrap();
    let rotation = |overlap: i64| RotationInput {
        overlap_seconds: Some(overlap),
        secret: None,
    };
    let next = rotation(60).build([1; 32]).unwrap();
    world.with(|making| project.rotate_secret(&next, making));
    let project = Project::from_stored(&project.to_stored()).unwrap();
    let opened = project.signing_secrets(&world.sealing_key).unwrap();
    let end = world.now + Millis::from_seconds(60);
    assert_eq!(opened[0].0.to_text(), next.secret.to_text());
    assert_eq!((opened[1].0.to_text(), opened[1].1), (first, Some(end)));

    let mut project = project;
    let last = rotation(0).build([2; 32]).unwrap();
    world.with(|making| project.rotate_secret(&last, making));
    let opened = project.signing_secrets(&world.sealing_key).unwrap();
    assert_eq!(opened.len(), 1);
    for bad in [-1, 30 * 86_400 + 1] {
        assert_eq!(
            pointers(rotation(bad).build([0; 32]).unwrap_err()),
            ["/overlap_seconds"]
        );
    }
}

#[test]
fn an_api_key_is_kept_as_its_hash() {
    let mut world = World::new();
    let input = ApiKeyInput::from_json(json!({"name": "ci", "scopes": ["send", "read"]})).unwrap();
    let id = ApiKeyId::from_number(3);
    let (key, text) = world.with(|making| input.build(id, making)).unwrap();
    assert_eq!(key.hash.0, api_key_hash(text.expose()));
    assert!(!key.to_stored().contains(text.expose()));
    assert_eq!(ApiKey::from_stored(&key.to_stored()).unwrap(), key);
    assert!(key.allows(Scope::Send) && key.allows(Scope::Read) && !key.allows(Scope::Manage));
    assert!(!key.admin);
    assert_eq!(key.public()["scopes"], json!(["read", "send"]));
}

#[test]
fn the_first_key_may_do_everything() {
    let world = World::new();
    let text = Secret::from("hl_a_key_of_at_least_thirty_two_characters");
    let project = ProjectId::from_number(1);
    let key = ApiKey::first(ApiKeyId::from_number(1), project, &text, world.now);
    assert!(key.admin && Scope::ALL.into_iter().all(|scope| key.allows(scope)));
}

#[test]
fn a_deleted_key_opens_nothing() {
    let world = World::new();
    let text = Secret::from("hl_a_key_of_at_least_thirty_two_characters");
    let project = ProjectId::from_number(1);
    let mut key = ApiKey::first(ApiKeyId::from_number(1), project, &text, world.now);
    key.deleted_at = Some(world.now);
    assert!(!key.allows(Scope::Read));
}

#[test]
fn an_api_key_needs_a_name_and_scopes() {
    let mut world = World::new();
    let id = ApiKeyId::from_number(3);
    let errors = world
        .with(|making| ApiKeyInput::default().build(id, making))
        .unwrap_err();
    assert_eq!(pointers(errors), ["/name", "/scopes"]);
    let errors = ApiKeyInput::from_json(json!({"name": "a", "scopes": ["root"]})).unwrap_err();
    assert_eq!(pointers(errors), ["/scopes"]);
}
