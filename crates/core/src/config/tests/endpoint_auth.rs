//! How an endpoint lets us in: sealed, masked, kept, and checked when it is saved.

use serde_json::{Value, json};

use crate::config::testing::World;
use crate::config::{Endpoint, EndpointInput, OpenAuth, Record};

fn every_kind() -> [Value; 4] {
    [
        json!({"type": "basic", "username": "us", "password": "s3cret"}),
        json!({"type": "bearer", "token": "s3cret"}),
        json!({"type": "oauth2", "token_url": "https://id.example/token", "client_id": "us",
            "client_secret": "s3cret", "scope": "hooks", "audience": null, "client_auth": "basic"}),
        json!({"type": "mtls", "certificate": "-----BEGIN", "key": "s3cret"}),
    ]
}

fn masked(auth: &Value) -> Value {
    let text = auth.to_string().replace("s3cret", "***");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn what_lets_us_in_is_sealed_and_masked_and_kept_when_the_mask_comes_back() {
    let mut world = World::new();
    for auth in every_kind() {
        let endpoint = world.endpoint(json!({"auth": auth}));
        assert!(!endpoint.to_stored().contains("s3cret"), "{auth}");
        assert!(!format!("{endpoint:?}").contains("s3cret"), "{auth}");
        let endpoint = Endpoint::from_stored(&endpoint.to_stored()).unwrap();
        let shown = endpoint.public(&world.sealing_key);
        assert_eq!(shown["auth"], masked(&auth));

        let patch = json!({"timeout_seconds": 7, "auth": shown["auth"]});
        let input = EndpointInput::patched(&endpoint, patch, &world.sealing_key).unwrap();
        let patched = world.try_endpoint(input, Some(&endpoint)).unwrap().endpoint;
        let opened = patched.open_auth(&world.sealing_key).unwrap();
        assert_eq!(opened, endpoint.open_auth(&world.sealing_key).unwrap());
        assert!(opened.is_some());

        let none = json!({"auth": null});
        let input = EndpointInput::patched(&endpoint, none, &world.sealing_key).unwrap();
        let without = world.try_endpoint(input, Some(&endpoint)).unwrap().endpoint;
        assert_eq!(without.auth, None);
    }
}

#[test]
fn basic_and_bearer_are_what_the_header_says() {
    let mut world = World::new();
    let [basic, bearer, ..] = every_kind();
    for (auth, header) in [(basic, "Basic dXM6czNjcmV0"), (bearer, "Bearer s3cret")] {
        let endpoint = world.endpoint(json!({"auth": auth}));
        let Some(OpenAuth::Authorization(value)) = endpoint.open_auth(&world.sealing_key).unwrap()
        else {
            panic!("{auth}")
        };
        assert_eq!(value.expose(), header);
    }
}

#[test]
fn another_kind_replaces_the_one_before_whole() {
    let mut world = World::new();
    let [basic, bearer, ..] = every_kind();
    let endpoint = world.endpoint(json!({"auth": basic}));
    let patch = json!({"auth": bearer});
    let input = EndpointInput::patched(&endpoint, patch, &world.sealing_key).unwrap();
    let patched = world.try_endpoint(input, Some(&endpoint)).unwrap().endpoint;
    assert_eq!(patched.public(&world.sealing_key)["auth"], masked(&bearer));
}

#[test]
fn what_cannot_let_us_in_is_refused_when_it_is_saved() {
    let mut world = World::new();
    for (auth, pointers) in [
        (
            json!({"type": "basic", "username": "a:b", "password": ""}),
            vec!["/auth/username", "/auth/password"],
        ),
        (
            json!({"type": "bearer", "token": "a b"}),
            vec!["/auth/token"],
        ),
        (
            json!({"type": "bearer", "token": "***"}),
            vec!["/auth/token"],
        ),
        (
            json!({"type": "oauth2", "token_url": "http://169.254.169.254/", "client_id": "", "client_secret": "x"}),
            vec!["/auth/token_url", "/auth/client_id"],
        ),
        (
            json!({"type": "mtls", "certificate": "c".repeat(65_537), "key": "k"}),
            vec!["/auth/certificate"],
        ),
    ] {
        let refused =
            world.refused_endpoint(json!({"name": "a", "url": "https://a.example", "auth": auth}));
        assert_eq!(refused, pointers, "{auth}");
    }
    let twice = json!({"name": "a", "url": "https://a.example",
        "headers": {"authorization": "x"}, "auth": {"type": "bearer", "token": "x"}});
    assert_eq!(world.refused_endpoint(twice), ["/auth"]);
    let plain = json!({"name": "a", "url": "http://a.example",
        "auth": {"type": "mtls", "certificate": "c", "key": "k"}});
    assert_eq!(world.refused_endpoint(plain), ["/auth"]);
    for unknown in [
        json!({"type": "ntlm"}),
        json!({"type": "bearer"}),
        json!("token"),
    ] {
        let input = json!({"name": "a", "url": "https://a.example", "auth": unknown});
        let refused = world.refused_endpoint(input);
        assert!(refused[0].starts_with("/auth"), "{refused:?}");
    }
}
