//! Every rule and every invariant has a test that names it, so that whoever changes one finds what
//! holds it, and whoever reads a failure knows what is broken.

use std::collections::BTreeSet;

use super::Finding;
use super::sources::Source;

/// The groups of rules and how many each has.
const RULES: [(char, u32); 5] = [('k', 12), ('c', 8), ('d', 5), ('s', 7), ('o', 7)];
/// The invariants.
const INVARIANTS: u32 = 9;

/// Rules and invariants that no test names.
pub fn check(sources: &[Source]) -> Vec<Finding> {
    // Our own tests are made of such names.
    let product = sources
        .iter()
        .filter(|source| !source.path.starts_with("xtask/"));
    let tested = product.flat_map(|source| names(source.tests()));
    let tested: BTreeSet<String> = tested.collect();
    let rules = RULES
        .into_iter()
        .flat_map(|(group, count)| (1..=count).map(move |number| format!("{group}{number}")));
    let invariants = (1..=INVARIANTS).map(|number| format!("inv_{number}"));
    let untested = rules
        .chain(invariants)
        .filter(|rule| !tested.contains(rule));
    untested
        .map(|rule| {
            let name = rule.to_uppercase().replace('_', "-");
            format!("{name} has no test that names it (fn {rule}_…)")
        })
        .collect()
}

/// The rules that a text of tests names: functions by how they begin, invariants anywhere.
fn names(tests: &str) -> Vec<String> {
    let functions = tests.split("fn ").skip(1).filter_map(rule_of_function);
    let invariants = tests.split("INV-").skip(1).filter_map(|rest| {
        let number = leading_number(rest)?;
        Some(format!("inv_{number}"))
    });
    functions.chain(invariants).collect()
}

fn rule_of_function(name: &str) -> Option<String> {
    if let Some(rest) = name.strip_prefix("inv_") {
        return Some(format!("inv_{}", leading_number(rest)?));
    }
    let group = name.chars().next().filter(char::is_ascii_lowercase)?;
    let number = leading_number(&name[1..])?;
    let after = &name[1 + number.len()..];
    after.starts_with('_').then(|| format!("{group}{number}"))
}

fn leading_number(text: &str) -> Option<&str> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    (end > 0).then(|| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_names_its_rule_by_how_it_begins() {
        let text = "fn k12_times() async fn inv_4_edges() fn o1() fn s300() // INV-7: durable";
        assert_eq!(names(text), ["k12", "inv_4", "inv_7"]);
    }

    #[test]
    fn whatever_no_test_names_is_found() {
        let findings = check(&[]);
        assert_eq!(findings.len(), 39 + 9);
        assert_eq!(findings[0], "K1 has no test that names it (fn k1_…)");
        assert_eq!(findings[47], "INV-9 has no test that names it (fn inv_9_…)");
    }
}
