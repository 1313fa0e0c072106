//! Which keys a text can mean that a person has copied from a provider's log or from our own (L1).
//!
//! The ledger knows a key by its checksum, and the checksum depends on whose key it is and on the
//! place where it was found. So the text is taken for a key under every rule of the project, the
//! former ones that still protect something included (C7), and for the key of a send to every
//! target that the project knows. What cannot be computed this way the ledger finds by its parts:
//! composite keys, those with a bound body among them, and sends to bare URLs, [`crate::claim::Claim::parts_to_index`].

use std::collections::BTreeSet;

use crate::arrive::{scope_bytes, send_checksum};
use crate::claim::{Claim, Scope, SendTarget};
use crate::config::{Endpoint, Source};
use crate::ids::{GroupId, ProjectId, SourceId};
use crate::key::{Checksum, KeyRule, PART_TEXT_BYTES_MAX, candidates};
use crate::limits::IDEMPOTENCY_KEY_CHARS_MAX;
use crate::time::Timestamp;

/// What [`Claim::key_text`] puts between the parts of a composite key.
const JOINT: &str = " + ";

/// The owners of a project's keys, as they are now.
pub struct Owners<'a> {
    /// The project.
    pub project: ProjectId,
    /// Its sources.
    pub sources: Vec<&'a Source>,
    /// Its endpoints: each is a target of sends, and so is each customer that owns one.
    pub endpoints: Vec<&'a Endpoint>,
}

/// What a text can mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sought {
    text: String,
    checksums: Vec<Checksum>,
}

/// Works out what `text` can mean: a checksum, or a key as it was written.
pub fn seek(text: &str, owners: &Owners<'_>, now: Timestamp) -> Sought {
    let mut found = BTreeSet::new();
    found.extend(text.parse::<Checksum>());
    for source in &owners.sources {
        found.extend(under_source(text, source, now));
    }
    // What is longer was never taken as a caller's key (S5).
    if !text.is_empty() && text.chars().count() <= IDEMPOTENCY_KEY_CHARS_MAX {
        found.extend(
            send_scopes(owners)
                .iter()
                .map(|scope| send_checksum(scope, text)),
        );
    }
    Sought {
        text: text.to_owned(),
        checksums: found.into_iter().collect(),
    }
}

impl Sought {
    /// Every checksum that the text is or can have.
    pub fn checksums(&self) -> &[Checksum] {
        &self.checksums
    }

    /// The part of a key that the text can be, cut off where the ledger cuts parts off.
    pub fn part(&self) -> &str {
        cut_off(&self.text)
    }

    /// Where the text can be a whole composite key, as the API shows it: the part to look for. The
    /// longest one is shared by the fewest keys.
    pub fn longest_part(&self) -> Option<&str> {
        self.text.contains(JOINT).then(|| {
            let parts = self.text.split(JOINT);
            cut_off(parts.max_by_key(|part| part.len()).unwrap_or_default())
        })
    }

    /// Whether the text is this claim's whole key. What opens a key asks for this: one part, a
    /// customer's id for example, is shared by keys that have nothing else in common.
    pub fn names_all_of(&self, claim: &Claim) -> bool {
        self.checksums.contains(&claim.checksum) || claim.key_text() == self.text
    }
}

fn cut_off(text: &str) -> &str {
    &text[..text.floor_char_boundary(PART_TEXT_BYTES_MAX)]
}

fn under_source(text: &str, source: &Source, now: Timestamp) -> Vec<Checksum> {
    let under = |rule: &KeyRule, group: Option<GroupId>| {
        candidates(rule, &scope_bytes(&scope_of(source.id, group)), text)
    };
    let current = source.key.iter().flat_map(|rule| under(rule, source.group));
    let live = source.former_rules.iter().filter(|rule| rule.until > now);
    let former = live.flat_map(|rule| under(&rule.key, rule.group));
    current.chain(former).collect()
}

fn scope_of(source: SourceId, group: Option<GroupId>) -> Scope {
    group.map_or(Scope::Source(source), Scope::Group)
}

fn send_scopes(owners: &Owners<'_>) -> Vec<Scope> {
    let mut targets = BTreeSet::from([SendTarget::Broadcast]);
    for endpoint in &owners.endpoints {
        targets.insert(SendTarget::Endpoint(endpoint.id));
        targets.extend(endpoint.tenant.clone().map(SendTarget::Tenant));
    }
    let scope = |target| Scope::Send(owners.project, target);
    targets.into_iter().map(scope).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::claim::ClaimKind;
    use crate::config::testing::World;
    use crate::fingerprint::Fingerprint;
    use crate::ids::{EndpointId, MessageId};
    use crate::key::{Body, Extracted, Request, extract};
    use crate::time::Millis;

    const PROJECT: ProjectId = ProjectId::from_number(1);

    fn owners<'a>(sources: &[&'a Source], endpoints: &[&'a Endpoint]) -> Owners<'a> {
        Owners {
            project: PROJECT,
            sources: sources.to_vec(),
            endpoints: endpoints.to_vec(),
        }
    }

    /// The key that a source gives a body when it arrives.
    fn arriving(source: &Source, body: &str) -> Checksum {
        let rule = source.key.as_ref().unwrap();
        let request = Request {
            method: "POST",
            path: "",
            query: None,
            headers: &[],
            content_type: Some("application/json"),
            body: body.as_bytes(),
        };
        let read = Body::understand(Some("application/json"), body.as_bytes());
        let scope = scope_bytes(&scope_of(source.id, source.group));
        match extract(rule, &scope, &request, &read, &[]) {
            Extracted::Key { checksum, .. } => checksum,
            Extracted::Missing { looked_at } => panic!("no key at {looked_at:?}"),
        }
    }

    fn claim(scope: Scope, checksum: Checksum, parts: &[&str]) -> Claim {
        Claim {
            scope,
            checksum,
            parts: parts.iter().map(|part| (*part).to_owned()).collect(),
            kind: ClaimKind::Key,
            variant: None,
            message_id: MessageId::from_number(9),
            fingerprint: Fingerprint::from_bytes([0; 32]),
            first_seen_at: Timestamp::from_millis(0),
            expires_at: Timestamp::NEVER,
        }
    }

    #[test]
    fn l1_a_providers_value_is_found_under_every_source() {
        let mut world = World::new();
        let one = world.source(json!({"name": "a", "key": {"locations": ["body:$.id"]}}));
        let other = world.source(json!({"name": "b", "key": {"locations": ["body:$.n"]}}));
        let sought = seek("120", &owners(&[&one, &other], &[]), world.now);
        for checksum in [
            arriving(&one, r#"{"id": "120"}"#),
            arriving(&one, r#"{"id": 120}"#),
            arriving(&other, r#"{"n": 1.2e2}"#),
        ] {
            assert!(sought.checksums().contains(&checksum), "{checksum}");
        }
        let elsewhere = seek("121", &owners(&[&one, &other], &[]), world.now);
        assert!(
            !elsewhere
                .checksums()
                .contains(&arriving(&one, r#"{"id": 120}"#))
        );
    }

    #[test]
    fn l1_a_key_of_a_former_rule_is_found_until_its_window_has_run_out() {
        let mut world = World::new();
        let key = json!({"locations": ["body:$.a"]});
        let before = world.source(json!({"name": "s", "window_seconds": 60, "key": key}));
        let now = world.patched_source(&before, json!({"key": {"locations": ["header:b"]}}));
        let checksum = arriving(&before, r#"{"a": 7}"#);
        let at = |time| {
            seek("7", &owners(&[&now], &[]), time)
                .checksums()
                .contains(&checksum)
        };
        assert!(at(world.now + Millis::from_seconds(59)));
        assert!(!at(world.now + Millis::from_seconds(60)));
    }

    #[test]
    fn l1_a_callers_key_is_found_for_every_target_that_the_project_knows() {
        let mut world = World::new();
        let endpoint = world.endpoint(json!({"tenant": "acme"}));
        let sought = seek("order-1", &owners(&[], &[&endpoint]), world.now);
        let known = |target| {
            let scope = Scope::Send(PROJECT, target);
            sought
                .checksums()
                .contains(&send_checksum(&scope, "order-1"))
        };
        assert!(known(SendTarget::Endpoint(endpoint.id)));
        assert!(known(SendTarget::Tenant("acme".into())));
        assert!(known(SendTarget::Broadcast));
        assert!(!known(SendTarget::Tenant("other".into())));
        assert!(!known(SendTarget::Endpoint(EndpointId::from_number(404))));
    }

    #[test]
    fn l1_a_checksum_stands_for_itself() {
        let checksum = Checksum::from_bytes([0xab; 32]);
        let sought = seek(
            &checksum.to_string(),
            &owners(&[], &[]),
            Timestamp::default(),
        );
        assert!(sought.checksums().contains(&checksum));
        let shouted = checksum.to_string().to_uppercase();
        let sought = seek(&shouted, &owners(&[], &[]), Timestamp::default());
        assert!(!sought.checksums().contains(&checksum));
    }

    #[test]
    fn l1_a_part_finds_a_composite_key_but_is_not_all_of_it() {
        let scope = Scope::Source(SourceId::from_number(3));
        let composite = claim(scope, Checksum::from_bytes([1; 32]), &["acme", "7"]);
        let whole = seek("acme + 7", &owners(&[], &[]), Timestamp::default());
        assert_eq!(whole.longest_part(), Some("acme"));
        assert!(whole.names_all_of(&composite));
        let part = seek("acme", &owners(&[], &[]), Timestamp::default());
        assert_eq!((part.part(), part.longest_part()), ("acme", None));
        assert!(!part.names_all_of(&composite));
    }

    #[test]
    fn l1_a_long_value_is_looked_for_as_the_ledger_keeps_it() {
        let long = "ä".repeat(PART_TEXT_BYTES_MAX);
        let sought = seek(&long, &owners(&[], &[]), Timestamp::default());
        assert_eq!(sought.part().len(), PART_TEXT_BYTES_MAX);
        let nothing = seek("", &owners(&[], &[]), Timestamp::default());
        assert!(nothing.checksums().is_empty());
    }
}
