//! The file and its directory.

use std::sync::Arc;

use hooklatch_core::ids::ProjectId;
use hooklatch_store::suite::{Fixture, TestClock, World, block_on};
use hooklatch_store::{History, StoreError};

use super::{Small, number};
use crate::{OpenError, Options, SqliteStore};

const PROJECT: ProjectId = ProjectId::from_number(1);

#[test]
fn a_second_opener_is_told_which_directory_is_in_use() {
    let world = World::<Small>::new();
    let dir = world.fixture.dir.path();
    let second = SqliteStore::open(dir, TestClock::new(), Options::default());
    let error = second.err().expect("the directory is in use");
    assert!(matches!(error, OpenError::InUse(_)), "{error:?}");
    assert!(
        error.to_string().contains(&dir.display().to_string()),
        "{error}"
    );
}

#[test]
fn a_closed_store_leaves_one_file_and_the_next_opener_finds_everything() {
    let world = World::<Small>::new();
    let id = world.accepted(world.inbound("a", "{}"));
    block_on(world.store().close()).unwrap();
    let wal = world.fixture.dir.path().join("hooklatch.db-wal");
    let left = std::fs::metadata(&wal).map_or(0, |found| found.len());
    assert_eq!(left, 0, "the log was moved into the file");
    let refused = block_on(world.store().ready());
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    let dir = world.fixture.dir.path();
    let next = SqliteStore::open(dir, TestClock::new(), Options::default()).unwrap();
    let found = block_on(next.message(PROJECT, id)).unwrap().is_some();
    assert!(found, "{id} is gone");
}

#[test]
fn a_file_of_a_newer_version_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hooklatch.db");
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    drop(newer);
    let opened = SqliteStore::open(dir.path(), TestClock::new(), Options::default());
    let error = opened.err().expect("it is newer");
    assert!(
        matches!(error, OpenError::Newer { found: 99, .. }),
        "{error:?}"
    );
}

#[cfg(unix)]
#[test]
fn nobody_but_the_owner_may_look_into_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    let store = SqliteStore::open(&dir, TestClock::new(), Options::default()).unwrap();
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(dir.clone()), 0o700);
    for entry in std::fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(path.clone()), 0o600, "{}", path.display());
    }
    drop(store);
}

#[test]
fn the_file_and_its_log_as_they_lie_hold_all_that_was_answered() {
    let world = World::<Small>::new();
    let ids: Vec<_> = (0..50)
        .map(|n| world.accepted(world.inbound(&n.to_string(), "{}")))
        .collect();
    let copy = tempfile::tempdir().unwrap();
    for name in ["hooklatch.db", "hooklatch.db-wal"] {
        std::fs::copy(world.fixture.dir.path().join(name), copy.path().join(name)).unwrap();
    }
    let clock = TestClock::new();
    let store = SqliteStore::open(copy.path(), clock, Options::default()).unwrap();
    for id in ids {
        assert!(
            block_on(store.message(PROJECT, id)).unwrap().is_some(),
            "{id} is gone"
        );
    }
    drop(store);
}

#[test]
fn the_elements_of_a_split_request_share_one_envelope() {
    let mut world = World::<Small>::new();
    let mut calls: Vec<_> = (0..10)
        .map(|n| world.inbound(&n.to_string(), "{}"))
        .collect();
    let envelope = Arc::clone(&calls[0].arrival.envelope);
    for call in &mut calls {
        call.arrival.envelope = Arc::clone(&envelope);
    }
    let admissions = world.admit_all(calls);
    assert_eq!(number(&world, "SELECT COUNT(envelope) FROM payloads"), 1);
    world.fixture.crash();
    for admission in admissions {
        assert_eq!(world.message(admission.message_id).envelope, envelope);
    }
}
