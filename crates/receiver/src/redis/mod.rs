//! Redis and Valkey: one string for each event and one for its completion, made by plain commands and
//! changed by scripts.
//!
//! Most events are new, and a script costs the server several times what a command does: so a claim
//! is tried by `SET … NX` first, and only a key that is known is looked at by a script; and a completion
//! is put beside the record by `SET … NX` too, where it counts as long as the record names the same
//! token. No time is written: the key's own expiry says when a lease ends. A completed record stays for
//! its retention, and up to a 64th and a second longer. Who overran its lease and dies at the moment of
//! completing leaves one that stays for the retention from the end of the lease.
//!
//! What it promises: effectively once while the primary lives. A failover may forget what the
//! promoted replica had not yet got, a restart what the append-only file had not; use
//! `appendonly yes`, and `maxmemory-policy noeviction`, under which a full server refuses claims
//! instead of evicting live ones. The server's clock ends leases.
//!
//! [`RedisStore::with_min_replicas_acked`] makes a claim wait until so many replicas have it. That
//! finds a replica that is cut off before the handler runs; it does not prevent that a failover
//! picks another one.

mod scripts;
mod text;

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Script, ScriptInvocation};

use crate::claim::{
    Claim, Claimed, Completion, Grant, Held, Hold, Intent, Origin, Saved, Sighting,
};
use crate::key::ScopeKey;
use crate::limits::{ERROR_BYTES_MAX, LEASE_MAX, RETENTION_MAX, cut, millis};
use crate::record::Record;
use crate::store::{Clock, Effect, Memory, Promise, Store, StoreError};
use crate::table::process_now_ms;
use crate::token;
use scripts::Scripts;
use text::{completion_record, first_record, read_claimed, read_record, received_at, unknown};

/// What stands before a key, unless the caller says otherwise.
pub const PREFIX: &str = "hooklatch:claim:";

/// A completed record may stay longer than was asked, by what was left of its lease, if that is no more
/// than this part of it.
const LONGER: u64 = 64;

/// How long to wait for an answer of the server.
const RESPONSE_MAX: Duration = Duration::from_secs(5);

/// Records in Redis.
#[derive(Clone)]
pub struct RedisStore {
    connection: ConnectionManager,
    scripts: std::sync::Arc<Scripts>,
    prefix: String,
    replicas: Option<Replicas>,
}

/// What became of a completion beside its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    /// The record is completed, for as long as was asked.
    Counts,
    /// It is there; a script has to see to the record.
    Put,
    /// There is one already.
    Taken,
}

/// How many replicas a claim waits for, and how long.
#[derive(Debug, Clone, Copy)]
struct Replicas {
    acked_min: u32,
    wait: Duration,
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

    /// In braces, so that a cluster keeps everything of an event together.
    fn name(&self, key: &ScopeKey) -> String {
        format!("{}{{{key}}}", self.prefix)
    }

    fn on<'a>(&self, script: &'a Script, key: &ScopeKey) -> ScriptInvocation<'a> {
        let name = self.name(key);
        let (steps, completion) = (steps(&name), completion(&name));
        let mut script = script.key(name);
        script.key(steps).key(completion);
        script
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

    /// Nothing where the key is known, perhaps from an earlier call with this token.
    async fn first(&self, claim: &Claim) -> Result<Option<Claimed>, Error> {
        // A process's clock will do for a fence: it orders, and owns nothing.
        let fence = process_now_ms() * 1_000;
        let grant = Grant {
            token: claim.token,
            fence,
            epoch: fence,
            generation: 1,
            attempt: 1,
            origin: Origin::First,
        };
        let retention_ms = millis(claim.retention, RETENTION_MAX);
        let left_ms = millis(claim.lease, LEASE_MAX) + retention_ms;
        let mut set = redis::cmd("SET");
        set.arg(self.name(&claim.key))
            .arg(first_record(claim, fence, retention_ms))
            .arg("NX")
            .arg("PX")
            .arg(left_ms.max(1));
        let made: redis::RedisResult<Option<String>> =
            set.query_async(&mut self.connection.clone()).await;
        match made {
            Ok(made) => Ok(made.map(|_ok| Claimed::Run(grant))),
            // A full server refuses this before it looks whether the key is known.
            Err(error) if error.code() == Some("OOM") => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn again(&self, claim: &Claim) -> Result<Claimed, Error> {
        let mut script = self.on(&self.scripts.claim, &claim.key);
        let replay = match claim.intent {
            Intent::Delivery => "0",
            Intent::Replay => "1",
        };
        script
            .arg(claim.token.to_hex())
            .arg(claim.fingerprint.to_string())
            .arg(millis(claim.lease, LEASE_MAX))
            .arg(claim.attempts_max)
            .arg(millis(claim.retention, RETENTION_MAX))
            .arg(replay)
            .arg(claim.metadata.provider())
            .arg(claim.metadata.event_type())
            .arg(received_at(claim));
        let answer: Vec<Field> = script.invoke_async(&mut self.connection.clone()).await?;
        read_claimed(&answer, claim.token)
    }

    async fn claimed(&self, claim: &Claim) -> Result<Claimed, Error> {
        let claimed = match self.first(claim).await? {
            Some(claimed) => claimed,
            None => self.again(claim).await?,
        };
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

    /// Nearly always by plain commands.
    async fn completed(
        &self,
        held: &Held,
        result: Option<&[u8]>,
        retention: Duration,
    ) -> Result<Completion, Error> {
        let retention_ms = millis(retention, RETENTION_MAX);
        let beside = self.complete_beside(held, result, retention_ms).await?;
        if beside == Beside::Counts {
            return Ok(Completion::Applied);
        }
        let mut script = self.on(&self.scripts.complete, &held.key);
        script
            .arg(held.token.to_hex())
            .arg(result.unwrap_or_default())
            .arg(retention_ms)
            .arg(u8::from(result.is_some()))
            .arg(u8::from(beside == Beside::Put));
        let word: String = script.invoke_async(&mut self.connection.clone()).await?;
        match word.as_str() {
            "applied" => Ok(Completion::Applied),
            "already_complete" => Ok(Completion::AlreadyComplete),
            "fenced" => Ok(Completion::Fenced),
            "gone" => Ok(Completion::Gone),
            other => Err(unknown(other)),
        }
    }

    /// Puts a completion beside the record, and looks whose that is and when it ends. Who holds a record
    /// by this token now has held it when the completion came: tokens never come back.
    async fn complete_beside(
        &self,
        held: &Held,
        result: Option<&[u8]>,
        retention_ms: u64,
    ) -> Result<Beside, Error> {
        let (name, token) = (self.name(&held.key), held.token.to_hex());
        let most_ms = retention_ms + retention_ms / LONGER;
        let mut pipe = redis::pipe();
        pipe.cmd("SET")
            .arg(completion(&name))
            .arg(completion_record(&token, result))
            .arg("NX")
            .arg("PX")
            // It outlives a record that ends in time.
            .arg(most_ms + 1_000);
        pipe.cmd("GETRANGE").arg(&name).arg(0).arg(33);
        pipe.cmd("PTTL").arg(&name);
        let answers = pipe.query_async(&mut self.connection.clone()).await;
        let (put, head, left_ms): (Option<String>, Vec<u8>, i64) = answers?;
        if put.is_none() {
            return Ok(Beside::Taken);
        }
        let is_ours = head.strip_prefix(b"10") == Some(token.as_bytes());
        let lasts =
            u64::try_from(left_ms).is_ok_and(|left| (retention_ms..=most_ms).contains(&left));
        Ok(if is_ours && lasts {
            Beside::Counts
        } else {
            Beside::Put
        })
    }

    async fn record(&self, key: &ScopeKey) -> Result<Option<(Record, u64)>, Error> {
        let script = self.on(&self.scripts.lookup, key);
        let answer: Option<Vec<Field>> = script.invoke_async(&mut self.connection.clone()).await?;
        answer.map(|answer| read_record(&answer)).transpose()
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
        let completed = self.completed(held, result, retention).await;
        completed.map_err(|error| StoreError::new("complete", error))
    }

    async fn release(
        &self,
        held: &Held,
        retry_after: Duration,
        error: &str,
    ) -> Result<Hold, StoreError> {
        let mut script = self.on(&self.scripts.release, &held.key);
        script
            .arg(held.token.to_hex())
            .arg(token::random().to_hex())
            .arg(millis(retry_after, LEASE_MAX))
            .arg(cut(error, ERROR_BYTES_MAX));
        self.hold("release", &script).await
    }

    async fn renew(&self, held: &Held, lease: Duration) -> Result<Hold, StoreError> {
        let mut script = self.on(&self.scripts.renew, &held.key);
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
        let mut script = self.on(&self.scripts.fail, &held.key);
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
        let mut script = self.on(&self.scripts.save_step, &held.key);
        script.arg(held.token.to_hex()).arg(step).arg(result);
        match self.word("save_step", &script).await?.as_str() {
            "saved" => Ok(Saved::Saved),
            "fenced" => Ok(Saved::Fenced),
            other => Err(StoreError::new("save_step", unknown(other))),
        }
    }

    async fn load_step(&self, held: &Held, step: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let mut command = redis::cmd("HGET");
        // The epoch tells the steps of an earlier record of the key apart.
        let field = format!("{}:{}:{step}", held.epoch, held.generation);
        command.arg(steps(&self.name(&held.key))).arg(field);
        let found = command.query_async(&mut self.connection.clone()).await;
        found.map_err(|error: redis::RedisError| StoreError::new("load_step", error))
    }

    async fn sweep(&self, _limit: u32) -> Result<u64, StoreError> {
        // Every key has an expiry of its own.
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

/// The completion beside a record of this name.
fn completion(name: &str) -> String {
    format!("{name}:done")
}

/// The hash of the steps of a record of this name.
fn steps(name: &str) -> String {
    format!("{name}:steps")
}
