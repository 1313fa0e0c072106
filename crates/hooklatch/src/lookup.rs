//! Finds what people name on the command line: by its id, or by its name.

use std::future::Future;

use hooklatch_client::{Client, Error, Page, PageRequest};

use crate::failure::Failure;

/// Pages of names that are looked through.
const PAGES_MAX: usize = 100;
/// Names of one page.
const PAGE: u32 = 250;

/// The id of a source.
pub(crate) async fn source(client: &Client, text: &str) -> Result<String, Failure> {
    let page = |page| async move { client.sources(&page).await };
    named("source", "src_", text, page, |it| (it.id, it.name)).await
}

/// The id of an endpoint.
pub(crate) async fn endpoint(client: &Client, text: &str) -> Result<String, Failure> {
    let page = |page| async move { client.endpoints(&page).await };
    named("endpoint", "ep_", text, page, |it| (it.id, it.name)).await
}

/// The id of a connection.
pub(crate) async fn connection(client: &Client, text: &str) -> Result<String, Failure> {
    let page = |page| async move { client.connections(&page).await };
    named("connection", "con_", text, page, |it| (it.id, it.name)).await
}

async fn named<T, F: Future<Output = Result<Page<T>, Error>>>(
    what: &str,
    prefix: &str,
    text: &str,
    list: impl Fn(PageRequest) -> F,
    names: impl Fn(T) -> (String, String),
) -> Result<String, Failure> {
    if text.starts_with(prefix) {
        return Ok(text.to_owned());
    }
    let mut cursor = None;
    for _ in 0..PAGES_MAX {
        let limit = Some(PAGE);
        let page = list(PageRequest { limit, cursor }).await?;
        let mut found = page.data.into_iter().map(&names);
        if let Some((id, _)) = found.find(|(_, name)| name == text) {
            return Ok(id);
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    Err(Failure::Failed(format!(
        "there is no {what} with the name \"{text}\""
    )))
}
