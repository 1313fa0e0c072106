//! Looks for a text in payloads.
//!
//! Nothing is indexed for it: a page looks through a bounded number of messages, the newest first,
//! and says by its cursor how far it came. So a rare text takes several pages, some of them empty,
//! and every other filter narrows down what is looked through.

use std::sync::Arc;

use bytes::Bytes;
use hooklatch_core::ids::ProjectId;
use hooklatch_store::{MessageFilter, MessageView, Page, PageRequest};

use crate::app::App;
use crate::heavy;
use crate::problem::Problem;

/// Characters of a text that is looked for.
const CHARS_MAX: usize = 200;
/// Messages that are looked through for one page.
const MESSAGES_MAX: usize = 2_000;
/// Bytes of payloads that are looked through for one page.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// Messages that are read together.
const TOGETHER: usize = 100;

/// A text that is looked for: as it stands in the bytes, upper and lower case of ASCII alike.
#[derive(Debug, Clone)]
pub(super) struct Search {
    /// The text, and the same as JSON writes it, where that differs.
    needles: Arc<[String]>,
}

impl Search {
    /// Reads the parameter.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        if text.chars().count() > CHARS_MAX {
            return Err(format!("should have at most {CHARS_MAX} characters"));
        }
        let quoted = serde_json::to_string(text).unwrap_or_default();
        let escaped = quoted.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
        let escaped = escaped.filter(|escaped| *escaped != text);
        let needles: Vec<String> = std::iter::once(text)
            .chain(escaped)
            .map(str::to_owned)
            .collect();
        Ok(Self {
            needles: needles.into(),
        })
    }

    fn finds(&self, body: &[u8]) -> bool {
        let found = |needle: &String| {
            let needle = needle.as_bytes();
            body.windows(needle.len())
                .any(|part| part.eq_ignore_ascii_case(needle))
        };
        self.needles.iter().any(found)
    }

    async fn found_in(&self, body: Bytes) -> bool {
        let search = self.clone();
        heavy::over(body.len(), move || search.finds(&body)).await
    }

    /// A page of those messages whose payload has it.
    pub(super) async fn messages(
        &self,
        app: &App,
        project: ProjectId,
        filter: MessageFilter,
        page: PageRequest,
    ) -> Result<Page<MessageView>, Problem> {
        let mut items = Vec::new();
        let mut below = page.below;
        let (mut messages, mut bytes) = (0, 0);
        loop {
            let limit = TOGETHER;
            let asked = PageRequest { limit, below };
            let looked = app.store().messages(project, filter.clone(), asked).await?;
            for view in looked.items {
                let number = view.message.id.number();
                messages += 1;
                bytes += view.body.len();
                if self.found_in(view.body.clone()).await {
                    items.push(view);
                }
                let full = items.len() == page.limit;
                if full || messages >= MESSAGES_MAX || bytes >= BYTES_MAX {
                    let next = Some(number);
                    return Ok(Page { items, next });
                }
            }
            below = looked.next;
            if below.is_none() {
                return Ok(Page { items, next: None });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_as_it_stands_and_as_json_writes_it() {
        let search = |text: &str| Search::read(text).expect("it is short");
        assert!(search("ada").finds(br#"{"name":"Ada Lovelace"}"#));
        assert!(search("say \"hi\"").finds(br#"{"text":"say \"hi\""}"#));
        assert!(search("a\\b").finds(br#"{"path":"A\\B"}"#));
        assert!(search("\u{e9}").finds("caf\u{e9}".as_bytes()));
        assert!(!search("ada").finds(b"ad a"));
        assert!(!search("long").finds(b"lo"));
        assert!(Search::read(&"x".repeat(201)).is_err());
    }
}
