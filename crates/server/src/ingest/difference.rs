//! What differs between a payload and that of its original (C6).
//!
//! The request and its body are durable before this is worked out, so that it can be done again;
//! only a caller who is refused waits for it.

use hooklatch_core::admission::Repeat;
use hooklatch_core::fingerprint::Fingerprint;
use hooklatch_core::ids::{MessageId, ProjectId, RequestId};
use hooklatch_core::json::differing_pointers;
use hooklatch_core::key::Body;
use hooklatch_store::StoreError;

use super::Seen;
use crate::app::App;

/// What a caller learns of a conflict.
pub(crate) struct Difference {
    /// The original's.
    pub original_fingerprint: Option<Fingerprint>,
    /// The refused one's.
    pub fingerprint: Option<Fingerprint>,
    /// JSON pointers to what differs; none where one of the two is no JSON.
    pub pointers: Option<Vec<String>>,
}

/// A request and the original that it differs from.
struct Pair {
    project: ProjectId,
    request: RequestId,
    original: MessageId,
    fingerprint: Option<Fingerprint>,
}

impl Pair {
    fn of(repeat: &Repeat) -> Self {
        let request = &repeat.request;
        Self {
            project: request.project_id,
            request: request.id,
            original: request
                .original_message_id
                .expect("a repetition has an original"),
            fingerprint: request.fingerprint,
        }
    }
}

/// Works out what differs, keeps it with the request, and says it.
pub(crate) async fn difference(
    app: &App,
    repeat: &Repeat,
    seen: &Seen,
) -> Result<Difference, StoreError> {
    work_out(app, &Pair::of(repeat), seen).await
}

/// Works out what differs and keeps it with the request, while the caller is answered. Waits only
/// while many others are being worked out.
pub(crate) async fn keep_difference(app: &App, repeat: &Repeat, seen: Seen) {
    let pair = Pair::of(repeat);
    let turn = app.comparisons().acquire_owned().await;
    let app = app.clone();
    tokio::spawn(async move {
        if let Err(error) = work_out(&app, &pair, &seen).await {
            let id = pair.request;
            tracing::warn!(%id, %error, "what differs in a payload was not kept with its request");
        }
        drop(turn);
    });
}

async fn work_out(app: &App, pair: &Pair, seen: &Seen) -> Result<Difference, StoreError> {
    let original = app.store().message(pair.project, pair.original).await?;
    let pointers = original.as_ref().and_then(|original| {
        let content_type = original.envelope.header("content-type");
        pointers(
            (content_type, &original.body),
            (seen.content_type.as_deref(), &seen.body),
        )
    });
    if let Some(pointers) = &pointers {
        app.store()
            .keep_diff(pair.request, pointers.clone())
            .await?;
    }
    Ok(Difference {
        original_fingerprint: original.map(|original| original.message.fingerprint),
        fingerprint: pair.fingerprint,
        pointers,
    })
}

type Typed<'a> = (Option<&'a str>, &'a [u8]);

/// None where one of the two is no JSON.
fn pointers(original: Typed<'_>, other: Typed<'_>) -> Option<Vec<String>> {
    let original = Body::understand(original.0, original.1);
    let other = Body::understand(other.0, other.1);
    Some(differing_pointers(
        original.json()?.root(),
        other.json()?.root(),
    ))
}
