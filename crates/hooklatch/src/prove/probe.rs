//! Counts the effects of an event, at a place that the user names: whatever the receiver answers,
//! this number is the proof. Where the probe is, and what it says, may hold secrets: errors name
//! neither.

use std::time::Duration;

use bytes::Bytes;
use hooklatch_core::location::Location;
use hooklatch_core::secret::Secret;
use hooklatch_store_postgres::DatabaseUrl;
use http::Method;
use serde_json::Value;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};
use url::Url;
use url::form_urlencoded::byte_serialize;

use super::answer::Answer;
use super::args::ProbeArgs;
use super::command;
use super::message::{Event, KEY, WEBHOOK_ID, find};
use super::wire::{Call, Target};
use crate::failure::Failure;

/// How long the probe may take to answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The variables of a command.
const KEY_VARIABLE: &str = "HOOKLATCH_PROVE_KEY";
const WEBHOOK_ID_VARIABLE: &str = "HOOKLATCH_PROVE_WEBHOOK_ID";

/// Where effects are counted.
pub(super) enum Probe {
    /// A GET that answers with a number, or with JSON that has it.
    Url {
        /// The URL, with placeholders.
        url: Secret,
        /// Where the number is, with placeholders.
        path: Option<String>,
        /// Headers of the request.
        headers: Vec<(String, String)>,
    },
    /// A command that prints a number.
    Command(Secret),
    /// A query that answers with a number.
    Sql {
        /// The connection.
        client: Box<Client>,
        /// The query.
        sql: String,
    },
}

/// Why there is no number.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeError {
    /// The URL answered otherwise.
    #[error("the probe's URL answered {0}")]
    Answer(String),
    /// The URL is none once the placeholders are filled.
    #[error("the probe's URL is none")]
    Url,
    /// The path is none once the placeholders are filled.
    #[error("the probe's path is none: write it as $.effects[{{key}}]")]
    Path,
    /// What it said is no number.
    #[error("the probe did not answer with a number: {0}")]
    NoNumber(&'static str),
    /// The command failed.
    #[error("the probe's command failed")]
    Command(#[from] command::CommandError),
    /// The query failed.
    #[error("the probe's query failed")]
    Query(#[from] tokio_postgres::Error),
}

impl Probe {
    /// Makes the probe ready; for a query that is a connection.
    pub async fn open(arguments: &ProbeArgs) -> Result<Self, Failure> {
        if let Some(url) = &arguments.probe_url {
            let header = arguments.probe_header.iter();
            let headers = header.map(|line| super::capture::header(line.expose()));
            return Ok(Self::Url {
                url: url.clone(),
                path: arguments.probe_path.clone(),
                headers: headers.collect::<Result<_, _>>()?,
            });
        }
        if let Some(command) = &arguments.probe_command {
            return Ok(Self::Command(command.clone()));
        }
        let (Some(sql), Some(url)) = (&arguments.probe_sql, &arguments.probe_database_url) else {
            let hint = "name a probe that counts effects: --probe-url, --probe-command, or \
                        --probe-sql with --probe-database-url";
            return Err(Failure::Usage(hint.to_owned()));
        };
        let url = DatabaseUrl::parse(url.expose());
        let url = url.map_err(|error| Failure::Usage(error.to_string()))?;
        let client = hooklatch_store_postgres::reader(&url).await;
        let client = client
            .map_err(|error| Failure::failed("the probe's database cannot be reached", error))?;
        Ok(Self::Sql {
            client: Box::new(client),
            sql: sql.clone(),
        })
    }

    /// How many effects the event has had.
    pub async fn count(&self, event: &Event) -> Result<u64, ProbeError> {
        match self {
            Self::Url { url, path, headers } => {
                let url = filled(url.expose(), event, escaped);
                let body = fetched(&url, headers).await?;
                let path = path.as_ref().map(|path| filled(path, event, quoted));
                number_in(&body, path.as_deref())
            }
            Self::Command(text) => {
                let variables = [
                    (KEY_VARIABLE, event.key.as_str()),
                    (WEBHOOK_ID_VARIABLE, event.webhook_id.as_str()),
                ];
                let printed = command::output(text.expose(), &variables).await?;
                let number = printed.trim().parse();
                number.map_err(|_| ProbeError::NoNumber("the command should print one"))
            }
            Self::Sql { client, sql } => counted(client, sql, event).await,
        }
    }
}

/// The text with the event's key and id in their places.
fn filled(text: &str, event: &Event, write: impl Fn(&str) -> String) -> String {
    text.replace(KEY, &write(&event.key))
        .replace(WEBHOOK_ID, &write(&event.webhook_id))
}

fn escaped(text: &str) -> String {
    // In a path a plus is a plus.
    byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

/// As a name in brackets, which may hold anything.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

async fn fetched(url: &str, headers: &[(String, String)]) -> Result<Bytes, ProbeError> {
    let url: Url = url.parse().map_err(|_| ProbeError::Url)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(ProbeError::Url);
    }
    let target = Target::new(url, TIMEOUT);
    let call = Call {
        method: Method::GET,
        headers: headers.to_vec(),
        body: Bytes::new(),
    };
    let link = target.connect().await;
    let link = link.map_err(|_| ProbeError::Answer(Answer::Unreachable.label()))?;
    match target.exchange(link, &call).await {
        Ok(whole) if whole.answer.acknowledges() => Ok(whole.body),
        Ok(whole) => Err(ProbeError::Answer(whole.answer.label())),
        Err(answer) => Err(ProbeError::Answer(answer.label())),
    }
}

/// The number in JSON: a number, or the length of an array. What is not there has not happened.
fn number_in(body: &[u8], path: Option<&str>) -> Result<u64, ProbeError> {
    let document: Value = serde_json::from_slice(body)
        .map_err(|_| ProbeError::NoNumber("the URL should answer with JSON"))?;
    let found = match path {
        None => Some(&document),
        Some(path) => match format!("body:{path}").parse() {
            Ok(Location::Body(path)) => find(&document, path.segments()),
            Ok(Location::Header(_) | Location::Query(_) | Location::Method | Location::Path)
            | Err(_) => return Err(ProbeError::Path),
        },
    };
    match found {
        None | Some(Value::Null) => Ok(0),
        Some(Value::Array(elements)) => Ok(elements.len() as u64),
        Some(Value::Number(number)) => number
            .as_u64()
            .ok_or(ProbeError::NoNumber("a count is a whole number")),
        Some(Value::Bool(_) | Value::String(_) | Value::Object(_)) => Err(ProbeError::NoNumber(
            "name the place of the number in the JSON: --probe-path",
        )),
    }
}

/// `$1` is the key and `$2` the `webhook-id`, as text; a query may leave out either.
async fn counted(client: &Client, sql: &str, event: &Event) -> Result<u64, ProbeError> {
    let arguments: [(&(dyn ToSql + Sync), Type); 2] =
        [(&event.key, Type::TEXT), (&event.webhook_id, Type::TEXT)];
    let used = match (sql.contains("$2"), sql.contains("$1")) {
        (true, _) => 2,
        (false, true) => 1,
        (false, false) => 0,
    };
    let rows = client.query_typed(sql, &arguments[..used]).await?;
    let Some(row) = rows.first() else {
        return Ok(0);
    };
    let number = match row.columns().first().map(|column| column.type_()) {
        Some(&Type::INT8) => row.try_get::<_, Option<i64>>(0)?,
        Some(&Type::INT4) => row.try_get::<_, Option<i32>>(0)?.map(i64::from),
        Some(_) | None => {
            return Err(ProbeError::NoNumber(
                "the query's first column should be an integer, such as count(*)",
            ));
        }
    };
    let negative = ProbeError::NoNumber("a count is no negative number");
    u64::try_from(number.unwrap_or(0)).map_err(|_| negative)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        Event {
            key: "it's a key/1".to_owned(),
            webhook_id: "msg_1".to_owned(),
            headers: Vec::new(),
            body: String::new(),
            other_body: String::new(),
        }
    }

    #[test]
    fn placeholders_are_written_as_their_place_needs_it() {
        let url = filled("http://x/{key}?id={webhook_id}", &event(), escaped);
        assert_eq!(url, "http://x/it%27s%20a%20key%2F1?id=msg_1");
        let path = filled("$.effects[{key}]", &event(), quoted);
        let body = br#"{"effects":{"it's a key/1":2}}"#;
        assert_eq!(number_in(body, Some(&path)).unwrap(), 2);
    }

    #[test]
    fn a_number_is_found_and_anything_else_is_no_answer() {
        let number = |body: &str, path| number_in(body.as_bytes(), path).ok();
        assert_eq!(number("3", None), Some(3));
        assert_eq!(number(r#"{"a":[{"n":4}]}"#, Some("$.a[0].n")), Some(4));
        assert_eq!(number(r#"{"a":[1,2]}"#, Some("$.a")), Some(2));
        assert_eq!(number(r#"{"a":{}}"#, Some("$.a.b")), Some(0));
        for (body, path) in [
            ("{}", None),
            ("\"3\"", None),
            ("-1", None),
            ("1.5", None),
            ("no", None),
            ("{}", Some("a b")),
        ] {
            assert_eq!(number(body, path), None, "{body} {path:?}");
        }
    }

    #[tokio::test]
    async fn a_command_counts_by_its_variables_and_its_text_is_never_shown() {
        let probe = Probe::Command(Secret::from(
            "test \"$HOOKLATCH_PROVE_WEBHOOK_ID\" = msg_1 && echo 5",
        ));
        assert_eq!(probe.count(&event()).await.unwrap(), 5);
        let failing = Probe::Command(Secret::from("echo s3same; exit 7"));
        let error = Failure::failed("no count", failing.count(&event()).await.unwrap_err());
        assert!(!error.to_string().contains("s3same"), "{error}");
    }
}
