//! `hooklatch prove`: does to a receiver what deliveries do to it sooner or later, and counts by a
//! probe that the user names whether its effect happened once. An answer proves nothing: a receiver
//! that acknowledges a duplicate of what it lost answers as a right one does.
//!
//! What is done is data (`plan`), and what it shows is a function of what was counted (`verdict`).

mod answer;
pub(crate) mod args;
mod capture;
mod command;
mod message;
mod plan;
mod probe;
mod report;
mod run;
mod sign;
mod verdict;
mod wire;

use std::sync::Arc;

use indicatif::ProgressBar;

use crate::failure::Failure;
use args::ProveArgs;
use plan::Choices;
use probe::Probe;
use run::Stage;
use sign::Signer;

/// Plays every scenario, and reports.
pub(crate) async fn run(arguments: Box<ProveArgs>) -> Result<(), Failure> {
    let stage = stage(&arguments).await?;
    let scenarios = plan::scenarios(choices(&arguments));
    let bar = ProgressBar::new(scenarios.len() as u64);
    let (mut played, mut usual) = (Vec::new(), None);
    for scenario in &scenarios {
        bar.set_message(scenario.name.clone());
        played.push(stage.play(scenario, &mut usual).await?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    if arguments.json {
        let url = report::shown_url(&arguments.url);
        println!("{}", report::json(url, &played));
    } else {
        println!("{}", report::table(&played));
    }
    match report::passed(&played) {
        true => Ok(()),
        false => Err(Failure::Failed(
            "the receiver's effect did not happen exactly once".to_owned(),
        )),
    }
}

async fn stage(arguments: &ProveArgs) -> Result<Stage, Failure> {
    let preset = capture::preset(&arguments.message)?;
    let signer = Signer::new(preset, arguments.message.secret.clone());
    let signer =
        signer.map_err(|error| Failure::Usage(Failure::failed("prove", error).to_string()))?;
    Ok(Stage {
        url: arguments.url.clone(),
        timeout: arguments.plan.timeout_seconds,
        patience: arguments.plan.patience_seconds,
        settle: arguments.plan.settle_seconds,
        template: capture::template(arguments, preset).await?,
        signer: Arc::new(signer),
        probe: Probe::open(&arguments.probe).await?,
        kill: arguments.plan.kill_command.clone(),
        restart: arguments.plan.restart_command.clone(),
    })
}

fn choices(arguments: &ProveArgs) -> Choices {
    let plan = &arguments.plan;
    let dies = plan.kill_command.is_some() || plan.restart_command.is_some();
    Choices {
        at_once: plan.at_once.into(),
        late: plan.late_seconds,
        kills: if dies { plan.kills } else { 0 },
    }
}
