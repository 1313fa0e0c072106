//! What every call of the API passes: whose key it brings, how many calls that key has left, and in
//! whose name it changes something.

mod actor;
mod rate;
mod used;

pub use actor::{acting, actor};
pub use rate::{Allowance, Limiter, Rate};
pub(crate) use used::{Used, keep_used};

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hooklatch_core::token::api_key_hash;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::app::App;
use crate::caller::{Caller, bearer_of};
use crate::problem::{Kind, Problem};

/// The address at the other end of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// Counts the call against its key's limit, and carries it out in the key's name. Calls without a
/// valid key are counted against the address that they come from: nobody guesses keys quickly.
pub(crate) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    // Whom the dashboard has recognised asks in this process, and is not counted.
    if let Some(caller) = request.extensions().get::<Caller>() {
        let key = caller.key;
        return acting(Some(key), next.run(request)).await;
    }
    let snapshot = app.directory().snapshot();
    let hash = bearer_of(request.headers()).map(api_key_hash);
    let key = hash.and_then(|hash| snapshot.api_key(&hash).map(|key| key.id));
    drop(snapshot);
    let Some(key) = key else {
        return stranger(&app, request, next).await;
    };
    app.used().note(key, app.store().now());
    let Some(limiter) = app.calls() else {
        return acting(Some(key), next.run(request)).await;
    };
    match limiter.take(key.number()) {
        Ok(allowance) => {
            let mut answer = acting(Some(key), next.run(request)).await;
            say(&allowance, answer.headers_mut());
            answer
        }
        Err(allowance) => refused(&allowance),
    }
}

/// Whoever has no key gets 401 or 404 all the same; only not as often as they like.
async fn stranger(app: &App, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    let answer = acting(None, next.run(request)).await;
    if answer.status() != StatusCode::UNAUTHORIZED {
        return answer;
    }
    let Some(Peer(address)) = peer else {
        return answer;
    };
    match app.strangers().take(number_of(address)) {
        Ok(_) => answer,
        Err(allowance) => refused(&allowance),
    }
}

/// IPv6 by its network of 64 bits: one customer of a provider has at least that much.
fn number_of(address: IpAddr) -> i64 {
    match address.to_canonical() {
        IpAddr::V4(address) => i64::from(u32::from(address)),
        IpAddr::V6(address) => {
            let network = (u128::from(address) >> 64) as u64;
            (network | 1 << 63) as i64
        }
    }
}

fn refused(allowance: &Allowance) -> Response {
    let detail = format!(
        "too many calls: {} a second are allowed; nothing was done, repeating is safe",
        allowance.rate.per_second
    );
    let seconds = u32::try_from(allowance.wait_seconds).unwrap_or(u32::MAX);
    let problem = Problem::new(Kind::TooManyRequests, detail).retry_after(seconds.max(1));
    let mut answer = problem.into_response();
    say(allowance, answer.headers_mut());
    answer
}

/// The header fields of draft-ietf-httpapi-ratelimit-headers.
fn say(allowance: &Allowance, headers: &mut HeaderMap) {
    let policy = format!(
        "\"default\";q={};w={}",
        allowance.rate.burst,
        allowance.rate.window_seconds()
    );
    let limit = format!(
        "\"default\";r={};t={}",
        allowance.left, allowance.full_in_seconds
    );
    for (name, value) in [("ratelimit-policy", policy), ("ratelimit", limit)] {
        let value = HeaderValue::try_from(value).expect("numbers are visible ASCII");
        headers.insert(HeaderName::from_static(name), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_count_together_and_no_others() {
        let number = |text: &str| number_of(text.parse().expect("an address"));
        assert_eq!(number("2001:db8::1"), number("2001:db8::ffff:1"));
        assert_ne!(number("2001:db8::1"), number("2001:db8:0:1::1"));
        assert_ne!(number("192.0.2.1"), number("192.0.2.2"));
        assert_eq!(number("192.0.2.1"), number("::ffff:192.0.2.1"));
    }
}
