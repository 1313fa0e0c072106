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
    let probe = || {
        let found = probe();
        async { found.await.ok_or_else(String::new) }
    };
    eventually_ok(what, probe).await
}

/// The same for a probe that says what was wrong: the last that it said is shown.
pub async fn eventually_ok<T, F>(what: &str, mut probe: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let mut last = String::new();
    let found = timeout(DEADLINE, async {
        let mut looks = interval(PAUSE);
        loop {
            looks.tick().await;
            match probe().await {
                Ok(found) => return found,
                Err(wrong) => last = wrong,
            }
        }
    })
    .await;
    match found {
        Ok(found) => found,
        Err(_) => panic!("{what}: not within {DEADLINE:?} {last}"),
    }
}
