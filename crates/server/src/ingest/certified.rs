//! What has to be fetched before a request can be judged, or because a judged one asks for it.

use std::sync::Arc;

use axum::response::Response;
use bytes::Bytes;
use hooklatch_core::provider::Answer;
use hooklatch_core::verify::{Chain, Presented, TrustAnchor};

use super::certificates::Unavailable;
use super::refusal::Refusal;
use super::{Arrived, handshake};
use crate::app::App;
use crate::directory::Gate;
use crate::problem::Problem;

/// How long a sender shall wait where something could not be fetched, in seconds: as long as a
/// failure is the answer to all who ask for the same.
const FETCH_SECONDS: u32 = 30;

/// A certificate that was fetched for one request, and whom to believe about it.
pub(super) struct Certified {
    chain: Arc<Chain>,
    roots: Arc<[TrustAnchor<'static>]>,
}

impl Certified {
    pub(super) fn presented(&self) -> Presented<'_> {
        Presented {
            chain: &self.chain,
            roots: &self.roots,
        }
    }
}

/// Why a request cannot be judged with a certificate.
pub(super) enum Unjudged {
    /// It is refused without.
    Refused(Refusal),
    /// Nobody can say now: the sender shall come again.
    Later(Problem),
}

impl Arrived {
    /// The certificate that this request is to be judged by, where it is to be by one.
    pub(super) async fn certified(&self, body: &Bytes) -> Result<Option<Certified>, Unjudged> {
        let intake = &self.gate.ready.intake;
        if !intake.fetches() {
            return Ok(None);
        }
        let wanted = intake.wanted(&self.envelope, &self.url, body);
        let wanted = wanted.map_err(|refused| Unjudged::Refused(Refusal::of(&refused)))?;
        let Some(wanted) = wanted else {
            return Ok(None);
        };
        let certificates = self.app.certificates();
        let source = self.gate.ready.source.id;
        let chain = certificates.get(source, &wanted.url, self.received_at);
        let chain = chain
            .await
            .map_err(|error| Unjudged::Later(later(&error)))?;
        Ok(Some(Certified {
            chain,
            roots: certificates.roots(),
        }))
    }
}

/// Confirms a subscription, and says so.
pub(super) async fn confirm(app: &App, gate: &Gate, url: &str) -> Result<Response, Problem> {
    let source = gate.ready.source.id;
    let confirmed = app.certificates().confirm(source, url).await;
    confirmed.map_err(|error| later(&error))?;
    tracing::info!(%source, "a subscription was confirmed");
    Ok(handshake::answer(Answer::confirmed()))
}

fn later(error: &Unavailable) -> Problem {
    let detail = format!("{error}; nothing was recorded as an event, repeating is safe");
    Problem::unavailable(detail).retry_after(FETCH_SECONDS)
}
