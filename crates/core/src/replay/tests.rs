//! The rules of a replay, without a store.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use super::testing::{at, delivery, plan, replay};
use super::*;
use crate::delivery::attempt::AttemptOutcome;
use crate::delivery::lane::Traffic;
use crate::delivery::{Delivery, Reason, State, Trigger};
use crate::fingerprint::Fingerprint;
use crate::ids::{EndpointId, Mint, RequestId};
use crate::message::{Direction, Envelope, Message, Origin, Parcel};

fn message(number: i64) -> Message {
    Message {
        id: MessageId::from_number(number),
        project_id: ProjectId::from_number(1),
        request_id: RequestId::from_number(number),
        direction: Direction::Inbound,
        source_id: None,
        tenant: None,
        event_type: None,
        key: None,
        fingerprint: Fingerprint::from_bytes([0; 32]),
        origin: Origin::Accepted,
        received_at: at(0),
        decided_at: at(0),
        routed: true,
        routing: Vec::new(),
        suspected_duplicate_of: None,
        original_message_id: None,
        response_status: 200,
        target: None,
        extra_headers: Vec::new(),
        warnings: Vec::new(),
        payload_until: None,
        payload_pruned_at: None,
    }
}

fn failed(number: i64) -> Delivery {
    let reason = Reason::AttemptsExhausted;
    Delivery {
        state: State::Failed { at: at(1), reason },
        attempts: 3,
        ..delivery(number)
    }
}

fn delivered(number: i64) -> Delivery {
    Delivery {
        state: State::Delivered { at: at(1) },
        attempts: 1,
        ..delivery(number)
    }
}

fn found(plan: &Plan, deliveries: &[Delivery], last: Option<AttemptOutcome>) -> Found {
    let mut found = Found::default();
    found.add(plan, &message(10), deliveries, |_| last);
    found
}

fn running(plan: Plan, items: u64) -> Replay {
    let mut replay = replay(plan);
    replay.progress.total = items;
    replay.progress.status = ReplayStatus::Ready;
    replay.command(ReplayCommand::Start, at(0)).unwrap()
}

fn material(deliveries: Vec<Delivery>, more: bool) -> Material {
    let parcel = |delivery: &Delivery| Parcel {
        message: message(delivery.message_id.number()),
        envelope: Arc::new(Envelope::default()),
        body: Bytes::from_static(b"{}"),
    };
    Material {
        items: deliveries
            .iter()
            .map(|delivery| Item {
                message: delivery.message_id,
                delivery: Some(delivery.id),
            })
            .collect(),
        more,
        present: deliveries.iter().map(|it| it.message_id).collect(),
        parcels: deliveries
            .iter()
            .map(|it| (it.message_id, parcel(it)))
            .collect(),
        deliveries: deliveries.into_iter().map(|it| (it.id, it)).collect(),
    }
}

fn known(deliveries: &[Delivery]) -> HashMap<DeliveryId, Delivery> {
    deliveries.iter().cloned().map(|it| (it.id, it)).collect()
}

#[test]
fn p1_a_plan_counts_each_standing_and_leaves_out_what_was_delivered() {
    let held = Delivery {
        state: State::Held {
            reason: Reason::Uncertain,
        },
        attempts: 1,
        ..delivery(3)
    };
    let never = Delivery {
        state: State::Failed {
            at: at(1),
            reason: Reason::EndpointDisabled,
        },
        ..delivery(4)
    };
    let waiting = Delivery {
        attempts: 2,
        ..delivery(5)
    };
    let cancelled = Delivery {
        state: State::Cancelled {
            at: at(1),
            reason: Reason::CancelledByPerson,
        },
        ..delivery(7)
    };
    let all = [
        failed(1),
        delivered(2),
        held,
        never,
        waiting,
        delivery(6),
        cancelled,
    ];
    let planned = found(&plan(), &all, Some(AttemptOutcome::Failed));
    let counts = Counts {
        never_attempted: 1,
        uncertain: 1,
        failed: 2,
        delivered: 1,
        under_way: 1,
        cancelled: 1,
    };
    assert_eq!(planned.counts, counts);
    assert_eq!(counts.sum(), all.len() as u64);
    assert_eq!(planned.items.len(), 4);
    let with_delivered = Plan {
        include_delivered: true,
        ..plan()
    };
    assert_eq!(found(&with_delivered, &all, None).items.len(), 5);
    let unanswered = found(&plan(), &all[..1], Some(AttemptOutcome::Uncertain));
    assert_eq!(unanswered.counts.uncertain, 1);
}

#[test]
fn p1_a_filter_by_status_chooses_among_the_deliveries_of_a_message() {
    let mut cancelled_only = plan();
    cancelled_only.filter.status = Some(StatusWanted::Cancelled);
    let cancelled = Delivery {
        state: State::Cancelled {
            at: at(1),
            reason: Reason::CancelledByPerson,
        },
        ..delivery(7)
    };
    let planned = found(&cancelled_only, &[failed(1), cancelled], None);
    assert_eq!(planned.items.len(), 1, "what a person names is taken");
    assert_eq!(planned.counts.failed, 0);
}

#[test]
fn p1_a_bulk_cancel_takes_only_what_has_not_ended() {
    let cancel = Plan {
        action: Action::Cancel,
        ..plan()
    };
    let planned = found(&cancel, &[failed(1), delivered(2), delivery(3)], None);
    assert_eq!(planned.items.len(), 1);
    let mut replay = running(cancel, 1);
    let stepped = replay.step(
        &material(vec![delivery(3)], false),
        &mut Mint::default(),
        at(1),
    );
    assert!(matches!(stepped.moved[0].state, State::Cancelled { .. }));
    assert_eq!(
        (replay.status(), replay.progress.done),
        (ReplayStatus::Done, 1)
    );
}

#[test]
fn p1_what_is_asked_twice_is_done_once_and_what_has_ended_stays() {
    use ReplayCommand::{Cancel, Pause, Resume, Start};
    use ReplayStatus as S;
    let steps = [
        (Start, S::Running),
        (Start, S::Running),
        (Pause, S::Paused),
        (Pause, S::Paused),
        (Resume, S::Running),
        (Resume, S::Running),
        (Cancel, S::Cancelled),
        (Cancel, S::Cancelled),
    ];
    let ready = replay(plan());
    let mut replay = running(plan(), 1);
    for (command, status) in steps {
        replay = replay.command(command, at(1)).unwrap();
        assert_eq!(replay.status(), status, "{command:?}");
    }
    for command in [Start, Pause, Resume] {
        let refused = replay.command(command, at(1)).unwrap_err();
        assert_eq!(refused, ReplayRefused::Ended(S::Cancelled));
    }
    assert!(ready.command(Pause, at(1)).is_err());
}

#[test]
fn p1_a_start_while_planning_waits_for_the_plan() {
    let replay = replay(plan());
    let mut replay = replay.command(ReplayCommand::Start, at(1)).unwrap();
    assert_eq!(replay.status(), ReplayStatus::Planning);
    let one = found(&plan(), &[failed(1)], None);
    replay.planned(&one, Some(5), at(2));
    assert_eq!(replay.status(), ReplayStatus::Planning);
    replay.planned(&one, None, at(3));
    assert_eq!(replay.status(), ReplayStatus::Running);
    assert_eq!(replay.progress.total, 2);
}

#[test]
fn p1_a_replay_over_nothing_is_done_when_it_is_started() {
    let mut replay = replay(plan());
    replay.planned(&Found::default(), None, at(1));
    assert_eq!(replay.status(), ReplayStatus::Ready);
    let replay = replay.command(ReplayCommand::Start, at(2)).unwrap();
    assert_eq!(replay.status(), ReplayStatus::Done);
    assert_eq!(replay.progress.ended_at, Some(at(2)));
}

#[test]
fn p2_p4_a_replayed_delivery_keeps_its_name_and_has_its_own_lane() {
    let mut replay = running(plan(), 1);
    let before = failed(1);
    let handed = material(vec![before.clone()], false);
    let stepped = replay.step(&handed, &mut Mint::default(), at(1));
    let moved = &stepped.moved[0];
    assert_eq!((moved.id, moved.message_id), (before.id, before.message_id));
    assert_eq!(moved.trigger, Trigger::Replay);
    assert_eq!(moved.replay_id, Some(replay.id()));
    assert_eq!(moved.lane().traffic(), Traffic::Replays);
    assert_eq!(moved.attempts_spent(), 0, "its budget is fresh");
    assert_eq!(replay.status(), ReplayStatus::Running, "it is on its way");
    let delivered = Delivery {
        state: State::Delivered { at: at(2) },
        attempts: 4,
        ..moved.clone()
    };
    replay.settle(&known(std::slice::from_ref(&delivered)), at(2));
    replay.step(&Material::default(), &mut Mint::default(), at(2));
    assert_eq!(
        (replay.status(), replay.progress.done),
        (ReplayStatus::Done, 1)
    );
    let redriven = Delivery {
        state: failed(1).state,
        ..delivered
    };
    let redriven = redriven.redriven(at(3)).unwrap();
    assert_eq!(redriven.lane().traffic(), Traffic::Live);
    assert_eq!(redriven.replay_id, None);
}

#[test]
fn p2_as_new_makes_a_message_with_a_name_of_its_own() {
    let as_new = Plan {
        as_new: true,
        include_delivered: true,
        ..plan()
    };
    let mut replay = running(as_new, 1);
    let stepped = replay.step(
        &material(vec![delivered(1)], false),
        &mut Mint::default(),
        at(1),
    );
    assert!(stepped.moved.is_empty());
    let made = &stepped.made[0];
    assert_eq!(made.parcel.message.origin, Origin::Replayed);
    assert!(made.parcel.message.origin.derives_key());
    assert_eq!(made.parcel.message.sent_as(), made.parcel.message.id);
    assert_eq!(
        made.parcel.message.original_message_id,
        Some(MessageId::from_number(1))
    );
    assert_eq!(made.delivery.endpoint_id, delivered(1).endpoint_id);
}

#[test]
fn p3_elsewhere_keeps_the_name_and_never_touches_the_original() {
    let staging = EndpointId::from_number(70);
    let elsewhere = Plan {
        to_endpoint: Some(staging),
        ..plan()
    };
    let both = found(&elsewhere, &[failed(1), delivered(2)], None);
    assert_eq!(both.items.len(), 1, "a message goes elsewhere once");
    let unrouted = found(&elsewhere, &[], None);
    assert_eq!(unrouted.items.len(), 1, "also one that went nowhere");
    assert!(found(&elsewhere, &[delivered(2)], None).items.is_empty());
    let mut replay = running(elsewhere, 1);
    let mut handed = material(vec![failed(1)], false);
    handed.items[0].delivery = None;
    let stepped = replay.step(&handed, &mut Mint::default(), at(1));
    assert!(stepped.moved.is_empty());
    let made = &stepped.made[0];
    assert_eq!(made.delivery.endpoint_id, Some(staging));
    assert_eq!(
        made.delivery.lane(),
        crate::delivery::Lane::of_endpoint(staging).for_replays()
    );
    assert_eq!(made.parcel.message.sent_as(), MessageId::from_number(1));
    assert!(!made.parcel.message.origin.derives_key());
}

#[test]
fn p1_the_rate_holds_and_what_was_missed_is_not_caught_up_with() {
    let slow = Plan {
        rate_per_second: 10,
        ..plan()
    };
    let mut replay = running(slow, 100);
    let mut mint = Mint::default();
    let mut sent = 0;
    for tick in 0..100 {
        let now = at(tick * 50);
        let many = replay.allowance(now);
        sent += many;
        let deliveries = (0..many as i64)
            .map(|n| failed(tick * 1_000 + n * 10))
            .collect();
        replay.step(&material(deliveries, true), &mut mint, now);
        replay.progress.window.clear();
    }
    assert!((49..=54).contains(&sent), "{sent} in 5 s at 10 per second");
    let later = at(3_600_000);
    assert!(replay.allowance(later) <= 3, "an hour's pause is no credit");
}

#[test]
fn p1_steps_are_rare_unless_the_rate_needs_more_of_them() {
    let step = |rate_per_second: u32, items: usize| {
        let mut replay = running(
            Plan {
                rate_per_second,
                ..plan()
            },
            1_000,
        );
        let deliveries = (0..items as i64).map(|n| failed(n * 10)).collect();
        replay.step(&material(deliveries, true), &mut Mint::default(), at(1));
        replay.next_step_in(at(2)).get()
    };
    assert_eq!(step(10_000, STEP_ITEMS_MAX), 5, "it lags behind its rate");
    assert_eq!(step(10_000, 0), 50, "nothing could be handed over");
    assert_eq!(step(200, 1), 50);
    assert_eq!(step(1, 1), 250, "a command is heard soon");
}

#[test]
fn p1_the_window_bounds_what_is_on_its_way() {
    let fast = Plan {
        rate_per_second: 10_000,
        ..plan()
    };
    let mut replay = running(fast, 1_000);
    let mut sent = 0;
    for tick in 0..1_000 {
        let now = at(tick);
        let many = replay.allowance(now);
        assert!(many <= STEP_ITEMS_MAX);
        let deliveries = (0..many as i64)
            .map(|n| failed(tick * 1_000 + n * 10))
            .collect();
        sent += many;
        replay.step(&material(deliveries, true), &mut Mint::default(), now);
    }
    assert_eq!(sent, WINDOW_MAX);
    let waiting: Vec<Delivery> = Vec::new();
    replay.settle(&known(&waiting), at(2_000));
    assert_eq!(replay.progress.gone, WINDOW_MAX as u64);
}

#[test]
fn p1_what_came_of_each_is_counted_once() {
    let mut replay = running(plan(), 5);
    let all: Vec<Delivery> = (1..=5).map(|n| failed(n * 10)).collect();
    let stepped = replay.step(&material(all, false), &mut Mint::default(), at(1));
    let mut now = stepped.moved;
    now[0].state = State::Delivered { at: at(2) };
    now[1].attempts += 1;
    now[1].trigger = Trigger::Retry;
    now[2].replay_id = None;
    now[3].state = State::Cancelled {
        at: at(2),
        reason: Reason::EndpointDeleted,
    };
    replay.settle(&known(&now), at(3));
    let progress = &replay.progress;
    assert_eq!(
        (progress.done, progress.failed, progress.skipped),
        (1, 2, 1)
    );
    assert_eq!(progress.window.len(), 1);
    replay.settle(&known(&now), at(61_000 + 2));
    assert_eq!(replay.progress.waiting, 1);
    replay.step(&Material::default(), &mut Mint::default(), at(61_003));
    assert_eq!(replay.status(), ReplayStatus::Done);
}

#[test]
fn p1_an_attempt_that_was_lost_with_its_node_and_is_made_again_is_waited_for() {
    let mut replay = running(plan(), 1);
    let handed = material(vec![failed(1)], false);
    let moved = replay
        .step(&handed, &mut Mint::default(), at(1))
        .moved
        .remove(0);
    let span = crate::time::Millis::from_seconds(1);
    let lease = |delivery: &Delivery, token: i64, now| {
        let token = crate::ids::AttemptId::from_number(token);
        delivery.lease(token, now, span).unwrap().delivery
    };
    let lost = lease(&moved, 1_000, at(1));
    let again = lease(&lost, 1_001, at(1_001));
    assert_eq!(again.trigger, Trigger::Recovery);
    replay.settle(&known(std::slice::from_ref(&again)), at(1_002));
    assert_eq!(
        (replay.progress.failed, replay.progress.window.len()),
        (0, 1)
    );
    let retried = Delivery {
        trigger: Trigger::Retry,
        ..again
    };
    replay.settle(&known(&[retried]), at(1_003));
    assert_eq!(replay.progress.failed, 1);
}

#[test]
fn p1_what_moved_or_vanished_since_the_plan_is_left_alone() {
    let mut replay = running(plan(), 3);
    let mut handed = material(vec![delivered(1), failed(20), failed(30)], false);
    handed.present = HashSet::from([MessageId::from_number(1), MessageId::from_number(20)]);
    handed.deliveries.remove(&failed(20).id);
    let stepped = replay.step(&handed, &mut Mint::default(), at(1));
    assert_eq!(stepped, Stepped::default());
    assert_eq!((replay.progress.skipped, replay.progress.gone), (1, 2));
    assert_eq!(replay.status(), ReplayStatus::Done);
}
