//! How an endpoint lets us in: what a client writes, what is kept sealed, what is sent.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Endpoint, EndpointHeader, FieldError, Making};
use crate::address::check_url;
use crate::limits::{AUTH_TEXT_BYTES_MAX, CERTIFICATE_BYTES_MAX};
use crate::oauth2::ClientCredentials;
use crate::seal::{Opener, SealError, SealingKey};
use crate::secret::{MASK, Secret};

/// How an endpoint lets us in, as a client writes it. The value `***`, which `GET` shows for a
/// secret, keeps what is there.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum AuthInput {
    /// `Authorization: Basic …` (RFC 7617).
    Basic {
        /// The user's name, without a colon.
        username: String,
        /// The password.
        password: Secret,
    },
    /// `Authorization: Bearer …` (RFC 6750) with a token that does not change.
    Bearer {
        /// The token.
        token: Secret,
    },
    /// A token that is fetched: OAuth 2.0 client credentials (RFC 6749, 4.4).
    OAuth2(OAuth2Input),
    /// A certificate of ours in the TLS handshake.
    Mtls {
        /// The certificate and those that lead to its authority, in PEM.
        certificate: String,
        /// Its private key, in PEM.
        key: Secret,
    },
}

/// Who fetches tokens, and where.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuth2Input {
    /// Where tokens are fetched.
    pub token_url: String,
    /// Who fetches them.
    pub client_id: String,
    /// By what that is proved.
    pub client_secret: Secret,
    /// What the token shall be good for.
    pub scope: Option<String>,
    /// For whom it shall be good.
    pub audience: Option<String>,
    /// How the server wants to be told who we are.
    #[serde(default)]
    pub client_auth: ClientAuth,
}

/// How a token server is told who we are (RFC 6749, 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// In a header, which every server understands.
    #[default]
    Basic,
    /// In the form.
    Body,
}

/// How an endpoint lets us in, every secret sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
#[expect(missing_docs, reason = "the fields are those of `AuthInput`")]
pub enum EndpointAuth {
    /// A name and a password.
    Basic { username: String, password: String },
    /// A token that does not change.
    Bearer { token: String },
    /// A token that is fetched.
    OAuth2 {
        token_url: String,
        client_id: String,
        client_secret: String,
        #[serde(default)]
        scope: Option<String>,
        #[serde(default)]
        audience: Option<String>,
        #[serde(default)]
        client_auth: ClientAuth,
    },
    /// A certificate.
    Mtls { certificate: String, key: String },
}

/// How an endpoint lets us in, ready for use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenAuth {
    /// The value of the header `Authorization`.
    Authorization(Secret),
    /// How a token for it is fetched.
    OAuth2(ClientCredentials),
    /// A certificate.
    Mtls {
        /// In PEM.
        certificate: String,
        /// In PEM.
        key: Secret,
    },
}

impl Endpoint {
    /// How the endpoint lets us in, opened.
    ///
    /// # Errors
    /// Where a secret was sealed with another key.
    pub fn open_auth(&self, sealing_key: &SealingKey) -> Result<Option<OpenAuth>, SealError> {
        let owner = self.id.to_string();
        let opener = Opener::new(sealing_key, &owner);
        let auth = self.auth.as_ref().map(|auth| auth.open(&opener));
        auth.transpose()
    }
}

impl EndpointAuth {
    fn open(&self, opener: &Opener<'_>) -> Result<OpenAuth, SealError> {
        Ok(match self {
            Self::Basic { username, password } => {
                let password = opener.open(password)?;
                let both = Secret::new(format!("{username}:{}", password.expose()));
                let value = format!("Basic {}", STANDARD.encode(both.expose()));
                OpenAuth::Authorization(Secret::new(value))
            }
            Self::Bearer { token } => {
                let token = opener.open(token)?;
                OpenAuth::Authorization(Secret::new(format!("Bearer {}", token.expose())))
            }
            Self::OAuth2 {
                token_url,
                client_id,
                client_secret,
                scope,
                audience,
                client_auth,
            } => OpenAuth::OAuth2(ClientCredentials {
                token_url: token_url.clone(),
                client_id: client_id.clone(),
                client_secret: opener.open(client_secret)?,
                scope: scope.clone(),
                audience: audience.clone(),
                client_auth: *client_auth,
            }),
            Self::Mtls { certificate, key } => OpenAuth::Mtls {
                certificate: certificate.clone(),
                key: opener.open(key)?,
            },
        })
    }

    /// Whether it says something in the header `Authorization`.
    pub const fn sets_authorization(&self) -> bool {
        match self {
            Self::Basic { .. } | Self::Bearer { .. } | Self::OAuth2 { .. } => true,
            Self::Mtls { .. } => false,
        }
    }

    /// What `GET` shows.
    pub(super) fn public(&self) -> Value {
        match self {
            Self::Basic { username, .. } => {
                json!({"type": "basic", "username": username, "password": MASK})
            }
            Self::Bearer { .. } => json!({"type": "bearer", "token": MASK}),
            Self::OAuth2 {
                token_url,
                client_id,
                scope,
                audience,
                client_auth,
                ..
            } => json!({
                "type": "oauth2",
                "token_url": token_url,
                "client_id": client_id,
                "client_secret": MASK,
                "scope": scope,
                "audience": audience,
                "client_auth": client_auth,
            }),
            Self::Mtls { certificate, .. } => {
                json!({"type": "mtls", "certificate": certificate, "key": MASK})
            }
        }
    }
}

/// A field of an input that is being sealed, and what was sealed under its name before.
struct Sealing<'a, 'm> {
    owner: &'a str,
    making: &'a mut Making<'m>,
    errors: &'a mut Vec<FieldError>,
}

/// Checks what a client wrote and seals it for `owner`. What `GET` masked keeps its value when it is
/// sent back.
pub(super) fn sealed(
    written: AuthInput,
    owner: &str,
    existing: Option<&EndpointAuth>,
    making: &mut Making<'_>,
    errors: &mut Vec<FieldError>,
) -> EndpointAuth {
    let mut sealing = Sealing {
        owner,
        making,
        errors,
    };
    match written {
        AuthInput::Basic { username, password } => {
            sealing.text("username", &username);
            if username.contains(':') {
                sealing.wrong("username", "should have no colon");
            }
            let before = if let Some(EndpointAuth::Basic { password, .. }) = existing {
                Some(password)
            } else {
                None
            };
            let password = sealing.secret("password", &password, before);
            EndpointAuth::Basic { username, password }
        }
        AuthInput::Bearer { token } => {
            let before = if let Some(EndpointAuth::Bearer { token }) = existing {
                Some(token)
            } else {
                None
            };
            sealing.visible("token", token.expose());
            let token = sealing.secret("token", &token, before);
            EndpointAuth::Bearer { token }
        }
        AuthInput::OAuth2(written) => sealing.oauth2(written, existing),
        AuthInput::Mtls { certificate, key } => {
            let before = if let Some(EndpointAuth::Mtls { key, .. }) = existing {
                Some(key)
            } else {
                None
            };
            if certificate.len() > CERTIFICATE_BYTES_MAX {
                sealing.wrong("certificate", &too_long(CERTIFICATE_BYTES_MAX));
            }
            let key = sealing.secret("key", &key, before);
            EndpointAuth::Mtls { certificate, key }
        }
    }
}

impl Sealing<'_, '_> {
    fn oauth2(&mut self, written: OAuth2Input, existing: Option<&EndpointAuth>) -> EndpointAuth {
        let before = if let Some(EndpointAuth::OAuth2 { client_secret, .. }) = existing {
            Some(client_secret)
        } else {
            None
        };
        if let Err(refusal) = check_url(&written.token_url, self.making.reach) {
            self.wrong("token_url", &refusal.to_string());
        }
        self.text("client_id", &written.client_id);
        for (name, text) in [("scope", &written.scope), ("audience", &written.audience)] {
            if let Some(text) = text {
                self.text(name, text);
            }
        }
        let client_secret = self.secret("client_secret", &written.client_secret, before);
        EndpointAuth::OAuth2 {
            token_url: written.token_url,
            client_id: written.client_id,
            client_secret,
            scope: written.scope,
            audience: written.audience,
            client_auth: written.client_auth,
        }
    }

    fn wrong(&mut self, field: &str, detail: &str) {
        self.errors
            .push(FieldError::new(format!("/auth/{field}"), detail));
    }

    fn text(&mut self, field: &str, text: &str) {
        if text.is_empty() || text.chars().any(char::is_control) {
            self.wrong(field, "should be a text without control characters");
        } else if text.len() > AUTH_TEXT_BYTES_MAX {
            self.wrong(field, &too_long(AUTH_TEXT_BYTES_MAX));
        }
    }

    fn visible(&mut self, field: &str, text: &str) {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            self.wrong(field, "should be visible ASCII characters");
        }
    }

    fn secret(&mut self, field: &str, written: &Secret, before: Option<&String>) -> String {
        let text = written.expose();
        if text == MASK {
            let Some(before) = before else {
                let detail =
                    format!("{MASK} keeps a value, but there is none yet; write the value");
                self.wrong(field, &detail);
                return String::new();
            };
            return before.clone();
        }
        if text.is_empty() {
            self.wrong(field, "is empty");
        } else if text.len() > CERTIFICATE_BYTES_MAX {
            self.wrong(field, &too_long(CERTIFICATE_BYTES_MAX));
        }
        self.making.seal(self.owner, written)
    }
}

/// Checks that what lets us in fits the rest of the endpoint.
pub(super) fn fits(
    auth: &EndpointAuth,
    url: &str,
    headers: &[EndpointHeader],
    errors: &mut Vec<FieldError>,
) {
    let is_set = |header: &EndpointHeader| header.name.eq_ignore_ascii_case("authorization");
    if auth.sets_authorization() && headers.iter().any(is_set) {
        let detail = "sets the header Authorization, which is among the headers too; remove one";
        errors.push(FieldError::new("/auth", detail));
    }
    if !auth.sets_authorization() && !url.starts_with("https:") {
        let detail = "shows a certificate, which needs a URL of https";
        errors.push(FieldError::new("/auth", detail));
    }
}

fn too_long(bytes_max: usize) -> String {
    format!("should have at most {bytes_max} bytes")
}
