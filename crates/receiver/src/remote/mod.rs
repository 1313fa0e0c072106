//! A gateway's claim API: for receivers that have no store of their own.
//!
//! What it promises: what the gateway's store promises, which is durable, under the store's clock.
//! Record and effect are never one commit, because they lie in two systems: leased mode only.
//!
//! Keys are kept apart by a scope within the gateway's project, so that two services may claim
//! the same event. The API key needs the scope `send`, and `manage` where an operator forces a
//! replay. The gateway sweeps by itself.

mod connect;
mod store;
mod wire;

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::RootCertStore;

use connect::Connector;

/// How long to wait for an answer, unless the caller says otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long an unused connection is kept; shorter than gateways keep theirs.
const IDLE_MAX: Duration = Duration::from_secs(15);
/// Bytes of an answer: a result of 64 KiB in base64, or as much JSON, with all around it.
const ANSWER_BYTES_MAX: usize = 512 * 1024;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Claims in a gateway. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct RemoteStore {
    base: String,
    authorization: HeaderValue,
    scope: String,
    timeout: Duration,
    roots: RootCertStore,
    pool: Client<Connector, Full<Bytes>>,
}

/// Why there is no store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// The address is not one that can be called.
    #[error("the gateway's address begins with https:// or http:// and has no query")]
    Url,
    /// The API key is none.
    #[error("the API key holds characters other than visible ASCII")]
    ApiKey,
    /// The authorities are none.
    #[error("the authorities should be PEM: blocks of BEGIN CERTIFICATE")]
    Authority,
}

/// What the gateway said.
struct Said {
    status: StatusCode,
    body: Bytes,
}

impl RemoteStore {
    /// Claims in the gateway at `url`, for example `https://hooks.example.com` or, within your own
    /// network, `http://127.0.0.1:8420`, under a scope that is this service's own. With https the
    /// gateway's certificate has to bear its name and to lead to a public authority, or to one of
    /// [`trust_also`](Self::trust_also).
    ///
    /// # Errors
    /// The address or the key cannot be used. Nothing is asked of the gateway yet.
    pub fn new(url: &str, api_key: &str, scope: &str) -> Result<Self, RemoteError> {
        let base = url.trim_end_matches('/').to_owned();
        let uri: Uri = base.parse().map_err(|_| RemoteError::Url)?;
        let scheme = uri.scheme_str();
        if !matches!(scheme, Some("http" | "https")) || uri.query().is_some() {
            return Err(RemoteError::Url);
        }
        let authorization = HeaderValue::from_str(&format!("Bearer {api_key}"));
        let mut authorization = authorization.map_err(|_| RemoteError::ApiKey)?;
        authorization.set_sensitive(true);
        let roots = connect::public_roots();
        Ok(Self {
            base,
            authorization,
            scope: scope.to_owned(),
            timeout: TIMEOUT,
            pool: pool(roots.clone()),
            roots,
        })
    }

    /// The same store, which trusts more certificate authorities: a house's own, in PEM.
    ///
    /// # Errors
    /// They are no PEM, or no certificates.
    pub fn trust_also(mut self, authorities: &str) -> Result<Self, RemoteError> {
        connect::trust_also(&mut self.roots, authorities)?;
        self.pool = pool(self.roots.clone());
        Ok(self)
    }

    /// The same store with another patience for one answer.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Asks, and once more where the connection broke: every call of the claim API may be repeated.
    async fn ask(&self, method: &Method, path: &str, body: &Bytes) -> Result<Said, Error> {
        match self.ask_once(method, path, body).await {
            Ok(said) => Ok(said),
            Err(_) => self.ask_once(method, path, body).await,
        }
    }

    async fn ask_once(&self, method: &Method, path: &str, body: &Bytes) -> Result<Said, Error> {
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = method.clone();
        *request.uri_mut() = format!("{}{path}", self.base).parse()?;
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, self.authorization.clone());
        let json = HeaderValue::from_static("application/json");
        headers.insert(ACCEPT, json.clone());
        headers.insert(CONTENT_TYPE, json);
        let exchange = async {
            let (head, body) = self.pool.request(request).await?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?;
            Ok(Said {
                status: head.status,
                body: body.to_bytes(),
            })
        };
        let patience = self.timeout;
        let said = tokio::time::timeout(patience, exchange).await;
        said.map_err(|_| format!("the gateway did not answer within {patience:?}"))?
    }
}

/// Connections that are kept for a while.
fn pool(roots: RootCertStore) -> Client<Connector, Full<Bytes>> {
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_MAX)
        .build(Connector::trusting(roots))
}

impl std::fmt::Debug for RemoteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteStore")
            .field("base", &self.base)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "hl_0123456789abcdef0123456789abcdef";

    #[tokio::test]
    async fn an_address_and_a_key_have_to_be_usable() {
        for url in [
            "",
            "gateway",
            "ftp://gateway",
            "http://g/?x=1",
            "https://g/?x=1",
        ] {
            let made = RemoteStore::new(url, KEY, "shop").map(drop);
            assert_eq!(made, Err(RemoteError::Url), "{url}");
        }
        let made = RemoteStore::new("http://gateway:8420/", "hl_\n", "shop").map(drop);
        assert_eq!(made, Err(RemoteError::ApiKey));
        let store = RemoteStore::new("https://gateway", KEY, "shop").unwrap();
        let trusting = store.trust_also("-----BEGIN NOTHING-----").map(drop);
        assert_eq!(trusting, Err(RemoteError::Authority));
    }

    #[tokio::test]
    async fn the_key_is_never_shown() {
        let store = RemoteStore::new("http://127.0.0.1:9", KEY, "shop").unwrap();
        assert!(!format!("{store:?}").contains(KEY));
        let refused = store.ask(&Method::GET, "/", &Bytes::new()).await;
        let Err(error) = refused else {
            panic!("nobody listens there")
        };
        assert!(!format!("{error:?}").contains(KEY));
    }
}
