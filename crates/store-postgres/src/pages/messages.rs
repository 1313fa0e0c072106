//! Lists of messages.

use std::collections::HashMap;

use hooklatch_core::delivery::Delivery;
use hooklatch_core::ids::{MessageId, ProjectId, SourceId};
use hooklatch_store::{MessageFilter, MessageView, Page, PageRequest, StatusFilter};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::{Candidate, Listing, Span, gather, rows};
use crate::fault::Fault;
use crate::history;
use crate::rows::among::{Among, Param};
use crate::rows::{delivery, payload, wide_at};
use crate::text::to_column;

/// Messages of a project.
pub(crate) async fn messages(
    db: &Client,
    project: ProjectId,
    filter: &MessageFilter,
    page: PageRequest,
) -> Result<Page<MessageView>, Fault> {
    let list = Messages {
        db,
        project,
        filter,
    };
    let found = gather(&list, filter.time, page).await?;
    Ok(Page {
        items: history::views(db, &found.items).await?,
        next: found.next,
    })
}

struct Messages<'a> {
    db: &'a Client,
    project: ProjectId,
    filter: &'a MessageFilter,
}

/// A message's number, whether its columns fit, how many deliveries follow it, and whether anything
/// has matched.
macro_rules! select_messages {
    ($rest:literal) => {
        concat!(
            "SELECT id, project = $3 \
                 AND ($4::bigint IS NULL OR source IS NOT DISTINCT FROM $4) \
                 AND ($5::text IS NULL OR tenant IS NOT DISTINCT FROM $5) \
                 AND ($6::text IS NULL OR event_type IS NOT DISTINCT FROM $6), deliveries, routed \
             FROM hooklatch.messages WHERE id >= $1 AND id < $2 ",
            $rest,
            " ORDER BY id DESC LIMIT $7"
        )
    };
}

/// How messages are found: by what narrows the list down most.
enum Found {
    /// By their numbers.
    Ids(Vec<i64>),
    /// By a delivery.
    Endpoint(i64),
    /// Row by row, or by a column that has an index.
    Sql(&'static str),
}

fn found(filter: &MessageFilter) -> Found {
    if let Some(ids) = &filter.ids {
        Found::Ids(ids.iter().copied().map(MessageId::number).collect())
    } else if filter.tenant.is_some() {
        Found::Sql(select_messages!("AND project = $3 AND tenant = $5"))
    } else if let Some(endpoint) = filter.endpoint_id {
        Found::Endpoint(endpoint.number())
    } else if filter.source_id.is_some() {
        Found::Sql(select_messages!("AND source = $4"))
    } else if filter.event_type.is_some() {
        Found::Sql(select_messages!("AND project = $3 AND event_type = $6"))
    } else {
        Found::Sql(select_messages!(""))
    }
}

impl Listing for Messages<'_> {
    async fn look(&self, span: Span, many: usize) -> Result<Vec<Candidate>, Fault> {
        let looked_at = match found(self.filter) {
            Found::Sql(sql) => self.query(sql, span, many, None).await?,
            Found::Ids(ids) => {
                let inside = ids
                    .into_iter()
                    .filter(|id| (span.from..span.to).contains(id));
                let mut inside: Vec<i64> = inside.collect();
                inside.sort_unstable_by(|a, b| b.cmp(a));
                inside.dedup();
                inside.truncate(many);
                self.query_among(inside).await?
            }
            Found::Endpoint(endpoint) => {
                let span = (span.from, span.to);
                let to = delivery::messages_to(self.db, endpoint, span, rows(many)).await?;
                self.query_among(to).await?
            }
        };
        self.weigh(self.judge(looked_at).await?).await
    }
}

/// A message whose columns were looked at.
#[derive(Debug, Clone, Copy)]
struct LookedAt {
    number: i64,
    fits: bool,
    following: i64,
    routed: bool,
}

impl Messages<'_> {
    async fn query(
        &self,
        sql: &str,
        span: Span,
        many: usize,
        among: Option<&[i64]>,
    ) -> Result<Vec<LookedAt>, Fault> {
        let filter = self.filter;
        let tenant = filter.tenant.as_deref().map(to_column);
        let event_type = filter.event_type.as_deref().map(to_column);
        let source = filter.source_id.map(SourceId::number);
        let params: [Param<'_>; 8] = [
            (&span.from, Type::INT8),
            (&span.to, Type::INT8),
            (&self.project.number(), Type::INT8),
            (&source, Type::INT8),
            (&tenant.as_deref(), Type::TEXT),
            (&event_type.as_deref(), Type::TEXT),
            (&rows(many), Type::INT8),
            (&among, Type::INT8_ARRAY),
        ];
        let looked_at = self.db.query_typed(sql, &params).await?;
        looked_at.iter().map(looked_at_in).collect()
    }

    /// The rows of numbers that come newest first. A number without a row is looked at in vain.
    async fn query_among(&self, numbers: Vec<i64>) -> Result<Vec<LookedAt>, Fault> {
        let (Some(newest), Some(oldest)) = (numbers.first(), numbers.last()) else {
            return Ok(Vec::new());
        };
        let span = Span {
            from: *oldest,
            to: newest.saturating_add(1),
        };
        let sql = select_messages!("AND id = ANY($8)");
        let looked_at = self.query(sql, span, numbers.len(), Some(&numbers)).await?;
        let looked_at: HashMap<i64, LookedAt> =
            looked_at.iter().map(|it| (it.number, *it)).collect();
        let in_vain = |number| LookedAt {
            number,
            fits: false,
            following: 0,
            routed: false,
        };
        let row = |number: &i64| looked_at.get(number).copied().unwrap_or(in_vain(*number));
        Ok(numbers.iter().map(row).collect())
    }

    /// Looks at the deliveries, where the filter asks about them.
    async fn judge(&self, looked_at: Vec<LookedAt>) -> Result<Vec<Candidate>, Fault> {
        let mut deliveries = HashMap::new();
        if self.filter.endpoint_id.is_some() || self.filter.status.is_some() {
            let fit = looked_at.iter().filter(|row| row.fits);
            let fit: Vec<(i64, i64)> = fit.map(|row| (row.number, row.following)).collect();
            deliveries = delivery::of_messages(self.db, &fit).await?;
        }
        let candidate = |row: &LookedAt| {
            let deliveries = deliveries.get(&row.number).map_or(&[][..], Vec::as_slice);
            let fits = row.fits && fits_deliveries(self.filter, row.routed, deliveries);
            Candidate {
                number: row.number,
                read: row.fits,
                fits: fits.then_some(0),
            }
        };
        Ok(looked_at.iter().map(candidate).collect())
    }

    /// Looks at how large the bodies of those are that fit.
    async fn weigh(&self, mut candidates: Vec<Candidate>) -> Result<Vec<Candidate>, Fault> {
        let fit = candidates.iter().filter(|it| it.fits.is_some());
        let bytes = payload::weights(self.db, &Among::of(fit.map(|it| it.number))).await?;
        for candidate in &mut candidates {
            let number = candidate.number;
            candidate.fits = candidate
                .fits
                .map(|_| bytes.get(&number).copied().unwrap_or_default());
        }
        Ok(candidates)
    }
}

fn looked_at_in(row: &Row) -> Result<LookedAt, Fault> {
    Ok(LookedAt {
        number: row.try_get(0)?,
        fits: row.try_get(1)?,
        following: wide_at(row, 2)?,
        routed: row.try_get(3)?,
    })
}

fn fits_deliveries(filter: &MessageFilter, routed: bool, deliveries: &[Delivery]) -> bool {
    let to = |endpoint| deliveries.iter().any(|it| it.endpoint_id == Some(endpoint));
    let stands_at = |status: StatusFilter| {
        let statuses: Vec<_> = deliveries.iter().map(|it| it.state.status()).collect();
        status.fits(routed, &statuses)
    };
    filter.endpoint_id.is_none_or(to) && filter.status.is_none_or(stands_at)
}
