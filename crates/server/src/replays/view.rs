//! A replay as people see it.

use hooklatch_core::ids::{ApiKeyId, EndpointId, ProjectId, ReplayId};
use hooklatch_core::replay::{Action, Counts, Filter, Replay, ReplayStatus};
use hooklatch_core::time::Timestamp;
use serde::Serialize;

/// The record of a replay.
#[derive(Debug, Serialize)]
pub(super) struct ReplayRecord<'a> {
    id: ReplayId,
    project_id: ProjectId,
    status: ReplayStatus,
    action: Action,
    filter: &'a Filter,
    include_delivered: bool,
    as_new: bool,
    to_endpoint: Option<EndpointId>,
    rate_per_second: u32,
    counts: Counts,
    total: u64,
    done: u64,
    failed: u64,
    skipped: u64,
    gone: u64,
    waiting: u64,
    under_way: usize,
    message: String,
    reason: Option<&'a str>,
    created_by: Option<ApiKeyId>,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
}

impl<'a> ReplayRecord<'a> {
    pub(super) fn of(replay: &'a Replay) -> Self {
        let (head, progress) = (&replay.head, &replay.progress);
        Self {
            id: head.id,
            project_id: head.project_id,
            status: progress.status,
            action: head.plan.action,
            filter: &head.plan.filter,
            include_delivered: head.plan.include_delivered,
            as_new: head.plan.as_new,
            to_endpoint: head.plan.to_endpoint,
            rate_per_second: head.plan.rate_per_second,
            counts: progress.counts,
            total: progress.total,
            done: progress.done,
            failed: progress.failed,
            skipped: progress.skipped,
            gone: progress.gone,
            waiting: progress.waiting,
            under_way: progress.window.len(),
            message: in_words(replay),
            reason: head.reason.as_deref(),
            created_by: head.created_by,
            created_at: head.created_at,
            started_at: progress.started_at,
            ended_at: progress.ended_at,
        }
    }
}

/// What a person has to know, in a sentence.
fn in_words(replay: &Replay) -> String {
    let progress = &replay.progress;
    let does = match replay.head.plan.action {
        Action::Send => "sent",
        Action::Cancel => "called off",
    };
    let total = progress.total;
    match progress.status {
        ReplayStatus::Planning => "its deliveries are being looked for".to_owned(),
        ReplayStatus::Ready if total > 0 => format!("{total} will be {does} once it is started"),
        ReplayStatus::Ready => nothing(replay),
        ReplayStatus::Running => format!("{} of {total} are {does}", progress.done),
        ReplayStatus::Paused => "it waits to be resumed".to_owned(),
        ReplayStatus::Done if total == 0 => nothing(replay),
        ReplayStatus::Done => ended(replay, does),
        ReplayStatus::Cancelled => {
            "it was called off; what was handed over before is still sent".to_owned()
        }
    }
}

fn nothing(replay: &Replay) -> String {
    let counts = &replay.progress.counts;
    if counts.delivered > 0 && counts.delivered == counts.sum() {
        return format!(
            "nothing is to be done: all {} that fit the filter were delivered; \
             include_delivered sends them again",
            counts.delivered
        );
    }
    match counts.sum() {
        0 => "nothing is to be done: no delivery fits the filter".to_owned(),
        many => format!("nothing is to be done: all {many} that fit the filter are left alone"),
    }
}

fn ended(replay: &Replay, does: &str) -> String {
    let progress = &replay.progress;
    let mut text = format!("{} of {} were {does}", progress.done, progress.total);
    for (many, what) in [
        (progress.failed, "failed, and go on with their own retries"),
        (progress.waiting, "still wait for their endpoint"),
        (progress.skipped, "had moved by themselves"),
        (
            progress.gone,
            "could not be sent: their history was dropped",
        ),
    ] {
        if many > 0 {
            text.push_str(&format!("; {many} {what}"));
        }
    }
    text
}
