//! The other direction: the shop's own program sends messages through the gateway, repeats itself
//! as a careful program does, and is told when it contradicts itself.

use hooklatch_client::{Client, NewMessage, Sent, Target};
use serde_json::json;

use super::book::Book;
use crate::failure::Failure;

/// What came of the program's calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sends {
    /// Orders sent.
    pub orders: u64,
    /// Second calls that the gateway answered with the first one's message.
    pub replayed: u64,
    /// Calls that the client had to make more than once until they were answered.
    pub repeated: u64,
}

/// Sends each of these orders twice under one key, as a program does that was restarted and does
/// not know how far it had come.
pub(crate) async fn send_orders(
    client: Client,
    endpoint_id: String,
    numbers: std::ops::Range<u32>,
    book: &Book,
) -> Result<Sends, Failure> {
    let mut sends = Sends::default();
    for number in numbers {
        let id = order(number);
        book.expect(&id);
        let message = message(&endpoint_id, &id, 100)?;
        let first = call(&client, &message, book).await?;
        let second = call(&client, &message, book).await?;
        if !second.replayed || second.message.id != first.message.id {
            return Err(Failure::Failed(format!(
                "the second call for {id} made a new message"
            )));
        }
        sends.orders += 1;
        sends.replayed += 1;
        sends.repeated += u64::from(first.tries > 1) + u64::from(second.tries > 1);
    }
    Ok(sends)
}

/// Sends another payload under the key of an order. Answers the gateway's refusal.
pub(crate) async fn contradict(
    client: &Client,
    endpoint_id: &str,
    number: u32,
    book: &Book,
) -> Result<String, Failure> {
    let message = message(endpoint_id, &order(number), 999)?;
    match call(client, &message, book).await {
        Ok(_) => Err(Failure::Failed(
            "another payload under a used key was taken".into(),
        )),
        Err(error) => match error.problem() {
            Some(problem) if problem.status == 409 => Ok(problem.detail.clone()),
            Some(_) | None => Err(error.into()),
        },
    }
}

fn order(number: u32) -> String {
    format!("order-{number}")
}

fn message(endpoint_id: &str, id: &str, total: u32) -> Result<NewMessage, hooklatch_client::Error> {
    let target = Target::Endpoint(endpoint_id.to_owned());
    let message = NewMessage::new(target, &json!({"id": id, "total": total}))?;
    Ok(message.event_type("order.shipped").idempotency_key(id))
}

async fn call(
    client: &Client,
    message: &NewMessage,
    book: &Book,
) -> Result<Sent, hooklatch_client::Error> {
    book.called();
    client.send(message).await
}
