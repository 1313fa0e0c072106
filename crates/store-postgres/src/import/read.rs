//! Rows of this store's tables as they were in the one that they came from.

use hooklatch_store::transfer::{Column, Kind, MARKS, Row, Table, Value};

use super::write::{DONE, LIVE, META};
use crate::fault::Fault;
use crate::rows::{text_or_none_at, wide_or_none_at};

/// What reads everything of a table.
pub(super) fn selects(table: Table) -> Vec<String> {
    let names: Vec<_> = table.columns().iter().map(|column| column.name).collect();
    let names = names.join(", ");
    let select = |target: &str| format!("SELECT {names} FROM hooklatch.{target}");
    match table {
        Table::Deliveries => vec![select(LIVE), select(DONE)],
        Table::Config
        | Table::Audit
        | Table::Payloads
        | Table::Messages
        | Table::Requests
        | Table::Refused
        | Table::Strays
        | Table::Attempts
        | Table::PayloadEnds
        | Table::Transformed
        | Table::Claims
        | Table::AuditDetails
        | Table::KeyUsed
        | Table::LaneHealth
        | Table::ReceiverClaims
        | Table::ReceiverSteps
        | Table::Replays
        | Table::ReplayItems
        | Table::Replayed
        | Table::Stats
        | Table::StatsLate
        | Table::StatsLast => vec![select(table.name())],
        Table::Marks => {
            let marks = MARKS.map(|mark| format!("'{mark}'")).join(", ");
            vec![format!("{} WHERE name IN ({marks})", select(META))]
        }
    }
}

/// A row.
pub(super) fn row(table: Table, row: &tokio_postgres::Row) -> Result<Row, Fault> {
    let columns = table.columns().iter().enumerate();
    let values = columns.map(|(at, column)| value(column, row, at));
    values.collect()
}

fn value(column: &Column, row: &tokio_postgres::Row, at: usize) -> Result<Value, Fault> {
    let value = match column.kind {
        Kind::Integer => wide_or_none_at(row, at)?.map(Value::Integer),
        Kind::Flag => {
            let flag: Option<bool> = row.try_get(at)?;
            flag.map(|flag| Value::Integer(flag.into()))
        }
        Kind::Text => text_or_none_at(row, at)?.map(Value::Text),
        Kind::Json => row.try_get::<_, Option<String>>(at)?.map(Value::Text),
        Kind::Bytes => row.try_get::<_, Option<Vec<u8>>>(at)?.map(Value::Bytes),
    };
    Ok(value.unwrap_or(Value::Null))
}
