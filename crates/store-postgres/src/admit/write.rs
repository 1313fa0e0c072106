//! The second half of a batch: everything it came to, and the commit, in one trip.

use hooklatch_core::ids::SourceId;
use hooklatch_store::record::{Code, claim, message, request};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};

use super::known::How;
use super::plan::{ClaimRow, Plan};
use super::read;
use crate::columns::{Arrays, array, of_deliveries};
use crate::fault::Fault;
use crate::sent::{Sent, commit};
use crate::shadows;
use crate::text::to_column;
use crate::worker::Link;

/// How many refused requests are kept.
const REFUSED_KEPT: i64 = hooklatch_store::REFUSED_KEPT_MAX as i64;

/// The statements.
pub(super) struct Statements {
    messages: Statement,
    payloads: Statement,
    requests: Statement,
    live: Statement,
    strays: Statement,
    restarted: Statement,
    routed: Statement,
    restored: Statement,
    unpruned: Statement,
    ends: Statement,
    claims_new: Statement,
    claims_replacing: Statement,
    refused_alone: Statement,
    refused: Statement,
    refused_forgotten: Statement,
    shadow_counts: Statement,
    shadow_samples: Statement,
}

impl Statements {
    /// Prepares them.
    pub(super) async fn prepare(client: &Client, insert_live: &str) -> Result<Self, Fault> {
        Ok(Self {
            messages: client.prepare(MESSAGES).await?,
            payloads: client.prepare(PAYLOADS).await?,
            requests: client.prepare(REQUESTS).await?,
            live: client.prepare(insert_live).await?,
            strays: client.prepare(STRAYS).await?,
            restarted: client.prepare(RESTARTED).await?,
            routed: client.prepare(ROUTED).await?,
            restored: client.prepare(RESTORED).await?,
            unpruned: client.prepare(UNPRUNED).await?,
            ends: client.prepare(ENDS).await?,
            claims_new: client.prepare(CLAIMS_NEW).await?,
            claims_replacing: client.prepare(CLAIMS_REPLACING).await?,
            // Two who forget at once would each leave what the other has added.
            refused_alone: client.prepare("SELECT pg_advisory_xact_lock($1)").await?,
            refused: client.prepare(REFUSED).await?,
            refused_forgotten: client.prepare(REFUSED_FORGOTTEN).await?,
            shadow_counts: client.prepare(shadows::COUNTS).await?,
            shadow_samples: client.prepare(shadows::SAMPLES).await?,
        })
    }
}

const MESSAGES: &str = "INSERT INTO hooklatch.messages (id, project, request, source, tenant, \
         event_type, received, decided, routed, deliveries, checksum, fingerprint, meta) \
     SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], \
         $6::text[], $7::bigint[], $8::bigint[], $9::boolean[], $10::bigint[], $11::bytea[], \
         $12::bytea[], $13::text[])";
const PAYLOADS: &str = "INSERT INTO hooklatch.payloads (id, shared, envelope, body) \
     SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bytea[])";
const REQUESTS: &str = "INSERT INTO hooklatch.requests (id, project, source, outcome, cause, \
         effect, original, released, checksum, fingerprint, received, meta) \
     SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], \
         $6::bigint[], $7::bigint[], $8::bigint[], $9::bytea[], $10::bytea[], $11::bigint[], \
         $12::text[])";
/// Records deliveries that do not follow their message's number.
pub(crate) const STRAYS: &str = "INSERT INTO hooklatch.strays (message, delivery) \
     SELECT * FROM unnest($1::bigint[], $2::bigint[])";
const RESTARTED: &str = "DELETE FROM hooklatch.deliveries_done \
     WHERE id = ANY($1) AND id >= $2 AND id <= $3";
const ROUTED: &str = "UPDATE hooklatch.messages m SET routed = true, meta = new.meta \
     FROM unnest($1::bigint[], $2::text[]) new(id, meta) \
     WHERE m.id = new.id AND m.id >= $3 AND m.id <= $4";
/// Waits for whoever prunes the payload at this moment, and then sees what became of it.
const RESTORED: &str = "UPDATE hooklatch.payloads p SET body = COALESCE(p.body, new.body) \
     FROM unnest($1::bigint[], $2::bytea[]) new(id, body) \
     WHERE p.id = new.id AND p.id >= $3 AND p.id <= $4";
/// In a JSON text no quote inside a string comes right after a comma.
const UNPRUNED: &str = "UPDATE hooklatch.messages SET \
         meta = regexp_replace(meta, ',\"payload_pruned\":[0-9]+', '') \
     WHERE id = ANY($1) AND id >= $2 AND id <= $3 AND meta LIKE '%,\"payload_pruned\":%'";
const ENDS: &str = "INSERT INTO hooklatch.payload_ends (at, message) \
     SELECT * FROM unnest($1::bigint[], $2::bigint[])";
/// Puts claims into the ledger.
macro_rules! insert_claims {
    ($rest:literal) => {
        concat!(
            "INSERT INTO hooklatch.claims (key, place, variant, checksum, scope, kind, project, \
                 parts, message, fingerprint, first_seen, expires, part_hashes) \
             SELECT key, place, variant, checksum, scope, kind, project, parts, message, \
                 fingerprint, first_seen, expires, part_hashes::bigint[] \
             FROM unnest($1::uuid[], $2::integer[], $3::bytea[], $4::bytea[], $5::text[], \
                 $6::bigint[], $7::bigint[], $8::text[], $9::bigint[], $10::bytea[], \
                 $11::bigint[], $12::bigint[], $13::text[]) \
                 new(key, place, variant, checksum, scope, kind, project, parts, message, \
                     fingerprint, first_seen, expires, part_hashes)",
            $rest
        )
    };
}

/// A claim where there was none: a second one is refused, and the batch runs again.
const CLAIMS_NEW: &str = insert_claims!("");
/// A claim in place of one that was read; that one may have been swept since, if it had ended.
pub(crate) const CLAIMS_REPLACING: &str = insert_claims!(
    " ON CONFLICT (key, place, variant) DO UPDATE SET checksum = excluded.checksum, \
         scope = excluded.scope, kind = excluded.kind, project = excluded.project, \
         parts = excluded.parts, message = excluded.message, \
         fingerprint = excluded.fingerprint, first_seen = excluded.first_seen, \
         expires = excluded.expires, part_hashes = excluded.part_hashes"
);
const REFUSED: &str = "INSERT INTO hooklatch.refused (id, project, source, received, meta, \
         envelope) \
     SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], \
         $6::text[])";
const REFUSED_FORGOTTEN: &str = "DELETE FROM hooklatch.refused WHERE id <= \
     (SELECT id FROM hooklatch.refused ORDER BY id DESC OFFSET $1 LIMIT 1)";

/// The lock of whoever adds refused requests: "hooklatch refuses".
const REFUSED_LOCK: i64 = 0x686b_6c74_7265_6675;

/// Writes and commits.
pub(super) async fn write(link: &Link<read::Statements>, plan: &Plan) -> Result<(), Fault> {
    commit(&link.client, &statements(&link.statements.write, plan)).await
}

fn statements<'a>(of: &'a Statements, plan: &'a Plan) -> Vec<Sent<'a>> {
    let mut sent = Vec::new();
    let mut send = |statement, many: usize, rows, arrays: &dyn Fn() -> Arrays<'a>| {
        if many > 0 {
            let arrays = arrays();
            sent.push(Sent {
                statement,
                arrays,
                rows,
            });
        }
    };
    let restarted = plan.restarted.len();
    send(&of.messages, plan.messages.len(), None, &|| messages(plan));
    send(&of.payloads, plan.payloads.len(), None, &|| payloads(plan));
    send(&of.requests, plan.requests.len(), None, &|| requests(plan));
    send(&of.restarted, restarted, Some(restarted), &|| {
        among(&plan.restarted)
    });
    send(&of.live, plan.live.len(), None, &|| {
        of_deliveries(&plan.live)
    });
    send(&of.strays, plan.strays.len(), None, &|| {
        strays(&plan.strays)
    });
    let matched = plan.routed.len();
    send(&of.routed, matched, Some(matched), &|| routed(plan));
    let started = plan.restored.len();
    send(&of.restored, started, None, &|| restored(plan));
    send(&of.unpruned, started, None, &|| unpruned(plan));
    send(&of.ends, plan.ends.len(), None, &|| {
        vec![
            array(&plan.ends, |(at, _)| *at),
            array(&plan.ends, |(_, message)| *message),
        ]
    });
    for (how, statement) in [
        (How::New, &of.claims_new),
        (How::Replacing, &of.claims_replacing),
    ] {
        let rows: Vec<&ClaimRow> = plan.claims.iter().filter(|row| row.how == how).collect();
        send(statement, rows.len(), Some(rows.len()), &|| claims(&rows));
    }
    send(&of.refused_alone, plan.refused.len(), None, &|| {
        vec![Box::new(REFUSED_LOCK)]
    });
    send(&of.refused, plan.refused.len(), None, &|| refused(plan));
    let forgetting = plan.refused.len();
    send(&of.refused_forgotten, forgetting, None, &|| {
        vec![Box::new(REFUSED_KEPT)]
    });
    // Last, because another batch of this node may hold these rows until its commit.
    let judged = &plan.shadows;
    send(&of.shadow_counts, judged.counts.len(), None, &|| {
        shadows::counts(plan.slot, judged)
    });
    send(&of.shadow_samples, judged.samples.len(), None, &|| {
        shadows::samples(plan.slot, judged)
    });
    sent
}

/// Numbers, with the bounds that let the database look into their partitions only.
fn among(numbers: &[i64]) -> Arrays<'_> {
    let first = numbers.iter().min().copied().unwrap_or_default();
    let last = numbers.iter().max().copied().unwrap_or_default();
    vec![Box::new(numbers), Box::new(first), Box::new(last)]
}

fn routed(plan: &Plan) -> Arrays<'_> {
    let rows = &plan.routed;
    let numbers = || rows.iter().map(|(number, _)| *number);
    vec![
        array(rows, |(number, _)| *number),
        array(rows, |(_, meta)| meta.as_str()),
        Box::new(numbers().min().unwrap_or_default()),
        Box::new(numbers().max().unwrap_or_default()),
    ]
}

fn restored(plan: &Plan) -> Arrays<'_> {
    let rows = &plan.restored;
    let numbers = || rows.iter().map(|(number, _)| *number);
    vec![
        array(rows, |(number, _)| *number),
        array(rows, |(_, body)| body.as_ref()),
        Box::new(numbers().min().unwrap_or_default()),
        Box::new(numbers().max().unwrap_or_default()),
    ]
}

fn unpruned(plan: &Plan) -> Arrays<'_> {
    let numbers: Vec<i64> = plan.restored.iter().map(|(number, _)| *number).collect();
    let first = numbers.iter().min().copied().unwrap_or_default();
    let last = numbers.iter().max().copied().unwrap_or_default();
    vec![Box::new(numbers), Box::new(first), Box::new(last)]
}

fn messages(plan: &Plan) -> Arrays<'_> {
    let columns = plan.messages.iter();
    let columns: Vec<_> = columns
        .map(|row| message::Columns::of(&row.message, &row.meta))
        .collect();
    let following = plan.messages.iter().map(|row| row.following);
    vec![
        owned(&columns, |row| row.id),
        owned(&columns, |row| row.project),
        owned(&columns, |row| row.request),
        owned(&columns, |row| row.source),
        owned(&columns, |row| row.tenant.map(to_column)),
        owned(&columns, |row| row.event_type.map(to_column)),
        owned(&columns, |row| row.received),
        owned(&columns, |row| row.decided),
        owned(&columns, |row| row.routed),
        Box::new(following.collect::<Vec<_>>()),
        owned(&columns, |row| row.checksum.map(Vec::from)),
        owned(&columns, |row| row.fingerprint.to_vec()),
        owned(&columns, |row| row.meta),
    ]
}

/// One array out of columns that are put together here.
fn owned<'a, R, V>(rows: &[R], field: impl Fn(&R) -> V) -> Box<dyn ToSql + Sync + Send + 'a>
where
    V: ToSql + Sync + Send + 'a,
{
    Box::new(rows.iter().map(field).collect::<Vec<V>>())
}

fn payloads(plan: &Plan) -> Arrays<'_> {
    let rows = &plan.payloads;
    vec![
        array(rows, |row| row.id),
        array(rows, |row| row.shared),
        array(rows, |row| row.envelope.as_deref()),
        array(rows, |row| row.body.as_deref()),
    ]
}

fn requests(plan: &Plan) -> Arrays<'_> {
    let columns = plan.requests.iter();
    let columns: Vec<_> = columns
        .map(|row| request::Columns::of(&row.request, &row.meta, None))
        .collect();
    vec![
        owned(&columns, |row| row.id),
        owned(&columns, |row| row.project),
        owned(&columns, |row| row.source),
        owned(&columns, |row| row.outcome),
        owned(&columns, |row| row.cause),
        owned(&columns, |row| row.effect),
        owned(&columns, |row| row.original),
        owned(&columns, |row| row.released),
        owned(&columns, |row| row.checksum.map(Vec::from)),
        owned(&columns, |row| row.fingerprint.map(Vec::from)),
        owned(&columns, |row| row.received),
        owned(&columns, |row| row.meta),
    ]
}

/// The columns of [`STRAYS`].
pub(crate) fn strays(rows: &[(i64, i64)]) -> Arrays<'_> {
    vec![
        array(rows, |(message, _)| *message),
        array(rows, |(_, delivery)| *delivery),
    ]
}

/// The columns of [`CLAIMS_REPLACING`].
pub(crate) fn claims<'a>(rows: &[&'a ClaimRow]) -> Arrays<'a> {
    vec![
        owned(rows, |row| row.key),
        owned(rows, |row| row.place),
        owned(rows, |row| claim::variant(&row.claim)),
        owned(rows, |row| row.claim.checksum.as_bytes().as_slice()),
        owned(rows, |row| to_column(&row.scope)),
        owned(rows, |row| row.claim.kind.code()),
        owned(rows, |row| row.project.number()),
        owned(rows, |row| row.parts.as_str()),
        owned(rows, |row| row.claim.message_id.number()),
        owned(rows, |row| row.claim.fingerprint.as_bytes().as_slice()),
        owned(rows, |row| row.claim.first_seen_at.as_millis()),
        owned(rows, |row| row.claim.expires_at.as_millis()),
        owned(rows, |row| row.part_hashes.as_deref()),
    ]
}

fn refused(plan: &Plan) -> Arrays<'_> {
    let rows = &plan.refused;
    vec![
        array(rows, |row| row.request.id.number()),
        array(rows, |row| row.request.project_id.number()),
        array(rows, |row| row.request.source_id.map(SourceId::number)),
        array(rows, |row| row.request.received_at.as_millis()),
        array(rows, |row| row.meta.as_str()),
        array(rows, |row| row.envelope.as_str()),
    ]
}
