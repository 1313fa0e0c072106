//! The first start: a project, and a key to it.

use hooklatch_core::config::{ApiKey, ProjectInput, SecretHash};
use hooklatch_core::ids::{ApiKeyId, ProjectId};
use hooklatch_core::secret::Secret;
use hooklatch_core::token::{ApiKeyError, api_key_hash, check_api_key, generate_api_key};

use crate::directory::{Change, Deciding, Directory, Document, fill};
use crate::problem::Problem;

/// The number of the first project: the same on whichever node makes it, so that of several nodes
/// that start at once on an empty store one makes it and the others find it. No other id has it,
/// since all others begin with the time.
const FIRST_PROJECT: ProjectId = ProjectId::from_number(1);

/// The name of the first project.
pub const DEFAULT_PROJECT: &str = "default";

/// Why there is no way in.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The key that the settings name cannot be one.
    #[error("HOOKLATCH_API_KEY cannot be used: {0}")]
    ApiKey(#[from] ApiKeyError),
    /// It was not stored.
    #[error("failed to store the first project and its key: {0}")]
    Refused(String),
}

/// Sees to it that there is a project, and that the given key opens it; where neither there is a
/// key nor one is given, one is made and returned, to be shown this once.
pub async fn bootstrap(
    directory: &Directory,
    given: Option<&Secret>,
) -> Result<Option<Secret>, BootstrapError> {
    if let Some(key) = given {
        check_api_key(key.expose())?;
    }
    let refused = |problem: Problem| BootstrapError::Refused(problem.detail().to_owned());
    let project = default_project(directory).await.map_err(refused)?;
    first_key(directory, project, given).await.map_err(refused)
}

async fn default_project(directory: &Directory) -> Result<ProjectId, Problem> {
    let snapshot = directory.snapshot();
    if let Some(first) = snapshot.projects().next() {
        return Ok(first.id);
    }
    let made = directory.change(FIRST_PROJECT, |mut deciding| {
        if let Some(first) = deciding.snapshot.projects().next() {
            return Ok(Change {
                documents: Vec::new(),
                answer: first.id,
            });
        }
        let input = ProjectInput {
            name: Some(DEFAULT_PROJECT.to_owned()),
        };
        let (project, _) = input.build(&mut deciding.making)?;
        Ok(Change {
            answer: project.id,
            documents: vec![Document::Project(project)],
        })
    });
    made.await
}

async fn first_key(
    directory: &Directory,
    project: ProjectId,
    given: Option<&Secret>,
) -> Result<Option<Secret>, Problem> {
    let made = directory.change(project, |deciding| match given {
        Some(text) => Ok(given_key(project, text, &deciding)),
        None => Ok(made_key(project, &deciding)),
    });
    made.await
}

/// A key from the settings opens the project; another first key, from settings that have changed,
/// gives way to it, so that changing the setting rotates the key.
fn given_key(project: ProjectId, text: &Secret, deciding: &Deciding<'_>) -> Change<Option<Secret>> {
    let hash = api_key_hash(text.expose());
    if deciding.snapshot.api_key(&hash).is_some() {
        return Change {
            documents: Vec::new(),
            answer: None,
        };
    }
    let now = deciding.making.now;
    let new_id = ApiKeyId::from_number(deciding.numbers[0]);
    let new = ApiKey::first(new_id, project, text, now);
    let known = deciding
        .snapshot
        .api_keys(project)
        .find(|key| key.name == new.name);
    let key = match known {
        Some(known) => ApiKey {
            hash: SecretHash(hash),
            ..ApiKey::clone(known)
        },
        None => new,
    };
    Change {
        documents: vec![Document::ApiKey(key)],
        answer: None,
    }
}

fn made_key(project: ProjectId, deciding: &Deciding<'_>) -> Change<Option<Secret>> {
    if deciding.snapshot.api_keys(project).next().is_some() {
        return Change {
            documents: Vec::new(),
            answer: None,
        };
    }
    let mut random = [0; 32];
    fill(&mut random);
    let text = generate_api_key(random);
    let id = ApiKeyId::from_number(deciding.numbers[0]);
    let key = ApiKey::first(id, project, &text, deciding.making.now);
    Change {
        documents: vec![Document::ApiKey(key)],
        answer: Some(text),
    }
}
