//! Somebody who signs in and looks at pages, and how long that takes.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use crate::Failure;
use crate::api::{self, Answered, Call};
use crate::gateway::API_KEY;
use crate::histogram::Histogram;

/// A page, and what it is called in the report.
pub(super) struct PageOf {
    pub name: String,
    pub path: String,
}

/// How long a page takes, and what it weighs.
#[derive(Debug, Serialize)]
pub(super) struct Visits {
    pub name: String,
    pub path: String,
    pub median_ms: f64,
    pub worst_ms: f64,
    /// Rows that it shows.
    pub rows: usize,
    /// The page itself and, at the first view, its style, its script and its icon.
    pub first_view_bytes: usize,
}

/// Somebody who has signed in.
#[derive(Clone)]
pub(super) struct Visitor {
    address: SocketAddr,
    head: String,
}

impl Visitor {
    pub(super) fn sign_in(address: SocketAddr) -> Result<Self, Failure> {
        let call = Call {
            to: ("POST", "/sign-in"),
            head: "Content-Type: application/x-www-form-urlencoded\r\n",
            body: &format!("api_key={API_KEY}"),
        };
        let answered = api::call(address, &call)?;
        let cookie = answered.head()?.field("set-cookie");
        let cookie = cookie.ok_or("nobody was signed in")?;
        let cookie = String::from_utf8_lossy(cookie);
        let (cookie, _) = cookie.split_once(';').unwrap_or((&cookie, ""));
        Ok(Self {
            address,
            head: format!("Accept: text/html\r\nCookie: {cookie}\r\n"),
        })
    }

    /// Asks for one thing; what is not answered with 200 is a failure.
    pub(super) fn look(&self, path: &str) -> Result<Answered, Failure> {
        let call = Call {
            to: ("GET", path),
            head: &self.head,
            body: "",
        };
        let answered = api::call(self.address, &call)?;
        match answered.head()?.status()? {
            200 => Ok(answered),
            status => Err(format!("{path} was answered with {status}").into()),
        }
    }

    /// Asks for a page so many times.
    pub(super) fn measure(&self, page: &PageOf, times: usize) -> Result<Visits, Failure> {
        let mut took = Histogram::new();
        let first = self.look(&page.path)?;
        let text = String::from_utf8_lossy(&first.bytes).into_owned();
        let mut bytes = first.bytes.len();
        for part in parts(&text) {
            bytes += self.look(part)?.bytes.len();
        }
        for _ in 0..times {
            let began = Instant::now();
            self.look(&page.path)?;
            took.add(began.elapsed());
        }
        Ok(Visits {
            name: page.name.clone(),
            path: page.path.clone(),
            median_ms: milliseconds(took.percentile(0.5)),
            worst_ms: milliseconds(took.longest()),
            rows: text.matches("<tr id=").count(),
            first_view_bytes: bytes,
        })
    }
}

/// The files that a page names.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let named = text.split("=\"/assets/").skip(1);
    named.filter_map(|rest| {
        let end = rest.find('"')?;
        let start = rest.as_ptr() as usize - text.as_ptr() as usize;
        Some(&text[start - "/assets/".len()..start + end])
    })
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Every page, and the logs under every single filter.
pub(super) fn pages(address: SocketAddr) -> Result<Vec<PageOf>, Failure> {
    let known = Known::gather(address)?;
    let mut pages = Vec::new();
    let mut add = |name: &str, path: String| {
        let name = name.to_owned();
        pages.push(PageOf { name, path });
    };
    for span in ["1h", "24h", "7d", "30d"] {
        add(&format!("overview, {span}"), format!("/?span={span}"));
    }
    for (name, query) in known.message_filters() {
        add(&format!("messages, {name}"), format!("/messages?{query}"));
    }
    for (name, query) in known.request_filters() {
        add(&format!("requests, {name}"), format!("/requests?{query}"));
    }
    add(
        "a message with duplicates",
        format!("/messages/{}", known.repeated),
    );
    add("a duplicate", format!("/requests/{}", known.duplicate));
    add("a key", format!("/keys?key={}", known.new_key));
    add(
        "a key that is long over",
        format!("/keys?key={}", known.old_key),
    );
    for place in ["sources", "endpoints", "connections", "replays"] {
        add(place, format!("/{place}"));
    }
    add("a source", format!("/sources/{}", known.source));
    add("an endpoint", format!("/endpoints/{}", known.endpoint));
    add("a connection", format!("/connections/{}", known.connection));
    add("a new replay", "/replays/new".to_owned());
    add("settings", "/settings".to_owned());
    Ok(pages)
}

/// Things that there are to look at.
struct Known {
    source: String,
    silent: String,
    endpoint: String,
    connection: String,
    new_key: String,
    old_key: String,
    duplicate: String,
    repeated: String,
    /// The times of messages in the middle of the history.
    hour: (String, String),
    /// The cursor of a page that lies far back.
    deep: String,
}

impl Known {
    fn gather(address: SocketAddr) -> Result<Self, Failure> {
        let ask = |path: &str| api::ask(address, API_KEY, ("GET", path), None);
        let text = |value: &Value| -> Result<String, Failure> {
            let text = value.as_str().map(str::to_owned);
            text.ok_or_else(|| format!("no text in {value}").into())
        };
        let sources = ask("/v1/sources?limit=100")?;
        let named = |name: &str| {
            let all = sources["data"].as_array().into_iter().flatten();
            let mut all = all.filter(|source| source["name"] == name);
            text(&all.next().ok_or("a source is missing")?["id"])
        };
        let endpoints = ask("/v1/endpoints?limit=100")?;
        let connections = ask("/v1/connections?limit=100")?;
        let source = named("payments")?;
        let middle = ask(&format!(
            "/v1/messages?limit=1&source_id={source}&before={}",
            days_ago(20)?
        ))?;
        let new = ask(&format!(
            "/v1/messages?limit=1&source_id={source}&before={}",
            days_ago(2)?
        ))?;
        let duplicates = ask("/v1/requests?limit=1&outcome=duplicate")?;
        let back = ask(&format!("/v1/messages?limit=1&before={}", days_ago(10)?))?;
        Ok(Self {
            silent: named("a-source-that-fell-silent")?,
            source,
            endpoint: text(&endpoints["data"][2]["id"])?,
            connection: text(&connections["data"][1]["id"])?,
            new_key: text(&new["data"][0]["idempotency_key"])?,
            old_key: text(&middle["data"][0]["idempotency_key"])?,
            duplicate: text(&duplicates["data"][0]["id"])?,
            repeated: text(&duplicates["data"][0]["original_message_id"])?,
            hour: (days_ago(16)?, days_ago(15)?),
            deep: text(&back["next_cursor"])?,
        })
    }

    fn message_filters(&self) -> Vec<(String, String)> {
        let mut filters = vec![
            ("all".to_owned(), String::new()),
            ("far back".to_owned(), format!("cursor={}", self.deep)),
            ("source".to_owned(), format!("source_id={}", self.source)),
            (
                "silent source".to_owned(),
                format!("source_id={}", self.silent),
            ),
            (
                "endpoint".to_owned(),
                format!("endpoint_id={}", self.endpoint),
            ),
            ("tenant".to_owned(), "tenant=tenant-3".to_owned()),
            ("type".to_owned(), "event_type=order.created".to_owned()),
            (
                "rare type".to_owned(),
                "event_type=payment.disputed".to_owned(),
            ),
            (
                "unknown type".to_owned(),
                "event_type=nothing.like.it".to_owned(),
            ),
            ("key".to_owned(), format!("key={}", self.new_key)),
            (
                "key that is long over".to_owned(),
                format!("key={}", self.old_key),
            ),
            ("text, frequent".to_owned(), "q=Springfield".to_owned()),
            (
                "text, rare".to_owned(),
                "q=customer-4711%40example".to_owned(),
            ),
            (
                "text, nowhere".to_owned(),
                "q=nowhere-to-be-found".to_owned(),
            ),
            (
                "time".to_owned(),
                format!("after={}&before={}", self.hour.0, self.hour.1),
            ),
        ];
        for status in [
            "pending",
            "delivering",
            "delivered",
            "failed",
            "held",
            "cancelled",
            "no_route",
            "filtered",
        ] {
            filters.push((status.replace('_', " "), format!("status={status}")));
        }
        filters
    }

    fn request_filters(&self) -> Vec<(String, String)> {
        let mut filters = vec![
            ("all".to_owned(), String::new()),
            ("source".to_owned(), format!("source_id={}", self.source)),
            (
                "silent source".to_owned(),
                format!("source_id={}", self.silent),
            ),
            ("key".to_owned(), format!("key={}", self.new_key)),
            (
                "key that is long over".to_owned(),
                format!("key={}", self.old_key),
            ),
            (
                "of a message".to_owned(),
                format!("message_id={}", self.repeated),
            ),
            (
                "time".to_owned(),
                format!("after={}&before={}", self.hour.0, self.hour.1),
            ),
        ];
        for outcome in ["accepted", "duplicate", "conflict", "rejected"] {
            filters.push((outcome.to_owned(), format!("outcome={outcome}")));
        }
        for cause in [
            "concurrent",
            "producer_retry",
            "provider_retry",
            "provider_resend",
            "second_route",
            "unknown",
        ] {
            filters.push((cause.replace('_', " "), format!("cause={cause}")));
        }
        filters
    }
}

/// A moment so many days ago, as the API writes it.
fn days_ago(days: i64) -> Result<String, Failure> {
    use hooklatch_core::time::{Millis, Timestamp};
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let now = Timestamp::from_millis(i64::try_from(since.as_millis())?);
    Ok((now - Millis::from_seconds(days * 86_400)).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_that_a_page_names_are_found() {
        let text = r#"<link href="/assets/1f/app.css"><script src="/assets/2/app.js"></script>"#;
        let found: Vec<&str> = parts(text).collect();
        assert_eq!(found, ["/assets/1f/app.css", "/assets/2/app.js"]);
        assert_eq!(parts("nothing").count(), 0);
    }
}
