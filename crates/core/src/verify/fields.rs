//! Signatures that lie in the body and cover some of its fields: Adyen's and Mailgun's. What they
//! leave out, whoever gets hold of one signed request can change (K8).

use super::mac::{Encoding, MacKey, Signature};
use super::{Header, Refusal, SignedRequest};
use crate::json::{Element, Value, parse};
use crate::key::Body;

/// Where Adyen's items are, and the signature in each.
const ADYEN_SIGNATURE: &str = "additionalData.hmacSignature";
/// What Adyen signs of an item, in order, with colons between.
const ADYEN_SIGNED: [&str; 8] = [
    "pspReference",
    "originalReference",
    "merchantAccountCode",
    "merchantReference",
    "amount.value",
    "amount.currency",
    "eventCode",
    "success",
];
/// Items of one request; Adyen sends one.
const ADYEN_ITEMS_MAX: usize = 100;

/// The live keys, which Adyen gives in hex.
pub(super) struct Adyen {
    pub(super) keys: Vec<MacKey>,
}

impl Adyen {
    /// Every item has a signature of its own, and a request is let in whole or not at all.
    pub(super) fn verify(&self, request: &SignedRequest<'_>) -> Result<(), Refusal> {
        let unreadable = || missing("notificationItems", "a list of one to a hundred items");
        let document = parse(request.body).map_err(|_| unreadable())?;
        let items = document.root().get("notificationItems");
        let Some(Value::Array(items)) = items.map(Element::value) else {
            return Err(unreadable());
        };
        let items: Vec<_> = items.take(ADYEN_ITEMS_MAX + 1).collect();
        if items.is_empty() || items.len() > ADYEN_ITEMS_MAX {
            return Err(unreadable());
        }
        items.into_iter().try_for_each(|item| {
            let item = item
                .get("NotificationRequestItem")
                .ok_or_else(|| missing("NotificationRequestItem", "an object"))?;
            self.verify_item(item)
        })
    }

    fn verify_item(&self, item: Element<'_>) -> Result<(), Refusal> {
        let signature = text_at(item, ADYEN_SIGNATURE)
            .and_then(|text| Signature::decode(&text, Encoding::Base64))
            .ok_or_else(|| missing(ADYEN_SIGNATURE, "the signature in base64"))?;
        let mut signed = String::new();
        for (index, path) in ADYEN_SIGNED.into_iter().enumerate() {
            if index > 0 {
                signed.push(':');
            }
            let value = text_at(item, path).ok_or_else(|| missing(path, "a text or a number"))?;
            signed.push_str(&value);
        }
        verdict(&self.keys, &[signed.as_bytes()], signature)
    }

    /// What is signed, as an element of the batch has it.
    pub(super) fn covered() -> Vec<String> {
        let location = |path: &str| format!("body:$.NotificationRequestItem.{path}");
        ADYEN_SIGNED.into_iter().map(location).collect()
    }
}

/// The live signing keys of Mailgun.
pub(super) struct Mailgun {
    pub(super) keys: Vec<MacKey>,
}

impl Mailgun {
    /// Time and token, in an object of the JSON body or in fields of a form.
    pub(super) fn verify(&self, request: &SignedRequest<'_>) -> Result<(), Refusal> {
        let content_type = match request.headers.header("content-type") {
            Header::Once(value) => std::str::from_utf8(value).ok(),
            Header::Absent | Header::Repeated => None,
        };
        let body = Body::understand(content_type, request.body);
        let field = |name: &str| match &body {
            Body::Json(document) => text_at(document.root().get("signature")?, name),
            Body::Form(fields) | Body::Multipart(fields) => {
                Some(std::str::from_utf8(fields.first(name)?).ok()?.to_owned())
            }
            Body::Opaque => None,
        };
        let required = |name: &'static str| {
            let text = field(name).filter(|text| !text.is_empty());
            text.ok_or_else(|| missing(name, "a text in the body's \"signature\""))
        };
        let (time, token) = (required("timestamp")?, required("token")?);
        let signature = Signature::decode(&required("signature")?, Encoding::Hex)
            .ok_or_else(|| missing("signature", "the signature in hex"))?;
        verdict(&self.keys, &[time.as_bytes(), token.as_bytes()], signature)
    }

    pub(super) fn covered() -> Vec<String> {
        let location = |name: &str| format!("body:$.signature.{name}");
        ["timestamp", "token"].map(location).to_vec()
    }
}

fn verdict(keys: &[MacKey], parts: &[&[u8]], signature: Signature) -> Result<(), Refusal> {
    if keys.iter().any(|key| key.signed(parts, &[signature])) {
        Ok(())
    } else {
        Err(Refusal::Mismatch)
    }
}

/// The scalar at a path of names as a text; what is absent or null is empty.
fn text_at(element: Element<'_>, path: &str) -> Option<String> {
    let mut element = Some(element);
    for name in path.split('.') {
        element = element.and_then(|inner| inner.get(name));
    }
    match element.map(Element::value) {
        None | Some(Value::Null) => Some(String::new()),
        Some(Value::String(text)) => Some(text.into_owned()),
        Some(Value::Number(text)) => Some(text.to_owned()),
        Some(Value::Bool(truth)) => Some(truth.to_string()),
        Some(Value::Array(_) | Value::Object(_)) => None,
    }
}

fn missing(name: &str, expected: &'static str) -> Refusal {
    Refusal::MalformedBody {
        name: name.to_owned(),
        expected,
    }
}
