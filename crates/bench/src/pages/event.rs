//! What message number N is: where it came from, what it says, and what became of it. All of it
//! follows from the number, so that a store that is filled twice is filled alike.

use bytes::Bytes;

/// Types of events; the first are the most frequent.
pub(super) const TYPES: [&str; 12] = [
    "order.created",
    "payment.succeeded",
    "order.shipped",
    "customer.updated",
    "invoice.paid",
    "payment.refunded",
    "subscription.renewed",
    "invoice.finalised",
    "customer.created",
    "order.cancelled",
    "subscription.cancelled",
    "payment.disputed",
];
/// Customers of the send API.
pub(super) const TENANTS: u64 = 8;
/// One message in so many came by the send API.
const SENT_ONE_IN: u64 = 4;

/// How a delivery goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// At the first attempt.
    Well,
    /// At the second.
    LateButWell,
    /// Never: three attempts fail.
    Badly,
    /// Its outcome is not known, and a person has to decide.
    Uncertain,
    /// A person calls it off.
    CalledOff,
}

/// How an arrival repeats an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repetition {
    /// By the provider, by itself.
    Retry,
    /// By a person at the provider.
    Resend,
    /// For no reason that anybody knows.
    Unexplained,
    /// With another payload.
    Altered,
}

/// Scatters a number: neighbours have nothing in common (a finaliser of SplitMix64).
pub(super) fn scattered(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Whether it came by the send API, and then for which customer.
pub(super) fn tenant(number: u64) -> Option<u64> {
    let drawn = scattered(number);
    drawn
        .is_multiple_of(SENT_ONE_IN)
        .then_some((drawn >> 16) % TENANTS)
}

/// Its type: the first of the list come more often than the last.
pub(super) fn event_type(number: u64) -> &'static str {
    let drawn = scattered(number ^ 0xe7e7);
    let (one, other) = (drawn % 12, (drawn >> 20) % 12);
    TYPES[one.min(other) as usize]
}

/// How its delivery goes.
pub(super) fn fate(number: u64) -> Fate {
    match scattered(number ^ 0xfa7e) % 1_000 {
        0..6 => Fate::Badly,
        6..8 => Fate::Uncertain,
        8 => Fate::CalledOff,
        9..40 => Fate::LateButWell,
        _ => Fate::Well,
    }
}

/// Whether an earlier one is repeated after it: which, and how.
pub(super) fn repetition(number: u64) -> Option<(u64, Repetition)> {
    let drawn = scattered(number ^ 0xd0b1);
    if !drawn.is_multiple_of(20) {
        return None;
    }
    let kind = match (drawn >> 8) % 20 {
        0 => Repetition::Altered,
        1..3 => Repetition::Resend,
        3..6 => Repetition::Unexplained,
        _ => Repetition::Retry,
    };
    let earlier = number.checked_sub((drawn >> 16) % 200)?;
    Some((earlier, kind))
}

/// The id by which its producer knows it.
pub(super) fn id(number: u64) -> String {
    format!("evt_{:016x}", scattered(number ^ 0x1d))
}

/// What it says, about a kibibyte; `amount` tells an altered payload apart.
pub(super) fn payload(number: u64, amount: u64) -> Bytes {
    let (id, kind, drawn) = (id(number), event_type(number), scattered(number));
    let (order, customer) = (number % 400_000, drawn % 50_000);
    Bytes::from(format!(
        r#"{{"id":"{id}","object":"event","api_version":"2026-08-27","type":"{kind}","created":{created},"livemode":true,"data":{{"object":{{"id":"ord_{order:08}","object":"order","amount":{amount},"currency":"eur","customer":{{"id":"cus_{customer:08}","name":"Customer {customer} of the Long Names Company","email":"customer-{customer}@example.com","address":{{"line1":"{house} Market Street","line2":null,"city":"Springfield","postal_code":"{post:05}","country":"DE"}}}},"items":[{{"sku":"SKU-{sku:05}","quantity":{quantity},"price":{price},"description":"A thing that somebody wanted to have, in the colour that was left"}},{{"sku":"SKU-{sku2:05}","quantity":1,"price":990,"description":"Shipping"}}],"paid":true,"reference":"{drawn:016x}","metadata":{{"cart":"{cart:016x}","channel":"web","experiment":null}}}}}},"request":{{"id":"req_{request:012x}","idempotency_key":null}},"pending_webhooks":1}}"#,
        created = 1_790_000_000 + number * 3,
        house = drawn % 300,
        post = drawn % 99_999,
        sku = drawn % 7_000,
        quantity = 1 + drawn % 4,
        price = 100 + drawn % 20_000,
        sku2 = (drawn >> 7) % 7_000,
        cart = scattered(drawn),
        request = drawn >> 20,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_json_of_about_a_kibibyte_with_its_id_and_type() {
        for number in [0, 7, 999_999] {
            let text = payload(number, 5);
            let read: serde_json::Value = serde_json::from_slice(&text).unwrap();
            assert_eq!(read["id"], id(number));
            assert_eq!(read["type"], event_type(number));
            assert!((800..1_300).contains(&text.len()), "{}", text.len());
        }
    }

    #[test]
    fn there_is_something_of_everything() {
        let many = 0..100_000;
        for kind in TYPES {
            assert!(
                many.clone().any(|number| event_type(number) == kind),
                "{kind}"
            );
        }
        for fate in [
            Fate::Badly,
            Fate::Uncertain,
            Fate::CalledOff,
            Fate::LateButWell,
        ] {
            let share = many
                .clone()
                .filter(|number| super::fate(*number) == fate)
                .count();
            assert!((50..5_000).contains(&share), "{fate:?}: {share}");
        }
        let repeated = many.clone().filter_map(repetition).count();
        assert!((4_000..6_000).contains(&repeated), "{repeated}");
        let sent = many.filter_map(tenant).count();
        assert!((20_000..30_000).contains(&sent), "{sent}");
    }
}
