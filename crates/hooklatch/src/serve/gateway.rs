//! The parts of a running gateway, in the order in which they start and in which they end.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hooklatch_core::address::Reach;
use hooklatch_core::seal::SealingKey;
use hooklatch_core::secret::Secret;
use hooklatch_egress::{Sender, SenderSettings};
use hooklatch_engine::trace::Tracer;
use hooklatch_engine::{Drained, Engine, EngineHandle, GuardedFetch, Transformer, replays};
use hooklatch_server::bootstrap::bootstrap;
use hooklatch_server::directory::Directory;
use hooklatch_server::retention;
use hooklatch_server::serve::{Limits, serve_as};
use hooklatch_server::tls::Tls;
use hooklatch_server::{App, Helpers, Kept, Scheme, Settings as ServerSettings};
use hooklatch_store::memory::MemoryStore;
use hooklatch_store::{Store, SystemClock};
use hooklatch_store_postgres::PostgresStore;
use hooklatch_store_sqlite::SqliteStore;
use hooklatch_transform::{Pool, PoolSettings};
use rustls::RootCertStore;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::authorities;
use super::keyfile::{self, Stored};
use super::otlp::{self, Spans, Traces};
use super::place::Place;
use super::settings::Settings;
use super::tls::{Hangups, Shown};
use crate::failure::Failure;

/// How long a connection's script may run.
const TRANSFORM_DEADLINE: Duration = Duration::from_secs(1);

/// What sends spans to the collector, and how it is told to end.
struct Exporting {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

/// A running gateway.
pub(crate) struct Gateway {
    store: Arc<dyn Store>,
    engine: EngineHandle,
    http: JoinHandle<()>,
    following: JoinHandle<()>,
    pruning: JoinHandle<()>,
    replays: JoinHandle<()>,
    /// Follows the certificate.
    certificate: Option<JoinHandle<()>>,
    exporting: Option<Exporting>,
    stop: CancellationToken,
    address: SocketAddr,
    first_key: Option<Secret>,
}

impl Gateway {
    /// Starts everything. The store comes first: a directory keeps a second process out.
    pub async fn start(settings: &Settings) -> Result<Self, Failure> {
        let authorities =
            authorities::trusted(settings.endpoint_ca.as_deref()).map_err(cannot_start)?;
        let store = open_store(settings).await?;
        let sealing_key = sealing_key(settings, store.as_ref()).await?;
        let reach = settings.reach();
        let directory = Directory::open(Arc::clone(&store), sealing_key, reach)
            .await
            .map_err(cannot_start)?;
        let listener = TcpListener::bind(settings.listen)
            .await
            .map_err(|error| failed_to_listen(settings, error))?;
        let address = listener
            .local_addr()
            .map_err(|error| failed_to_listen(settings, error))?;
        let stop = CancellationToken::new();
        let (tls, certificate) = certificate(settings, &stop).await?;
        let (tracer, exporting) = exporting(settings.traces.as_ref())?;
        // Not before the port is ours: a key that is made here is shown once, and a start that
        // fails after it would have lost it.
        let first_key = bootstrap(&directory, settings.api_key.as_ref())
            .await
            .map_err(cannot_start)?;
        let transformer = transformer()?;
        let sender = sender(reach, authorities);
        let engine = start_engine(&store, &directory, sender, &transformer, tracer.clone());
        let following = Arc::clone(&directory).follow(stop.child_token(), engine.waker());
        let following = tokio::spawn(following);
        let pruning = retention::keep(
            Arc::clone(&store),
            Arc::clone(&directory),
            settings.retention,
            stop.child_token(),
        );
        let pruning = tokio::spawn(pruning);
        let app = App::with_helpers(
            Arc::clone(&store),
            directory,
            server_settings(settings, reach, tracer),
            helpers(reach, transformer),
        );
        let changed = Arc::clone(app.replays_changed());
        let replays = replays::run(Arc::clone(&store), changed, stop.child_token());
        let replays = tokio::spawn(replays);
        let limits = Limits {
            drain: settings.drain,
            ..Limits::default()
        };
        let http = tokio::spawn(serve_as(listener, app, limits, tls, stop.clone()));
        Ok(Self {
            store,
            engine,
            http,
            following,
            pruning,
            replays,
            certificate,
            exporting,
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
        if let Some(following) = self.certificate {
            let _ = following.await;
        }
        // Last of all: what ends now is recorded as well.
        if let Some(exporting) = self.exporting {
            exporting.stop.cancel();
            let _ = exporting.task.await;
        }
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
        Place::Memory => Ok(MemoryStore::new()),
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
        // It has to open nothing that was sealed before.
        Place::Memory => Ok(SealingKey::from_bytes(rand::random())),
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

/// What the HTTP surface needs besides. What it fetches goes through a guard like any delivery's.
fn helpers(reach: Reach, transformer: Arc<dyn Transformer>) -> Helpers {
    let sender = Sender::with_system_resolver(SenderSettings {
        reach,
        ..SenderSettings::default()
    });
    Helpers {
        transformer,
        fetch: Arc::new(GuardedFetch::new(sender)),
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    }
}

fn start_engine(
    store: &Arc<dyn Store>,
    directory: &Arc<Directory>,
    sender: Sender,
    transformer: &Arc<dyn Transformer>,
    tracer: Option<Arc<Tracer>>,
) -> EngineHandle {
    let deliveries = Arc::clone(store);
    let endpoints = Arc::clone(directory);
    let settings = hooklatch_engine::Settings {
        tracer,
        ..hooklatch_engine::Settings::default()
    };
    // The engine ends by being drained, not by the token that ends the HTTP server.
    Engine::start(
        deliveries,
        endpoints,
        sender,
        Arc::clone(transformer),
        settings,
        CancellationToken::new(),
    )
}

fn sender(reach: Reach, roots: RootCertStore) -> Sender {
    Sender::with_system_resolver(SenderSettings {
        reach,
        roots,
        ..SenderSettings::default()
    })
}

/// The certificate that the server shows, and what follows its files.
async fn certificate(
    settings: &Settings,
    stop: &CancellationToken,
) -> Result<(Option<Arc<Tls>>, Option<JoinHandle<()>>), Failure> {
    let Some(files) = &settings.tls else {
        return Ok((None, None));
    };
    let shown = Shown::open(files.clone()).await.map_err(cannot_start)?;
    let tls = shown.tls();
    let hangups = Hangups::listen().map_err(cannot_start)?;
    let following = tokio::spawn(shown.follow(hangups, stop.child_token()));
    Ok((Some(tls), Some(following)))
}

/// What takes spans, and what sends them on.
fn exporting(traces: Option<&Traces>) -> Result<(Option<Arc<Tracer>>, Option<Exporting>), Failure> {
    let Some(traces) = traces else {
        return Ok((None, None));
    };
    let (tracer, spans): (_, Spans) = Tracer::new(traces.ratio);
    // It goes on until the last request and the last attempt have ended.
    let stop = CancellationToken::new();
    let counts = Arc::clone(tracer.counts());
    let task = otlp::export(traces, counts, spans, stop.clone())?;
    let task = tokio::spawn(task);
    Ok((Some(tracer), Some(Exporting { task, stop })))
}

fn server_settings(
    settings: &Settings,
    reach: Reach,
    tracer: Option<Arc<Tracer>>,
) -> ServerSettings {
    ServerSettings {
        public_url: settings.public_url.clone(),
        scheme: match settings.tls {
            Some(_) => Scheme::Https,
            None => Scheme::Http,
        },
        tracer,
        reach,
        api_rate: settings.api_rate,
        kept: match settings.place {
            Place::Directory(_) => Kept::File,
            Place::Database(_) => Kept::Database,
            Place::Memory => Kept::Memory,
        },
        ..ServerSettings::default()
    }
}

fn failed_to_listen(settings: &Settings, error: std::io::Error) -> Failure {
    Failure::failed(format_args!("cannot listen on {}", settings.listen), error)
}
