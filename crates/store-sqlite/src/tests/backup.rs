//! Backups: of one moment while the writer goes on, whole or not there.

use std::fs;
use std::path::Path;

use hooklatch_store::suite::{Fixture, World};
use hooklatch_store::{Admissions, Configuration, StoreError};
use rusqlite::Connection;

use super::{Small, large};
use crate::backup::{BackedUp, BackupError, BackupStage, Existing, back_up};
use crate::{OpenError, Options, inspect};

fn filled(messages: usize) -> World<Small> {
    let world = Small::with(Options::default());
    for n in 0..messages {
        admit(&world, &format!("k{n}"), 1 << 20);
    }
    world
}

fn admit(world: &World<Small>, key: &str, bytes: usize) {
    let admitted = world.fixture.store.admit(vec![large(world, key, bytes)]);
    world.fixture.wait(admitted).unwrap();
}

fn rows(made: &BackedUp, table: &str) -> u64 {
    let found = made.tables.iter().find(|(name, _)| name == table);
    found.map_or(0, |(_, rows)| *rows)
}

fn count(path: &Path, table: &str) -> i64 {
    let db = Connection::open(path).unwrap();
    let sql = format!("SELECT COUNT(*) FROM {table}");
    db.query_row(&sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_backup_is_of_one_moment_though_the_writer_goes_on() {
    let world = filled(40);
    let to = tempfile::tempdir().unwrap();
    let file = to.path().join("copy.db");
    let mut later = 0;
    let made = back_up(
        world.fixture.dir.path(),
        &file,
        Existing::Keep,
        |progress| {
            if progress.stage == BackupStage::Copying && progress.done < progress.total {
                later += 1;
                admit(&world, &format!("later{later}"), 1_000);
            }
        },
    );
    let made = made.unwrap();
    assert!(later >= 2, "it was copied in {later} steps");
    assert_eq!(rows(&made, "messages"), 40);
    assert_eq!(count(&file, "messages"), 40);
    assert_eq!(fs::metadata(&file).unwrap().len(), made.bytes);
    let left: Vec<_> = fs::read_dir(to.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing else is left: {left:?}");
    let source = world.fixture.dir.path().join("hooklatch.db");
    assert_eq!(count(&source, "messages"), 40 + later);
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_a_backup() {
    use std::os::unix::fs::PermissionsExt;
    let world = filled(1);
    let file = world.fixture.dir.path().join("copy.db");
    back_up(world.fixture.dir.path(), &file, Existing::Keep, |_| {}).unwrap();
    let mode = fs::metadata(file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_backup_replaces_another_only_where_that_was_said() {
    let world = filled(1);
    let dir = world.fixture.dir.path();
    let file = dir.join("copy.db");
    fs::write(&file, "ours").unwrap();
    let refused = back_up(dir, &file, Existing::Keep, |_| {}).unwrap_err();
    assert!(matches!(refused, BackupError::Exists(_)), "{refused}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "ours");
    // What a killed run left behind is no obstacle.
    fs::write(dir.join("copy.db.partial"), "half").unwrap();
    back_up(dir, &file, Existing::Replace, |_| {}).unwrap();
    assert_eq!(count(&file, "messages"), 1);
    assert!(!dir.join("copy.db.partial").exists());
}

#[test]
fn where_there_is_nothing_no_backup_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("copy.db");
    let refused = back_up(dir.path(), &file, Existing::Keep, |_| {}).unwrap_err();
    assert!(matches!(refused, BackupError::Missing(_)), "{refused}");
    let world = filled(1);
    let nowhere = dir.path().join("no/such/copy.db");
    let refused = back_up(world.fixture.dir.path(), &nowhere, Existing::Keep, |_| {});
    assert!(
        matches!(refused, Err(BackupError::System { .. })),
        "{refused:?}"
    );
}

#[test]
fn a_damaged_file_becomes_no_backup() {
    let world = filled(3);
    world.fixture.store.abandon();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hooklatch.db");
    let whole = dir.path().join("whole.db");
    back_up(world.fixture.dir.path(), &whole, Existing::Keep, |_| {}).unwrap();
    let mut bytes = fs::read(&whole).unwrap();
    let page = bytes.len() / 4096 / 2 * 4096;
    bytes[page..page + 4096].fill(0xff);
    fs::write(&path, bytes).unwrap();
    let to = dir.path().join("copy.db");
    let refused = back_up(dir.path(), &to, Existing::Keep, |_| {}).unwrap_err();
    let told = matches!(
        refused,
        BackupError::Damaged { .. } | BackupError::Unreadable { .. }
    );
    assert!(told, "{refused}");
    assert!(!to.exists());
}

#[test]
fn an_inspection_sees_what_waits_and_changes_nothing() {
    let empty = tempfile::tempdir().unwrap();
    let nothing = inspect(empty.path()).unwrap_err();
    assert!(matches!(nothing, OpenError::Missing(_)), "{nothing}");
    let world = filled(0);
    let arrival = world.inbound("k", "{}").to(&[1, 2]);
    world.accepted(arrival);
    let found = inspect(world.fixture.dir.path()).unwrap();
    assert_eq!((found.schema, found.waiting), (found.known, 2));
    assert!(found.oldest.is_some());
    let documents: Result<_, StoreError> = world.fixture.wait(world.fixture.store.load());
    assert_eq!(found.documents, documents.unwrap());
}
