//! Rows of another store as arrays for this one's tables: what this store adds to them is derived
//! here, and nothing else is looked into.

use hooklatch_core::claim::Claim;
use hooklatch_core::delivery::DeliveryStatus;
use hooklatch_core::ids::ProjectId;
use hooklatch_store::record::Code;
use hooklatch_store::record::claim::{Columns, decode};
use hooklatch_store::transfer::{Column, Kind, Row, Table, Value};
use tokio_postgres::types::{ToSql, Type};

use crate::fault::Fault;
use crate::key::{Key, part_hash, place};
use crate::rows::among::Param;
use crate::text::to_column;

/// Every table that a copy fills and nothing else has filled before.
pub(super) const TABLES: [&str; 24] = [
    "config",
    "audit",
    "payloads",
    "messages",
    "requests",
    "refused",
    LIVE,
    DONE,
    "strays",
    "attempts",
    "payload_ends",
    "transformed",
    "claims",
    "audit_details",
    "key_used",
    "lane_health",
    "receiver_claims",
    "receiver_steps",
    "replays",
    "replay_items",
    "replayed",
    "stats",
    "stats_late",
    "stats_last",
];

/// Deliveries that have not ended.
pub(super) const LIVE: &str = "deliveries_live";
/// Deliveries that have.
pub(super) const DONE: &str = "deliveries_done";
/// Marks lie among other things there.
pub(super) const META: &str = "meta";
/// Where the status stands in the row of a delivery.
const STATUS: usize = 6;

/// One statement with its arrays.
pub(super) struct Insert<'a> {
    /// The statement.
    pub sql: String,
    arrays: Vec<Array<'a>>,
}

/// What one column gets, row by row.
struct Array<'a> {
    name: &'static str,
    /// The column's value, from the array's.
    value: &'static str,
    of: Type,
    values: Box<dyn ToSql + Sync + Send + 'a>,
}

impl Insert<'_> {
    /// The arrays, as the driver takes them.
    pub(super) fn params(&self) -> Vec<Param<'_>> {
        let params = self.arrays.iter();
        params
            .map(|array| (&*array.values as &(dyn ToSql + Sync), array.of.clone()))
            .collect()
    }
}

/// What brings the rows into their table, or their tables.
pub(super) fn inserts(table: Table, rows: &[Row]) -> Result<Vec<Insert<'_>>, Fault> {
    match table {
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
        | Table::StatsLast => {
            let rows: Vec<&Row> = rows.iter().collect();
            Ok(vec![insert(table.name(), columns(table, &rows)?)])
        }
        Table::Marks => {
            let rows: Vec<&Row> = rows.iter().collect();
            let mut marks = insert(META, columns(table, &rows)?);
            marks.sql += " ON CONFLICT (name) DO UPDATE SET value = excluded.value";
            Ok(vec![marks])
        }
        Table::Deliveries => deliveries(rows),
        Table::Claims => {
            let all: Vec<&Row> = rows.iter().collect();
            let mut arrays = columns(table, &all)?;
            arrays.extend(of_the_ledger(rows)?);
            Ok(vec![insert(table.name(), arrays)])
        }
    }
}

fn insert<'a>(target: &str, arrays: Vec<Array<'a>>) -> Insert<'a> {
    let names: Vec<_> = arrays.iter().map(|array| array.name).collect();
    let values: Vec<_> = arrays.iter().map(|array| array.value).collect();
    let parameters: Vec<_> = (1..=arrays.len()).map(|n| format!("${n}")).collect();
    let (names, values) = (names.join(", "), values.join(", "));
    let parameters = parameters.join(", ");
    Insert {
        sql: format!(
            "INSERT INTO hooklatch.{target} ({names}) \
             SELECT {values} FROM unnest({parameters}) copied({names})"
        ),
        arrays,
    }
}

fn deliveries(rows: &[Row]) -> Result<Vec<Insert<'_>>, Fault> {
    let (mut live, mut done) = (Vec::new(), Vec::new());
    for row in rows {
        let status = integer(Table::Deliveries, row, STATUS)?;
        let status: DeliveryStatus = Code::of_code(status.unwrap_or(-1))?;
        if status.is_final() {
            done.push(row);
        } else {
            live.push(row);
        }
    }
    let mut inserts = Vec::new();
    for (target, rows) in [(DONE, done), (LIVE, live)] {
        if !rows.is_empty() {
            inserts.push(insert(target, columns(Table::Deliveries, &rows)?));
        }
    }
    Ok(inserts)
}

/// The columns that both stores have.
fn columns<'a>(table: Table, rows: &[&'a Row]) -> Result<Vec<Array<'a>>, Fault> {
    let columns = table.columns().iter().enumerate();
    let arrays = columns.map(|(at, column)| array(table, column, rows, at));
    arrays.collect()
}

fn array<'a>(
    table: Table,
    column: &Column,
    rows: &[&'a Row],
    at: usize,
) -> Result<Array<'a>, Fault> {
    let (of, values): (Type, Box<dyn ToSql + Sync + Send>) = match column.kind {
        Kind::Integer => {
            let values = every(rows, |row| integer(table, row, at))?;
            (Type::INT8_ARRAY, Box::new(values))
        }
        Kind::Flag => {
            let values = every(rows, |row| integer(table, row, at))?;
            let flags = values.into_iter().map(|flag| flag.map(|flag| flag != 0));
            (Type::BOOL_ARRAY, Box::new(flags.collect::<Vec<_>>()))
        }
        Kind::Text => {
            let values = every(rows, |row| text(table, row, at))?;
            let texts = values.into_iter().map(|text| text.map(to_column));
            (Type::TEXT_ARRAY, Box::new(texts.collect::<Vec<_>>()))
        }
        Kind::Json => {
            let values = every(rows, |row| text(table, row, at))?;
            (Type::TEXT_ARRAY, Box::new(values))
        }
        Kind::Bytes => {
            let values = every(rows, |row| bytes(table, row, at))?;
            (Type::BYTEA_ARRAY, Box::new(values))
        }
    };
    Ok(Array {
        name: column.name,
        value: column.name,
        of,
        values,
    })
}

fn every<'a, V>(
    rows: &[&'a Row],
    value: impl Fn(&'a Row) -> Result<V, Fault>,
) -> Result<Vec<V>, Fault> {
    rows.iter().map(|row| value(row)).collect()
}

fn integer(table: Table, row: &Row, at: usize) -> Result<Option<i64>, Fault> {
    match row.get(at) {
        Some(Value::Integer(number)) => Ok(Some(*number)),
        Some(Value::Null) => Ok(None),
        Some(Value::Text(_) | Value::Bytes(_)) | None => Err(misfit(table, at)),
    }
}

fn text(table: Table, row: &Row, at: usize) -> Result<Option<&str>, Fault> {
    match row.get(at) {
        Some(Value::Text(text)) => Ok(Some(text)),
        Some(Value::Null) => Ok(None),
        Some(Value::Integer(_) | Value::Bytes(_)) | None => Err(misfit(table, at)),
    }
}

fn bytes(table: Table, row: &Row, at: usize) -> Result<Option<&[u8]>, Fault> {
    match row.get(at) {
        Some(Value::Bytes(bytes)) => Ok(Some(bytes)),
        Some(Value::Null) => Ok(None),
        Some(Value::Integer(_) | Value::Text(_)) | None => Err(misfit(table, at)),
    }
}

fn misfit(table: Table, at: usize) -> Fault {
    let name = table.columns()[at].name;
    Fault::unreadable(format!("a row whose {}.{name} does not fit", table.name()))
}

/// What this store's ledger has beside a claim's own columns: where it stands, and under which
/// hashes its parts are found.
fn of_the_ledger(rows: &[Row]) -> Result<[Array<'_>; 3], Fault> {
    let (mut keys, mut places, mut hashes) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let (project, scope, claim) = claim(row)?;
        keys.push(Key::of(&claim.checksum));
        places.push(place(scope));
        let parts = claim.parts_to_index().iter();
        let parts: Vec<_> = parts
            .map(|part| part_hash(project, part).to_string())
            .collect();
        let parts = (!parts.is_empty()).then(|| format!("{{{}}}", parts.join(",")));
        hashes.push(parts);
    }
    let array = |name, value, of, values| Array {
        name,
        value,
        of,
        values,
    };
    Ok([
        array("key", "key", Type::UUID_ARRAY, Box::new(keys)),
        array("place", "place", Type::INT4_ARRAY, Box::new(places)),
        array(
            "part_hashes",
            "part_hashes::bigint[]",
            Type::TEXT_ARRAY,
            Box::new(hashes),
        ),
    ])
}

fn claim(row: &Row) -> Result<(ProjectId, &str, Claim), Fault> {
    let [
        Value::Bytes(checksum),
        Value::Text(scope),
        Value::Bytes(variant),
        Value::Integer(kind),
        Value::Integer(project),
        Value::Text(parts),
        Value::Integer(message),
        Value::Bytes(fingerprint),
        Value::Integer(first_seen),
        Value::Integer(expires),
    ] = row.as_slice()
    else {
        return Err(Fault::unreadable("a claim that lacks something"));
    };
    let digest = |bytes: &[u8]| {
        let digest = bytes.try_into();
        digest.map_err(|_| Fault::unreadable("a digest that has not 32 bytes"))
    };
    let claim = decode(&Columns {
        checksum: digest(checksum)?,
        scope,
        variant,
        kind: *kind,
        parts,
        message: *message,
        fingerprint: digest(fingerprint)?,
        first_seen: *first_seen,
        expires: *expires,
    })?;
    Ok((ProjectId::from_number(*project), scope, claim))
}
