//! The parts of a running gateway, in the order in which they start and in which they end.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hooklatch_core::address::Reach;
use hooklatch_core::seal::SealingKey;
use hooklatch_core::secret::Secret;
use hooklatch_egress::{Sender, SenderSettings};
use hooklatch_engine::{Drained, Engine, EngineHandle, Transformer, replays};
use hooklatch_server::bootstrap::bootstrap;
use hooklatch_server::directory::Directory;
use hooklatch_server::retention;
use hooklatch_server::serve::{Limits, serve};
use hooklatch_server::{App, Settings as ServerSettings};
use hooklatch_store::{Store, SystemClock};
use hooklatch_store_postgres::PostgresStore;
use hooklatch_store_sqlite::SqliteStore;
use hooklatch_transform::{Pool, PoolSettings};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::keyfile::{self, Stored};
use super::place::Place;
use super::settings::Settings;
use crate::failure::Failure;

/// How long a connection's script may run.
const TRANSFORM_DEADLINE: Duration = Duration::from_secs(1);

/// A running gateway.
pub(crate) struct Gateway {
    store: Arc<dyn Store>,
    engine: EngineHandle,
    http: JoinHandle<()>,
    following: JoinHandle<()>,
    pruning: JoinHandle<()>,
    replays: JoinHandle<()>,
    stop: CancellationToken,
    address: SocketAddr,
    first_key: Option<Secret>,
}

impl Gateway {
    /// Starts everything. The store comes first: a directory keeps a second process out.
    pub async fn start(settings: &Settings) -> Result<Self, Failure> {
        let store = open_store(settings).await?;
        let sealing_key = sealing_key(settings, store.as_ref()).await?;
        let reach = if settings.dev {
            Reach::LoopbackToo
        } else {
            Reach::PublicOnly
        };
        let directory = Directory::open(Arc::clone(&store), sealing_key, reach)
            .await
            .map_err(cannot_start)?;
        let listener = TcpListener::bind(settings.listen)
            .await
            .map_err(|error| failed_to_listen(settings, error))?;
        let address = listener
            .local_addr()
            .map_err(|error| failed_to_listen(settings, error))?;
        // Not before the port is ours: a key that is made here is shown once, and a start that
        // fails after it would have lost it.
        let first_key = bootstrap(&directory, settings.api_key.as_ref())
            .await
            .map_err(cannot_start)?;
        let stop = CancellationToken::new();
        let transformer = transformer()?;
        let engine = start_engine(&store, &directory, reach, Arc::clone(&transformer));
        let following = Arc::clone(&directory).follow(stop.child_token(), engine.waker());
        let following = tokio::spawn(following);
        let pruning = retention::keep(
            Arc::clone(&store),
            Arc::clone(&directory),
            settings.retention,
            stop.child_token(),
        );
        let pruning = tokio::spawn(pruning);
        let app = App::with_transformer(
            Arc::clone(&store),
            directory,
            server_settings(settings, reach),
            transformer,
        );
        let changed = Arc::clone(app.replays_changed());
        let replays = replays::run(Arc::clone(&store), changed, stop.child_token());
        let replays = tokio::spawn(replays);
        let limits = Limits {
            drain: settings.drain,
            ..Limits::default()
        };
        let http = tokio::spawn(serve(listener, app, limits, stop.clone()));
        Ok(Self {
            store,
            engine,
            http,
            following,
            pruning,
            replays,
            stop,
            address,
            first_key,
        })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The API key that this start has made, if it has made one.
    pub const fn first_key(&self) -> Option<&Secret> {
        self.first_key.as_ref()
    }

    /// Waits for what should not happen: that the HTTP server ends by itself.
    pub async fn http_ended(&mut self) {
        // Why it ended has been logged by the panic that ended it.
        let _ = (&mut self.http).await;
    }

    /// Takes nothing more, lets what is under way end, and closes the store.
    pub async fn stop(self, drain: Duration) -> Result<(), Failure> {
        self.stop.cancel();
        // Both at once: neither answers nor attempts wait for the other's stragglers.
        let http = async {
            if !self.http.is_finished() {
                let _ = self.http.await;
            }
        };
        let ((), drained) = tokio::join!(http, self.engine.drain(drain));
        // Both end at once; a panic of theirs has been logged.
        let _ = self.following.await;
        let _ = self.pruning.await;
        let _ = self.replays.await;
        match drained {
            Drained::Complete => {}
            Drained::CutShort { attempts } => tracing::warn!(
                attempts,
                "attempts under way at the deadline count as uncertain and are made again"
            ),
        }
        self.store
            .close()
            .await
            .map_err(|error| Failure::failed("the store did not close in order", error))?;
        tracing::info!("the gateway has stopped");
        Ok(())
    }
}

async fn open_store(settings: &Settings) -> Result<Arc<dyn Store>, Failure> {
    match &settings.place {
        Place::Directory(path) => {
            let clock = Arc::new(SystemClock);
            let options = hooklatch_store_sqlite::Options::default();
            let store = SqliteStore::open(path, clock, options).map_err(cannot_start)?;
            Ok(store)
        }
        Place::Database(url) => {
            let options = hooklatch_store_postgres::Options {
                history_kept: settings.history,
                ..hooklatch_store_postgres::Options::default()
            };
            let store = PostgresStore::open(url, options).await;
            Ok(store.map_err(cannot_start)?)
        }
    }
}

fn cannot_start(error: impl Error) -> Failure {
    Failure::failed("the gateway cannot start", error)
}

async fn sealing_key(settings: &Settings, store: &dyn Store) -> Result<SealingKey, Failure> {
    if let Some(key) = &settings.encryption_key {
        return Ok(key.clone());
    }
    let documents = store
        .load()
        .await
        .map_err(|error| Failure::failed("the configuration cannot be loaded", error))?;
    let stored = if documents.is_empty() {
        Stored::Nothing
    } else {
        Stored::Something
    };
    match &settings.place {
        Place::Directory(path) => {
            keyfile::load_or_make(path, stored, rand::random()).map_err(cannot_start)
        }
        Place::Database(_) => unreachable!("without a key such settings are refused"),
    }
}

/// Workers are this program once more, under its hidden command.
fn transformer() -> Result<Arc<dyn Transformer>, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::failed("the gateway does not find its own program", error))?;
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    Ok(Pool::new(PoolSettings {
        program,
        arguments: vec!["transform-worker".into()],
        workers: processors.clamp(2, 8),
        queue: 256,
        deadline: TRANSFORM_DEADLINE,
    }))
}

fn start_engine(
    store: &Arc<dyn Store>,
    directory: &Arc<Directory>,
    reach: Reach,
    transformer: Arc<dyn Transformer>,
) -> EngineHandle {
    let sender = Sender::with_system_resolver(SenderSettings {
        reach,
        ..SenderSettings::default()
    });
    let deliveries = Arc::clone(store);
    let endpoints = Arc::clone(directory);
    let settings = hooklatch_engine::Settings::default();
    // The engine ends by being drained, not by the token that ends the HTTP server.
    Engine::start(
        deliveries,
        endpoints,
        sender,
        transformer,
        settings,
        CancellationToken::new(),
    )
}

fn server_settings(settings: &Settings, reach: Reach) -> ServerSettings {
    ServerSettings {
        public_url: settings.public_url.clone(),
        reach,
        api_rate: settings.api_rate,
        ..ServerSettings::default()
    }
}

fn failed_to_listen(settings: &Settings, error: std::io::Error) -> Failure {
    Failure::failed(format_args!("cannot listen on {}", settings.listen), error)
}
