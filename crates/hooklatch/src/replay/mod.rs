//! `hooklatch replay`: a plan is shown, confirmed, started, and watched to its end.

pub(crate) mod arguments;

use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use hooklatch_client::{Client, PageRequest, Replay, ReplayFilter, ReplayPlan, ReplayStatus};
use hooklatch_store::{Clock, SystemClock};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::failure::Failure;
use crate::{lookup, terminal, when};
use arguments::{ListArgs, OneArgs, PlanArgs, ReplayAction, ReplayArgs};

/// How often a replay is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Replays that are listed.
const LISTED: u32 = 20;

/// Makes a replay and sees it through, or does what is asked of one.
pub(crate) async fn run(arguments: Box<ReplayArgs>) -> Result<(), Failure> {
    match arguments.command {
        None => make(arguments.plan).await,
        Some(ReplayAction::List(which)) => list(which).await,
        Some(ReplayAction::Start(which)) => {
            let client = which.connect.client()?;
            client.start_replay(&which.id).await?;
            see_through(&client, &which).await
        }
        Some(ReplayAction::Watch(which)) => see_through(&which.connect.client()?, &which).await,
        Some(ReplayAction::Resume(which)) => {
            let client = which.connect.client()?;
            client.resume_replay(&which.id).await?;
            see_through(&client, &which).await
        }
        Some(ReplayAction::Pause(which)) => {
            let paused = which.connect.client()?.pause_replay(&which.id).await?;
            show(&paused, which.json)
        }
        Some(ReplayAction::Cancel(which)) => {
            let cancelled = which.connect.client()?.cancel_replay(&which.id).await?;
            show(&cancelled, which.json)
        }
    }
}

async fn make(arguments: PlanArgs) -> Result<(), Failure> {
    let client = arguments.connect.client()?;
    let plan = plan(&client, &arguments).await?;
    let made = client.create_replay(&plan).await?;
    let planned = planned(&client, made).await?;
    if !arguments.json {
        println!("{}", table(&planned));
    }
    if planned.status == ReplayStatus::Ready {
        if planned.total > 0 && !arguments.yes && !confirmed(&planned)? {
            client.cancel_replay(&planned.id).await?;
            println!("nothing was sent");
            return Ok(());
        }
        client.start_replay(&planned.id).await?;
    }
    ended(watch(&client, &planned.id).await?, arguments.json)
}

async fn plan(client: &Client, arguments: &PlanArgs) -> Result<ReplayPlan, Failure> {
    let now = SystemClock.now();
    let time = |text: Option<&str>| text.map(|text| when::time(text, now)).transpose();
    let mut filter = ReplayFilter {
        ids: arguments.ids.clone(),
        key: arguments.key.clone(),
        status: arguments.status.clone(),
        event_type: arguments.event_type.clone(),
        after: time(arguments.after.as_deref())?,
        before: time(arguments.before.as_deref())?,
        ..ReplayFilter::default()
    };
    if let Some(name) = &arguments.source {
        filter.source_id = Some(lookup::source(client, name).await?);
    }
    if let Some(name) = &arguments.connection {
        filter.connection_id = Some(lookup::connection(client, name).await?);
    }
    if let Some(name) = &arguments.endpoint {
        filter.endpoint_id = Some(lookup::endpoint(client, name).await?);
    }
    let to_endpoint = match &arguments.to_endpoint {
        Some(name) => Some(lookup::endpoint(client, name).await?),
        None => None,
    };
    Ok(ReplayPlan {
        filter,
        include_delivered: arguments.include_delivered,
        as_new: arguments.as_new,
        confirm: arguments.confirm,
        to_endpoint,
        rate_per_second: arguments.rate,
        reason: arguments.reason.clone(),
    })
}

/// Waits for the plan.
async fn planned(client: &Client, mut replay: Replay) -> Result<Replay, Failure> {
    let style = ProgressStyle::with_template("{spinner} {msg}").expect("the template is good");
    let spinner = ProgressBar::new_spinner().with_style(style);
    while replay.status == ReplayStatus::Planning {
        spinner.set_message(format!("planning: {} found", replay.total));
        spinner.tick();
        tokio::time::sleep(LOOK).await;
        replay = client.replay(&replay.id).await?;
    }
    spinner.finish_and_clear();
    Ok(replay)
}

fn table(replay: &Replay) -> Table {
    let counts = &replay.counts;
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([replay.id.as_str(), "deliveries", ""]);
    for (what, many, means) in [
        ("never attempted", counts.never_attempted, ""),
        (
            "uncertain",
            counts.uncertain,
            "may have reached the receiver",
        ),
        ("failed", counts.failed, ""),
        ("delivered", counts.delivered, "left out unless asked for"),
        ("under way", counts.under_way, "come by themselves"),
        ("cancelled", counts.cancelled, "left out unless asked for"),
        ("to be sent", replay.total, ""),
    ] {
        table.add_row([what.to_owned(), many.to_string(), means.to_owned()]);
    }
    table
}

/// Asks at the terminal; where there is none, nobody can say yes.
fn confirmed(replay: &Replay) -> Result<bool, Failure> {
    let id = &replay.id;
    let elsewhere = format!("Add --yes, or run \"hooklatch replay start {id}\"");
    let question = format!("Send {} deliveries?", replay.total);
    terminal::confirmed(&question, "nothing was sent", &elsewhere)
}

async fn see_through(client: &Client, which: &OneArgs) -> Result<(), Failure> {
    ended(watch(client, &which.id).await?, which.json)
}

/// Shows a bar until the replay stands still.
async fn watch(client: &Client, id: &str) -> Result<Replay, Failure> {
    let style =
        ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len} {per_sec} {eta} {msg}");
    let mut replay = client.replay(id).await?;
    let bar = ProgressBar::new(replay.total).with_style(style.expect("the template is good"));
    while matches!(
        replay.status,
        ReplayStatus::Planning | ReplayStatus::Running
    ) {
        tokio::time::sleep(LOOK).await;
        replay = client.replay(id).await?;
        bar.set_length(replay.total);
        bar.set_position(replay.through());
        if replay.failed > 0 {
            bar.set_message(format!("{} failed", replay.failed));
        }
    }
    bar.finish_and_clear();
    Ok(replay)
}

/// What came of it; a script learns from the exit code whether all of it arrived.
fn ended(replay: Replay, json: bool) -> Result<(), Failure> {
    show(&replay, json)?;
    if replay.failed + replay.gone > 0 {
        let failed = replay.failed + replay.gone;
        return Err(Failure::Failed(format!("{failed} did not arrive")));
    }
    Ok(())
}

fn show(replay: &Replay, json: bool) -> Result<(), Failure> {
    if json {
        println!("{}", as_json(replay)?);
    } else {
        println!("{} is {}: {}", replay.id, replay.status, replay.message);
    }
    Ok(())
}

async fn list(which: ListArgs) -> Result<(), Failure> {
    let client = which.connect.client()?;
    let page = PageRequest {
        limit: Some(LISTED),
        cursor: None,
    };
    let page = client.replays(&page).await?;
    if which.json {
        println!("{}", as_json(&page.data)?);
        return Ok(());
    }
    for replay in &page.data {
        show(replay, false)?;
    }
    Ok(())
}

fn as_json(record: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(record)
        .map_err(|error| Failure::failed("the answer cannot be shown", error))
}
