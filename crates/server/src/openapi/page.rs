//! The document as a page: plain text and tables, nothing from outside, no script.

use std::fmt::Write;

use serde_json::Value;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;\
padding:0 1rem;color:#1a1a1a;background:#fff}h2{margin-top:2.5rem;border-bottom:1px solid #ccc}\
details{border:1px solid #ccc;border-radius:4px;margin:.5rem 0;padding:.4rem .8rem}\
summary{cursor:pointer}code,pre{font:14px/1.4 ui-monospace,monospace}\
pre{background:#f4f4f4;padding:.6rem;overflow:auto}table{border-collapse:collapse}\
td,th{text-align:left;padding:.15rem .8rem .15rem 0;vertical-align:top}\
.method{display:inline-block;min-width:4.5rem;font-weight:600}\
@media(prefers-color-scheme:dark){body{color:#e8e8e8;background:#161616}\
pre{background:#242424}a{color:#8ab4ff}}";

/// The page.
pub(super) fn page(document: &Value) -> String {
    let mut out = Out(String::new());
    let base = document["servers"][0]["url"].as_str().unwrap_or_default();
    out.raw("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">");
    out.raw("<meta name=\"viewport\" content=\"width=device-width\"><title>hooklatch API</title>");
    out.raw("<style>");
    out.raw(STYLE);
    out.raw("</style></head><body><h1>hooklatch API</h1><p>This gateway is at <code>");
    out.text(base);
    out.raw(
        "</code>. Calls need <code>Authorization: Bearer hl_…</code> with one of your API keys; the \
         examples read it from the environment variable <code>HOOKLATCH_API_KEY</code>. The whole \
         contract is <a href=\"/openapi.json\">/openapi.json</a>.</p>",
    );
    let mut tag = "";
    for (path, method, operation) in operations(document) {
        let own = operation["tags"][0].as_str().unwrap_or_default();
        if own != tag {
            tag = own;
            out.raw("<h2>");
            out.text(tag);
            out.raw("</h2>");
        }
        write_operation(&mut out, base, (path, method, operation));
    }
    out.raw("</body></html>");
    out.0
}

/// Every operation, those of one tag together.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            if operation["operationId"].is_string() {
                all.push((path.as_str(), method.as_str(), operation));
            }
        }
    }
    let mut tags: Vec<&str> = Vec::new();
    for (_, _, operation) in &all {
        let tag = operation["tags"][0].as_str().unwrap_or_default();
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    all.sort_by_key(|(_, _, operation)| {
        let tag = operation["tags"][0].as_str().unwrap_or_default();
        tags.iter().position(|known| *known == tag)
    });
    all
}

fn write_operation(out: &mut Out, base: &str, (path, method, operation): (&str, &str, &Value)) {
    out.raw("<details><summary><span class=\"method\">");
    out.text(&method.to_uppercase());
    out.raw("</span> <code>");
    out.text(path);
    out.raw("</code> ");
    out.text(operation["summary"].as_str().unwrap_or_default());
    out.raw("</summary><p>");
    out.text(operation["description"].as_str().unwrap_or("Needs no key."));
    out.raw("</p>");
    let parameters = operation["parameters"].as_array();
    if let Some(parameters) = parameters {
        out.raw("<table><tr><th>parameter</th><th></th></tr>");
        for parameter in parameters {
            out.raw("<tr><td><code>");
            out.text(parameter["name"].as_str().unwrap_or_default());
            out.raw("</code></td><td>");
            out.text(parameter["description"].as_str().unwrap_or_default());
            if let Some(values) = parameter["schema"]["enum"].as_array() {
                let values: Vec<String> = values.iter().map(plain).collect();
                out.text(&format!(" One of {}.", values.join(", ")));
            }
            out.raw("</td></tr>");
        }
        out.raw("</table>");
    }
    out.raw("<pre>");
    out.text(&curl(base, path, method, operation));
    out.raw("</pre><p>Answers: ");
    let statuses = operation["responses"].as_object().into_iter().flatten();
    let statuses: Vec<&str> = statuses.map(|(status, _)| status.as_str()).collect();
    out.text(&statuses.join(", "));
    out.raw("</p></details>");
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// A call that can be pasted into a shell. The key never stands in it.
fn curl(base: &str, path: &str, method: &str, operation: &Value) -> String {
    let mut text = format!("curl -X {} '{base}{path}'", method.to_uppercase());
    if operation["security"].is_null() {
        text.push_str(" \\\n  -H \"Authorization: Bearer $HOOKLATCH_API_KEY\"");
    }
    let media = operation["requestBody"]["content"].as_object();
    let example = media.and_then(|kinds| kinds.values().next()?.get("example"));
    if let Some(example) = example {
        write!(text, " \\\n  -d '{example}'").expect("a text takes what is written");
    }
    text
}

/// HTML in the making.
struct Out(String);

impl Out {
    fn raw(&mut self, html: &str) {
        self.0.push_str(html);
    }

    fn text(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                other => self.0.push(other),
            }
        }
    }
}
