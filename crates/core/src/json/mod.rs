//! JSON as idempotency needs it: exact.
//!
//! Two payloads are the same or they are not, and a mistake either way loses an event or doubles
//! it. Common readers pass numbers through a 64-bit float and hide repeated keys; this one keeps
//! the text of every number, sees every member, and knows where each value lies in the input, so
//! that one element of a batch can be handed on byte for byte (K10).
//!
//! A [`Document`] is one flat table of 16 bytes a value beside the borrowed text; strings are
//! unescaped only when somebody asks. What is accepted is RFC 8259 in UTF-8 without a byte order
//! mark, to [`JSON_DEPTH_MAX`](crate::limits::JSON_DEPTH_MAX) levels. Two things that RFC 8259
//! leaves open are settled here:
//!
//! - A name that is repeated in an object: looking it up finds the last one, as most readers do,
//!   but the object has no canonical form (K9).
//! - Half a surrogate pair (`"\ud83d"`, left behind by producers that cut a text in two): U+FFFD
//!   stands for it, and what contains it has no canonical form. The rest of the document stays
//!   readable, so that a cut-off emoji in a title does not cost the event its key.

mod canonical;
mod diff;
mod number;
mod reader;
mod text;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

pub use canonical::{NoCanonicalForm, Selection, canonical, write_canonical, write_selected};
pub use diff::differing_pointers;
pub use number::canonical_number;
pub use reader::{JsonError, JsonProblem, parse};

/// One JSON text that has been read.
#[derive(Clone)]
pub struct Document<'a> {
    text: &'a str,
    nodes: Vec<Node>,
}

/// One value in a document: cheap to copy, and aware of where it lies in the text.
#[derive(Clone, Copy)]
pub struct Element<'d> {
    document: &'d Document<'d>,
    at: u32,
}

/// What an element is.
#[derive(Debug, Clone)]
pub enum Value<'d> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// The number as it was written; [`canonical_number`] makes it comparable.
    Number(&'d str),
    /// The string's content, unescaped.
    String(Cow<'d, str>),
    /// The elements of an array.
    Array(Elements<'d>),
    /// The members of an object, in the order of the text, repeated names included.
    Object(Members<'d>),
}

/// Names one element of a document; the order is that of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(u32);

/// The elements of an array, in order.
#[derive(Clone)]
pub struct Elements<'d> {
    document: &'d Document<'d>,
    next: u32,
    end: u32,
}

/// The members of an object, in the order of the text.
#[derive(Clone)]
pub struct Members<'d>(Elements<'d>);

/// One row of the table. A member is the row of its name, then the rows of its value.
#[derive(Debug, Clone, Copy)]
struct Node {
    start: u32,
    end: u32,
    /// The first row that is no longer inside this value.
    after: u32,
    kind: Kind,
    /// False where half a surrogate pair is inside.
    well_formed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    True,
    False,
    Number,
    PlainString,
    EscapedString,
    Array,
    Object,
}

impl<'a> Document<'a> {
    /// The outermost value.
    pub fn root(&self) -> Element<'_> {
        Element {
            document: self,
            at: 0,
        }
    }

    /// The bytes of the input that an element of this document was read from.
    pub fn slice(&self, element: Element<'_>) -> &'a [u8] {
        debug_assert!(std::ptr::eq(
            self.text.as_ptr(),
            element.document.text.as_ptr()
        ));
        &self.text.as_bytes()[element.span()]
    }

    fn node(&self, at: u32) -> Node {
        self.nodes[at as usize]
    }

    fn text_of(&self, at: u32) -> Cow<'_, str> {
        let node = self.node(at);
        let inner = &self.text[node.start as usize + 1..node.end as usize - 1];
        if node.kind == Kind::EscapedString {
            Cow::Owned(text::unescape(inner))
        } else {
            Cow::Borrowed(inner)
        }
    }
}

impl<'d> Element<'d> {
    /// What the element is.
    pub fn value(self) -> Value<'d> {
        match self.node().kind {
            Kind::Null => Value::Null,
            Kind::True => Value::Bool(true),
            Kind::False => Value::Bool(false),
            Kind::Number => Value::Number(self.raw()),
            Kind::PlainString | Kind::EscapedString => {
                Value::String(self.document.text_of(self.at))
            }
            Kind::Array => Value::Array(self.children()),
            Kind::Object => Value::Object(Members(self.children())),
        }
    }

    /// The element as it was written.
    pub fn raw(self) -> &'d str {
        &self.document.text[self.span()]
    }

    /// Where the element lies in the input, in bytes.
    pub fn span(self) -> Range<usize> {
        let node = self.node();
        node.start as usize..node.end as usize
    }

    /// The element's name within its document.
    pub fn id(self) -> NodeId {
        NodeId(self.at)
    }

    /// False where half a surrogate pair is inside, in a string or in a name.
    pub fn is_well_formed(self) -> bool {
        self.node().well_formed
    }

    /// The member of this name; the last one where the name is repeated.
    pub fn get(self, name: &str) -> Option<Element<'d>> {
        match self.value() {
            Value::Object(members) => members
                .filter(|(other, _)| other == name)
                .last()
                .map(|(_, element)| element),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => None,
        }
    }

    /// The array's element at this index; a negative index counts from the end.
    pub fn at(self, index: i64) -> Option<Element<'d>> {
        let Value::Array(mut elements) = self.value() else {
            return None;
        };
        let forward = if index < 0 {
            let length = i64::try_from(elements.clone().count()).ok()?;
            length.checked_add(index)?
        } else {
            index
        };
        elements.nth(usize::try_from(forward).ok()?)
    }

    fn node(self) -> Node {
        self.document.node(self.at)
    }

    fn children(self) -> Elements<'d> {
        Elements {
            document: self.document,
            next: self.at + 1,
            end: self.node().after,
        }
    }
}

impl<'d> Iterator for Elements<'d> {
    type Item = Element<'d>;

    fn next(&mut self) -> Option<Element<'d>> {
        if self.next == self.end {
            return None;
        }
        let element = Element {
            document: self.document,
            at: self.next,
        };
        self.next = element.node().after;
        Some(element)
    }
}

impl<'d> Iterator for Members<'d> {
    type Item = (Cow<'d, str>, Element<'d>);

    fn next(&mut self) -> Option<Self::Item> {
        let name = self.0.next()?;
        let element = self
            .0
            .next()
            .expect("the reader wrote a value after every name");
        Some((name.document.text_of(name.at), element))
    }
}

// A body may hold secrets, so that none of these prints what it holds.
impl fmt::Debug for Document<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Document({} bytes, {} values)",
            self.text.len(),
            self.nodes.len()
        )
    }
}

impl fmt::Debug for Element<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Element({:?} at {:?})", self.node().kind, self.span())
    }
}

impl fmt::Debug for Elements<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Elements")
    }
}

impl fmt::Debug for Members<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Members")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_the_bytes_it_was_read_from() {
        let text = r#" { "a" : [ 1 , {"b":"x\ty"} ] , "c": null } "#;
        let document = parse(text.as_bytes()).unwrap();
        let array = document.root().get("a").unwrap();
        assert_eq!(array.raw(), r#"[ 1 , {"b":"x\ty"} ]"#);
        assert_eq!(document.slice(array.at(1).unwrap()), br#"{"b":"x\ty"}"#);
        assert_eq!(document.root().raw(), text.trim());
    }

    #[test]
    fn an_index_counts_from_either_end() {
        let document = parse(b"[10, [20], 30]").unwrap();
        let at = |index| document.root().at(index).map(Element::raw);
        assert_eq!(
            [at(0), at(2), at(-1), at(-3)],
            [Some("10"), Some("30"), Some("30"), Some("10")]
        );
        assert_eq!([at(3), at(-4), at(i64::MIN), at(i64::MAX)], [None; 4]);
    }

    #[test]
    fn of_a_repeated_name_the_last_is_found() {
        let document = parse(br#"{"id": 1, "\u0069d": 2}"#).unwrap();
        assert_eq!(document.root().get("id").map(Element::raw), Some("2"));
    }

    #[test]
    fn debug_output_shows_no_content() {
        let document = parse(br#"{"card": "4242"}"#).unwrap();
        let root = document.root();
        let shown = format!("{document:?} {root:?} {:?}", root.value());
        assert!(!shown.contains("4242"), "{shown}");
    }
}
