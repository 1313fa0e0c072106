//! What each operator holds of, and what a filter is told when it cannot be understood.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::limits::{BODY_BYTES_MAX, FILTER_BYTES_MAX, FILTER_CONDITIONS_MAX, FILTER_DEPTH_MAX};

#[derive(Default)]
struct Sample<'a> {
    content_type: Option<&'a str>,
    body: &'a str,
    headers: Vec<(String, String)>,
    query: Option<&'a str>,
    path: &'a str,
}

impl Sample<'_> {
    fn verdict(&self, filter: &Value) -> Verdict {
        let filter =
            Filter::compile(filter).unwrap_or_else(|errors| panic!("{filter}: {errors:?}"));
        let body = Body::understand(self.content_type, self.body.as_bytes());
        let headers: Vec<(&str, &[u8])> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        let request = Request {
            method: "POST",
            path: self.path,
            query: self.query,
            headers: &headers,
            content_type: self.content_type,
            body: self.body.as_bytes(),
        };
        filter.check(&request, &body)
    }

    fn passes(&self, filter: &Value) -> bool {
        self.verdict(filter) == Verdict::Passed
    }
}

/// Whether a JSON body passes a filter of it.
fn holds(filter: &str, body: &str) -> bool {
    let filter: Value = serde_json::from_str(filter).expect(filter);
    let request = Sample {
        body,
        ..Sample::default()
    };
    request.passes(&json!({"body": filter}))
}

fn table(cases: &[(&str, &[&str], &[&str])]) {
    for (filter, fitting, others) in cases {
        for body in *fitting {
            assert!(holds(filter, body), "{filter} does not hold of {body}");
        }
        for body in *others {
            assert!(!holds(filter, body), "{filter} holds of {body}");
        }
    }
}

fn refused(filter: &Value) -> Vec<(String, String)> {
    let errors = Filter::compile(filter).expect_err(&filter.to_string());
    let both = |error: FieldError| (error.pointer, error.detail);
    errors.into_iter().map(both).collect()
}

#[test]
fn plain_values_and_eq_are_exact() {
    table(&[
        (
            "\"a\"",
            &["\"a\"", r#""\u0061""#],
            &["\"b\"", "\"A\"", "7", "null", "{}"],
        ),
        (
            "1",
            &["1", "1.0", "1e0", "10e-1"],
            &["2", "\"1\"", "true", "null"],
        ),
        (
            "9007199254740993",
            &["9007199254740993"],
            &["9007199254740992", "9007199254740993.1"],
        ),
        (
            "0.1",
            &["0.1", "1e-1"],
            &["0.1000000000000000055511151231257827"],
        ),
        ("true", &["true"], &["false", "\"true\"", "1"]),
        ("null", &["null"], &["0", "\"\"", "{}", "false"]),
        (r#"{"$eq": "a"}"#, &["\"a\""], &["\"b\""]),
        (
            r#"{"$eq": {"a": [1, null]}}"#,
            &[r#"{"a": [1.0, null]}"#],
            &[
                r#"{"a": [1, null], "b": 2}"#,
                r#"{"a": [null, 1]}"#,
                r#"{"a": [1]}"#,
            ],
        ),
        (r#"{"$eq": []}"#, &["[]", "[[]]"], &["[1]", "null", "{}"]),
        (
            r#"{"a": {"b": 1}}"#,
            &[r#"{"a": {"b": 1, "c": 2}}"#],
            &[
                r#"{"a": 1}"#,
                r#"{"a": {"b": 2}}"#,
                "{}",
                "7",
                r#"{"a": null}"#,
            ],
        ),
        (
            r#"{"a": null}"#,
            &[r#"{"a": null}"#],
            &["{}", r#"{"a": 0}"#],
        ),
    ]);
}

#[test]
fn neq_denies_and_so_holds_of_what_is_missing_or_of_another_type() {
    table(&[
        (
            r#"{"a": {"$neq": 1}}"#,
            &[r#"{"a": 2}"#, r#"{"a": "1"}"#, "{}", r#"{"a": []}"#],
            &[r#"{"a": 1.0}"#, r#"{"a": [2, 1]}"#],
        ),
        (
            r#"{"a": {"$neq": null}}"#,
            &[r#"{"a": 2}"#, "{}"],
            &[r#"{"a": null}"#],
        ),
    ]);
}

#[test]
fn in_and_nin_know_lists_and_parts_of_texts() {
    table(&[
        (
            r#"{"$in": ["a", 2, null]}"#,
            &["\"a\"", "2.0", "null", r#"["x", "a"]"#],
            &["\"b\"", "\"2\"", "false", "[3]", "{}"],
        ),
        (
            r#"{"$in": "ab"}"#,
            &["\"xaby\"", r#"["ab"]"#],
            &["\"a b\"", "7", "null"],
        ),
        (
            r#"{"a": {"$nin": ["x"]}}"#,
            &[r#"{"a": "y"}"#, "{}"],
            &[r#"{"a": "x"}"#, r#"{"a": ["y", "x"]}"#],
        ),
        (
            r#"{"a": {"$nin": "x"}}"#,
            &[r#"{"a": "y"}"#, r#"{"a": 7}"#],
            &[r#"{"a": "axb"}"#],
        ),
    ]);
}

#[test]
fn order_is_that_of_numbers_by_size_and_of_texts_by_code_points() {
    table(&[
        (
            r#"{"$gt": 9007199254740992}"#,
            &["9007199254740993", "1e400"],
            &[
                "9007199254740992",
                "9007199254740992.0",
                "\"9007199254740993\"",
                "null",
            ],
        ),
        (
            r#"{"$gte": -0.5}"#,
            &["-0.5", "-0.49999999999999999999", "0"],
            &["-0.50000000000000000001", "-1"],
        ),
        (
            r#"{"$lt": 10}"#,
            &["9", "-10", "9.99999999999999999999999"],
            &["10", "10.0", "true"],
        ),
        (
            r#"{"$lte": 10}"#,
            &["10", "1e1"],
            &["10.00000000000000000001", "11"],
        ),
        (
            r#"{"$gte": "2026-01-01"}"#,
            &["\"2026-01-01\"", "\"2026-11-22T01:00:00Z\""],
            &["\"2025-12-31\"", "2027", "null"],
        ),
        (
            r#"{"$gt": 1, "$lt": 5}"#,
            &["2", "[0, 3, 9]"],
            &["1", "5", "[0, 9]", "[]"],
        ),
    ]);
}

#[test]
fn texts_start_and_end() {
    table(&[
        (
            r#"{"$startsWith": "order."}"#,
            &["\"order.paid\"", r#"["x", "order."]"#],
            &["\"Order.paid\"", "\"my order.\"", "7"],
        ),
        (r#"{"$startsWith": ["a", "b"]}"#, &["\"b1\""], &["\"c\""]),
        (
            r#"{"$endsWith": ".example"}"#,
            &["\"a.example\""],
            &["\"a.example.org\"", "null"],
        ),
        (
            r#"{"$endsWith": ["1", "2"]}"#,
            &["\"x2\""],
            &["\"x3\"", "2"],
        ),
    ]);
}

#[test]
fn exist_asks_whether_something_is_there_and_null_is() {
    table(&[
        (
            r#"{"a": {"$exist": true}}"#,
            &[r#"{"a": null}"#, r#"{"a": []}"#, r#"{"a": {"b": 1}}"#],
            &["{}", "7", "[]"],
        ),
        (
            r#"{"a": {"$exist": false}}"#,
            &["{}", r#"{"b": 1}"#],
            &[r#"{"a": null}"#],
        ),
        (
            r#"{"a": {"b": {"$exist": false}}}"#,
            &["{}", r#"{"a": 7}"#],
            &[r#"{"a": {"b": 0}}"#],
        ),
    ]);
}

#[test]
fn a_regular_expression_is_unanchored_and_only_for_texts() {
    table(&[
        (
            r#"{"$regex": "b+c"}"#,
            &["\"abbcd\"", r#"["x", "bc"]"#],
            &["\"ac\"", "7", "null"],
        ),
        (r#"{"$regex": "^b"}"#, &["\"bc\""], &["\"abc\""]),
        (r#"{"$regex": "(?i)ÄB"}"#, &["\"xäb\""], &["\"ab\""]),
        (r#"{"$regex": "^$"}"#, &["\"\""], &["\"a\""]),
    ]);
}

#[test]
fn conditions_are_joined_and_denied() {
    table(&[
        (
            r#"{"$or": [{"a": 1}, {"b": 2}]}"#,
            &[r#"{"a": 1}"#, r#"{"b": 2}"#],
            &["{}", r#"{"a": 2}"#],
        ),
        (
            r#"{"a": {"$or": [1, {"$gt": 5}]}}"#,
            &[r#"{"a": 1}"#, r#"{"a": 6}"#],
            &[r#"{"a": 3}"#],
        ),
        (
            r#"{"$and": [{"a": 1}, {"b": 2}]}"#,
            &[r#"{"a": 1, "b": 2}"#],
            &[r#"{"a": 1}"#],
        ),
        (
            r#"{"$not": {"a": 1}}"#,
            &["{}", r#"{"a": 2}"#],
            &[r#"{"a": 1}"#, r#"[{"a": 1}]"#],
        ),
        (
            r#"{"a": 1, "$or": [{"b": 1}, {"b": 2}]}"#,
            &[r#"{"a": 1, "b": 2}"#],
            &[r#"{"a": 1, "b": 3}"#, r#"{"a": 2, "b": 1}"#],
        ),
        (
            r#"{"a": {"$not": {"$in": [1, 2]}, "$exist": true}}"#,
            &[r#"{"a": 3}"#],
            &[r#"{"a": 2}"#, "{}"],
        ),
    ]);
}

#[test]
fn an_array_fits_if_one_of_its_elements_does() {
    table(&[
        (
            r#"{"tags": "gift"}"#,
            &[r#"{"tags": ["new", "gift"]}"#, r#"{"tags": [["gift"]]}"#],
            &[r#"{"tags": []}"#, r#"{"tags": ["new"]}"#],
        ),
        (
            r#"{"tags": ["a", "b"]}"#,
            &[r#"{"tags": ["b", "c", "a"]}"#],
            &[r#"{"tags": ["a"]}"#],
        ),
        (
            r#"{"items": {"sku": "a", "count": {"$gt": 1}}}"#,
            &[r#"{"items": [{"sku": "b"}, {"sku": "a", "count": 2}]}"#],
            &[r#"{"items": [{"sku": "a", "count": 1}, {"sku": "b", "count": 2}]}"#],
        ),
        (
            r#"{"a": {"$neq": "x", "$exist": true}}"#,
            &[r#"{"a": ["y"]}"#],
            &[r#"{"a": ["y", "x"]}"#],
        ),
    ]);
}

#[test]
fn headers_query_and_path_are_texts() {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let request = Sample {
        body: "{}",
        headers: vec![
            pair("x-env", "live"),
            pair("x-n", "12"),
            pair("x-n", "7.50"),
        ],
        query: Some("page=2&tag=a%20b&tag=c"),
        path: "/orders/7",
        ..Sample::default()
    };
    for filter in [
        json!({"headers": {"X-Env": "live"}}),
        json!({"headers": {"x-n": 12}}),
        json!({"headers": {"x-n": {"$lt": 8, "$gt": 7.4}}}),
        json!({"headers": {"x-none": {"$exist": false}}}),
        json!({"query": {"page": {"$gte": 2}, "tag": "a b"}}),
        json!({"query": {"tag": ["c", "a b"]}}),
        json!({"path": {"$startsWith": "/orders/"}}),
        json!({"path": "/orders/7", "$or": [{"headers": {"x-env": "test"}}, {"query": {"page": "2"}}]}),
    ] {
        assert!(request.passes(&filter), "{filter}");
    }
    for filter in [
        json!({"headers": {"x-env": "test"}}),
        json!({"headers": {"x-none": ""}}),
        json!({"headers": {"x-env": 1}}),
        json!({"query": {"Page": "2"}}),
        json!({"path": "/orders"}),
        json!({"headers": {"x-env": "live"}, "query": {"page": "3"}}),
        json!({"$not": {"path": {"$regex": "7$"}}}),
    ] {
        assert!(!request.passes(&filter), "{filter}");
    }
}

#[test]
fn a_form_has_fields_and_any_other_body_is_one_text() {
    let form = Sample {
        content_type: Some("application/x-www-form-urlencoded"),
        body: "type=a&n=1&n=2",
        ..Sample::default()
    };
    assert!(form.passes(&json!({"body": {"type": "a", "n": 2}})));
    assert!(!form.passes(&json!({"body": {"none": {"$exist": true}}})));
    let xml = Sample {
        content_type: Some("application/xml"),
        body: "<order>7</order>",
        ..Sample::default()
    };
    assert!(xml.passes(&json!({"body": {"$regex": "<order>[0-9]+"}})));
    assert!(!xml.passes(&json!({"body": {"order": "7"}})));
}

#[test]
fn the_first_field_that_does_not_hold_is_named() {
    let request = Sample {
        body: r#"{"type": "a", "data": {"a/b": 1}}"#,
        ..Sample::default()
    };
    for (filter, at) in [
        (
            json!({"body": {"type": "a", "data": {"a/b": 2}}}),
            "/body/data/a~1b",
        ),
        (json!({"headers": {"x": "1"}}), "/headers/x"),
        (json!({"$or": [{"path": "x"}]}), ""),
    ] {
        let pointer = at.to_owned();
        assert_eq!(request.verdict(&filter), Verdict::Dropped { pointer });
    }
}

#[test]
fn a_filter_that_cannot_be_understood_says_where_and_why() {
    for (filter, at, about) in [
        (json!({}), "", "names nothing"),
        (json!({"bodi": 1}), "/bodi", "no part of a request"),
        (json!({"body": {}}), "/body", "$exist"),
        (json!({"body": {"a": []}}), "/body/a", "empty"),
        (
            json!({"body": {"a": {"$equals": 1}}}),
            "/body/a/$equals",
            "no operator",
        ),
        (
            json!({"body": {"a": {"$gt": true}}}),
            "/body/a/$gt",
            "number or a text",
        ),
        (
            json!({"body": {"a": {"$in": 5}}}),
            "/body/a/$in",
            "list of values",
        ),
        (json!({"body": {"a": {"$in": []}}}), "/body/a/$in", "empty"),
        (
            json!({"body": {"a": {"$startsWith": [1]}}}),
            "/body/a/$startsWith",
            "text",
        ),
        (
            json!({"body": {"a": {"$exist": 1}}}),
            "/body/a/$exist",
            "true or false",
        ),
        (
            json!({"body": {"$or": {"a": 1}}}),
            "/body/$or",
            "list of conditions",
        ),
        (
            json!({"body": {"$or": [{"a": {"$x": 1}}]}}),
            "/body/$or/0/a/$x",
            "no operator",
        ),
        (json!({"headers": "x"}), "/headers", "name a header"),
        (
            json!({"headers": {"x": {"y": 1}}}),
            "/headers/x/y",
            "field of a text",
        ),
        (json!({"query": {"x": null}}), "/query/x", "texts"),
        (json!({"$eq": 1}), "/$eq", "one value"),
    ] {
        let errors = refused(&filter);
        assert_eq!(errors[0].0, at, "{filter}: {errors:?}");
        assert!(errors[0].1.contains(about), "{filter}: {errors:?}");
    }
    let two = refused(&json!({"body": {"a": {"$x": 1}, "b": {"$y": 1}}}));
    assert_eq!(two.len(), 2);
}

#[test]
fn a_regular_expression_that_cannot_be_used_says_why() {
    for (filter, at, about) in [
        (
            json!({"body": {"a": {"$regex": "("}}}),
            "/body/a/$regex",
            "no regular expression",
        ),
        (
            json!({"body": {"a": {"$regex": "(a)\\1"}}}),
            "/body/a/$regex",
            "backreferences",
        ),
        (
            json!({"body": {"a": {"$regex": "(\\w{500}){500}"}}}),
            "/body/a/$regex",
            "too large",
        ),
        (
            json!({"body": {"a": {"$regex": "x".repeat(2_000)}}}),
            "/body/a/$regex",
            "longer",
        ),
        (json!({"body": "x".repeat(FILTER_BYTES_MAX)}), "", "longer"),
    ] {
        let errors = refused(&filter);
        assert_eq!(errors[0].0, at, "{filter}: {errors:?}");
        assert!(errors[0].1.contains(about), "{filter}: {errors:?}");
    }
}

#[test]
fn a_filter_is_bounded_in_depth_and_in_conditions() {
    let mut deep = json!(1);
    for _ in 0..FILTER_DEPTH_MAX {
        deep = json!({"a": deep});
    }
    assert!(refused(&json!({"body": deep}))[0].1.contains("levels deep"));
    let many: Vec<Value> = (0..=FILTER_CONDITIONS_MAX).map(|n| json!(n)).collect();
    let errors = refused(&json!({"body": {"$or": many}}));
    assert_eq!(errors.len(), 1);
    assert!(errors[0].1.contains("conditions"), "{errors:?}");
}

/// Every condition there may be, over a body of the largest size: what would be minutes if it grew
/// with the square of either.
#[test]
fn time_grows_linearly_with_the_body() {
    let conditions: Vec<Value> = (0..FILTER_CONDITIONS_MAX / 4)
        .map(|n| json!({"items": {"n": -1 - n as i64}}))
        .collect();
    let filter = json!({"body": {"$or": conditions}});
    let item = r#"{"n":7},"#;
    let body = format!(
        "{{\"items\":[{}0]}}",
        item.repeat(BODY_BYTES_MAX / 256 / item.len())
    );
    let request = Sample {
        body: &body,
        ..Sample::default()
    };
    let begun = Instant::now();
    assert!(!request.passes(&filter));
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn a_pathological_regular_expression_ends_soon() {
    let body = format!("\"{}\"", "a".repeat(BODY_BYTES_MAX / 4));
    let request = Sample {
        body: &body,
        ..Sample::default()
    };
    for pattern in [
        "(a*)*b",
        "(a|a)*b",
        "(a+)+$b",
        "(?:a?){200}a{200}b",
        "[a-z]*[a-y]*.{150}b",
    ] {
        let begun = Instant::now();
        assert!(!request.passes(&json!({"body": {"$regex": pattern}})));
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{pattern}: {:?}",
            begun.elapsed()
        );
    }
}
