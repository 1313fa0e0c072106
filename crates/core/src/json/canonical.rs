//! The one spelling of a JSON value (K9), so that equal payloads have equal hashes.
//!
//! Members are sorted by the code points of their names, there is no white space, numbers are
//! spelled by [`canonical_number`](super::canonical_number), and strings escape only what they
//! must. The result is JSON again, and is its own canonical form.

use std::borrow::Cow;

use super::number::canonical_number;
use super::text::write_quoted;
use super::{Document, Element, Kind, NodeId};

/// The value has no canonical form: an object repeats a key, a number is too long, or a string
/// holds half a surrogate pair. The raw bytes must stand for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value has no canonical form")]
pub struct NoCanonicalForm;

/// Which parts of a document are written.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Where set, only these, what is inside them, and the containers around them.
    only: Option<Vec<NodeId>>,
    /// Never these.
    without: Vec<NodeId>,
}

impl Selection {
    /// Everything but these elements.
    pub fn without(mut elements: Vec<NodeId>) -> Self {
        elements.sort_unstable();
        Self {
            only: None,
            without: elements,
        }
    }

    /// Only these elements, and of them all but `without`.
    pub fn only(mut elements: Vec<NodeId>, without: Vec<NodeId>) -> Self {
        elements.sort_unstable();
        Self {
            only: Some(elements),
            ..Self::without(without)
        }
    }

    /// Whether nothing is left out.
    pub fn is_everything(&self) -> bool {
        self.only.is_none() && self.without.is_empty()
    }
}

/// The canonical form of a value.
pub fn canonical(element: Element<'_>) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(element.span().len());
    write_canonical(element, &mut |part: &[u8]| bytes.extend_from_slice(part)).ok()?;
    Some(bytes)
}

/// Hands the canonical form of a value to `out`, piece by piece, without building it. On an error
/// what was handed out before is worthless.
pub fn write_canonical(
    element: Element<'_>,
    out: &mut impl FnMut(&[u8]),
) -> Result<(), NoCanonicalForm> {
    write_selected(element, &Selection::default(), out)
}

/// The same for a part of a value. Members and elements that are not selected vanish without a
/// trace; the outermost value is always written.
pub fn write_selected(
    element: Element<'_>,
    selection: &Selection,
    out: &mut impl FnMut(&[u8]),
) -> Result<(), NoCanonicalForm> {
    let region = if selection.only.is_some() {
        Region::Around
    } else {
        Region::Inside
    };
    let document = element.document;
    Writer {
        document,
        selection,
        members: Vec::new(),
        out,
    }
    .value(element.at, region)
}

/// Where the writer stands relative to the selected elements.
#[derive(Clone, Copy)]
enum Region {
    /// In a container of selected elements.
    Around,
    /// In a selected element.
    Inside,
}

struct Writer<'d, 's, F> {
    document: &'d Document<'d>,
    selection: &'s Selection,
    /// The members of all objects that are being written, outer ones first: one buffer for all.
    members: Vec<(Cow<'d, str>, u32)>,
    out: &'s mut F,
}

impl<F: FnMut(&[u8])> Writer<'_, '_, F> {
    fn value(&mut self, at: u32, region: Region) -> Result<(), NoCanonicalForm> {
        let node = self.document.node(at);
        let raw = &self.document.text[node.start as usize..node.end as usize];
        match node.kind {
            // Without escapes a string is spelled canonically already, as are these words.
            Kind::Null | Kind::True | Kind::False | Kind::PlainString => (self.out)(raw.as_bytes()),
            Kind::Number => {
                let number = canonical_number(raw).ok_or(NoCanonicalForm)?;
                (self.out)(number.as_bytes());
            }
            Kind::EscapedString => self.escaped_string(at)?,
            Kind::Array => self.array(at, region)?,
            Kind::Object => self.object(at, region)?,
        }
        Ok(())
    }

    fn escaped_string(&mut self, at: u32) -> Result<(), NoCanonicalForm> {
        if !self.document.node(at).well_formed {
            return Err(NoCanonicalForm);
        }
        write_quoted(&self.document.text_of(at), self.out);
        Ok(())
    }

    fn array(&mut self, at: u32, region: Region) -> Result<(), NoCanonicalForm> {
        let end = self.document.node(at).after;
        let mut next = at + 1;
        let mut before: &[u8] = b"[";
        while next < end {
            if let Some(region) = self.region_of(next, region) {
                (self.out)(before);
                self.value(next, region)?;
                before = b",";
            }
            next = self.document.node(next).after;
        }
        (self.out)(if before == b"[" { b"[]" } else { b"]" });
        Ok(())
    }

    fn object(&mut self, at: u32, region: Region) -> Result<(), NoCanonicalForm> {
        let first = self.members.len();
        self.gather_members(at)?;
        let mut before: &[u8] = b"{";
        for member in first..self.members.len() {
            let name = self.members[member].1;
            if let Some(region) = self.region_of(name + 1, region) {
                (self.out)(before);
                self.value(name, Region::Inside)?;
                (self.out)(b":");
                self.value(name + 1, region)?;
                before = b",";
            }
        }
        self.members.truncate(first);
        (self.out)(if before == b"{" { b"{}" } else { b"}" });
        Ok(())
    }

    /// Puts the object's members on the pile, sorted by name, each with the row of its name.
    fn gather_members(&mut self, at: u32) -> Result<(), NoCanonicalForm> {
        let first = self.members.len();
        let end = self.document.node(at).after;
        let mut name = at + 1;
        while name < end {
            self.members.push((self.document.text_of(name), name));
            name = self.document.node(name + 1).after;
        }
        // UTF-8 sorts as its code points do.
        let members = &mut self.members[first..];
        members.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        if members.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(NoCanonicalForm);
        }
        Ok(())
    }

    /// Where a value inside `outer` stands; `None` if it is left out.
    fn region_of(&self, at: u32, outer: Region) -> Option<Region> {
        if self.selection.without.binary_search(&NodeId(at)).is_ok() {
            return None;
        }
        match (outer, &self.selection.only) {
            (Region::Inside, _) | (Region::Around, None) => Some(Region::Inside),
            (Region::Around, Some(only)) => {
                let after = self.document.node(at).after;
                let selected = only.get(only.partition_point(|id| id.0 < at))?;
                match selected.0 {
                    id if id == at => Some(Region::Inside),
                    id if id < after => Some(Region::Around),
                    _ => None,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::parse;
    use super::*;

    fn canonical_text(text: &str) -> Option<String> {
        let document = parse(text.as_bytes()).expect(text);
        canonical(document.root()).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn k9_equal_values_have_one_spelling() {
        let cases = [
            (" { } ", "{}"),
            ("[ ]", "[]"),
            (
                r#"{"b": 1.0, "a": [true, null, "x"]}"#,
                r#"{"a":[true,null,"x"],"b":1}"#,
            ),
            (r#"{"\u0061": "\u0041\/"}"#, r#"{"a":"A/"}"#),
            (r#"{"a\tb": "\u000A"}"#, r#"{"a\tb":"\n"}"#),
            ("[-0, 10.50, 1e3]", "[0,105e-1,1e3]"),
            (
                r#"{"o": {"z": 1, "y": {"b": 2, "a": 1}}, "n": 0}"#,
                r#"{"n":0,"o":{"y":{"a":1,"b":2},"z":1}}"#,
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(canonical_text(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn k9_members_are_sorted_by_code_point_and_not_by_utf16() {
        let sorted = canonical_text("{\"\u{1f600}\": 1, \"\u{ffee}\": 2, \"Z\": 3, \"a\": 4}");
        assert_eq!(
            sorted.unwrap(),
            "{\"Z\":3,\"a\":4,\"\u{ffee}\":2,\"\u{1f600}\":1}"
        );
    }

    #[test]
    fn k9_some_values_have_no_canonical_form() {
        for text in [
            r#"{"a": 1, "a": 1}"#,
            r#"{"a": 1, "b": 2, "\u0061": 1}"#,
            r#"[{"x": {"a": 1, "a": 2}}]"#,
            r#"["\ud83d"]"#,
            r#"{"\ude00": 1}"#,
            &"1".repeat(1_001),
        ] {
            assert_eq!(canonical_text(text), None, "{text}");
        }
    }

    #[test]
    fn a_selection_leaves_no_trace_of_the_rest() {
        let document = parse(br#"{"b": [1, {"x": 1, "y": 2}], "a": {"k": 0}, "c": 3}"#).unwrap();
        let root = document.root();
        let b = root.get("b").unwrap();
        let x = b.at(1).unwrap().get("x").unwrap();
        let write = |selection: &Selection| {
            let mut bytes = Vec::new();
            write_selected(root, selection, &mut |part: &[u8]| {
                bytes.extend_from_slice(part)
            })
            .unwrap();
            String::from_utf8(bytes).unwrap()
        };
        let id = |name| root.get(name).unwrap().id();
        assert_eq!(
            write(&Selection::without(vec![x.id(), id("a")])),
            r#"{"b":[1,{"y":2}],"c":3}"#
        );
        assert_eq!(
            write(&Selection::only(vec![x.id()], vec![])),
            r#"{"b":[{"x":1}]}"#
        );
        assert_eq!(
            write(&Selection::only(vec![id("c"), b.id()], vec![x.id()])),
            r#"{"b":[1,{"y":2}],"c":3}"#
        );
    }

    /// Values as text, with the members in an order of their own.
    fn json_text() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            ".{0,8}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                prop::collection::btree_map(".{0,4}", inner, 0..5).prop_map(|members| {
                    serde_json::Value::Object(members.into_iter().collect())
                }),
            ]
        })
    }

    /// The same value, with all members in the opposite order and blanks between everything.
    fn backwards(value: &serde_json::Value) -> String {
        match value {
            serde_json::Value::Array(elements) => {
                let elements: Vec<String> = elements.iter().map(backwards).collect();
                format!(" [ {} ] ", elements.join(" , "))
            }
            serde_json::Value::Object(members) => {
                let mut texts = Vec::new();
                for (name, member) in members {
                    texts.insert(
                        0,
                        format!("{} : {}", serde_json::json!(name), backwards(member)),
                    );
                }
                format!(" {{ {} }}\n", texts.join(" ,\t"))
            }
            scalar => scalar.to_string(),
        }
    }

    proptest! {
        #[test]
        fn k9_canonical_is_its_own_canonical_form(value in json_text()) {
            let once = canonical_text(&value.to_string()).unwrap();
            prop_assert_eq!(canonical_text(&once).unwrap(), once);
        }

        #[test]
        fn k9_order_and_blanks_do_not_count(value in json_text()) {
            let forwards = canonical_text(&value.to_string());
            prop_assert_eq!(canonical_text(&backwards(&value)), forwards);
        }

        #[test]
        fn k9_canonical_keeps_strings_and_integers(text in ".{0,16}", number in any::<i64>()) {
            let value = serde_json::json!({"text": text, "list": [text, text.len()]});
            let canonical = canonical_text(&value.to_string()).unwrap();
            let back: serde_json::Value = serde_json::from_str(&canonical).unwrap();
            prop_assert_eq!(back["text"].as_str(), Some(text.as_str()));
            let other = number.wrapping_add(1);
            prop_assert_ne!(canonical_text(&number.to_string()), canonical_text(&other.to_string()));
        }
    }
}
