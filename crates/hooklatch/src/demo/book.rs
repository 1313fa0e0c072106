//! The demo's own account of what happened, kept beside the gateway and without asking it: which
//! business events there were, and what the shop did about each.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Keeps the account.
#[derive(Debug, Default)]
pub(crate) struct Book {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    events: BTreeMap<String, Entry>,
    /// What the shop has done, by `webhook-id`: this is what makes it a correct receiver.
    done: HashSet<String>,
    unverified: u64,
    calls: u64,
}

#[derive(Debug, Default)]
struct Entry {
    /// The event happened in this story; else somebody sent it from outside.
    expected: bool,
    visits: u32,
    effects: u32,
    skipped: u32,
    webhook_ids: BTreeSet<String>,
}

/// What the shop did with a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// Its work.
    Now,
    /// Nothing: it had done the work of this `webhook-id` before.
    Before,
}

/// The account's sums, over the events of the story.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Business events.
    pub events: u64,
    /// Calls that providers and the shop's own program made to the gateway.
    pub calls: u64,
    /// Effects of all events.
    pub effects: u64,
    /// Deliveries that the shop recognised by their `webhook-id` and skipped.
    pub skipped: u64,
    /// Deliveries under a further `webhook-id` of an event that already had one.
    pub other_ids: u64,
    /// Deliveries whose signature was wrong.
    pub unverified: u64,
    /// Events without any effect.
    pub lost: u64,
    /// Events whose effect happened more than once.
    pub twice: u64,
}

impl Tally {
    /// Whether the gateway kept its promise.
    pub const fn is_clean(&self) -> bool {
        self.lost == 0 && self.twice == 0 && self.other_ids == 0 && self.unverified == 0
    }
}

impl Book {
    /// A business event happens.
    pub fn expect(&self, event: &str) {
        self.lock().entry(event).expected = true;
    }

    /// Somebody calls the gateway.
    pub fn called(&self) {
        self.lock().calls += 1;
    }

    /// A delivery of an event reaches the shop. Answers which visit this is, from 1.
    pub fn visit(&self, event: &str, webhook_id: &str) -> u32 {
        let mut inner = self.lock();
        let entry = inner.entry(event);
        entry.visits += 1;
        entry.webhook_ids.insert(webhook_id.to_owned());
        entry.visits
    }

    /// The shop does its work, unless it has done it for this `webhook-id`.
    pub fn work(&self, event: &str, webhook_id: &str) -> Done {
        let mut inner = self.lock();
        let new = inner.done.insert(webhook_id.to_owned());
        let entry = inner.entry(event);
        if new {
            entry.effects += 1;
            Done::Now
        } else {
            entry.skipped += 1;
            Done::Before
        }
    }

    /// A delivery with a wrong signature reaches the shop.
    pub fn unverified(&self) {
        self.lock().unverified += 1;
    }

    /// The sums.
    pub fn tally(&self) -> Tally {
        let inner = self.lock();
        let mut tally = Tally {
            calls: inner.calls,
            unverified: inner.unverified,
            ..Tally::default()
        };
        for entry in inner.events.values().filter(|entry| entry.expected) {
            tally.events += 1;
            tally.effects += u64::from(entry.effects);
            tally.skipped += u64::from(entry.skipped);
            tally.other_ids += entry.webhook_ids.len().saturating_sub(1) as u64;
            tally.lost += u64::from(entry.effects == 0);
            tally.twice += u64::from(entry.effects > 1);
        }
        tally
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn entry(&mut self, event: &str) -> &mut Entry {
        self.events.entry(event.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book_of(events: &[&str]) -> Book {
        let book = Book::default();
        for event in events {
            book.expect(event);
        }
        book
    }

    fn deliver(book: &Book, event: &str, webhook_id: &str) -> Done {
        book.visit(event, webhook_id);
        book.work(event, webhook_id)
    }

    #[test]
    fn an_event_without_effect_is_lost() {
        let book = book_of(&["a", "b"]);
        deliver(&book, "a", "msg_1");
        let tally = book.tally();
        assert_eq!((tally.events, tally.effects, tally.lost), (2, 1, 1));
        assert!(!tally.is_clean());
    }

    #[test]
    fn a_repeat_under_one_webhook_id_is_skipped_and_counted() {
        let book = book_of(&["a"]);
        assert_eq!(deliver(&book, "a", "msg_1"), Done::Now);
        assert_eq!(deliver(&book, "a", "msg_1"), Done::Before);
        let tally = book.tally();
        assert_eq!((tally.effects, tally.skipped, tally.twice), (1, 1, 0));
        assert!(tally.is_clean());
    }

    #[test]
    fn one_event_under_two_webhook_ids_happens_twice() {
        let book = book_of(&["a"]);
        deliver(&book, "a", "msg_1");
        deliver(&book, "a", "msg_2");
        let tally = book.tally();
        assert_eq!((tally.effects, tally.other_ids, tally.twice), (2, 1, 1));
        assert!(!tally.is_clean());
    }

    #[test]
    fn another_webhook_id_is_seen_even_where_the_shop_did_nothing() {
        let book = book_of(&["a"]);
        deliver(&book, "a", "msg_1");
        assert_eq!(book.visit("a", "msg_2"), 2);
        let tally = book.tally();
        assert_eq!((tally.twice, tally.other_ids), (0, 1));
        assert!(!tally.is_clean());
    }

    #[test]
    fn a_wrong_signature_spoils_the_account() {
        let book = book_of(&["a"]);
        deliver(&book, "a", "msg_1");
        book.unverified();
        assert!(!book.tally().is_clean());
    }

    #[test]
    fn what_a_visitor_sends_is_not_part_of_the_story() {
        let book = book_of(&[]);
        deliver(&book, "from outside", "msg_9");
        assert_eq!(book.tally(), Tally::default());
    }

    #[test]
    fn calls_are_counted() {
        let book = book_of(&[]);
        book.called();
        book.called();
        assert_eq!(book.tally().calls, 2);
    }
}
