//! Looks at a directory beside whoever has it, and changes nothing.

use std::path::Path;

use hooklatch_core::time::Timestamp;
use hooklatch_store::inspection::{Inspection, WAITING_COUNTED_MAX};
use rusqlite::{Connection, params};

use crate::fault::Fault;
use crate::{OpenError, config, open, schema};

/// What is in a directory. A gateway may have it meanwhile.
///
/// # Errors
/// Where there is no data, or it cannot be read.
pub fn inspect(dir: &Path) -> Result<Inspection, OpenError> {
    let path = dir.join(open::FILE_NAME);
    if !path.is_file() {
        return Err(OpenError::Missing(dir.to_owned()));
    }
    let look = || -> Result<Inspection, Fault> {
        let db = schema::open_reader(&path)?;
        let moment = db.unchecked_transaction()?;
        let schema: i64 = moment.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let known = schema::SCHEMA_VERSION;
        if schema > known {
            return Ok(Inspection::of_version(schema, known));
        }
        let (waiting, oldest) = waiting(&moment)?;
        Ok(Inspection {
            documents: config::load(&moment)?,
            waiting,
            oldest,
            ..Inspection::of_version(schema, known)
        })
    };
    look().map_err(|fault| OpenError::Unreadable {
        path: path.clone(),
        source: Box::new(fault),
    })
}

fn waiting(db: &Connection) -> Result<(u64, Option<Timestamp>), Fault> {
    let sql =
        "SELECT COUNT(*), MIN(id) FROM (SELECT id FROM deliveries WHERE status <= 1 LIMIT ?1)";
    let (many, first): (i64, Option<i64>) =
        db.query_row(sql, params![WAITING_COUNTED_MAX], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let made = first.map(|number| hooklatch_core::ids::DeliveryId::from_number(number).minted_at());
    Ok((many.unsigned_abs(), made))
}
