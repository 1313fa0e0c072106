//! What every handler shares: the store, the configuration, the limits.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hooklatch_core::address::Reach;
use hooklatch_core::limits::BODY_BYTES_MAX;
use hooklatch_core::verify::TrustAnchor;
use hooklatch_engine::trace::Tracer;
use hooklatch_engine::{Fetch, NoFetch, NoTransforms, Transformer};
use hooklatch_store::Store;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::api::{Limiter, Rate, Used};
use crate::body;
use crate::directory::Directory;
use crate::edge::CallNames;
use crate::ingest::{Certificates, RefusalLog, SourceShares};
use crate::metrics::Known;
use crate::stats::Glances;
use crate::stream::Feed;

/// Where the store keeps what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// In the memory of this process, for as long as it lives.
    Memory,
    /// In a file of this machine.
    File,
    /// In a database that nodes share.
    Database,
}

impl Kept {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::File => "file",
            Self::Database => "database",
        }
    }
}

/// How the HTTP surface behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where this gateway is reached from outside, for ingest URLs; without it the `Host` header
    /// of whoever asks says so.
    pub public_url: Option<String>,
    /// How it is spoken to where no public URL says so.
    pub scheme: Scheme,
    /// How far endpoints may reach.
    pub reach: Reach,
    /// The largest body of a call of the API.
    pub api_body_bytes_max: usize,
    /// How long a body may take from its first byte to its last.
    pub body_timeout: Duration,
    /// Calls of the API that each key may make; none for any number.
    pub api_rate: Option<Rate>,
    /// Calls without a valid key that are answered to one address.
    pub stranger_rate: Rate,
    /// Requests under way at once, of which one source has a quarter at most.
    pub flights_max: usize,
    /// Bytes of all bodies under way together.
    pub body_memory_bytes: usize,
    /// Refused requests that are logged per source and second; more are only counted.
    pub refusals_per_second: u32,
    /// How long the store may take to say that it is ready.
    pub ready_timeout: Duration,
    /// What takes the spans of arrivals; none where no traces are recorded.
    pub tracer: Option<Arc<Tracer>>,
    /// Where the store keeps what it is given.
    pub kept: Kept,
}

/// How clients speak to the gateway's own port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// In plain text.
    Http,
    /// Under TLS.
    Https,
}

impl Scheme {
    /// Its name in a URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            public_url: None,
            scheme: Scheme::Http,
            reach: Reach::PublicOnly,
            api_body_bytes_max: BODY_BYTES_MAX,
            body_timeout: Duration::from_secs(30),
            api_rate: None,
            stranger_rate: Rate {
                per_second: 10,
                burst: 200,
            },
            flights_max: 4_096,
            body_memory_bytes: 256 * 1024 * 1024,
            refusals_per_second: 100,
            ready_timeout: Duration::from_secs(2),
            tracer: None,
            kept: Kept::Memory,
        }
    }
}

/// What does for the surface what it does not do itself.
pub struct Helpers {
    /// Runs scripts.
    pub transformer: Arc<dyn Transformer>,
    /// Fetches the certificates of providers that sign with one.
    pub fetch: Arc<dyn Fetch>,
    /// The authorities that are believed about these certificates.
    pub roots: Vec<TrustAnchor<'static>>,
}

impl Default for Helpers {
    /// Neither runs nor fetches anything.
    fn default() -> Self {
        Self {
            transformer: Arc::new(NoTransforms),
            fetch: Arc::new(NoFetch),
            roots: Vec::new(),
        }
    }
}

/// Requests whose payloads are compared with their originals' at once.
const COMPARISONS_MAX: usize = 64;

/// Shared by all handlers; cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// What an [`App`] holds.
pub struct Inner {
    store: Arc<dyn Store>,
    directory: Arc<Directory>,
    settings: Settings,
    call_names: CallNames,
    flights: Arc<Semaphore>,
    source_shares: Arc<SourceShares>,
    body_memory: Arc<Semaphore>,
    comparisons: Arc<Semaphore>,
    backtests: Arc<Semaphore>,
    refusals: RefusalLog,
    transformer: Arc<dyn Transformer>,
    feed: Feed,
    stop: OnceLock<CancellationToken>,
    replays_changed: Arc<Notify>,
    used: Used,
    calls: Option<Limiter>,
    strangers: Limiter,
    known_gauges: Known,
    certificates: Certificates,
    glances: Glances,
}

impl App {
    /// The surface over a store and its configuration, without anything that runs scripts
    /// or fetches certificates.
    pub fn new(store: Arc<dyn Store>, directory: Arc<Directory>, settings: Settings) -> Self {
        Self::with_helpers(store, directory, settings, Helpers::default())
    }

    /// The surface over a store and its configuration.
    pub fn with_helpers(
        store: Arc<dyn Store>,
        directory: Arc<Directory>,
        settings: Settings,
        helpers: Helpers,
    ) -> Self {
        Self(Arc::new(Inner {
            transformer: helpers.transformer,
            certificates: Certificates::new(helpers.fetch, helpers.roots),
            feed: Feed::new(Arc::clone(&store)),
            stop: OnceLock::new(),
            replays_changed: Arc::default(),
            used: Used::default(),
            calls: settings.api_rate.map(Limiter::new),
            strangers: Limiter::new(settings.stranger_rate),
            known_gauges: Known::default(),
            glances: Glances::default(),
            store,
            directory,
            call_names: CallNames::new(rand::random()),
            flights: Arc::new(Semaphore::new(settings.flights_max)),
            source_shares: SourceShares::of(settings.flights_max),
            body_memory: Arc::new(Semaphore::new(body::shares(settings.body_memory_bytes))),
            comparisons: Arc::new(Semaphore::new(COMPARISONS_MAX)),
            backtests: Arc::new(Semaphore::new(1)),
            refusals: RefusalLog::new(settings.refusals_per_second),
            settings,
        }))
    }
}

impl Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Inner {
    /// What happened, and where it is written.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The configuration.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// What runs scripts.
    pub fn transformer(&self) -> &dyn Transformer {
        &*self.transformer
    }

    /// Notified when a replay was made or commanded here, for whoever takes replays forward.
    pub fn replays_changed(&self) -> &Arc<Notify> {
        &self.replays_changed
    }

    /// How the surface behaves.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// When API keys were last used.
    pub(crate) fn used(&self) -> &Used {
        &self.used
    }

    /// How many calls each API key may make, if that is limited.
    pub(crate) fn calls(&self) -> Option<&Limiter> {
        self.calls.as_ref()
    }

    /// How many calls without a valid key each address may make.
    pub(crate) fn strangers(&self) -> &Limiter {
        &self.strangers
    }

    /// The certificates of providers that sign with one.
    pub(crate) fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    pub(crate) fn known_gauges(&self) -> &Known {
        &self.known_gauges
    }

    /// The live log.
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// The figures that stand for a moment.
    pub(crate) fn glances(&self) -> &Glances {
        &self.glances
    }

    /// Ends what would never end by itself once `stop` is cancelled. Only the first call counts.
    pub(crate) fn ends_with(&self, stop: CancellationToken) {
        // Of two servers over one surface the first says when it ends.
        drop(self.stop.set(stop));
    }

    /// Cancelled when the server ends.
    pub(crate) fn stopping(&self) -> CancellationToken {
        self.stop.get().cloned().unwrap_or_default()
    }

    /// Refusals that were answered and, beyond the log's rate, not logged.
    pub fn refusals_left_out(&self) -> u64 {
        self.refusals.left_out()
    }

    pub(crate) fn call_names(&self) -> &CallNames {
        &self.call_names
    }

    pub(crate) fn flights(&self) -> Arc<Semaphore> {
        Arc::clone(&self.flights)
    }

    pub(crate) fn source_shares(&self) -> &Arc<SourceShares> {
        &self.source_shares
    }

    pub(crate) fn body_memory(&self) -> Arc<Semaphore> {
        Arc::clone(&self.body_memory)
    }

    pub(crate) fn comparisons(&self) -> Arc<Semaphore> {
        Arc::clone(&self.comparisons)
    }

    pub(crate) fn backtests(&self) -> Arc<Semaphore> {
        Arc::clone(&self.backtests)
    }

    pub(crate) fn refusals(&self) -> &RefusalLog {
        &self.refusals
    }
}
