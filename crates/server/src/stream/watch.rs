//! One watcher: what it has missed, then what is new, until it may not or will not go on.

use std::collections::HashSet;
use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use hooklatch_core::ids::ProjectId;
use http::{HeaderValue, header};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::event::{Event, EventKind, StreamFilter};
use super::feed::{Look, Seat};
use super::place::Place;
use crate::app::App;
use crate::directory::Snapshot;
use crate::problem::Problem;

/// How often it is looked whether the watcher may go on.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Every so many looks without an event a sign of life is sent, so that no proxy gives up.
const SIGN_OF_LIFE_EVERY: u32 = 15;
/// Requests and attempts that are shown after a break; older ones are found in the lists.
const RESUMED_MAX: usize = 1_000;

/// Whether a watcher may still watch, by the configuration of the moment.
pub type Allowed = Box<dyn Fn(&Snapshot) -> bool + Send + Sync>;

/// Who watches.
pub struct Watcher {
    /// The project whose log is shown.
    pub project: ProjectId,
    /// Asked every second; a watcher that is no longer allowed is cut off.
    pub allowed: Allowed,
}

/// Begins a stream of server-sent events, after `place` if one is given.
///
/// # Errors
/// Where too many watch already, or the store does not answer.
pub async fn open(
    app: &App,
    watcher: Watcher,
    filter: StreamFilter,
    place: Option<Place>,
) -> Result<Response, Problem> {
    let (seat, present) = app.feed().sit_down(watcher.project).await?;
    let mut watch = Watch {
        app: app.clone(),
        stop: app.stopping(),
        watcher,
        filter,
        seat,
        shown: HashSet::new(),
        text: format!(
            "retry: 1000\nid: {}\n: connected\n\n",
            place.unwrap_or(present)
        ),
        quiet: 0,
    };
    if let Some(place) = place {
        watch.resume(place).await?;
    }
    let body = Body::from_stream(stream::unfold(watch, |mut watch| async move {
        let text = watch.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(text)), watch))
    }));
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            header::HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    Ok((headers, body).into_response())
}

/// A stream under way.
struct Watch {
    app: App,
    stop: CancellationToken,
    watcher: Watcher,
    filter: StreamFilter,
    seat: Seat,
    /// What was shown from before the stream began, and may come once more.
    shown: HashSet<(EventKind, i64)>,
    /// What is to be sent next.
    text: String,
    quiet: u32,
}

impl Watch {
    /// Reads what was recorded since a place.
    async fn resume(&mut self, place: Place) -> Result<(), Problem> {
        let store = self.app.store();
        let (seen, far) = place.seen(store.now());
        let project = Some(self.watcher.project);
        let news = store.news(project, seen, RESUMED_MAX).await?;
        if far || news.left_out {
            self.tell_missed("what happened since the last event is more than is shown again");
        }
        let look = Look::of(&news, place);
        self.write(&look);
        let shown = look.events.iter().map(|event| (event.kind, event.number));
        self.shown = shown
            .filter(|(kind, _)| *kind != EventKind::Delivery)
            .collect();
        Ok(())
    }

    /// The next text to send; none at the end.
    async fn next(&mut self) -> Option<String> {
        loop {
            if !self.text.is_empty() {
                self.quiet = 0;
                return Some(std::mem::take(&mut self.text));
            }
            tokio::select! {
                look = self.seat.looks.recv() => match look {
                    Ok(look) => self.take(&look),
                    Err(RecvError::Lagged(_)) => {
                        self.tell_missed("this stream was read too slowly");
                    }
                    Err(RecvError::Closed) => return None,
                },
                () = tokio::time::sleep(CHECK_EVERY) => self.sign_of_life(),
                () = self.stop.cancelled() => return None,
            }
            if !(self.watcher.allowed)(&self.app.directory().snapshot()) {
                return None;
            }
        }
    }

    fn sign_of_life(&mut self) {
        self.quiet += 1;
        if self.quiet >= SIGN_OF_LIFE_EVERY {
            self.text.push_str(": still here\n\n");
        }
    }

    fn take(&mut self, look: &Arc<Look>) {
        if look.left_out {
            self.tell_missed("more happened at once than is shown");
        }
        self.write(look);
    }

    /// Writes a look's own events. Only the last of them moves the client's place: if the
    /// connection breaks in between, the others are shown again.
    fn write(&mut self, look: &Look) {
        let own = |event: &&Event| {
            event.project == self.watcher.project
                && self.filter.fits(event)
                && !self.shown.contains(&(event.kind, event.number))
        };
        let own: Vec<&Event> = look.events.iter().filter(own).collect();
        let last = own.len().saturating_sub(1);
        for (n, event) in own.into_iter().enumerate() {
            let place = if n == last { look.after } else { look.before };
            let (kind, record) = (event.kind.as_str(), &event.record);
            write!(self.text, "event: {kind}\nid: {place}\ndata: {record}\n\n")
                .expect("a text takes what is written");
        }
    }

    fn tell_missed(&mut self, why: &str) {
        write!(
            self.text,
            "event: missed\ndata: {{\"detail\":\"{why}; the lists have all of it\"}}\n\n"
        )
        .expect("a text takes what is written");
    }
}
