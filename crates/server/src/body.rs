//! Reads a request's body whole, once, under every limit there is: bytes, time, and what all
//! requests together may hold in memory.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::sync::OwnedSemaphorePermit;

use crate::app::App;
use crate::problem::{Kind, Problem};

/// A body up to this size is copied out of the connection's buffer, which it would otherwise keep
/// alive whole for as long as it waits.
const SMALL_BYTES: usize = 8 * 1024;

/// A body, and its share of the memory for bodies, which is free again when this is dropped.
#[derive(Debug)]
pub struct Whole {
    /// The bytes as they came.
    pub bytes: Bytes,
    /// None for an empty body.
    pub share: Option<OwnedSemaphorePermit>,
}

/// One permit stands for so many bytes.
const SHARE_BYTES: usize = 1024;

/// Reads `incoming` to its end.
///
/// The total time is bounded, not the time between two chunks: a client that sends one byte a
/// second must not hold its place for ever.
pub async fn read(incoming: Body, bytes_max: usize, app: &App) -> Result<Whole, Problem> {
    // A length that is announced too large is refused before a byte of it is read.
    if incoming.size_hint().lower() > bytes_max as u64 {
        return Err(Problem::too_large(bytes_max));
    }
    let span = app.settings().body_timeout;
    match tokio::time::timeout(span, collect(incoming, bytes_max, app)).await {
        Ok(whole) => whole,
        Err(_) => Err(too_slow(span)),
    }
}

async fn collect(mut incoming: Body, bytes_max: usize, app: &App) -> Result<Whole, Problem> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let mut length = 0;
    let mut share: Option<OwnedSemaphorePermit> = None;
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|_| {
            Problem::malformed("the body broke off before its end; nothing was recorded")
        })?;
        // Trailers carry nothing that is looked at.
        let Ok(chunk) = frame.into_data() else {
            continue;
        };
        length += chunk.len();
        if length > bytes_max {
            return Err(Problem::too_large(bytes_max));
        }
        grow(&mut share, length, app)?;
        // Most bodies come in one piece; a large one is kept without a copy.
        if first.is_empty() {
            first = chunk;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&chunk);
        }
    }
    let bytes = if rest.is_empty() && first.len() <= SMALL_BYTES {
        Bytes::copy_from_slice(&first)
    } else if rest.is_empty() {
        first
    } else {
        rest.freeze()
    };
    Ok(Whole { bytes, share })
}

/// Takes a larger share of the memory for bodies, or refuses: waiting for others, who may be
/// waiting as well, could last for ever.
fn grow(share: &mut Option<OwnedSemaphorePermit>, length: usize, app: &App) -> Result<(), Problem> {
    let held = share.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
    let more = length.div_ceil(SHARE_BYTES).saturating_sub(held);
    let Ok(more @ 1..) = u32::try_from(more) else {
        return Ok(());
    };
    let permit = app
        .body_memory()
        .try_acquire_many_owned(more)
        .map_err(|_| {
            Problem::unavailable(
                "the bodies under way fill the memory for them; nothing was recorded, \
             repeating is safe",
            )
        })?;
    match share {
        Some(share) => share.merge(permit),
        None => *share = Some(permit),
    }
    Ok(())
}

/// How many permits stand for so many bytes.
pub(crate) fn shares(bytes: usize) -> usize {
    bytes / SHARE_BYTES
}

fn too_slow(span: Duration) -> Problem {
    let seconds = span.as_secs();
    let detail = format!("the body did not arrive whole within {seconds} s; repeating is safe");
    Problem::new(Kind::Timeout, detail)
}
