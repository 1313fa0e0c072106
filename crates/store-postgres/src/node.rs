//! What makes this process one node among many: a slot of the numbers for itself, an ear for what
//! the others say, and a voice.
//!
//! The slot is a lock of a session: it ends with the session, so no two living nodes have one.
//! Without a slot nothing is numbered, so nothing is written. What the others say only saves time:
//! whoever hears nothing looks by itself, every [`LOOK`].

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hooklatch_core::ids::{Mint, NodeSlot};
use hooklatch_store::Wake;
use tokio::sync::watch;
use tokio_postgres::{AsyncMessage, Client};
use tokio_util::sync::CancellationToken;

use crate::connect::{Connector, Wire};
use crate::fault::Fault;

/// How often a node looks for what it may not have heard of: a bound on how late it learns what
/// another node wrote or changed.
pub(crate) const LOOK: Duration = Duration::from_secs(1);

/// On which channel nodes say that something may be due.
pub(crate) const WORK: &str = "hooklatch_work";
/// On which channel nodes say that the configuration has changed.
pub(crate) const CHANGE: &str = "hooklatch_config";

/// The first half of the locks that are slots.
const SLOT_LOCK: i32 = 0x686b_6c74;
const SLOTS: i32 = 256;

/// The pause before the first new try, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// This node's numbers, while it has a slot.
#[derive(Default)]
pub(crate) struct Numbers(Mutex<Option<Mint>>);

impl Numbers {
    fn set(&self, mint: Option<Mint>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = mint;
    }

    /// Numbers something. Nothing else happens under the lock.
    pub(crate) fn with<T>(&self, number: impl FnOnce(&mut Mint) -> T) -> Result<T, Fault> {
        let mut mint: MutexGuard<'_, Option<Mint>> =
            self.0.lock().unwrap_or_else(PoisonError::into_inner);
        mint.as_mut()
            .map(number)
            .ok_or_else(|| Fault::lost("this node has no slot for its numbers at the moment"))
    }
}

/// Whom to call.
pub(crate) type Wakes = Arc<Mutex<Vec<Wake>>>;

/// Calls everyone.
pub(crate) fn wake(wakes: &Wakes) {
    for wake in wakes.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        wake();
    }
}

/// The session that makes this process a node.
pub(crate) struct Node {
    /// How to connect.
    pub connector: Connector,
    /// What it signs with.
    pub name: String,
    /// The numbers.
    pub numbers: Arc<Numbers>,
    /// Called when something may be due.
    pub work: Wakes,
    /// Called when the configuration may have changed.
    pub change: Wakes,
    /// Ends it.
    pub stop: CancellationToken,
}

impl Node {
    /// Becomes a node; answers once it is one. It goes on by itself, and becomes one again
    /// whenever its session is lost.
    pub(crate) async fn start(self) -> Result<(), Fault> {
        let (up, mut first) = watch::channel(None);
        tokio::spawn(async move {
            let mut pause = PAUSES.0;
            loop {
                let began = Instant::now();
                let ended = tokio::select! {
                    ended = self.live(&up) => ended,
                    () = self.stop.cancelled() => return,
                };
                self.numbers.set(None);
                let Err(fault) = ended;
                if up.borrow().is_none() {
                    up.send_replace(Some(Err(fault)));
                    return;
                }
                tracing::warn!(%fault, "this node lost its session; making another");
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = self.stop.cancelled() => return,
                }
                pause = if began.elapsed() > PAUSES.1 * 2 {
                    PAUSES.0
                } else {
                    (pause * 2).min(PAUSES.1)
                };
            }
        });
        let came = first.wait_for(Option::is_some).await;
        match came.ok().and_then(|came| came.clone()) {
            Some(came) => came,
            None => Err(Fault::Closed),
        }
    }

    /// Lives as a node until its session is lost.
    async fn live(
        &self,
        up: &watch::Sender<Option<Result<(), Fault>>>,
    ) -> Result<std::convert::Infallible, Fault> {
        let (client, connection) = self.connector.open().await?;
        let ear = self.listen(connection);
        let life = async {
            let slot = take_slot(&client).await?;
            let last = last_number(&client).await?;
            let listen = format!("LISTEN {WORK}; LISTEN {CHANGE}");
            client.batch_execute(&listen).await?;
            self.numbers.set(Some(Mint::in_slot(slot, last)));
            tracing::debug!(slot = slot.0, "this process is a node");
            up.send_replace(Some(Ok(())));
            // What was said before there was an ear.
            wake(&self.work);
            wake(&self.change);
            self.stay(&client).await
        };
        tokio::select! {
            ended = life => ended,
            lost = ear => Err(lost),
        }
    }

    /// Keeps the session alive, and looks now and then for what was not heard.
    async fn stay(&self, client: &Client) -> Result<std::convert::Infallible, Fault> {
        loop {
            tokio::time::sleep(LOOK).await;
            let alive = tokio::time::timeout(LOOK * 5, client.batch_execute("SELECT"));
            match alive.await {
                Ok(answered) => answered?,
                Err(_) => return Err(Fault::lost("the database does not answer")),
            }
            wake(&self.work);
            wake(&self.change);
        }
    }

    /// Drives the connection, and passes on what is heard. Ends when the connection does.
    async fn listen(&self, mut connection: Wire) -> Fault {
        loop {
            match poll_fn(|context| connection.poll_message(context)).await {
                Some(Ok(AsyncMessage::Notification(said))) if said.channel() == CHANGE => {
                    wake(&self.change);
                }
                // One's own voice says nothing new.
                Some(Ok(AsyncMessage::Notification(said))) if said.payload() == self.name => {}
                Some(Ok(AsyncMessage::Notification(_))) => wake(&self.work),
                Some(Ok(_)) => {}
                Some(Err(error)) => return error.into(),
                None => return Fault::lost("the database closed it"),
            }
        }
    }
}

/// Locks a slot that nobody has, beginning at any.
async fn take_slot(client: &Client) -> Result<NodeSlot, Fault> {
    let sql = "SELECT pg_backend_pid()";
    let begin: i32 = client.query_one(sql, &[]).await?.get(0);
    for step in 0..SLOTS {
        let slot = (begin.wrapping_add(step)).rem_euclid(SLOTS);
        let sql = "SELECT pg_try_advisory_lock($1, $2)";
        if client.query_one(sql, &[&SLOT_LOCK, &slot]).await?.get(0) {
            let slot = u8::try_from(slot).expect("there are 256 slots");
            return Ok(NodeSlot(slot));
        }
    }
    Err(Fault::lost(
        "256 nodes are connected already, which is the most",
    ))
}

/// The largest number in use: whoever had the slot before gave out none after it.
async fn last_number(client: &Client) -> Result<i64, Fault> {
    let sql = "SELECT GREATEST(\
                   (SELECT MAX(id) FROM hooklatch.messages), \
                   (SELECT MAX(id) FROM hooklatch.requests), \
                   (SELECT MAX(id) FROM hooklatch.attempts), \
                   (SELECT MAX(id) FROM hooklatch.deliveries_live), \
                   (SELECT MAX(token) FROM hooklatch.deliveries_live WHERE status = 1), \
                   (SELECT MAX(id) FROM hooklatch.refused), \
                   (SELECT MAX(id) FROM hooklatch.audit), \
                   (SELECT MAX(id) FROM hooklatch.replays), \
                   (SELECT MAX(number) FROM hooklatch.config), 0)";
    Ok(client.query_one(sql, &[]).await?.get(0))
}
