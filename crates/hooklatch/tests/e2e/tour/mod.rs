//! Runs the README's tour as it is printed, so that the README cannot lie.
//!
//! The tour is every block that is marked `sh tour`, and every `console` block below a heading that
//! says "tour". A line that starts with `$ ` is a command, up to where no backslash ends it; what
//! follows is what it prints. All commands share their variables. Those that start a gateway are
//! left out, for one is running: it takes the place of `localhost:8420`, with the key that the
//! README gives it, and a receiver takes the place of `localhost:3000`.

mod compare;
mod script;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::gateway::{API_KEY, BINARY, serve};
use crate::support::{DEADLINE, Gateway, Receiver, eventually};

use compare::difference;
use script::{Step, api_key, steps};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");

/// The variables that the commands so far have set.
type Variables = BTreeMap<String, String>;

#[tokio::test]
async fn the_tour_of_the_readme_prints_what_it_says() {
    let readme = fs::read_to_string(README).unwrap();
    let directory = TempDir::new().unwrap();
    let receiver = Receiver::obliging().await;
    let key = api_key(&readme).unwrap_or(API_KEY);
    let mut command = serve(&directory.path().join("data"));
    command.arg("--dev").env("HOOKLATCH_API_KEY", key);
    let gateway = Gateway::start_with(command).await;

    let steps = steps(&readme);
    assert!(!steps.is_empty(), "the README has no tour");
    let mut variables = Variables::from([("HOOKLATCH_API_KEY".to_owned(), key.to_owned())]);
    for step in steps {
        let step = step.directed_to(gateway.address, &receiver.url(""));
        variables = take(&step, variables, directory.path()).await;
    }
}

/// Runs one step, a look as often as it needs to: what it looks at may still be under way.
async fn take(step: &Step, variables: Variables, directory: &Path) -> Variables {
    if !step.is_look() {
        let (printed, after) = run(step, &variables, directory).await;
        if let Some(difference) = difference(&step.expected, &printed) {
            panic!("$ {}\n{difference}; it printed:\n{printed}", step.command);
        }
        return after;
    }
    let what = format!("$ {} prints {}", step.command, step.expected);
    eventually(&what, || async {
        let (printed, after) = run(step, &variables, directory).await;
        difference(&step.expected, &printed)
            .is_none()
            .then_some(after)
    })
    .await
}

/// What it printed, and the variables after it.
async fn run(step: &Step, variables: &Variables, directory: &Path) -> (String, Variables) {
    let file = directory.join("variables");
    // With -a whatever a command sets is exported, and so can be handed on to the next.
    let script = format!(
        "{}\ncode=$?; env -0 >'{}'; exit $code",
        step.command,
        file.display()
    );
    let mut path = Path::new(BINARY)
        .parent()
        .expect("it lies somewhere")
        .to_owned()
        .into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let run = Command::new("sh")
        .args(["-ac", &script])
        .env_clear()
        .envs(variables)
        .env("PATH", path)
        .current_dir(directory)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(DEADLINE, run)
        .await
        .expect("it ends")
        .expect("sh runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "$ {}\n{error}", step.command);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let after = fs::read_to_string(&file).expect("the script wrote it");
    let pairs = after.split('\0').filter_map(|pair| pair.split_once('='));
    (
        printed,
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    )
}
