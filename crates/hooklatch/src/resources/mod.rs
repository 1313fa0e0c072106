//! `hooklatch sources`, `endpoints`, `messages` and the rest: every route that shows or changes one
//! kind of thing, as a command. What there is stands in a table; this module carries out a row.

mod body;
pub(crate) mod command;
mod configuration;
mod history;
mod json_text;
mod show;
mod table;

use clap::FromArgMatches;
use hooklatch_client::Client;
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::connect::ConnectArgs;
use crate::failure::Failure;
use crate::terminal;
use body::{document, id_of, query, said};
use command::{ALL, CURSOR, Called, ID, JSON, LIMIT, YES};
use show::List;
use table::{Column, Gives, Ids, Way};

/// Items of one page.
const PAGE: u64 = 100;

/// Carries a resource command out.
pub(crate) async fn run(called: Box<Called>) -> Result<(), Failure> {
    let connect = ConnectArgs::from_arg_matches(&called.matches)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let client = connect.client()?;
    let id = match called.matches.try_get_one::<String>(ID) {
        Ok(Some(text)) => Some(id_of(&client, called.resource, text).await?),
        Ok(None) | Err(_) => None,
    };
    match called.verb.gives {
        Gives::List(columns) => list(&client, &called, id.as_deref(), columns).await,
        Gives::Record => call(&client, &called, id.as_deref()).await,
    }
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Box<RawValue>>,
    #[serde(default)]
    next_cursor: Option<String>,
}

async fn list(
    client: &Client,
    called: &Called,
    id: Option<&str>,
    columns: &'static [Column],
) -> Result<(), Failure> {
    let json = called.matches.get_flag(JSON);
    let paged = called.resource.ids != Ids::Keys;
    let path = path(called.verb.path, id, &query(client, called).await?);
    let mut left = if paged { limit(called) } else { PAGE };
    let mut cursor = match paged {
        true => called.matches.get_one::<String>(CURSOR).cloned(),
        false => None,
    };
    let mut shown = List::new(columns);
    loop {
        let page = page(client, &path, left.min(PAGE), cursor.as_deref()).await?;
        left = left.saturating_sub(page.data.len() as u64);
        for item in &page.data {
            if json {
                println!("{}", json_text::compact(item.get()));
            } else {
                let item: Value = serde_json::from_str(item.get()).unwrap_or_default();
                shown.add(&item);
            }
        }
        cursor = page.next_cursor;
        if cursor.is_none() || left == 0 {
            break;
        }
    }
    if !json {
        println!("{}", shown.text());
    }
    if let Some(cursor) = cursor {
        eprintln!("hooklatch: there are more; --all shows them, --cursor {cursor} goes on here");
    }
    Ok(())
}

fn limit(called: &Called) -> u64 {
    if called.matches.get_flag(ALL) {
        return u64::MAX;
    }
    called
        .matches
        .get_one::<u64>(LIMIT)
        .copied()
        .unwrap_or(PAGE)
}

async fn page(
    client: &Client,
    path: &str,
    limit: u64,
    cursor: Option<&str>,
) -> Result<Page, Failure> {
    let mut path = format!("{path}{}limit={limit}", separator(path));
    if let Some(cursor) = cursor {
        path.push_str(&format!("&cursor={}", escaped(cursor)));
    }
    let answer = client.exchange(Method::GET, &path, None).await?;
    let text = answer.as_ref().map_or("{}", |answer| answer.get());
    serde_json::from_str(text)
        .map_err(|error| Failure::failed("the answer is no list that this version knows", error))
}

async fn call(client: &Client, called: &Called, id: Option<&str>) -> Result<(), Failure> {
    let verb = called.verb;
    let answer = match verb.way {
        Way::Get => {
            let path = path(verb.path, id, &query(client, called).await?);
            client.exchange(Method::GET, &path, None).await?
        }
        Way::Post => {
            let said = said(client, called).await?;
            let path = path(verb.path, id, &[]);
            client.exchange(Method::POST, &path, said.as_ref()).await?
        }
        Way::Make => make(client, called, Method::POST, id).await?,
        Way::Upsert => make(client, called, Method::PUT, id).await?,
        Way::Change => make(client, called, Method::PATCH, id).await?,
        Way::Delete => {
            if !agreed(called)? {
                println!("nothing was changed");
                return Ok(());
            }
            let path = path(verb.path, id, &query(client, called).await?);
            client.exchange(Method::DELETE, &path, None).await?
        }
    };
    print(called, id, answer.as_deref());
    Ok(())
}

async fn make(
    client: &Client,
    called: &Called,
    method: Method,
    id: Option<&str>,
) -> Result<Option<Box<RawValue>>, Failure> {
    let document = document(client, called).await?;
    let path = path(called.verb.path, id, &[]);
    Ok(client.exchange(method, &path, Some(&document)).await?)
}

/// Whether somebody has said that it may be taken away.
fn agreed(called: &Called) -> Result<bool, Failure> {
    if called.matches.get_flag(YES) {
        return Ok(true);
    }
    let named = called.matches.get_one::<String>(ID);
    let named = named.map_or("", String::as_str);
    let question = format!("{} (\"{}\")?", called.verb.about, terminal::plain(named));
    terminal::confirmed(&question, "nothing was changed", "Add --yes")
}

/// The answer; what is shown this once is on standard output with the rest, and noted beside it.
fn print(called: &Called, id: Option<&str>, answer: Option<&RawValue>) {
    let json = called.matches.get_flag(JSON);
    match (answer, json) {
        (Some(answer), true) => println!("{}", json_text::compact(answer.get())),
        (Some(answer), false) => println!("{}", show::record(answer)),
        (None, true) => println!("{}", serde_json::json!({"deleted": id})),
        (None, false) => {
            let named = called.matches.get_one::<String>(ID);
            let named = named.map_or("", String::as_str);
            println!("deleted {} {}", called.resource.one, terminal::plain(named));
        }
    }
    let Some(member) = called.verb.secret else {
        return;
    };
    let made = answer.and_then(|answer| serde_json::from_str::<Value>(answer.get()).ok());
    if made.is_some_and(|made| made[member].is_string()) {
        eprintln!("hooklatch: {member} is shown this once, and can never be read again: keep it");
    }
}

fn path(template: &str, id: Option<&str>, query: &[(&'static str, String)]) -> String {
    let mut path = template.replace("{id}", &escaped(id.unwrap_or_default()));
    for (name, value) in query {
        path.push(separator(&path));
        path.push_str(&format!("{name}={}", escaped(value)));
    }
    path
}

fn separator(path: &str) -> char {
    if path.contains('?') { '&' } else { '?' }
}

/// A text that cannot leave its place in a URL.
fn escaped(text: &str) -> String {
    let bytes = text.bytes().map(|byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    });
    bytes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_values_keep_their_place_in_the_path() {
        let query = [("after", "2026-11-22T08:00:00+01:00".to_owned())];
        assert_eq!(
            path("/v1/messages/{id}", Some("../a?b"), &query),
            "/v1/messages/..%2Fa%3Fb?after=2026-11-22T08%3A00%3A00%2B01%3A00"
        );
        let scope = [("scope", "a&b".to_owned())];
        assert_eq!(
            path("/v1/keys?key={id}", Some("evt 1"), &scope),
            "/v1/keys?key=evt%201&scope=a%26b"
        );
    }
}
