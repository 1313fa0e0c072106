//! What of a recorded request is not shown.
//!
//! Whoever may read a project's history must not learn by it how to speak for the provider. What
//! delivery needs stays in the store; only what is shown is masked: the header or the query
//! parameter that the source's verifier reads, and whatever a name gives away as a credential.

use std::collections::{BTreeMap, HashMap};

use hooklatch_core::config::Source;
use hooklatch_core::ids::{ProjectId, SourceId};
use hooklatch_core::outgoing::may_be_secret;
use hooklatch_core::secret::MASK;

use crate::directory::Snapshot;

/// What is masked in the requests of one source; by default, what names alone give away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Concealment {
    header: Option<String>,
    query: Option<String>,
}

/// What is masked in the requests of a project.
#[derive(Debug, Clone, Default)]
pub struct Concealments {
    sources: HashMap<SourceId, Concealment>,
    by_name: Concealment,
}

impl Concealments {
    /// By the verifiers of the project's sources.
    pub fn of(snapshot: &Snapshot, project: ProjectId) -> Self {
        let sources = snapshot.sources(project).map(|ready| &ready.source);
        let concealment = |source: &Source| (source.id, Concealment::of(source));
        Self {
            sources: sources.map(concealment).collect(),
            by_name: Concealment::default(),
        }
    }

    /// For what came through a source, or through the send API.
    pub fn for_source(&self, source: Option<SourceId>) -> &Concealment {
        let known = source.and_then(|id| self.sources.get(&id));
        known.unwrap_or(&self.by_name)
    }
}

impl Concealment {
    /// By the source's verifier: the places that it reads are a part of what it shows of itself.
    pub fn of(source: &Source) -> Self {
        let place = |name: &str| {
            let named = source.verifier.public().get(name)?.as_str()?;
            Some(named.to_owned())
        };
        Self {
            header: place("header").map(|name| name.to_ascii_lowercase()),
            query: place("query"),
        }
    }

    /// Header lines as an object: the values of one name joined, credentials masked.
    pub fn headers<'a>(
        &self,
        lines: impl IntoIterator<Item = &'a (String, String)>,
    ) -> BTreeMap<&'a str, String> {
        let mut headers: BTreeMap<&str, String> = BTreeMap::new();
        for (name, value) in lines {
            if self.hides_header(name) {
                headers.insert(name, MASK.to_owned());
                continue;
            }
            headers
                .entry(name)
                .and_modify(|line| {
                    line.push_str(", ");
                    line.push_str(value);
                })
                .or_insert_with(|| value.clone());
        }
        headers
    }

    /// A query, with the values of credentials masked.
    pub fn query(&self, query: &str) -> String {
        let masked = |pair: &str| match pair.split_once('=') {
            Some((name, _)) if self.hides_parameter(name) => format!("{name}={MASK}"),
            Some(_) | None => pair.to_owned(),
        };
        query.split('&').map(masked).collect::<Vec<_>>().join("&")
    }

    fn hides_header(&self, name: &str) -> bool {
        let verified = self.header.as_deref();
        verified.is_some_and(|header| header.eq_ignore_ascii_case(name)) || may_be_secret(name)
    }

    fn hides_parameter(&self, name: &str) -> bool {
        self.query.as_deref() == Some(name) || may_be_secret(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn credentials_are_masked_by_their_names() {
        let concealment = Concealment::default();
        for name in [
            "authorization",
            "cookie",
            "x-hub-signature-256",
            "stripe-signature",
            "webhook-signature",
            "x-gitlab-token",
            "x-api-key",
            "X-Shopify-Hmac-Sha256",
        ] {
            let lines = lines(&[(name, "hush")]);
            assert_eq!(concealment.headers(&lines)[name], "***", "{name}");
        }
        for name in [
            "x-github-event",
            "webhook-id",
            "idempotency-key",
            "content-type",
        ] {
            let lines = lines(&[(name, "seen")]);
            assert_eq!(concealment.headers(&lines)[name], "seen", "{name}");
        }
    }

    #[test]
    fn what_the_verifier_reads_is_masked_whatever_its_name() {
        let concealment = Concealment {
            header: Some("x-proof".into()),
            query: Some("k".into()),
        };
        let lines = lines(&[("x-proof", "a"), ("x-proof", "b"), ("x-other", "c")]);
        let shown = concealment.headers(&lines);
        assert_eq!(shown["x-proof"], "***");
        assert_eq!(shown["x-other"], "c");
        assert_eq!(
            concealment.query("id=1&k=hush&flag&access_token=t&K=2"),
            "id=1&k=***&flag&access_token=***&K=2"
        );
    }

    #[test]
    fn the_values_of_one_header_are_joined() {
        let lines = lines(&[("accept", "a"), ("x-empty", ""), ("accept", "b")]);
        let shown = Concealment::default().headers(&lines);
        assert_eq!(shown["accept"], "a, b");
        assert_eq!(shown["x-empty"], "");
    }
}
