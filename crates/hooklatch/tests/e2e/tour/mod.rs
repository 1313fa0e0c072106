//! Runs the README's tour, and those of the guides, as they are printed, so that none can lie.
//!
//! A tour is every block that is marked `sh tour`, and every `console` block below a heading that
//! says "tour". A line that starts with `$ ` is a command, up to where no backslash ends it; what
//! follows is what it prints. All commands share their variables. Those that start a gateway are
//! left out, for one is running: it takes the place of `localhost:8420`, with the key that the
//! page gives it, and a receiver takes the place of `localhost:3000`.

mod compare;
mod script;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::gateway::{API_KEY, BINARY, serve};
use crate::support::{Backend, DEADLINE, Data, Gateway, Receiver, eventually_ok, on_each_store};

use compare::difference;
use script::{Step, api_key, steps};

on_each_store! {
    the_tour_of_the_readme_prints_what_it_says
    the_first_steps_print_what_they_say
    the_guide_to_sending_prints_what_it_says
    the_guide_to_moving_here_prints_what_it_says
}

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// What the commands so far have left behind in the shell.
#[derive(Clone, Default)]
struct Shell {
    variables: BTreeMap<String, String>,
    functions: String,
}

async fn the_tour_of_the_readme_prints_what_it_says(on: Backend) {
    take_tour("README.md", on).await;
}

async fn the_first_steps_print_what_they_say(on: Backend) {
    take_tour("docs/first-steps.md", on).await;
}

async fn the_guide_to_sending_prints_what_it_says(on: Backend) {
    take_tour("docs/sending.md", on).await;
}

async fn the_guide_to_moving_here_prints_what_it_says(on: Backend) {
    take_tour("docs/migrating.md", on).await;
}

/// Takes every step that a page shows, on a gateway of its own.
async fn take_tour(page: &str, on: Backend) {
    let text = fs::read_to_string(Path::new(REPOSITORY).join(page)).unwrap();
    let directory = TempDir::new().unwrap();
    let receiver = Receiver::obliging().await;
    let key = api_key(&text).unwrap_or(API_KEY);
    let data = Data::new(on).await;
    let mut command = serve(&data);
    command.arg("--dev").env("HOOKLATCH_API_KEY", key);
    let gateway = Gateway::start_with(command).await;

    let steps = steps(&text);
    assert!(!steps.is_empty(), "{page} has no tour");
    let key = ("HOOKLATCH_API_KEY".to_owned(), key.to_owned());
    let server = format!("http://{}", gateway.address);
    let server = ("HOOKLATCH_SERVER".to_owned(), server);
    let mut shell = Shell {
        variables: BTreeMap::from([key, server]),
        functions: String::new(),
    };
    for step in steps {
        let step = step.directed_to(gateway.address, &receiver.url(""));
        shell = take(&step, shell, directory.path()).await;
    }
}

/// Takes one step, a look as often as it needs to: what it looks at may still be under way.
async fn take(step: &Step, shell: Shell, directory: &Path) -> Shell {
    let attempt = || async {
        let (printed, after) = run(step, &shell, directory).await;
        match difference(&step.expected, &printed) {
            None => Ok(after),
            Some(difference) => Err(format!("{difference}; it printed:\n{printed}")),
        }
    };
    let command = format!("$ {}", step.command);
    if step.is_look() {
        return eventually_ok(&command, attempt).await;
    }
    attempt()
        .await
        .unwrap_or_else(|wrong| panic!("{command}\n{wrong}"))
}

/// What it printed, and the shell after it.
async fn run(step: &Step, shell: &Shell, directory: &Path) -> (String, Shell) {
    let file = directory.join("variables");
    let Shell { functions, .. } = shell;
    // With -a whatever a command sets is exported, and so can be handed on to the next.
    let keep = format!("code=$?; env -0 >'{}'; exit $code", file.display());
    let script = format!("{functions}\n{}\n{keep}", step.command);
    let command = Command::new("sh")
        .args(["-ac", &script])
        .env_clear()
        .envs(&shell.variables)
        .env("PATH", path())
        .current_dir(directory)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(DEADLINE, command)
        .await
        .expect("it ends")
        .expect("sh runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "$ {}\n{error}", step.command);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let after = fs::read_to_string(&file).expect("the script wrote it");
    (printed, shell.after(step, &after))
}

impl Shell {
    /// The shell after a step, with all its variables as `env -0` lists them.
    fn after(&self, step: &Step, variables: &str) -> Self {
        let pairs = variables
            .split('\0')
            .filter_map(|pair| pair.split_once('='));
        let variables = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut functions = self.functions.clone();
        if step.is_function() {
            functions.push_str(&step.command);
            functions.push('\n');
        }
        Self {
            variables: variables.collect(),
            functions,
        }
    }
}

/// Where the commands are looked for: ours first.
fn path() -> OsString {
    let directory = Path::new(BINARY).parent().expect("it lies in a directory");
    let mut path = directory.to_owned().into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path
}
