//! What goes wrong in the demo, and for which event. All of it follows from the seed, so that one
//! seed always tells one story.

use serde_json::json;

/// Who sends an event to the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provider {
    /// A payment provider: signs as Stripe does, and repeats until it is answered.
    Payments,
    /// A code host: signs as GitHub does, and never repeats by itself.
    CodeHost,
}

/// How an event is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    /// As it should be.
    Once,
    /// The answer is made but gets lost on its way, so the provider sends the event again.
    AnswerLost,
    /// The provider hangs up before the answer is made, and sends the event again.
    HangsUp,
    /// Eight of the provider's machines send it in the same moment.
    AtOnce,
    /// A person has it sent again later.
    ResentLater,
}

/// One business event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// What the shop knows it by.
    pub id: String,
    /// Its type.
    pub kind: &'static str,
    /// Who sends it.
    pub provider: Provider,
    /// How.
    pub habit: Habit,
    /// What it says.
    pub body: String,
}

/// How the shop takes a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// It does its work and says so.
    Well,
    /// It answers 500 and does nothing.
    Refuses,
    /// It drops the connection and does nothing.
    DropsBefore,
    /// It does its work, and drops the connection before it can say so.
    DropsAfter,
    /// It does its work, and answers too late.
    Slow,
}

/// From this visit on the shop takes every event well: the story has an end.
const WELL_FROM_VISIT: u32 = 3;
const KINDS: [&str; 4] = [
    "invoice.paid",
    "charge.refunded",
    "customer.created",
    "payout.paid",
];

/// The events of one story: `count` of the payment provider, and a tenth of that of the code host.
pub(crate) fn events(seed: u64, count: u32) -> Vec<Event> {
    let payments = (1..=count).map(|number| payment(seed, number));
    let pushes = (1..=count / 10).map(push);
    payments.chain(pushes).collect()
}

/// How the shop takes visit number `visit` (from 1) of an event.
pub(crate) fn mood(seed: u64, event: &str, visit: u32) -> Mood {
    if visit >= WELL_FROM_VISIT {
        return Mood::Well;
    }
    match draw(seed, event, visit) % 100 {
        0..12 => Mood::Refuses,
        12..16 => Mood::DropsBefore,
        16..20 => Mood::DropsAfter,
        20..23 => Mood::Slow,
        _ => Mood::Well,
    }
}

fn payment(seed: u64, number: u32) -> Event {
    let id = format!("evt_demo_{number:04}");
    let drawn = draw(seed, &id, 0);
    let kind = KINDS[usize::from(drawn.to_le_bytes()[7]) % KINDS.len()];
    let habit = match drawn % 10 {
        0..5 => Habit::Once,
        5..7 => Habit::AnswerLost,
        7 => Habit::HangsUp,
        8 => Habit::AtOnce,
        _ => Habit::ResentLater,
    };
    let amount = 100 + drawn % 50_000;
    let body = json!({
        "id": id, "object": "event", "type": kind,
        "data": {"object": {"amount": amount, "currency": "eur"}},
    });
    Event {
        id,
        kind,
        provider: Provider::Payments,
        habit,
        body: body.to_string(),
    }
}

fn push(number: u32) -> Event {
    let id = format!("push-{number:04}");
    let body = json!({"id": id, "ref": "refs/heads/main", "commits": []}).to_string();
    Event {
        id,
        kind: "push",
        provider: Provider::CodeHost,
        habit: if number.is_multiple_of(2) {
            Habit::Once
        } else {
            Habit::ResentLater
        },
        body,
    }
}

/// A number that depends on all three and looks random: FNV-1a, then a finishing mix.
fn draw(seed: u64, text: &str, number: u32) -> u64 {
    let start = seed.to_le_bytes().into_iter().chain(number.to_le_bytes());
    let hash = start
        .chain(text.bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    let mixed = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn one_seed_tells_one_story() {
        assert_eq!(events(7, 100), events(7, 100));
        assert_ne!(events(7, 100), events(8, 100));
        assert_eq!(mood(7, "evt_demo_0001", 1), mood(7, "evt_demo_0001", 1));
    }

    #[test]
    fn every_event_has_an_id_of_its_own() {
        let events = events(1, 200);
        let ids: HashSet<_> = events.iter().map(|event| event.id.as_str()).collect();
        assert_eq!((events.len(), ids.len()), (220, 220));
    }

    #[test]
    fn everything_that_can_go_wrong_does() {
        let events = events(1, 200);
        for habit in [
            Habit::Once,
            Habit::AnswerLost,
            Habit::HangsUp,
            Habit::AtOnce,
            Habit::ResentLater,
        ] {
            assert!(events.iter().any(|event| event.habit == habit), "{habit:?}");
        }
        for wanted in [
            Mood::Well,
            Mood::Refuses,
            Mood::DropsBefore,
            Mood::DropsAfter,
            Mood::Slow,
        ] {
            let met = events.iter().any(|event| mood(1, &event.id, 1) == wanted);
            assert!(met, "{wanted:?}");
        }
    }

    #[test]
    fn the_shop_recovers_in_the_end() {
        for event in events(3, 200) {
            assert_eq!(mood(3, &event.id, WELL_FROM_VISIT), Mood::Well);
        }
    }
}
