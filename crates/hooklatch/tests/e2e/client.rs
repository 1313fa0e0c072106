//! The typed client on a real gateway: what its own tests have a made-up server say, the gateway
//! says.

use std::time::Duration;

use hooklatch_client::{
    ClaimInput, ClaimOrigin, ClaimResult, ClaimState, Claimed, Client, Ended, EndpointInput,
    HeldClaim, ReplayFilter, ReplayStatus, Retention, SourceInput,
};
use serde_json::json;

use crate::support::gateway::API_KEY;
use crate::support::{Backend, Data, Gateway, on_each_store};

on_each_store! {
    l2_the_client_claims_and_completes_events
    l2_the_client_gives_events_back_and_gives_them_up
    the_client_operates_a_gateway
}

const LEASE: Duration = Duration::from_secs(60);
const WINDOW: Duration = Duration::from_secs(3_600);

fn client(gateway: &Gateway) -> Client {
    let url = format!("http://{}", gateway.address);
    Client::new(&url, API_KEY).expect("the address is usable")
}

fn wish(key: &str) -> ClaimInput {
    ClaimInput::new("shop", key, LEASE, WINDOW)
}

async fn held(client: &Client, key: &str) -> HeldClaim {
    match client.claim(&wish(key)).await.expect("it answers") {
        Claimed::Acquired(held) => held,
        other => panic!("{key} is free: {other:?}"),
    }
}

async fn l2_the_client_claims_and_completes_events(on: Backend) {
    let data = Data::new(on).await;
    let gateway = Gateway::start(&data).await;
    let client = client(&gateway);

    let first = wish("evt_1").fingerprint("aa".repeat(32));
    let Ok(Claimed::Acquired(run)) = client.claim(&first).await else {
        panic!("nobody has seen it");
    };
    assert_eq!((run.attempt, run.origin), (1, ClaimOrigin::First));
    let Ok(Claimed::Acquired(again)) = client.claim(&first).await else {
        panic!("its own token finds it");
    };
    assert!(again.lease_expires_at >= run.lease_expires_at);
    let lease_expires_at = again.lease_expires_at.clone();
    let run = HeldClaim {
        lease_expires_at,
        ..run
    };
    assert_eq!(again, run, "the lease alone starts anew");
    let busy = client
        .claim(&wish("evt_1").fingerprint("aa".repeat(32)))
        .await;
    assert!(matches!(busy, Ok(Claimed::InProgress { retry_after }) if retry_after <= LEASE));
    let other = client
        .claim(&wish("evt_1").fingerprint("bb".repeat(32)))
        .await;
    let state = ClaimState::Processing;
    assert_eq!(other.expect("it answers"), Claimed::Conflict { state });

    let step = ClaimResult::json(json!({"charge": "ch_7"}));
    let kept = client.keep_claim_step(&run, "charge", &step).await;
    assert_eq!(kept.expect("it answers"), Ended::Applied);
    let kept = client.claim_step(&run, "charge").await;
    let kept = kept.expect("it answers").expect("it was kept");
    assert_eq!((kept.name.as_str(), &kept.result), ("charge", &step));
    let other = client.claim_step(&run, "mail").await;
    assert!(other.expect("it answers").is_none());

    let result = ClaimResult::json(json!({"ticket": 7}));
    let renewed = client.renew_claim(&run, Some(LEASE * 2)).await;
    assert_eq!(renewed.expect("it answers"), Ended::Applied);
    for ended in [Ended::Applied, Ended::AlreadyComplete] {
        let completed = client.complete_claim(&run, &result).await;
        assert_eq!(completed.expect("it answers"), ended);
    }
    let done = client
        .claim(&wish("evt_1").fingerprint("aa".repeat(32)))
        .await;
    assert_eq!(
        done.expect("it answers"),
        Claimed::Completed(result.clone())
    );
    let seen = client.receiver_claim_of("shop", "evt_1").await;
    let seen = seen.expect("it answers").expect("it is known");
    assert_eq!((seen.state, &seen.result), (ClaimState::Completed, &result));
}

async fn l2_the_client_gives_events_back_and_gives_them_up(on: Backend) {
    let data = Data::new(on).await;
    let gateway = Gateway::start(&data).await;
    let client = client(&gateway);
    let result = ClaimResult::json(json!({"ticket": 7}));

    let run = held(&client, "evt_2").await;
    let released = client.release_claim(&run, Duration::ZERO, "closed").await;
    assert_eq!(released.expect("it answers"), Ended::Applied);
    let stale = client.complete_claim(&run, &result).await;
    assert_eq!(stale.expect("it answers"), Ended::Fenced);
    let retry = held(&client, "evt_2").await;
    assert_eq!((retry.attempt, retry.origin), (2, ClaimOrigin::Retry));
    let failed = client.fail_claim(&retry, "no such account").await;
    assert_eq!(failed.expect("it answers"), Ended::Applied);
    let error = "no such account".to_owned();
    let dead = client.claim(&wish("evt_2")).await;
    assert_eq!(dead.expect("it answers"), Claimed::Dead { error });
    let shown = client.receiver_claim(&retry.id).await.expect("it is there");
    assert_eq!((shown.state, shown.attempts), (ClaimState::Dead, 2));

    let nowhere = HeldClaim {
        id: format!("clm_{}", "0".repeat(64)),
        ..retry
    };
    let gone = client.complete_claim(&nowhere, &result).await;
    assert_eq!(gone.expect("it answers"), Ended::Gone);
}

async fn the_client_operates_a_gateway(on: Backend) {
    let data = Data::new(on).await;
    let gateway = Gateway::start(&data).await;
    let client = client(&gateway);
    let input = SourceInput {
        name: "shop".into(),
        ..SourceInput::default()
    };
    let source = client.create_source(&input).await.expect("it is made");
    let paused = client.pause_source(&source.id).await;
    assert_eq!(paused.expect("it is there").id, source.id);
    let resumed = client.resume_source(&source.id).await;
    assert_eq!(resumed.expect("it is there").name, "shop");

    let input = EndpointInput {
        name: "billing".into(),
        url: "http://127.0.0.1:9/hooks".into(),
        ..EndpointInput::default()
    };
    let endpoint = client.create_endpoint(&input).await.expect("it is made");
    let rotated = client.rotate_endpoint_secret(&endpoint.id, None).await;
    let secret = rotated.expect("it is there").secret;
    assert!(secret.is_some() && secret != endpoint.secret);
    let paused = client.pause_endpoint(&endpoint.id).await;
    assert_eq!(paused.expect("it is there").id, endpoint.id);

    let filter = ReplayFilter {
        endpoint_id: Some(endpoint.id.clone()),
        ..ReplayFilter::default()
    };
    let job = client.cancel_deliveries(&filter, Some("a trial")).await;
    let job = job.expect("it is planned");
    assert_ne!(job.status, ReplayStatus::Cancelled);
    assert_eq!(job.total, 0, "there is nothing to call off");

    let wanted = Retention {
        payload_days: Some(30),
        ..Retention::default()
    };
    let set = client.set_retention(&wanted).await.expect("it is taken");
    assert_eq!(set.payload_days, Some(30));
    assert_eq!(
        client.retention().await.expect("it answers").payload_days,
        Some(30)
    );

    for deleted in [
        client.delete_source(&source.id).await,
        client.delete_endpoint(&endpoint.id).await,
    ] {
        deleted.expect("it was there");
    }
    let gone = client.source(&source.id).await.unwrap_err();
    assert_eq!(gone.problem().map(|problem| problem.status), Some(404));
}
