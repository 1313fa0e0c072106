//! INV-7 on a process that is really killed.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use hooklatch_core::delivery::lifecycle::Next;
use hooklatch_core::ids::{DeliveryId, MessageId, ProjectId};
use hooklatch_core::time::Millis;
use hooklatch_store::suite::{Fixture, TestClock, World, block_on};
use hooklatch_store::{Admissions, Store};
use hooklatch_store_sqlite::{Options, SqliteStore};

/// Set for the process that is going to be killed: where its store is.
const VICTIM: &str = "HOOKLATCH_TEST_VICTIM";
const PROJECT: ProjectId = ProjectId::from_number(1);

struct Opened {
    clock: Arc<TestClock>,
    store: Arc<SqliteStore>,
}

impl Opened {
    fn at(dir: &Path) -> World<Self> {
        let clock = TestClock::new();
        let options = Options {
            generation_claims_max: 200,
            ..Options::default()
        };
        let store = SqliteStore::open(dir, clock.clone(), options).expect("the store opens");
        World {
            fixture: Self { clock, store },
        }
    }
}

impl Fixture for Opened {
    const LEASES_END_WITH_THE_PROCESS: bool = true;

    fn new() -> Self {
        unreachable!("a directory must be given")
    }

    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn advance(&self, span: Millis) {
        self.clock.advance(span);
    }

    fn crash(&mut self) {
        unreachable!("another process is killed")
    }
}

/// Admits and delivers as fast as it can, and tells of every answer, until it is killed.
fn be_the_victim(dir: &str) {
    let world = Opened::at(Path::new(dir));
    let round = std::process::id();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let world = &world;
            scope.spawn(move || {
                for number in 0.. {
                    let key = format!("{round}-{thread}-{number}");
                    let call = world.inbound(&key, &format!("{{\"of\":\"{key}\"}}"));
                    let admitted = block_on(world.fixture.store.admit(vec![call.arrival]));
                    let id = admitted.expect("the store is available")[0].message_id;
                    tell(&format!("accepted {key} {}", id.number()));
                }
            });
        }
        scope.spawn(|| {
            loop {
                for lease in world.lease() {
                    world.finish(&lease, Next::Deliver);
                    tell(&format!("delivered - {}", lease.delivery.id.number()));
                }
            }
        });
    });
}

fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody may be listening any more: then the end is near.
    drop(writeln!(out, "VICTIM {line}").and_then(|()| out.flush()));
}

/// Lets a process work on the directory, kills it in the middle, and answers with what it was
/// told before.
fn kill_one(dir: &Path) -> (BTreeMap<String, MessageId>, Vec<DeliveryId>) {
    let this = std::env::current_exe().expect("a test is a program");
    let mut victim = Command::new(this)
        .args([
            "--exact",
            "inv_7_what_was_acknowledged_survives_kill_9",
            "--nocapture",
        ])
        .env(VICTIM, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a test can start itself");
    let mut accepted = BTreeMap::new();
    let mut delivered = Vec::new();
    let told = BufReader::new(victim.stdout.take().expect("it was piped"));
    for line in told.lines() {
        let line = line.expect("the victim writes text");
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["VICTIM", "accepted", key, id] => {
                let id = id.parse().expect("a number");
                accepted.insert(key.to_owned(), MessageId::from_number(id));
            }
            ["VICTIM", "delivered", _, id] => {
                delivered.push(DeliveryId::from_number(id.parse().expect("a number")));
            }
            _ => {}
        }
        if accepted.len() == 400 {
            victim.kill().expect("it is ours to kill");
        }
    }
    victim.wait().expect("it was killed");
    (accepted, delivered)
}

#[test]
fn inv_7_what_was_acknowledged_survives_kill_9() {
    if let Ok(dir) = std::env::var(VICTIM) {
        return be_the_victim(&dir);
    }
    let dir = tempfile::tempdir().expect("there is a place for temporary files");
    let mut acknowledged = 0;
    for _ in 0..3 {
        let (accepted, delivered) = kill_one(dir.path());
        assert!(accepted.len() >= 400, "the victim ended too early");
        acknowledged += accepted.len();
        let world = Opened::at(dir.path());
        for (key, id) in &accepted {
            let view = world.message(*id);
            assert_eq!(view.body, format!("{{\"of\":\"{key}\"}}"));
            let call = world.inbound(key, &format!("{{\"of\":\"{key}\"}}"));
            let again = world.repeated(call);
            assert_eq!(again.original_message_id, Some(*id), "{key}");
        }
        for id in &delivered {
            let found = block_on(hooklatch_store::History::delivery(
                &*world.fixture.store,
                PROJECT,
                *id,
            ));
            let found = found
                .expect("the store is available")
                .expect("it was delivered");
            assert!(found.state.status().is_final(), "{found:?}");
            assert_eq!(world.attempts(&found).len(), found.attempts as usize);
        }
        world.fixture.store.abandon();
    }
    check_file(&dir.path().join("hooklatch.db"), acknowledged);
}

fn check_file(path: &Path, acknowledged: usize) {
    let db = rusqlite::Connection::open(path).expect("any tool can open the file");
    let ask = |sql: &str| {
        let answer: rusqlite::Result<String> = db.query_row(sql, [], |row| row.get(0));
        answer.expect("the file can be read")
    };
    assert_eq!(ask("PRAGMA integrity_check"), "ok");
    let messages: usize = ask("SELECT CAST(COUNT(*) AS TEXT) FROM messages")
        .parse()
        .expect("a number");
    assert!(messages >= acknowledged, "{messages} of {acknowledged}");
    let torn = "SELECT CAST(COUNT(*) AS TEXT) FROM messages WHERE \
                NOT EXISTS (SELECT 1 FROM payloads WHERE payloads.id = messages.id) OR \
                NOT EXISTS (SELECT 1 FROM deliveries WHERE message = messages.id \
                            AND deliveries.id = messages.id + 1)";
    assert_eq!(
        ask(torn),
        "0",
        "a message was written without what belongs to it"
    );
}
