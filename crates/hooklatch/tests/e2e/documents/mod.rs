//! What the pages say of the program is true: every command line and every option that they show is
//! in its help, every route is in its OpenAPI document, and the script of the first steps runs.

mod commands;
mod lines;
mod routes;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;
use tokio::time::timeout;

use crate::support::gateway::{BINARY, configure};
use crate::support::{Backend, DEADLINE, Data, Gateway};

/// The repository.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// Pages outside of the book, and directories of pages.
const PLACES: [&str; 5] = [
    "README.md",
    "CONTRIBUTING.md",
    "docs",
    "examples/README.md",
    "kits",
];

/// A page, by its path below the repository.
struct Page {
    path: String,
    text: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_line_that_a_page_shows_is_understood() {
    let help = commands::Help::of(BINARY).await;
    let pages = pages();
    let shown = pages.iter().flat_map(|page| {
        let commands = lines::command_lines(&page.text).into_iter();
        commands.map(|command| (page.path.as_str(), command))
    });
    let shown: Vec<_> = shown.collect();
    assert!(shown.len() > 15, "the pages show commands: {shown:?}");
    let wrong = shown.iter().filter_map(|(path, command)| {
        let mistake = help.mistake(command)?;
        Some(format!("{path}: {}: {mistake}", command.join(" ")))
    });
    let wrong: Vec<_> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_that_a_page_names_is_there() {
    let data = Data::new(Backend::Sqlite).await;
    let gateway = Gateway::start(&data).await;
    let document = gateway.api().read("/openapi.json").await;
    let known = routes::known(&document);
    let pages = pages();
    let named = pages.iter().flat_map(|page| {
        let routes = routes::named(&page.text).into_iter();
        routes.map(|route| (page.path.as_str(), route))
    });
    let named: Vec<_> = named.collect();
    assert!(named.len() > 40, "the pages name routes: {named:?}");
    let wrong = named
        .iter()
        .filter(|(_, route)| !routes::is_one_of(route, &known));
    let wrong: Vec<_> = wrong
        .map(|(path, route)| format!("{path}: {route:?}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_script_of_the_first_steps_runs() {
    let mut command = Command::new(Path::new(ROOT).join("examples/first-steps.sh"));
    configure(&mut command);
    command.env_remove("HOOKLATCH_API_KEY").arg(BINARY);
    let run = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = timeout(DEADLINE, run).await.expect("it ends");
    let output = output.expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}");
    let last = said.trim_end().lines().next_back();
    assert_eq!(last, Some("all steps passed"), "{said}\n{complained}");
}

fn pages() -> Vec<Page> {
    let mut pages = Vec::new();
    for place in PLACES {
        collect(&Path::new(ROOT).join(place), &mut pages);
    }
    pages
}

fn collect(place: &Path, pages: &mut Vec<Page>) {
    if place.is_dir() {
        let entries = fs::read_dir(place).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        // What was installed has pages of its own.
        paths.retain(|path| !path.ends_with("node_modules") && !path.ends_with(".venv"));
        paths.iter().for_each(|path| collect(path, pages));
    } else if place.extension().is_some_and(|extension| extension == "md") {
        let path = place.strip_prefix(ROOT).unwrap().display().to_string();
        let text = fs::read_to_string(place).unwrap();
        pages.push(Page { path, text });
    }
}
