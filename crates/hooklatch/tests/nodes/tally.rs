//! What was answered, counted by what was being done to the nodes at the time.

use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Answers that should not be are kept up to so many.
const WRONG_MAX: usize = 20;

/// What came of one request.
#[derive(Debug)]
pub enum Came {
    /// A 2xx for a key that is new.
    Accepted,
    /// A 2xx for a key that is known.
    Duplicate,
    /// 503 that says when to come again.
    Unavailable,
    /// No whole answer: refused, or broken off.
    Broken,
    /// No answer before the client gave up.
    TimedOut,
    /// Anything else, which should not be.
    Wrong(String),
}

/// Counts of one disturbance.
#[derive(Debug, Clone, Default)]
pub struct Row {
    name: String,
    requests: u64,
    accepted: u64,
    duplicates: u64,
    unavailable: u64,
    broken: u64,
    timed_out: u64,
    /// Attempts that the sink saw.
    pub attempts: usize,
    /// How long it took, after the disturbance, until every node accepted something new.
    pub back_after: Duration,
    /// How long all of it took.
    pub took: Duration,
}

/// All counts.
#[derive(Default)]
pub struct Tally(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    rows: Vec<Row>,
    wrong: Vec<String>,
}

impl Tally {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on something else is done.
    pub fn begin(&self, name: &str) {
        self.counts().rows.push(Row {
            name: name.to_owned(),
            ..Row::default()
        });
    }

    /// Completes the row of what was just done.
    pub fn end(&self, complete: impl FnOnce(&mut Row)) {
        let mut counts = self.counts();
        complete(counts.rows.last_mut().expect("something was begun"));
    }

    /// What is being done now, for a request that begins.
    pub fn now(&self) -> usize {
        self.counts().rows.len() - 1
    }

    /// Counts a request that began during `row`.
    pub fn count(&self, row: usize, came: Came) {
        let mut counts = self.counts();
        let row = &mut counts.rows[row];
        row.requests += 1;
        match came {
            Came::Accepted => row.accepted += 1,
            Came::Duplicate => row.duplicates += 1,
            Came::Unavailable => row.unavailable += 1,
            Came::Broken => row.broken += 1,
            Came::TimedOut => row.timed_out += 1,
            Came::Wrong(what) => {
                let what = format!("during {}: {what}", row.name);
                if counts.wrong.len() < WRONG_MAX {
                    counts.wrong.push(what);
                }
            }
        }
    }

    /// Answers that should not be.
    pub fn wrong(&self) -> Vec<String> {
        self.counts().wrong.clone()
    }

    /// Rows, and their sum.
    pub fn table(&self) -> String {
        let mut rows = self.counts().rows.clone();
        let mut total = Row {
            name: "in all".to_owned(),
            ..Row::default()
        };
        for row in &rows {
            total.add(row);
        }
        rows.push(total);
        let mut text = format!(
            "{:<38} {:>8} {:>7} {:>10} {:>6} {:>6} {:>8} {:>8} {:>7} {:>7}\n",
            "",
            "requests",
            "2xx",
            "duplicates",
            "503",
            "broken",
            "time-out",
            "attempts",
            "back s",
            "took s"
        );
        for row in rows {
            row.write(&mut text);
        }
        text
    }
}

impl Row {
    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.accepted += other.accepted;
        self.duplicates += other.duplicates;
        self.unavailable += other.unavailable;
        self.broken += other.broken;
        self.timed_out += other.timed_out;
        self.attempts += other.attempts;
        self.back_after = self.back_after.max(other.back_after);
        self.took += other.took;
    }

    fn write(&self, text: &mut String) {
        let written = writeln!(
            text,
            "{:<38} {:>8} {:>7} {:>10} {:>6} {:>6} {:>8} {:>8} {:>7.1} {:>7.1}",
            self.name,
            self.requests,
            self.accepted + self.duplicates,
            self.duplicates,
            self.unavailable,
            self.broken,
            self.timed_out,
            self.attempts,
            self.back_after.as_secs_f64(),
            self.took.as_secs_f64(),
        );
        written.expect("a text takes everything");
    }
}
