//! Has the store add up what is settled, beside traffic.

use std::sync::Arc;
use std::time::Duration;

use hooklatch_store::{RolledUp, Store};
use tokio_util::sync::CancellationToken;

/// Between two looks for what can be added up.
const PAUSE: Duration = Duration::from_secs(5);
/// Between two steps while there is more: traffic goes first.
const STEP_PAUSE: Duration = Duration::from_millis(50);

/// Has the store add up until `stop`. Without it figures are the same, and take longer to count.
pub async fn keep(store: Arc<dyn Store>, stop: CancellationToken) {
    let mut failing = false;
    loop {
        let rolled = tokio::select! {
            rolled = store.roll_up() => rolled,
            () = stop.cancelled() => return,
        };
        if let Err(error) = &rolled
            && !failing
        {
            tracing::warn!(%error, "figures are not added up; trying again");
        }
        failing = rolled.is_err();
        let pause = match rolled {
            Ok(RolledUp::More) => STEP_PAUSE,
            Ok(RolledUp::Done | RolledUp::Elsewhere) | Err(_) => PAUSE,
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
    }
}
