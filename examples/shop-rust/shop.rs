//! A shop that books each paid order. HANDLER chooses how: `naive`, as published snippets have it,
//! or `kit`. The contract is in examples/README.md.

mod kit;
mod naive;

use std::collections::BTreeMap;
use std::error::Error;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use deadpool_postgres::{Manager, Pool};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_postgres::NoTls;

/// What goes wrong in a shop.
type Failure = Box<dyn Error + Send + Sync>;

const TABLE: &str = "
    SELECT pg_advisory_xact_lock(1);
    CREATE TABLE IF NOT EXISTS effects (
        order_id text NOT NULL,
        booked_at timestamptz NOT NULL DEFAULT clock_timestamp())";

const COUNTS: &str = "SELECT order_id, count(*) FROM effects GROUP BY order_id ORDER BY order_id";

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let pool = pool(&setting("DATABASE_URL")?)?;
    pool.get().await?.batch_execute(TABLE).await?;
    let secret = setting("WEBHOOK_SECRET")?;
    let webhooks = match setting("HANDLER")?.as_str() {
        "naive" => naive::webhooks(pool.clone(), &secret)?,
        "kit" => kit::webhooks(pool.clone(), &secret).await?,
        _ => return Err("HANDLER is naive or kit".into()),
    };
    let effects = Router::new().route("/effects", get(effects).with_state(pool));
    let address = format!("127.0.0.1:{}", setting("PORT")?);
    let listener = TcpListener::bind(&address).await?;
    println!("listening on http://{address}");
    axum::serve(listener, webhooks.merge(effects))
        .with_graceful_shutdown(told_to_end())
        .await?;
    Ok(())
}

fn setting(name: &str) -> Result<String, Failure> {
    let set = std::env::var(name).ok().filter(|value| !value.is_empty());
    set.ok_or_else(|| format!("{name} is not set: see examples/README.md").into())
}

fn pool(url: &str) -> Result<Pool, Failure> {
    let manager = Manager::new(url.parse()?, NoTls);
    Ok(Pool::builder(manager).max_size(10).build()?)
}

async fn effects(State(pool): State<Pool>) -> Result<Json<Value>, StatusCode> {
    let counted = async {
        let rows = pool.get().await?.query(COUNTS, &[]).await?;
        let counts = rows.iter().map(|row| (row.get(0), row.get(1)));
        Ok::<_, Failure>(counts.collect::<BTreeMap<String, i64>>())
    };
    match counted.await {
        Ok(counts) => Ok(Json(json!({ "effects": counts }))),
        Err(error) => Err(failed(&*error)),
    }
}

/// Says what went wrong where people look, and 503 to whoever asked: it comes again.
fn failed(error: &(dyn Error + Send + Sync)) -> StatusCode {
    eprintln!("{error}");
    StatusCode::SERVICE_UNAVAILABLE
}

async fn told_to_end() {
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            terminate.recv().await;
        }
        Err(error) => eprintln!("SIGTERM is not heard: {error}"),
    }
}
