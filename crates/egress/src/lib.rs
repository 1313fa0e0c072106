//! One HTTP attempt to an endpoint: guarded, pinned, bounded and timed.
//!
//! A gateway sends where strangers tell it to, and must say afterwards what happened. Common HTTP
//! clients hide both halves: they look names up again after a check, follow redirects, repeat
//! requests, and cannot tell "never left" from "nobody knows". So this crate drives hyper's
//! connections itself:
//!
//! - **The vetted address is the one that is dialled.** A name is resolved once per connection,
//!   every answer is judged, and exactly one of these answers is dialled. There are no redirects
//!   and no proxies.
//! - **An attempt is at most one request.** The one repeat is on a pooled connection that turns
//!   out to be closed before a single byte of the request was handed to it.
//! - **One deadline** covers the name, the connection, TLS, the request, the answer's head and
//!   its body. A body that stalls is a timeout.
//! - **[`SendError::request_written`]** says whether the receiver may have seen the request (O5).
//!
//! Connections are pooled by scheme, host and port, so endpoints of two tenants on one host share
//! them. That is safe because an HTTP/1 connection as used here carries no state of a tenant: no
//! cookies, no connection-bound authentication, and a connection goes back only when its answer was
//! read to the end. Where we show a certificate of ours it is a part of the pool's key: each
//! [`Identity`] has its own connections and TLS sessions.

mod call;
mod connect;
mod error;
mod identity;
mod link;
mod pool;
mod resolve;
mod sender;
mod settings;
mod stream;
mod target;

pub use call::{Answer, Attempted, Call, Timing};
pub use error::{Phase, SendError};
pub use identity::{Identity, IdentityError};
pub use resolve::{Resolve, Resolving, SystemResolver};
pub use sender::Sender;
pub use settings::SenderSettings;
pub use target::Target;
