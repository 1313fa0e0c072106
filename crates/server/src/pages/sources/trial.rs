//! A key rule, tried on what is stored before it is saved: which keys it would read, what it would
//! have suppressed, and what speaks against it.

use axum::extract::Path;
use http::Method;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::{change_form, form, found};
use crate::pages::fields::Filled;
use crate::pages::form::Submitted;
use crate::pages::frame::{Page, Place};
use crate::pages::ui;
use crate::pages::wire::Refusal;

/// Stored requests that are looked at: enough to see what a rule does, few enough to see it while
/// somebody types.
const LOOKED_AT_MAX: u32 = 20_000;
/// Samples that are shown of each kind.
const SAMPLES_SHOWN: usize = 5;

/// What the API says of a rule.
#[derive(Debug, Deserialize)]
struct Report {
    looked_at: u64,
    payload_gone: u64,
    without_key: u64,
    would_be_new: u64,
    would_be_suppressed: u64,
    payload_differs: u64,
    newly_suppressed: u64,
    no_longer_suppressed: u64,
    truncated: bool,
    suppressed_samples: Vec<Sample>,
    without_key_samples: Vec<Unkeyed>,
    warnings: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Sample {
    request_id: String,
    received_at: String,
    original_request_id: String,
    key: String,
    payload_differs: bool,
    accepted_then: bool,
}

#[derive(Debug, Deserialize)]
struct Unkeyed {
    request_id: String,
    received_at: String,
}

/// The form again, with what its rule would have done. Nothing is saved.
pub(in crate::pages) async fn attempt(
    Path(id): Path<String>,
    Submitted { viewer, form }: Submitted,
) -> Result<Page, Page> {
    let source = found(&viewer, &id).await?;
    let mut asked = form::tried(&form, &source);
    asked["limit"] = json!(LOOKED_AT_MAX);
    let path = format!("/v1/sources/{}/backtest", source.id);
    let report: Result<Report, Refusal> = viewer.tell(Method::POST, &path, &asked).await;
    let refusal = report.as_ref().err();
    let trial = match &report {
        Ok(report) => shown(report),
        Err(refusal) => html! { div.notice.warn { p { (refusal.detail) } } },
    };
    let filled = Filled {
        form: &form,
        refusal: None,
    };
    let body = html! {
        p.path { a href={ "/sources/" (source.id) } data-up { (source.name) } }
        (change_form(&viewer, &source, &filled, &trial))
    };
    let page = viewer.page(Place::Sources, &source.name, html! {}, body);
    Ok(
        match refusal.and_then(|refusal| refusal.status.try_into().ok()) {
            Some(status) => page.with_status(status),
            None => page,
        },
    )
}

fn shown(report: &Report) -> Markup {
    html! {
        div.trial {
            h3 { "Of the last " (report.looked_at) " stored requests" }
            @for warning in &report.warnings { div.notice.warn { p { (warning) } } }
            (ui::facts(&[
                ("Would be new", html! { (report.would_be_new) }),
                ("Would be suppressed", html! { strong { (report.would_be_suppressed) } }),
                ("… with another payload", html! { (report.payload_differs) }),
                ("… that were accepted then", html! { (report.newly_suppressed) }),
                ("No longer suppressed", html! { (report.no_longer_suppressed) }),
                ("Without a key", html! { (report.without_key) }),
            ]))
            @if report.payload_gone > 0 { p.muted { (report.payload_gone) " more have no payload any more." } }
            @if report.truncated { p.muted { "There are more: only these were looked at." } }
            (suppressed(report))
            @if !report.without_key_samples.is_empty() {
                h3 { "Without a key" }
                ul {
                    @for sample in report.without_key_samples.iter().take(SAMPLES_SHOWN) {
                        li { a href={ "/requests/" (sample.request_id) } { (ui::time(&sample.received_at)) } }
                    }
                }
            }
        }
    }
}

fn suppressed(report: &Report) -> Markup {
    html! {
        @if !report.suppressed_samples.is_empty() {
            h3 { "What would be suppressed" }
            table.rows.short {
                thead { tr { th { "Received" } th { "Key" } th { "Notes" } th { "Original" } } }
                tbody {
                    @for sample in report.suppressed_samples.iter().take(SAMPLES_SHOWN) {
                        tr {
                            td { a.row href={ "/requests/" (sample.request_id) } { (ui::time(&sample.received_at)) } }
                            td.key { code { (sample.key) } }
                            td {
                                @if sample.payload_differs { span.flag { "payload differs" } " " }
                                @if sample.accepted_then { span.flag { "accepted then" } }
                            }
                            td { a href={ "/requests/" (sample.original_request_id) } { "original" } }
                        }
                    }
                }
            }
        }
    }
}
