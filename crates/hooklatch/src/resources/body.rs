//! What a call carries: the file, what flags say, and the ids behind the names that people write.

use std::io::Read as _;
use std::path::Path;

use clap::ArgMatches;
use hooklatch_client::Client;
use hooklatch_store::{Clock, SystemClock};
use serde_json::{Map, Value, json};

use super::command::{Called, FILE};
use super::table::{Flag, FlagKind, Ids, Resource, Verb, named};
use crate::apply::file::{SECRET_MEMBERS, Secrets};
use crate::failure::Failure;
use crate::listed;
use crate::when;

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// The largest secret: a private key with its certificate.
const SECRET_BYTES_MAX: u64 = 256 * 1024;

/// What flags say, as parameters of a query.
pub(super) async fn query(
    client: &Client,
    called: &Called,
) -> Result<Vec<(&'static str, String)>, Failure> {
    let mut query = Vec::new();
    for flag in called.verb.all_flags() {
        if let Some(value) = value(client, flag, &called.matches).await? {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            query.push((flag.to, text));
        }
    }
    Ok(query)
}

/// What flags say, as the body of a call; none where they say nothing.
pub(super) async fn said(client: &Client, called: &Called) -> Result<Option<Value>, Failure> {
    let mut body = Map::new();
    put_flags(client, called, &mut body).await?;
    Ok((!body.is_empty()).then_some(Value::Object(body)))
}

/// The document of a call: the file, and what flags say before it.
pub(super) async fn document(client: &Client, called: &Called) -> Result<Value, Failure> {
    let mut body = match called.matches.get_one::<String>(FILE) {
        Some(file) => read(file)?,
        None => Map::new(),
    };
    put_flags(client, called, &mut body).await?;
    put_ids(client, called.verb, &mut body).await?;
    if body.is_empty() {
        let flags = called.verb.all_flags();
        let flags: Vec<String> = flags.map(|flag| format!("--{}", flag.long)).collect();
        return Err(Failure::Usage(format!(
            "nothing is said of the {}: give --file, or some of {}",
            called.resource.one,
            flags.join(", ")
        )));
    }
    Ok(Value::Object(body))
}

async fn put_flags(
    client: &Client,
    called: &Called,
    body: &mut Map<String, Value>,
) -> Result<(), Failure> {
    for flag in called.verb.all_flags() {
        if let Some(value) = value(client, flag, &called.matches).await? {
            put(body, flag, value)?;
        }
    }
    Ok(())
}

/// A document may name a source or an endpoint, as `hooklatch apply` has it.
async fn put_ids(
    client: &Client,
    verb: &Verb,
    body: &mut Map<String, Value>,
) -> Result<(), Failure> {
    for flag in verb.all_flags() {
        let FlagKind::Of(kind) = flag.kind else {
            continue;
        };
        if body.contains_key(flag.to) {
            continue;
        }
        if let Some(Value::String(name)) = body.remove(flag.long) {
            let id = id_of_kind(client, kind, &name).await?;
            body.insert(flag.to.to_owned(), json!(id));
        }
    }
    Ok(())
}

async fn value(
    client: &Client,
    flag: &Flag,
    matches: &ArgMatches,
) -> Result<Option<Value>, Failure> {
    let text = || matches.get_one::<String>(flag.long);
    Ok(match flag.kind {
        FlagKind::Text | FlagKind::OneOf(_) => text().map(|text| json!(text)),
        FlagKind::Number => matches
            .get_one::<u64>(flag.long)
            .map(|number| json!(number)),
        FlagKind::Switch => matches.get_flag(flag.long).then_some(json!(true)),
        FlagKind::Texts => matches
            .get_many::<String>(flag.long)
            .map(|texts| json!(texts.collect::<Vec<_>>())),
        FlagKind::Time => {
            let time = text().map(|text| when::time(text, SystemClock.now()));
            time.transpose()?.map(Value::String)
        }
        FlagKind::Of(kind) => match text() {
            Some(name) => Some(json!(id_of_kind(client, kind, name).await?)),
            None => None,
        },
        FlagKind::SecretFile => {
            let read = text().map(|file| bounded(file, SECRET_BYTES_MAX));
            read.transpose()?.map(|text| json!(text.trim()))
        }
    })
}

async fn id_of_kind(client: &Client, kind: &str, text: &str) -> Result<String, Failure> {
    let resource = named(kind).expect("flags name resources of the table");
    id_of(client, resource, text).await
}

/// The id of what people name by id or by name.
pub(super) async fn id_of(
    client: &Client,
    resource: &Resource,
    text: &str,
) -> Result<String, Failure> {
    match resource.ids {
        Ids::OrNames(prefix) if !text.starts_with(prefix) => {
            listed::find(client, resource.name, text).await
        }
        Ids::OrNames(_) | Ids::Only | Ids::Keys => Ok(text.to_owned()),
    }
}

/// Puts a value at its place, and makes the objects on the way to it.
fn put(body: &mut Map<String, Value>, flag: &Flag, value: Value) -> Result<(), Failure> {
    let mut members = flag.to.split('.').peekable();
    let mut place = body;
    while let Some(member) = members.next() {
        if members.peek().is_none() {
            place.insert(member.to_owned(), value);
            break;
        }
        let inner = place.entry(member).or_insert_with(|| json!({}));
        place = inner.as_object_mut().ok_or_else(|| {
            Failure::Usage(format!(
                "--{} goes into {member}, which the file has as something else than an object",
                flag.long
            ))
        })?;
    }
    Ok(())
}

fn read(file: &str) -> Result<Map<String, Value>, Failure> {
    let text = bounded(file, FILE_BYTES_MAX)?;
    let wrong = |error: String| Failure::Usage(format!("{file}: {error}"));
    let mut fields: Map<String, Value> = if text.trim_start().starts_with('{') {
        serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?
    } else {
        toml::from_str(&text).map_err(|error| wrong(error.to_string()))?
    };
    let variable = |name: &str| std::env::var(name).ok();
    let secrets = Secrets {
        place: Path::new(file).parent().unwrap_or(Path::new(".")),
        variable: &variable,
    };
    for member in SECRET_MEMBERS {
        if let Some(value) = fields.get_mut(member) {
            let looked_up = secrets.look_up(value);
            looked_up.map_err(|why| wrong(format!("{member}: {why}")))?;
        }
    }
    Ok(fields)
}

/// The text of a file, or of standard input.
fn bounded(file: &str, bytes_max: u64) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if file == "-" {
        let mut input = std::io::stdin().lock().take(bytes_max + 1);
        input.read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|opened| {
            let mut input = opened.take(bytes_max + 1);
            input.read_to_string(&mut text)
        })
    };
    let read =
        read.map_err(|error| Failure::failed(format_args!("{file} cannot be read"), error))?;
    if read as u64 > bytes_max {
        return Err(Failure::Usage(format!(
            "{file} is larger than {bytes_max} bytes"
        )));
    }
    if text.trim().is_empty() {
        return Err(Failure::Usage(format!("{file} holds nothing")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAG: Flag = Flag {
        long: "secret-file",
        value: "FILE",
        help: "",
        to: "verifier.secret",
        kind: FlagKind::SecretFile,
    };

    #[test]
    fn a_flag_goes_before_the_file_and_leaves_the_rest_of_it() {
        let mut body = json!({"verifier": {"type": "hmac", "secret": "old"}});
        let body = body.as_object_mut().unwrap();
        put(body, &FLAG, json!("new")).unwrap();
        assert_eq!(body["verifier"], json!({"type": "hmac", "secret": "new"}));
        let mut empty = Map::new();
        put(&mut empty, &FLAG, json!("new")).unwrap();
        assert_eq!(empty["verifier"]["secret"], "new");
        let mut other = json!({"verifier": "none"});
        let error = put(other.as_object_mut().unwrap(), &FLAG, json!("new")).unwrap_err();
        assert!(matches!(error, Failure::Usage(_)), "{error}");
    }

    #[test]
    fn a_file_is_json_or_toml_and_its_secrets_lie_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("secret"), "whsec_file\n").unwrap();
        for (name, text) in [
            (
                "a.toml",
                "name = \"a\"\nverifier = { secret = \"file:secret\" }\n",
            ),
            (
                "a.json",
                " {\"name\": \"a\", \"verifier\": {\"secret\": \"file:secret\"}}",
            ),
        ] {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            let read = read(&path.display().to_string()).unwrap();
            assert_eq!(read["verifier"]["secret"], "whsec_file", "{name}");
        }
        for (text, expected) in [
            ("name = ", "wrong.toml: TOML parse error"),
            ("{\"name\": }", "wrong.toml: expected value at line 1"),
            (" \n", "holds nothing"),
            (
                "secret = \"env:HOOKLATCH_NO_SUCH\"",
                "secret: HOOKLATCH_NO_SUCH is not set",
            ),
        ] {
            let path = dir.path().join("wrong.toml");
            std::fs::write(&path, text).unwrap();
            let error = read(&path.display().to_string()).unwrap_err();
            assert!(matches!(error, Failure::Usage(_)), "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn a_file_without_end_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("large");
        std::fs::write(&path, "x".repeat(11)).unwrap();
        let path = path.display().to_string();
        assert!(bounded(&path, 11).is_ok());
        assert!(matches!(bounded(&path, 10), Err(Failure::Usage(_))));
        assert!(matches!(
            bounded("/no/such/file", 10),
            Err(Failure::Failed(_))
        ));
    }
}
