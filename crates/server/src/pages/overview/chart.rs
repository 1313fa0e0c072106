//! Small charts, drawn here: stacked bars over time, and a bar for a share.

use maud::{Markup, html};

use crate::pages::ui;

const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 96.0;
/// Bars of a chart; more steps are put together.
const BARS_MAX: usize = 96;

/// One colour of a stacked chart, with its name.
pub(super) struct Series {
    pub label: &'static str,
    pub class: &'static str,
    pub values: Vec<u64>,
}

/// Stacked bars, the oldest at the left, with what each colour means and how many there were.
pub(super) fn bars(series: &[Series], from: Option<&str>, to: Option<&str>) -> Markup {
    let steps = series.iter().map(|one| one.values.len()).max().unwrap_or(0);
    let together = steps.div_ceil(BARS_MAX).max(1);
    let stacks = steps.div_ceil(together).max(1);
    let value = |one: &Series, stack: usize| -> u64 {
        one.values
            .iter()
            .skip(stack * together)
            .take(together)
            .sum()
    };
    let stack_total = |stack: usize| -> u64 { series.iter().map(|one| value(one, stack)).sum() };
    let most = (0..stacks).map(stack_total).max().unwrap_or(0);
    let totals: Vec<u64> = series.iter().map(|one| one.values.iter().sum()).collect();
    let said = series
        .iter()
        .zip(&totals)
        .map(|(one, total)| format!("{} {}", ui::number(*total), one.label));
    let said: Vec<String> = said.collect();
    html! {
        figure.chart {
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(said.join(", ")) {
                @for stack in 0..stacks {
                    (drawn(series, &|one| value(one, stack), (stack, stacks), most))
                }
            }
            figcaption {
                div.axis {
                    @if let Some(from) = from { (ui::time(from)) }
                    span { "at most " (ui::number(most)) " a bar" }
                    @if let Some(to) = to { (ui::time(to)) }
                }
                ul.legend { @for (one, said) in series.iter().zip(&said) { li class=(one.class) { (said) } } }
            }
        }
    }
}

/// One stack, from the ground up.
fn drawn(
    series: &[Series],
    value: &dyn Fn(&Series) -> u64,
    (stack, stacks): (usize, usize),
    most: u64,
) -> Markup {
    let width = WIDTH / stacks as f64;
    let mut top = HEIGHT;
    let mut parts = Vec::new();
    for one in series {
        let height = value(one) as f64 * HEIGHT / most.max(1) as f64;
        top -= height;
        if height > 0.0 {
            parts.push((one.class, top, height));
        }
    }
    let x = format!("{:.1}", stack as f64 * width);
    let width = format!("{:.1}", (width - 1.0).max(0.5));
    html! {
        @for (class, top, height) in parts {
            rect class=(class) x=(x) y=(format!("{top:.1}")) width=(width) height=(format!("{height:.1}")) {}
        }
    }
}

/// A bar as long as a share of the most.
pub(super) fn share(count: u64, most: u64) -> Markup {
    let width = 120.0 * count as f64 / most.max(1) as f64;
    html! {
        svg.share viewBox="0 0 120 8" width="120" height="8" aria-hidden="true" {
            rect x="0" y="0" width=(format!("{width:.1}")) height="8" {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_steps_there_are_a_chart_stays_small() {
        let series = Series {
            label: "accepted",
            class: "ok",
            values: vec![1; 1_500],
        };
        let drawn = bars(&[series], None, None).into_string();
        assert!(drawn.matches("<rect").count() <= BARS_MAX, "{drawn}");
        assert!(drawn.contains("1,500 accepted"), "{drawn}");
    }

    #[test]
    fn nothing_is_drawn_as_nothing() {
        let drawn = bars(&[], None, None).into_string();
        assert!(!drawn.contains("<rect"), "{drawn}");
    }
}
