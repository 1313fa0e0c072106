//! As published snippets have it: a set of the ids that were seen. It stands two deliveries in a row
//! and many at once, and forgets everything when the process dies: this is here to be caught.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use deadpool_postgres::Pool;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use crate::{Failure, failed};

const BOOK: &str = "INSERT INTO effects (order_id) VALUES ($1)";

struct Shop {
    pool: Pool,
    key: Vec<u8>,
    seen: Mutex<HashSet<String>>,
}

/// The route of the webhooks.
pub fn webhooks(pool: Pool, secret: &str) -> Result<Router, Failure> {
    let shop = Arc::new(Shop {
        pool,
        key: STANDARD.decode(secret.trim_start_matches("whsec_"))?,
        seen: Mutex::default(),
    });
    Ok(Router::new().route("/webhooks", post(paid).with_state(shop)))
}

async fn paid(State(shop): State<Arc<Shop>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if !shop.verified(&headers, &body) {
        return StatusCode::UNAUTHORIZED;
    }
    let is_new = {
        let mut seen = shop.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(text(&headers, "webhook-id").to_owned())
    };
    if !is_new {
        return StatusCode::OK;
    }
    match shop.book(&body).await {
        Ok(()) => StatusCode::OK,
        Err(error) => failed(&*error),
    }
}

impl Shop {
    async fn book(&self, body: &[u8]) -> Result<(), Failure> {
        let event: Value = serde_json::from_slice(body)?;
        let order_id = event["order_id"].as_str().ok_or("an order has an id")?;
        let client = self.pool.get().await?;
        client.execute(BOOK, &[&order_id]).await?;
        Ok(())
    }

    fn verified(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        let sent_at = text(headers, "webhook-timestamp");
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_secs());
        let is_fresh = |sent: u64| now.abs_diff(sent) <= 300;
        if !sent_at.parse().is_ok_and(is_fresh) {
            return false;
        }
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("a key of any length");
        let id = text(headers, "webhook-id");
        mac.update(format!("{id}.{sent_at}.").as_bytes());
        mac.update(body);
        text(headers, "webhook-signature")
            .split(' ')
            .filter_map(|item| STANDARD.decode(item.strip_prefix("v1,")?).ok())
            .any(|given| mac.clone().verify_slice(&given).is_ok())
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default()
}
