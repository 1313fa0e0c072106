//! The loops that deliver: lease what is due, attempt it, record what came of it.
//!
//! Everything that can be decided is decided elsewhere: when to look for work and how many may be
//! under way by `core::delivery::scheduler`, whether an attempt is made and what its end means by
//! `core::delivery::verdict`, what a delivery becomes by its lifecycle inside the store. What is
//! left here is to wait, to send and to tell, and to lose nothing on the way: a result is told to
//! the store until it is taken, a slot comes back even from an attempt that panics, and whatever
//! is lost with the process is found by the store when its lease ends.

mod attempt;
mod destination;
mod directory;
mod fetch;
mod handle;
mod leasing;
mod record;
pub mod replays;
mod request;
mod sent;
mod settings;
mod shared;
mod standing;
mod tokens;
pub mod trace;
mod transformer;

pub use directory::{Directory, Gate, ReadyEndpoint, Saving};
pub use fetch::{Fetch, FetchError, Fetching, GuardedFetch, NoFetch};
pub use handle::{Drained, Engine, EngineHandle};
pub use settings::Settings;
pub use transformer::{NoTransforms, Transformer, Transforming};
