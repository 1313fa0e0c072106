//! The file: what is declared, with its secrets looked up where the file says.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::failure::Failure;

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Members whose texts may be looked up elsewhere, with all that is below them.
pub(crate) const SECRET_MEMBERS: [&str; 4] = ["verifier", "secret", "headers", "auth"];

/// What can be declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Source,
    Endpoint,
    Connection,
}

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    sources: Vec<Map<String, Value>>,
    endpoints: Vec<Map<String, Value>>,
    connections: Vec<Map<String, Value>>,
}

/// One declared resource.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    /// Its name.
    pub name: String,
    /// As the API takes it, but for the names of sources and endpoints.
    pub fields: Map<String, Value>,
    /// Whether a secret was looked up for it, or stands in it.
    pub has_secrets: bool,
}

/// Everything that is declared.
#[derive(Debug, Default)]
pub(crate) struct Declared {
    resources: Vec<(Kind, Document)>,
}

impl Declared {
    /// Reads the file. `variable` looks up an environment variable.
    pub(crate) fn read(
        path: &Path,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Failure> {
        let unreadable = |error| Failure::failed(path.display(), error);
        let size = std::fs::metadata(path).map_err(unreadable)?.len();
        if size > FILE_BYTES_MAX {
            let hint = format!("{} is larger than 16 MiB", path.display());
            return Err(Failure::Usage(hint));
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let json = path.extension().is_some_and(|it| it == "json");
        let written: Result<Written, String> = if json {
            serde_json::from_str(&text).map_err(|error| error.to_string())
        } else {
            toml::from_str(&text).map_err(|error| error.to_string())
        };
        let written =
            written.map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
        let place = path.parent().unwrap_or(Path::new("."));
        Self::of(written, &Secrets { place, variable })
    }

    fn of(written: Written, secrets: &Secrets<'_>) -> Result<Self, Failure> {
        let mut declared = Self::default();
        for (kind, documents) in [
            (Kind::Source, written.sources),
            (Kind::Endpoint, written.endpoints),
            (Kind::Connection, written.connections),
        ] {
            let mut names = BTreeSet::new();
            for (at, fields) in documents.into_iter().enumerate() {
                let document = document(kind, at, fields, secrets)?;
                if !names.insert(document.name.clone()) {
                    let hint = format!("two {} are named {:?}", kind.plural(), document.name);
                    return Err(Failure::Usage(hint));
                }
                declared.resources.push((kind, document));
            }
        }
        Ok(declared)
    }

    /// Everything of a kind, in the order of the file.
    pub(crate) fn all(&self, kind: Kind) -> impl Iterator<Item = &Document> {
        let own = self.resources.iter().filter(move |(it, _)| *it == kind);
        own.map(|(_, document)| document)
    }

    /// What is declared under a name.
    pub(crate) fn document(&self, kind: Kind, name: &str) -> &Document {
        let found = self.all(kind).find(|document| document.name == name);
        found.expect("steps are made of what is declared")
    }
}

fn document(
    kind: Kind,
    at: usize,
    mut fields: Map<String, Value>,
    secrets: &Secrets<'_>,
) -> Result<Document, Failure> {
    let Some(name) = fields
        .get("name")
        .and_then(Value::as_str)
        .map(str::to_owned)
    else {
        let hint = format!("{}[{at}] has no name", kind.plural());
        return Err(Failure::Usage(hint));
    };
    let mut has_secrets = false;
    for member in SECRET_MEMBERS {
        if let Some(value) = fields.get_mut(member) {
            has_secrets |= member != "headers";
            let looked_up = secrets.look_up(value);
            has_secrets |= looked_up.map_err(|why| {
                Failure::Usage(format!("{} {name:?}, {member}: {why}", kind.singular()))
            })?;
        }
    }
    Ok(Document {
        name,
        fields,
        has_secrets,
    })
}

/// Where secrets are.
pub(crate) struct Secrets<'a> {
    /// Relative paths begin here.
    pub place: &'a Path,
    /// Looks up an environment variable.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
}

impl Secrets<'_> {
    /// Replaces every `env:NAME` and `file:PATH`; answers whether there was one. What was found is
    /// in no message.
    pub(crate) fn look_up(&self, value: &mut Value) -> Result<bool, String> {
        match value {
            Value::String(text) => {
                if let Some(name) = text.strip_prefix("env:") {
                    let found = (self.variable)(name).filter(|found| !found.is_empty());
                    *text = found.ok_or_else(|| format!("{name} is not set"))?;
                    return Ok(true);
                }
                let Some(file) = text.strip_prefix("file:") else {
                    return Ok(false);
                };
                let path = self.place.join(file);
                let found = std::fs::read_to_string(&path)
                    .map_err(|error| format!("{}: {error}", path.display()))?;
                *text = found.trim_end_matches(['\r', '\n']).to_owned();
                Ok(true)
            }
            Value::Object(members) => {
                let mut any = false;
                for value in members.values_mut() {
                    any |= self.look_up(value)?;
                }
                Ok(any)
            }
            Value::Array(items) => {
                let mut any = false;
                for value in items {
                    any |= self.look_up(value)?;
                }
                Ok(any)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(name: &str, text: &str) -> Result<Declared, Failure> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("secret.txt"), "whsec_file\n").unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        Declared::read(&path, &|name| (name == "SHOP").then(|| "s3same".to_owned()))
    }

    #[test]
    fn secrets_come_from_the_environment_or_a_file() {
        let declared = read(
            "hooks.toml",
            "[[sources]]\nname = \"shop\"\nverifier = { type = \"hmac\", secret = \"env:SHOP\" }\n\
             [[endpoints]]\nname = \"orders\"\nurl = \"env:SHOP\"\nsecret = \"file:secret.txt\"\n",
        );
        let declared = declared.unwrap();
        let shop = declared.document(Kind::Source, "shop");
        assert_eq!(shop.fields["verifier"]["secret"], "s3same");
        assert!(shop.has_secrets);
        let orders = declared.document(Kind::Endpoint, "orders");
        assert_eq!(orders.fields["secret"], "whsec_file");
        assert_eq!(orders.fields["url"], "env:SHOP", "a URL is no secret");
    }

    #[test]
    fn json_says_the_same() {
        let text = json!({"sources": [{"name": "a", "key": {"locations": ["body:id"]}}]});
        let declared = read("hooks.json", &text.to_string()).unwrap();
        let source = declared.document(Kind::Source, "a");
        assert!(!source.has_secrets && source.fields["key"]["locations"][0] == "body:id");
    }

    #[test]
    fn what_is_wrong_with_the_file_is_said() {
        for (text, expected) in [
            ("[[source]]\nname = \"a\"", "unknown field `source`"),
            (
                "[[sources]]\nprovider = \"stripe\"",
                "sources[0] has no name",
            ),
            (
                "[[sources]]\nname = \"a\"\n[[sources]]\nname = \"a\"",
                "two sources are named \"a\"",
            ),
            (
                "[[sources]]\nname = \"a\"\nverifier = { secret = \"env:NONE\" }",
                "source \"a\", verifier: NONE is not set",
            ),
            ("[[sources]", "hooks.toml: TOML parse error"),
        ] {
            let failure = read("hooks.toml", text).unwrap_err();
            assert!(matches!(failure, Failure::Usage(_)), "{failure}");
            assert!(failure.to_string().contains(expected), "{failure}");
        }
    }
}
