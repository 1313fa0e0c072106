//! Which messages a key stands for, now and in former windows.

use std::collections::BTreeSet;

use hooklatch_core::ids::{MessageId, ProjectId};
use hooklatch_core::limits::PAGE_MAX;
use hooklatch_store::{PageRequest, RequestFilter, RequestView};

use super::keys;
use crate::app::App;
use crate::problem::Problem;

/// Pages of requests that are looked through for one key. The originals of live claims are found
/// without looking; what this bounds is how far back former windows and releases are seen.
const PAGES_MAX: usize = 2;

/// The messages that arrived under a key, were repeated under it, or were released from it.
pub(crate) async fn messages_under(
    app: &App,
    project: ProjectId,
    key: &str,
) -> Result<Vec<MessageId>, Problem> {
    let (checksums, claims) = keys::under_key(app, project, key).await?;
    let mut ids: BTreeSet<MessageId> = claims.iter().map(|view| view.claim.message_id).collect();
    let filter = RequestFilter {
        checksums: Some(checksums),
        ..RequestFilter::default()
    };
    ids.extend(messages_of(app, project, filter).await?);
    Ok(ids.into_iter().collect())
}

async fn messages_of(
    app: &App,
    project: ProjectId,
    filter: RequestFilter,
) -> Result<Vec<MessageId>, Problem> {
    let mut ids = Vec::new();
    let mut below = None;
    for _ in 0..PAGES_MAX {
        let limit = PAGE_MAX;
        let asked = PageRequest { limit, below };
        let page = app.store().requests(project, filter.clone(), asked).await?;
        for view in page.items {
            match view {
                RequestView::Accepted { message, .. } => ids.push(message.id),
                RequestView::Other { request, .. } => {
                    ids.extend(request.original_message_id);
                    ids.extend(request.released_message_id);
                }
            }
        }
        below = page.next;
        if below.is_none() {
            break;
        }
    }
    Ok(ids)
}
