//! A batch behaves as its calls would one after the other.

use std::time::Duration;

use hooklatch_core::receiving::call::{ClaimId, Outcome};
use hooklatch_core::receiving::claim::{Claim, Claimed, Completion, Hold, Intent, Metadata};
use hooklatch_core::receiving::key::{Fingerprint, ScopeKey};
use hooklatch_core::receiving::token::Token;
use hooklatch_core::time::Timestamp;

use super::*;

const SCOPE: &str = "shop";
const NOW: u64 = 1_000;
const APPLIED: Outcome = Outcome::Completed(Completion::Applied);

fn key(name: &str) -> ScopeKey {
    ClaimId::of(SCOPE, name).unwrap().0
}

const fn token(n: u8) -> Token {
    Token::from_bytes([n; 16])
}

fn asked(name: &str, call: Call) -> Asked {
    Asked {
        place: (ProjectId::from_number(1), key(name)),
        call,
        audit: AuditEntry {
            at: Timestamp::from_millis(1),
            actor: None,
            action: "claim.replay".to_owned(),
            subject: name.to_owned(),
            reason: None,
        },
    }
}

fn claim(name: &str, n: u8, intent: Intent) -> Asked {
    let wish = Claim {
        key: key(name),
        fingerprint: Fingerprint::of(b"{}"),
        token: token(n),
        lease: Duration::from_secs(10),
        attempts_max: 3,
        retention: Duration::from_secs(60),
        intent,
        metadata: Metadata::default(),
    };
    let call = Call::Claim {
        scope: SCOPE.to_owned(),
        key: name.to_owned(),
        wish,
    };
    asked(name, call)
}

fn complete(name: &str, n: u8, retention: Option<Duration>) -> Asked {
    let call = Call::Complete {
        token: token(n),
        result: Some(vec![n]),
        retention,
    };
    asked(name, call)
}

fn release(name: &str, n: u8) -> Asked {
    let call = Call::Release {
        token: token(n),
        successor: token(100 + n),
        retry_after: Duration::ZERO,
        error: String::new(),
    };
    asked(name, call)
}

/// Does all of it in one batch, whose fences go on from 7.
fn all(batch: &mut Batch, calls: &[Asked]) -> Vec<Outcome> {
    let mut fences = 7..;
    let call = |asked| batch.call(asked, NOW, &mut fences).outcome;
    calls.iter().map(call).collect()
}

/// A batch about an event that somebody runs.
fn running(name: &str, n: u8) -> Batch {
    let mut before = Batch::new([]);
    let claimed = claim(name, n, Intent::Delivery);
    before.call(&claimed, NOW, &mut [3].into_iter());
    let events = before.events.into_iter();
    Batch::new(events.map(|(place, event)| (place, event.entry.unwrap())))
}

fn fence(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Claimed(Claimed::Run(grant)) => grant.fence,
        other => panic!("it runs: {other:?}"),
    }
}

#[test]
fn l2_calls_on_one_key_in_one_batch_come_one_after_the_other() {
    let mut batch = Batch::new([]);
    let calls = [
        complete("evt_1", 1, None),
        claim("evt_1", 1, Intent::Delivery),
        claim("evt_1", 2, Intent::Delivery),
        complete("evt_1", 2, None),
        release("evt_1", 1),
        claim("evt_1", 3, Intent::Delivery),
        complete("evt_1", 3, None),
        claim("evt_1", 4, Intent::Delivery),
    ];
    let outcomes = all(&mut batch, &calls);
    let [gone, first, busy, fenced, released, second, done, replayed] = &outcomes[..] else {
        panic!("each has an answer")
    };
    assert_eq!((gone, done), (&Outcome::Gone, &APPLIED));
    assert_eq!((fence(first), fence(second)), (7, 9), "fences only grow");
    assert!(matches!(busy, Outcome::Claimed(Claimed::Busy { .. })));
    assert_eq!(fenced, &Outcome::Completed(Completion::Fenced));
    assert_eq!(released, &Outcome::Held(Hold::Kept));
    let result = Some(vec![3]);
    assert_eq!(replayed, &Outcome::Claimed(Claimed::Done { result }));
    let plan = batch.into_plan();
    assert_eq!((plan.new.len(), plan.changed.len()), (1, 0), "one row");
    assert!(plan.forgotten.is_empty() && plan.replays.is_empty());
}

#[test]
fn l2_a_batch_in_which_nothing_changes_writes_nothing() {
    let mut batch = running("evt_1", 1);
    let calls = [
        claim("evt_1", 2, Intent::Delivery),
        complete("evt_1", 3, None),
        release("evt_2", 1),
    ];
    all(&mut batch, &calls);
    let plan = batch.into_plan();
    assert!(plan.new.is_empty() && plan.changed.is_empty());
    assert!(plan.forgotten.is_empty() && plan.replays.is_empty());
}

#[test]
fn v6_what_expires_within_a_batch_takes_its_steps_with_it() {
    let mut batch = running("evt_1", 1);
    let calls = [
        complete("evt_1", 1, Some(Duration::ZERO)),
        claim("evt_1", 2, Intent::Delivery),
        complete("evt_1", 2, None),
        claim("evt_1", 3, Intent::Replay),
    ];
    let outcomes = all(&mut batch, &calls);
    assert_eq!(outcomes[2], APPLIED);
    assert_eq!((fence(&outcomes[1]), fence(&outcomes[3])), (7, 8));
    let plan = batch.into_plan();
    assert_eq!((plan.new.len(), plan.changed.len()), (0, 1));
    assert_eq!(plan.forgotten, [(ProjectId::from_number(1), key("evt_1"))]);
    assert_eq!(plan.replays.len(), 1, "somebody is named");
}
