//! The rules of a connection as a client writes them, and as they are kept.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{FieldError, Window, read};
use crate::filter::Filter;
use crate::key::{Content, KeyRule};
use crate::limits::{DELAY_SECONDS_MAX, RULES_MAX, SCRIPT_BYTES_MAX, WINDOW_SECONDS_MAX};
use crate::location::{Location, WildPath};

/// What is done with a message on its way through a connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Rule {
    /// Drops what does not fit: the parts of a request, see [`crate::filter`].
    Filter(Map<String, Value>),
    /// Drops what has passed before.
    Deduplicate(Deduplicate),
    /// Sends what a script makes of the request.
    Transform {
        /// JavaScript that defines `function transform(request)`.
        script: String,
    },
    /// Makes the delivery due later.
    Delay {
        /// By so many seconds.
        seconds: i64,
    },
}

/// By what a connection takes two messages for the same: the values at `locations`, or what
/// `include` or `exclude` leave of the body, or all of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Deduplicate {
    /// All of these values together.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub locations: Vec<Location>,
    /// Only these parts of the body.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<WildPath>,
    /// All but these parts of the body.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<WildPath>,
    /// For how long.
    pub window_seconds: Window,
    /// Whether it only says what it would do, and drops nothing.
    #[serde(skip_serializing_if = "is_false")]
    pub shadow: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(it: &bool) -> bool {
    !it
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TransformInput {
    script: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct DelayInput {
    seconds: Option<i64>,
}

impl Deduplicate {
    /// The key rule that reads the same (K2, K6).
    pub fn key_rule(&self) -> KeyRule {
        let content = if !self.locations.is_empty() {
            None
        } else if !self.include.is_empty() {
            Some(Content::Include(self.include.clone()))
        } else if !self.exclude.is_empty() {
            Some(Content::Exclude(self.exclude.clone()))
        } else {
            Some(Content::Whole)
        };
        KeyRule {
            content,
            ..KeyRule::new(self.locations.clone())
        }
    }

    fn check(&self, errors: &mut Vec<FieldError>) {
        let given = [
            ("/locations", self.locations.is_empty()),
            ("/include", self.include.is_empty()),
            ("/exclude", self.exclude.is_empty()),
        ];
        let mut named = given.iter().filter(|(_, is_empty)| !is_empty);
        if let (Some(_), Some((pointer, _))) = (named.next(), named.next()) {
            let detail = "give one of locations, include and exclude";
            errors.push(FieldError::new(*pointer, detail));
        }
        self.window_seconds.check(errors);
        if self.shadow {
            check_shadow_window(self.window_seconds, errors);
        }
        // Where the paths stand in a key rule, and where in this one.
        let here = |error: FieldError| {
            let pointer = error.pointer.strip_prefix("/content").map(str::to_owned);
            FieldError::new(pointer.unwrap_or(error.pointer), error.detail)
        };
        if let Err(found) = self.key_rule().validate() {
            errors.extend(found.into_iter().map(here));
        }
    }
}

/// Keys that protect nothing are not kept for ever.
pub(super) fn check_shadow_window(window: Window, errors: &mut Vec<FieldError>) {
    if window == Window::Forever {
        let detail = format!(
            "should be at most {WINDOW_SECONDS_MAX} seconds in shadow mode, whose keys are forgotten"
        );
        errors.push(FieldError::new("/window_seconds", detail));
    }
}

/// Reads the rules of a connection, and names everything that is wrong with them.
pub(super) fn rules(written: Vec<Value>, errors: &mut Vec<FieldError>) -> Vec<Rule> {
    if written.len() > RULES_MAX {
        let detail = format!("may have at most {RULES_MAX} rules");
        errors.push(FieldError::new("/rules", detail));
        return Vec::new();
    }
    let mut rules = Vec::with_capacity(written.len());
    for (at, value) in written.into_iter().enumerate() {
        let prefix = format!("/rules/{at}");
        match rule(value) {
            Ok(rule) => rules.push(rule),
            Err(found) => errors.extend(found.into_iter().map(|error| error.under(&prefix))),
        }
    }
    let delay = |rule: &Rule| match rule {
        Rule::Delay { seconds } => *seconds,
        Rule::Filter(_) | Rule::Deduplicate(_) | Rule::Transform { .. } => 0,
    };
    check_order(&rules, errors);
    if rules.iter().map(delay).sum::<i64>() > DELAY_SECONDS_MAX {
        let detail = format!("delay by more than {DELAY_SECONDS_MAX} seconds together");
        errors.push(FieldError::new("/rules", detail));
    }
    rules
}

/// A script runs at the first attempt, when all that decides about the delivery has long been
/// decided.
fn check_order(rules: &[Rule], errors: &mut Vec<FieldError>) {
    let is_script = |rule: &Rule| matches!(rule, Rule::Transform { .. });
    let Some(script) = rules.iter().position(is_script) else {
        return;
    };
    for (at, rule) in rules.iter().enumerate().skip(script + 1) {
        let detail = match rule {
            Rule::Delay { .. } => continue,
            Rule::Transform { .. } => "is a second script; make one of them",
            Rule::Filter(_) | Rule::Deduplicate(_) => {
                "sees the request as it came, before any script; put it before the transform"
            }
        };
        errors.push(FieldError::new(format!("/rules/{at}"), detail));
    }
}

fn rule(value: Value) -> Result<Rule, Vec<FieldError>> {
    let Value::Object(mut fields) = value else {
        return Err(vec![FieldError::new("", "should be an object with a type")]);
    };
    let kind = fields.remove("type");
    match kind.as_ref().and_then(Value::as_str) {
        Some("filter") => {
            let document = Value::Object(fields.clone());
            Filter::compile(&document)?;
            Ok(Rule::Filter(fields))
        }
        Some("deduplicate") => {
            let rule: Deduplicate = read(fields.into())?;
            let mut errors = Vec::new();
            rule.check(&mut errors);
            checked(Rule::Deduplicate(rule), errors)
        }
        Some("delay") => delay(read(fields.into())?),
        Some("transform") => {
            let input: TransformInput = read(fields.into())?;
            script(input.script.unwrap_or_default())
        }
        Some(_) | None => {
            let detail = "should be filter, deduplicate, transform or delay";
            Err(vec![FieldError::new("/type", detail)])
        }
    }
}

fn script(script: String) -> Result<Rule, Vec<FieldError>> {
    let mut errors = Vec::new();
    if script.trim().is_empty() || script.len() > SCRIPT_BYTES_MAX {
        let detail = format!(
            "should be JavaScript of at most {SCRIPT_BYTES_MAX} bytes: function transform(request) \
             {{ return request }}"
        );
        errors.push(FieldError::new("/script", detail));
    }
    checked(Rule::Transform { script }, errors)
}

fn delay(input: DelayInput) -> Result<Rule, Vec<FieldError>> {
    let seconds = input.seconds.unwrap_or(0);
    let mut errors = Vec::new();
    if !(1..=DELAY_SECONDS_MAX).contains(&seconds) {
        let detail = format!("should be from 1 to {DELAY_SECONDS_MAX}");
        errors.push(FieldError::new("/seconds", detail));
    }
    checked(Rule::Delay { seconds }, errors)
}

fn checked(rule: Rule, errors: Vec<FieldError>) -> Result<Rule, Vec<FieldError>> {
    if errors.is_empty() {
        Ok(rule)
    } else {
        Err(errors)
    }
}
