//! What a check came to, and how all of them are told.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use crate::terminal::{Colours, Tint, plain};

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Ok,
    Warn,
    Fail,
    Skip,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was looked at, in a word.
    pub check: &'static str,
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do about it.
    #[serde(rename = "do", skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skip => "skip",
        }
    }

    const fn tint(self) -> Tint {
        match self {
            Self::Ok => Tint::Good,
            Self::Warn => Tint::Doubtful,
            Self::Fail => Tint::Bad,
            Self::Skip => Tint::Quiet,
        }
    }
}

impl Finding {
    pub fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self::of(check, State::Ok, found.into(), None)
    }

    pub fn skip(check: &'static str, found: impl Into<String>) -> Self {
        Self::of(check, State::Skip, found.into(), None)
    }

    pub fn warn(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::of(check, State::Warn, found.into(), Some(advice.into()))
    }

    pub fn fail(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::of(check, State::Fail, found.into(), Some(advice.into()))
    }

    const fn of(check: &'static str, state: State, found: String, advice: Option<String>) -> Self {
        Self {
            check,
            state,
            found,
            advice,
        }
    }
}

/// So many findings are in a state.
pub(super) fn count(findings: &[Finding], state: State) -> usize {
    findings.iter().filter(|it| it.state == state).count()
}

/// All of it for people.
pub(super) fn in_words(findings: &[Finding], colours: Colours) -> String {
    let mut text = String::new();
    for finding in findings {
        let state = format!("{:<4}", finding.state.as_str());
        let state = colours.paint(finding.state.tint(), &state);
        let found = plain(&finding.found);
        writeln!(text, "{state}  {:<13}  {found}", finding.check).expect("a text takes everything");
        if let Some(advice) = &finding.advice {
            writeln!(text, "{:19}  → {}", "", plain(advice)).expect("a text takes everything");
        }
    }
    write!(
        text,
        "{} ok, {} to look at, {} failed, {} skipped",
        count(findings, State::Ok),
        count(findings, State::Warn),
        count(findings, State::Fail),
        count(findings, State::Skip),
    )
    .expect("a text takes everything");
    text
}

/// All of it for machines.
pub(super) fn as_json(findings: &[Finding]) -> Value {
    json!({
        "ok": count(findings, State::Ok),
        "warn": count(findings, State::Warn),
        "fail": count(findings, State::Fail),
        "skip": count(findings, State::Skip),
        "checks": findings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_says_how_it_stands_and_what_to_do() {
        let findings = [
            Finding::ok("disk", "12 GiB are free"),
            Finding::fail("key", "2 secrets do not\nopen", "put the key back"),
        ];
        let text = in_words(&findings, Colours::Hidden);
        let expected = "ok    disk           12 GiB are free\n\
                        fail  key            2 secrets do not\\u{a}open\n\
                        \u{20}                    → put the key back\n\
                        1 ok, 0 to look at, 1 failed, 0 skipped";
        assert_eq!(text, expected);
        let told = as_json(&findings);
        assert_eq!(
            (told["fail"].as_u64(), told["ok"].as_u64()),
            (Some(1), Some(1))
        );
        assert_eq!(told["checks"][1]["do"], "put the key back");
        assert!(told["checks"][0].get("do").is_none());
    }
}
