//! Signatures made by the senders' own libraries, and what a stranger may try on them.

use serde_json::{Value, json};

use super::*;
use crate::provider::{preset, verifier_spec};
use crate::signature::{SigningSecret, sign};

const STRIPE_SECRET: &str = "whsec_test_secret";
const STRIPE_TIME: i64 = 1_700_000_000;
const STRIPE_BODY: &[u8] = br#"{"id":"evt_1","type":"invoice.paid","data":{"amount":1200}}"#;
// stripe 23.1.0, webhooks.generateTestHeaderString.
const STRIPE_V1: &str = "7a16acecff61b319e0e1abc5fccde13e85fee469976618311abc173f056b7ccc";
const STRIPE_OLD_V1: &str = "8eb367063d2ed87db0fc457a1e68ce6dc974474f0526106132c645ecf2dc62a6";
const STRIPE_EMPTY_V1: &str = "316b9ab98c15bfa039d243f3196acee619cf29749a91a634e6a8154e2f7b6727";

const GITHUB_SECRET: &str = "It's a Secret to Everybody";
const GITHUB_BODY: &[u8] = b"Hello, World!";
// @octokit/webhooks-methods 6.0.0, sign; the first is in GitHub's documentation as well.
const GITHUB_HEX: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
const GITHUB_ROTATED_HEX: &str = "a5f4897ca9b869cef6a6ea20fc601bef9be37d6d69a3fab7c9c31c9ddbf89c20";

const SHOPIFY_BODY: &[u8] = br#"{"id":820982911946154508}"#;
// Accepted by @shopify/shopify-api 13.1.0, webhooks.validate.
const SHOPIFY_BASE64: &str = "qBvrsZF7RfB1iS6BX6IHqJTp5L911P7intnPeTPsH0I=";

const STANDARD_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const STANDARD_OTHER_SECRET: &str = "whsec_YW5vdGhlciBzZWNyZXQgb2YgMjQgYnl0ZQ==";
const STANDARD_PUBLIC: &str = "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
const STANDARD_ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const STANDARD_TIME: i64 = 1_614_265_330;
const STANDARD_BODY: &[u8] = b"{\"test\": 2432232314}";
// standardwebhooks 1.1.1, Webhook.sign; Node's own crypto for Ed25519.
const STANDARD_V1: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
const STANDARD_OTHER_V1: &str = "v1,6BrpG0W9YaICmowdDvR3cUG0ARg+mm9lprp+aW/Z4zo=";
const STANDARD_V1A: &str = "v1a,yoUrgEkc12aGqm0n4Sydmdz55xJfTz4AsAgieHFjmkR7LJtqVCZOQYzvvHjI5kAe\
                            y+r4iaBGxTFRrl2iBQxtDQ==";

fn verifier(spec: Value) -> Verifier {
    Verifier::new(verifier_spec(None, Some(spec)).unwrap()).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

fn check(
    verifier: &Verifier,
    headers: &[(&str, &str)],
    body: &[u8],
    now: i64,
) -> Result<(), Refusal> {
    verifier.verify(
        &SignedRequest {
            method: "POST",
            url: "",
            headers: &headers,
            query: "",
            body,
        },
        at(now),
    )
}

fn stripe() -> Verifier {
    verifier(json!({"type": "stripe", "secret": STRIPE_SECRET}))
}

fn stripe_says(header: &str) -> Result<(), Refusal> {
    check(
        &stripe(),
        &[("Stripe-Signature", header)],
        STRIPE_BODY,
        STRIPE_TIME,
    )
}

fn github() -> Verifier {
    verifier(json!({"type": "github", "secret": GITHUB_SECRET}))
}

fn github_says(header: &str) -> Result<(), Refusal> {
    check(
        &github(),
        &[("X-Hub-Signature-256", header)],
        GITHUB_BODY,
        0,
    )
}

fn standard(secrets: &[&str]) -> Verifier {
    verifier(json!({"type": "standard_webhooks", "secrets": secrets}))
}

fn standard_says(secrets: &[&str], header: &str, now: i64) -> Result<(), Refusal> {
    let time = STANDARD_TIME.to_string();
    let headers = [
        ("webhook-id", STANDARD_ID),
        ("webhook-timestamp", &time),
        ("webhook-signature", header),
    ];
    check(&standard(secrets), &headers, STANDARD_BODY, now)
}

fn malformed_header(result: Result<(), Refusal>) -> Option<String> {
    match result {
        Err(Refusal::Malformed { name, .. }) => Some(name),
        _ => None,
    }
}

#[test]
fn k7_signatures_of_the_official_libraries_pass() {
    assert_eq!(
        stripe_says(&format!("t={STRIPE_TIME},v1={STRIPE_V1}")),
        Ok(())
    );
    assert_eq!(github_says(&format!("sha256={GITHUB_HEX}")), Ok(()));
    let shopify = verifier(json!({"type": "shopify", "secret": "hush"}));
    let headers = [("X-Shopify-Hmac-Sha256", SHOPIFY_BASE64)];
    assert_eq!(check(&shopify, &headers, SHOPIFY_BODY, 0), Ok(()));
    assert_eq!(
        standard_says(&[STANDARD_SECRET], STANDARD_V1, STANDARD_TIME),
        Ok(())
    );
    assert_eq!(
        standard_says(&[STANDARD_PUBLIC], STANDARD_V1A, STANDARD_TIME),
        Ok(())
    );
}

#[test]
fn o1_what_we_sign_a_standard_webhooks_source_lets_in() {
    for secret in [
        SigningSecret::generate_hmac([1; 32]),
        SigningSecret::generate_ed25519([1; 32]),
    ] {
        let shared = secret
            .public_text()
            .unwrap_or_else(|| secret.to_text().expose().to_owned());
        let header = sign(&[secret], STANDARD_ID, STANDARD_TIME, STANDARD_BODY);
        assert_eq!(standard_says(&[&shared], &header, STANDARD_TIME), Ok(()));
    }
}

#[test]
fn k7_one_changed_byte_of_the_body_is_refused() {
    let changed = |body: &[u8], index: usize| {
        let mut body = body.to_vec();
        body[index] ^= 1;
        body
    };
    let stripe = stripe();
    let header = format!("t={STRIPE_TIME},v1={STRIPE_V1}");
    for index in 0..STRIPE_BODY.len() {
        let body = changed(STRIPE_BODY, index);
        let result = check(
            &stripe,
            &[("stripe-signature", &header)],
            &body,
            STRIPE_TIME,
        );
        assert_eq!(result, Err(Refusal::Mismatch), "byte {index}");
    }
    let github = github();
    let header = format!("sha256={GITHUB_HEX}");
    for index in 0..GITHUB_BODY.len() {
        let body = changed(GITHUB_BODY, index);
        let result = check(&github, &[("x-hub-signature-256", &header)], &body, 0);
        assert_eq!(result, Err(Refusal::Mismatch), "byte {index}");
    }
}

#[test]
fn k7_one_changed_digit_of_the_signature_is_refused() {
    for index in 0..GITHUB_HEX.len() {
        let mut digits = GITHUB_HEX.as_bytes().to_vec();
        digits[index] = if digits[index] == b'0' { b'1' } else { b'0' };
        let header = format!("sha256={}", String::from_utf8(digits).unwrap());
        assert_eq!(
            github_says(&header),
            Err(Refusal::Mismatch),
            "digit {index}"
        );
    }
}

#[test]
fn k7_another_secret_is_refused() {
    let header = format!("t={STRIPE_TIME},v1={STRIPE_OLD_V1}");
    assert_eq!(stripe_says(&header), Err(Refusal::Mismatch));
    assert_eq!(
        github_says(&format!("sha256={GITHUB_ROTATED_HEX}")),
        Err(Refusal::Mismatch)
    );
    let result = standard_says(&[STANDARD_SECRET], STANDARD_OTHER_V1, STANDARD_TIME);
    assert_eq!(result, Err(Refusal::Mismatch));
}

#[test]
fn k7_while_rotating_every_live_secret_passes() {
    let stripe =
        verifier(json!({"type": "stripe", "secrets": [STRIPE_SECRET, "whsec_old_secret"]}));
    for signature in [STRIPE_V1, STRIPE_OLD_V1] {
        let header = format!("t={STRIPE_TIME},v1={signature}");
        let headers = [("stripe-signature", header.as_str())];
        assert_eq!(check(&stripe, &headers, STRIPE_BODY, STRIPE_TIME), Ok(()));
    }
    let github = verifier(json!({"type": "github", "secrets": ["rotated", GITHUB_SECRET]}));
    for signature in [GITHUB_HEX, GITHUB_ROTATED_HEX] {
        let header = format!("sha256={signature}");
        let headers = [("x-hub-signature-256", header.as_str())];
        assert_eq!(check(&github, &headers, GITHUB_BODY, 0), Ok(()));
    }
    let live = [STANDARD_SECRET, STANDARD_OTHER_SECRET, STANDARD_PUBLIC];
    for signature in [STANDARD_V1, STANDARD_OTHER_V1, STANDARD_V1A] {
        assert_eq!(
            standard_says(&live, signature, STANDARD_TIME),
            Ok(()),
            "{signature}"
        );
    }
}

#[test]
fn k7_any_of_several_signatures_passes() {
    let header = format!("t={STRIPE_TIME},v1={STRIPE_OLD_V1},v1={STRIPE_V1}");
    assert_eq!(stripe_says(&header), Ok(()));
    let header = format!("v2,??? {STANDARD_OTHER_V1} {STANDARD_V1A} {STANDARD_V1}");
    assert_eq!(
        standard_says(&[STANDARD_SECRET], &header, STANDARD_TIME),
        Ok(())
    );
    let none = format!("{STANDARD_OTHER_V1} {STANDARD_V1A}");
    let result = standard_says(&[STANDARD_SECRET], &none, STANDARD_TIME);
    assert_eq!(result, Err(Refusal::Mismatch));
}

#[test]
fn k7_a_scheme_for_tests_is_not_a_signature() {
    let header = format!("t={STRIPE_TIME},v0={STRIPE_V1}");
    assert_eq!(
        malformed_header(stripe_says(&header)).as_deref(),
        Some("stripe-signature")
    );
}

#[test]
fn k7_an_empty_body_can_be_signed() {
    let header = format!("t={STRIPE_TIME},v1={STRIPE_EMPTY_V1}");
    let headers = [("stripe-signature", header.as_str())];
    assert_eq!(check(&stripe(), &headers, b"", STRIPE_TIME), Ok(()));
}

#[test]
fn k7_a_stale_signature_is_refused_at_the_second() {
    let header = format!("t={STRIPE_TIME},v1={STRIPE_V1}");
    let headers = [("stripe-signature", header.as_str())];
    let result = |now| check(&stripe(), &headers, STRIPE_BODY, now);
    let stale = Refusal::Stale {
        age_seconds: 301,
        tolerance_seconds: 300,
    };
    assert_eq!(result(STRIPE_TIME + 300), Ok(()));
    assert_eq!(result(STRIPE_TIME + 301), Err(stale.clone()));
    // Stripe's own libraries let a signature from the future pass.
    assert_eq!(result(STRIPE_TIME - 100_000), Ok(()));

    let result = |now| standard_says(&[STANDARD_SECRET], STANDARD_V1, now);
    assert_eq!(result(STANDARD_TIME + 300), Ok(()));
    assert_eq!(result(STANDARD_TIME + 301), Err(stale));
    assert_eq!(result(STANDARD_TIME - 300), Ok(()));
    let early = Refusal::Early {
        ahead_seconds: 301,
        tolerance_seconds: 300,
    };
    assert_eq!(result(STANDARD_TIME - 301), Err(early));
}

#[test]
fn k7_a_changed_time_is_refused() {
    let header = format!("t={},v1={STRIPE_V1}", STRIPE_TIME + 1);
    assert_eq!(stripe_says(&header), Err(Refusal::Mismatch));
    let time = (STANDARD_TIME + 1).to_string();
    let headers = [
        ("webhook-id", STANDARD_ID),
        ("webhook-timestamp", time.as_str()),
        ("webhook-signature", STANDARD_V1),
    ];
    let result = check(
        &standard(&[STANDARD_SECRET]),
        &headers,
        STANDARD_BODY,
        STANDARD_TIME,
    );
    assert_eq!(result, Err(Refusal::Mismatch));
}

#[test]
fn k7_a_changed_id_of_a_standard_webhook_is_refused() {
    let time = STANDARD_TIME.to_string();
    for (secret, signature) in [
        (STANDARD_SECRET, STANDARD_V1),
        (STANDARD_PUBLIC, STANDARD_V1A),
    ] {
        let headers = [
            ("webhook-id", "msg_other"),
            ("webhook-timestamp", time.as_str()),
            ("webhook-signature", signature),
        ];
        let result = check(&standard(&[secret]), &headers, STANDARD_BODY, STANDARD_TIME);
        assert_eq!(result, Err(Refusal::Mismatch));
    }
}

#[test]
fn k7_a_missing_header_is_named() {
    let missing = |name: &str| {
        Err(Refusal::MissingHeader {
            name: name.to_owned(),
        })
    };
    assert_eq!(
        check(&stripe(), &[], STRIPE_BODY, STRIPE_TIME),
        missing("stripe-signature")
    );
    // SHA-1 beside it is no proof.
    let sha1 = [(
        "x-hub-signature",
        "sha1=d03207e4b030cf234e3447bac4d93add4c6643d8",
    )];
    assert_eq!(
        check(&github(), &sha1, GITHUB_BODY, 0),
        missing("x-hub-signature-256")
    );
    let time = STANDARD_TIME.to_string();
    let all = [
        ("webhook-id", STANDARD_ID),
        ("webhook-timestamp", &time),
        ("webhook-signature", STANDARD_V1),
    ];
    for (name, _) in all {
        let rest: Vec<_> = all
            .iter()
            .filter(|(other, _)| *other != name)
            .copied()
            .collect();
        let result = check(
            &standard(&[STANDARD_SECRET]),
            &rest,
            STANDARD_BODY,
            STANDARD_TIME,
        );
        assert_eq!(result, missing(name));
    }
}

#[test]
fn k7_a_header_that_comes_twice_is_refused_even_if_one_is_right() {
    let right = format!("sha256={GITHUB_HEX}");
    let wrong = format!("sha256={GITHUB_ROTATED_HEX}");
    let repeated = Err(Refusal::Repeated {
        name: "x-hub-signature-256".to_owned(),
    });
    for (first, second) in [(&right, &wrong), (&wrong, &right), (&right, &right)] {
        let headers = [
            ("X-Hub-Signature-256", first.as_str()),
            ("x-hub-signature-256", second.as_str()),
        ];
        assert_eq!(check(&github(), &headers, GITHUB_BODY, 0), repeated);
    }
}

#[test]
fn k7_a_signature_is_its_bytes_and_not_its_spelling() {
    assert_eq!(
        github_says(&format!("sha256={}", GITHUB_HEX.to_uppercase())),
        Ok(())
    );
    assert_eq!(github_says(&format!(" sha256={GITHUB_HEX}\t")), Ok(()));
    let shopify = verifier(json!({"type": "shopify", "secret": "hush"}));
    let headers = [(
        "x-shopify-hmac-sha256",
        SHOPIFY_BASE64.trim_end_matches('='),
    )];
    assert_eq!(check(&shopify, &headers, SHOPIFY_BODY, 0), Ok(()));
    let unpadded = STANDARD_V1.trim_end_matches('=');
    assert_eq!(
        standard_says(&[STANDARD_SECRET], unpadded, STANDARD_TIME),
        Ok(())
    );
}

#[test]
fn k7_a_truncated_signature_is_refused() {
    for len in 0..GITHUB_HEX.len() {
        let result = github_says(&format!("sha256={}", &GITHUB_HEX[..len]));
        assert!(result.is_err(), "{len} digits");
    }
    for len in 0..STANDARD_V1.len() - 1 {
        let result = standard_says(&[STANDARD_SECRET], &STANDARD_V1[..len], STANDARD_TIME);
        assert!(result.is_err(), "{len} characters");
    }
    for len in 0..STANDARD_V1A.len() - 2 {
        let result = standard_says(&[STANDARD_PUBLIC], &STANDARD_V1A[..len], STANDARD_TIME);
        assert!(result.is_err(), "{len} characters");
    }
}

#[test]
fn k7_what_cannot_be_read_is_malformed_and_named() {
    for header in [
        "",
        "sha256=",
        "sha256=xyz",
        "sha1=00",
        GITHUB_HEX,
        "sha256=é",
    ] {
        let name = malformed_header(github_says(header));
        assert_eq!(name.as_deref(), Some("x-hub-signature-256"), "{header}");
    }
    let twice = format!("t=1,t={STRIPE_TIME},v1={STRIPE_V1}");
    let signed = format!("t=+{STRIPE_TIME},v1={STRIPE_V1}");
    let timeless = format!("v1={STRIPE_V1}");
    for header in [
        "",
        "t",
        "t=1",
        "t=,v1=00",
        "t=x,v1=00",
        &twice,
        &signed,
        &timeless,
    ] {
        let name = malformed_header(stripe_says(header));
        assert_eq!(name.as_deref(), Some("stripe-signature"), "{header}");
    }
    for header in ["", "v1", "v1,", "v1,?", "v2,AAAA"] {
        let result = standard_says(&[STANDARD_SECRET], header, STANDARD_TIME);
        assert_eq!(
            malformed_header(result).as_deref(),
            Some("webhook-signature"),
            "{header}"
        );
    }
    let bytes: Vec<(&str, &[u8])> = vec![("x-hub-signature-256", b"sha256=\xff")];
    let request = SignedRequest {
        method: "POST",
        url: "",
        headers: &bytes,
        query: "",
        body: GITHUB_BODY,
    };
    let result = github().verify(&request, at(0));
    assert_eq!(
        malformed_header(result).as_deref(),
        Some("x-hub-signature-256")
    );
}

#[test]
fn k7_a_long_list_of_signatures_buys_no_work() {
    let eight = [STANDARD_OTHER_V1; 7].join(" ") + " " + STANDARD_V1;
    assert_eq!(
        standard_says(&[STANDARD_SECRET], &eight, STANDARD_TIME),
        Ok(())
    );
    let nine = format!("{STANDARD_OTHER_V1} {eight}");
    let result = standard_says(&[STANDARD_SECRET], &nine, STANDARD_TIME);
    assert_eq!(
        malformed_header(result).as_deref(),
        Some("webhook-signature")
    );
}

#[test]
fn k7_basic_credentials_are_compared_whole() {
    let basic =
        verifier(json!({"type": "basic", "username": "Aladdin", "password": "open sesame"}));
    let says = |header: &str| check(&basic, &[("Authorization", header)], b"", 0);
    // The example of RFC 7617.
    assert_eq!(says("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), Ok(()));
    assert_eq!(says("basic QWxhZGRpbjpvcGVuIHNlc2FtZQ"), Ok(()));
    for wrong in [
        "Basic QWxhZGRpbjpvcGVuIHNlc2FtZ",
        "Basic ?",
        "Bearer x",
        "Basic",
    ] {
        assert_eq!(
            malformed_header(says(wrong)).as_deref(),
            Some("authorization"),
            "{wrong}"
        );
    }
    // Aladdin:open sesamE, and nothing at all.
    for wrong in ["Basic QWxhZGRpbjpvcGVuIHNlc2FtRQ==", "Basic "] {
        assert!(says(wrong).is_err(), "{wrong}");
    }
    assert_eq!(
        says("Basic QWxhZGRpbjpvcGVuIHNlc2FtRQ=="),
        Err(Refusal::WrongCredentials)
    );
}

#[test]
fn k7_an_api_key_is_looked_for_where_the_source_says() {
    let header = verifier(json!({"type": "api_key", "value": "k-1"}));
    assert_eq!(check(&header, &[("X-Api-Key", "k-1")], b"", 0), Ok(()));
    let wrong = Err(Refusal::WrongCredentials);
    assert_eq!(check(&header, &[("X-Api-Key", "k-11")], b"", 0), wrong);
    assert_eq!(check(&header, &[("X-Api-Key", "")], b"", 0), wrong);

    let named = json!({"type": "api_key", "header": "X-Token", "secrets": ["old", "new"]});
    for key in ["old", "new"] {
        assert_eq!(
            check(&verifier(named.clone()), &[("x-token", key)], b"", 0),
            Ok(())
        );
    }

    let query = verifier(json!({"type": "api_key", "query": "key", "secret": "a b&c"}));
    let says = |query_text: &str| {
        let headers: Vec<(&str, &str)> = Vec::new();
        query.verify(
            &SignedRequest {
                method: "POST",
                url: "",
                headers: &headers,
                query: query_text,
                body: b"",
            },
            at(0),
        )
    };
    assert_eq!(says("x=1&key=a+b%26c"), Ok(()));
    assert_eq!(says("key=a+b"), Err(Refusal::WrongCredentials));
    assert_eq!(
        says("x=1"),
        Err(Refusal::MissingQuery {
            name: "key".to_owned()
        })
    );
    let repeated = Err(Refusal::Repeated {
        name: "key".to_owned(),
    });
    assert_eq!(says("key=a+b%26c&key=z"), repeated);
}

#[test]
fn k7_no_verifier_lets_everything_in() {
    let none = Verifier::new(VerifierSpec::None {}).unwrap();
    assert_eq!(check(&none, &[], b"anything", 0), Ok(()));
}

#[test]
fn k7_a_refusal_says_what_to_do_and_gives_nothing_away() {
    let wrong = format!("sha256={GITHUB_ROTATED_HEX}");
    let refusal = github_says(&wrong).unwrap_err();
    let shown = format!("{refusal} {refusal:?}");
    assert!(shown.contains("current secret"), "{shown}");
    for hidden in [GITHUB_SECRET, GITHUB_HEX, GITHUB_ROTATED_HEX] {
        assert!(!shown.contains(hidden), "{shown}");
    }
    assert_eq!(refusal.reason(), "signature_mismatch");
}

#[test]
fn k8_coverage_says_which_locations_are_signed() {
    let github = github().coverage();
    assert_eq!(github, Coverage::Body);
    assert!(github.covers("body:$.id") && !github.covers("header:x-github-delivery"));

    let standard = standard(&[STANDARD_SECRET]).coverage();
    assert!(standard.covers("header:Webhook-Id") && standard.covers("body:$.id"));
    assert!(!standard.covers("header:x-id") && !standard.covers("query:id"));
    assert!(!standard.covers("method"));

    // A credential says who sent a request, and covers not a byte of it.
    for spec in [
        json!({"type": "none"}),
        json!({"type": "api_key", "secret": "k"}),
        json!({"type": "basic", "username": "u", "password": "p"}),
    ] {
        let coverage = verifier(spec).coverage();
        assert!(!coverage.covers("body:$.id") && !coverage.covers("path"));
    }
    assert!(Coverage::Everything.covers("path"));
}

#[test]
fn k8_the_key_of_github_and_shopify_is_unsigned_and_that_of_stripe_is_not() {
    let covered = |id: &str| {
        let preset = preset(id).unwrap();
        let spec = verifier_spec(Some(preset), Some(json!({"secret": "whsec_AAAA"}))).unwrap();
        let coverage = Verifier::new(spec).unwrap().coverage();
        preset
            .key_locations
            .iter()
            .all(|location| coverage.covers(location))
    };
    assert!(!covered("github") && !covered("shopify"));
    assert!(covered("stripe") && covered("standard_webhooks"));
}

#[test]
fn a_recorded_request_must_mask_its_credential() {
    let credential = |spec: Value| format!("{:?}", verifier(spec).credential());
    let basic = json!({"type": "basic", "username": "u", "password": "p"});
    assert_eq!(credential(basic), "Some(Header(\"authorization\"))");
    let header = json!({"type": "api_key", "secret": "k"});
    assert_eq!(credential(header), "Some(Header(\"x-api-key\"))");
    let query = json!({"type": "api_key", "query": "key", "secret": "k"});
    assert_eq!(credential(query), "Some(Query(\"key\"))");
    assert_eq!(credential(json!({"type": "stripe", "secret": "k"})), "None");
}
