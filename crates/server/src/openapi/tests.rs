//! The contract says what the routes do: every route is in it, and every name it uses is defined.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::document;
use super::page::page;

/// Every route as the source says it: the path, and each method that it is routed for.
fn routes_in_source(directory: &Path, found: &mut BTreeSet<(String, String)>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            routes_in_source(&path, found);
            continue;
        }
        // The dashboard's pages are no part of the contract.
        if path.ends_with("tests.rs") || path.components().any(|it| it.as_os_str() == "pages") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for part in text.split(".route(").skip(1) {
            let Some(rest) = part.trim_start().strip_prefix('"') else {
                continue;
            };
            let (route, rest) = rest.split_once('"').unwrap();
            let verbs = rest.split(".route(").next().unwrap();
            let end = verbs.find(";").unwrap_or(verbs.len());
            for method in ["get", "post", "put", "patch", "delete"] {
                let called = format!("{method}(");
                let before = |at: usize| verbs[..at].chars().next_back();
                let routed = verbs[..end]
                    .match_indices(&called)
                    .any(|(at, _)| before(at).is_none_or(|it| !it.is_alphanumeric() && it != '_'));
                if routed {
                    found.insert((method.to_owned(), route.to_owned()));
                }
            }
        }
    }
}

fn documented(document: &Value) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            if method != "parameters" && !path.starts_with("/ingest/") {
                found.insert((method.clone(), path.clone()));
            }
        }
    }
    found
}

#[test]
fn the_document_has_every_route_and_no_other() {
    let mut routed = BTreeSet::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    routes_in_source(&source, &mut routed);
    let documented = documented(&document("http://localhost"));
    let missing: Vec<_> = routed.difference(&documented).collect();
    assert!(
        missing.is_empty(),
        "not in openapi/operations.rs: {missing:?}"
    );
    let gone: Vec<_> = documented.difference(&routed).collect();
    assert!(gone.is_empty(), "documented, and not routed: {gone:?}");
}

fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == "$ref" {
                    found.push(value.as_str().unwrap());
                }
                references(value, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_operation_has_a_name_of_its_own() {
    let document = document("http://localhost");
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 50);
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    let mut names = BTreeSet::new();
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            if let Some(name) = operation["operationId"].as_str() {
                assert!(names.insert(name), "{name} twice");
                assert!(operation["responses"]["500"].is_object(), "{name}");
            }
        }
    }
}

/// Looking for a member must not make it: a `null` in place of a list is no schema.
#[test]
fn no_keyword_of_a_schema_is_null() {
    fn check(value: &Value, at: &str) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let known = ["enum", "required", "type", "properties", "items"];
                    assert!(
                        !(known.contains(&name.as_str()) && value.is_null()),
                        "{at}/{name}"
                    );
                    check(value, &format!("{at}/{name}"));
                }
            }
            Value::Array(values) => values.iter().for_each(|value| check(value, at)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    check(&document("http://localhost")["components"]["schemas"], "");
}

#[test]
fn the_page_shows_every_operation_and_loads_nothing() {
    let document = document("http://hooks.example.com/<x>");
    let page = page(&document);
    for (_, path) in documented(&document) {
        assert!(page.contains(&path), "{path}");
    }
    assert!(page.contains("http://hooks.example.com/&lt;x&gt;/v1/sources"));
    for outside in ["src=", "url(", "@import", "<script", "<link", "<x>"] {
        assert!(!page.contains(outside), "{outside}");
    }
}
