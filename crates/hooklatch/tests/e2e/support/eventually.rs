//! Waiting for what will be, never for a time to pass.

use std::time::Duration;

use tokio::time::{interval, timeout};

/// No test waits longer than this for anything.
pub const DEADLINE: Duration = Duration::from_secs(90);
/// Between two looks.
pub const PAUSE: Duration = Duration::from_millis(20);

/// What `probe` finds at last. Panics, naming `what`, if it finds nothing in time.
pub async fn eventually<T, F>(what: &str, mut probe: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let found = timeout(DEADLINE, async {
        let mut looks = interval(PAUSE);
        loop {
            looks.tick().await;
            if let Some(found) = probe().await {
                return found;
            }
        }
    });
    match found.await {
        Ok(found) => found,
        Err(_) => panic!("{what}: not within {DEADLINE:?}"),
    }
}
