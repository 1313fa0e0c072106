//! The client's outbox, in a shop's own database, before a real gateway.

use std::net::SocketAddr;

use hooklatch_client::outbox::postgres::PostgresOutbox;
use hooklatch_client::outbox::sqlite::SqliteOutbox;
use hooklatch_client::outbox::{self, Outbox, Refused, Relay, RelayError, Relayed};
use hooklatch_client::{
    Client, EndpointInput, Message, MessageFilter, NewMessage, PageRequest, Target,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_postgres::NoTls;

use crate::support::data::TestDatabase;
use crate::support::gateway::API_KEY;
use crate::support::{Backend, Data, Gateway, on_each_lasting_store, on_each_store};

on_each_store! {
    an_outbox_sends_what_was_committed_and_keeps_what_is_refused
    s2_a_relay_that_dies_before_it_has_marked_what_it_sent_makes_one_message
}

on_each_lasting_store! {
    "It is killed, and the next process takes what waited in the outbox":
    a_gateway_that_is_away_loses_nothing
}

/// What becomes of the shop's transaction.
#[derive(Clone, Copy)]
enum Fate {
    Commits,
    RollsBack,
}

/// A shop with a database of its own.
enum Shop {
    Sqlite(TempDir),
    Postgres(TestDatabase),
}

impl Shop {
    async fn open(on: Backend) -> Self {
        match on {
            // A shop's orders outlive its process wherever the gateway's messages are.
            Backend::Memory | Backend::Sqlite => {
                Self::Sqlite(TempDir::new().expect("a temporary directory"))
            }
            Backend::Postgres => {
                let database = TestDatabase::create().await;
                let outbox = on_postgres(&database);
                outbox.create_table().await.expect("a table");
                outbox
                    .create_table()
                    .await
                    .expect("once more changes nothing");
                Self::Postgres(database)
            }
        }
    }

    async fn order(&self, message: &NewMessage, fate: Fate) {
        match self {
            Self::Sqlite(directory) => {
                drop(on_sqlite(directory));
                let file = directory.path().join("shop.db");
                let mut connection = rusqlite::Connection::open(file).expect("a file");
                let tx = connection.transaction().expect("a lock");
                outbox::sqlite::enqueue(&tx, message).expect("a row");
                match fate {
                    Fate::Commits => tx.commit().expect("a file"),
                    Fate::RollsBack => tx.rollback().expect("a file"),
                }
            }
            Self::Postgres(database) => {
                let connected = tokio_postgres::connect(&database.url(), NoTls).await;
                let (mut client, driver) = connected.expect("it answers");
                tokio::spawn(driver);
                let tx = client.transaction().await.expect("it answers");
                outbox::postgres::enqueue(&tx, message)
                    .await
                    .expect("a row");
                match fate {
                    Fate::Commits => tx.commit().await.expect("it answers"),
                    Fate::RollsBack => tx.rollback().await.expect("it answers"),
                }
            }
        }
    }

    async fn relay(&self, client: Client) -> Result<Relayed, RelayError> {
        match self {
            Self::Sqlite(directory) => Relay::new(client, on_sqlite(directory)).once().await,
            Self::Postgres(database) => Relay::new(client, on_postgres(database)).once().await,
        }
    }

    /// A relay in the background.
    fn relaying(&self, client: Client) -> tokio::task::JoinHandle<()> {
        async fn run(relay: Relay<impl Outbox>) {
            relay.run(std::future::pending(), |_| {}).await;
        }
        match self {
            Self::Sqlite(directory) => tokio::spawn(run(Relay::new(client, on_sqlite(directory)))),
            Self::Postgres(database) => {
                tokio::spawn(run(Relay::new(client, on_postgres(database))))
            }
        }
    }

    async fn refused(&self) -> Vec<Refused> {
        let refused = match self {
            Self::Sqlite(directory) => on_sqlite(directory).refused(10).await,
            Self::Postgres(database) => on_postgres(database).refused(10).await,
        };
        refused.expect("it answers")
    }

    async fn send_again(&self, id: i64) -> bool {
        let again = match self {
            Self::Sqlite(directory) => on_sqlite(directory).send_again(id).await,
            Self::Postgres(database) => on_postgres(database).send_again(id).await,
        };
        again.expect("it answers")
    }
}

fn on_sqlite(directory: &TempDir) -> SqliteOutbox {
    SqliteOutbox::open(&directory.path().join("shop.db")).expect("a file")
}

fn on_postgres(database: &TestDatabase) -> PostgresOutbox<NoTls> {
    PostgresOutbox::new(database.url().parse().expect("a URL"), NoTls)
}

fn client_at(address: SocketAddr) -> Client {
    Client::new(&format!("http://{address}"), API_KEY).expect("the address is usable")
}

async fn endpoint(client: &Client) -> Target {
    let input = EndpointInput {
        name: "billing".into(),
        url: "http://127.0.0.1:9/hooks".into(),
        ..EndpointInput::default()
    };
    Target::Endpoint(client.create_endpoint(&input).await.expect("it is made").id)
}

fn order(target: &Target, key: &str, total: u32) -> NewMessage {
    let payload = json!({"order": key, "total": total});
    let message = NewMessage::new(target.clone(), &payload).expect("JSON");
    message.event_type("order.paid").idempotency_key(key)
}

async fn messages(client: &Client) -> Vec<Message> {
    let (filter, page) = (MessageFilter::default(), PageRequest::default());
    let all = client.messages(&filter, &page);
    all.await.expect("it answers").data
}

const fn relayed(sent: usize, refused: usize) -> Relayed {
    Relayed {
        sent,
        refused,
        postponed: 0,
    }
}

async fn an_outbox_sends_what_was_committed_and_keeps_what_is_refused(on: Backend) {
    let data = Data::new(on).await;
    let gateway = Gateway::start(&data).await;
    let client = client_at(gateway.address);
    let (target, shop) = (endpoint(&client).await, Shop::open(on).await);

    shop.order(&order(&target, "order-1", 100), Fate::Commits)
        .await;
    shop.order(&order(&target, "order-2", 200), Fate::RollsBack)
        .await;
    // A bug of the shop: another payload under the same key.
    shop.order(&order(&target, "order-1", 999), Fate::Commits)
        .await;
    shop.order(&order(&target, "order-3", 300), Fate::Commits)
        .await;
    let round = shop.relay(client.clone()).await;
    assert_eq!(round.expect("both answer"), relayed(2, 1));
    let mut keys: Vec<_> = messages(&client)
        .await
        .into_iter()
        .map(|m| m.idempotency_key)
        .collect();
    keys.sort();
    assert_eq!(
        keys,
        [Some("order-1".to_owned()), Some("order-3".to_owned())]
    );

    let nothing = shop.relay(client.clone()).await;
    assert_eq!(nothing.expect("both answer"), Relayed::default());
    let refused = shop.refused().await;
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].idempotency_key, "order-1");
    assert!(refused[0].error.contains("409"), "{}", refused[0].error);
    assert!(refused[0].item.contains("999"), "{}", refused[0].item);
    assert!(shop.send_again(refused[0].id).await);
    assert!(!shop.send_again(refused[0].id).await, "it waits already");
    let again = shop.relay(client).await;
    assert_eq!(again.expect("both answer"), relayed(0, 1));
}

/// Passes what is asked on to the gateway, and no answer back: it says when there is one.
async fn swallowing(gateway: SocketAddr) -> (SocketAddr, oneshot::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it listens");
    let (answered, heard) = oneshot::channel();
    tokio::spawn(async move {
        let (mut asking, _) = listener.accept().await.expect("the relay calls");
        let mut to_gateway = TcpStream::connect(gateway).await.expect("it listens");
        let mut asked = vec![0; 64 * 1024];
        let mut answer = vec![0; 64 * 1024];
        loop {
            tokio::select! {
                read = asking.read(&mut asked) => match read {
                    Ok(bytes) if bytes > 0 => {
                        let passed = to_gateway.write_all(&asked[..bytes]).await;
                        passed.expect("the gateway reads");
                    }
                    Ok(_) | Err(_) => return,
                },
                read = to_gateway.read(&mut answer) => {
                    assert!(answer.starts_with(b"HTTP/1.1 200"), "{read:?}");
                    break;
                }
            }
        }
        answered.send(()).expect("the test waits");
        // Until the relay is gone.
        while asking.read(&mut asked).await.is_ok_and(|bytes| bytes > 0) {}
    });
    (address, heard)
}

async fn s2_a_relay_that_dies_before_it_has_marked_what_it_sent_makes_one_message(on: Backend) {
    let data = Data::new(on).await;
    let gateway = Gateway::start(&data).await;
    let client = client_at(gateway.address);
    let (target, shop) = (endpoint(&client).await, Shop::open(on).await);
    shop.order(&order(&target, "order-1", 100), Fate::Commits)
        .await;

    let (address, answered) = swallowing(gateway.address).await;
    let relay = shop.relaying(client_at(address));
    answered.await.expect("the gateway has taken it");
    relay.abort();
    assert!(relay.await.expect_err("it was ended").is_cancelled());
    assert_eq!(messages(&client).await.len(), 1);

    // PostgreSQL lets go of the dead relay's rows as soon as it notices.
    let mut sent = 0;
    while sent == 0 {
        sent = shop.relay(client.clone()).await.expect("both answer").sent;
    }
    assert_eq!(sent, 1, "it was not marked");
    assert_eq!(messages(&client).await.len(), 1, "and is one message");
    let nothing = shop.relay(client).await;
    assert_eq!(nothing.expect("both answer"), Relayed::default());
}

async fn a_gateway_that_is_away_loses_nothing(on: Backend) {
    let data = Data::new(on).await;
    let mut gateway = Gateway::start(&data).await;
    let client = client_at(gateway.address);
    let (target, shop) = (endpoint(&client).await, Shop::open(on).await);
    gateway.kill().await;
    for number in 0..250 {
        shop.order(
            &order(&target, &format!("order-{number}"), number),
            Fate::Commits,
        )
        .await;
    }
    let away = shop.relay(client).await;
    assert!(matches!(away, Err(RelayError::Gateway(_))), "{away:?}");
    let gateway = Gateway::start(&data).await;
    let client = client_at(gateway.address);
    let mut rounds = Vec::new();
    while rounds.last() != Some(&0) {
        let round = shop.relay(client.clone()).await.expect("both answer");
        assert_eq!((round.refused, round.postponed), (0, 0));
        rounds.push(round.sent);
    }
    assert_eq!(rounds, [100, 100, 50, 0]);
}
