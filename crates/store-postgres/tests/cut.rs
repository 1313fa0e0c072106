//! A connection that breaks in the middle of a commit: whoever asked is told what became of it,
//! because the database is asked, and nothing is guessed.

mod server;

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use hooklatch_core::admission::Decision;
use hooklatch_core::delivery::Reason;
use hooklatch_core::delivery::lifecycle::{Command, Next};
use hooklatch_core::ids::ProjectId;
use hooklatch_core::receiving::call::{Call, ClaimId, Outcome};
use hooklatch_core::receiving::claim::{Claim, Claimed, Intent, Metadata};
use hooklatch_core::receiving::key::Fingerprint;
use hooklatch_core::receiving::token::Token;
use hooklatch_store::suite::{Fixture, World};
use hooklatch_store::{
    AuditEntry, Commanded, ConfigKind, ConfigRecord, Expected, Saved, StoreError,
};
use server::InADatabase;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_postgres::Config;
use tokio_postgres::config::Host;

/// Where the next commit is cut off.
#[derive(Clone, Copy)]
enum Cut {
    /// The database never hears of it.
    Before = 1,
    /// The database has committed, and its answer is lost.
    After = 2,
}

/// What the proxy does with the next commit; 0 is nothing.
type Armed = Arc<AtomicU8>;

/// A world whose store reaches its database through a proxy that cuts commits off.
fn world() -> (World<InADatabase>, Armed) {
    let mut world = World::<InADatabase>::new();
    let config = Config::from_str(&world.fixture.server).expect("the URL is one");
    let [Host::Tcp(host)] = config.get_hosts() else {
        panic!("the server is reached over TCP");
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let target = format!("{host}:{port}");
    let armed = Armed::default();
    let (to, of) = (target.clone(), Arc::clone(&armed));
    let listening = world.fixture.runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it has one");
        tokio::spawn(listen(listener, to, of));
        address
    });
    let through = listening.to_string();
    assert!(world.fixture.server.contains(&target), "{target}");
    world.fixture.server = world.fixture.server.replace(&target, &through);
    world.fixture.crash();
    (world, armed)
}

async fn listen(listener: TcpListener, target: String, armed: Armed) {
    while let Ok((client, _)) = listener.accept().await {
        let (target, armed) = (target.clone(), Arc::clone(&armed));
        tokio::spawn(async move {
            let server = TcpStream::connect(target).await.expect("the server is up");
            // An end that is gone ends the other: that is all there is to do.
            drop(forward(client, server, &armed).await);
        });
    }
}

async fn forward(
    mut client: TcpStream,
    mut server: TcpStream,
    armed: &AtomicU8,
) -> std::io::Result<()> {
    let (mut asked, mut said) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let chunk = &asked[..read?];
                if chunk.is_empty() {
                    return Ok(());
                }
                let commits = chunk.windows(6).any(|window| window == b"COMMIT");
                let cut = if commits { armed.swap(0, Ordering::SeqCst) } else { 0 };
                if cut == Cut::Before as u8 {
                    return Ok(());
                }
                server.write_all(chunk).await?;
                if cut == Cut::After as u8 {
                    // The answer to the last of what was sent: its commit.
                    loop {
                        let read = server.read(&mut said).await?;
                        if commit_is_answered(&said[..read]) {
                            return Ok(());
                        }
                    }
                }
            }
            read = server.read(&mut said) => {
                let chunk = &said[..read?];
                if chunk.is_empty() {
                    return Ok(());
                }
                client.write_all(chunk).await?;
            }
        }
    }
}

fn commit_is_answered(chunk: &[u8]) -> bool {
    chunk.is_empty() || chunk.windows(6).any(|window| window == b"COMMIT")
}

fn record() -> ConfigRecord {
    ConfigRecord {
        kind: ConfigKind::Source,
        number: 7,
        project_id: ProjectId::from_number(1),
        name: Some("shop".to_owned()),
        document: "{}".to_owned(),
        revision: 0,
    }
}

#[test]
fn c8_an_arrival_whose_commit_was_cut_off_is_answered_as_it_ended() {
    let (world, armed) = world();
    let store = world.store();
    let arrival = || vec![world.inbound("k", "{}").to(&[1]).arrival];

    armed.store(Cut::Before as u8, Ordering::SeqCst);
    let admitted = world.fixture.wait(store.admit(arrival()));
    assert!(
        matches!(admitted, Err(StoreError::Unavailable(_))),
        "{admitted:?}"
    );

    armed.store(Cut::After as u8, Ordering::SeqCst);
    let admitted = loop {
        // Who asks right after a cut is told at once that the database was away.
        match world.fixture.wait(store.admit(arrival())) {
            Ok(admitted) => break admitted,
            Err(error) => assert_ne!(armed.load(Ordering::SeqCst), 0, "{error:?}"),
        }
    };
    assert!(
        matches!(admitted[0].decision, Decision::Accept(_)),
        "the first try was undone whole"
    );

    let again = loop {
        if let Ok(again) = world.fixture.wait(store.admit(arrival())) {
            break again;
        }
    };
    assert!(
        !matches!(again[0].decision, Decision::Accept(_)),
        "what was committed is known"
    );
    assert_eq!(armed.load(Ordering::SeqCst), 0);
}

fn claim(world: &World<InADatabase>, token: u8) -> Result<Claimed, StoreError> {
    let id = ClaimId::of("shop", "evt_1").expect("it is short");
    let wish = Claim {
        key: id.0,
        fingerprint: Fingerprint::of(b"{}"),
        token: Token::from_bytes([token; 16]),
        lease: Duration::from_secs(10),
        attempts_max: 3,
        retention: Duration::from_secs(60),
        intent: Intent::Delivery,
        metadata: Metadata::default(),
    };
    let call = Call::Claim {
        scope: "shop".to_owned(),
        key: "evt_1".to_owned(),
        wish,
    };
    let store = world.store();
    let audit = AuditEntry {
        at: store.now(),
        actor: None,
        action: "claim.replay".to_owned(),
        subject: id.to_string(),
        reason: None,
    };
    let called = store.call_claim(ProjectId::from_number(1), id.0, call, audit);
    match world.fixture.wait(called)?.outcome {
        Outcome::Claimed(claimed) => Ok(claimed),
        other => panic!("a claim is answered as one: {other:?}"),
    }
}

#[test]
fn l2_a_claim_whose_commit_was_cut_off_is_answered_as_it_ended() {
    let (world, armed) = world();

    armed.store(Cut::Before as u8, Ordering::SeqCst);
    let cut_off = claim(&world, 1);
    assert!(
        matches!(cut_off, Err(StoreError::Unavailable(_))),
        "{cut_off:?}"
    );

    armed.store(Cut::After as u8, Ordering::SeqCst);
    let claimed = loop {
        // Who asks right after a cut is told at once that the database was away.
        match claim(&world, 2) {
            Ok(claimed) => break claimed,
            Err(error) => assert_ne!(armed.load(Ordering::SeqCst), 0, "{error:?}"),
        }
    };
    let Claimed::Run(grant) = claimed else {
        panic!("the first try was undone whole: {claimed:?}")
    };
    assert_eq!(grant.attempt, 1);

    let again = loop {
        if let Ok(again) = claim(&world, 3) {
            break again;
        }
    };
    assert!(matches!(again, Claimed::Busy { .. }), "{again:?}");
    assert_eq!(armed.load(Ordering::SeqCst), 0);
}

#[test]
fn a_document_whose_commit_was_cut_off_is_answered_as_it_ended() {
    let (world, armed) = world();
    let store = world.store();

    armed.store(Cut::Before as u8, Ordering::SeqCst);
    let saved = world.fixture.wait(store.save(record(), Expected::Nothing));
    assert!(
        matches!(saved, Err(StoreError::Unavailable(_))),
        "{saved:?}"
    );

    armed.store(Cut::After as u8, Ordering::SeqCst);
    let saved = world.fixture.wait(store.save(record(), Expected::Nothing));
    assert_eq!(saved.unwrap(), Saved::Done { revision: 1 });
    assert_eq!(world.fixture.wait(store.load()).unwrap().len(), 1);
}

#[test]
fn a_command_whose_commit_was_cut_off_is_answered_as_it_ended() {
    let (world, armed) = world();
    let store = world.store();
    world.accepted(world.inbound("k", "{}").to(&[1]));
    let delivery = world.attempt(Next::Hold(Reason::Uncertain));
    let cancel = || store.command(delivery.project_id, delivery.id, Command::Cancel);

    armed.store(Cut::Before as u8, Ordering::SeqCst);
    let commanded = world.fixture.wait(cancel());
    assert!(
        matches!(commanded, Err(StoreError::Unavailable(_))),
        "{commanded:?}"
    );

    armed.store(Cut::After as u8, Ordering::SeqCst);
    let commanded = world.fixture.wait(cancel()).unwrap();
    assert!(matches!(commanded, Commanded::Done(_)), "{commanded:?}");
}
