//! OAuth 2.0 client credentials: how a token is asked for, and what the answer says (RFC 6749,
//! sections 2.3.1, 4.4 and 5). Nothing here sends anything.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::config::ClientAuth;
use crate::secret::Secret;
use crate::time::Millis;

/// How long a token counts as good that does not say how long it is.
const LIFETIME_DEFAULT: Millis = Millis::from_seconds(300);
/// So long before its end a token is not used any more, or a tenth of its life if that is less.
const MARGIN_MAX: Millis = Millis::from_seconds(30);
/// No token is kept for longer.
const LIFETIME_MAX: Millis = Millis::from_seconds(86_400);
/// Characters kept of the error that a token server names.
const ERROR_CHARS_MAX: usize = 64;
/// Bytes of a token, at most: it has to fit into a header.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// Who asks for tokens, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `AuthInput::OAuth2`")]
pub struct ClientCredentials {
    pub token_url: String,
    pub client_id: String,
    pub client_secret: Secret,
    pub scope: Option<String>,
    pub audience: Option<String>,
    pub client_auth: ClientAuth,
}

/// The request for a token: a form, to be sent as a POST.
#[derive(Debug, Clone)]
pub struct TokenRequest {
    /// The value of the header `Authorization`, where the client proves itself there.
    pub authorization: Option<Secret>,
    /// The form, as `application/x-www-form-urlencoded`.
    pub form: Secret,
}

/// A token as it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The value of the header `Authorization`.
    pub authorization: Secret,
    /// For how long it is used.
    pub good_for: Millis,
}

/// Why an answer brings no token. The text holds nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The server refused.
    #[error("the token server answered {status}{}", named(.error.as_deref()))]
    Refused {
        /// The status code.
        status: u16,
        /// The error's name, as the server has it.
        error: Option<String>,
    },
    /// The answer cannot be understood.
    #[error("the token server's answer holds no usable token: {0}")]
    Unusable(&'static str),
}

fn named(error: Option<&str>) -> String {
    error.map_or_else(String::new, |error| format!(" ({error})"))
}

#[derive(Deserialize)]
struct Granted {
    access_token: Option<Secret>,
    token_type: Option<String>,
    expires_in: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Named {
    error: Option<String>,
}

impl ClientCredentials {
    /// The request for a token.
    pub fn request(&self) -> TokenRequest {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        let optional = [("scope", &self.scope), ("audience", &self.audience)];
        for (name, value) in optional {
            if let Some(value) = value {
                form.append_pair(name, value);
            }
        }
        let authorization = match self.client_auth {
            ClientAuth::Basic => Some(self.basic()),
            ClientAuth::Body => {
                form.append_pair("client_id", &self.client_id);
                form.append_pair("client_secret", self.client_secret.expose());
                None
            }
        };
        TokenRequest {
            authorization,
            form: Secret::new(form.finish()),
        }
    }

    /// Both are encoded as in a form first (RFC 6749, 2.3.1).
    fn basic(&self) -> Secret {
        let encoded =
            |text: &str| -> String { form_urlencoded::byte_serialize(text.as_bytes()).collect() };
        let both = Secret::new(format!(
            "{}:{}",
            encoded(&self.client_id),
            encoded(self.client_secret.expose())
        ));
        Secret::new(format!("Basic {}", STANDARD.encode(both.expose())))
    }
}

/// The token that an answer brings.
///
/// # Errors
/// Where it brings none.
pub fn read_token(status: u16, body: &[u8]) -> Result<Token, TokenError> {
    if status != 200 {
        let named = serde_json::from_slice::<Named>(body).ok();
        let error = named
            .and_then(|named| named.error)
            .map(|error| shown(&error));
        return Err(TokenError::Refused { status, error });
    }
    let granted: Granted =
        serde_json::from_slice(body).map_err(|_| TokenError::Unusable("it is no JSON object"))?;
    if let Some(kind) = &granted.token_type
        && !kind.eq_ignore_ascii_case("bearer")
    {
        return Err(TokenError::Unusable("its type is not \"Bearer\""));
    }
    let token = granted
        .access_token
        .ok_or(TokenError::Unusable("it has no \"access_token\""))?;
    let text = token.expose();
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.is_empty() || text.len() > TOKEN_BYTES_MAX || !visible {
        return Err(TokenError::Unusable("its token does not fit into a header"));
    }
    Ok(Token {
        authorization: Secret::new(format!("Bearer {text}")),
        good_for: good_for(granted.expires_in.as_ref()),
    })
}

/// Until shortly before its end, so that it does not end on the way. Some servers write the number
/// as a text.
fn good_for(expires_in: Option<&serde_json::Value>) -> Millis {
    let seconds = expires_in.and_then(|value| match value {
        serde_json::Value::Number(number) => number.as_f64(),
        serde_json::Value::String(text) => text.parse().ok(),
        _ => None,
    });
    let life = seconds.map_or(LIFETIME_DEFAULT, |seconds| {
        Millis::from_seconds(seconds.clamp(0.0, 1e9) as i64)
    });
    let life = life.min(LIFETIME_MAX);
    let margin = MARGIN_MAX.min(Millis::new(life.get() / 10));
    Millis::new(life.get() - margin.get())
}

/// A stranger's text in ours: short, and visible.
fn shown(error: &str) -> String {
    let visible = error.chars().filter(char::is_ascii_graphic);
    visible.take(ERROR_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(client_auth: ClientAuth) -> ClientCredentials {
        ClientCredentials {
            token_url: "https://id.example/token".to_owned(),
            client_id: "a client".to_owned(),
            client_secret: Secret::from("p:w"),
            scope: Some("hooks write".to_owned()),
            audience: None,
            client_auth,
        }
    }

    #[test]
    fn who_asks_is_said_in_a_header_or_in_the_form() {
        let basic = credentials(ClientAuth::Basic).request();
        let header = basic.authorization.expect("a header");
        let expected = format!("Basic {}", STANDARD.encode("a+client:p%3Aw"));
        assert_eq!(header.expose(), expected);
        let form = "grant_type=client_credentials&scope=hooks+write";
        assert_eq!(basic.form.expose(), form);

        let body = credentials(ClientAuth::Body).request();
        assert_eq!(body.authorization, None);
        let form = format!("{form}&client_id=a+client&client_secret=p%3Aw");
        assert_eq!(body.form.expose(), form);
    }

    #[test]
    fn a_token_is_used_until_shortly_before_its_end() {
        for (expires_in, seconds) in [
            ("3600", 3_570),
            ("\"3600\"", 3_570),
            ("100", 90),
            ("0", 0),
            ("-5", 0),
            ("1e300", 86_370),
            ("null", 270),
            ("[]", 270),
        ] {
            let body = format!(
                r#"{{"access_token": "t", "token_type": "bearer", "expires_in": {expires_in}}}"#
            );
            let token = read_token(200, body.as_bytes()).unwrap();
            assert_eq!(token.authorization.expose(), "Bearer t");
            assert_eq!(
                token.good_for,
                Millis::from_seconds(seconds),
                "{expires_in}"
            );
        }
    }

    #[test]
    fn an_answer_without_a_token_says_why_and_shows_nothing_secret() {
        let refused = read_token(401, br#"{"error": "invalid_client", "x": "s3cret"}"#);
        let text = refused.unwrap_err().to_string();
        assert_eq!(text, "the token server answered 401 (invalid_client)");
        for (status, body) in [
            (500, "<html>"),
            (200, "<html>"),
            (200, "{}"),
            (200, r#"{"access_token": "s3 cret"}"#),
            (200, r#"{"access_token": "s3cret", "token_type": "mac"}"#),
            (200, r#"{"access_token": ""}"#),
        ] {
            let error = read_token(status, body.as_bytes()).unwrap_err().to_string();
            assert!(!error.contains("s3"), "{error}");
        }
        assert!(!format!("{:?}", credentials(ClientAuth::Body)).contains("p:w"));
    }
}
