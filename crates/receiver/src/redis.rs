//! Redis and Valkey: one hash for each event, changed by scripts.
//!
//! What it promises: effectively once while the primary lives. A failover may forget what the
//! promoted replica had not yet got, a restart what the append-only file had not; use
//! `appendonly yes`, and `maxmemory-policy noeviction`, under which a full server refuses claims
//! instead of evicting live ones. The server's clock ends leases.
//!
//! [`RedisStore::with_min_replicas_acked`] makes a claim wait until so many replicas have it. That
//! finds a replica that is cut off before the handler runs; it does not prevent that a failover
//! picks another one.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Script, ScriptInvocation};

use crate::claim::{Claim, Claimed, Completion, Held, Hold, Intent, Saved, Sighting, StateName};
use crate::key::ScopeKey;
use crate::limits::{ERROR_BYTES_MAX, LEASE_MAX, RETENTION_MAX, cut, millis};
use crate::raw::{RawGrant, RawRecord};
use crate::record::Record;
use crate::store::{Clock, Effect, Memory, Promise, Store, StoreError};
use crate::token::{self, Token};

/// What stands before a key, unless the caller says otherwise.
pub const PREFIX: &str = "hooklatch:claim:";

/// How long to wait for an answer of the server.
const RESPONSE_MAX: Duration = Duration::from_secs(5);

const FIELDS: [&str; 15] = [
    "state",
    "token",
    "fence",
    "epoch",
    "generation",
    "origin",
    "fingerprint",
    "attempt",
    "until",
    "expires",
    "result",
    "error",
    "provider",
    "event_type",
    "received",
];

/// Records in Redis.
#[derive(Clone)]
pub struct RedisStore {
    connection: ConnectionManager,
    scripts: std::sync::Arc<Scripts>,
    prefix: String,
    replicas: Option<Replicas>,
}

/// How many replicas a claim waits for, and how long.
#[derive(Debug, Clone, Copy)]
struct Replicas {
    acked_min: u32,
    wait: Duration,
}

struct Scripts {
    claim: Script,
    complete: Script,
    release: Script,
    renew: Script,
    fail: Script,
    save_step: Script,
}

type Error = Box<dyn std::error::Error + Send + Sync>;
type Field = Option<Vec<u8>>;

impl RedisStore {
    /// Connects, and from then on connects again by itself.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn connect(client: &redis::Client) -> Result<Self, StoreError> {
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(RESPONSE_MAX))
            .set_connection_timeout(Some(RESPONSE_MAX));
        let connection = client.get_connection_manager_with_config(config).await;
        let connection = connection.map_err(|error| StoreError::new("connect", error))?;
        Ok(Self {
            connection,
            scripts: std::sync::Arc::new(Scripts::new()),
            prefix: PREFIX.to_owned(),
            replicas: None,
        })
    }

    /// The same store under another prefix.
    #[must_use]
    pub fn with_prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.prefix);
        self
    }

    /// The same store, where a claim that fewer than `acked_min` replicas have acknowledged after
    /// `wait` is given back and refused. Everything else on this connection waits with it.
    #[must_use]
    pub const fn with_min_replicas_acked(mut self, acked_min: u32, wait: Duration) -> Self {
        self.replicas = Some(Replicas { acked_min, wait });
        self
    }

    fn name(&self, key: &ScopeKey) -> String {
        format!("{}{key}", self.prefix)
    }

    async fn word(
        &self,
        operation: &'static str,
        script: &ScriptInvocation<'_>,
    ) -> Result<String, StoreError> {
        let word = script.invoke_async(&mut self.connection.clone()).await;
        word.map_err(|error: redis::RedisError| StoreError::new(operation, error))
    }

    async fn hold(
        &self,
        operation: &'static str,
        script: &ScriptInvocation<'_>,
    ) -> Result<Hold, StoreError> {
        match self.word(operation, script).await?.as_str() {
            "ok" => Ok(Hold::Kept),
            "fenced" => Ok(Hold::Fenced),
            other => Err(StoreError::new(operation, unknown(other))),
        }
    }

    async fn claimed(&self, claim: &Claim) -> Result<Claimed, Error> {
        let mut script = self.scripts.claim.key(self.name(&claim.key));
        let replay = match claim.intent {
            Intent::Delivery => "0",
            Intent::Replay => "1",
        };
        let received_at_ms = claim.metadata.received_at_ms();
        script
            .arg(claim.token.to_hex())
            .arg(hex(claim.fingerprint.as_bytes()))
            .arg(millis(claim.lease, LEASE_MAX))
            .arg(claim.attempts_max)
            .arg(millis(claim.retention, RETENTION_MAX))
            .arg(replay)
            .arg(claim.metadata.provider())
            .arg(claim.metadata.event_type())
            .arg(received_at_ms.map(|ms| ms.to_string()).unwrap_or_default());
        let answer: Vec<Field> = script.invoke_async(&mut self.connection.clone()).await?;
        let claimed = read_claimed(&answer, claim.token)?;
        if let Claimed::Run(grant) = &claimed {
            self.wait_for_replicas(&grant.held(claim.key)).await?;
        }
        Ok(claimed)
    }

    async fn wait_for_replicas(&self, held: &Held) -> Result<(), Error> {
        let Some(Replicas { acked_min, wait }) = self.replicas else {
            return Ok(());
        };
        let mut command = redis::cmd("WAIT");
        command.arg(acked_min).arg(millis(wait, RESPONSE_MAX));
        let acked: u32 = command.query_async(&mut self.connection.clone()).await?;
        if acked >= acked_min {
            return Ok(());
        }
        let error = format!("{acked} of {acked_min} replicas have the claim");
        self.release(held, Duration::ZERO, &error).await?;
        Err(error.into())
    }

    async fn record(&self, key: &ScopeKey) -> Result<Option<(Record, u64)>, Error> {
        let mut pipe = redis::pipe();
        pipe.cmd("TIME");
        pipe.cmd("HMGET").arg(self.name(key)).arg(&FIELDS);
        let (time, fields): ((u64, u64), Vec<Field>) =
            pipe.query_async(&mut self.connection.clone()).await?;
        let now_ms = time.0 * 1_000 + time.1 / 1_000;
        let record = read_record(&fields)?;
        Ok(record.map(|record| (record, now_ms)))
    }
}

impl Scripts {
    fn new() -> Self {
        Self {
            claim: Script::new(include_str!("../redis/claim.lua")),
            complete: Script::new(include_str!("../redis/complete.lua")),
            release: Script::new(include_str!("../redis/release.lua")),
            renew: Script::new(include_str!("../redis/renew.lua")),
            fail: Script::new(include_str!("../redis/fail.lua")),
            save_step: Script::new(include_str!("../redis/save_step.lua")),
        }
    }
}

impl Store for RedisStore {
    async fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError> {
        let claimed = self.claimed(claim).await;
        claimed.map_err(|error| StoreError::new("claim", error))
    }

    async fn complete(
        &self,
        held: &Held,
        result: Option<&[u8]>,
        retention: Duration,
    ) -> Result<Completion, StoreError> {
        let mut script = self.scripts.complete.key(self.name(&held.key));
        script
            .arg(held.token.to_hex())
            .arg(result.unwrap_or_default())
            .arg(millis(retention, RETENTION_MAX))
            .arg(u8::from(result.is_some()));
        match self.word("complete", &script).await?.as_str() {
            "applied" => Ok(Completion::Applied),
            "already_complete" => Ok(Completion::AlreadyComplete),
            "fenced" => Ok(Completion::Fenced),
            "gone" => Ok(Completion::Gone),
            other => Err(StoreError::new("complete", unknown(other))),
        }
    }

    async fn release(
        &self,
        held: &Held,
        retry_after: Duration,
        error: &str,
    ) -> Result<Hold, StoreError> {
        let mut script = self.scripts.release.key(self.name(&held.key));
        script
            .arg(held.token.to_hex())
            .arg(token::random().to_hex())
            .arg(millis(retry_after, LEASE_MAX))
            .arg(cut(error, ERROR_BYTES_MAX));
        self.hold("release", &script).await
    }

    async fn renew(&self, held: &Held, lease: Duration) -> Result<Hold, StoreError> {
        let mut script = self.scripts.renew.key(self.name(&held.key));
        script
            .arg(held.token.to_hex())
            .arg(millis(lease, LEASE_MAX));
        self.hold("renew", &script).await
    }

    async fn fail(
        &self,
        held: &Held,
        error: &str,
        retention: Duration,
    ) -> Result<Hold, StoreError> {
        let mut script = self.scripts.fail.key(self.name(&held.key));
        script
            .arg(held.token.to_hex())
            .arg(cut(error, ERROR_BYTES_MAX))
            .arg(millis(retention, RETENTION_MAX));
        self.hold("fail", &script).await
    }

    async fn lookup(&self, key: &ScopeKey) -> Result<Option<Sighting>, StoreError> {
        let record = self.record(key).await;
        let record = record.map_err(|error| StoreError::new("lookup", error))?;
        Ok(record.and_then(|(record, now_ms)| record.sighting(now_ms)))
    }

    async fn save_step(&self, held: &Held, step: &str, result: &[u8]) -> Result<Saved, StoreError> {
        let mut script = self.scripts.save_step.key(self.name(&held.key));
        script.arg(held.token.to_hex()).arg(step).arg(result);
        match self.word("save_step", &script).await?.as_str() {
            "saved" => Ok(Saved::Saved),
            "fenced" => Ok(Saved::Fenced),
            other => Err(StoreError::new("save_step", unknown(other))),
        }
    }

    async fn load_step(&self, held: &Held, step: &str) -> Result<Option<Vec<u8>>, StoreError> {
        // The hash is of one record alone: it went with the one before it.
        let mut command = redis::cmd("HGET");
        let field = format!("step:{}:{step}", held.generation);
        command.arg(self.name(&held.key)).arg(field);
        let found = command.query_async(&mut self.connection.clone()).await;
        found.map_err(|error: redis::RedisError| StoreError::new("load_step", error))
    }

    async fn sweep(&self, _limit: u32) -> Result<u64, StoreError> {
        // Every hash has an expiry of its own.
        Ok(0)
    }

    fn promise(&self) -> Promise {
        Promise {
            memory: Memory::UntilFailover,
            effect: Effect::AtLeastOnce,
            clock: Clock::Server,
        }
    }
}

fn unknown(word: &str) -> Error {
    format!("the script answered {word:?}").into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let (pairs, _) = text.as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? * 16 + digit(*low)?);
    pairs.iter().filter_map(byte).collect()
}

/// The fields of an answer, by position.
struct Fields<'a>(&'a [Field]);

impl Fields<'_> {
    fn bytes(&self, at: usize) -> Field {
        self.0.get(at).cloned().flatten()
    }

    fn text(&self, at: usize) -> String {
        String::from_utf8_lossy(&self.bytes(at).unwrap_or_default()).into_owned()
    }

    fn number(&self, at: usize) -> Result<i64, Error> {
        let text = self.text(at);
        let number = text.parse();
        number.map_err(|_| format!("{text:?} should be a number").into())
    }
}

fn read_claimed(answer: &[Field], token: Token) -> Result<Claimed, Error> {
    let fields = Fields(answer);
    Ok(match fields.text(0).as_str() {
        "run" => {
            let raw = RawGrant {
                fence: fields.number(1)?,
                epoch: fields.number(2)?,
                generation: fields.number(3)?,
                origin: fields.number(4)?,
                attempt: fields.number(5)?,
            };
            Claimed::Run(raw.grant(token)?)
        }
        "busy" => Claimed::Busy {
            retry_after: Duration::from_millis(u64::try_from(fields.number(1)?)?),
        },
        "done" => Claimed::Done {
            result: fields.bytes(1),
        },
        "dead" => Claimed::Dead {
            error: fields.text(1),
        },
        "conflict" => {
            let state = StateName::from_number(fields.number(1)?);
            Claimed::Conflict {
                state: state.ok_or_else(|| unknown("conflict"))?,
            }
        }
        other => return Err(unknown(other)),
    })
}

/// A record from the values of [`FIELDS`].
fn read_record(values: &[Field]) -> Result<Option<Record>, Error> {
    let fields = Fields(values);
    if fields.bytes(0).is_none() {
        return Ok(None);
    }
    let raw = RawRecord {
        state: fields.number(0)?,
        token: unhex(&fields.bytes(1).unwrap_or_default()),
        fence: fields.number(2)?,
        epoch: fields.number(3)?,
        generation: fields.number(4)?,
        origin: fields.number(5)?,
        fingerprint: unhex(&fields.bytes(6).unwrap_or_default()),
        attempt: fields.number(7)?,
        // A final record expires; any other waits for the end of its lease.
        until_ms: fields.number(9).or_else(|_| fields.number(8))?,
        result: fields.bytes(10),
        error: fields.bytes(11).map(|_| fields.text(11)),
        provider: fields.text(12),
        event_type: fields.text(13),
        received_at_ms: fields.number(14).ok(),
    };
    Ok(Some(Record::try_from(raw)?))
}
