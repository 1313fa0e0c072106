//! What must hold at the end, asked of the API, of the database itself, and of the sink.
//!
//! O4 exactly: of one delivery at most one lease lives at a time. So whenever the database was told
//! of a lease while the delivery had another one, that one had ended by the store's clock; and an
//! attempt begins after the end of the one before it, or, where that one was overtaken, after the
//! end of its lease. A node that was frozen, or could not tell its results, until after its lease
//! may still be at its attempt then: such an attempt is on record as uncertain or fenced, never as
//! the one that decided, and only such a one may the sink see late, or beside the next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use hooklatch_core::delivery::attempt::AttemptOutcome;
use hooklatch_core::ids::{EndpointId, MessageId};
use serde_json::Value;
use tokio_postgres::Client;

use crate::clients::Acknowledged;
use crate::cluster::LEASE;
use crate::process::pass;
use crate::sink::Seen;
use crate::support::api::{Api, text};

/// For how long deliveries may take to end once all is well: leases that were lost have to end,
/// and some receivers are tried again after that.
const END_MAX: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// Spans are measured by the nodes, leases by the store: milliseconds are rounded in both.
const ROUNDED_MS: i64 = 20;
/// A receiver that follows Standard Webhooks refuses what is off by five minutes.
const STAMP_OFF_MAX_SECONDS: u64 = 60;

/// What was found: figures for the table, and what is wrong.
#[derive(Debug, Default)]
pub struct Findings {
    /// Names and figures.
    pub figures: Vec<(&'static str, u64)>,
    /// What should not be, in words.
    pub wrong: Vec<String>,
}

impl Findings {
    fn figure(&mut self, name: &'static str, count: usize) {
        self.figures.push((name, count as u64));
    }

    /// A figure that must be 0, and what there is of it.
    fn none_of(&mut self, name: &'static str, found: &[String]) {
        self.figure(name, found.len());
        let shown = found.iter().take(5);
        self.wrong
            .extend(shown.map(|what| format!("{name}: {what}")));
    }
}

/// The messages that keys were acknowledged as.
pub fn originals(
    acknowledged: &[Acknowledged],
    findings: &mut Findings,
) -> BTreeMap<String, String> {
    let mut originals: BTreeMap<String, String> = BTreeMap::new();
    let mut accepted = BTreeSet::new();
    let mut two = Vec::new();
    for answer in acknowledged {
        let original = originals
            .entry(answer.key.clone())
            .or_insert_with(|| answer.message_id.clone());
        let accepted_again = answer.accepted && !accepted.insert(&answer.key);
        if *original != answer.message_id || accepted_again {
            two.push(format!("{answer:?}, and {original}"));
        }
    }
    findings.figure("acknowledged", acknowledged.len());
    findings.figure("keys", originals.len());
    findings.none_of("two originals", &two);
    originals
}

/// Waits until every delivery has ended.
pub async fn wait_for_the_end(database: &Client, findings: &mut Findings) {
    let until = Instant::now() + END_MAX;
    let sql = "SELECT id, status, attempts FROM hooklatch.deliveries_live";
    loop {
        let rows = database.query(sql, &[]).await;
        let rows = rows.expect("the database answers");
        if rows.is_empty() || Instant::now() > until {
            let unfinished = rows.iter().map(|row| {
                let [id, status, attempts] = [0, 1, 2].map(|column| row.get::<_, i64>(column));
                format!("delivery {id}: status {status} after {attempts} attempts")
            });
            findings.none_of("unfinished", &unfinished.collect::<Vec<_>>());
            return;
        }
        pass(PAUSE).await;
    }
}

/// Whatever was acknowledged is there, is delivered, and there is nothing else.
pub async fn api_agrees(
    api: &Api,
    acknowledged: &[Acknowledged],
    originals: &BTreeMap<String, String>,
    findings: &mut Findings,
) {
    let messages = api.list("/v1/messages").await;
    let listed: BTreeMap<String, &Value> = messages
        .iter()
        .map(|message| (text(message, "id"), message))
        .collect();
    let requests = api.list("/v1/requests").await;
    let requests: BTreeSet<String> = requests.iter().map(|it| text(it, "id")).collect();

    let lost = lost(acknowledged, &listed, &requests);
    findings.none_of("lost", &lost);

    let known: BTreeSet<&String> = originals.values().collect();
    let mut unknown = Vec::new();
    let mut undelivered = Vec::new();
    for (id, message) in &listed {
        if !known.contains(id) {
            unknown.push(message.to_string());
        }
        if message["status"] != "delivered" {
            undelivered.push(message.to_string());
        }
    }
    findings.none_of("messages of no key", &unknown);
    findings.none_of("not delivered", &undelivered);
}

/// What was acknowledged and is not on record.
fn lost(
    acknowledged: &[Acknowledged],
    listed: &BTreeMap<String, &Value>,
    requests: &BTreeSet<String>,
) -> Vec<String> {
    let mut lost = Vec::new();
    let mut repeated: BTreeMap<&str, u64> = BTreeMap::new();
    for answer in acknowledged {
        let has_message = listed.contains_key(&answer.message_id);
        let has_request = answer.request_id.iter().all(|id| requests.contains(id));
        if !has_message || !has_request {
            lost.push(format!("{answer:?}"));
        }
        if !answer.accepted {
            *repeated.entry(&answer.message_id).or_default() += 1;
        }
    }
    for (id, count) in repeated {
        let recorded = listed.get(id).and_then(|it| it["duplicates"].as_u64());
        if recorded < Some(count) {
            lost.push(format!(
                "{count} duplicates of {id}: {recorded:?} are on record"
            ));
        }
    }
    lost
}

/// One claim and one message for each key, in the tables themselves.
pub async fn ledger_agrees(
    database: &Client,
    originals: &BTreeMap<String, String>,
    findings: &mut Findings,
) {
    let sql = "SELECT message, count(*), \
               EXISTS (SELECT FROM hooklatch.messages m WHERE m.id = c.message) \
               FROM hooklatch.claims c GROUP BY message";
    let rows = database.query(sql, &[]).await;
    let mut claimed = BTreeMap::new();
    for row in rows.expect("the database answers") {
        let (message, claims, is_there): (i64, i64, bool) = (row.get(0), row.get(1), row.get(2));
        claimed.insert(message, (claims, is_there));
    }
    let mut wrong = Vec::new();
    for (key, id) in originals {
        let id: MessageId = id.parse().expect("it is a message's id");
        let claim = claimed.remove(&id.number());
        if claim != Some((1, true)) {
            wrong.push(format!("{key}: {claim:?}"));
        }
    }
    wrong.extend(claimed.keys().map(|message| format!("{message} of no key")));
    findings.none_of("claims that are not one of a key", &wrong);
}

/// An attempt on record.
#[derive(Debug)]
pub struct Recorded {
    delivery: i64,
    message: i64,
    endpoint: i64,
    number: i64,
    /// When its lease began, by the store's clock.
    started: i64,
    duration_ms: i64,
    fenced: bool,
    uncertain: bool,
}

impl Recorded {
    fn lease_ends(&self) -> i64 {
        self.started + LEASE.as_millis() as i64
    }

    /// When it ended by the store's clock; of an overtaken one, when its lease did.
    fn ended(&self) -> i64 {
        if self.fenced {
            self.lease_ends()
        } else {
            self.started + self.duration_ms
        }
    }

    fn may_be_overtaken(&self) -> bool {
        self.fenced || self.uncertain
    }
}

/// Every attempt on record, those of one delivery in the order of their tokens.
pub async fn attempts(database: &Client) -> Vec<Recorded> {
    // What a node says of the beginning is an estimate; when the lease began is the store's.
    let sql = "SELECT a.delivery, message, endpoint, number, COALESCE(l.started, a.started), \
               duration_ms, fenced, outcome = $1 \
               FROM hooklatch.attempts a LEFT JOIN watch.leases l ON l.token = a.id \
               ORDER BY a.delivery, a.id";
    let uncertain = AttemptOutcome::Uncertain.code();
    let rows = database.query(sql, &[&uncertain]).await;
    let rows = rows.expect("the database answers");
    let recorded = rows.iter().map(|row| Recorded {
        delivery: row.get(0),
        message: row.get(1),
        endpoint: row.get(2),
        number: row.get(3),
        started: row.get(4),
        duration_ms: row.get(5),
        fenced: row.get(6),
        uncertain: row.get(7),
    });
    recorded.collect()
}

/// At most one lease of a delivery lived at a time: as the database saw leases being given, and as
/// the attempts are on record.
pub async fn leases_agree(database: &Client, attempts: &[Recorded], findings: &mut Findings) {
    let sql = "SELECT delivery, held, held_token, held_until, token, started FROM watch.leases";
    let rows = database.query(sql, &[]).await;
    let rows = rows.expect("the database answers");
    let mut overlapping = Vec::new();
    let mut taken_over = 0;
    for row in &rows {
        let (held, held_until): (bool, Option<i64>) = (row.get(1), row.get(3));
        let (held_token, token, started): (i64, i64, i64) = (row.get(2), row.get(4), row.get(5));
        let delivery: i64 = row.get(0);
        taken_over += usize::from(held);
        if held && (held_until > Some(started) || token <= held_token) {
            overlapping.push(format!(
                "delivery {delivery}: {token} was given at {started}, {held_token} until {held_until:?}"
            ));
        }
    }
    overlapping.extend(overlapping_attempts(attempts));
    findings.figure("leases given", rows.len());
    findings.figure("leases taken over after their end", taken_over);
    findings.figure("attempts on record", attempts.len());
    let fenced = attempts.iter().filter(|attempt| attempt.fenced).count();
    findings.figure("results that came too late (fenced)", fenced);
    findings.none_of("overlapping leases", &overlapping);
}

/// Attempts that begin before the one before them has ended.
fn overlapping_attempts(attempts: &[Recorded]) -> Vec<String> {
    let mut overlapping = Vec::new();
    for pair in attempts.windows(2) {
        let [one, next] = pair else { continue };
        let same = one.delivery == next.delivery;
        if same && (next.number <= one.number || next.started + ROUNDED_MS < one.ended()) {
            overlapping.push(format!("{one:?} and {next:?}"));
        }
    }
    overlapping
}

/// One event has one id, every attempt is made once, and two at once only where O4 allows it.
pub fn sink_agrees(
    seen: &[Seen],
    endpoints: &BTreeMap<String, EndpointId>,
    originals: &BTreeMap<String, String>,
    attempts: &[Recorded],
    findings: &mut Findings,
) {
    let mut ids: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut deliveries: BTreeMap<(&str, &str), Vec<&Seen>> = BTreeMap::new();
    for one in seen {
        ids.entry(&one.key).or_default().insert(&one.webhook_id);
        deliveries
            .entry((&one.path, &one.webhook_id))
            .or_default()
            .push(one);
    }
    let wrong = originals.iter().filter_map(|(key, id)| {
        let found = ids.remove(key.as_str()).unwrap_or_default();
        (found != BTreeSet::from([id.as_str()])).then(|| format!("{key}: {found:?}, not {id}"))
    });
    let mut wrong: Vec<String> = wrong.collect();
    wrong.extend(
        ids.keys()
            .map(|key| format!("{key} was never acknowledged")),
    );
    findings.none_of("events without one webhook-id", &wrong);
    meetings(&deliveries, endpoints, attempts, findings);
    let off = seen
        .iter()
        .filter(|one| one.off_seconds > STAMP_OFF_MAX_SECONDS);
    let off = off.map(|one| format!("{one:?}"));
    findings.none_of("attempts with a wrong time", &off.collect::<Vec<_>>());
}

/// Attempts of one delivery that meet at the sink.
fn meetings(
    deliveries: &BTreeMap<(&str, &str), Vec<&Seen>>,
    endpoints: &BTreeMap<String, EndpointId>,
    attempts: &[Recorded],
    findings: &mut Findings,
) {
    let recorded: BTreeMap<(i64, i64, i64), &Recorded> = attempts
        .iter()
        .map(|it| ((it.message, it.endpoint, it.number), it))
        .collect();
    let (mut forbidden, mut twice) = (Vec::new(), Vec::new());
    let (mut allowed, mut again) = (0, 0);
    for ((path, id), attempts) in deliveries {
        let message: Option<MessageId> = id.parse().ok();
        let message = message.map_or(0, MessageId::number);
        let endpoint = endpoints[*path].number();
        let taken = attempts
            .iter()
            .filter(|one| one.status == Some(200))
            .count();
        again += taken.saturating_sub(1);
        for (index, one) in attempts.iter().enumerate() {
            for next in &attempts[index + 1..] {
                let earlier = recorded.get(&(message, endpoint, one.number.min(next.number)));
                match Meeting::of(one, next, earlier.copied()) {
                    Meeting::None => {}
                    Meeting::Allowed => allowed += 1,
                    Meeting::Forbidden => {
                        forbidden.push(format!("{one:?} and {next:?}: {earlier:?}"));
                    }
                    Meeting::Same => twice.push(format!("{one:?} and {next:?}")),
                }
            }
        }
    }
    findings.figure(
        "attempts at the sink",
        deliveries.values().map(Vec::len).sum(),
    );
    findings.figure("taken again by the sink", again);
    findings.figure("attempts that met one overtaken (allowed)", allowed);
    findings.none_of("attempts that met", &forbidden);
    findings.none_of("attempts made twice", &twice);
}

/// How two attempts of one delivery met at the sink.
#[derive(Debug, PartialEq, Eq)]
enum Meeting {
    /// One after the other.
    None,
    /// At once or in the wrong order; the earlier one had been overtaken.
    Allowed,
    /// The same without that.
    Forbidden,
    /// They are one attempt, made twice.
    Same,
}

impl Meeting {
    /// `next` came after `one`; `earlier` is the record of the one with the smaller number.
    fn of(one: &Seen, next: &Seen, earlier: Option<&Recorded>) -> Self {
        if one.number == next.number {
            return Self::Same;
        }
        let in_order = one.number < next.number;
        let ended = one.left.is_some_and(|left| left <= next.came);
        if in_order && ended {
            Self::None
        } else if earlier.is_some_and(Recorded::may_be_overtaken) {
            Self::Allowed
        } else {
            Self::Forbidden
        }
    }
}

mod tests {
    use serde_json::json;

    use super::*;

    fn answer(key: &str, message_id: &str, accepted: bool) -> Acknowledged {
        Acknowledged {
            key: key.to_owned(),
            message_id: message_id.to_owned(),
            request_id: Some("req_1".to_owned()),
            accepted,
        }
    }

    fn recorded(number: i64, started: i64, fenced: bool) -> Recorded {
        Recorded {
            delivery: 1,
            message: 1,
            endpoint: 1,
            number,
            started,
            duration_ms: 20,
            fenced,
            uncertain: false,
        }
    }

    fn seen(number: i64, begun: Instant, came: u64, left: u64) -> Seen {
        Seen {
            path: String::new(),
            webhook_id: String::new(),
            number,
            key: String::new(),
            off_seconds: 0,
            came: begun + Duration::from_millis(came),
            left: Some(begun + Duration::from_millis(left)),
            status: Some(200),
        }
    }

    #[test]
    fn a_second_original_is_found_whether_it_was_new_or_not() {
        let pairs = [
            [answer("k", "msg_1", true), answer("k", "msg_1", true)],
            [answer("k", "msg_1", false), answer("k", "msg_2", false)],
        ];
        for pair in pairs {
            let mut findings = Findings::default();
            originals(&pair, &mut findings);
            assert_eq!(findings.wrong.len(), 1, "{pair:?}");
        }
        let mut findings = Findings::default();
        let fine = [answer("k", "msg_1", true), answer("k", "msg_1", false)];
        originals(&fine, &mut findings);
        assert!(findings.wrong.is_empty(), "{findings:?}");
    }

    #[test]
    fn what_is_not_on_record_is_found() {
        let message = json!({"duplicates": 1});
        let listed = BTreeMap::from([("msg_1".to_owned(), &message)]);
        let requests = BTreeSet::from(["req_1".to_owned()]);
        let one = [answer("k", "msg_1", true), answer("k", "msg_1", false)];
        assert!(lost(&one, &listed, &requests).is_empty());
        assert_eq!(lost(&one, &listed, &BTreeSet::new()).len(), 2);
        assert_eq!(lost(&one[..1], &BTreeMap::new(), &requests).len(), 1);
        let more = [one[1].clone(), one[1].clone()];
        assert_eq!(lost(&more, &listed, &requests).len(), 1);
    }

    #[test]
    fn o4_an_attempt_before_the_end_of_the_lease_before_it_is_found() {
        let lease = LEASE.as_millis() as i64;
        let count = |first, second| overlapping_attempts(&[first, second]).len();
        assert_eq!(count(recorded(1, 0, false), recorded(2, 1_000, false)), 0);
        assert_eq!(count(recorded(1, 1_000, false), recorded(2, 0, false)), 1);
        assert_eq!(count(recorded(1, 0, true), recorded(2, lease, false)), 0);
        assert_eq!(count(recorded(1, 0, true), recorded(2, 1_000, false)), 1);
        assert_eq!(count(recorded(2, 0, false), recorded(1, 1_000, false)), 1);
    }

    #[test]
    fn o4_attempts_meet_only_where_the_earlier_one_was_overtaken() {
        let begun = Instant::now();
        let (sound, overtaken) = (recorded(1, 0, false), recorded(1, 0, true));
        let (one, next) = (seen(1, begun, 0, 20), seen(2, begun, 10, 30));
        assert_eq!(Meeting::of(&one, &next, Some(&sound)), Meeting::Forbidden);
        assert_eq!(Meeting::of(&one, &next, Some(&overtaken)), Meeting::Allowed);
        assert_eq!(Meeting::of(&one, &one, Some(&overtaken)), Meeting::Same);
        let later = seen(2, begun, 20, 30);
        assert_eq!(Meeting::of(&one, &later, Some(&sound)), Meeting::None);
        assert_eq!(Meeting::of(&later, &one, None), Meeting::Forbidden);
    }
}
