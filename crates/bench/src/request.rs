//! Requests that are written once and then only stamped: a message's number, and where the source
//! verifies it, the signature over the body that holds it. The claim of an event is followed by its
//! completion, whose path is the hash of the event's key.

use hmac::{Hmac, KeyInit, Mac};
use hooklatch_core::receiving::call::ClaimId;
use sha2::Sha256;

/// The size of every message's payload.
pub(crate) const PAYLOAD_BYTES: usize = 1_024;
/// The header that carries the signature of a verified request.
pub(crate) const SIGNATURE_HEADER: &str = "X-Bench-Signature";

/// Stands where the number goes, as 16 hexadecimal digits.
const NUMBER_MARK: &[u8] = b"################";
/// Stands where the signature goes, as 64 hexadecimal digits.
const SIGNATURE_MARK: &str = "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@";

/// The scope of the claims.
const CLAIM_SCOPE: &str = "bench/billing";
/// Stands where the digits of a claim's id go, which are as many as those of a signature.
const CLAIM_MARK: &str = "clm_@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@";

/// A request over a kept-alive connection, for any number of messages.
#[derive(Clone)]
pub(crate) struct Request {
    bytes: Vec<u8>,
    body_at: usize,
    numbers_at: Vec<usize>,
    signature: Option<Signature>,
    claim_at: Option<usize>,
    then: Option<Box<Self>>,
}

#[derive(Clone)]
struct Signature {
    at: usize,
    keyed: Hmac<Sha256>,
}

impl Request {
    /// One to an ingest URL, signed if there is a secret.
    pub(crate) fn ingest(path: &str, secret: Option<&str>) -> Self {
        let signature = secret
            .map(|_| format!("{SIGNATURE_HEADER}: {SIGNATURE_MARK}\r\n"))
            .unwrap_or_default();
        Self::new(path, &signature, &payload(), secret)
    }

    /// One to the send API.
    pub(crate) fn send(endpoint_id: &str, api_key: &str) -> Self {
        let body = format!(
            r#"{{"endpoint_id":"{endpoint_id}","idempotency_key":"bench-{}","payload":{}}}"#,
            String::from_utf8_lossy(NUMBER_MARK),
            payload(),
        );
        let authorization = format!("Authorization: Bearer {api_key}\r\n");
        Self::new("/v1/webhooks/send", &authorization, &body, None)
    }

    /// The claim of an event, and then its completion.
    pub(crate) fn claim(api_key: &str) -> Self {
        let number = String::from_utf8_lossy(NUMBER_MARK);
        let authorization = format!("Authorization: Bearer {api_key}\r\n");
        let claim = format!(
            r#"{{"scope":"{CLAIM_SCOPE}","key":"evt_{number}","token":"00000000{number}00000000","lease_seconds":60,"window_seconds":604800}}"#
        );
        let complete = format!(r#"{{"token":"00000000{number}00000000","result":{{"ticket":7}}}}"#);
        let path = format!("/v1/claims/{CLAIM_MARK}/complete");
        let then = Self::new(&path, &authorization, &complete, None);
        let claim_at = positions(&then.bytes, CLAIM_MARK.as_bytes())[0];
        Self {
            then: Some(Box::new(Self {
                claim_at: Some(claim_at),
                ..then
            })),
            ..Self::new("/v1/claims", &authorization, &claim, None)
        }
    }

    fn new(path: &str, header: &str, body: &str, secret: Option<&str>) -> Self {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{header}Content-Length: {}\r\n\r\n",
            body.len(),
        );
        let bytes = [head.as_bytes(), body.as_bytes()].concat();
        let signature = secret.map(|secret| Signature {
            at: positions(&bytes, SIGNATURE_MARK.as_bytes())[0],
            keyed: Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length"),
        });
        Self {
            body_at: head.len(),
            numbers_at: positions(&bytes, NUMBER_MARK),
            signature,
            claim_at: None,
            then: None,
            bytes,
        }
    }

    /// Makes it the request of that message.
    pub(crate) fn stamp(&mut self, number: u64) -> &[u8] {
        for at in &self.numbers_at {
            write_hex(
                &mut self.bytes[*at..*at + NUMBER_MARK.len()],
                &number.to_be_bytes(),
            );
        }
        if let Some(Signature { at, keyed }) = &self.signature {
            let mac = keyed
                .clone()
                .chain_update(&self.bytes[self.body_at..])
                .finalize();
            let hex = &mut self.bytes[*at..*at + SIGNATURE_MARK.len()];
            write_hex(hex, &mac.into_bytes());
        }
        if let Some(at) = self.claim_at {
            let id = ClaimId::of(CLAIM_SCOPE, &format!("evt_{number:016x}"));
            let id = id.expect("both are short").to_string();
            self.bytes[at..at + id.len()].copy_from_slice(id.as_bytes());
        }
        &self.bytes
    }

    /// What follows the answer to the request of that message, over the same connection.
    pub(crate) fn then(&mut self, number: u64) -> Option<&[u8]> {
        self.then.as_mut().map(|then| then.stamp(number))
    }
}

/// An order, as a shop would report it; the note fills it up.
fn payload() -> String {
    let number = String::from_utf8_lossy(NUMBER_MARK);
    let start = format!(
        r#"{{"id":"evt_{number}","type":"order.paid","order":{{"amount":4999,"currency":"EUR","customer":"cus_{number}","paid":true}},"note":""#
    );
    let end = r#""}"#;
    let note = "a line of text as long as many others, so that the payload has its size; ";
    let missing = PAYLOAD_BYTES - start.len() - end.len();
    let filling: String = note.chars().cycle().take(missing).collect();
    format!("{start}{filling}{end}")
}

fn positions(bytes: &[u8], mark: &[u8]) -> Vec<usize> {
    let starts = 0..=bytes.len() - mark.len();
    starts
        .filter(|at| &bytes[*at..*at + mark.len()] == mark)
        .collect()
}

fn write_hex(digits: &mut [u8], value: &[u8]) {
    assert_eq!(digits.len(), value.len() * 2, "two digits for each byte");
    for (pair, byte) in digits.chunks_exact_mut(2).zip(value) {
        pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::Head;

    fn body(request: &[u8]) -> &[u8] {
        let head = Head::find(request).unwrap();
        assert_eq!(head.content_length().unwrap(), request.len() - head.bytes);
        &request[head.bytes..]
    }

    #[test]
    fn a_payload_is_json_of_exactly_one_kibibyte() {
        let mut request = Request::ingest("/ingest/token", None);
        let bytes = request.stamp(0xabc);
        assert_eq!(body(bytes).len(), PAYLOAD_BYTES);
        let payload: serde_json::Value = serde_json::from_slice(body(bytes)).unwrap();
        assert_eq!(payload["id"], "evt_0000000000000abc");
        assert!(Head::find(bytes).unwrap().field(SIGNATURE_HEADER).is_none());
    }

    #[test]
    fn a_send_carries_its_number_in_key_and_payload() {
        let mut request = Request::send("ep_1", "hl_key");
        request.stamp(1);
        let sent: serde_json::Value = serde_json::from_slice(body(request.stamp(2))).unwrap();
        assert_eq!(sent["idempotency_key"], "bench-0000000000000002");
        assert_eq!(sent["payload"]["id"], "evt_0000000000000002");
        assert_eq!(sent["endpoint_id"], "ep_1");
    }

    #[test]
    fn a_claim_is_followed_by_its_completion_under_the_same_token() {
        let mut request = Request::claim("hl_key");
        let claim: serde_json::Value = serde_json::from_slice(body(request.stamp(7))).unwrap();
        assert_eq!(claim["key"], "evt_0000000000000007");
        let id = ClaimId::of(CLAIM_SCOPE, "evt_0000000000000007").unwrap();
        request.then(6);
        let then = request.then(7).unwrap();
        let line = format!("POST /v1/claims/{id}/complete HTTP/1.1\r\n");
        assert!(then.starts_with(line.as_bytes()));
        let complete: serde_json::Value = serde_json::from_slice(body(then)).unwrap();
        assert_eq!(complete["token"], claim["token"]);
        assert!(Request::ingest("/", None).then(7).is_none());
    }

    #[test]
    fn a_signature_covers_the_body_as_it_is_stamped() {
        let mut request = Request::ingest("/ingest/token", Some("secret"));
        for number in [7, 8] {
            let bytes = request.stamp(number);
            let keyed = Hmac::<Sha256>::new_from_slice(b"secret").unwrap();
            let mut expected = [0; 64];
            write_hex(
                &mut expected,
                &keyed.chain_update(body(bytes)).finalize().into_bytes(),
            );
            let signature = Head::find(bytes).unwrap().field(SIGNATURE_HEADER);
            assert_eq!(signature, Some(&expected[..]));
        }
    }
}
