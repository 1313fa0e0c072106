//! The names of what the log names by id. Each is asked for once.

use std::collections::HashMap;

use hooklatch_client::Client;

/// Names that are kept: more than anybody reads.
const NAMES_MAX: usize = 10_000;

/// Names, as far as they are known.
pub(super) struct Names {
    client: Client,
    known: HashMap<String, String>,
}

impl Names {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            known: HashMap::new(),
        }
    }

    /// The name of a source or an endpoint; its id where it has none any more, or cannot be asked
    /// for.
    pub(super) async fn of(&mut self, kind: &str, id: &str) -> String {
        if let Some(name) = self.known.get(id) {
            return name.clone();
        }
        let safe = id
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || it == b'_');
        if !safe || self.known.len() >= NAMES_MAX {
            return id.to_owned();
        }
        let found = self.client.fetch(&format!("/v1/{kind}/{id}")).await;
        let name = found
            .ok()
            .and_then(|it| it["name"].as_str().map(str::to_owned));
        let name = name.unwrap_or_else(|| id.to_owned());
        self.known.insert(id.to_owned(), name.clone());
        name
    }
}
