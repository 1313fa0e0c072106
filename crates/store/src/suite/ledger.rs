//! L1: the ledger for everybody.

use hooklatch_core::claim::{Scope, SendTarget};
use hooklatch_core::ids::ApiKeyId;
use hooklatch_core::key::Checksum;
use hooklatch_core::time::Millis;

use super::world::{HOUR, PROJECT, STRANGER, endpoint};
use super::{Fixture, World};
use crate::{AuditEntry, ClaimView};

fn claims<F: Fixture>(
    world: &World<F>,
    checksums: Vec<Checksum>,
    part: Option<&str>,
) -> Vec<ClaimView> {
    let store = world.store();
    let part = part.map(str::to_owned);
    let found = world
        .fixture
        .wait(store.claims(PROJECT, checksums, part, 10));
    found.expect("the store is available")
}

fn audit<F: Fixture>(world: &World<F>) -> AuditEntry {
    AuditEntry {
        at: world.store().now(),
        actor: Some(ApiKeyId::from_number(5)),
        action: "key.free".into(),
        subject: "k".into(),
        reason: Some("tested by hand".into()),
    }
}

/// L1.
pub fn l1_a_key_is_listed_with_its_counts<F: Fixture>() {
    let mut world = World::<F>::new();
    let call = world.inbound("k", "{}");
    let checksum = call.arrival.keys[0].checksum;
    let first_seen_at = world.store().now();
    let id = world.accepted(call);
    world.advance(Millis::from_seconds(7));
    world.repeated(world.inbound("k", "{}"));
    world.fixture.crash();
    let found = claims(&world, vec![checksum], None);
    let [view] = &found[..] else {
        panic!("one claim: {found:?}")
    };
    assert_eq!(view.claim.message_id, id);
    assert_eq!(view.claim.key_text(), "k");
    assert_eq!(view.claim.first_seen_at, first_seen_at);
    assert_eq!(view.claim.expires_at, first_seen_at + HOUR);
    assert_eq!(view.last_seen_at, first_seen_at + Millis::from_seconds(7));
    assert_eq!(view.duplicates, 1);
    let store = world.store();
    let foreign = world
        .fixture
        .wait(store.claims(STRANGER, vec![checksum], None, 10));
    assert!(foreign.expect("the store is available").is_empty());
    world.advance(HOUR);
    assert!(
        claims(&world, vec![checksum], None).is_empty(),
        "its window is over"
    );
}

/// L1.
pub fn l1_a_composite_key_is_found_by_any_part<F: Fixture>() {
    let mut world = World::<F>::new();
    world.accepted(world.inbound("composite", "{}").parts(&["order-7", "paid"]));
    let url = Scope::Send(PROJECT, SendTarget::Url("https://a.example/hook".into()));
    world.accepted(world.call(url, "call-1", "{}"));
    world.fixture.crash();
    for part in ["order-7", "paid", "call-1"] {
        assert_eq!(claims(&world, Vec::new(), Some(part)).len(), 1, "{part}");
    }
    assert!(claims(&world, Vec::new(), Some("order")).is_empty());
}

/// L1.
pub fn l1_a_freed_key_is_new_again_and_the_audit_says_who_and_why<F: Fixture>() {
    let mut world = World::<F>::new();
    let call = world.inbound("k", "{}");
    let checksum = call.arrival.keys[0].checksum;
    world.accepted(call);
    let store = world.store();
    let entry = audit(&world);
    let foreign = store.free(STRANGER, vec![checksum], None, entry.clone());
    assert_eq!(world.fixture.wait(foreign).expect("available"), 0);
    let freed = store.free(PROJECT, vec![checksum], None, entry.clone());
    assert_eq!(world.fixture.wait(freed).expect("available"), 1);
    drop(store);
    world.fixture.crash();
    let store = world.store();
    let log = world
        .fixture
        .wait(store.audit_log(PROJECT, 10))
        .expect("available");
    assert_eq!(log, [entry]);
    world.accepted(world.inbound("k", "{}"));
}

/// L1.
pub fn l1_a_key_is_freed_in_one_scope_only<F: Fixture>() {
    let world = World::<F>::new();
    let scopes = [1, 2].map(|n| Scope::Send(PROJECT, SendTarget::Endpoint(endpoint(n))));
    let mut checksums = Vec::new();
    for scope in &scopes {
        let call = world.call(scope.clone(), "k", "{}");
        checksums.push(call.arrival.keys[0].checksum);
        world.accepted(call);
    }
    let store = world.store();
    let freed = store.free(PROJECT, checksums, Some(scopes[0].clone()), audit(&world));
    assert_eq!(world.fixture.wait(freed).expect("available"), 1);
    world.accepted(world.call(scopes[0].clone(), "k", "{}"));
    world.repeated(world.call(scopes[1].clone(), "k", "{}"));
}
