//! Finds resources by their names, as people write them on a command line.

use hooklatch_client::Client;
use serde_json::Value;

use crate::failure::Failure;

/// Every resource of a kind: `sources`, `endpoints` or `connections`.
pub(crate) async fn all(client: &Client, kind: &str) -> Result<Vec<Value>, Failure> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = client
            .fetch(&format!("/v1/{kind}?limit=100{cursor}"))
            .await?;
        found.extend(page["data"].as_array().cloned().unwrap_or_default());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(found),
        }
    }
}

/// The id of the resource with this name or id.
pub(crate) async fn find(client: &Client, kind: &str, wanted: &str) -> Result<String, Failure> {
    let all = all(client, kind).await?;
    let named = |it: &&Value| it["name"] == wanted || it["id"] == wanted;
    let id = all.iter().find(named).and_then(|it| it["id"].as_str());
    id.map(str::to_owned).ok_or_else(|| {
        let names: Vec<&str> = all.iter().filter_map(|it| it["name"].as_str()).collect();
        let known = if names.is_empty() {
            "there are none".to_owned()
        } else {
            format!("there are {}", names.join(", "))
        };
        Failure::Failed(format!("none of the {kind} is named {wanted:?}; {known}"))
    })
}

/// A number of an answer, for people.
pub(crate) fn number(value: &Value) -> String {
    value.as_u64().unwrap_or_default().to_string()
}
