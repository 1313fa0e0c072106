//! Finds the routes of the API that a page names, and whether the program has them.

use serde_json::Value;

/// Where every route of the API begins.
const PREFIX: &str = "/v1/";
/// Paths of others: where collectors of OpenTelemetry take traces, where PayPal has certificates.
const OF_OTHERS: [&str; 2] = ["/v1/traces", "/v1/notifications/certs"];
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// A route, as a page names it or as the program has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// None where the page names the path alone.
    pub method: Option<String>,
    /// The parts of its path.
    pub parts: Vec<String>,
}

/// Every route of an OpenAPI document.
pub fn known(document: &Value) -> Vec<Route> {
    let paths = document["paths"].as_object().expect("a document has paths");
    let routes = paths.iter().flat_map(|(path, operations)| {
        let operations = operations.as_object().expect("a path has operations");
        operations.keys().map(|method| Route {
            method: Some(method.to_uppercase()),
            parts: parts(path),
        })
    });
    routes.collect()
}

/// The routes that a page names.
pub fn named(page: &str) -> Vec<Route> {
    let is_end = |c: char| c.is_whitespace() || "`\"'()<>,;*".contains(c);
    let words = page.split(is_end).filter(|word| !word.is_empty());
    let mut routes = Vec::new();
    let mut before = "";
    for word in words {
        routes.extend(
            path(word)
                .into_iter()
                .flat_map(alternatives)
                .map(|path| Route {
                    method: METHODS.contains(&before).then(|| before.to_owned()),
                    parts: parts(&path),
                }),
        );
        before = word;
    }
    routes
}

/// Whether the program has what a page names; what is no literal stands for anything.
pub fn is_one_of(route: &Route, known: &[Route]) -> bool {
    known.iter().any(|known| {
        let method = route.method.is_none() || route.method == known.method;
        let mut pairs = known.parts.iter().zip(&route.parts);
        method
            && known.parts.len() == route.parts.len()
            && pairs.all(|(known, named)| known == named || known.starts_with('{'))
    })
}

/// The path of a route of ours in a word: another gateway's API lies below `/api`.
fn path(word: &str) -> Option<&str> {
    let at = word.find(PREFIX)?;
    let path = &word[at..];
    let path = path.split(['?', '#', '\\']).next().unwrap_or(path);
    let path = path.trim_end_matches(['.', ':', '/']);
    let is_whole = path.len() > PREFIX.len() && !path.ends_with("/…") && !path.contains("...");
    let is_ours = !OF_OTHERS.contains(&path) && !word[..at].ends_with("/api");
    (is_whole && is_ours).then_some(path)
}

/// `/v1/{sources|endpoints}/{id}` as the paths that it stands for.
fn alternatives(path: &str) -> Vec<String> {
    let choice = path.split(['{', '}']).find(|part| part.contains('|'));
    let Some(choice) = choice else {
        return vec![path.to_owned()];
    };
    let written = format!("{{{choice}}}");
    let choices = choice.split('|');
    let paths = choices.flat_map(|one| alternatives(&path.replacen(&written, one, 1)));
    paths.collect()
}

fn parts(path: &str) -> Vec<String> {
    path.trim_matches('/')
        .split('/')
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wrong(page: &str) -> usize {
        let operation = json!({});
        let known = known(&json!({"paths": {
            "/v1/sources": {"get": operation, "put": operation},
            "/v1/sources/{id}/pause": {"post": operation},
            "/v1/endpoints/{id}/pause": {"post": operation},
        }}));
        let named = named(page);
        named
            .iter()
            .filter(|route| !is_one_of(route, &known))
            .count()
    }

    #[test]
    fn what_the_program_has_may_be_named_and_nothing_else() {
        for right in [
            "`PUT /v1/sources`, and /v1/sources?limit=1.",
            "curl -X POST \"$GATEWAY/v1/sources/src_1…/pause\"",
            "`POST /v1/{sources|endpoints}/{id}/pause`",
            "/api/v1/anything of another gateway, and `/v1/…`",
            "http://collector:4318/v1/traces",
        ] {
            assert_eq!(wrong(right), 0, "{right}");
        }
        for bad in [
            "`DELETE /v1/sources`",
            "/v1/sauces",
            "`POST /v1/{sources|connections}/{id}/pause`",
            "/v1/sources/src_1/pause/now",
        ] {
            assert_eq!(wrong(bad), 1, "{bad}");
        }
    }
}
