//! `hooklatch apply`: brings sources, endpoints and connections to what a file declares.
//!
//! First it is worked out what would change, by the gateway's own rules and without changing
//! anything; only `--yes` carries it out. Resources go by their names, so that a file can be applied
//! as often as one likes. Nothing is deleted unless `--prune` asks for it.

pub(crate) mod file;
mod plan;

use std::path::PathBuf;

use clap::Args;
use hooklatch_client::Client;
use serde_json::{Value, json};

use crate::connect::ConnectArgs;
use crate::failure::Failure;
use file::{Declared, Kind};
use plan::{Action, Known, Step, plan};

const EXAMPLE: &str = "\
Example:
  hooklatch apply hooks.toml              shows what would change
  hooklatch apply hooks.toml --yes        changes it
  hooklatch apply hooks.toml --check      exit code 1 if anything would change

The file is TOML, or JSON if its name ends with .json. Connections name their source and endpoint;
a secret is \"env:NAME\" or \"file:PATH\". examples/apply/hooks.toml shows all of it.";

/// Options of `hooklatch apply`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct ApplyArgs {
    /// The file that declares them
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Carry it out
    #[arg(long, conflicts_with = "check")]
    pub yes: bool,

    /// Change nothing; exit code 1 if anything would change
    #[arg(long)]
    pub check: bool,

    /// Delete what the file does not declare
    #[arg(long)]
    pub prune: bool,

    /// Print the plan as JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// Plans, and carries out if asked.
pub(crate) async fn run(arguments: Box<ApplyArgs>) -> Result<(), Failure> {
    let variable = |name: &str| std::env::var(name).ok();
    let declared = Declared::read(&arguments.file, &variable)?;
    let client = arguments.connect.client()?;
    let known = Known::load(&client).await?;
    let steps = plan(&client, &declared, &known, arguments.prune).await?;
    let changes = steps.iter().filter(|step| step.action.changes()).count();
    let mut secrets = Vec::new();
    if arguments.yes {
        carry_out(&client, &declared, known, &steps, &mut secrets).await?;
    }
    if arguments.json {
        println!("{}", as_json(&steps, &secrets, arguments.yes));
    } else {
        print!("{}", in_words(&steps, &secrets, arguments.yes));
    }
    if arguments.check && changes > 0 {
        return Err(Failure::Failed(format!("{changes} would change")));
    }
    Ok(())
}

/// Carries out every step that changes something.
async fn carry_out(
    client: &Client,
    declared: &Declared,
    mut known: Known,
    steps: &[Step],
    secrets: &mut Vec<(String, String)>,
) -> Result<(), Failure> {
    let mut done = Vec::new();
    for step in steps {
        if !step.action.changes() {
            continue;
        }
        match one(client, declared, &mut known, step).await {
            Ok(secret) => secrets.extend(secret.map(|text| (step.name.clone(), text))),
            Err(failure) => {
                let so_far = if done.is_empty() {
                    "nothing was changed before".to_owned()
                } else {
                    format!("done before: {}", done.join(", "))
                };
                let what = format!("{} {:?}", step.kind.singular(), step.name);
                return Err(Failure::Failed(format!("{what}: {failure}; {so_far}")));
            }
        }
        done.push(format!("{} {:?}", step.kind.singular(), step.name));
    }
    Ok(())
}

/// Carries out one step; answers the secret of an endpoint that was made, which is shown this once.
async fn one(
    client: &Client,
    declared: &Declared,
    known: &mut Known,
    step: &Step,
) -> Result<Option<String>, Failure> {
    let path = format!("/v1/{}", step.kind.plural());
    if let Action::Delete { id } = &step.action {
        client.delete(&format!("{path}/{id}")).await?;
        return Ok(None);
    }
    let document = declared.document(step.kind, &step.name);
    let body = known.resolved(step.kind, document)?;
    let body =
        body.ok_or_else(|| Failure::Failed("its source or endpoint was not made".to_owned()))?;
    let made = client.put(&path, &body).await?;
    let secret = made["secret"].as_str().map(str::to_owned);
    known.add(step.kind, made);
    Ok(secret.filter(|_| step.action == Action::Create && !step.has_secrets))
}

fn as_json(steps: &[Step], secrets: &[(String, String)], applied: bool) -> Value {
    let secrets = secrets.iter();
    let secrets: Vec<Value> = secrets
        .map(|(name, secret)| json!({"endpoint": name, "secret": secret}))
        .collect();
    let steps: Vec<Value> = steps.iter().map(Step::to_json).collect();
    json!({"applied": applied, "plan": steps, "secrets": secrets})
}

fn in_words(steps: &[Step], secrets: &[(String, String)], applied: bool) -> String {
    let mut text = String::new();
    for step in steps {
        text.push_str(&step.in_words());
    }
    for (name, secret) in secrets {
        text.push_str(&format!(
            "the secret of endpoint {name:?}, shown this once: {secret}\n"
        ));
    }
    let many = |action: fn(&Action) -> bool| steps.iter().filter(|it| action(&it.action)).count();
    let counts = format!(
        "{} to make, {} to change, {} to delete, {} as declared",
        many(|it| *it == Action::Create),
        many(|it| matches!(it, Action::Change { .. })),
        many(|it| matches!(it, Action::Delete { .. })),
        many(|it| *it == Action::Keep),
    );
    let end = if applied {
        "done".to_owned()
    } else if steps.iter().any(|step| step.action.changes()) {
        "nothing was changed; --yes carries it out".to_owned()
    } else {
        "there is nothing to do".to_owned()
    };
    text.push_str(&format!("{counts}: {end}\n"));
    text
}

impl Kind {
    /// In the order in which they are made; they are deleted the other way round.
    pub(crate) const ALL: [Self; 3] = [Self::Source, Self::Endpoint, Self::Connection];

    /// As in a path.
    pub(crate) const fn plural(self) -> &'static str {
        match self {
            Self::Source => "sources",
            Self::Endpoint => "endpoints",
            Self::Connection => "connections",
        }
    }

    /// As one says it.
    pub(crate) const fn singular(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Endpoint => "endpoint",
            Self::Connection => "connection",
        }
    }
}
