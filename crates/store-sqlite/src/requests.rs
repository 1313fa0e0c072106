//! Requests that did not become messages: refused, released, discarded, compared.

use bytes::Bytes;
use hooklatch_core::admission::{ReleaseInput, ReleaseRefused, discard, refused, release};
use hooklatch_core::claim::Claim;
use hooklatch_core::ids::{ProjectId, RequestId};
use hooklatch_core::message::Request;
use hooklatch_store::record::claim::encode_parts;
use hooklatch_store::record::envelope;
use hooklatch_store::{REFUSED_KEPT_MAX, Refused, ReleaseOutcome};
use rusqlite::Connection;

use crate::admit::write_message;
use crate::fault::Fault;
use crate::generations::Found;
use crate::rows::claim::{ClaimTexts, Place};
use crate::rows::payload::{self, EnvelopeAt};
use crate::rows::{message, request};
use crate::writer::Batch;

/// A refused request with its envelope as it is stored.
pub(crate) struct PreparedRefusal {
    refused: Refused,
    envelope: String,
}

impl PreparedRefusal {
    /// Makes what can be made before the writer's turn.
    pub(crate) fn new(refused: Refused) -> Self {
        let envelope = envelope::encode(&refused.envelope);
        Self { refused, envelope }
    }

    /// Roughly how many bytes this keeps in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.envelope.len()
    }
}

/// Logs a refused request.
pub(crate) fn refuse(
    batch: &mut Batch<'_>,
    prepared: &PreparedRefusal,
) -> Result<RequestId, Fault> {
    let id = RequestId::from_number(batch.mint.next(batch.now));
    request::insert(batch.db, &refused(&prepared.refused, id))?;
    let envelope = EnvelopeAt::Here(&prepared.envelope);
    payload::insert(batch.db, id.number(), envelope, None)?;
    batch.effects.refused += 1;
    forget_oldest(batch)?;
    Ok(id)
}

fn forget_oldest(batch: &mut Batch<'_>) -> Result<(), Fault> {
    let kept = batch
        .memory
        .refused
        .saturating_add_signed(batch.effects.refused);
    let excess = kept.saturating_sub(REFUSED_KEPT_MAX);
    if excess == 0 {
        return Ok(());
    }
    let sql = "SELECT id FROM requests INDEXED BY requests_refused WHERE outcome = 3 \
               ORDER BY id LIMIT ?1";
    let mut statement = batch.db.prepare_cached(sql)?;
    let excess = i64::try_from(excess).unwrap_or(i64::MAX);
    let oldest = statement.query_map([excess], |row| row.get(0))?;
    let oldest: Vec<i64> = oldest.collect::<Result<_, _>>()?;
    for id in oldest {
        for sql in [
            "DELETE FROM requests WHERE id = ?1",
            "DELETE FROM payloads WHERE id = ?1",
        ] {
            batch.db.prepare_cached(sql)?.execute([id])?;
        }
        batch.effects.refused -= 1;
    }
    Ok(())
}

/// Keeps what differs from the original's payload.
pub(crate) fn keep_diff(
    batch: &mut Batch<'_>,
    (id, pointers): &(RequestId, Vec<String>),
) -> Result<(), Fault> {
    request::update_diff(batch.db, *id, pointers)
}

/// Makes a request a message of its own.
pub(crate) fn release_one(
    batch: &mut Batch<'_>,
    (project, id, input): &(ProjectId, RequestId, ReleaseInput),
) -> Result<ReleaseOutcome, Fault> {
    let Some(record) = load_own(batch.db, *project, *id)? else {
        return why_not(batch.db, *project, *id);
    };
    let Some(original) = record.original_message_id else {
        return why_not(batch.db, *project, *id);
    };
    let gone = ReleaseOutcome::Refused(ReleaseRefused::HistoryDropped);
    let Some(original) = message::load(batch.db, original)? else {
        return Ok(gone);
    };
    let Some(body) = body_of(batch.db, &record)? else {
        return Ok(gone);
    };
    let known = claims_of(batch, &record)?;
    let claims: Vec<Claim> = known.iter().map(|found| found.claim.clone()).collect();
    match release(&record, &original.message, &claims, input, batch.mint) {
        Err(refused) => Ok(ReleaseOutcome::Refused(refused)),
        Ok(released) => {
            let message = &released.message;
            let envelope = payload::envelope(batch.db, id.number())?;
            let envelope = envelope::encode(&envelope);
            write_message(batch, message, &released.deliveries)?;
            let place = EnvelopeAt::Here(&envelope);
            payload::insert(batch.db, message.id.number(), place, Some(&body))?;
            request::update_effect(batch.db, &released.request)?;
            if let Some(claim) = &released.claim {
                write_claim(batch, *project, &known, claim)?;
            }
            Ok(ReleaseOutcome::Released(message.id))
        }
    }
}

/// The claims under the key of a request.
fn claims_of(batch: &Batch<'_>, record: &Request) -> Result<Vec<Found>, Fault> {
    let Some(key) = &record.key else {
        return Ok(Vec::new());
    };
    let place = Place::of(batch.secret, &key.checksum, &key.scope.to_string());
    let generations = &batch.memory.generations;
    generations.find(batch, place, &key.checksum, &key.scope)
}

fn write_claim(
    batch: &mut Batch<'_>,
    project: ProjectId,
    known: &[Found],
    claim: &Claim,
) -> Result<(), Fault> {
    let scope = claim.scope.to_string();
    let texts = ClaimTexts {
        place: Place::of(batch.secret, &claim.checksum, &scope),
        scope: &scope,
        parts: &encode_parts(&claim.parts),
    };
    let key = texts.place.key;
    let generations = &batch.memory.generations;
    generations.write(batch, project, known, claim, texts)?;
    batch.claimed(key, claim.expires_at);
    Ok(())
}

/// Discards a held request.
pub(crate) fn discard_one(
    batch: &mut Batch<'_>,
    (project, id): &(ProjectId, RequestId),
) -> Result<ReleaseOutcome, Fault> {
    let Some(record) = load_own(batch.db, *project, *id)? else {
        return why_not(batch.db, *project, *id);
    };
    match discard(&record) {
        Err(refused) => Ok(ReleaseOutcome::Refused(refused)),
        Ok(discarded) => {
            request::update_effect(batch.db, &discarded)?;
            Ok(ReleaseOutcome::Discarded)
        }
    }
}

fn load_own(db: &Connection, project: ProjectId, id: RequestId) -> Result<Option<Request>, Fault> {
    let found = request::load(db, id)?;
    Ok(found.filter(|request| request.project_id == project))
}

/// Why a request without an original can be neither released nor discarded.
fn why_not(db: &Connection, project: ProjectId, id: RequestId) -> Result<ReleaseOutcome, Fault> {
    if load_own(db, project, id)?.is_some() {
        return Ok(ReleaseOutcome::Refused(ReleaseRefused::Rejected));
    }
    let accepted = message::load(db, id.as_message())?;
    Ok(match accepted {
        Some(stored) if stored.message.project_id == project => {
            ReleaseOutcome::Refused(ReleaseRefused::Accepted)
        }
        Some(_) | None => ReleaseOutcome::NotFound,
    })
}

/// The body of a request of a project.
pub(crate) fn request_body(
    db: &Connection,
    project: ProjectId,
    id: RequestId,
) -> Result<Option<Bytes>, Fault> {
    if let Some(record) = request::load(db, id)? {
        let own = record.project_id == project;
        return if own { body_of(db, &record) } else { Ok(None) };
    }
    match message::load(db, id.as_message())? {
        Some(stored) if stored.message.project_id == project => payload::body(db, id.number()),
        Some(_) | None => Ok(None),
    }
}

/// The body of a request: its own where it was kept, else its original's.
fn body_of(db: &Connection, request: &Request) -> Result<Option<Bytes>, Fault> {
    match (
        payload::body(db, request.id.number())?,
        request.original_message_id,
    ) {
        (Some(own), _) => Ok(Some(own)),
        (None, Some(original)) => payload::body(db, original.number()),
        (None, None) => Ok(None),
    }
}
