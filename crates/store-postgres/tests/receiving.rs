//! Claims of receivers that go in batches: what one node and one caller at a time cannot show.

mod server;

use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hooklatch_core::ids::ProjectId;
use hooklatch_core::receiving::call::{Call, ClaimId, Kept, Outcome, Step};
use hooklatch_core::receiving::claim::{Claim, Claimed, Completion, Grant, Hold, Intent, Metadata};
use hooklatch_core::receiving::key::Fingerprint;
use hooklatch_core::receiving::token::Token;
use hooklatch_core::time::Millis;
use hooklatch_store::suite::{Fixture, World};
use hooklatch_store::{AuditEntry, Store, StoreError};
use server::InADatabase;
use tokio_postgres::{Config, NoTls};

const PROJECT: ProjectId = ProjectId::from_number(1);
const SCOPE: &str = "shop";
const LEASE: Duration = Duration::from_secs(10);
/// Longer than a lease, and than a window.
const PAST_EVERYTHING: Millis = Millis::from_seconds(61);

/// Somebody who calls one of the nodes.
struct Caller<'a> {
    fixture: &'a InADatabase,
    store: Arc<dyn Store>,
    token: Token,
}

impl Caller<'_> {
    fn call(&self, name: &str, call: Call) -> Result<Outcome, StoreError> {
        let key = ClaimId::of(SCOPE, name).expect("it is short").0;
        let audit = AuditEntry {
            at: self.store.now(),
            actor: None,
            action: "claim.replay".to_owned(),
            subject: name.to_owned(),
            reason: None,
        };
        let answer = self.store.call_claim(PROJECT, key, call, audit);
        self.fixture.wait(answer).map(|answer| answer.outcome)
    }

    fn claim(&self, name: &str) -> Result<Claimed, StoreError> {
        let wish = Claim {
            key: ClaimId::of(SCOPE, name).expect("it is short").0,
            fingerprint: Fingerprint::of(b"{}"),
            token: self.token,
            lease: LEASE,
            attempts_max: 1_000,
            retention: Duration::from_secs(60),
            intent: Intent::Delivery,
            metadata: Metadata::default(),
        };
        let call = Call::Claim {
            scope: SCOPE.to_owned(),
            key: name.to_owned(),
            wish,
        };
        match self.call(name, call)? {
            Outcome::Claimed(claimed) => Ok(claimed),
            other => panic!("a claim is answered as one: {other:?}"),
        }
    }

    fn complete(&self, name: &str) -> Outcome {
        let call = Call::Complete {
            token: self.token,
            result: Some(name.as_bytes().to_vec()),
            retention: None,
        };
        self.call(name, call).expect("the store is available")
    }

    fn release(&self, name: &str) -> Outcome {
        let call = Call::Release {
            token: self.token,
            successor: Token::from_bytes([0; 16]),
            retry_after: Duration::ZERO,
            error: String::new(),
        };
        self.call(name, call).expect("the store is available")
    }

    fn keep(&self, name: &str) -> Kept {
        let step = Step {
            token: self.token,
            name: "charge".to_owned(),
            result: Vec::new(),
        };
        let key = ClaimId::of(SCOPE, name).expect("it is short").0;
        let kept = self.store.keep_claim_step(PROJECT, key, step);
        self.fixture.wait(kept).expect("the store is available")
    }
}

/// Callers of the nodes in turn, each with a token of its own, at once.
fn at_once<T: Send>(
    fixture: &InADatabase,
    nodes: &[Arc<dyn Store>],
    many: u8,
    work: impl Fn(&Caller<'_>) -> T + Sync,
) -> Vec<T> {
    thread::scope(|scope| {
        let (work, mut callers) = (&work, Vec::new());
        for n in 0..many {
            let caller = Caller {
                fixture,
                store: Arc::clone(&nodes[usize::from(n) % nodes.len()]),
                token: Token::from_bytes([n + 1; 16]),
            };
            callers.push(scope.spawn(move || work(&caller)));
        }
        let ended = callers.into_iter().map(thread::ScopedJoinHandle::join);
        ended.map(|done| done.expect("no panic")).collect()
    })
}

fn two_nodes(fixture: &InADatabase) -> [Arc<dyn Store>; 2] {
    [
        fixture.store(),
        fixture.try_open().expect("another node opens"),
    ]
}

/// Runs a statement in the test's database.
fn run(fixture: &InADatabase, statement: &str) -> u64 {
    let mut config = Config::from_str(&fixture.server).expect("the URL is one");
    config.dbname(&fixture.database);
    fixture.runtime.block_on(async {
        let (client, connection) = config.connect(NoTls).await.expect("the server answers");
        tokio::spawn(connection);
        client.execute(statement, &[]).await.expect("it is done")
    })
}

#[test]
fn l2_of_many_at_once_on_two_nodes_one_runs_each_event() {
    let world = World::<InADatabase>::new();
    let nodes = two_nodes(&world.fixture);
    let names = ["a", "b", "c", "d"];
    let mut fences = BTreeSet::new();
    let mut last = 0;
    // The second round is one of takeovers.
    for round in 0..2 {
        let answers = at_once(&world.fixture, &nodes, 32, |caller| {
            let [of, ..] = *caller.token.as_bytes();
            let caller = Caller {
                token: Token::from_bytes([of + 100 * round; 16]),
                store: Arc::clone(&caller.store),
                ..*caller
            };
            names.map(|name| caller.claim(name).expect("the store is available"))
        });
        for (of, name) in names.iter().enumerate() {
            let run: Vec<&Grant> = answers.iter().filter_map(|it| granted(&it[of])).collect();
            assert_eq!(run.len(), 1, "{name} in round {round}: {answers:?}");
            assert!(fences.insert(run[0].fence), "a fence came again");
            assert!(run[0].fence > last, "a later run has a larger fence");
        }
        last = *fences.last().expect("there are some");
        world.fixture.advance(PAST_EVERYTHING);
    }
}

fn granted(claimed: &Claimed) -> Option<&Grant> {
    match claimed {
        Claimed::Run(grant) => Some(grant),
        Claimed::Done { .. }
        | Claimed::Busy { .. }
        | Claimed::Conflict { .. }
        | Claimed::Dead { .. } => None,
    }
}

#[test]
fn l2_calls_of_every_kind_on_few_keys_from_two_nodes_never_stand_in_each_others_way() {
    const ROUNDS: usize = 25;
    let world = World::<InADatabase>::new();
    let nodes = two_nodes(&world.fixture);
    let names = ["a", "b", "c"];
    let fences = at_once(&world.fixture, &nodes, 16, |caller| {
        let mut fences = Vec::new();
        for round in 0..ROUNDS {
            let name = names[(round + usize::from(caller.token.as_bytes()[0])) % names.len()];
            match caller.claim(name).expect("no call is refused") {
                Claimed::Run(grant) => {
                    fences.push(grant.fence);
                    assert_eq!(caller.keep(name), Kept::Saved);
                    let released = caller.release(name);
                    assert_eq!(released, Outcome::Held(Hold::Kept), "{name}");
                }
                Claimed::Busy { .. } => assert_eq!(caller.keep(name), Kept::Fenced),
                other => panic!("nobody ends {name}: {other:?}"),
            }
            let swept = caller.store.sweep_claims(10);
            assert_eq!(caller.fixture.wait(swept).expect("it is available"), 0);
        }
        fences
    });
    let given: Vec<u64> = fences.into_iter().flatten().collect();
    let once: BTreeSet<u64> = given.iter().copied().collect();
    assert_eq!(once.len(), given.len(), "a fence came again");
    assert!(given.len() >= names.len());
}

#[test]
fn l2_what_one_node_completes_is_done_for_the_other_whoever_sweeps() {
    let world = World::<InADatabase>::new();
    let nodes = two_nodes(&world.fixture);
    for round in 0..5 {
        let runs = at_once(&world.fixture, &nodes, 16, |caller| {
            let swept = caller.store.sweep_claims(1);
            caller.fixture.wait(swept).expect("the store is available");
            match caller.claim("a").expect("no call is refused") {
                Claimed::Run(_) => {
                    let applied = Outcome::Completed(Completion::Applied);
                    assert_eq!(caller.complete("a"), applied);
                    1
                }
                Claimed::Busy { .. } => 0,
                Claimed::Done { result } => {
                    assert_eq!(result, Some(b"a".to_vec()));
                    0
                }
                other => panic!("{other:?}"),
            }
        });
        assert_eq!(runs.iter().sum::<u32>(), 1, "round {round}");
        world.fixture.advance(PAST_EVERYTHING);
    }
}

#[test]
fn a_claim_whose_row_cannot_be_read_fails_alone() {
    let world = World::<InADatabase>::new();
    let node = [world.store()];
    let claims = |caller: &Caller<'_>| caller.claim(&format!("evt_{:?}", caller.token.as_bytes()));
    let first = at_once(&world.fixture, &node, 1, claims);
    assert!(matches!(first[0], Ok(Claimed::Run(_))), "{first:?}");
    let broken = "UPDATE hooklatch.receiver_claims SET state = 77";
    assert_eq!(run(&world.fixture, broken), 1);
    let mut answers = at_once(&world.fixture, &node, 32, claims).into_iter();
    let unreadable = answers.next().expect("there are 32");
    let is_said = matches!(unreadable, Err(StoreError::Unreadable(_)));
    assert!(is_said, "{unreadable:?}");
    for answer in answers {
        assert!(matches!(answer, Ok(Claimed::Run(_))), "{answer:?}");
    }
}
