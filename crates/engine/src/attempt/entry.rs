//! Getting in: what an endpoint wants to see of us before it takes anything.

use std::time::Duration;

use hooklatch_core::ids::EndpointId;
use hooklatch_core::message::Parcel;
use hooklatch_core::oauth2::ClientCredentials;
use hooklatch_core::secret::Secret;
use hooklatch_core::time::Timestamp;

use super::{Sent, Traced, Work};
use crate::destination::Destination;
use crate::directory::Entry;
use crate::request::{self, Prepared};
use crate::shared::Shared;

/// The status that says that a token is not taken (RFC 6750, 3.1).
const UNAUTHORIZED: u16 = 401;

/// What one request shows.
struct Shown<'a> {
    /// The value of the header `Authorization`, where there is one.
    authorization: Option<Secret>,
    /// For whom another token can be fetched, should this one have been taken back.
    renewable: Option<(EndpointId, &'a ClientCredentials)>,
}

impl Work<'_> {
    /// The request and what came of it; where the endpoint does not take a token that it took before,
    /// the same request once more under a new one.
    pub(super) async fn sent(
        &self,
        parcel: &Parcel,
        traced: &Traced,
        started_at: Timestamp,
    ) -> Sent {
        let shown = Shown::to(&self.destination, self.shared, self.lease_left()).await;
        let shown = match shown {
            Ok(shown) => shown,
            Err(error) => return Sent::not_sent(error),
        };
        let sent = self.sent_showing(&shown, parcel, traced, started_at).await;
        let status = sent.answer.as_ref().map(|answer| answer.status);
        if status != Some(UNAUTHORIZED) {
            return sent;
        }
        match shown.renewed(self.shared, self.lease_left()).await {
            Some(renewed) if !self.lease_left().is_zero() => {
                self.sent_showing(&renewed, parcel, traced, started_at)
                    .await
            }
            Some(_) | None => sent,
        }
    }

    async fn sent_showing(
        &self,
        shown: &Shown<'_>,
        parcel: &Parcel,
        traced: &Traced,
        started_at: Timestamp,
    ) -> Sent {
        let authorization = shown.authorization.as_ref();
        let delivery = &self.lease.delivery;
        let prepared = request::prepare(
            &self.destination,
            delivery,
            parcel,
            authorization,
            traced.headers.as_ref(),
            started_at,
        );
        match prepared {
            Ok(Prepared { mut call, recorded }) => {
                // The endpoint may have been given more time since the lease was.
                call.timeout = call.timeout.min(self.lease_left());
                Sent {
                    request_headers: recorded,
                    ..self.send(call).await
                }
            }
            Err(error) => Sent::not_sent(error),
        }
    }
}

impl<'a> Shown<'a> {
    /// What a destination wants to see, or why we do not have it. Waits for a token no longer than
    /// `patience`.
    async fn to(
        destination: &'a Destination,
        shared: &Shared,
        patience: Duration,
    ) -> Result<Self, String> {
        let (endpoint, credentials) = match destination {
            Destination::Url(_) | Destination::Deleted => return Ok(Self::nothing()),
            Destination::Endpoint(ready) => match ready.entry()? {
                Entry::Open => return Ok(Self::nothing()),
                Entry::Authorization(value) => {
                    return Ok(Self {
                        authorization: Some(value.clone()),
                        renewable: None,
                    });
                }
                Entry::Token(credentials) => (ready.endpoint().id, credentials),
            },
        };
        let whose = (endpoint, credentials);
        let granted = shared.tokens.get(&shared.sender, whose, None, patience);
        let granted = granted.await?;
        Ok(Self {
            authorization: Some(granted.authorization),
            renewable: granted.kept.then_some(whose),
        })
    }

    fn nothing() -> Self {
        Self {
            authorization: None,
            renewable: None,
        }
    }

    /// What to show after this was refused; none where nothing else can be had. A refusal is
    /// believed once: a token that was fetched just now is not fetched again.
    async fn renewed(&self, shared: &Shared, patience: Duration) -> Option<Self> {
        let whose = self.renewable?;
        let refused = self.authorization.as_ref();
        let granted = shared.tokens.get(&shared.sender, whose, refused, patience);
        Some(Self {
            authorization: Some(granted.await.ok()?.authorization),
            renewable: None,
        })
    }
}
