//! In whose name something is changed, for the audit log.

use std::future::Future;

use hooklatch_core::ids::ApiKeyId;

tokio::task_local! {
    static ACTOR: Option<ApiKeyId>;
}

/// Carries something out in the name of an API key's owner.
pub async fn acting<T>(key: Option<ApiKeyId>, work: impl Future<Output = T>) -> T {
    ACTOR.scope(key, work).await
}

/// In whose name this is done; none where the gateway acts by itself.
pub fn actor() -> Option<ApiKeyId> {
    ACTOR.try_with(|key| *key).ok().flatten()
}
