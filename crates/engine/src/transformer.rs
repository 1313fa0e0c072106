//! What runs the scripts of connections. The engine knows no language; it knows that a script may
//! take its time, and may fail.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use hooklatch_core::transform::{TransformError, TransformInput, Transformed};

/// A script under way.
pub type Transforming<'a, T> = Pin<Box<dyn Future<Output = Result<T, TransformError>> + Send + 'a>>;

/// What runs scripts, each within its own limits on time, memory and output.
pub trait Transformer: Send + Sync + 'static {
    /// Looks whether a script can be used: it compiles and defines the function.
    fn check(&self, script: Arc<str>) -> Transforming<'_, ()>;

    /// What a script makes of a request.
    fn transform(&self, script: Arc<str>, input: TransformInput) -> Transforming<'_, Transformed>;
}

/// Runs no script: for programs that have no workers.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTransforms;

impl Transformer for NoTransforms {
    fn check(&self, _: Arc<str>) -> Transforming<'_, ()> {
        Box::pin(std::future::ready(Err(no_workers())))
    }

    fn transform(&self, _: Arc<str>, _: TransformInput) -> Transforming<'_, Transformed> {
        Box::pin(std::future::ready(Err(no_workers())))
    }
}

fn no_workers() -> TransformError {
    TransformError::Unavailable("this program runs no scripts".to_owned())
}
