//! Configuration, as documents.

use super::world::{PROJECT, STRANGER};
use super::{Fixture, World};
use crate::{ConfigKind, ConfigRecord, Expected, Saved};

fn record(number: i64, name: &str, document: &str) -> ConfigRecord {
    ConfigRecord {
        kind: ConfigKind::Source,
        number,
        project_id: PROJECT,
        name: Some(name.to_owned()),
        document: document.to_owned(),
        revision: 0,
    }
}

fn save<F: Fixture>(world: &World<F>, record: ConfigRecord, expected: Expected) -> Saved {
    let store = world.store();
    world
        .fixture
        .wait(store.save(record, expected))
        .expect("the store is available")
}

fn load<F: Fixture>(world: &World<F>) -> Vec<ConfigRecord> {
    let store = world.store();
    let mut all = world
        .fixture
        .wait(store.load())
        .expect("the store is available");
    all.sort_by_key(|record| (record.kind, record.number));
    all
}

/// Configuration is as durable as everything else.
pub fn documents_survive_a_crash<F: Fixture>() {
    let mut world = World::<F>::new();
    assert!(load(&world).is_empty());
    let saved = save(&world, record(1, "a", "{}"), Expected::Nothing);
    assert_eq!(saved, Saved::Done { revision: 1 });
    let saved = save(&world, record(1, "b", "[]"), Expected::Revision(1));
    assert_eq!(saved, Saved::Done { revision: 2 });
    world.fixture.crash();
    let expected = ConfigRecord {
        revision: 2,
        ..record(1, "b", "[]")
    };
    assert_eq!(load(&world), [expected]);
}

/// Names.
pub fn a_name_is_unique_among_the_living<F: Fixture>() {
    let world = World::<F>::new();
    save(&world, record(1, "a", "{}"), Expected::Nothing);
    assert_eq!(
        save(&world, record(2, "a", "{}"), Expected::Nothing),
        Saved::NameTaken
    );
    let mut endpoint = record(2, "a", "{}");
    endpoint.kind = ConfigKind::Endpoint;
    assert_eq!(
        save(&world, endpoint, Expected::Nothing),
        Saved::Done { revision: 1 }
    );
    let mut foreign = record(3, "a", "{}");
    foreign.project_id = STRANGER;
    assert_eq!(
        save(&world, foreign, Expected::Nothing),
        Saved::Done { revision: 1 }
    );
    let mut deleted = record(1, "a", "{}");
    deleted.name = None;
    assert_eq!(
        save(&world, deleted, Expected::Revision(1)),
        Saved::Done { revision: 2 }
    );
    assert_eq!(
        save(&world, record(4, "a", "{}"), Expected::Nothing),
        Saved::Done { revision: 1 }
    );
}

/// Two who change one thing at once.
pub fn a_change_of_something_else_is_stale<F: Fixture>() {
    let world = World::<F>::new();
    assert_eq!(
        save(&world, record(1, "a", "{}"), Expected::Revision(1)),
        Saved::Stale
    );
    save(&world, record(1, "a", "{}"), Expected::Nothing);
    assert_eq!(
        save(&world, record(1, "a", "{}"), Expected::Nothing),
        Saved::Stale
    );
    save(&world, record(1, "b", "{}"), Expected::Revision(1));
    assert_eq!(
        save(&world, record(1, "c", "{}"), Expected::Revision(1)),
        Saved::Stale
    );
    assert_eq!(load(&world)[0].name.as_deref(), Some("b"));
}

/// Who follows the configuration asks for its version, and loads it only when that has grown.
pub fn the_version_grows_with_every_save_and_with_nothing_else<F: Fixture>() {
    let mut world = World::<F>::new();
    let mut last = version(&world);
    let saves = [
        (record(1, "a", "{}"), Expected::Nothing),
        (record(1, "b", "{}"), Expected::Revision(1)),
        (record(2, "c", "{}"), Expected::Nothing),
    ];
    for (record, expected) in saves {
        let saved = save(&world, record, expected);
        assert!(matches!(saved, Saved::Done { .. }), "{saved:?}");
        let next = version(&world);
        assert!(next > last, "{next} after {last}");
        last = next;
        world.fixture.crash();
        assert_eq!(version(&world), last);
    }
    save(&world, record(2, "b", "{}"), Expected::Revision(1));
    save(&world, record(1, "d", "{}"), Expected::Revision(1));
    world.accepted(world.inbound("k", "{}"));
    assert_eq!(version(&world), last, "a save that was refused is none");
}

fn version<F: Fixture>(world: &World<F>) -> i64 {
    let store = world.store();
    let version = world.fixture.wait(store.version());
    version.expect("the store is available")
}

/// Ids.
pub fn numbers_are_never_minted_twice<F: Fixture>() {
    let mut world = World::<F>::new();
    let mut last = 0;
    for _ in 0..3 {
        for _ in 0..10 {
            let store = world.store();
            let number = world
                .fixture
                .wait(store.mint())
                .expect("the store is available");
            assert!(number > last);
            last = number;
        }
        save(
            &world,
            record(last, &last.to_string(), "{}"),
            Expected::Nothing,
        );
        world.fixture.crash();
    }
    let message = world.accepted(world.inbound("k", "{}"));
    assert!(message.number() > last);
}
