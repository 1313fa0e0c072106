//! What differs between a payload and that of its original (C6).
//!
//! The request and its body are durable before this is worked out, so that it can be done again;
//! only a caller who is refused waits for it.

use hooklatch_core::admission::Repeat;
use hooklatch_core::fingerprint::Fingerprint;
use hooklatch_core::ids::{MessageId, ProjectId, RequestId};
use hooklatch_core::json::differing_pointers;
use hooklatch_core::key::Body;
use hooklatch_store::{MessageView, StoreError};

use super::Seen;
use crate::app::App;
use crate::heavy;

/// Payloads that are compared with their originals' for one request.
const COMPARISONS_PER_REQUEST: usize = 16;

/// What a caller learns of a conflict.
pub(crate) struct Difference {
    /// The original's.
    pub original_fingerprint: Option<Fingerprint>,
    /// The refused one's.
    pub fingerprint: Option<Fingerprint>,
    /// JSON pointers to what differs; none where one of the two is no JSON, or where it was not
    /// worked out.
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

/// Works out what differs for one request that is refused, all its items together: bounded, as the
/// caller waits for it and others wait behind it.
pub(crate) struct Comparer<'a> {
    app: &'a App,
    originals: Originals<'a>,
    left: usize,
}

impl<'a> Comparer<'a> {
    pub(crate) fn new(app: &'a App) -> Self {
        Self {
            app,
            originals: Originals { app, last: None },
            left: COMPARISONS_PER_REQUEST,
        }
    }

    /// Works out what differs, keeps it with the request, and says it. Where the request has had
    /// its share, or many others are being worked out, the pointers stay unknown.
    pub(crate) async fn difference(
        &mut self,
        repeat: &Repeat,
        seen: &Seen,
    ) -> Result<Difference, StoreError> {
        let pair = Pair::of(repeat);
        let turn = match self.left {
            0 => None,
            _ => self.app.comparisons().try_acquire_owned().ok(),
        };
        let original = self.originals.of(&pair).await?;
        let pointers = match (original, &turn) {
            (Some(original), Some(_)) if original.message.payload_pruned_at.is_none() => {
                self.left -= 1;
                compare(self.app, &pair, original, seen).await?
            }
            (Some(_) | None, Some(_) | None) => None,
        };
        Ok(Difference {
            original_fingerprint: original.map(|original| original.message.fingerprint),
            fingerprint: pair.fingerprint,
            pointers,
        })
    }
}

/// Works out what differs and keeps it with each request, while the caller is answered. What
/// exceeds one request's share, or comes while many others are being worked out, is left out: the
/// answer must not wait, and a flood must not pile up behind it.
pub(crate) fn keep_differences<'r>(app: &App, differing: impl Iterator<Item = (&'r Repeat, Seen)>) {
    let pairs: Vec<(Pair, Seen)> = differing
        .take(COMPARISONS_PER_REQUEST)
        .map(|(repeat, seen)| (Pair::of(repeat), seen))
        .collect();
    if pairs.is_empty() {
        return;
    }
    let Ok(turn) = app.comparisons().try_acquire_owned() else {
        return;
    };
    let app = app.clone();
    tokio::spawn(async move {
        let mut originals = Originals {
            app: &app,
            last: None,
        };
        for (pair, seen) in &pairs {
            if let Err(error) = keep_one(&mut originals, pair, seen).await {
                let id = pair.request;
                tracing::warn!(%id, %error, "what differs in a payload was not kept with its request");
            }
        }
        drop(turn);
    });
}

async fn keep_one(
    originals: &mut Originals<'_>,
    pair: &Pair,
    seen: &Seen,
) -> Result<(), StoreError> {
    let app = originals.app;
    if let Some(original) = originals.of(pair).await?
        && original.message.payload_pruned_at.is_none()
    {
        compare(app, pair, original, seen).await?;
    }
    Ok(())
}

/// The originals of one request's items. The last one is kept, since what repeats within a request
/// mostly repeats the same.
struct Originals<'a> {
    app: &'a App,
    last: Option<MessageView>,
}

impl Originals<'_> {
    async fn of(&mut self, pair: &Pair) -> Result<Option<&MessageView>, StoreError> {
        let known = self.last.as_ref().map(|view| view.message.id);
        if known != Some(pair.original) {
            self.last = self
                .app
                .store()
                .message(pair.project, pair.original)
                .await?;
        }
        Ok(self.last.as_ref())
    }
}

/// Keeps and says what differs; none where one of the two is no JSON.
async fn compare(
    app: &App,
    pair: &Pair,
    original: &MessageView,
    seen: &Seen,
) -> Result<Option<Vec<String>>, StoreError> {
    let original = Seen {
        content_type: original.envelope.payload_type().map(str::to_owned),
        body: original.body.clone(),
    };
    let (length, seen) = (original.body.len() + seen.body.len(), seen.clone());
    let pointers = heavy::over(length, move || pointers(&original, &seen)).await;
    if let Some(pointers) = &pointers {
        let kept = app.store().keep_diff(pair.request, pointers.clone());
        kept.await?;
    }
    Ok(pointers)
}

fn pointers(original: &Seen, other: &Seen) -> Option<Vec<String>> {
    let original = Body::understand(original.content_type.as_deref(), &original.body);
    let other = Body::understand(other.content_type.as_deref(), &other.body);
    Some(differing_pointers(
        original.json()?.root(),
        other.json()?.root(),
    ))
}
