//! How long payloads and history are kept, and what may go when (INV-9).
//!
//! Three things have three lives. The claim lives for its window, whatever becomes of its message.
//! History, the record that something happened, lives as long as the project says; the payload, the
//! body that was carried, at most as long. What is not finished is never pruned: an attempt still
//! to come, or a request that waits for a person, needs its body.

mod pace;
mod settings;
mod size;

pub use pace::Pace;
pub use settings::{RETENTION_SECONDS_MAX, RetentionSettings};
pub use size::SizeCap;

use std::sync::Arc;

use crate::delivery::DeliveryStatus;
use crate::ids::{ProjectId, first_number_at};
use crate::message::Effect;
use crate::time::{Millis, Timestamp};

/// Messages of one request are numbered within this time of each other, whatever its size.
pub const BATCH_SPAN: Millis = Millis::from_seconds(60);

/// What of a request is pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The body, and what a script made of it. That it was there stays on record.
    Payloads,
    /// Everything but the claims: the message or request, its deliveries and attempts.
    History,
}

/// Where a project's past begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// The project.
    pub project: ProjectId,
    /// What has a smaller number may go.
    pub before: i64,
}

/// One small step of pruning, from the youngest to the oldest.
#[derive(Debug, Clone)]
pub struct PruneStep {
    /// What goes.
    pub what: What,
    /// Only numbers from this one on are looked at.
    pub from: i64,
    /// Only numbers below this are looked at.
    pub below: i64,
    /// What may go; a project without a cut keeps everything.
    pub cuts: Arc<[Cut]>,
    /// At most so many requests are looked at.
    pub rows_max: usize,
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Payloads whose body went.
    pub payloads: u64,
    /// Messages and requests that went.
    pub records: u64,
    /// Where to go on; none where nothing older is left.
    pub next: Option<i64>,
}

/// How far a message or request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing more happens by itself.
    Ended,
    /// A delivery is still to be made, or a person is to decide.
    Unfinished,
}

impl Standing {
    /// How far a message has come whose deliveries stand at `statuses`.
    pub fn of_message(statuses: impl IntoIterator<Item = DeliveryStatus>) -> Self {
        if statuses.into_iter().all(DeliveryStatus::is_final) {
            Self::Ended
        } else {
            Self::Unfinished
        }
    }

    /// How far a request has come that did not become a message when it arrived.
    pub fn of_request(effect: Effect) -> Self {
        match effect {
            Effect::Held => Self::Unfinished,
            Effect::Routed
            | Effect::NoRoute
            | Effect::Suppressed
            | Effect::Redriven
            | Effect::Rerouted
            | Effect::Released
            | Effect::Discarded
            | Effect::None => Self::Ended,
        }
    }
}

/// Whether an envelope is a request's own, or lies with another of the same batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrapping {
    /// Others of its batch may need it.
    Own,
    /// It lies with the first of its batch.
    Shared,
}

impl PruneStep {
    /// Whether what has this number belongs to the past of its project. What others of its batch
    /// may need stays a little longer, so that it goes after all of them.
    pub fn takes(&self, project: ProjectId, number: i64, wrapping: Wrapping) -> bool {
        let mut cuts = self.cuts.iter();
        let Some(cut) = cuts.find(|cut| cut.project == project) else {
            return false;
        };
        match (self.what, wrapping) {
            (What::Payloads, _) | (What::History, Wrapping::Shared) => number < cut.before,
            (What::History, Wrapping::Own) => number < before_batch(cut.before),
        }
    }
}

/// The number from which a batch may have begun whose last message has this number.
pub fn before_batch(number: i64) -> i64 {
    let time = crate::ids::MessageId::from_number(number).minted_at();
    first_number_at(time - BATCH_SPAN)
}

/// The cuts of projects at `now`, each by its settings.
pub fn cuts(
    what: What,
    projects: impl IntoIterator<Item = (ProjectId, RetentionSettings)>,
    now: Timestamp,
) -> Vec<Cut> {
    let cut = |(project, settings): (ProjectId, RetentionSettings)| {
        let before = match what {
            What::Payloads => settings.payloads_before(now),
            What::History => settings.history_before(now),
        };
        let before = first_number_at(before?);
        Some(Cut { project, before })
    };
    projects.into_iter().filter_map(cut).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::DeliveryStatus as Status;

    const ONE: ProjectId = ProjectId::from_number(1);
    const OTHER: ProjectId = ProjectId::from_number(2);
    const DAY: i64 = 86_400_000;

    fn step(what: What, before: i64) -> PruneStep {
        let cut = Cut {
            project: ONE,
            before,
        };
        PruneStep {
            what,
            from: 0,
            below: i64::MAX,
            cuts: [cut].into(),
            rows_max: 10,
        }
    }

    #[test]
    fn inv9_a_message_with_an_unfinished_delivery_is_not_finished() {
        for (statuses, standing) in [
            (&[][..], Standing::Ended),
            (&[Status::Delivered, Status::Failed], Standing::Ended),
            (&[Status::Cancelled], Standing::Ended),
            (&[Status::Delivered, Status::Pending], Standing::Unfinished),
            (&[Status::Delivering], Standing::Unfinished),
            (&[Status::Held], Standing::Unfinished),
        ] {
            assert_eq!(Standing::of_message(statuses.iter().copied()), standing);
        }
    }

    #[test]
    fn inv9_a_request_that_waits_for_a_person_is_not_finished() {
        assert_eq!(Standing::of_request(Effect::Held), Standing::Unfinished);
        assert_eq!(Standing::of_request(Effect::Suppressed), Standing::Ended);
        assert_eq!(Standing::of_request(Effect::Discarded), Standing::Ended);
    }

    #[test]
    fn a_project_without_a_cut_keeps_everything() {
        let before = first_number_at(Timestamp::from_millis(DAY));
        let step = step(What::Payloads, before);
        assert!(step.takes(ONE, before - 1, Wrapping::Own));
        assert!(!step.takes(ONE, before, Wrapping::Own));
        assert!(!step.takes(OTHER, 0, Wrapping::Own));
    }

    #[test]
    fn an_envelope_that_others_may_need_goes_after_them() {
        let before = first_number_at(Timestamp::from_millis(DAY));
        let step = step(What::History, before);
        assert!(step.takes(ONE, before - 1, Wrapping::Shared));
        assert!(!step.takes(ONE, before - 1, Wrapping::Own));
        assert!(step.takes(ONE, before_batch(before) - 1, Wrapping::Own));
    }

    #[test]
    fn cuts_follow_the_settings() {
        let settings = RetentionSettings {
            payload_days: Some(1),
            ..RetentionSettings::default()
        };
        let now = Timestamp::from_millis(3 * DAY);
        let found = cuts(What::Payloads, [(ONE, settings)], now);
        let before = first_number_at(Timestamp::from_millis(2 * DAY));
        assert_eq!(
            found,
            [Cut {
                project: ONE,
                before
            }]
        );
        assert!(cuts(What::History, [(ONE, settings)], now).is_empty());
    }
}
