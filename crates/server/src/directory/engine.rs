//! The configuration as the engine sees it.

use std::sync::Arc;

use hooklatch_core::config::{Disabled, Endpoint};
use hooklatch_core::delivery::attempt::Attempt;
use hooklatch_core::ids::{ConnectionId, EndpointId, ProjectId};
use hooklatch_core::seal::Opener;
use hooklatch_core::signature::SigningSecret;
use hooklatch_core::time::Timestamp;
use hooklatch_engine::{Gate, ReadyEndpoint, Saving};

use super::{Change, Directory, Document};
use crate::problem::Problem;

impl hooklatch_engine::Directory for Directory {
    fn endpoint(&self, id: EndpointId) -> Option<Arc<ReadyEndpoint>> {
        self.snapshot().any_endpoint(id).cloned()
    }

    fn script(&self, connection: ConnectionId) -> Option<Arc<str>> {
        self.snapshot().script(connection)
    }

    fn gate(&self, connection: ConnectionId) -> Option<Gate> {
        self.snapshot().gate_at(connection)
    }

    fn project_secrets(&self, project: ProjectId, now: Timestamp) -> Option<Arc<[SigningSecret]>> {
        self.snapshot().project_secrets(project, now)
    }

    fn open_secret(&self, project: ProjectId, sealed: &str) -> Option<SigningSecret> {
        let owner = project.to_string();
        let text = Opener::new(self.sealing_key(), &owner).open(sealed).ok()?;
        SigningSecret::parse(text.expose()).ok()
    }

    fn attempted(&self, attempt: &Attempt) {
        self.metrics().attempted(attempt);
    }

    fn disable_endpoint(&self, id: EndpointId, reason: String) -> Saving<'_> {
        Box::pin(async move {
            if let Err(problem) = self.disable(id, &reason).await {
                let detail = problem.detail();
                tracing::error!(%id, "an endpoint that is gone could not be disabled: {detail}");
            }
        })
    }
}

impl Directory {
    async fn disable(&self, id: EndpointId, reason: &str) -> Result<(), Problem> {
        let Some(ready) = self.snapshot().any_endpoint(id).cloned() else {
            return Ok(());
        };
        let project = ready.endpoint().project;
        let disabled = self.change(project, |deciding| {
            let known = deciding
                .snapshot
                .any_endpoint(id)
                .map(|ready| ready.endpoint());
            // Several answers of one endpoint may say so at once; the first one counts.
            let Some(endpoint) = known.filter(|endpoint| endpoint.disabled.is_none()) else {
                return Ok(Change {
                    documents: Vec::new(),
                    answer: (),
                });
            };
            let now = deciding.making.now;
            let endpoint = Endpoint {
                disabled: Some(Disabled {
                    at: now,
                    reason: reason.to_owned(),
                }),
                updated_at: now,
                ..endpoint.clone()
            };
            let documents = vec![Document::Endpoint(Box::new(endpoint))];
            Ok(Change {
                documents,
                answer: (),
            })
        });
        disabled.await?;
        tracing::warn!(%id, reason, "an endpoint was disabled");
        self.hasten(id).await
    }
}
