//! A gateway, and an order that it delivers to a shop.

use std::process::Stdio;
use std::time::Duration;

use hooklatch_client::{Client, EndpointInput, MessageStatus, NewMessage, Target};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{interval, timeout};

/// The admin key of the tests.
pub const API_KEY: &str = "hl_end_to_end_tests_0123456789abcdef";
/// The binary.
pub const BINARY: &str = env!("CARGO_BIN_EXE_hooklatch");
/// How long anything may take.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A running gateway; it ends with this.
pub struct Gateway {
    /// Its address.
    pub url: String,
    client: Client,
    _child: Child,
}

impl Gateway {
    /// Starts one on an empty store, which ends with it.
    pub async fn start() -> Self {
        let mut command = Command::new(BINARY);
        configure(&mut command);
        let mut child = command
            .args(["serve", "--dev", "--listen", "127.0.0.1:0", "--in-memory"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary starts");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let url = timeout(DEADLINE, async {
            loop {
                let line = lines.next_line().await.expect("a log is text");
                let line = line.expect("it listens before it ends");
                if let Some((_, rest)) = line.split_once("http://") {
                    let address = rest.split_whitespace().next().unwrap_or_default();
                    return format!("http://{address}");
                }
            }
        });
        let url = url.await.expect("it listens");
        // Its log goes on, and must not fill a pipe that nobody reads.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self {
            client: Client::new(&url, API_KEY).expect("the URL is one"),
            url,
            _child: child,
        }
    }

    /// An endpoint for the shop on this port: its id and its secret.
    pub async fn endpoint(&self, port: u16) -> (String, String) {
        let endpoint = EndpointInput {
            name: "shop".to_owned(),
            url: format!("http://127.0.0.1:{port}/webhooks"),
            ..EndpointInput::default()
        };
        let made = self.client.create_endpoint(&endpoint).await;
        let made = made.expect("the endpoint is made");
        (made.id, made.secret.expect("it is shown once"))
    }

    /// Sends an order, and waits until the shop has taken it: the message's id.
    pub async fn delivered(&self, endpoint: &str) -> String {
        let order = json!({"type": "order.paid", "order_id": "order-1"});
        let message = NewMessage::new(Target::Endpoint(endpoint.to_owned()), &order);
        let sent = self.client.send(&message.expect("it is JSON")).await;
        let id = sent.expect("it is accepted").message.id;
        let mut look = interval(Duration::from_millis(50));
        let delivered = timeout(DEADLINE, async {
            loop {
                look.tick().await;
                let message = self.client.message(&id).await.expect("it is there");
                if message.status == MessageStatus::Delivered {
                    return;
                }
            }
        });
        delivered.await.expect("the shop takes the order");
        id
    }
}

/// Gives a command the tests' key and none of the caller's settings.
pub fn configure(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HOOKLATCH_") {
            command.env_remove(name);
        }
    }
    command.env("HOOKLATCH_API_KEY", API_KEY);
}
