//! Lists of requests: those that became messages, those that did not, and those that were refused.

use hooklatch_core::ids::{MessageId, ProjectId, SourceId};
use hooklatch_core::message::RequestOutcome;
use hooklatch_store::record::Code;
use hooklatch_store::{Page, PageRequest, RequestFilter, RequestView};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::{Candidate, Listing, Span, gather, rows};
use crate::fault::Fault;
use crate::history;
use crate::rows::among::{Param, since};

/// Requests of a project: those that became messages and those that did not.
pub(crate) async fn requests(
    db: &Client,
    project: ProjectId,
    filter: &RequestFilter,
    page: PageRequest,
) -> Result<Page<RequestView>, Fault> {
    let list = Requests {
        db,
        project,
        filter,
        sql: statement(filter),
    };
    let found = gather(&list, filter.time, page).await?;
    Ok(Page {
        items: history::requests(db, &found.items).await?,
        next: found.next,
    })
}

struct Requests<'a> {
    db: &'a Client,
    project: ProjectId,
    filter: &'a RequestFilter,
    sql: String,
}

/// The newest candidates of each table that can have any, and of those the newest.
fn statement(filter: &RequestFilter) -> String {
    let arms = [of_messages(filter), of_repeats(filter), of_refused(filter)];
    let arms: Vec<String> = arms.into_iter().flatten().collect();
    if arms.is_empty() {
        return "SELECT 0::bigint, false LIMIT 0".to_owned();
    }
    let arms = arms.join(" UNION ALL ");
    format!("SELECT id, fits FROM ({arms}) looked_at ORDER BY id DESC LIMIT $8")
}

const UNDER_KEY: &str = "($7::bytea[] IS NULL OR COALESCE(checksum = ANY($7), false))";
const FROM_SOURCE: &str = "($4::bigint IS NULL OR source IS NOT DISTINCT FROM $4)";

fn of_messages(filter: &RequestFilter) -> Option<String> {
    let accepted = matches!(filter.outcome, None | Some(RequestOutcome::Accepted));
    if !accepted || filter.cause.is_some() {
        return None;
    }
    let narrowed = match (filter.message_id, filter.source_id) {
        (Some(_), _) => "AND id = $9",
        (None, Some(_)) => "AND source = $4",
        (None, None) => "",
    };
    Some(format!(
        "(SELECT id, project = $3 AND request IS NULL AND {FROM_SOURCE} AND {UNDER_KEY} AS fits \
          FROM hooklatch.messages WHERE id >= $1 AND id < $2 {narrowed} \
          ORDER BY id DESC LIMIT $8)"
    ))
}

fn of_repeats(filter: &RequestFilter) -> Option<String> {
    if matches!(
        filter.outcome,
        Some(RequestOutcome::Accepted | RequestOutcome::Rejected)
    ) {
        return None;
    }
    let narrowed = if filter.message_id.is_some() {
        "AND original = $9 AND id >= $10"
    } else if filter.cause.is_some() {
        "AND project = $3 AND cause = $6"
    } else if filter.outcome.is_some() {
        "AND project = $3 AND outcome = $5"
    } else if filter.source_id.is_some() {
        "AND source = $4"
    } else {
        ""
    };
    Some(format!(
        "(SELECT id, project = $3 AND {FROM_SOURCE} AND {UNDER_KEY} \
              AND ($5::bigint IS NULL OR outcome = $5) \
              AND ($6::bigint IS NULL OR cause IS NOT DISTINCT FROM $6) AS fits \
          FROM hooklatch.requests WHERE id >= $1 AND id < $2 {narrowed} \
          ORDER BY id DESC LIMIT $8)"
    ))
}

/// What was refused has no key, no cause and no original.
fn of_refused(filter: &RequestFilter) -> Option<String> {
    let rejected = matches!(filter.outcome, None | Some(RequestOutcome::Rejected));
    let cannot =
        filter.cause.is_some() || filter.message_id.is_some() || filter.checksums.is_some();
    (rejected && !cannot).then(|| {
        format!(
            "(SELECT id, project = $3 AND {FROM_SOURCE} AS fits FROM hooklatch.refused \
              WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT $8)"
        )
    })
}

impl Listing for Requests<'_> {
    async fn look(&self, span: Span, many: usize) -> Result<Vec<Candidate>, Fault> {
        let filter = self.filter;
        let source = filter.source_id.map(SourceId::number);
        let outcome = filter.outcome.map(Code::code);
        let cause = filter.cause.map(Code::code);
        let checksums = filter.checksums.as_ref();
        let checksums: Option<Vec<&[u8]>> =
            checksums.map(|all| all.iter().map(|it| it.as_bytes().as_slice()).collect());
        let message = filter.message_id.map(MessageId::number);
        let params: [Param<'_>; 10] = [
            (&span.from, Type::INT8),
            (&span.to, Type::INT8),
            (&self.project.number(), Type::INT8),
            (&source, Type::INT8),
            (&outcome, Type::INT8),
            (&cause, Type::INT8),
            (&checksums, Type::BYTEA_ARRAY),
            (&rows(many), Type::INT8),
            (&message, Type::INT8),
            (&message.map(since), Type::INT8),
        ];
        let looked_at = self.db.query_typed(&self.sql, &params).await?;
        let candidates = looked_at.iter().map(|row| {
            let fits: bool = row.try_get(1)?;
            Ok(Candidate {
                number: row.try_get(0)?,
                read: false,
                fits: fits.then_some(0),
            })
        });
        candidates.collect()
    }
}
