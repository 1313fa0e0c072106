//! Every kind of record comes back from its row as it was written.

use hooklatch_core::delivery::Delivery;
use hooklatch_core::ids::ProjectId;
use hooklatch_store::record::attempt::encode_meta;
use hooklatch_store::record::claim::encode_parts;
use hooklatch_store::suite::records::{
    any_attempt, any_claim, any_delivery, any_message, any_request, any_state,
};
use proptest::prelude::*;
use rusqlite::Connection;

use crate::rows::claim::{ClaimTexts, Place, Tables};
use crate::rows::{attempt, delivery, message, request};
use crate::schema;

fn file() -> Connection {
    let db = Connection::open_in_memory().unwrap();
    assert!(schema::prepare(&db).is_ok());
    db
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_message_survives_its_row(message in any_message(), following in 0..100_usize) {
        let db = file();
        message::insert(&db, &message, following).unwrap();
        let stored = message::load(&db, message.id).unwrap().unwrap();
        prop_assert_eq!(stored.message, message);
        prop_assert_eq!(stored.following, following as i64);
    }

    #[test]
    fn a_request_survives_its_row(request in any_request()) {
        let db = file();
        request::insert(&db, &request).unwrap();
        prop_assert_eq!(request::load(&db, request.id).unwrap().unwrap(), request);
    }

    #[test]
    fn a_delivery_survives_its_row_and_its_changes(
        delivery in any_delivery(),
        later in any_state(),
        attempts in any::<u32>(),
    ) {
        let db = file();
        delivery::insert(&db, &delivery).unwrap();
        let stored = delivery::load(&db, delivery.id).unwrap().unwrap();
        prop_assert_eq!(&stored, &delivery);
        let moved = Delivery { state: later, attempts, ..delivery };
        delivery::update(&db, &moved).unwrap();
        prop_assert_eq!(delivery::load(&db, moved.id).unwrap().unwrap(), moved);
    }

    #[test]
    fn an_attempt_survives_its_row(attempt in any_attempt()) {
        let db = file();
        let meta = encode_meta(&attempt);
        if attempt.fenced {
            attempt::replace(&db, &attempt, &meta).unwrap();
        } else {
            attempt::insert(&db, &attempt, &meta).unwrap();
        }
        prop_assert_eq!(attempt::load(&db, attempt.id).unwrap().unwrap(), attempt);
    }

    #[test]
    fn a_claim_survives_its_row(claim in any_claim()) {
        let db = file();
        let tables = Tables::of(7);
        tables.create(&db).unwrap();
        let scope = claim.scope.to_string();
        let parts = encode_parts(&claim.parts);
        let place = Place::of(&[7; 32], &claim.checksum, &scope);
        let texts = ClaimTexts { place, scope: &scope, parts: &parts };
        let project = ProjectId::from_number(3);
        tables.insert(&db, project, &claim, texts).unwrap();
        let again = tables.insert(&db, project, &claim, texts);
        prop_assert!(again.is_err(), "INV-1 rests on the index");
        prop_assert_eq!(tables.find(&db, place, &claim.checksum, &claim.scope).unwrap(), [claim]);
    }
}
