//! `hooklatch send`: one message through a running gateway.

use std::collections::BTreeMap;
use std::io::Read;

use hooklatch_client::{NewMessage, Sent, Target};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::cli::{SendArgs, TargetArgs};
use crate::failure::Failure;

/// Sends, and says what came of it.
pub(crate) async fn run(arguments: Box<SendArgs>) -> Result<(), Failure> {
    let client = arguments.connect.client()?;
    let sent = client.send(&message(&arguments)?).await?;
    for warning in &sent.message.warnings {
        eprintln!("hooklatch: warning: {warning}");
    }
    if arguments.json {
        println!("{}", as_json(&sent)?);
    } else {
        println!("{}", in_words(&sent));
    }
    Ok(())
}

fn message(arguments: &SendArgs) -> Result<NewMessage, Failure> {
    let payload = payload(arguments.payload.as_deref())?;
    let mut message = NewMessage::raw(target(&arguments.target), payload);
    message.event_type.clone_from(&arguments.event_type);
    message.idempotency_key.clone_from(&arguments.key);
    message.delay_seconds = arguments.delay_seconds;
    message.headers = headers(&arguments.headers)?;
    Ok(message)
}

fn target(target: &TargetArgs) -> Target {
    let endpoint = target.endpoint.clone().map(Target::Endpoint);
    let url = target.url.clone().map(Target::Url);
    let tenant = target.tenant.clone().map(Target::Tenant);
    // The command line names exactly one; what is left is the broadcast.
    endpoint.or(url).or(tenant).unwrap_or(Target::Broadcast)
}

fn payload(argument: Option<&str>) -> Result<Box<RawValue>, Failure> {
    let (text, place) = match argument {
        None | Some("-") => (from_standard_input()?, "standard input".to_owned()),
        Some(argument) => match argument.strip_prefix('@') {
            Some(file) => (from_file(file)?, file.to_owned()),
            None => (argument.to_owned(), "the payload".to_owned()),
        },
    };
    RawValue::from_string(text.trim().to_owned())
        .map_err(|error| Failure::Usage(format!("{place} is not JSON: {error}")))
}

fn from_standard_input() -> Result<String, Failure> {
    let mut text = String::new();
    match std::io::stdin().read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(error) => Err(Failure::failed("standard input cannot be read", error)),
    }
}

fn from_file(file: &str) -> Result<String, Failure> {
    std::fs::read_to_string(file)
        .map_err(|error| Failure::failed(format_args!("{file} cannot be read"), error))
}

fn headers(lines: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let mut headers = BTreeMap::new();
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            let hint = format!("--header {line:?} has no colon: write it as \"Name: value\"");
            return Err(Failure::Usage(hint));
        };
        headers.insert(name.trim().to_owned(), value.trim().to_owned());
    }
    Ok(headers)
}

fn as_json(sent: &Sent) -> Result<String, Failure> {
    #[derive(Serialize)]
    struct Shown<'a> {
        message: &'a hooklatch_client::Message,
        replayed: bool,
        idempotency_key: &'a str,
    }
    let shown = Shown {
        message: &sent.message,
        replayed: sent.replayed,
        idempotency_key: &sent.idempotency_key,
    };
    serde_json::to_string(&shown)
        .map_err(|error| Failure::failed("the answer cannot be shown", error))
}

fn in_words(sent: &Sent) -> String {
    let message = &sent.message;
    let (id, status, key) = (&message.id, message.status, &sent.idempotency_key);
    if sent.replayed {
        return format!(
            "{id} was sent before under the key {key} and is {status}; nothing was sent again"
        );
    }
    let deliveries = match message.deliveries.len() {
        0 => "no endpoint matched".to_owned(),
        1 => "1 delivery".to_owned(),
        many => format!("{many} deliveries"),
    };
    format!("{id} is {status} ({deliveries}), under the key {key}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(replayed: bool) -> Sent {
        let record = serde_json::json!({
            "id": "msg_1", "status": "pending",
            "deliveries": [{"id": "dlv_1", "status": "pending"}],
        });
        Sent {
            message: serde_json::from_value(record).unwrap(),
            replayed,
            idempotency_key: "order-1".into(),
            tries: 1,
        }
    }

    #[test]
    fn the_answer_says_whether_anything_was_sent() {
        let new = "msg_1 is pending (1 delivery), under the key order-1";
        assert_eq!(in_words(&sent(false)), new);
        assert!(in_words(&sent(true)).ends_with("nothing was sent again"));
        assert!(as_json(&sent(true)).unwrap().contains(r#""replayed":true"#));
    }

    #[test]
    fn a_payload_that_is_no_json_is_a_usage_error_that_says_where() {
        let failure = payload(Some("{\"a\": }")).unwrap_err();
        assert!(matches!(failure, Failure::Usage(_)));
        assert!(failure.to_string().starts_with("the payload is not JSON: "));
        assert!(payload(Some("@/no/such/file")).is_err());
        assert_eq!(
            payload(Some(" {\"a\": 1.0} ")).unwrap().get(),
            "{\"a\": 1.0}"
        );
    }

    #[test]
    fn a_header_needs_a_colon() {
        let good = headers(&["X-Shop: 7".into(), "X-Url: http://x".into()]).unwrap();
        assert_eq!(good["X-Shop"], "7");
        assert_eq!(good["X-Url"], "http://x");
        assert!(headers(&["X-Shop 7".into()]).is_err());
    }
}
