//! What is done to the receiver, as data: which deliveries, in which order, over which connections.
//! Nothing here sends anything.

use std::time::Duration;

/// One story, told with one event that the receiver has never seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scenario {
    /// Its name, in reports.
    pub name: String,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The event is delivered, and again until it is acknowledged, as a provider does.
    Insist,
    /// It is delivered so many times at once; each is repeated until it is acknowledged.
    AtOnce(usize),
    /// Another payload is delivered under its key, once: whatever is answered is an answer.
    OtherPayload,
    /// It is delivered over a connection that is cut.
    Cut(Cut),
    /// Time passes.
    Wait(Duration),
    /// It is delivered, and the receiver dies after this part of the time that it usually takes;
    /// then it is started again.
    Kill(Fraction),
}

/// Where a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// In the middle of the request: the receiver gets a part of the body.
    InRequest,
    /// When the whole request is written, before the answer.
    BeforeAnswer,
    /// When the answer has begun to come: the receiver is done, and the sender does not know.
    AfterAnswer,
}

/// A part of a whole, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fraction(u32);

/// What can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choices {
    /// Deliveries at once.
    pub at_once: usize,
    /// How late a late delivery is.
    pub late: Duration,
    /// How often the receiver is killed; 0 where nobody said how.
    pub kills: u32,
}

impl Fraction {
    /// The middle of the `n`th of `count` parts, from 0.
    fn middle(n: u32, count: u32) -> Self {
        Self((2 * n + 1) * 1_000 / (2 * count))
    }

    /// So much of this.
    pub fn of(self, whole: Duration) -> Duration {
        whole * self.0 / 1_000
    }
}

/// Every scenario. The first is the plain one: it shows that the probe counts what the receiver
/// does, and how long that takes. Those that kill come last.
pub(super) fn scenarios(choices: Choices) -> Vec<Scenario> {
    let mut scenarios = vec![
        scenario("once", [Step::Insist]),
        scenario("twice in a row", [Step::Insist, Step::Insist]),
        scenario(
            format!("{} at once", choices.at_once),
            [Step::AtOnce(choices.at_once)],
        ),
        scenario(
            format!("again after {} s", choices.late.as_secs_f64()),
            [Step::Insist, Step::Wait(choices.late), Step::Insist],
        ),
        scenario("another payload", [Step::Insist, Step::OtherPayload]),
    ];
    for (name, cut) in [
        ("cut in the request", Cut::InRequest),
        ("cut before the answer", Cut::BeforeAnswer),
        ("cut after the answer", Cut::AfterAnswer),
    ] {
        scenarios.push(scenario(name, [Step::Cut(cut), Step::Insist]));
    }
    scenarios.extend((0..choices.kills).map(|n| {
        let at = Fraction::middle(n, choices.kills);
        let name = format!("killed at {} %", at.0 / 10);
        scenario(name, [Step::Kill(at), Step::Insist])
    }));
    scenarios
}

fn scenario<const N: usize>(name: impl Into<String>, steps: [Step; N]) -> Scenario {
    Scenario {
        name: name.into(),
        steps: steps.to_vec(),
    }
}

/// How long to wait before the next delivery of an event that was not acknowledged: twice as long
/// each time, up to two seconds, or longer where the receiver asks for it.
pub(super) fn wait_before_next(tries: u32, retry_after: Option<Duration>) -> Duration {
    let doubled = WAIT_MIN.saturating_mul(1 << tries.saturating_sub(1).min(10));
    doubled
        .min(WAIT_MAX)
        .max(retry_after.unwrap_or(Duration::ZERO))
}

const WAIT_MIN: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    const CHOICES: Choices = Choices {
        at_once: 16,
        late: Duration::from_secs(5),
        kills: 0,
    };

    fn names(choices: Choices) -> Vec<String> {
        let scenarios = scenarios(choices).into_iter();
        scenarios.map(|scenario| scenario.name).collect()
    }

    #[test]
    fn every_way_in_which_deliveries_go_wrong_has_its_scenario() {
        let expected = [
            "once",
            "twice in a row",
            "16 at once",
            "again after 5 s",
            "another payload",
            "cut in the request",
            "cut before the answer",
            "cut after the answer",
        ];
        assert_eq!(names(CHOICES), expected);
    }

    #[test]
    fn kills_are_spread_over_the_time_that_the_receiver_takes() {
        let killed = names(Choices {
            kills: 5,
            ..CHOICES
        });
        let expected = [10, 30, 50, 70, 90].map(|percent| format!("killed at {percent} %"));
        assert_eq!(killed[8..], expected);
        let half = Fraction::middle(0, 1);
        assert_eq!(
            half.of(Duration::from_millis(90)),
            Duration::from_millis(45)
        );
    }

    #[test]
    fn every_scenario_but_the_other_payload_ends_with_an_acknowledgement() {
        for scenario in scenarios(Choices {
            kills: 3,
            ..CHOICES
        }) {
            let insists = |step: &Step| matches!(step, Step::Insist | Step::AtOnce(_));
            assert!(scenario.steps.iter().any(insists), "{scenario:?}");
            let last = scenario.steps.last().unwrap();
            let is_other = *last == Step::OtherPayload;
            assert!(insists(last) || is_other, "{scenario:?}");
        }
    }

    #[test]
    fn a_provider_waits_longer_each_time_and_as_long_as_it_is_asked_to() {
        let seconds = Duration::from_secs;
        let cases = [
            (1, None, Duration::from_millis(100)),
            (2, None, Duration::from_millis(200)),
            (5, None, Duration::from_millis(1_600)),
            (60, None, seconds(2)),
            (1, Some(seconds(7)), seconds(7)),
            (60, Some(seconds(1)), seconds(2)),
        ];
        for (tries, asked, expected) in cases {
            assert_eq!(
                wait_before_next(tries, asked),
                expected,
                "{tries} {asked:?}"
            );
        }
    }
}
