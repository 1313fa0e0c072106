//! With the kit: the claim, the booking and the kept answer are one commit.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header::RETRY_AFTER;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use deadpool_postgres::Pool;
use hooklatch_receiver::kit::{Delivery, Receiver};
use hooklatch_receiver::layer::Rules;
use hooklatch_receiver::layer::answer::{Policy, Settled, answer};
use hooklatch_receiver::postgres::{self, PostgresStore};
use hooklatch_receiver::run::{Begun, Settings};
use serde_json::Value;

use crate::{Failure, failed};

const BOOK: &str = "INSERT INTO effects (order_id) VALUES ($1)";
/// How long a delivery waits for another one of the same event.
const WAIT: Duration = Duration::from_secs(2);
const BODY_BYTES_MAX: usize = 1024 * 1024;

struct Shop {
    pool: Pool,
    rules: Rules,
    receiver: Receiver<PostgresStore>,
}

/// The route of the webhooks.
pub async fn webhooks(pool: Pool, secret: &str) -> Result<Router, Failure> {
    let store = PostgresStore::new(pool.clone());
    store.create_tables().await?;
    let shop = Arc::new(Shop {
        pool,
        rules: Rules::for_provider("standard_webhooks", &[secret])?.with_consumer("shop"),
        receiver: Receiver::new(store, Settings::default()),
    });
    Ok(Router::new().route("/webhooks", post(paid).with_state(shop)))
}

async fn paid(State(shop): State<Arc<Shop>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_BYTES_MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    // In a task of its own: a client that hangs up stops nothing half-way.
    let worked = tokio::spawn(async move { shop.take(&parts, &body).await });
    let settled = match worked.await {
        Ok(Ok(settled)) => settled,
        Ok(Err(error)) => return failed(&*error).into_response(),
        Err(panic) => return failed(&panic).into_response(),
    };
    let answer = answer(settled, Policy::default());
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let mut response = status.into_response();
    if let Some(receipt) = answer.receipt {
        let receipt = HeaderValue::from_static(receipt.as_str());
        response.headers_mut().insert("hooklatch-receipt", receipt);
    }
    if let Some(after) = answer.retry_after {
        let seconds = HeaderValue::from(after.as_secs().max(1));
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}

impl Shop {
    async fn take(&self, parts: &Parts, body: &Bytes) -> Result<Settled, Failure> {
        match self.rules.delivery(parts, body, SystemTime::now()) {
            Ok(delivery) => self.book_once(&delivery, body).await,
            Err(refused) => Ok(refused),
        }
    }

    async fn book_once(&self, delivery: &Delivery, body: &[u8]) -> Result<Settled, Failure> {
        let event: Value = serde_json::from_slice(body)?;
        let order_id = event["order_id"].as_str().ok_or("an order has an id")?;
        let mut client = self.pool.get().await?;
        let mut tx = client.transaction().await?;
        let claim = self.receiver.claim(delivery);
        // What is not run drops its transaction, and with it nothing.
        Ok(match postgres::begin_in(&mut tx, &claim, WAIT).await? {
            Begun::Run(mut run) => {
                run.transaction().execute(BOOK, &[&order_id]).await?;
                run.complete(b"").await?;
                tx.commit().await?;
                Settled::Ran(200)
            }
            Begun::Done { .. } => Settled::Done { kept: None },
            Begun::Busy { retry_after } => Settled::Busy(retry_after),
            Begun::Conflict { .. } => Settled::Conflict,
            Begun::Dead { .. } => Settled::Dead,
        })
    }
}
