//! The bytes of a connection, watched: hyper does not say whether any of a request left, and the
//! difference between failed and uncertain (O5) is exactly that.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

/// A TCP or TLS connection whose traffic is noted.
pub(crate) struct Stream {
    inner: Inner,
    traffic: Arc<Traffic>,
}

pub(crate) enum Inner {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What went over a connection since the last [`Traffic::forget`]. Behind TLS a byte counts as
/// written when the TLS layer took it: it may have left.
#[derive(Debug, Default)]
pub(crate) struct Traffic(Mutex<Seen>);

#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    written: bool,
    first_byte: Option<Instant>,
}

impl Traffic {
    pub(crate) fn forget(&self) {
        self.note(|seen| *seen = Seen::default());
    }

    pub(crate) fn written(&self) -> bool {
        self.note(|seen| seen.written)
    }

    pub(crate) fn first_byte(&self) -> Option<Instant> {
        self.note(|seen| seen.first_byte)
    }

    fn note<T>(&self, with: impl FnOnce(&mut Seen) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Stream {
    pub(crate) fn new(inner: Inner, traffic: Arc<Traffic>) -> Self {
        Self { inner, traffic }
    }

    fn note_written(&self, wrote: &Poll<io::Result<usize>>) {
        let left = match (&self.inner, wrote) {
            (_, Poll::Ready(Ok(bytes))) => *bytes > 0,
            // A TLS write that fails may have sent whole records before.
            (Inner::Tls(_), Poll::Ready(Err(_))) => true,
            (Inner::Plain(_), Poll::Ready(Err(_))) | (_, Poll::Pending) => false,
        };
        if left {
            self.traffic.note(|seen| seen.written = true);
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = match &mut self.inner {
            Inner::Plain(tcp) => Pin::new(tcp).poll_read(cx, into),
            Inner::Tls(tls) => Pin::new(tls).poll_read(cx, into),
        };
        if into.filled().len() > before {
            self.traffic.note(|seen| {
                seen.first_byte.get_or_insert_with(Instant::now);
            });
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = match &mut self.inner {
            Inner::Plain(tcp) => Pin::new(tcp).poll_write(cx, from),
            Inner::Tls(tls) => Pin::new(tls).poll_write(cx, from),
        };
        self.note_written(&wrote);
        wrote
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = match &mut self.inner {
            Inner::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, from),
            Inner::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, from),
        };
        self.note_written(&wrote);
        wrote
    }

    fn is_write_vectored(&self) -> bool {
        match &self.inner {
            Inner::Plain(tcp) => tcp.is_write_vectored(),
            Inner::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Inner::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Inner::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
