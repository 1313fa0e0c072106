//! Access tokens of endpoints that want one: fetched once at a time, kept in memory until shortly
//! before their end, and once more when the endpoint refuses one that it took before.
//!
//! Each node fetches its own. The token server is a stranger like any endpoint: its address is
//! judged at every connect, its answer bounded, and what it says is never shown but for the name of
//! its error.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hooklatch_core::ids::EndpointId;
use hooklatch_core::oauth2::{ClientCredentials, read_token};
use hooklatch_core::secret::Secret;
use hooklatch_egress::{Call, Sender, Target};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use tokio::time::Instant;

/// The time for one request to a token server, from its name to the answer's last byte.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a token server's answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// For so long a failure is the answer to those who wait as well: a token server that is down must
/// not hold a whole queue of attempts up, one timeout after the other.
const FAILURE_KEPT: Duration = Duration::from_secs(1);
/// Endpoints whose tokens are kept. Beyond it all are forgotten, and fetched again.
const ENDPOINTS_MAX: usize = 10_000;

/// The tokens of this node.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<HashMap<EndpointId, Arc<Place>>>);

/// The token of one endpoint. Whoever fetches it holds the lock meanwhile.
#[derive(Default)]
struct Place(tokio::sync::Mutex<Held>);

#[derive(Default)]
struct Held {
    /// For whom the rest is; what is known of others is of no use.
    credentials: Option<ClientCredentials>,
    token: Option<(Secret, Instant)>,
    failure: Option<(String, Instant)>,
}

/// A token for one attempt.
#[derive(Debug, Clone)]
pub(crate) struct Granted {
    /// The value of the header `Authorization`.
    pub authorization: Secret,
    /// Whether it was fetched for an earlier attempt, so that it may have been taken back since.
    pub kept: bool,
}

impl Tokens {
    /// A token for an endpoint, other than one that it has refused; or why there is none. Takes no
    /// longer than `patience`.
    pub(crate) async fn get(
        &self,
        sender: &Sender,
        (endpoint, credentials): (EndpointId, &ClientCredentials),
        refused: Option<&Secret>,
        patience: Duration,
    ) -> Result<Granted, String> {
        let getting = async {
            let place = self.place(endpoint);
            let mut held = place.0.lock().await;
            held.get(sender, credentials, refused).await
        };
        match tokio::time::timeout(patience, getting).await {
            Ok(granted) => granted,
            Err(_) => Err("no access token came in time".to_owned()),
        }
    }

    fn place(&self, endpoint: EndpointId) -> Arc<Place> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= ENDPOINTS_MAX && !places.contains_key(&endpoint) {
            places.clear();
        }
        Arc::clone(places.entry(endpoint).or_default())
    }
}

impl Held {
    async fn get(
        &mut self,
        sender: &Sender,
        credentials: &ClientCredentials,
        refused: Option<&Secret>,
    ) -> Result<Granted, String> {
        if self.credentials.as_ref() != Some(credentials) {
            *self = Self {
                credentials: Some(credentials.clone()),
                ..Self::default()
            };
        }
        let now = Instant::now();
        if let Some((token, until)) = &self.token
            && now < *until
            && refused != Some(token)
        {
            return Ok(Granted {
                authorization: token.clone(),
                kept: true,
            });
        }
        if let Some((failure, until)) = &self.failure
            && now < *until
        {
            return Err(failure.clone());
        }
        match fetch(sender, credentials).await {
            Ok((token, good_for)) => {
                self.failure = None;
                self.token = Some((token.clone(), now + good_for));
                Ok(Granted {
                    authorization: token,
                    kept: false,
                })
            }
            Err(failure) => {
                self.failure = Some((failure.clone(), Instant::now() + FAILURE_KEPT));
                Err(failure)
            }
        }
    }
}

async fn fetch(
    sender: &Sender,
    credentials: &ClientCredentials,
) -> Result<(Secret, Duration), String> {
    let target = Target::parse(&credentials.token_url)
        .map_err(|error| format!("the token URL is no use: {error}"))?;
    let request = credentials.request();
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    headers.insert(CONTENT_TYPE, form);
    if let Some(authorization) = &request.authorization {
        let mut value = HeaderValue::from_str(authorization.expose())
            .map_err(|_| "the client's id and secret do not fit into a header".to_owned())?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    let call = Call {
        method: Method::POST,
        target,
        headers,
        body: Bytes::copy_from_slice(request.form.expose().as_bytes()),
        timeout: TIMEOUT,
        response_bytes_max: ANSWER_BYTES_MAX,
    };
    let answer = sender.send(call).await.result;
    let answer = answer.map_err(|error| format!("no access token: {error}"))?;
    let token = read_token(answer.status, &answer.body);
    let token = token.map_err(|error| format!("no access token: {error}"))?;
    let good_for = Duration::from_millis(token.good_for.get().unsigned_abs());
    Ok((token.authorization, good_for))
}
