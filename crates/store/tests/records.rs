//! Every kind of record comes back from its columns as it was written, and one of a newer version
//! is refused.

use hooklatch_core::delivery::Delivery;
use hooklatch_store::record::{Unreadable, attempt, claim, delivery, message, request};
use hooklatch_store::suite::records::{
    any_attempt, any_claim, any_delivery, any_message, any_request, any_state,
};
use proptest::prelude::*;

fn newer(meta: &str) -> String {
    meta.replacen("\"v\":1", "\"v\":2", 1)
}

fn refuses<T>(decoded: Result<T, Unreadable>, what: &str) -> bool {
    decoded.is_err_and(|Unreadable(why)| why == format!("{what} of version 2"))
}

proptest! {
    #[test]
    fn a_message_survives_its_columns(message in any_message()) {
        let meta = message::encode_meta(&message);
        let columns = message::Columns::of(&message, &meta);
        prop_assert_eq!(message::decode(columns.clone()).unwrap(), message.clone());
        let meta = newer(&meta);
        let columns = message::Columns { meta: &meta, ..columns };
        prop_assert!(refuses(message::decode(columns), "a message"));
    }

    #[test]
    fn a_request_survives_its_columns(request in any_request()) {
        let meta = request::encode_meta(&request);
        let diff = request.diff.as_deref().map(request::encode_diff);
        let columns = request::Columns::of(&request, &meta, diff.as_deref());
        prop_assert_eq!(request::decode(columns.clone()).unwrap(), request.clone());
        let meta = newer(&meta);
        let columns = request::Columns { meta: &meta, ..columns };
        prop_assert!(refuses(request::decode(columns), "a request"));
    }

    #[test]
    fn an_attempt_survives_its_columns(attempt in any_attempt()) {
        let meta = attempt::encode_meta(&attempt);
        let columns = attempt::Columns::of(&attempt, &meta);
        prop_assert_eq!(attempt::decode(columns.clone()).unwrap(), attempt.clone());
        let meta = newer(&meta);
        let columns = attempt::Columns { meta: &meta, ..columns };
        prop_assert!(refuses(attempt::decode(columns), "an attempt"));
    }

    #[test]
    fn a_delivery_survives_its_columns(delivery in any_delivery()) {
        let columns = delivery::Columns::of_new(&delivery);
        prop_assert!(columns.token.is_some() && columns.started.is_some());
        prop_assert_eq!(delivery::decode(&columns).unwrap(), delivery.clone());
        prop_assert_eq!(delivery::decode(&delivery::Columns::of(&delivery)).unwrap(), delivery);
    }

    /// A backend leaves the token and the start where they stand if there is no new lease.
    #[test]
    fn a_delivery_survives_its_changes(delivery in any_delivery(), later in any_state()) {
        let before = delivery::Columns::of_new(&delivery);
        let moved = Delivery { state: later, ..delivery };
        let columns = delivery::Columns::of(&moved);
        let stored = delivery::Columns {
            token: columns.token.or(before.token),
            started: columns.started.or(before.started),
            ..columns
        };
        prop_assert_eq!(delivery::decode(&stored).unwrap(), moved);
    }

    #[test]
    fn a_claim_survives_its_columns(claim in any_claim()) {
        let scope = claim.scope.to_string();
        let parts = claim::encode_parts(&claim.parts);
        let columns = claim::Columns::of(&claim, &scope, &parts);
        prop_assert_eq!(claim::decode(&columns).unwrap(), claim.clone());
    }
}
