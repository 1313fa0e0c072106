//! The overview: how it goes, what is in trouble, and what has fallen silent.

mod chart;
mod figures;

use axum::extract::RawQuery;
use maud::{Markup, html};

use super::api::with_query;
use super::filters::query_of;
use super::frame::{Page, Place};
use super::session::Viewer;
use super::ui;
use chart::Series;
pub(super) use figures::Stats;
use figures::{EndpointFigures, SourceFigures};

/// The spans that one can look at: seconds, and what they are called.
const SPANS: [(&str, i64, &str); 4] = [
    ("1h", 3_600, "The last hour"),
    ("24h", 86_400, "The last 24 hours"),
    ("7d", 604_800, "The last 7 days"),
    ("30d", 2_592_000, "The last 30 days"),
];
/// Outcomes of attempts that are no success.
pub(super) const FAILURES: [&str; 3] = ["failed", "uncertain", "rejected"];
/// A source is silent that was quiet for so long, and for so many times what usually lies between
/// two of its arrivals.
const SILENT_SECONDS: f64 = 900.0;
const SILENT_GAPS: f64 = 10.0;
/// Silent sources that are named.
const NAMED_MAX: usize = 5;
/// Rows of the tables below.
const ROWS_MAX: usize = 20;

pub(super) async fn show(viewer: Viewer, RawQuery(query): RawQuery) -> Result<Page, Page> {
    let query = query_of(query);
    let asked = query.text("span").unwrap_or("24h");
    let (name, seconds, _) = SPANS
        .into_iter()
        .find(|(name, ..)| *name == asked)
        .unwrap_or(SPANS[1]);
    let path = stats_path(&viewer, seconds);
    let stats: Stats = viewer
        .get(&path)
        .await
        .map_err(|refusal| viewer.refused(&refusal))?;
    let body = html! {
        div #overview data-live="swap" {
            @if stats.sources.is_empty() {
                (ui::empty("There is no source yet.", &html! {
                    p { "Make one, give its URL to a provider, and see the first event arrive." }
                    p { a.button.primary href="/start" { "Start here" } }
                }))
            }
            (silent_ones(&stats, seconds))
            (totals(&stats))
            (charts(&stats))
            div.columns {
                section { h2 { "Endpoints" } (endpoints(&stats)) }
                section { h2 { "Sources" } (sources(&stats, seconds)) }
            }
        }
    };
    Ok(viewer.page(Place::Overview, "Overview", spans(name), body))
}

fn stats_path(viewer: &Viewer, seconds: i64) -> String {
    let after = viewer.now.as_millis() - seconds * 1_000;
    let after = hooklatch_core::time::Timestamp::from_millis(after).to_string();
    with_query("/v1/stats", [("after", after.as_str())])
}

fn spans(chosen: &str) -> Markup {
    html! {
        nav.spans aria-label="Time" {
            @for (name, _, label) in SPANS {
                a href=(with_query("/", [("span", name)])) title=(label)
                    aria-current=[(name == chosen).then_some("true")] { (name) }
            }
        }
    }
}

/// The sources that have stopped, before anything else: nothing else on the page shows what does not
/// come.
fn silent_ones(stats: &Stats, span: i64) -> Markup {
    let silent: Vec<&SourceFigures> = stats
        .sources
        .iter()
        .filter(|one| is_silent(one, span))
        .collect();
    html! {
        @if !silent.is_empty() {
            div.notice.warn role="status" {
                p {
                    (ui::counted(silent.len() as u64, "source has", "sources have")) " fallen silent: "
                    @for (index, one) in silent.iter().take(NAMED_MAX).enumerate() {
                        @if index > 0 { ", " }
                        @if let Some(id) = &one.source_id {
                            a href={ "/sources/" (id) } { (one.name.as_deref().unwrap_or("deleted")) }
                        }
                        @if let Some(seconds) = one.silent_seconds { " (for " (about(seconds)) ")" }
                    }
                    @if silent.len() > NAMED_MAX { ", and " (silent.len() - NAMED_MAX) " more" }
                    "."
                }
            }
        }
    }
}

/// Whether a source has stopped, by its own habits within the span.
fn is_silent(one: &SourceFigures, span: i64) -> bool {
    let gap = span as f64 / one.requests.total.max(1) as f64;
    let long = SILENT_SECONDS.max(gap * SILENT_GAPS);
    // A deleted source has stopped for a reason.
    one.name.is_some()
        && one.requests.total > 0
        && one.silent_seconds.is_some_and(|seconds| seconds > long)
}

fn totals(stats: &Stats) -> Markup {
    let requests = &stats.requests;
    let attempts = &stats.attempts;
    let failed: u64 = FAILURES
        .iter()
        .map(|outcome| attempts.outcome(outcome))
        .sum();
    let waiting = &stats.waiting;
    let at_least = if waiting.at_least { "at least " } else { "" };
    html! {
        dl.totals {
            (total("Arrivals", &ui::number(requests.total), "/requests", &format!("{:.2} a second", requests.per_second)))
            (total("Accepted", &ui::number(requests.outcome("accepted")), "/messages", "new messages"))
            (total("Duplicates", &ui::number(requests.outcome("duplicate")), "/requests?outcome=duplicate", "recognised, not sent again"))
            (total("Conflicts", &ui::number(requests.outcome("conflict")), "/requests?outcome=conflict", "same key, other payload"))
            (total("Refused", &ui::number(requests.outcome("rejected")), "/requests?outcome=rejected", "not verified, or no key"))
            (total("Delivered", &ui::number(attempts.outcome("delivered")), "/messages?status=delivered", "attempts that succeeded"))
            (total("Failing", &ui::number(failed), "/messages?status=failed", "attempts that did not"))
            (total("Waiting", &format!("{at_least}{}", ui::number(waiting.deliveries)), "/messages?status=pending", &oldest(waiting.oldest_seconds)))
        }
    }
}

fn total(name: &str, figure: &str, href: &str, under: &str) -> Markup {
    html! {
        div { dt { a href=(href) { (name) } } dd { strong { (figure) } span { (under) } } }
    }
}

fn oldest(seconds: Option<f64>) -> String {
    match seconds {
        Some(seconds) => format!("the oldest for {}", about(seconds)),
        None => "nothing is late".to_owned(),
    }
}

/// A span of seconds, roughly.
fn about(seconds: f64) -> String {
    match seconds as i64 {
        0..120 => format!("{} s", seconds as i64),
        120..7_200 => format!("{} min", seconds as i64 / 60),
        7_200..172_800 => format!("{} h", seconds as i64 / 3_600),
        _ => format!("{} d", seconds as i64 / 86_400),
    }
}

fn charts(stats: &Stats) -> Markup {
    let arrivals = |outcome: &'static str, label: &'static str, class: &'static str| Series {
        label,
        class,
        values: stats
            .series
            .iter()
            .map(|step| step.requests.outcome(outcome))
            .collect(),
    };
    let attempts = |label: &'static str, class: &'static str, outcomes: &[&str]| Series {
        label,
        class,
        values: stats
            .series
            .iter()
            .map(|step| outcomes.iter().map(|one| step.attempts.outcome(one)).sum())
            .collect(),
    };
    let from = stats.series.first().map(|step| step.at.as_str());
    let to = stats.series.last().map(|step| step.at.as_str());
    html! {
        div.columns.even {
            section {
                h2 { "Arrivals" }
                (chart::bars(&[
                    arrivals("accepted", "accepted", "ok"),
                    arrivals("duplicate", "duplicates", "note"),
                    arrivals("conflict", "conflicts", "warn"),
                    arrivals("rejected", "refused", "bad"),
                ], from, to))
                h3 { "Duplicates by cause" }
                (by_name(&stats.requests.by_cause, &|cause| with_query("/requests", [("outcome", "duplicate"), ("cause", cause)])))
            }
            section {
                h2 { "Attempts" }
                (chart::bars(&[
                    attempts("delivered", "ok", &["delivered"]),
                    attempts("failed or uncertain", "bad", &FAILURES),
                ], from, to))
                h3 { "Attempts by what they were made for" }
                (by_name(&stats.attempts.by_trigger, &|_| String::new()))
            }
        }
    }
}

/// Figures by name, each with a bar as long as its share.
fn by_name(
    figures: &std::collections::BTreeMap<String, u64>,
    href: &dyn Fn(&str) -> String,
) -> Markup {
    let most = figures.values().copied().max().unwrap_or(0).max(1);
    html! {
        table.shares {
            tbody {
                @for (name, count) in figures {
                    @let link = href(name);
                    tr {
                        th scope="row" {
                            @if link.is_empty() { (name.replace('_', " ")) }
                            @else { a href=(link) { (name.replace('_', " ")) } }
                        }
                        td.number { (ui::number(*count)) }
                        td { (chart::share(*count, most)) }
                    }
                }
            }
        }
    }
}

fn endpoints(stats: &Stats) -> Markup {
    let mut endpoints: Vec<&EndpointFigures> = stats.endpoints.iter().collect();
    let trouble = |one: &EndpointFigures| -> u64 {
        FAILURES
            .iter()
            .map(|outcome| one.attempts.outcome(outcome))
            .sum()
    };
    endpoints.sort_by_key(|one| std::cmp::Reverse(trouble(one)));
    html! {
        @if endpoints.is_empty() { p.muted { "None yet." } }
        @else {
            table.rows.short {
                thead { tr { th { "Endpoint" } th { "State" } th.number { "Attempts" } th.number { "Failing" } th.number { "Waiting" } th.number { "Average" } } }
                tbody {
                    @for one in endpoints.iter().take(ROWS_MAX) {
                        tr id=[one.endpoint_id.as_deref()] {
                            td {
                                @match &one.endpoint_id {
                                    Some(id) => a.row href={ "/endpoints/" (id) } { (one.name.as_deref().unwrap_or("deleted")) },
                                    None => "bare URLs",
                                }
                            }
                            td { (ui::badge(state(trouble(one), one.attempts.total))) }
                            td.number data-label="attempts" { (ui::number(one.attempts.total)) }
                            td.number data-label="failing" { (ui::number(trouble(one))) }
                            td.number data-label="waiting" { @if let Some(waiting) = &one.waiting { (ui::number(waiting.deliveries)) } }
                            td.number { @if let Some(average) = one.attempts.average_ms { (format!("{average:.0} ms")) } }
                        }
                    }
                }
            }
        }
    }
}

/// How an endpoint is doing: half of its attempts decide, and one in twenty is worth a word.
const fn state(failing: u64, attempts: u64) -> &'static str {
    match failing {
        0 => "active",
        _ if failing * 2 >= attempts => "failing",
        _ if failing * 20 >= attempts => "some_failures",
        _ => "active",
    }
}

fn sources(stats: &Stats, span: i64) -> Markup {
    let mut sources: Vec<&SourceFigures> = stats.sources.iter().collect();
    sources.sort_by_key(|one| std::cmp::Reverse(one.requests.total));
    html! {
        @if sources.is_empty() { p.muted { "None yet." } }
        @else {
            table.rows.short {
                thead { tr { th { "Source" } th.number { "Arrivals" } th.number { "Duplicates" } th { "The last" } } }
                tbody {
                    @for one in sources.iter().take(ROWS_MAX) {
                        tr id=[one.source_id.as_deref()] {
                            td {
                                @match &one.source_id {
                                    Some(id) => a.row href={ "/sources/" (id) } { (one.name.as_deref().unwrap_or("deleted")) },
                                    None => "send API",
                                }
                            }
                            td.number data-label="arrivals" { (ui::number(one.requests.total)) }
                            td.number data-label="duplicates" { (ui::number(one.requests.outcome("duplicate"))) }
                            td { (silence(one, span)) }
                        }
                    }
                }
            }
        }
    }
}

fn silence(one: &SourceFigures, span: i64) -> Markup {
    html! {
        @match (one.silent_seconds, one.source_id.is_some()) {
            (Some(seconds), _) => {
                (about(seconds)) " ago"
                @if is_silent(one, span) { " " span.flag { "silent" } }
            },
            (None, true) => span.muted { "nothing yet" },
            (None, false) => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(total: u64, silent_seconds: f64) -> SourceFigures {
        let figures = serde_json::json!({
            "source_id": "src_1", "name": "payments", "silent_seconds": silent_seconds,
            "requests": {"total": total, "per_second": 0.0, "by_outcome": {}, "by_cause": {}},
        });
        serde_json::from_value(figures).expect("it is what the API answers")
    }

    #[test]
    fn a_source_is_silent_by_its_own_habits() {
        let day = 86_400;
        let often = 8_640;
        assert!(
            !is_silent(&source(often, 600.0), day),
            "ten minutes are nothing"
        );
        assert!(is_silent(&source(often, 1_000.0), day));
        let seldom = 24;
        assert!(
            !is_silent(&source(seldom, 7_200.0), day),
            "it comes once an hour"
        );
        assert!(is_silent(&source(seldom, 40_000.0), day));
        assert!(
            !is_silent(&source(0, 90_000.0), day),
            "nothing is known of its habits"
        );
    }
}
