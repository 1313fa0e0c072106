//! What passes now: how much arrives by each source and leaves to each endpoint, over the last five
//! minutes.

use std::collections::BTreeMap;

use hooklatch_core::time::{Millis, Timestamp};

use crate::pages::api::with_query;
use crate::pages::overview::{FAILURES, Stats};
use crate::pages::session::Viewer;
use crate::pages::ui;

/// What "now" is.
const SPAN: Millis = Millis::from_seconds(300);

/// The rates of a project; empty where they are not known.
#[derive(Debug, Default)]
pub(super) struct Rates {
    /// By source; `None` is the send API.
    sources: BTreeMap<Option<String>, Arriving>,
    endpoints: BTreeMap<String, Leaving>,
    known: bool,
}

#[derive(Debug, Clone, Copy)]
struct Arriving {
    per_second: f64,
    duplicates: u64,
    total: u64,
}

#[derive(Debug, Clone, Copy)]
struct Leaving {
    per_second: f64,
    failing: u64,
    total: u64,
    waiting: u64,
}

impl Rates {
    /// The rates of the moment. A page is shown without them rather than not at all.
    pub async fn now(viewer: &Viewer) -> Self {
        let after: Timestamp = viewer.now - SPAN;
        let after = after.to_string();
        let path = with_query(
            "/v1/stats",
            [("after", after.as_str()), ("step_seconds", "60")],
        );
        viewer
            .find::<Stats>(&path)
            .await
            .map_or_else(Self::default, Self::of)
    }

    fn of(stats: Stats) -> Self {
        let arriving = stats.sources.into_iter().map(|one| {
            let arriving = Arriving {
                per_second: one.requests.per_second,
                duplicates: one.requests.outcome("duplicate"),
                total: one.requests.total,
            };
            (one.source_id, arriving)
        });
        let leaving = stats.endpoints.into_iter().filter_map(|one| {
            let failing = FAILURES.iter().map(|name| one.attempts.outcome(name));
            let leaving = Leaving {
                per_second: one.attempts.per_second,
                failing: failing.sum(),
                total: one.attempts.total,
                waiting: one.waiting.map_or(0, |waiting| waiting.deliveries),
            };
            Some((one.endpoint_id?, leaving))
        });
        Self {
            sources: arriving.collect(),
            endpoints: leaving.collect(),
            known: true,
        }
    }

    /// Whether anything comes by a source; `None` is the send API.
    pub fn arrives(&self, source: Option<&str>) -> bool {
        let found = self.sources.get(&source.map(str::to_owned));
        found.is_some_and(|one| one.total > 0)
    }

    /// Whether anything goes to an endpoint.
    pub fn leaves(&self, endpoint: &str) -> bool {
        self.endpoints
            .get(endpoint)
            .is_some_and(|one| one.total > 0)
    }

    /// What comes by a source, in words.
    pub fn arriving(&self, source: Option<&str>) -> String {
        match self.sources.get(&source.map(str::to_owned)) {
            _ if !self.known => String::new(),
            None => "quiet".to_owned(),
            Some(one) if one.total == 0 => "quiet".to_owned(),
            Some(one) => {
                let share = one.duplicates as f64 * 100.0 / one.total as f64;
                let rate = rate(one.per_second);
                if one.duplicates == 0 {
                    format!("{rate} arrive")
                } else {
                    format!("{rate} arrive · {share:.0} % duplicates")
                }
            }
        }
    }

    /// What goes to an endpoint, in words.
    pub fn leaving(&self, endpoint: &str) -> String {
        let Some(one) = self.endpoints.get(endpoint) else {
            return if self.known {
                "quiet".to_owned()
            } else {
                String::new()
            };
        };
        let mut words = Vec::new();
        if one.total > 0 {
            words.push(format!("{} attempts", rate(one.per_second)));
        }
        if one.failing > 0 {
            words.push(format!(
                "{:.0} % failing",
                one.failing as f64 * 100.0 / one.total as f64
            ));
        }
        if one.waiting > 0 {
            words.push(format!("{} waiting", ui::number(one.waiting)));
        }
        if words.is_empty() {
            "quiet".to_owned()
        } else {
            words.join(" · ")
        }
    }
}

/// So many a second, or where that is a small fraction, a minute.
fn rate(per_second: f64) -> String {
    match per_second {
        many if many >= 10.0 => format!("{}/s", ui::number(many.round() as u64)),
        some if some >= 1.0 => format!("{some:.1}/s"),
        few => format!("{:.1}/min", few * 60.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_said_in_the_unit_that_has_figures() {
        assert_eq!(
            [rate(2_000.4), rate(1.25), rate(0.05)],
            ["2,000/s", "1.2/s", "3.0/min"]
        );
    }

    #[test]
    fn what_is_not_known_is_not_called_quiet() {
        let unknown = Rates::default();
        assert_eq!(
            (unknown.arriving(None), unknown.leaving("ep_1")),
            Default::default()
        );
        let known = Rates {
            known: true,
            ..Rates::default()
        };
        assert_eq!(known.arriving(Some("src_1")), "quiet");
        assert!(!known.arrives(Some("src_1")));
    }

    #[test]
    fn failing_and_waiting_are_said_beside_the_rate() {
        let leaving = Leaving {
            per_second: 4.0,
            failing: 1,
            total: 4,
            waiting: 7,
        };
        let rates = Rates {
            endpoints: [("ep_1".to_owned(), leaving)].into(),
            known: true,
            ..Rates::default()
        };
        assert_eq!(
            rates.leaving("ep_1"),
            "4.0/s attempts · 25 % failing · 7 waiting"
        );
    }
}
