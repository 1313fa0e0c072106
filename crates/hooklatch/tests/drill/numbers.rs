//! How large the drill is, and what came of it.

use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde_json::Value;

use super::World;
use super::support::eventually::eventually;

/// By how much live traffic may be slower beside a replay.
const RATIO_MAX: f64 = 1.5;
/// In the short form a few hundred events are measured on a machine that runs other tests: their
/// 99th percentile is one unlucky event.
const SLACK_SHORT: Duration = Duration::from_millis(500);

/// How large the drill is.
pub struct Form {
    pub long: bool,
    pub messages: usize,
    /// The endpoint is down for at least so long.
    pub outage: Duration,
    pub arrival_rate: u32,
    pub live_rate: u32,
    /// How long live traffic is measured without the replay.
    pub live_for: Duration,
    pub replay_rate: u32,
}

impl Form {
    /// The form of this name.
    pub fn named(name: Option<&str>) -> Self {
        match name {
            Some("long") => Self {
                long: true,
                messages: 10_000,
                outage: Duration::from_secs(60),
                arrival_rate: 200,
                live_rate: 40,
                live_for: Duration::from_secs(50),
                replay_rate: 200,
            },
            None | Some("short") => Self {
                long: false,
                messages: 300,
                outage: Duration::from_secs(2),
                arrival_rate: 150,
                live_rate: 30,
                live_for: Duration::from_secs(3),
                replay_rate: 100,
            },
            Some(other) => panic!("{other} is no form of the drill: long or short"),
        }
    }

    /// Messages of live traffic without the replay.
    pub fn live_messages(&self) -> usize {
        usize::try_from(self.live_for.as_secs()).expect("it is short") * self.live_rate as usize
    }

    /// Messages of live traffic beside the replay: for as long as its rate lets it take.
    pub fn messages_beside(&self) -> usize {
        self.messages * self.live_rate as usize / self.replay_rate as usize
    }
}

/// What came of it.
#[derive(Default)]
pub struct Numbers {
    pub outage: Duration,
    pub alone: Vec<Duration>,
    pub beside: Vec<Duration>,
    pub replay: Duration,
    planned: u64,
    done: u64,
    shop: (usize, usize, usize),
    slow: (usize, usize, usize),
}

impl Numbers {
    /// Takes over what the replay and the receivers say.
    pub async fn take(&mut self, replay: &Value, world: &World, form: &Form) {
        eventually("the slow one has all", || async {
            (world.slow.effects().0 == form.messages).then_some(())
        })
        .await;
        let number = |name: &str| replay[name].as_u64().expect("it is a number");
        (self.planned, self.done) = (number("total"), number("done"));
        (self.shop, self.slow) = (world.shop.effects(), world.slow.effects());
    }

    fn ratio(&self) -> f64 {
        let seconds = |latencies| percentile(latencies, 99).as_secs_f64();
        seconds(&self.beside) / seconds(&self.alone)
    }

    /// The table of the report.
    pub fn table(&self, form: &Form) -> Table {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header(["the drill", "", "should be"]);
        let should = (form.messages + self.alone.len() + self.beside.len()).to_string();
        let per_second = self.done as f64 / self.replay.as_secs_f64();
        let rows: [(&str, String, String); 12] = [
            (
                "messages in the outage",
                form.messages.to_string(),
                String::new(),
            ),
            ("the shop was down for", seconds(self.outage), String::new()),
            (
                "planned",
                self.planned.to_string(),
                form.messages.to_string(),
            ),
            ("replayed", self.done.to_string(), form.messages.to_string()),
            (
                "replayed per second",
                format!("{per_second:.0}"),
                form.replay_rate.to_string(),
            ),
            ("effects at the shop", self.shop.0.to_string(), should),
            (
                "effects that happened twice",
                self.shop.1.to_string(),
                "0".to_owned(),
            ),
            (
                "effects at the slow one",
                self.slow.0.to_string(),
                form.messages.to_string(),
            ),
            ("live p50 / p99 alone", both(&self.alone), String::new()),
            (
                "live p50 / p99 beside the replay",
                both(&self.beside),
                String::new(),
            ),
            (
                "p99 beside / alone",
                format!("{:.2}", self.ratio()),
                format!("≤ {RATIO_MAX}"),
            ),
            (
                "known keys that were skipped",
                self.shop.2.to_string(),
                String::new(),
            ),
        ];
        for (what, came, should) in rows {
            table.add_row([what.to_owned(), came, should]);
        }
        table
    }

    /// Everything that the drill promises.
    pub fn check(&self, form: &Form) {
        let messages = form.messages as u64;
        assert_eq!((self.planned, self.done), (messages, messages));
        let at_shop = form.messages + self.alone.len() + self.beside.len();
        assert_eq!((self.shop.0, self.shop.1), (at_shop, 0), "each effect once");
        assert_eq!((self.slow.0, self.slow.1), (form.messages, 0));
        let slack = if form.long {
            Duration::ZERO
        } else {
            SLACK_SHORT
        };
        let most = percentile(&self.alone, 99).mul_f64(RATIO_MAX) + slack;
        let beside = percentile(&self.beside, 99);
        assert!(
            beside <= most,
            "p99 beside the replay: {beside:?} > {most:?}"
        );
    }
}

/// The smallest that so many in a hundred do not exceed; the shortest come first.
fn percentile(latencies: &[Duration], in_hundred: usize) -> Duration {
    let place = (latencies.len() * in_hundred).div_ceil(100);
    latencies[place.saturating_sub(1)]
}

fn both(latencies: &[Duration]) -> String {
    let [half, most] = [50, 99].map(|it| percentile(latencies, it).as_secs_f64() * 1_000.0);
    format!("{half:.1} / {most:.1} ms")
}

fn seconds(span: Duration) -> String {
    format!("{:.1} s", span.as_secs_f64())
}
