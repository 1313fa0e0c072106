//! Reads a request's key by its source's rule. Pure: the same request gives the same key on every
//! node and in every process.

use crate::digest::{Checksum, Fingerprint};
use crate::fingerprint::fingerprint;
use crate::location::{Location, WildPath};

use super::checksum::{KeyMode, Placed, checksum};
use super::content::content_part;
use super::part::part_at;
use super::{Body, Content, KeyRule, MissingKey, Mode, Request};

/// Bytes of a part's text that are kept for people. The checksum covers the whole part.
pub const PART_TEXT_BYTES_MAX: usize = 1024;

/// What a rule found in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extracted {
    /// The request has a key.
    Key {
        /// What the ledger knows the key by.
        checksum: Checksum,
        /// What people know it by, one text for each part.
        parts: Vec<PartText>,
        /// The body's fingerprint, where the rule binds it to the key (K8).
        bound: Option<Fingerprint>,
    },
    /// The request has no key; the source's `missing_key` says what follows.
    Missing {
        /// The places that were looked at, in their canonical spelling.
        looked_at: Vec<String>,
    },
}

/// A part of a key as the provider wrote it; a string without its quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartText {
    /// Which of the rule's locations it was found at, from 0.
    pub position: usize,
    /// The text, cut off at [`PART_TEXT_BYTES_MAX`].
    pub text: String,
}

/// Reads the key of a request.
///
/// `scope` is what the key is unique in, in bytes of the caller's choice; the same bytes always
/// mean the same scope. Where `missing_key` is `content` and the locations yield nothing, the key
/// is the body's content; a request that has neither has no key even then.
pub fn extract(
    rule: &KeyRule,
    scope: &[u8],
    request: &Request<'_>,
    body: &Body<'_>,
    fingerprint_exclude: &[WildPath],
) -> Extracted {
    let content = rule.content.as_ref();
    let fallback = (rule.missing_key == MissingKey::Content).then_some(&Content::Whole);
    let located = match content {
        Some(_) => None,
        None => located_parts(rule, request, body),
    };
    let found = located
        .map(|parts| (KeyMode::Located(rule.mode), parts))
        .or_else(|| {
            let part = content_part(
                content.or(fallback)?,
                body,
                request.body,
                fingerprint_exclude,
            )?;
            Some((KeyMode::Content, vec![(0, part)]))
        });
    let Some((mode, parts)) = found else {
        return Extracted::Missing {
            looked_at: looked_at(rule),
        };
    };
    let bound = rule
        .bind_body
        .then(|| fingerprint(None, body, request.body, fingerprint_exclude));
    Extracted::Key {
        checksum: checksum(mode, scope, &parts, bound.as_ref()),
        parts: parts.iter().map(part_text).collect(),
        bound,
    }
}

/// The text of the value at a location, for example an event's type.
pub fn value_text_at(
    location: &Location,
    request: &Request<'_>,
    body: &Body<'_>,
) -> Option<String> {
    part_at(location, request, body).map(|part| part.text().to_owned())
}

fn located_parts<'r>(
    rule: &KeyRule,
    request: &Request<'r>,
    body: &'r Body<'_>,
) -> Option<Vec<Placed<'r>>> {
    let values = rule
        .locations
        .iter()
        .map(|location| part_at(location, request, body));
    match rule.mode {
        Mode::All => {
            let parts: Option<Vec<_>> = values.collect();
            let placed: Vec<Placed<'r>> = parts?.into_iter().enumerate().collect();
            (!placed.is_empty()).then_some(placed)
        }
        Mode::First => values
            .enumerate()
            .find_map(|(position, value)| Some(vec![(position, value?)])),
    }
}

fn looked_at(rule: &KeyRule) -> Vec<String> {
    let mut places: Vec<String> = rule.locations.iter().map(ToString::to_string).collect();
    if rule.content.is_some() || rule.missing_key == MissingKey::Content {
        places.push("body:$".to_owned());
    }
    places
}

fn part_text((position, part): &Placed<'_>) -> PartText {
    let end = part.text().floor_char_boundary(PART_TEXT_BYTES_MAX);
    PartText {
        position: *position,
        text: part.text()[..end].to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::KEY_PART_BYTES_MAX;

    const SCOPE: &[u8] = b"source 7";

    struct Arrival<'a> {
        headers: &'a [(&'a str, &'a [u8])],
        query: &'a str,
        content_type: &'a str,
        body: &'a [u8],
    }

    impl<'a> Arrival<'a> {
        fn json(body: &'a str) -> Self {
            let content_type = "application/json";
            Self {
                headers: &[],
                query: "",
                content_type,
                body: body.as_bytes(),
            }
        }

        fn request(&self) -> Request<'a> {
            Request {
                method: "POST",
                path: "/orders",
                query: Some(self.query),
                headers: self.headers,
                content_type: Some(self.content_type),
                body: self.body,
            }
        }

        fn key_in(&self, scope: &[u8], rule: &str) -> Extracted {
            let rule: KeyRule = serde_json::from_str(rule).expect(rule);
            assert_eq!(rule.validate(), Ok(()));
            let body = Body::understand(Some(self.content_type), self.body);
            extract(&rule, scope, &self.request(), &body, &[])
        }

        fn key(&self, rule: &str) -> Extracted {
            self.key_in(SCOPE, rule)
        }

        fn at(&self, location: &str) -> Option<String> {
            let body = Body::understand(Some(self.content_type), self.body);
            value_text_at(&location.parse().expect(location), &self.request(), &body)
        }
    }

    fn checksum_of(extracted: &Extracted) -> String {
        match extracted {
            Extracted::Key { checksum, .. } => checksum.to_string(),
            Extracted::Missing { looked_at } => panic!("no key at {looked_at:?}"),
        }
    }

    fn texts(extracted: &Extracted) -> Vec<(usize, &str)> {
        match extracted {
            Extracted::Key { parts, .. } => parts
                .iter()
                .map(|part| (part.position, part.text.as_str()))
                .collect(),
            Extracted::Missing { looked_at } => panic!("no key at {looked_at:?}"),
        }
    }

    fn missing(places: &[&str]) -> Extracted {
        Extracted::Missing {
            looked_at: places.iter().map(|place| (*place).to_owned()).collect(),
        }
    }

    #[test]
    fn k4_the_encoding_is_fixed() {
        // Computed outside of this program, from the module's documentation.
        let arrival = Arrival::json(r#"{"n": 120, "id": "evt_1"}"#);
        let cases = [
            (
                r#"{"locations": ["body:id", "body:n"]}"#,
                "9994cb31a9a63c716dc65d5710a1213b761d0ae4e8968409efeef3297dadb56e",
            ),
            (
                r#"{"locations": ["header:x", "body:n"], "mode": "first"}"#,
                "4e8af7c95d22bb9159b3f7d44aea55c8273bf7a962efa20caf6523aac05eea98",
            ),
            (
                r#"{"locations": ["body:id", "body:n"], "bind_body": true}"#,
                "1eb0682ce95e71056086206cab223e62f891648ff01c0ba6a91860ede3b52c50",
            ),
            (
                r#"{"content": true}"#,
                "77e1c15de93ebd15e68ae622a240825e42602f2281106b5bf0643ace5a98bc76",
            ),
        ];
        for (rule, checksum) in cases {
            assert_eq!(checksum_of(&arrival.key(rule)), checksum, "{rule}");
        }
    }

    #[test]
    fn k1_every_kind_of_location_is_read() {
        let json = Arrival {
            headers: &[("x-id", b" h1\t"), ("x-id", b"h2"), ("x-none", b"")],
            query: "a=1&id=q%201&id=2",
            ..Arrival::json(r#"{"data": {"id": 7, "list": ["x", "y"]}}"#)
        };
        let cases = [
            ("header:X-Id", Some("h1")),
            ("header:x-none", None),
            ("header:x-absent", None),
            ("query:id", Some("q 1")),
            ("query:none", None),
            ("body:$.data.id", Some("7")),
            ("body:data.list[-1]", Some("y")),
            ("body:$.data.list", Some(r#"["x", "y"]"#)),
            ("body:$.id", None),
            ("method", Some("POST")),
            ("path", Some("/orders")),
        ];
        for (location, expected) in cases {
            assert_eq!(json.at(location).as_deref(), expected, "{location}");
        }
    }

    #[test]
    fn k1_a_field_of_a_form_is_read() {
        let content_type = "application/x-www-form-urlencoded";
        let body = b"MessageSid=SM1&data%5Bid%5D=x+y&empty=";
        let form = Arrival {
            content_type,
            body,
            ..Arrival::json("")
        };
        assert_eq!(form.at("body:MessageSid").as_deref(), Some("SM1"));
        assert_eq!(form.at("body:$['data[id]']").as_deref(), Some("x y"));
        assert_eq!(
            [
                form.at("body:empty"),
                form.at("body:data.id"),
                form.at("body:$")
            ],
            [None, None, None]
        );
        let content_type = "multipart/form-data; boundary=b";
        let body = b"--b\r\nContent-Disposition: form-data; name=\"id\"\r\n\r\ne1\r\n--b--";
        let multipart = Arrival {
            content_type,
            body,
            ..Arrival::json("")
        };
        assert_eq!(multipart.at("body:id").as_deref(), Some("e1"));
    }

    #[test]
    fn k2_all_needs_every_location_and_first_needs_one() {
        let all = r#"{"locations": ["header:a", "body:id"]}"#;
        let first = r#"{"locations": ["header:a", "body:id"], "mode": "first"}"#;
        let both = Arrival {
            headers: &[("a", b"1")],
            ..Arrival::json(r#"{"id": "2"}"#)
        };
        let body_only = Arrival::json(r#"{"id": "2"}"#);
        assert_eq!(texts(&both.key(all)), [(0, "1"), (1, "2")]);
        assert_eq!(texts(&both.key(first)), [(0, "1")]);
        assert_eq!(texts(&body_only.key(first)), [(1, "2")]);
        assert_eq!(body_only.key(all), missing(&["header:a", "body:$.id"]));
        assert_eq!(
            Arrival::json("{}").key(first),
            missing(&["header:a", "body:$.id"])
        );
    }

    #[test]
    fn k3_absent_null_and_empty_are_no_key() {
        for body in ["{}", r#"{"id": null}"#, r#"{"id": ""}"#, "[]", "{"] {
            let key = Arrival::json(body).key(r#"{"locations": ["body:id"]}"#);
            assert_eq!(key, missing(&["body:$.id"]), "{body}");
        }
        for body in [
            r#"{"id": 0}"#,
            r#"{"id": false}"#,
            r#"{"id": {}}"#,
            r#"{"id": " "}"#,
        ] {
            checksum_of(&Arrival::json(body).key(r#"{"locations": ["body:id"]}"#));
        }
    }

    #[test]
    fn k4_one_twentythree_and_twelve_three_differ() {
        let rule = r#"{"locations": ["body:a", "body:b"]}"#;
        let key = |body: &str| checksum_of(&Arrival::json(body).key(rule));
        assert_ne!(
            key(r#"{"a": "1", "b": "23"}"#),
            key(r#"{"a": "12", "b": "3"}"#)
        );
        assert_ne!(key(r#"{"a": 1, "b": 23}"#), key(r#"{"a": 12, "b": 3}"#));
        assert_ne!(
            key(r#"{"a": "x", "b": "y"}"#),
            key(r#"{"a": "y", "b": "x"}"#)
        );
    }

    #[test]
    fn k4_types_differ_and_spellings_of_a_number_agree() {
        let key = |id: &str| {
            let body = format!(r#"{{"id": {id}}}"#);
            checksum_of(&Arrival::json(&body).key(r#"{"locations": ["body:id"]}"#))
        };
        assert_ne!(key("1"), key("\"1\""));
        assert_ne!(key("true"), key("\"true\""));
        assert_eq!([key("1"), key("1")], [key("1.0"), key("1e0")]);
        assert_ne!(key("9007199254740993"), key("9007199254740992"));
        assert_eq!(key(r#"{"a":1,"b":2}"#), key(r#"{ "b": 2.0, "a": 1 }"#));
        assert_eq!(key(r#""\u0041""#), key("\"A\""));
    }

    #[test]
    fn k4_the_scope_counts_and_a_locations_name_does_not() {
        let arrival = Arrival::json(r#"{"id": "e1", "ref": "e1"}"#);
        let key = |scope: &[u8], rule| checksum_of(&arrival.key_in(scope, rule));
        let (id, reference) = (
            r#"{"locations": ["body:id"]}"#,
            r#"{"locations": ["body:ref"]}"#,
        );
        assert_eq!(key(b"group", id), key(b"group", reference));
        assert_ne!(key(b"one", id), key(b"two", id));
        assert_eq!(
            key(b"one", id),
            key(b"one", r#"{"locations": ["body:id"], "group": "g"}"#)
        );
    }

    #[test]
    fn k5_a_part_over_64_kib_is_no_value() {
        let long = "x".repeat(KEY_PART_BYTES_MAX + 1);
        let body = format!(r#"{{"id": "{long}", "ref": "{}"}}"#, &long[1..]);
        let arrival = Arrival::json(&body);
        assert_eq!(
            arrival.key(r#"{"locations": ["body:id"]}"#),
            missing(&["body:$.id"])
        );
        let key = arrival.key(r#"{"locations": ["body:ref"]}"#);
        assert_eq!(texts(&key), [(0, "x".repeat(PART_TEXT_BYTES_MAX).as_str())]);
    }

    #[test]
    fn k5_without_a_key_the_content_can_be_the_key() {
        let rule = r#"{"locations": ["body:id"], "missing_key": "content"}"#;
        let whole = r#"{"content": true}"#;
        let arrival = Arrival::json(r#"{"x": 1}"#);
        assert_eq!(arrival.key(rule), arrival.key(whole));
        assert_eq!(
            arrival.key(rule),
            Arrival::json(r#"{ "x": 1.0 }"#).key(rule)
        );
        assert_ne!(arrival.key(rule), Arrival::json(r#"{"x": 2}"#).key(rule));
        assert_eq!(
            Arrival::json("").key(rule),
            missing(&["body:$.id", "body:$"])
        );
        let keyed = Arrival::json(r#"{"id": "e1"}"#);
        assert_eq!(texts(&keyed.key(rule)), [(0, "e1")]);
    }

    #[test]
    fn k8_a_bound_body_is_a_part_of_the_key() {
        let bound = r#"{"locations": ["header:x-id"], "bind_body": true}"#;
        let headers: &[(&str, &[u8])] = &[("x-id", b"1")];
        let key = |body, rule| {
            checksum_of(
                &Arrival {
                    headers,
                    ..Arrival::json(body)
                }
                .key(rule),
            )
        };
        assert_eq!(key(r#"{"a":1}"#, bound), key(r#"{ "a": 1 }"#, bound));
        assert_ne!(key(r#"{"a":1}"#, bound), key(r#"{"a":2}"#, bound));
        let unbound = r#"{"locations": ["header:x-id"]}"#;
        assert_eq!(key(r#"{"a":1}"#, unbound), key(r#"{"a":2}"#, unbound));
    }

    #[test]
    fn k11_a_bound_body_leaves_out_what_fingerprints_do() {
        let rule: KeyRule =
            serde_json::from_str(r#"{"locations": ["path"], "bind_body": true}"#).unwrap();
        let exclude = ["$.attempt".parse().unwrap()];
        let key = |text| {
            let arrival = Arrival::json(text);
            let body = Body::understand(None, arrival.body);
            extract(&rule, SCOPE, &arrival.request(), &body, &exclude)
        };
        assert_eq!(
            key(r#"{"id":1,"attempt":1}"#),
            key(r#"{"id":1,"attempt":2}"#)
        );
        assert_ne!(
            key(r#"{"id":1,"attempt":1}"#),
            key(r#"{"id":2,"attempt":1}"#)
        );
    }

    #[test]
    fn half_a_surrogate_pair_elsewhere_does_not_cost_the_key() {
        let arrival = Arrival::json(r#"{"id": "e1", "title": "cut off \ud83d"}"#);
        assert_eq!(
            texts(&arrival.key(r#"{"locations": ["body:id"]}"#)),
            [(0, "e1")]
        );
    }
}
