//! Former key rules of a source: a change opens no gap (C7).
//!
//! A key that was claimed under the old rule is not found under the new one. So the old rule stays
//! beside the new one, and every request is looked up under both, until the last claim that was
//! made under the old rule has run out.

use serde::{Deserialize, Serialize};

use super::{FieldError, Source};
use crate::ids::GroupId;
use crate::key::KeyRule;
use crate::limits::FORMER_RULES_MAX;
use crate::location::{Location, Split, WildPath};
use crate::time::Timestamp;

/// A rule under which claims were made that may still be alive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FormerRule {
    /// Locations, mode, content and all.
    pub key: KeyRule,
    /// The group whose scope the claims are in; else the source's.
    pub group: Option<GroupId>,
    /// How a request was split.
    #[serde(default)]
    pub split: Option<Split>,
    /// Where the event type was: it is a part of the fingerprint.
    #[serde(default)]
    pub event_type: Option<Location>,
    /// What fingerprints and content rules left out.
    #[serde(default)]
    pub fingerprint_exclude: Vec<WildPath>,
    /// When the last claim made under this rule has run out.
    pub until: Timestamp,
}

/// Moves the rule of `old` into the former rules of `new`, where it differs, and drops those whose
/// claims have run out. A change of the window alone moves nothing: it holds for new claims.
///
/// It is an error if more rules than can be looked up would be alive: to forget one would open the
/// gap that this closes.
pub fn rule_change(old: &Source, new: &mut Source, now: Timestamp) -> Result<(), FieldError> {
    let claims_until = old.claims_until.max(old.window.end_from(now));
    new.former_rules = old.former_rules.clone();
    new.former_rules.retain(|rule| rule.until > now);
    if same_rule(old, new) {
        // Claims of the old window may outlive those of the new one.
        let same_window = old.window == new.window;
        new.claims_until = if same_window {
            old.claims_until
        } else {
            claims_until
        };
        return Ok(());
    }
    new.claims_until = Timestamp::default();
    if let Some(former) = as_former(old, claims_until) {
        new.former_rules.push(former);
    }
    take_back(new);
    check_count(new)
}

/// Gives a source that joins a group the former rules that claimed keys in the group's scope
/// through `others`: what came through one of them may come again through this one.
///
/// It is an error if that makes more rules than can be looked up.
pub(super) fn rules_of_group(
    others: &[&Source],
    joining: &mut Source,
    now: Timestamp,
) -> Result<(), FieldError> {
    let group = joining.group;
    let rules = others.iter().flat_map(|source| &source.former_rules);
    for rule in rules.filter(|rule| rule.group == group && rule.until > now) {
        let same = |known: &&mut FormerRule| {
            **known
                == FormerRule {
                    until: known.until,
                    ..rule.clone()
                }
        };
        match joining.former_rules.iter_mut().find(same) {
            Some(known) => known.until = known.until.max(rule.until),
            None => joining.former_rules.push(rule.clone()),
        }
    }
    take_back(joining);
    check_count(joining)
}

fn check_count(source: &Source) -> Result<(), FieldError> {
    if source.former_rules.len() <= FORMER_RULES_MAX {
        return Ok(());
    }
    let first = source.former_rules.iter().map(|rule| rule.until).min();
    let detail = format!(
        "{FORMER_RULES_MAX} former rules still protect keys; the next change is possible from {} \
         on",
        first.unwrap_or(Timestamp::NEVER)
    );
    Err(FieldError::new("/key", detail))
}

/// A rule that comes back is not former any more; claims of its first time still count.
fn take_back(source: &mut Source) {
    let Some(current) = as_former(source, Timestamp::NEVER) else {
        return;
    };
    let mut claims_until = source.claims_until;
    source.former_rules.retain(|rule| {
        let back = FormerRule {
            until: rule.until,
            ..current.clone()
        } == *rule;
        if back {
            claims_until = claims_until.max(rule.until);
        }
        !back
    });
    source.claims_until = claims_until;
}

fn same_rule(old: &Source, new: &Source) -> bool {
    as_former(old, Timestamp::NEVER) == as_former(new, Timestamp::NEVER)
}

fn as_former(source: &Source, until: Timestamp) -> Option<FormerRule> {
    let mut key = source.key.clone()?;
    // The group's id says which scope it is; its name may be given to another group one day.
    key.group = None;
    Some(FormerRule {
        key,
        group: source.group,
        split: source.split.clone(),
        event_type: source.event_type.clone(),
        fingerprint_exclude: source.fingerprint_exclude.clone(),
        until,
    })
}
