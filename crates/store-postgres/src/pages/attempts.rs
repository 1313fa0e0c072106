//! Lists of attempts.

use hooklatch_core::delivery::attempt::Attempt;
use hooklatch_core::ids::{EndpointId, ProjectId};
use hooklatch_store::record::Code;
use hooklatch_store::{AttemptFilter, Page, PageRequest};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::{Candidate, Listing, Span, gather, rows};
use crate::fault::Fault;
use crate::rows::among::{Among, Param};
use crate::rows::attempt;

/// Attempts of a project that have ended.
pub(crate) async fn attempts(
    db: &Client,
    project: ProjectId,
    filter: &AttemptFilter,
    page: PageRequest,
) -> Result<Page<Attempt>, Fault> {
    let list = Attempts {
        db,
        project,
        filter,
    };
    let found = gather(&list, filter.time, page).await?;
    Ok(Page {
        items: attempt::load_all(db, &Among::of(found.items)).await?,
        next: found.next,
    })
}

struct Attempts<'a> {
    db: &'a Client,
    project: ProjectId,
    filter: &'a AttemptFilter,
}

impl Listing for Attempts<'_> {
    async fn look(&self, span: Span, many: usize) -> Result<Vec<Candidate>, Fault> {
        let sql = "SELECT id, project = $3 AND ($4::bigint IS NULL OR trigger = $4) \
                       AND ($5::bigint IS NULL OR outcome = $5) \
                       AND ($6::bigint IS NULL OR endpoint IS NOT DISTINCT FROM $6), \
                       COALESCE(octet_length(body), 0) \
                   FROM hooklatch.attempts WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT $7";
        let trigger = self.filter.trigger.map(Code::code);
        let outcome = self.filter.outcome.map(Code::code);
        let endpoint = self.filter.endpoint_id.map(EndpointId::number);
        let params: [Param<'_>; 7] = [
            (&span.from, Type::INT8),
            (&span.to, Type::INT8),
            (&self.project.number(), Type::INT8),
            (&trigger, Type::INT8),
            (&outcome, Type::INT8),
            (&endpoint, Type::INT8),
            (&rows(many), Type::INT8),
        ];
        let looked_at = self.db.query_typed(sql, &params).await?;
        let candidates = looked_at.iter().map(|row| {
            let fits: bool = row.try_get(1)?;
            let bytes: i32 = row.try_get(2)?;
            Ok(Candidate {
                number: row.try_get(0)?,
                read: fits,
                fits: fits.then_some(usize::try_from(bytes).unwrap_or_default()),
            })
        });
        candidates.collect()
    }
}
