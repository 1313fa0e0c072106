//! What a scenario shows: facts in, verdict out.

use serde::Serialize;

/// How often the effect happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// As often as it should.
    Once,
    /// More often.
    Twice,
    /// Not at all.
    Lost,
}

/// What was seen of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// What the probe counted before the first delivery.
    pub before: u64,
    /// And after the last.
    pub after: u64,
    /// Whether every delivery that was insisted on was acknowledged in the end.
    pub acknowledged: bool,
}

impl Seen {
    /// How often the effect happened.
    pub fn verdict(self) -> Verdict {
        // A count that went down is an effect that was lost, whosever it was.
        match self.after.saturating_sub(self.before) {
            0 => Verdict::Lost,
            1 => Verdict::Once,
            _ => Verdict::Twice,
        }
    }

    /// Whether the receiver did right. One that never acknowledges does not: its provider goes on,
    /// or gives up and disables it.
    pub fn passes(self) -> bool {
        self.verdict() == Verdict::Once && self.acknowledged
    }
}

impl Verdict {
    /// As reports have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Twice => "twice",
            Self::Lost => "lost",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_decides_and_an_answer_does_not() {
        let cases = [
            (0, 1, true, Verdict::Once, true),
            (0, 0, true, Verdict::Lost, false),
            (0, 2, true, Verdict::Twice, false),
            (0, 17, true, Verdict::Twice, false),
            (41, 42, true, Verdict::Once, true),
            (42, 42, true, Verdict::Lost, false),
            (42, 41, true, Verdict::Lost, false),
            (0, 1, false, Verdict::Once, false),
            (0, 0, false, Verdict::Lost, false),
            (0, 2, false, Verdict::Twice, false),
        ];
        for (before, after, acknowledged, verdict, passes) in cases {
            let seen = Seen {
                before,
                after,
                acknowledged,
            };
            assert_eq!(seen.verdict(), verdict, "{seen:?}");
            assert_eq!(seen.passes(), passes, "{seen:?}");
        }
    }
}
