//! What rules do in their order, with and without the ledger.

use serde_json::{Value, json};

use super::*;
use crate::admission::{Original, Prior};
use crate::claim::Claim;
use crate::config::testing::World;
use crate::delivery::lifecycle::Destination;
use crate::delivery::{Delivery, Lane, Reason, State};
use crate::ids::{DeliveryId, EndpointId, Mint, ProjectId, SourceId};
use crate::time::Timestamp;

const MESSAGE: MessageId = MessageId::from_number(70);
const EARLIER: MessageId = MessageId::from_number(60);

struct Line {
    connection: Connection,
    rulebook: Rulebook,
    now: Timestamp,
}

impl Line {
    fn with(rules: Value) -> Self {
        let mut world = World::new();
        let connection = world.connection(json!({
            "name": "c", "source_id": SourceId::from_number(5),
            "endpoint_id": EndpointId::from_number(6), "rules": rules,
        }));
        Self {
            rulebook: Rulebook::of(&connection).unwrap().unwrap(),
            connection,
            now: world.now,
        }
    }

    fn ruling(&self, body: &str) -> Ruling {
        let read = Body::understand(None, body.as_bytes());
        let request = Request {
            method: "POST",
            path: "",
            query: None,
            headers: &[("x-id", b"h1")],
            content_type: None,
            body: body.as_bytes(),
        };
        let fingerprint = Fingerprint::from_bytes([7; 32]);
        self.rulebook.rule_on(&request, &read, fingerprint)
    }

    fn destination(&self) -> Destination {
        Destination {
            endpoint_id: Some(self.connection.endpoint),
            connection_id: Some(self.connection.id),
            lane: Lane::of_endpoint(self.connection.endpoint),
            suffix_webhook_id: false,
            order_key: None,
        }
    }

    fn pass(&self, body: &str, priors: &[Prior]) -> pass::Passed {
        let passing = Passing {
            message_id: MESSAGE,
            request_id: MESSAGE.as_request(),
            project_id: ProjectId::from_number(1),
            destinations: &[self.destination()],
            rulings: &[self.ruling(body)],
            priors: &priors.iter().collect::<Vec<_>>(),
            delay: Millis::from_seconds(1),
            now: self.now,
        };
        pass(&passing, &mut Mint::default())
    }

    /// What the ledger knows after an earlier message had passed with this body.
    fn seen(&self, body: &str, failed: Vec<Delivery>) -> Vec<Prior> {
        let claims = self.pass(body, &[]).claims.into_iter();
        let prior = |claim: Claim| Prior {
            key: 0,
            claim: Claim {
                message_id: EARLIER,
                ..claim
            },
            original: Original {
                message_id: EARLIER,
                source_id: None,
                received_at: self.now,
                answered_at: None,
                routed: true,
                failed: failed.clone(),
            },
        };
        claims.map(prior).collect()
    }

    fn failed(&self, reason: Reason) -> Delivery {
        let project = ProjectId::from_number(1);
        let id = DeliveryId::from_number(61);
        let delivery = Delivery::opened(
            id,
            EARLIER,
            project,
            &self.destination(),
            self.now,
            self.now,
        );
        Delivery {
            state: State::Failed {
                at: self.now,
                reason,
            },
            ..delivery
        }
    }
}

#[test]
fn a_filter_drops_and_says_where() {
    let line = Line::with(json!([{"type": "filter", "body": {"type": {"$startsWith": "order."}}}]));
    let passed = line.pass(r#"{"type": "order.paid"}"#, &[]);
    assert_eq!((passed.deliveries.len(), passed.routing.len()), (1, 0));
    let dropped = line.pass(r#"{"type": "user.made"}"#, &[]);
    assert!(dropped.deliveries.is_empty());
    let routing = &dropped.routing[0];
    assert_eq!(routing.outcome, RoutingOutcome::Filtered);
    assert_eq!(routing.rule, Some(0));
    assert!(
        routing.detail.as_ref().unwrap().contains("/body/type"),
        "{routing:?}"
    );
}

#[test]
fn delays_add_up_and_to_the_messages_own() {
    let line = Line::with(json!([
        {"type": "delay", "seconds": 60}, {"type": "filter", "body": {"a": 1}},
        {"type": "delay", "seconds": 5},
    ]));
    let passed = line.pass(r#"{"a": 1}"#, &[]);
    let due = passed.deliveries[0].next_attempt_at().unwrap();
    assert_eq!(due, line.now + Millis::from_seconds(66));
    let routing = &passed.routing[0];
    assert_eq!(
        (routing.outcome, routing.rule),
        (RoutingOutcome::Routed, Some(2))
    );
    assert_eq!(routing.detail.as_deref(), Some("delayed by 65 s"));
    assert_eq!(
        line.pass("{}", &[]).routing[0].outcome,
        RoutingOutcome::Filtered
    );
}

#[test]
fn a_key_that_was_seen_drops_and_names_the_original() {
    let line = Line::with(json!([
        {"type": "deduplicate", "locations": ["body:$.id", "header:x-id"], "window_seconds": 60},
    ]));
    let passed = line.pass(r#"{"id": 1, "n": 1}"#, &[]);
    let claim = &passed.claims[0];
    assert_eq!(claim.scope, Scope::Connection(line.connection.id));
    assert_eq!(claim.parts, ["1", "h1"]);
    assert_eq!(claim.expires_at, line.now + Millis::from_seconds(60));
    assert_eq!(claim.message_id, MESSAGE);
    let seen = line.seen(r#"{"id": 1, "n": 1}"#, Vec::new());
    let again = line.pass(r#"{"id": 1.0, "n": 2}"#, &seen);
    assert_eq!((again.deliveries.len(), again.claims.len()), (0, 0));
    let routing = &again.routing[0];
    assert_eq!(routing.outcome, RoutingOutcome::Deduplicated);
    assert_eq!(routing.original_message_id, Some(EARLIER));
    assert_eq!(line.pass(r#"{"id": 2}"#, &seen).deliveries.len(), 1);
    assert_eq!(line.pass(r#"{"no": "id"}"#, &seen).deliveries.len(), 1);
}

#[test]
fn k6_content_may_be_included_or_excluded() {
    for (rule, same, other) in [
        (
            json!({"type": "deduplicate", "include": ["$.a"]}),
            r#"{"a":1,"b":3}"#,
            r#"{"a":2,"b":2}"#,
        ),
        (
            json!({"type": "deduplicate", "exclude": ["$.b"]}),
            r#"{"a":1,"b":3}"#,
            r#"{"a":2,"b":2}"#,
        ),
        (
            json!({"type": "deduplicate"}),
            r#"{"b":2.0,"a":1}"#,
            r#"{"a":1,"b":3}"#,
        ),
    ] {
        let line = Line::with(json!([rule]));
        let seen = line.seen(r#"{"a":1,"b":2}"#, Vec::new());
        assert_eq!(line.pass(same, &seen).deliveries.len(), 0, "{rule}");
        assert_eq!(line.pass(other, &seen).deliveries.len(), 1, "{rule}");
    }
}

#[test]
fn a_key_is_not_burnt_by_what_never_arrived() {
    let line = Line::with(json!([{"type": "deduplicate", "locations": ["body:$.id"]}]));
    let body = r#"{"id": 1}"#;
    for (reason, passes) in [
        (Reason::AttemptsExhausted, true),
        (Reason::RejectedByReceiver, false),
    ] {
        let seen = line.seen(body, vec![line.failed(reason)]);
        let again = line.pass(body, &seen);
        assert_eq!(again.deliveries.len(), usize::from(passes), "{reason}");
        assert_eq!(again.claims.len(), usize::from(passes), "{reason}");
    }
}

#[test]
fn rules_run_in_their_order_and_what_is_not_reached_does_nothing() {
    let filter = json!({"type": "filter", "body": {"keep": true}});
    let once = json!({"type": "deduplicate", "locations": ["body:$.id"]});
    let dropped = r#"{"id": 1, "keep": false}"#;
    let filter_first = Line::with(json!([filter, once]));
    assert_eq!(filter_first.pass(dropped, &[]).claims, []);
    let once_first = Line::with(json!([once, filter]));
    let passed = once_first.pass(dropped, &[]);
    assert_eq!((passed.claims.len(), passed.deliveries.len()), (1, 0));
    assert_eq!(passed.routing[0].rule, Some(1));
}

#[test]
fn two_rules_that_find_one_value_in_two_places_do_not_meet() {
    let line = Line::with(json!([
        {"type": "deduplicate", "locations": ["body:$.a"]},
        {"type": "deduplicate", "locations": ["body:$.b"]},
    ]));
    let seen = line.seen(r#"{"a": 1, "b": 2}"#, Vec::new());
    assert_eq!(line.pass(r#"{"a": 2, "b": 1}"#, &seen).deliveries.len(), 1);
    let again = line.pass(r#"{"a": 3, "b": 2}"#, &seen);
    assert_eq!(again.routing[0].rule, Some(1));
}

#[test]
fn a_rule_in_shadow_mode_says_what_it_would_drop_and_lets_pass() {
    let tried = json!({
        "type": "deduplicate", "locations": ["body:$.id"], "window_seconds": 60, "shadow": true,
    });
    let line = Line::with(json!([tried, {"type": "delay", "seconds": 5}, tried]));
    let first = line.pass(r#"{"id": 1}"#, &[]);
    assert_eq!(
        (first.shadows.len(), first.claims.len()),
        (1, 1),
        "one trial"
    );
    assert_eq!(first.shadows[0].verdict, crate::shadow::Verdict::New);
    let scope = Scope::Shadow(OnTrial::Connection(line.connection.id));
    assert_eq!(
        (&first.claims[0].scope, &first.claims[0].parts[..]),
        (&scope, &[][..])
    );
    let seen = line.seen(r#"{"id": 1}"#, Vec::new());
    let again = line.pass(r#"{"id": 1}"#, &seen);
    assert_eq!((again.deliveries.len(), again.claims.len()), (1, 0));
    let [routing] = &again.routing[..] else {
        panic!("one connection: {:?}", again.routing);
    };
    assert_eq!(routing.outcome, RoutingOutcome::Routed);
    assert_eq!(routing.detail.as_deref(), Some("delayed by 5 s"));
    let would_drop = &routing.shadows[0];
    assert_eq!(
        (would_drop.rule, would_drop.original_message_id),
        (0, EARLIER)
    );
    assert!(!would_drop.payload_differs);
    let named = shadows_of(&line.connection);
    assert_eq!(named.len(), 2);
    assert!(
        named
            .iter()
            .all(|(_, shadow)| *shadow == first.shadows[0].shadow)
    );
    let acting = line.seen(r#"{"id": 1}"#, vec![line.failed(Reason::AttemptsExhausted)]);
    let passed = line.pass(r#"{"id": 1}"#, &acting);
    assert_eq!(
        passed.routing[0].shadows,
        [],
        "what never arrived stands in nobody's way"
    );
}

#[test]
fn a_connection_without_rules_has_no_rulebook() {
    let mut world = World::new();
    let plain = world.connection(json!({
        "name": "c", "source_id": SourceId::from_number(5), "endpoint_id": EndpointId::from_number(6),
    }));
    assert!(Rulebook::of(&plain).unwrap().is_none());
}
