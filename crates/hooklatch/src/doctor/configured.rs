//! What is configured, as the API shows it: endpoints that take nothing, sources whose duplicates
//! cannot be recognised.

use serde_json::Value;

use super::finding::Finding;

/// Resources of one kind that are told one by one; of more it is said how many.
const TOLD_MAX: usize = 20;

/// Looks at every source.
pub(super) fn sources(sources: &[Value]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources {
        let name = name(source);
        if source["key"].is_null() {
            findings.push(Finding::warn(
                "key rule",
                format!("{name} has no key: every arrival counts as new"),
                format!(
                    "hooklatch sources update {name} --key body:$.id, once hooklatch backtest \
                         has shown what that does"
                ),
            ));
        }
        if source["paused"] == true {
            findings.push(Finding::warn(
                "source",
                format!("{name} is paused: what arrives is refused with 503"),
                format!("hooklatch sources resume {name}"),
            ));
        }
        for warning in warnings(source) {
            // What is said of a window begins with it.
            let check = match warning.starts_with("the window") {
                true => "window",
                false => "source",
            };
            let advice = match check {
                "window" => format!("hooklatch sources update {name} --window-seconds …"),
                _ => format!("hooklatch sources get {name}"),
            };
            findings.push(Finding::warn(check, format!("{name}: {warning}"), advice));
        }
    }
    told("sources", sources.len(), findings)
}

/// Looks at every endpoint.
pub(super) fn endpoints(endpoints: &[Value]) -> Vec<Finding> {
    let findings = endpoints.iter().flat_map(endpoint).collect();
    told("endpoints", endpoints.len(), findings)
}

fn endpoint(endpoint: &Value) -> Vec<Finding> {
    let name = name(endpoint);
    let resume = format!("once it answers again: hooklatch endpoints resume {name}");
    let look = format!("hooklatch attempts list --endpoint {name}");
    let mut findings = Vec::new();
    let mut warn = |found: String, advice: &str| {
        findings.push(Finding::warn("endpoint", found, advice));
    };
    if endpoint["paused"] == true {
        warn(format!("{name} is paused: its deliveries wait"), &resume);
    }
    if endpoint["circuit"]["state"] == "open" {
        let until = endpoint["circuit"]["next_probe_at"].as_str().unwrap_or("-");
        warn(
            format!("{name} fails so often that it is spared until {until}"),
            &look,
        );
    }
    let failing = endpoint["health"]["failing_since"].as_str();
    if let (Some(since), true) = (failing, endpoint["disabled"].is_null()) {
        warn(format!("{name} has taken nothing since {since}"), &look);
    }
    for warning in warnings(endpoint) {
        let told = warning.starts_with("no attempt has succeeded") && failing.is_some();
        if !told {
            warn(format!("{name}: {warning}"), &look);
        }
    }
    if let Some(reason) = endpoint["disabled"]["reason"].as_str() {
        let found = format!("{name} is disabled, and its deliveries fail: {reason}");
        findings.push(Finding::fail("endpoint", found, resume));
    }
    findings
}

/// What was found of all of a kind: a bounded number of lines, or one that all are well.
fn told(kind: &'static str, many: usize, mut findings: Vec<Finding>) -> Vec<Finding> {
    if findings.is_empty() {
        return vec![Finding::ok(kind, format!("nothing is wrong with {many}"))];
    }
    let rest = findings.len().saturating_sub(TOLD_MAX);
    // What fails is told before what may.
    findings.sort_by_key(|finding| finding.state != super::finding::State::Fail);
    if rest > 0 {
        findings.truncate(TOLD_MAX);
        let advice = format!("hooklatch {kind} list --all");
        findings.push(Finding::warn(
            kind,
            format!("and {rest} more of this kind"),
            advice,
        ));
    }
    findings
}

fn name(resource: &Value) -> &str {
    resource["name"].as_str().unwrap_or("-")
}

fn warnings(resource: &Value) -> impl Iterator<Item = &str> {
    let warnings = resource["warnings"].as_array();
    warnings.into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::finding::State;
    use super::*;

    fn states(findings: &[Finding]) -> Vec<(&'static str, State)> {
        findings.iter().map(|it| (it.check, it.state)).collect()
    }

    #[test]
    fn a_source_without_a_key_or_with_a_short_window_is_told() {
        let found = sources(&[
            json!({"name": "good", "key": {"locations": ["body:$.id"]}, "warnings": []}),
            json!({"name": "bare", "key": null, "warnings": []}),
            json!({"name": "short", "key": {}, "paused": true,
                   "warnings": ["the window is 1 hour, but Stripe retries for 3 days", "other"]}),
        ]);
        let checks = ["key rule", "source", "window", "source"];
        let expected: Vec<_> = checks.map(|check| (check, State::Warn)).into();
        assert_eq!(states(&found), expected);
        let well = sources(&[]);
        assert_eq!(states(&well), [("sources", State::Ok)]);
    }

    #[test]
    fn an_endpoint_that_takes_nothing_is_told_and_what_fails_comes_first() {
        let found = endpoints(&[
            json!({"name": "sick", "disabled": null, "circuit": {"state": "open"},
                   "health": {"failing_since": "2026-11-22T08:00:00Z"},
                   "warnings": ["no attempt has succeeded since 2026-11-22T08:00:00Z; …"]}),
            json!({"name": "gone", "disabled": {"reason": "it answered 410"}, "warnings": []}),
        ]);
        assert_eq!(
            states(&found),
            [
                ("endpoint", State::Fail),
                ("endpoint", State::Warn),
                ("endpoint", State::Warn)
            ]
        );
        assert!(found[0].found.contains("it answered 410"));
    }

    #[test]
    fn of_many_only_some_are_told_one_by_one() {
        let bare: Vec<Value> = (0..50).map(|n| json!({"name": n.to_string()})).collect();
        let found = sources(&bare);
        assert_eq!(found.len(), TOLD_MAX + 1);
        assert!(found[TOLD_MAX].found.starts_with("and 30 more"));
    }
}
