//! `hooklatch demo`: the whole story on a temporary store, told as it happens.
//!
//! Providers that repeat themselves, a shop that fails, a gateway that is killed in the middle of
//! it. The demo keeps its own account of what should happen and of what did (see `book`); the
//! gateway is a process of its own, reached by nothing but its HTTP API.

mod book;
mod counts;
mod gateway;
mod plan;
mod producer;
mod provider;
mod receiver;
mod report;
mod sign;
mod tell;

use std::sync::Arc;
use std::time::Duration;

use hooklatch_client::{
    ConnectionInput, Endpoint, EndpointInput, RetryPolicy, Source, SourceInput,
};
use serde_json::json;
use tokio::sync::watch;

use crate::cli::DemoArgs;
use crate::failure::Failure;
use crate::signals::Signals;
use book::{Book, Tally};
use gateway::Gateway;
use plan::{Event, Habit};
use producer::Sends;
use provider::{Providers, Route};
use receiver::Receiver;
use tell::Teller;

/// The story never takes longer, whatever happens.
const TIME_LIMIT: Duration = Duration::from_secs(180);
/// Orders that the shop's own program sends before, and again after, the gateway is killed.
const ORDERS: u32 = 10;
const PAYMENTS_SECRET: &str = "whsec_demo_payments";
const CODE_HOST_SECRET: &str = "demo-code-host";

/// Tells the story; without `--exit` the gateway stays up afterwards.
pub(crate) async fn run(arguments: DemoArgs) -> Result<(), Failure> {
    let mut signals = Signals::listen()
        .map_err(|error| Failure::failed("the demo cannot listen to signals", error))?;
    let teller = Teller::new();
    let story = tokio::time::timeout(TIME_LIMIT, Box::pin(story(&arguments, &teller)));
    let (world, tally) = tokio::select! {
        told = story => match told {
            Ok(told) => told?,
            Err(_elapsed) => {
                let text = format!("the story did not end within {} s", TIME_LIMIT.as_secs());
                return Err(Failure::Failed(text));
            }
        },
        _ = signals.next() => return Err(Failure::Failed("the demo was interrupted".into())),
    };
    if !arguments.exit {
        teller.print(&invitation(&world));
        signals.next().await;
    }
    match tally.is_clean() {
        true => Ok(()),
        false => Err(Failure::Failed(
            "the gateway did not keep its promise".into(),
        )),
    }
}

/// Everything that runs. Dropping it ends the gateway.
struct World {
    gateway: Gateway,
    receiver: Receiver,
    endpoint: Endpoint,
    providers: Arc<Providers>,
    book: Arc<Book>,
}

async fn story(arguments: &DemoArgs, teller: &Teller) -> Result<(World, Tally), Failure> {
    let events = plan::events(arguments.seed, arguments.events);
    teller.print(OPENING);
    let mut world = build(arguments, events.len(), teller).await?;
    for event in &events {
        world.book.expect(&event.id);
    }
    let orders = traffic(&mut world, &events, teller).await?;
    repetitions(&world, &events, &orders, teller).await?;
    let bar = teller.bar("messages that have ended", events.len() as u64);
    teller.say("Now everybody waits until the last delivery has ended, retries included.");
    counts::wait_until_ended(&world.gateway.client, &bar).await?;
    bar.finish_and_clear();
    let counts = counts::count(&world.gateway.client).await?;
    let tally = world.book.tally();
    teller.say("That is all. The demo's own account, and the gateway's:");
    teller.print(&format!("\n{}\n", report::table(&tally, &counts)));
    teller.print(&report::verdict(&tally));
    Ok((world, tally))
}

const OPENING: &str = "\
hooklatch demo: webhooks come more than once, and receivers fail. Each event shall happen once.
";

/// Starts the gateway and the shop, and connects them.
async fn build(arguments: &DemoArgs, events: usize, teller: &Teller) -> Result<World, Failure> {
    let gateway = Gateway::start().await?;
    let (url, pid) = (gateway.url(), gateway.pid());
    teller.say(&format!(
        "A gateway starts on {url} (process {pid}), with an empty store."
    ));
    let book = Arc::new(Book::default());
    let receiver = Receiver::start(Arc::clone(&book), arguments.seed)
        .await
        .map_err(|error| Failure::failed("the shop cannot open", error))?;
    let endpoint = make_endpoint(&gateway, &receiver).await?;
    let payments = make_source(&gateway, &endpoint, "payments", "stripe", PAYMENTS_SECRET).await?;
    let code = make_source(&gateway, &endpoint, "code-host", "github", CODE_HOST_SECRET).await?;
    teller.say(&format!(
        "A shop listens on {}. It checks every signature and does the work of a webhook-id once, \
         but one visit in four goes wrong: it answers 500, drops the connection, or is too slow.",
        receiver.url
    ));
    let providers = Providers {
        payments: Route::to(&payments, PAYMENTS_SECRET)?,
        code_host: Route::to(&code, CODE_HOST_SECRET)?,
        book: Arc::clone(&book),
        acknowledged: watch::Sender::new(0),
        bar: teller.bar("events acknowledged", events as u64),
    };
    Ok(World {
        gateway,
        receiver,
        endpoint,
        providers: Arc::new(providers),
        book,
    })
}

async fn make_endpoint(gateway: &Gateway, receiver: &Receiver) -> Result<Endpoint, Failure> {
    let input = EndpointInput {
        name: "shop".into(),
        url: receiver.url.clone(),
        timeout_seconds: Some(receiver::TIMEOUT_SECONDS),
        retry: Some(RetryPolicy {
            strategy: "fixed".into(),
            base_seconds: Some(1),
            max_attempts: Some(20),
            ..RetryPolicy::default()
        }),
        ..EndpointInput::default()
    };
    let endpoint = gateway.client.create_endpoint(&input).await?;
    let secret = endpoint.secret.as_deref().unwrap_or_default();
    if !receiver.learn_secret(secret) {
        return Err(Failure::Failed(
            "the new endpoint has no signing secret".into(),
        ));
    }
    Ok(endpoint)
}

async fn make_source(
    gateway: &Gateway,
    endpoint: &Endpoint,
    name: &str,
    provider: &str,
    secret: &str,
) -> Result<Source, Failure> {
    let input = SourceInput {
        name: name.to_owned(),
        provider: Some(provider.to_owned()),
        verifier: Some(json!({"secret": secret})),
        ..SourceInput::default()
    };
    let source = gateway.client.create_source(&input).await?;
    let connection = ConnectionInput {
        name: format!("{name}-to-shop"),
        source_id: Some(source.id.clone()),
        endpoint_id: endpoint.id.clone(),
        ..ConnectionInput::default()
    };
    gateway.client.create_connection(&connection).await?;
    Ok(source)
}

/// The providers send, the shop's program sends, and in the middle of it the gateway is killed.
async fn traffic(world: &mut World, events: &[Event], teller: &Teller) -> Result<Sends, Failure> {
    teller.say(&format!(
        "A payment provider (it signs as Stripe does) and a code host (as GitHub does) send {} \
         events. Some answers get lost, so these events come again; some come from eight machines \
         at once.",
        events.len()
    ));
    let before = orders(world, 0..ORDERS).await?;
    let mut acknowledged = world.providers.acknowledged.subscribe();
    let providers = Arc::clone(&world.providers);
    let all = events.to_vec();
    let sending = tokio::spawn(async move { providers.send_all(&all).await });
    let half = events.len() / 2;
    // The sender of the count is part of the world, which outlives this.
    let reached = acknowledged
        .wait_for(|count| *count >= half)
        .await
        .map(|count| *count);
    let reached = reached.expect("the providers are still there");
    world.gateway.kill()?;
    teller.say(&format!(
        "kill -9: the gateway dies after {reached} acknowledged events, in the middle of its \
         work. The providers meet a closed door and go on trying; so does the shop's own program."
    ));
    let during = orders(world, ORDERS..2 * ORDERS);
    let (restarted, during) = {
        let during = tokio::spawn(during);
        (world.gateway.restart().await, during.await)
    };
    restarted?;
    teller.say(&format!(
        "The gateway is up again on the same store (process {}).",
        world.gateway.pid()
    ));
    let during =
        during.map_err(|error| Failure::failed("the shop's program stumbled", error))??;
    sending
        .await
        .map_err(|error| Failure::failed("a provider stumbled", error))??;
    world.providers.bar.finish_and_clear();
    teller.say(&format!(
        "All {} events have been answered with a 2xx.",
        events.len()
    ));
    Ok(Sends {
        orders: before.orders + during.orders,
        replayed: before.replayed + during.replayed,
        repeated: before.repeated + during.repeated,
    })
}

fn orders(
    world: &World,
    numbers: std::ops::Range<u32>,
) -> impl Future<Output = Result<Sends, Failure>> + Send + 'static {
    let client = world.gateway.client.clone();
    let endpoint_id = world.endpoint.id.clone();
    let book = Arc::clone(&world.book);
    async move { producer::send_orders(client, endpoint_id, numbers, &book).await }
}

/// What comes later: repetitions by hand, and a contradiction.
async fn repetitions(
    world: &World,
    events: &[Event],
    orders: &Sends,
    teller: &Teller,
) -> Result<(), Failure> {
    let again: Vec<Event> = events
        .iter()
        .filter(|event| event.habit == Habit::ResentLater)
        .cloned()
        .collect();
    teller.say(&format!(
        "Somebody presses \"resend\" at the providers for {} events that had arrived long ago.",
        again.len()
    ));
    world.providers.send_again(&again).await?;
    teller.say(&format!(
        "The shop's program had sent {} orders, each of them twice under one Idempotency-Key: \
         {} second calls were answered with the first one's message, and sent nothing.",
        orders.orders, orders.replayed
    ));
    let (client, endpoint) = (&world.gateway.client, &world.endpoint.id);
    let refusal = producer::contradict(client, endpoint, 0, &world.book).await?;
    teller.say(&format!(
        "It sends another total under the key of order-0, and is refused: 409, {refusal}"
    ));
    Ok(())
}

fn invitation(world: &World) -> String {
    let (url, key) = (world.gateway.url(), &world.gateway.api_key);
    let (endpoint, shop) = (&world.endpoint.id, &world.receiver.url);
    format!(
        "\nThe gateway stays up until Ctrl-C (its shop is {shop}).\n\n\
         Look at all of it:  {url}/requests?outcome=duplicate\n\
         Sign in with:       {key}\n\n\
         Or by the API:\n\n\
         export KEY={key}\n\
         # why the duplicates came\n\
         curl -s -H \"Authorization: Bearer $KEY\" '{url}/v1/requests?outcome=duplicate&limit=3'\n\
         # send a message; run it twice, and change the payload the third time\n\
         curl -s -i -H \"Authorization: Bearer $KEY\" -H 'Content-Type: application/json' \
         -H 'Idempotency-Key: mine-1' \\\n  \
         -d '{{\"endpoint_id\": \"{endpoint}\", \"payload\": {{\"id\": \"mine-1\"}}}}' \
         {url}/v1/webhooks/send\n"
    )
}
