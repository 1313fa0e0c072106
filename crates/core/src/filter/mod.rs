//! Decides whether a request passes a filter of a connection.
//!
//! A filter drops events, so nothing about it may be left to chance: it is understood when it is
//! saved, every mistake is named by its place, and at an arrival it can only hold or not hold. No
//! number passes through a float, no value is converted, and the time grows linearly with the
//! request: conditions visit each value once, and regular expressions never backtrack.
//!
//! ```text
//! {"body": {"type": "order.paid", "total": {"$gte": 100, "$lt": 500}}, "headers": {"x-env": "live"}}
//! ```
//!
//! A request has four parts: `body`, `headers`, `query` and `path`. Every field that is named must
//! hold. A plain value is compared with `$eq`; a list of values must all be there, as with `$and`.
//!
//! | operator | holds where the value |
//! |---|---|
//! | `$eq` `$neq` | is (not) this one |
//! | `$in` `$nin` | is (not) one of a list; given a text: (does not) contain it |
//! | `$gt` `$gte` `$lt` `$lte` | comes after or before: numbers by size, texts by code points |
//! | `$startsWith` `$endsWith` | is a text that begins or ends like this, or like one of a list |
//! | `$exist` | is there (`null` is) |
//! | `$regex` | is a text in which the expression finds something |
//! | `$and` `$or` `$not` | fits all, one, none of these |
//!
//! Where the value is an array, one of its elements has to fit; an object of fields has to fit one
//! and the same element. What denies (`$neq`, `$nin`, `$not`) holds where no element fits what is
//! denied. A value of another type, or none, fits nothing, so that it fits what denies.
//!
//! Headers, the query, the path and the fields of a form are texts: a number or a boolean fits the
//! text that spells it. A body that is neither JSON nor a form is one text. Of repeated headers and
//! parameters one has to fit.

mod compile;
mod evaluate;
mod literal;
#[cfg(test)]
mod tests;

use regex::Regex;
use serde_json::Value;

use crate::field::FieldError;
use crate::key::{Body, Request};
use literal::Literal;

/// A filter that has been understood.
#[derive(Debug, Clone)]
pub struct Filter {
    condition: Condition,
}

/// What a filter makes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Passed,
    /// It is dropped.
    Dropped {
        /// JSON pointer, in the filter, to the first condition that does not hold.
        pointer: String,
    },
}

/// What must hold of one value.
#[derive(Debug, Clone)]
enum Condition {
    /// Its members must fit, and what stands beside them must hold.
    Fields {
        fields: Vec<(String, Condition)>,
        beside: Vec<Condition>,
    },
    /// Each of these tests must hold of it, or of one and the same element of it.
    Tests(Vec<Test>),
    /// Every one must hold.
    Every(Vec<Condition>),
    /// One must hold.
    Any(Vec<Condition>),
    /// It must not hold.
    Not(Box<Condition>),
    /// The value must be there, or must not be.
    Exists(bool),
}

/// What must hold of one value that is no array.
#[derive(Debug, Clone)]
enum Test {
    Equals(Literal),
    OneOf(Vec<Literal>),
    Contains(String),
    After(Literal),
    AfterOrEqual(Literal),
    Before(Literal),
    BeforeOrEqual(Literal),
    StartsWith(Vec<String>),
    EndsWith(Vec<String>),
    Matches(Regex),
}

impl Filter {
    /// Understands a filter: an object of the parts, `$and`, `$or` and `$not`.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its JSON pointer.
    pub fn compile(document: &Value) -> Result<Self, Vec<FieldError>> {
        compile::compile(document).map(|condition| Self { condition })
    }

    /// Whether a request passes, of whose body `body` was understood.
    pub fn check(&self, request: &Request<'_>, body: &Body<'_>) -> Verdict {
        evaluate::check(&self.condition, request, body)
    }
}
