//! JSON Merge Patch (RFC 7396) over what `GET` shows.

use serde_json::{Map, Value};

use super::FieldError;

/// What is special about the fields of a resource.
pub(super) struct Shape {
    /// Shown, never set. A patch may repeat their values, as one that was made from `GET` does.
    pub read_only: &'static [&'static str],
    /// Replaced whole, never merged.
    pub whole: &'static [&'static str],
    /// Objects with a field that names their kind: replaced whole when the patch names another,
    /// because the fields of one kind mean nothing to the next.
    pub tagged: &'static [(&'static str, &'static str)],
}

/// The document that `patch` makes of `shown`, less its read-only fields.
pub(super) fn patched(
    mut shown: Map<String, Value>,
    patch: Value,
    shape: &Shape,
) -> Result<Value, Vec<FieldError>> {
    let Value::Object(mut patch) = patch else {
        return Err(vec![FieldError::new(
            "",
            "a merge patch should be a JSON object",
        )]);
    };
    let mut errors = Vec::new();
    for name in shape.read_only {
        let current = shown.remove(*name);
        if patch
            .remove(*name)
            .is_some_and(|wanted| Some(wanted) != current)
        {
            let detail = "cannot be set; leave it out";
            errors.push(FieldError::new(format!("/{name}"), detail));
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    for name in shape.whole {
        if patch.contains_key(*name) {
            shown.remove(*name);
        }
    }
    for (name, tag) in shape.tagged {
        let wanted = patch.get(*name).and_then(|object| object.get(*tag));
        let current = shown.get(*name).and_then(|object| object.get(*tag));
        if wanted.is_some() && wanted != current {
            shown.remove(*name);
        }
    }
    for (name, value) in patch {
        merge(&mut shown, name, value);
    }
    Ok(Value::Object(shown))
}

fn merge(target: &mut Map<String, Value>, name: String, patch: Value) {
    match patch {
        Value::Null => {
            target.remove(&name);
        }
        Value::Object(members) => {
            let mut inner = match target.remove(&name) {
                Some(Value::Object(inner)) => inner,
                Some(_) | None => Map::new(),
            };
            for (member, value) in members {
                merge(&mut inner, member, value);
            }
            target.insert(name, Value::Object(inner));
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            target.insert(name, patch);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SHAPE: Shape = Shape {
        read_only: &["id"],
        whole: &["key"],
        tagged: &[("verifier", "type")],
    };

    fn applied(shown: Value, patch: Value) -> Result<Value, Vec<FieldError>> {
        let Value::Object(shown) = shown else {
            panic!("an object")
        };
        patched(shown, patch, &SHAPE)
    }

    #[test]
    fn the_cases_of_rfc_7396_for_objects() {
        for (shown, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": "b"}),
                json!({"b": "c"}),
                json!({"a": "b", "b": "c"}),
            ),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (
                json!({"a": "b", "b": "c"}),
                json!({"a": null}),
                json!({"b": "c"}),
            ),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (
                json!({"a": [{"b": "c"}]}),
                json!({"a": [1]}),
                json!({"a": [1]}),
            ),
            (
                json!({"e": null}),
                json!({"a": 1}),
                json!({"e": null, "a": 1}),
            ),
            (
                json!({}),
                json!({"a": {"bb": {"ccc": null}}}),
                json!({"a": {"bb": {}}}),
            ),
        ] {
            assert_eq!(applied(shown, patch), Ok(result));
        }
    }

    #[test]
    fn whole_fields_and_other_kinds_are_replaced() {
        let shown = json!({"key": {"a": 1}, "verifier": {"type": "hmac", "header": "x"}});
        let kept = applied(
            shown.clone(),
            json!({"verifier": {"type": "hmac", "prefix": "p"}}),
        );
        assert_eq!(
            kept.unwrap()["verifier"],
            json!({"type": "hmac", "header": "x", "prefix": "p"})
        );
        let patch = json!({"key": {"b": 2}, "verifier": {"type": "none"}});
        let replaced = json!({"key": {"b": 2}, "verifier": {"type": "none"}});
        assert_eq!(applied(shown, patch), Ok(replaced));
    }

    #[test]
    fn read_only_fields_may_be_repeated_but_not_changed() {
        let shown = json!({"id": "src_1", "a": 1});
        assert_eq!(
            applied(shown.clone(), json!({"id": "src_1"})),
            Ok(json!({"a": 1}))
        );
        let errors = applied(shown, json!({"id": "src_2"})).unwrap_err();
        assert_eq!(errors[0].pointer, "/id");
    }

    #[test]
    fn a_patch_that_is_no_object_is_refused() {
        assert!(applied(json!({}), json!(["a"])).is_err());
    }
}
