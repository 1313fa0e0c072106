//! Connections as a picture: sources at the left, what is done on the way in the middle, endpoints
//! at the right.

use maud::{Markup, html};

use super::rates::Rates;
use super::{Connection, kind};
use crate::pages::names::Names;

/// Connections that a picture has room for.
const DRAWN_MAX: usize = 40;
/// Distances, in units of the picture.
const WIDTH: f64 = 960.0;
const ROW: f64 = 56.0;
const BOX_WIDTH: f64 = 264.0;
const BOX_HEIGHT: f64 = 40.0;
/// Characters that fit into a box.
const NAME_CHARS_MAX: usize = 30;
/// Of the smaller text under a name.
const UNDER_CHARS_MAX: usize = 44;

/// A box at one of the sides.
struct Node {
    id: String,
    name: String,
    href: Option<String>,
    y: f64,
    /// What goes on there now.
    now: String,
}

/// The picture of the newest connections, those of a source together, with what passes now.
pub(super) fn drawn(connections: &[Connection], names: &Names<'_>, rates: &Rates) -> Markup {
    let mut shown: Vec<&Connection> = connections.iter().take(DRAWN_MAX).collect();
    shown.sort_by_key(|connection| (from_id(connection), connection.endpoint_id.clone()));
    let middle = |index: usize| index as f64 * ROW + ROW / 2.0;
    let sources = nodes(&shown, |connection| {
        let href = connection
            .source_id
            .as_ref()
            .map(|id| format!("/sources/{id}"));
        let now = rates.arriving(connection.source_id.as_deref());
        (from_id(connection), from_name(connection, names), href, now)
    });
    let endpoints = nodes(&shown, |connection| {
        let id = connection.endpoint_id.clone();
        let name = names.endpoint(&id).unwrap_or_else(|| "deleted".to_owned());
        let href = format!("/endpoints/{id}");
        let now = rates.leaving(&id);
        (id, name, Some(href), now)
    });
    let height = (shown.len().max(sources.len()).max(endpoints.len())) as f64 * ROW;
    let y_of = |nodes: &[Node], id: &str| {
        nodes
            .iter()
            .find(|node| node.id == id)
            .map_or(0.0, |node| node.y)
    };
    let left = (WIDTH - BOX_WIDTH) / 2.0;
    html! {
        svg.picture viewBox={ "-1 0 " (WIDTH + 2.0) " " (height) } role="group"
            aria-label="Sources at the left, their rules in the middle, endpoints at the right; the table below says the same" {
            @for (index, connection) in shown.iter().enumerate() {
                @let (y, from, to) = (middle(index), y_of(&sources, &from_id(connection)), y_of(&endpoints, &connection.endpoint_id));
                @let arrives = rates.arrives(connection.source_id.as_deref());
                @let leaves = arrives && !connection.paused && rates.leaves(&connection.endpoint_id);
                (line(BOX_WIDTH, from, left, y, arrives))
                (line(left + BOX_WIDTH, y, WIDTH - BOX_WIDTH, to, leaves))
            }
            @for node in &sources { (boxed("source", 0.0, node.y, &node.name, &node.now, node.href.as_deref())) }
            @for (index, connection) in shown.iter().enumerate() {
                @let kinds: Vec<String> = connection.rules.iter().map(|rule| kind(rule)).collect();
                @let rules = if kinds.is_empty() { "no rules".to_owned() } else { kinds.join(" → ") };
                @let under = if connection.paused { format!("paused · {rules}") } else { rules };
                (boxed("rule", left, middle(index), &connection.name, &under, Some(&format!("/connections/{}", connection.id))))
            }
            @for node in &endpoints { (boxed("endpoint", WIDTH - BOX_WIDTH, node.y, &node.name, &node.now, node.href.as_deref())) }
        }
    }
}

fn from_id(connection: &Connection) -> String {
    match &connection.source_id {
        Some(id) => id.clone(),
        None => connection.event_types.clone().unwrap_or_default().join(","),
    }
}

fn from_name(connection: &Connection, names: &Names<'_>) -> String {
    match &connection.source_id {
        Some(id) => names.source(id).unwrap_or_else(|| "deleted".to_owned()),
        None => format!(
            "send API: {}",
            connection
                .event_types
                .clone()
                .unwrap_or_default()
                .join(", ")
        ),
    }
}

/// One box for each of the things that connections lead from or to, as near to its connections as
/// the one before it lets it be.
fn nodes(
    connections: &[&Connection],
    describe: impl Fn(&Connection) -> (String, String, Option<String>, String),
) -> Vec<Node> {
    let mut found: Vec<(Node, Vec<f64>)> = Vec::new();
    for (index, connection) in connections.iter().enumerate() {
        let y = index as f64 * ROW + ROW / 2.0;
        let (id, name, href, now) = describe(connection);
        match found.iter_mut().find(|(node, _)| node.id == id) {
            Some((_, places)) => places.push(y),
            None => {
                let node = Node {
                    id,
                    name,
                    href,
                    y,
                    now,
                };
                found.push((node, vec![y]));
            }
        }
    }
    for (node, places) in &mut found {
        node.y = places.iter().sum::<f64>() / places.len() as f64;
    }
    let mut nodes: Vec<Node> = found.into_iter().map(|(node, _)| node).collect();
    nodes.sort_by(|one, other| one.y.total_cmp(&other.y));
    let mut least = ROW / 2.0;
    for node in &mut nodes {
        node.y = node.y.max(least);
        least = node.y + ROW;
    }
    // Pushed out below, they move up again as far as there is room.
    let mut most = connections.len().max(nodes.len()) as f64 * ROW - ROW / 2.0;
    for node in nodes.iter_mut().rev() {
        node.y = node.y.min(most);
        most = node.y - ROW;
    }
    nodes
}

/// A way; one on which something moves looks like it.
fn line(x1: f64, y1: f64, x2: f64, y2: f64, moves: bool) -> Markup {
    let bend = (x1 + x2) / 2.0;
    html! { path.edge.moves[moves] d={ "M" (x1) " " (y1) " C" (bend) " " (y1) " " (bend) " " (y2) " " (x2) " " (y2) } {} }
}

fn boxed(class: &str, x: f64, y: f64, name: &str, under: &str, href: Option<&str>) -> Markup {
    let top = y - BOX_HEIGHT / 2.0;
    let base = if under.is_empty() { y + 4.5 } else { y - 3.0 };
    let drawn = html! {
        g class={ "box " (class) } {
            rect x=(x) y=(top) width=(BOX_WIDTH) height=(BOX_HEIGHT) rx="4" {}
            text x=(x + 12.0) y=(base) { (short(name, NAME_CHARS_MAX)) }
            @if !under.is_empty() { text.under x=(x + 12.0) y=(y + 13.0) { (short(under, UNDER_CHARS_MAX)) } }
        }
    };
    html! {
        @match href {
            Some(href) => a href=(href) { (drawn) },
            None => (drawn),
        }
    }
}

fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let short: String = text.chars().take(most - 1).collect();
    format!("{short}…")
}
