//! What is taken out of a directory: everything, once, and from any point on.

use std::time::Duration;

use hooklatch_core::delivery::Reason;
use hooklatch_core::delivery::lifecycle::Next;
use hooklatch_core::ids::{ApiKeyId, ProjectId};
use hooklatch_core::receiving::call::{Call, ClaimId, Kept, Step};
use hooklatch_core::receiving::claim::{Claim, Intent, Metadata};
use hooklatch_core::receiving::key::Fingerprint;
use hooklatch_core::receiving::token::Token;
use hooklatch_core::replay::{Action, Filter, Plan};
use hooklatch_core::time::{Millis, Timestamp};
use hooklatch_core::transform::Transformed;
use hooklatch_store::suite::{Fixture, World, block_on};
use hooklatch_store::transfer::{Cursor, Row, Table, Tally, Value};
use hooklatch_store::{
    AuditEntry, AuditLine, ConfigKind, ConfigRecord, Expected, NewReplay, ReplayHolder, Store,
    look_for_plan,
};

use super::Small;
use crate::{Export, OpenError, Options};

const PROJECT: ProjectId = ProjectId::from_number(1);

/// A store in which nearly every table has something.
fn filled() -> World<Small> {
    let world = World::<Small>::with_claims(3);
    for n in 0..10 {
        let key = format!("k{n}");
        world.accepted(world.inbound(&key, "{}").to(&[1, 2]));
        world.repeated(world.inbound(&key, "{}"));
    }
    for (n, lease) in world.lease_under(5, 100).leased.iter().enumerate() {
        let next = if n.is_multiple_of(2) {
            Next::Deliver
        } else {
            Next::Fail(Reason::AttemptsExhausted)
        };
        world.finish(lease, next);
    }
    let leased = world.lease_under(1, 100).leased;
    let made = Transformed {
        headers: Vec::new(),
        body: "made".into(),
    };
    let store = world.store();
    let kept = world
        .fixture
        .wait(store.keep_transformed(leased[0].delivery.id, made));
    kept.unwrap();
    configured(&world);
    claimed(&world);
    planned(&world);
    world.fixture.wait(store.roll_up()).unwrap();
    world
}

fn entry(action: &str) -> AuditEntry {
    AuditEntry {
        at: Timestamp::from_millis(1),
        actor: None,
        action: action.to_owned(),
        subject: "it".to_owned(),
        reason: None,
    }
}

/// A source that was made and whose line in the log says how it is, a key that was used, and an
/// endpoint that has failed.
fn configured(world: &World<Small>) {
    let store = world.store();
    let record = ConfigRecord {
        kind: ConfigKind::Source,
        number: 7,
        project_id: PROJECT,
        name: Some("shop".to_owned()),
        document: "{}".to_owned(),
        revision: 0,
    };
    let line = AuditLine {
        entry: entry("source.create"),
        before: None,
        after: Some("{}".to_owned()),
    };
    let saved = store.save_audited(record, Expected::Nothing, line);
    world.fixture.wait(saved).unwrap();
    let used = store.note_used(vec![(ApiKeyId::from_number(3), store.now())]);
    world.fixture.wait(used).unwrap();
    let path = world.fixture.dir.path().join("hooklatch.db");
    let db = rusqlite::Connection::open(path).unwrap();
    let sql = "INSERT INTO lanes (lane, health) VALUES (9, '{}'), (10, NULL)";
    db.execute(sql, []).unwrap();
}

/// An event that a receiver has claimed, with two steps.
fn claimed(world: &World<Small>) {
    let store = world.store();
    let key = ClaimId::of("shop", "evt_1").unwrap().0;
    let token = Token::from_bytes([7; 16]);
    let call = Call::Claim {
        scope: "shop".to_owned(),
        key: "evt_1".to_owned(),
        wish: Claim {
            key,
            fingerprint: Fingerprint::of(b"{}"),
            token,
            lease: Duration::from_secs(10),
            attempts_max: 3,
            retention: Duration::from_secs(60),
            intent: Intent::Delivery,
            metadata: Metadata::new("stripe", "charge.succeeded", None),
        },
    };
    let called = store.call_claim(PROJECT, key, call, entry("claim.replay"));
    world.fixture.wait(called).unwrap();
    for name in ["charge", "mail"] {
        let step = Step {
            token,
            name: name.to_owned(),
            result: b"done".to_vec(),
        };
        let kept = store.keep_claim_step(PROJECT, key, step);
        assert_eq!(world.fixture.wait(kept).unwrap(), Kept::Saved);
    }
}

/// A replay of what has failed or was not sent, held by a process.
fn planned(world: &World<Small>) {
    let store = world.store();
    let new = NewReplay {
        project: PROJECT,
        plan: Plan {
            action: Action::Send,
            filter: Filter::default(),
            include_delivered: false,
            as_new: false,
            to_endpoint: None,
            rate_per_second: 1,
        },
        among: None,
        request_key: Some("k".to_owned()),
        created_by: None,
        reason: None,
        start: false,
        audit: entry("replay.create"),
    };
    world.fixture.wait(store.open_replay(new)).unwrap();
    let holder = ReplayHolder(77);
    let held = store.hold_replays(holder, Millis::from_seconds(10));
    let held = world.fixture.wait(held).unwrap();
    let looked = block_on(look_for_plan(&*store, &held[0]));
    let step = store.plan_replay(holder, looked.unwrap());
    world.fixture.wait(step).unwrap();
}

fn all(export: &Export, table: Table, world: &World<Small>) -> Vec<(Cursor, Vec<Row>)> {
    let now = world.fixture.store.now();
    let mut chunks = Vec::new();
    let mut after = Cursor::MIN;
    loop {
        let chunk = export.chunk(table, after, now).unwrap();
        if chunk.rows.is_empty() {
            return chunks;
        }
        assert!(chunk.last > after, "{table:?}");
        after = chunk.last;
        chunks.push((chunk.last, chunk.rows));
    }
}

#[test]
fn everything_is_taken_out_once_and_from_any_point_on() {
    let world = filled();
    let now = world.fixture.store.now();
    world.fixture.store.abandon();
    let export = Export::open(world.fixture.dir.path(), now).unwrap();
    let expected = [
        (Table::Config, 1),
        (Table::Audit, 2),
        (Table::Payloads, 20),
        (Table::Messages, 10),
        (Table::Requests, 10),
        (Table::Refused, 0),
        (Table::Deliveries, 20),
        (Table::Strays, 0),
        (Table::Attempts, 5),
        (Table::PayloadEnds, 0),
        (Table::Transformed, 1),
        (Table::Claims, 10),
        (Table::AuditDetails, 1),
        (Table::KeyUsed, 1),
        (Table::LaneHealth, 1),
        (Table::ReceiverClaims, 1),
        (Table::ReceiverSteps, 2),
        (Table::Replays, 1),
        (Table::ReplayItems, 2),
        (Table::Replayed, 0),
        (Table::Stats, 4),
        (Table::StatsLate, 0),
        (Table::StatsLast, 1),
        (Table::Marks, 3),
    ];
    for (table, rows) in expected {
        let chunks = all(&export, table, &world);
        let taken: usize = chunks.iter().map(|(_, rows)| rows.len()).sum();
        assert_eq!(taken, rows, "{table:?}");
        assert_eq!(export.count(table, now).unwrap(), rows as u64, "{table:?}");
        let mut rest = rows;
        for (last, rows) in &chunks {
            assert!(
                rows.iter().all(|row| row.len() == table.columns().len()),
                "{table:?}"
            );
            rest -= rows.len();
            let next = export.chunk(table, *last, now).unwrap();
            assert_eq!(next.rows.is_empty(), rest == 0, "{table:?}");
        }
    }
    // The claims lie in several generations, and all of them are there.
    assert!(all(&export, Table::Claims, &world).len() > 1);
    let later = now + Millis::from_seconds(3_600);
    assert_eq!(export.count(Table::Claims, later).unwrap(), 0);
}

#[test]
fn the_same_data_has_the_same_tally_and_identity_every_time() {
    let world = filled();
    let now = world.fixture.store.now();
    world.fixture.store.abandon();
    let look = || {
        // Later every time: leases are void already, and nothing else depends on the time.
        let now = now + Millis::from_seconds(1);
        let export = Export::open(world.fixture.dir.path(), now).unwrap();
        let mut tally = Tally::default();
        for table in Table::ALL {
            for (_, rows) in all(&export, table, &world) {
                for row in rows {
                    tally += Tally::of(&row);
                }
            }
        }
        (tally, export.identity().unwrap())
    };
    assert_eq!(look(), look());
    assert_eq!(look().0.rows, 96);
}

#[test]
fn leases_of_a_process_that_is_gone_are_void() {
    let world = filled();
    let now = world.fixture.store.now();
    world.fixture.store.abandon();
    let export = Export::open(world.fixture.dir.path(), now).unwrap();
    let deliveries = all(&export, Table::Deliveries, &world);
    let rows = deliveries.iter().flat_map(|(_, rows)| rows);
    let leased: Vec<_> = rows.filter(|row| row[6] == Value::Integer(1)).collect();
    assert_eq!(leased.len(), 1);
    assert_eq!(leased[0][7], Value::Integer(now.as_millis()));
}

#[test]
fn a_directory_that_is_served_or_empty_is_refused() {
    let world = World::<Small>::with_claims(3);
    let now = world.fixture.store.now();
    let served = Export::open(world.fixture.dir.path(), now);
    assert!(matches!(served, Err(OpenError::InUse(_))));
    let empty = tempfile::tempdir().unwrap();
    let missing = Export::open(empty.path(), now);
    assert!(matches!(missing, Err(OpenError::Missing(_))));
}

trait WithClaims {
    fn with_claims(claims: usize) -> Self;
}

impl WithClaims for World<Small> {
    /// An empty world whose generations have so many claims.
    fn with_claims(claims: usize) -> Self {
        Small::with(Options {
            generation_claims_max: claims,
            ..Options::default()
        })
    }
}

/// What a copy leaves behind, and why.
const LEFT_BEHIND: [(&str, &str); 6] = [
    (
        "meta",
        "its marks are taken out; the rest is about the file",
    ),
    ("generations", "how claims lie in the file"),
    ("listed", "an index of the file"),
    (
        "lanes",
        "health is taken out as `lane_health`; a bucket is full again after moments",
    ),
    (
        "shadow_counts",
        "a trial counts anew, as after its rule was saved again",
    ),
    (
        "shadow_samples",
        "a trial counts anew, as after its rule was saved again",
    ),
];

#[test]
fn every_table_of_the_file_is_taken_out_or_known_to_be_left_behind() {
    let world = filled();
    let path = world.fixture.dir.path().join("hooklatch.db");
    let db = rusqlite::Connection::open(path).unwrap();
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let mut statement = db.prepare(sql).unwrap();
    let names = statement.query_map([], |row| row.get(0)).unwrap();
    for name in names {
        let name: String = name.unwrap();
        let taken = Table::ALL.iter().any(|table| table.name() == name);
        let claims = name.starts_with("claims_") || name.starts_with("parts_");
        let left = LEFT_BEHIND.iter().any(|(left, _)| *left == name);
        assert!(taken || claims || left, "{name}");
    }
}
