//! Which numbers a statement is about, with the bounds that let the database look into their
//! partitions only.

use hooklatch_core::ids::{MessageId, first_number_at};
use hooklatch_core::time::Millis;
use tokio_postgres::types::{ToSql, Type};

/// By how much the database's clock may have been set back since something was numbered.
const SET_BACK_MAX: Millis = Millis::from_seconds(3_600);

/// Numbers, the parameters `$1` to `$3` of `id = ANY($1) AND id >= $2 AND id <= $3`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Among {
    numbers: Vec<i64>,
    first: i64,
    last: i64,
}

/// A parameter with its type: what is sent with its types needs no statement to be prepared, and
/// is planned for what it asks.
pub(crate) type Param<'a> = (&'a (dyn ToSql + Sync), Type);

impl Among {
    /// These numbers.
    pub(crate) fn of(numbers: impl IntoIterator<Item = i64>) -> Self {
        let mut numbers: Vec<i64> = numbers.into_iter().collect();
        numbers.sort_unstable();
        numbers.dedup();
        Self {
            first: numbers.first().copied().unwrap_or_default(),
            last: numbers.last().copied().unwrap_or_default(),
            numbers,
        }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The smallest of them.
    pub(crate) fn first(&self) -> i64 {
        self.first
    }

    /// The largest of them.
    pub(crate) fn last(&self) -> i64 {
        self.last
    }

    /// The parameters.
    pub(crate) fn params(&self) -> [Param<'_>; 3] {
        [
            (&self.numbers, Type::INT8_ARRAY),
            (&self.first, Type::INT8),
            (&self.last, Type::INT8),
        ]
    }
}

/// The first number that something which came after `number` can have. Two nodes may number in
/// one millisecond, and the database's clock may be set back a little.
pub(crate) fn since(number: i64) -> i64 {
    let minted = MessageId::from_number(number).minted_at();
    first_number_at(minted - SET_BACK_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_node_numbered_in_the_same_millisecond_came_after() {
        let number = 1_700_000_000_000 << 20 | 77 << 12 | 5;
        assert!(since(number) <= 1_700_000_000_000 << 20);
        assert_eq!(since(1), 0);
    }
}
