//! Replays: planned, run step by step, and gone on with by whoever comes next.

use std::collections::BTreeSet;

use hooklatch_core::delivery::lane::Traffic;
use hooklatch_core::delivery::lifecycle::{Command, Next};
use hooklatch_core::delivery::{DeliveryStatus, Lane, Reason, Trigger};
use hooklatch_core::ids::{ApiKeyId, MessageId, ReplayId};
use hooklatch_core::message::Origin;
use hooklatch_core::replay::{
    Action, Filter, Plan, Replay, ReplayCommand, ReplayStatus, StatusWanted,
};
use hooklatch_core::time::Millis;

use super::world::{PROJECT, STRANGER, endpoint};
use super::{Fixture, World, block_on};
use crate::{
    AuditEntry, Commanded, NewReplay, Opened, PageRequest, ReplayCommanded, ReplayHolder,
    look_for_plan,
};

const FAIL: Next = Next::Fail(Reason::AttemptsExhausted);
pub(super) const HOLDER: ReplayHolder = ReplayHolder(77);
const SPAN: Millis = Millis::from_seconds(10);
pub(super) const TICK: Millis = Millis::from_seconds(1);

pub(super) fn plan() -> Plan {
    Plan {
        action: Action::Send,
        filter: Filter::default(),
        include_delivered: false,
        as_new: false,
        to_endpoint: None,
        rate_per_second: 10_000,
    }
}

fn wish<F: Fixture>(world: &World<F>, plan: Plan) -> NewReplay {
    NewReplay {
        project: PROJECT,
        plan,
        among: None,
        request_key: None,
        created_by: Some(ApiKeyId::from_number(5)),
        reason: Some("the shop was down".to_owned()),
        start: false,
        audit: audit(world, "replay.create"),
    }
}

fn audit<F: Fixture>(world: &World<F>, action: &str) -> AuditEntry {
    AuditEntry {
        at: world.store().now(),
        actor: Some(ApiKeyId::from_number(5)),
        action: action.to_owned(),
        subject: "it".to_owned(),
        reason: Some("the shop was down".to_owned()),
    }
}

fn open<F: Fixture>(world: &World<F>, wish: NewReplay) -> Opened {
    let opened = world.fixture.wait(world.store().open_replay(wish));
    opened.expect("the store is available")
}

fn opened<F: Fixture>(world: &World<F>, plan: Plan) -> ReplayId {
    match open(world, wish(world, plan)) {
        Opened::New(replay) => replay.id(),
        other @ (Opened::Known(_) | Opened::KeyTaken(_)) => panic!("{other:?}"),
    }
}

pub(super) fn load<F: Fixture>(world: &World<F>, id: ReplayId) -> Replay {
    let found = world.fixture.wait(world.store().replay(PROJECT, id));
    found.expect("available").expect("it was made")
}

fn command<F: Fixture>(world: &World<F>, id: ReplayId, command: ReplayCommand) -> ReplayCommanded {
    let store = world.store();
    let audit = audit(world, command.as_str());
    let commanded = store.command_replay(PROJECT, id, command, audit);
    world.fixture.wait(commanded).expect("available")
}

fn hold<F: Fixture>(world: &World<F>, holder: ReplayHolder) -> Vec<Replay> {
    let held = world.fixture.wait(world.store().hold_replays(holder, SPAN));
    held.expect("available")
}

/// Takes whatever moves one step further; answers whether anything did.
pub(super) fn turn<F: Fixture>(world: &World<F>, holder: ReplayHolder) -> bool {
    let store = world.store();
    let held = hold(world, holder);
    for replay in &held {
        if replay.status() == ReplayStatus::Planning {
            let step = block_on(look_for_plan(&*store, replay)).expect("available");
            let planned = world.fixture.wait(store.plan_replay(holder, step));
            planned.expect("available").expect("it is held");
        } else {
            let stepped = world.fixture.wait(store.step_replay(holder, replay.id()));
            stepped.expect("available").expect("it is held");
        }
    }
    !held.is_empty()
}

/// Plans and starts.
pub(super) fn started<F: Fixture>(world: &World<F>, plan: Plan) -> ReplayId {
    let id = opened(world, plan);
    while load(world, id).status() == ReplayStatus::Planning {
        turn(world, HOLDER);
    }
    command(world, id, ReplayCommand::Start);
    id
}

/// Lets it run to its end, each attempt ending as `next` says; answers what was sent.
fn run<F: Fixture>(world: &World<F>, id: ReplayId, next: Next) -> Vec<MessageId> {
    let mut sent = Vec::new();
    for _ in 0..1_000 {
        if load(world, id).status().has_ended() {
            return sent;
        }
        turn(world, HOLDER);
        for lease in world.lease() {
            sent.push(lease.delivery.message_id);
            world.finish(&lease, next);
        }
        world.advance(TICK);
    }
    panic!("it does not end: {:?}", load(world, id));
}

/// Messages whose delivery to endpoint 1 has failed.
fn failed<F: Fixture>(world: &World<F>, many: usize) -> Vec<MessageId> {
    let messages: Vec<MessageId> = (0..many)
        .map(|number| world.accepted(world.inbound(&format!("k{number}"), "{}")))
        .collect();
    for lease in world.lease() {
        world.finish(&lease, FAIL);
    }
    messages
}

/// P1.
pub fn p1_the_same_plan_started_twice_is_one_job<F: Fixture>() {
    let world = World::<F>::new();
    failed(&world, 1);
    let first = opened(&world, plan());
    let Opened::Known(again) = open(&world, wish(&world, plan())) else {
        panic!("a second job was made");
    };
    assert_eq!(again.id(), first);
    let other = Plan {
        include_delivered: true,
        ..plan()
    };
    assert_ne!(opened(&world, other), first);
    while turn(&world, HOLDER) {}
    for _ in 0..2 {
        let started = command(&world, first, ReplayCommand::Start);
        let ReplayCommanded::Done(started) = started else {
            panic!("{started:?}");
        };
        assert_eq!(started.status(), ReplayStatus::Running);
    }
    run(&world, first, Next::Deliver);
    assert_ne!(opened(&world, plan()), first, "it has ended");
}

/// P1.
pub fn p1_a_key_names_one_plan<F: Fixture>() {
    let world = World::<F>::new();
    let keyed = |plan: Plan| NewReplay {
        request_key: Some("a\0b".to_owned()),
        start: true,
        ..wish(&world, plan)
    };
    let Opened::New(first) = open(&world, keyed(plan())) else {
        panic!("it is new");
    };
    while turn(&world, HOLDER) {}
    let Opened::Known(known) = open(&world, keyed(plan())) else {
        panic!("the key is known, though the replay has ended");
    };
    assert_eq!(known.status(), ReplayStatus::Done);
    let other = Plan {
        as_new: true,
        ..plan()
    };
    assert_eq!(open(&world, keyed(other)), Opened::KeyTaken(first.id()));
}

/// P1.
pub fn p1_a_replay_over_nothing_is_done_when_it_is_started<F: Fixture>() {
    let world = World::<F>::new();
    let id = opened(&world, plan());
    turn(&world, HOLDER);
    assert_eq!(load(&world, id).status(), ReplayStatus::Ready);
    assert!(!turn(&world, HOLDER), "what waits for a person is left");
    command(&world, id, ReplayCommand::Start);
    let ended = load(&world, id);
    assert_eq!(ended.status(), ReplayStatus::Done);
    assert_eq!(ended.progress.total, 0);
}

/// P1.
pub fn p1_a_plan_counts_and_takes_the_oldest_first<F: Fixture>() {
    let world = World::<F>::new();
    let messages = failed(&world, 100);
    let done = world.accepted(world.inbound("done", "{}"));
    world.attempt(Next::Deliver);
    let unknown = world.accepted(world.inbound("unknown", "{}"));
    world.attempt(Next::Hold(Reason::Uncertain));
    let never = world.accepted(world.inbound("never", "{}"));
    let given_up = Next::Fail(Reason::EndpointDisabled);
    world.finish_with(&world.lease_one(), None, given_up);
    let later = Millis::from_seconds(60);
    world.accepted(world.inbound("later", "{}").delayed(1, later));
    let id = started(&world, plan());
    let counts = load(&world, id).progress.counts;
    assert_eq!(
        (counts.failed, counts.delivered, counts.uncertain),
        (100, 1, 1)
    );
    assert_eq!((counts.never_attempted, counts.under_way), (1, 1));
    world.advance(later);
    world.attempt(Next::Deliver);
    let sent = run(&world, id, Next::Deliver);
    let expected: Vec<MessageId> = messages.into_iter().chain([unknown, never]).collect();
    assert_eq!(sent, expected);
    assert_eq!(world.statuses(done), [DeliveryStatus::Delivered]);
    let progress = load(&world, id).progress;
    assert_eq!((progress.total, progress.done), (102, 102));
}

/// P1.
pub fn p1_a_replay_goes_on_after_a_crash_and_sends_each_once<F: Fixture>() {
    let mut world = World::<F>::new();
    let messages = failed(&world, 80);
    let id = opened(&world, plan());
    turn(&world, HOLDER);
    world.fixture.crash();
    let next = ReplayHolder(78);
    if !F::LEASES_END_WITH_THE_PROCESS {
        assert!(hold(&world, next).is_empty(), "the lease outlives its node");
        world.advance(SPAN);
    }
    while load(&world, id).status() == ReplayStatus::Planning {
        turn(&world, next);
    }
    command(&world, id, ReplayCommand::Start);
    turn(&world, next);
    let mut sent: Vec<MessageId> = Vec::new();
    for lease in world.lease() {
        sent.push(lease.delivery.message_id);
        world.finish(&lease, Next::Deliver);
    }
    assert!(!sent.is_empty() && sent.len() < messages.len());
    world.fixture.crash();
    world.advance(SPAN);
    sent.extend(run(&world, id, Next::Deliver));
    assert_eq!(sent, messages);
    assert_eq!(load(&world, id).progress.done, 80);
}

/// P1.
pub fn p1_a_lease_keeps_others_out_until_it_ends<F: Fixture>() {
    let world = World::<F>::new();
    failed(&world, 1);
    let id = started(&world, plan());
    let other = ReplayHolder(78);
    assert_eq!(hold(&world, HOLDER).len(), 1);
    assert!(hold(&world, other).is_empty());
    let store = world.store();
    let stepped = world.fixture.wait(store.step_replay(other, id));
    assert_eq!(stepped.expect("available"), None);
    world.advance(SPAN);
    assert_eq!(hold(&world, other).len(), 1);
    let late = world.fixture.wait(store.step_replay(HOLDER, id));
    assert_eq!(late.expect("available"), None, "it was overtaken");
}

/// P1.
pub fn p1_cancelled_midway_nothing_more_is_handed_over<F: Fixture>() {
    let world = World::<F>::new();
    let messages = failed(&world, 60);
    let slow = Plan {
        rate_per_second: 10,
        ..plan()
    };
    let id = started(&world, slow);
    turn(&world, HOLDER);
    let handed = world.lease();
    assert!(!handed.is_empty() && handed.len() < 10, "{}", handed.len());
    command(&world, id, ReplayCommand::Pause);
    assert!(!turn(&world, HOLDER), "a paused one hands nothing over");
    command(&world, id, ReplayCommand::Resume);
    command(&world, id, ReplayCommand::Cancel);
    for _ in 0..3 {
        turn(&world, HOLDER);
        world.advance(TICK);
    }
    for lease in &handed {
        world.finish(lease, Next::Deliver);
    }
    assert!(world.lease().is_empty());
    let failed = |id: &&MessageId| world.statuses(**id) == [DeliveryStatus::Failed];
    let left = messages.iter().filter(failed).count();
    assert_eq!(left, messages.len() - handed.len());
    let refused = command(&world, id, ReplayCommand::Start);
    assert!(matches!(refused, ReplayCommanded::Refused(_)));
    let again = started(&world, plan());
    assert_eq!(run(&world, again, Next::Deliver).len(), left);
}

/// P1.
pub fn p1_a_bulk_cancel_calls_off_what_has_not_ended<F: Fixture>() {
    let world = World::<F>::new();
    failed(&world, 1);
    for number in 0..40 {
        world.accepted(world.inbound(&format!("w{number}"), "{}"));
    }
    let cancel = Plan {
        action: Action::Cancel,
        ..plan()
    };
    let id = started(&world, cancel);
    for _ in 0..10 {
        turn(&world, HOLDER);
        world.advance(TICK);
    }
    let ended = load(&world, id);
    assert_eq!(ended.status(), ReplayStatus::Done, "{ended:?}");
    assert_eq!(ended.progress.done, 40);
    assert!(world.lease().is_empty());
}

/// P1.
pub fn p1_what_a_person_did_is_audited_with_its_reason<F: Fixture>() {
    let world = World::<F>::new();
    let id = opened(&world, plan());
    open(&world, wish(&world, plan()));
    command(&world, id, ReplayCommand::Cancel);
    command(&world, id, ReplayCommand::Cancel);
    let store = world.store();
    let entry = audit(&world, "delivery.retry");
    let noted = world.fixture.wait(store.audit(PROJECT, entry.clone()));
    noted.expect("available");
    let log = world.fixture.wait(store.audit_log(PROJECT, 10));
    let created = AuditEntry {
        subject: id.to_string(),
        ..audit(&world, "replay.create")
    };
    let expected = [entry, audit(&world, "cancel"), created];
    assert_eq!(log.expect("available"), expected);
}

/// P1.
pub fn p1_another_projects_replay_is_not_found<F: Fixture>() {
    let world = World::<F>::new();
    let ids: BTreeSet<ReplayId> = (1..=3)
        .map(|rate_per_second| {
            opened(
                &world,
                Plan {
                    rate_per_second,
                    ..plan()
                },
            )
        })
        .collect();
    let first = *ids.first().expect("there are three");
    let store = world.store();
    let foreign = world.fixture.wait(store.replay(STRANGER, first));
    assert_eq!(foreign.expect("available"), None);
    let cancel = ReplayCommand::Cancel;
    let entry = audit(&world, "cancel");
    let foreign = store.command_replay(STRANGER, first, cancel, entry);
    let foreign = world.fixture.wait(foreign).expect("available");
    assert_eq!(foreign, ReplayCommanded::NotFound);
    let mut seen = Vec::new();
    let mut below = None;
    loop {
        let page = PageRequest { limit: 2, below };
        let page = world.fixture.wait(store.replays(PROJECT, page));
        let page = page.expect("available");
        seen.extend(page.items.iter().map(Replay::id));
        below = page.next;
        if below.is_none() {
            break;
        }
    }
    assert_eq!(seen, ids.into_iter().rev().collect::<Vec<_>>());
}

/// P2.
pub fn p2_a_replayed_delivery_keeps_its_name_and_carries_its_replay<F: Fixture>() {
    let mut world = World::<F>::new();
    let message = failed(&world, 1)[0];
    let before = world.message(message).deliveries[0].clone();
    let id = started(&world, plan());
    turn(&world, HOLDER);
    world.fixture.crash();
    let lease = world.lease_one();
    assert_eq!(lease.delivery.id, before.id);
    assert_eq!(lease.parcel.message.id, message);
    assert_eq!(lease.delivery.trigger, Trigger::Replay);
    assert_eq!(lease.delivery.replay_id, Some(id));
    let again = Next::Retry {
        after: TICK,
        counts: true,
    };
    world.finish(&lease, again);
    world.advance(SPAN);
    let retried = world.lease_one();
    assert_eq!(
        retried.delivery.replay_id,
        Some(id),
        "its retries belong to it"
    );
    world.finish(&retried, Next::Deliver);
    let attempts = world.attempts(&lease.delivery);
    let replays: Vec<_> = attempts.iter().map(|attempt| attempt.replay_id).collect();
    assert_eq!(replays, [None, Some(id), Some(id)]);
}

/// P2, D4.
pub fn p2_as_new_makes_messages_of_their_own<F: Fixture>() {
    let world = World::<F>::new();
    let message = failed(&world, 1)[0];
    let as_new = Plan {
        as_new: true,
        ..plan()
    };
    let id = started(&world, as_new);
    let sent = run(&world, id, Next::Deliver);
    assert_eq!(sent.len(), 1);
    assert_ne!(sent[0], message);
    let made = world.message(sent[0]);
    assert_eq!(made.message.origin, Origin::Replayed);
    assert_eq!(made.message.original_message_id, Some(message));
    assert_eq!(made.body, world.message(message).body);
    assert_eq!(made.envelope, world.message(message).envelope);
    assert_eq!(made.deliveries.len(), 1);
    assert_eq!(world.statuses(message), [DeliveryStatus::Failed]);
    let store = world.store();
    let page = PageRequest {
        limit: 10,
        below: None,
    };
    let requests = store.requests(PROJECT, crate::RequestFilter::default(), page);
    let requests = world.fixture.wait(requests).expect("available");
    assert_eq!(requests.items.len(), 1, "a replay is no arrival");
}

/// P3.
pub fn p3_elsewhere_never_touches_the_original<F: Fixture>() {
    let world = World::<F>::new();
    let message = failed(&world, 1)[0];
    let nowhere = world.accepted(world.inbound("nowhere", "{}").to(&[]));
    let staging = Plan {
        to_endpoint: Some(endpoint(9)),
        ..plan()
    };
    let id = started(&world, staging);
    turn(&world, HOLDER);
    let leases = world.lease();
    let names: Vec<MessageId> = leases
        .iter()
        .map(|lease| lease.parcel.message.sent_as())
        .collect();
    assert_eq!(names, [message, nowhere]);
    for lease in &leases {
        assert_eq!(lease.delivery.endpoint_id, Some(endpoint(9)));
        assert_eq!(
            lease.delivery.lane(),
            Lane::of_endpoint(endpoint(9)).for_replays()
        );
        world.finish(lease, FAIL);
    }
    run(&world, id, FAIL);
    let progress = load(&world, id).progress;
    assert_eq!((progress.done, progress.failed), (0, 2));
    assert_eq!(world.statuses(message), [DeliveryStatus::Failed]);
    assert!(world.statuses(nowhere).is_empty());
}

/// P4.
pub fn p4_replays_have_a_lane_of_their_own<F: Fixture>() {
    let world = World::<F>::new();
    failed(&world, 30);
    started(&world, plan());
    turn(&world, HOLDER);
    let live = world.accepted(world.inbound("live", "{}"));
    let first = world.lease_under(2, 100).leased;
    let lanes: BTreeSet<bool> = first
        .iter()
        .map(|lease| lease.delivery.lane().traffic() == Traffic::Live)
        .collect();
    assert_eq!(lanes.len(), 2, "a lane's first comes before any's second");
    assert!(first.iter().any(|lease| lease.delivery.message_id == live));
}

/// P2.
pub fn a_manual_retry_takes_a_delivery_out_of_its_replay<F: Fixture>() {
    let world = World::<F>::new();
    let cancelled = failed(&world, 2)[0];
    let mut only = plan();
    only.filter.status = Some(StatusWanted::Failed);
    let id = started(&world, only);
    turn(&world, HOLDER);
    let delivery = world.message(cancelled).deliveries[0].clone();
    assert_eq!(delivery.replay_id, Some(id));
    let retried = world
        .fixture
        .wait(world.store().command(PROJECT, delivery.id, Command::Retry));
    let Commanded::Done(retried) = retried.expect("available") else {
        panic!("a pending delivery can be retried");
    };
    assert_eq!(retried.trigger, Trigger::Manual);
    let live: Vec<_> = world
        .lease()
        .into_iter()
        .filter(|lease| lease.delivery.lane().traffic() == Traffic::Live)
        .collect();
    assert_eq!(live.len(), 1);
    assert_eq!(live[0].delivery.id, delivery.id);
    assert_eq!(live[0].delivery.replay_id, None);
}
