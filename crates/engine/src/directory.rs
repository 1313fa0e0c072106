//! What the engine needs to know of the configuration.
//!
//! An attempt must not wait for a lock or a query to learn where it goes, so an endpoint comes
//! ready for the wire: its URL parsed, its secrets and headers opened. The server builds these once per change
//! of the configuration.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use hooklatch_core::config::{Endpoint, OpenAuth};
use hooklatch_core::delivery::attempt::Attempt;
use hooklatch_core::ids::{ConnectionId, EndpointId, ProjectId};
use hooklatch_core::oauth2::ClientCredentials;
use hooklatch_core::seal::{Opener, SealingKey};
use hooklatch_core::secret::Secret;
use hooklatch_core::signature::SigningSecret;
use hooklatch_core::time::Timestamp;
use hooklatch_egress::{Identity, Target};
use http::Method;
use url::Url;

/// A change of the configuration under way.
pub type Saving<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Whether a connection lets anything pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// It does.
    Open {
        /// When a person last let it go on.
        resumed_at: Option<Timestamp>,
    },
    /// Not for now; what came by it waits in a lane of its own.
    Paused,
}

/// The configuration as it is now. All but `disable_endpoint` are called for each attempt or from
/// the store's own threads, and answer at once.
pub trait Directory: Send + Sync + 'static {
    /// An endpoint; none if it was deleted.
    fn endpoint(&self, id: EndpointId) -> Option<Arc<ReadyEndpoint>>;

    /// The script of a connection, if it has one.
    fn script(&self, connection: ConnectionId) -> Option<Arc<str>>;

    /// Whether a connection lets anything pass; none where there is none by this number.
    fn gate(&self, connection: ConnectionId) -> Option<Gate> {
        let _ = connection;
        None
    }

    /// What signs a send to a bare URL at `now` that brings no secret of its own, newest first.
    fn project_secrets(&self, project: ProjectId, now: Timestamp) -> Option<Arc<[SigningSecret]>>;

    /// The secret that a send to a bare URL brought, as its message keeps it.
    fn open_secret(&self, project: ProjectId, sealed: &str) -> Option<SigningSecret>;

    /// Lets an endpoint take nothing more, as it said that it is gone. Several of its answers that
    /// say so may come at once, so an endpoint that is disabled already is left as it is.
    fn disable_endpoint(&self, id: EndpointId, reason: String) -> Saving<'_>;

    /// Told of every attempt once its end is stored, for whoever counts them. Returns at once.
    fn attempted(&self, _: &Attempt) {}
}

/// An endpoint with all that an attempt needs.
#[derive(Debug)]
pub struct ReadyEndpoint {
    endpoint: Endpoint,
    wiring: Result<Wiring, String>,
}

struct Wiring {
    method: Method,
    url: Url,
    target: Target,
    /// One for each of the endpoint's, in the same order.
    secrets: Vec<SigningSecret>,
    headers: Vec<(String, String)>,
    entry: Entry,
}

/// By what the endpoint lets us in.
pub(crate) enum Entry {
    /// Nothing, or what the target carries.
    Open,
    /// The value of the header `Authorization`.
    Authorization(Secret),
    /// A token.
    Token(ClientCredentials),
}

/// Any of the headers may be a credential.
impl fmt::Debug for Wiring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wiring")
            .field("method", &self.method)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl ReadyEndpoint {
    /// Makes an endpoint ready. One that cannot be, because its secrets were sealed with another
    /// key, is an endpoint all the same: its attempts fail and say why, and its deliveries wait
    /// for the key to come back.
    pub fn new(endpoint: Endpoint, sealing_key: &SealingKey) -> Self {
        let wiring = wire(&endpoint, sealing_key);
        Self { endpoint, wiring }
    }

    /// The endpoint.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What takes its deliveries in its place, if anything does.
    pub(crate) fn stand_in(&self, directory: &dyn Directory) -> Option<EndpointId> {
        self.endpoint.stand_in(|id| directory.endpoint(id))
    }

    pub(crate) fn method(&self) -> Result<&Method, &str> {
        Ok(&self.wiring()?.method)
    }

    pub(crate) fn url(&self) -> Result<&Url, &str> {
        Ok(&self.wiring()?.url)
    }

    pub(crate) fn target(&self) -> Result<&Target, &str> {
        Ok(&self.wiring()?.target)
    }

    /// The custom headers, opened.
    pub(crate) fn headers(&self) -> Result<&[(String, String)], &str> {
        Ok(&self.wiring()?.headers)
    }

    /// Why nothing can be sent to it, where nothing can.
    pub fn unusable(&self) -> Option<&str> {
        self.wiring().err()
    }

    pub(crate) fn entry(&self) -> Result<&Entry, &str> {
        Ok(&self.wiring()?.entry)
    }

    /// The secrets that sign at `now`, newest first.
    pub(crate) fn secrets(&self, now: Timestamp) -> Result<Cow<'_, [SigningSecret]>, &str> {
        let secrets = &self.wiring()?.secrets;
        let sealed = &self.endpoint.secrets;
        if sealed.iter().all(|secret| secret.is_live(now)) {
            return Ok(Cow::Borrowed(secrets));
        }
        let both = sealed.iter().zip(secrets);
        let live = both.filter(|(sealed, _)| sealed.is_live(now));
        Ok(live.map(|(_, secret)| secret.clone()).collect())
    }

    fn wiring(&self) -> Result<&Wiring, &str> {
        self.wiring.as_ref().map_err(String::as_str)
    }
}

impl AsRef<Endpoint> for ReadyEndpoint {
    fn as_ref(&self) -> &Endpoint {
        &self.endpoint
    }
}

fn wire(endpoint: &Endpoint, sealing_key: &SealingKey) -> Result<Wiring, String> {
    let method = endpoint.method.parse();
    let method = method.map_err(|_| format!("{} is no HTTP method", endpoint.method))?;
    let url: Url = endpoint
        .url
        .parse()
        .map_err(|error| format!("the endpoint's URL cannot be read: {error}"))?;
    let target =
        Target::from_url(&url).map_err(|error| format!("the endpoint's URL is no use: {error}"))?;
    let (entry, target) = entry(endpoint, target, sealing_key)?;
    let owner = endpoint.id.to_string();
    let opener = Opener::new(sealing_key, &owner);
    let mut secrets = Vec::with_capacity(endpoint.secrets.len());
    for secret in &endpoint.secrets {
        let text = opener.open(&secret.sealed);
        let text = text
            .map_err(|error| format!("the endpoint's signing secret cannot be opened: {error}"))?;
        let secret = SigningSecret::parse(text.expose());
        secrets.push(
            secret.map_err(|error| format!("the endpoint's signing secret is no use: {error}"))?,
        );
    }
    let headers = endpoint.open_headers(sealing_key);
    let headers =
        headers.map_err(|error| format!("the endpoint's headers cannot be opened: {error}"))?;
    Ok(Wiring {
        method,
        url,
        target,
        secrets,
        headers,
        entry,
    })
}

/// How the endpoint lets us in, and its target, which carries our certificate where there is one.
fn entry(
    endpoint: &Endpoint,
    target: Target,
    sealing_key: &SealingKey,
) -> Result<(Entry, Target), String> {
    let auth = endpoint.open_auth(sealing_key);
    let auth = auth.map_err(|error| format!("the endpoint's auth cannot be opened: {error}"))?;
    Ok(match auth {
        None => (Entry::Open, target),
        Some(OpenAuth::Authorization(value)) => (Entry::Authorization(value), target),
        Some(OpenAuth::OAuth2(credentials)) => (Entry::Token(credentials), target),
        Some(OpenAuth::Mtls { certificate, key }) => {
            let identity = Identity::from_pem(&certificate, key.expose());
            let identity = identity.map_err(|error| error.to_string())?;
            (Entry::Open, target.with_identity(identity))
        }
    })
}
