//! Which parts of a request a verifier vouches for (K8).

use crate::verify::Coverage;

use super::KeyRule;

/// The places that a rule reads and the signature does not cover. Whoever captured one request can
/// send its body again under a new key, or block a key that is still to come; `bind_body` removes
/// the second.
pub fn unsigned_locations(rule: &KeyRule, covered: &Coverage) -> Vec<String> {
    let mut unsigned: Vec<String> = rule
        .locations
        .iter()
        .map(ToString::to_string)
        .filter(|location| !covered.covers(location))
        .collect();
    if rule.content.is_some() && *covered == Coverage::Nothing {
        unsigned.push("body:$".to_owned());
    }
    unsigned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k8_what_the_verifier_does_not_cover_is_unsigned() {
        let texts = ["header:x-id", "query:id", "body:$.id", "method", "path"];
        let rule = KeyRule::new(texts.iter().map(|text| text.parse().unwrap()).collect());
        let headers = |name: &str| Coverage::BodyAndHeaders(vec![name.to_owned()]);
        let cases: [(Coverage, &[&str]); 5] = [
            (Coverage::Nothing, &texts),
            (
                Coverage::Body,
                &["header:x-id", "query:id", "method", "path"],
            ),
            (headers("x-id"), &["query:id", "method", "path"]),
            (
                headers("x-other"),
                &["header:x-id", "query:id", "method", "path"],
            ),
            (Coverage::Everything, &[]),
        ];
        for (covered, unsigned) in cases {
            assert_eq!(unsigned_locations(&rule, &covered), unsigned, "{covered:?}");
        }
    }

    #[test]
    fn k8_a_content_rule_is_unsigned_without_a_verifier() {
        let rule: KeyRule = serde_json::from_str(r#"{"content": true}"#).unwrap();
        assert_eq!(unsigned_locations(&rule, &Coverage::Nothing), ["body:$"]);
        assert!(unsigned_locations(&rule, &Coverage::Body).is_empty());
    }
}
