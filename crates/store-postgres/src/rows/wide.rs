//! Whole numbers, whichever width their column has. Records hold them in 64 bits.

use std::error::Error;

use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

use crate::fault::Fault;

struct Wide(i64);

impl<'a> FromSql<'a> for Wide {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let number = match *ty {
            Type::INT2 => i16::from_sql(ty, raw)?.into(),
            Type::INT4 => i32::from_sql(ty, raw)?.into(),
            _ => i64::from_sql(ty, raw)?,
        };
        Ok(Self(number))
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::INT2 | Type::INT4 | Type::INT8)
    }
}

/// A number in a column.
pub(crate) fn wide_at(row: &Row, column: usize) -> Result<i64, Fault> {
    let Wide(number) = row.try_get(column)?;
    Ok(number)
}

/// A number in a column that may be empty.
pub(crate) fn wide_or_none_at(row: &Row, column: usize) -> Result<Option<i64>, Fault> {
    let number: Option<Wide> = row.try_get(column)?;
    Ok(number.map(|Wide(number)| number))
}
