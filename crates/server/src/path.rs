//! Reads the id in a path.

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;

use crate::app::App;
use crate::problem::{Kind, Problem};

/// The id at the end of a path, as text: what is no id at all is simply not found.
#[derive(Debug, Clone)]
pub struct Id(pub String);

impl FromRequestParts<App> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        match Path::<String>::from_request_parts(parts, app).await {
            Ok(Path(text)) => Ok(Self(text)),
            Err(_) => Err(Problem::new(
                Kind::NotFound,
                "the id in the path is no text",
            )),
        }
    }
}
