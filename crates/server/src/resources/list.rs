//! Pages of resources, newest first.

use std::str::FromStr;

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use hooklatch_core::limits::{PAGE_DEFAULT, PAGE_MAX};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::problem::Problem;

/// Which page is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PageQuery {
    limit: Option<usize>,
    cursor: Option<String>,
}

/// The query of a list as axum reads it.
pub(crate) type AskedPage = Result<Query<PageQuery>, QueryRejection>;

/// How an upsert is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct UpsertQuery {
    dry_run: bool,
}

/// The query of an upsert as axum reads it.
pub(super) type AskedUpsert = Result<Query<UpsertQuery>, QueryRejection>;

/// Whether an upsert only answers what it would lead to.
pub(super) fn is_dry_run(asked: AskedUpsert) -> Result<bool, Problem> {
    let Query(asked) = asked.map_err(|error| Problem::malformed(error.body_text()))?;
    Ok(asked.dry_run)
}

/// A page of `items`, which come newest first. The cursor is the id of the last item shown, so
/// that what is made meanwhile moves nothing.
pub(crate) fn page<I: FromStr + Ord + ToString, T>(
    asked: AskedPage,
    items: impl Iterator<Item = T>,
    id: impl Fn(&T) -> I,
    show: impl Fn(&T) -> Result<Value, Problem>,
) -> Result<Value, Problem> {
    let Query(asked) = asked.map_err(|error| Problem::malformed(error.body_text()))?;
    let limit = asked.limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Problem::field(
            "limit",
            format!("should be from 1 to {PAGE_MAX}"),
        ));
    }
    let below: Option<I> = asked.cursor.map(|text| parse_cursor(&text)).transpose()?;
    let mut rest = items.filter(|item| below.as_ref().is_none_or(|below| id(item) < *below));
    let shown: Vec<T> = rest.by_ref().take(limit).collect();
    let next_cursor = rest
        .next()
        .and_then(|_| shown.last().map(|last| id(last).to_string()));
    let data: Vec<Value> = shown.iter().map(show).collect::<Result<_, _>>()?;
    Ok(json!({"data": data, "next_cursor": next_cursor}))
}

fn parse_cursor<I: FromStr>(text: &str) -> Result<I, Problem> {
    let wrong = |_| Problem::field("cursor", "should be the next_cursor of the page before");
    text.parse().map_err(wrong)
}
