//! Requests that did not become messages: released, discarded, compared.

use bytes::Bytes;
use deadpool_postgres::Transaction;
use hooklatch_core::admission::{ReleaseInput, ReleaseRefused, Released, discard, release};
use hooklatch_core::claim::Claim;
use hooklatch_core::ids::{MessageId, ProjectId, RequestId};
use hooklatch_core::message::{Envelope, Message, Request};
use hooklatch_store::ReleaseOutcome;
use hooklatch_store::node::LaneChange;
use hooklatch_store::record::delivery::{Columns as DeliveryColumns, following};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::admit::{CLAIMS_REPLACING, ClaimRow, How, STRAYS, claims, stray_of, strays};
use crate::columns::{INSERT_LIVE, of_deliveries, params};
use crate::fault::Fault;
use crate::key::{Key, place};
use crate::locks::lock_keys;
use crate::memory::Memory;
use crate::order;
use crate::rows::among::{Among, Param};
use crate::rows::claim::select_claims;
use crate::rows::{claim, message, payload, request};
use crate::{partitions, retention};

/// Keeps what differs from the original's payload.
pub(crate) async fn keep_diff(
    transaction: &Transaction<'_>,
    id: RequestId,
    pointers: &[String],
) -> Result<(), Fault> {
    request::update_diff(transaction.client(), id, pointers).await
}

/// Makes a request a message of its own. What became due is for this node's memory, after the
/// commit.
pub(crate) async fn release_one(
    transaction: &Transaction<'_>,
    memory: &Memory,
    (project, id): (ProjectId, RequestId),
    input: &ReleaseInput,
) -> Result<(ReleaseOutcome, Vec<LaneChange>), Fault> {
    let db = transaction.client();
    if !memory.has_partitions(input.now) {
        return Err(Fault::NoPartition(input.now.as_millis()));
    }
    let Some(record) = lock_own(db, project, id).await? else {
        return Ok((why_not(db, project, id).await?, Vec::new()));
    };
    let Some(original) = record.original_message_id else {
        return Ok((why_not(db, project, id).await?, Vec::new()));
    };
    let (Some(original), Some(carried)) = (
        original_of(db, original).await?,
        carried(db, &record).await?,
    ) else {
        let refused = ReleaseRefused::HistoryDropped;
        return Ok((ReleaseOutcome::Refused(refused), Vec::new()));
    };
    let claims = claims_of(db, &record).await?;
    let released = memory
        .numbers
        .with(|mint| release(&record, &original, &claims, input, mint))?;
    match released {
        Err(refused) => Ok((ReleaseOutcome::Refused(refused), Vec::new())),
        Ok(released) => {
            let due = write_released(transaction, &record, &released, carried).await?;
            Ok((ReleaseOutcome::Released(released.message.id), due))
        }
    }
}

/// The original, unless its history was dropped.
async fn original_of(db: &Client, id: MessageId) -> Result<Option<Message>, Fault> {
    match message::load(db, id).await? {
        Some(stored) => Ok(Some(stored.message)),
        None => dropped(db, id.number(), "message").await,
    }
}

/// Answers that something was dropped with its day; a day that is still there is not without it.
async fn dropped<T>(db: &Client, number: i64, what: &str) -> Result<Option<T>, Fault> {
    let pruned = number <= retention::forgotten_up_to(db).await?;
    if pruned || partitions::kept(db, &[number]).await?.is_empty() {
        return Ok(None);
    }
    Err(Fault::unreadable(format!("the {what} of {number} is gone")))
}

/// The claims under the key of a request, which nobody else decides upon until the transaction
/// ends.
async fn claims_of(db: &Client, record: &Request) -> Result<Vec<Claim>, Fault> {
    let sql = select_claims!("FROM hooklatch.claims c WHERE c.key = $1 AND c.place = $2");
    let Some(wanted) = &record.key else {
        return Ok(Vec::new());
    };
    let key = Key::of(&wanted.checksum);
    lock_keys(db, &[key]).await?;
    let place = place(&wanted.scope.to_string());
    let params: [Param<'_>; 2] = [(&key, Type::UUID), (&place, Type::INT4)];
    let rows = db.query_typed(sql, &params).await?;
    let mut claims = Vec::new();
    for row in &rows {
        let claim = claim::decode(row)?;
        if claim.checksum == wanted.checksum && claim.scope == wanted.scope {
            claims.push(claim);
        }
    }
    Ok(claims)
}

async fn write_released(
    transaction: &Transaction<'_>,
    record: &Request,
    released: &Released,
    (envelope, body): (Envelope, Bytes),
) -> Result<Vec<LaneChange>, Fault> {
    let db = transaction.client();
    let message = &released.message;
    let following = following(message.id, &released.deliveries);
    let follow = following == released.deliveries.len();
    let following = i64::try_from(following).expect("a fan-out is bounded");
    message::insert(db, message, following).await?;
    payload::insert(db, message.id.number(), &envelope, &body).await?;
    if let Some(until) = message.payload_until {
        retention::note_end(db, until, message.id.number()).await?;
    }
    let columns = released.deliveries.iter().map(DeliveryColumns::of_new);
    let mut columns: Vec<DeliveryColumns> = columns.collect();
    order::place(db, &mut columns).await?;
    let statement = transaction.prepare_cached(INSERT_LIVE).await?;
    let arrays = of_deliveries(&columns);
    transaction.execute(&statement, &params(&arrays)).await?;
    if !follow {
        let rows: Vec<_> = released.deliveries.iter().map(stray_of).collect();
        let statement = transaction.prepare_cached(STRAYS).await?;
        transaction
            .execute(&statement, &params(&strays(&rows)))
            .await?;
    }
    request::update_effect(db, &released.request).await?;
    if let Some(claim) = &released.claim {
        write_claim(transaction, record.project_id, claim).await?;
    }
    let due = released.deliveries.iter().filter_map(|delivery| {
        let at = delivery.next_attempt_at()?;
        Some(LaneChange::Due(delivery.lane(), at))
    });
    Ok(due.collect())
}

/// What a request carried: its own body where it was kept, else its original's. None where that
/// was pruned, or dropped.
async fn carried(db: &Client, record: &Request) -> Result<Option<(Envelope, Bytes)>, Fault> {
    let number = record.id.number();
    let mut own = payload::load_all(db, &Among::of([number])).await?;
    let Some(own) = own.remove(&number) else {
        return dropped(db, number, "payload").await;
    };
    let body = match (own.body, record.original_message_id) {
        (Some(body), _) => Some(body),
        (None, Some(original)) => payload::body(db, original.number()).await?,
        (None, None) => None,
    };
    Ok(body.map(|body| (Envelope::clone(&own.envelope), body)))
}

pub(crate) async fn insert_strays(
    db: &Client,
    deliveries: &[DeliveryColumns],
) -> Result<(), Fault> {
    let sql = "INSERT INTO hooklatch.strays (message, delivery) \
               SELECT * FROM unnest($1::bigint[], $2::bigint[])";
    let messages: Vec<i64> = deliveries.iter().map(|row| row.message).collect();
    let numbers: Vec<i64> = deliveries.iter().map(|row| row.id).collect();
    let params: [Param<'_>; 2] = [(&messages, Type::INT8_ARRAY), (&numbers, Type::INT8_ARRAY)];
    db.execute_typed(sql, &params).await?;
    Ok(())
}

/// Writes a claim over the one under its key, scope and variant, whose window has ended.
async fn write_claim(
    transaction: &Transaction<'_>,
    project: ProjectId,
    claim: &Claim,
) -> Result<(), Fault> {
    let scope = claim.scope.to_string();
    let place = (Key::of(&claim.checksum), place(&scope));
    let row = ClaimRow::of(place, project, scope, claim, How::Replacing);
    let statement = transaction.prepare_cached(CLAIMS_REPLACING).await?;
    let rows = [&row];
    let arrays = claims(&rows);
    transaction.execute(&statement, &params(&arrays)).await?;
    Ok(())
}

/// Discards a held request.
pub(crate) async fn discard_one(
    transaction: &Transaction<'_>,
    project: ProjectId,
    id: RequestId,
) -> Result<ReleaseOutcome, Fault> {
    let db = transaction.client();
    let Some(record) = lock_own(db, project, id).await? else {
        return why_not(db, project, id).await;
    };
    match discard(&record) {
        Err(refused) => Ok(ReleaseOutcome::Refused(refused)),
        Ok(discarded) => {
            request::update_effect(db, &discarded).await?;
            Ok(ReleaseOutcome::Discarded)
        }
    }
}

async fn lock_own(
    db: &Client,
    project: ProjectId,
    id: RequestId,
) -> Result<Option<Request>, Fault> {
    let found = request::lock(db, id).await?;
    Ok(found.filter(|request| request.project_id == project))
}

/// Why something that repeats nothing can be neither released nor discarded.
async fn why_not(db: &Client, project: ProjectId, id: RequestId) -> Result<ReleaseOutcome, Fault> {
    let refused = request::refused(db, &Among::of([id.number()])).await?;
    let mut refused = refused.into_values();
    if refused.any(|(request, _)| request.project_id == project) {
        return Ok(ReleaseOutcome::Refused(ReleaseRefused::Rejected));
    }
    let accepted = message::load(db, id.as_message()).await?;
    Ok(match accepted {
        Some(stored) if stored.message.project_id == project => {
            ReleaseOutcome::Refused(ReleaseRefused::Accepted)
        }
        Some(_) | None => ReleaseOutcome::NotFound,
    })
}

/// The body of a request of a project: its own where it was kept, else its original's.
pub(crate) async fn request_body(
    db: &Client,
    project: ProjectId,
    id: RequestId,
) -> Result<Option<Bytes>, Fault> {
    let (owner, original) = match request::load(db, id).await? {
        Some(record) => (record.project_id, record.original_message_id),
        None => match message::load(db, id.as_message()).await? {
            Some(stored) => (stored.message.project_id, None),
            None => return Ok(None),
        },
    };
    if owner != project {
        return Ok(None);
    }
    match (payload::body(db, id.number()).await?, original) {
        (Some(own), _) => Ok(Some(own)),
        (None, Some(original)) => payload::body(db, original.number()).await,
        (None, None) => Ok(None),
    }
}
