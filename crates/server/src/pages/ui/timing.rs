//! Where an attempt spent its time.

use maud::{Markup, html};

use crate::pages::wire::Attempt;

/// Width of the whole bar.
const WIDTH: f64 = 320.0;

/// The phases as one bar, and as numbers beside it.
pub(in crate::pages) fn timing(attempt: &Attempt) -> Markup {
    let Some(total) = attempt.duration_ms else {
        return html! {};
    };
    let timing = &attempt.timing;
    let known: Vec<(&str, &str, f64)> = [
        ("dns", "DNS", timing.dns_ms),
        ("tcp", "connect", timing.tcp_ms),
        ("tls", "TLS", timing.tls_ms),
        ("wait", "first byte", timing.first_byte_ms),
    ]
    .into_iter()
    .filter_map(|(class, name, span)| span.map(|span| (class, name, span)))
    .collect();
    let sum: f64 = known.iter().map(|(.., span)| span).sum();
    let rest = (total as f64 - sum).max(0.0);
    let scale = WIDTH / (sum + rest).max(0.001);
    let mut x = 0.0;
    let mut bars = Vec::new();
    let spans = known.iter().map(|(class, _, span)| (*class, *span));
    for (class, span) in spans.chain([("rest", rest)]) {
        let width = span * scale;
        bars.push((class, x, width));
        x += width;
    }
    let said = known
        .iter()
        .map(|(_, name, span)| format!("{name} {span:.1} ms"));
    let said = said
        .chain([format!("in all {total} ms")])
        .collect::<Vec<_>>()
        .join(", ");
    html! {
        figure.timing {
            svg viewBox={ "0 0 " (WIDTH) " 8" } width=(WIDTH) height="8" preserveAspectRatio="none" aria-hidden="true" {
                @for (class, x, width) in &bars {
                    rect class=(class) x={ (format!("{x:.1}")) } y="0" width={ (format!("{width:.1}")) } height="8" {}
                }
            }
            figcaption { (said) }
        }
    }
}
