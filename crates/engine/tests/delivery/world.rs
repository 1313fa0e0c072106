//! A store on a clock that tests set, a configuration, and an engine between them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hooklatch_core::address::Reach;
use hooklatch_core::admission::{Admission, Arrival, OnConflict, OnFailedOriginal, Policy};
use hooklatch_core::claim::{ClaimKey, ClaimKind, Scope};
use hooklatch_core::config::{Disabled, Endpoint, EndpointInput, EndpointPlace, Making};
use hooklatch_core::delivery::attempt::Attempt;
use hooklatch_core::delivery::lifecycle::Destination;
use hooklatch_core::delivery::{Delivery, DeliveryStatus, Lane};
use hooklatch_core::fingerprint::Fingerprint;
use hooklatch_core::ids::{ConnectionId, EndpointId, MessageId, ProjectId, SourceId};
use hooklatch_core::key::Checksum;
use hooklatch_core::message::{DirectTarget, Direction, Envelope};
use hooklatch_core::seal::{Opener, Sealer, SealingKey};
use hooklatch_core::secret::Secret;
use hooklatch_core::signature::SigningSecret;
use hooklatch_core::time::{Millis, Timestamp};
use hooklatch_core::window::Window;
use hooklatch_egress::{Sender, SenderSettings};
use hooklatch_engine::{
    Directory, Engine, EngineHandle, NoTransforms, ReadyEndpoint, Saving, Settings,
};
use hooklatch_store::memory::MemoryStore;
use hooklatch_store::{Admissions, Clock, Deliveries, History, Store};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub const PROJECT: ProjectId = ProjectId::from_number(7);
const START: i64 = 1_700_000_000_000;

/// A clock that stands until it is moved.
pub struct ManualClock(AtomicI64);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

pub struct World {
    pub store: Arc<MemoryStore>,
    pub directory: Arc<TestDirectory>,
    clock: Arc<ManualClock>,
    changed: Arc<Notify>,
}

/// A configuration that tests change at will.
pub struct TestDirectory {
    sealing_key: SealingKey,
    endpoints: Mutex<HashMap<EndpointId, Arc<ReadyEndpoint>>>,
    store: Mutex<Arc<MemoryStore>>,
    project_secret: SigningSecret,
    /// Makes the next attempt that looks the project's secret up panic.
    pub panic_once: AtomicBool,
}

/// What happens to arrive.
pub struct Event {
    pub direction: Direction,
    pub envelope: Envelope,
    pub body: Bytes,
    pub key: Option<&'static str>,
    pub destinations: Vec<Destination>,
    pub target: Option<DirectTarget>,
    pub extra_headers: Vec<(String, String)>,
}

impl World {
    pub fn new() -> Self {
        let clock = Arc::new(ManualClock(AtomicI64::new(START)));
        let store = MemoryStore::with_clock(Arc::clone(&clock) as Arc<dyn Clock>);
        Self::around(store, clock)
    }

    fn around(store: Arc<MemoryStore>, clock: Arc<ManualClock>) -> Self {
        let directory = Arc::new(TestDirectory {
            sealing_key: SealingKey::from_bytes([3; 32]),
            endpoints: Mutex::default(),
            store: Mutex::new(Arc::clone(&store)),
            project_secret: SigningSecret::generate_hmac([9; 32]),
            panic_once: AtomicBool::new(false),
        });
        let changed = Arc::new(Notify::new());
        let notify = Arc::clone(&changed);
        store.on_work(Arc::new(move || notify.notify_one()));
        Self {
            store,
            directory,
            clock,
            changed,
        }
    }

    /// The world after its process died and was started again.
    pub fn after_a_crash(&self) -> Self {
        let world = Self::around(self.store.after_a_crash(), Arc::clone(&self.clock));
        let endpoints = self.directory.endpoints.lock().unwrap().clone();
        *world.directory.endpoints.lock().unwrap() = endpoints;
        world
    }

    pub fn engine(&self) -> EngineHandle {
        self.engine_on(Arc::clone(&self.store) as Arc<dyn Deliveries>)
    }

    pub fn engine_on(&self, store: Arc<dyn Deliveries>) -> EngineHandle {
        let settings = SenderSettings {
            reach: Reach::LoopbackToo,
            ..SenderSettings::default()
        };
        Engine::start(
            store,
            Arc::clone(&self.directory) as Arc<dyn Directory>,
            Sender::with_system_resolver(settings),
            Arc::new(NoTransforms),
            Settings {
                poll_every: Duration::from_millis(5),
                ..Settings::default()
            },
            CancellationToken::new(),
        )
    }

    /// Saves an endpoint, and tells its secret.
    pub fn endpoint(&self, number: i64, settings: Value) -> (EndpointId, SigningSecret) {
        let id = EndpointId::from_number(number);
        let mut settings = settings;
        settings["name"] = format!("endpoint {number}").into();
        let mut drawn = 0;
        let mut random = |bytes: &mut [u8]| {
            drawn += 1;
            bytes.fill(drawn);
        };
        let mut making = Making {
            project: PROJECT,
            now: self.now(),
            reach: Reach::LoopbackToo,
            sealing_key: &self.directory.sealing_key,
            random: &mut random,
        };
        let place = EndpointPlace {
            new_id: id,
            existing: None,
        };
        let input = EndpointInput::from_json(settings).unwrap();
        let built = input.build(place, &mut making).unwrap();
        self.directory.put(built.endpoint);
        let secret = built.secret.unwrap();
        (id, SigningSecret::parse(secret.expose()).unwrap())
    }

    pub async fn arrive(&self, event: Event) -> Admission {
        let key = event.key.map(|text| ClaimKey {
            scope: Scope::Source(SourceId::from_number(1)),
            checksum: Checksum::from_bytes([text.len() as u8; 32]),
            fingerprint: Fingerprint::from_bytes([1; 32]),
            parts: vec![text.to_owned()],
            kind: ClaimKind::Key,
        });
        let arrival = Arrival {
            project_id: PROJECT,
            direction: event.direction,
            source_id: None,
            received_at: self.now(),
            envelope: Arc::new(event.envelope),
            body: event.body,
            event_type: None,
            tenant: None,
            fingerprint: Fingerprint::from_bytes([1; 32]),
            keys: key.into_iter().collect(),
            policy: Policy {
                window: Window::Forever,
                sliding: false,
                on_conflict: OnConflict::Suppress,
                on_failed_original: OnFailedOriginal::Suppress,
            },
            destinations: event.destinations,
            rulings: Vec::new(),
            shadow: None,
            disabled: Arc::default(),
            hints: Arc::default(),
            delay: Millis::ZERO,
            target: event.target,
            extra_headers: event.extra_headers,
            warnings: Vec::new(),
            response_status: 200,
            payload_kept: None,
        };
        self.store.admit(vec![arrival]).await.unwrap().remove(0)
    }

    /// One plain event for one endpoint.
    pub async fn event_for(&self, endpoint: EndpointId) -> MessageId {
        self.arrive(Event::to(endpoint)).await.message_id
    }

    pub async fn delivery(&self, message: MessageId) -> Delivery {
        let view = self.store.message(PROJECT, message).await.unwrap();
        view.unwrap().deliveries.remove(0)
    }

    /// Waits until the message's delivery is as wanted.
    pub async fn delivery_when(
        &self,
        message: MessageId,
        wanted: impl Fn(&Delivery) -> bool,
    ) -> Delivery {
        let reached = async {
            loop {
                let delivery = self.delivery(message).await;
                if wanted(&delivery) {
                    return delivery;
                }
                self.changed.notified().await;
            }
        };
        match timeout(Duration::from_secs(10), reached).await {
            Ok(delivery) => delivery,
            Err(_) => panic!("it never came to that: {:?}", self.delivery(message).await),
        }
    }

    pub async fn delivery_with(&self, message: MessageId, status: DeliveryStatus) -> Delivery {
        self.delivery_when(message, |delivery| delivery.state.status() == status)
            .await
    }

    /// Waits until so many attempts have ended and the next is due later.
    pub async fn waiting_after(&self, message: MessageId, attempts: u32) -> Delivery {
        let waits = |delivery: &Delivery| {
            delivery.attempts == attempts && delivery.next_attempt_at().is_some()
        };
        self.delivery_when(message, waits).await
    }

    pub async fn attempts(&self, message: MessageId) -> Vec<Attempt> {
        let delivery = self.delivery(message).await;
        self.store.attempts_of(PROJECT, delivery.id).await.unwrap()
    }

    pub fn now(&self) -> Timestamp {
        self.store.now()
    }

    pub fn advance(&self, span: Millis) {
        self.clock.0.fetch_add(span.get(), Ordering::SeqCst);
    }

    pub fn seal(&self, secret: &SigningSecret) -> String {
        let owner = PROJECT.to_string();
        let mut nonce = || [5; 24];
        Sealer::new(&self.directory.sealing_key, &owner, &mut nonce).seal(&secret.to_text())
    }

    pub fn project_secret(&self) -> SigningSecret {
        self.directory.project_secret.clone()
    }
}

impl Event {
    /// A plain event that goes nowhere yet.
    pub fn new() -> Self {
        Self {
            direction: Direction::Inbound,
            envelope: Envelope {
                method: "POST".to_owned(),
                path: String::new(),
                query: None,
                headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            },
            body: Bytes::from_static(br#"{"id": 1}"#),
            key: None,
            destinations: Vec::new(),
            target: None,
            extra_headers: Vec::new(),
        }
    }

    pub fn to(endpoint: EndpointId) -> Self {
        Self {
            destinations: vec![Destination {
                endpoint_id: Some(endpoint),
                connection_id: None,
                lane: Lane::of_endpoint(endpoint),
                suffix_webhook_id: false,
                order_key: None,
            }],
            ..Self::new()
        }
    }

    /// A send to a bare URL.
    pub fn to_url(url: String, sealed_secret: Option<String>) -> Self {
        Self {
            direction: Direction::Outbound,
            destinations: vec![Destination {
                endpoint_id: None,
                connection_id: None,
                lane: Lane::of_host("127.0.0.1"),
                suffix_webhook_id: false,
                order_key: None,
            }],
            target: Some(DirectTarget { url, sealed_secret }),
            ..Self::new()
        }
    }
}

impl TestDirectory {
    fn put(&self, endpoint: Endpoint) {
        let id = endpoint.id;
        let ready = Arc::new(ReadyEndpoint::new(endpoint, &self.sealing_key));
        self.endpoints.lock().unwrap().insert(id, ready);
    }

    /// Changes an endpoint.
    pub fn change(&self, id: EndpointId, change: impl FnOnce(&mut Endpoint)) {
        let mut endpoint = self.endpoint(id).unwrap().endpoint().clone();
        change(&mut endpoint);
        self.put(endpoint);
    }

    pub fn delete(&self, id: EndpointId) {
        self.endpoints.lock().unwrap().remove(&id);
    }
}

impl Directory for TestDirectory {
    fn endpoint(&self, id: EndpointId) -> Option<Arc<ReadyEndpoint>> {
        self.endpoints.lock().unwrap().get(&id).cloned()
    }

    fn script(&self, _: ConnectionId) -> Option<Arc<str>> {
        None
    }

    fn project_secrets(&self, project: ProjectId, _: Timestamp) -> Option<Arc<[SigningSecret]>> {
        assert!(
            !self.panic_once.swap(false, Ordering::SeqCst),
            "a planted panic"
        );
        (project == PROJECT).then(|| Arc::from([self.project_secret.clone()]))
    }

    fn open_secret(&self, project: ProjectId, sealed: &str) -> Option<SigningSecret> {
        let owner = project.to_string();
        let opened: Secret = Opener::new(&self.sealing_key, &owner).open(sealed).ok()?;
        SigningSecret::parse(opened.expose()).ok()
    }

    fn disable_endpoint(&self, id: EndpointId, reason: String) -> Saving<'_> {
        Box::pin(async move {
            let store = Arc::clone(&*self.store.lock().unwrap());
            let at = store.now();
            self.change(id, |endpoint| {
                endpoint.disabled = Some(Disabled { at, reason });
            });
            store.hasten(Lane::of_endpoint(id)).await.unwrap();
        })
    }
}
