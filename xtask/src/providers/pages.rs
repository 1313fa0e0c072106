//! A page for each provider: how it is set up, what the preset knows of it, how long a key is kept
//! and why, and what one falls over. And the lines of the book's summary that name these pages.

use std::fmt::Write as _;

use hooklatch_core::provider::{KeyMode, Preset, WINDOW_MARGIN_SECONDS, presets};

use super::{codes, line, section, setup, signed, span};

/// Where the pages lie, below `docs`.
pub const DIRECTORY: &str = "providers";
/// The line of the summary that the pages' lines follow.
const OVERVIEW: &str = "(providers.md)";

/// Where a provider's page lies, below `docs`.
pub fn path(preset: &Preset) -> String {
    format!("{DIRECTORY}/{}.md", preset.id)
}

/// A provider's page.
pub fn page(preset: &Preset) -> String {
    let mut text = format!(
        "# {}\n\n<!-- Written by `cargo xtask providers`. Change crates/core/src/provider/table or \
         xtask/src/providers. -->\n",
        preset.display_name
    );
    if !preset.notes.is_empty() {
        line(&mut text, &format!("\n{}", preset.notes));
    }
    set_up(&mut text, preset);
    line(&mut text, "\n## What the preset knows\n");
    section(&mut text, preset);
    window(&mut text, preset);
    traps(&mut text, preset);
    text
}

/// The summary with a line for each provider, below the line of their overview.
pub fn summary(current: &str) -> String {
    let mut text = String::new();
    let is_kept = |entry: &&str| !entry.contains(&format!("({DIRECTORY}/"));
    for entry in current.lines().filter(is_kept) {
        line(&mut text, entry);
        if entry.contains(OVERVIEW) {
            let indent = entry.len() - entry.trim_start().len() + 2;
            for preset in presets() {
                let name = preset.display_name;
                line(
                    &mut text,
                    &format!("{:indent$}- [{name}]({})", "", path(preset)),
                );
            }
        }
    }
    text
}

fn set_up(text: &mut String, preset: &Preset) {
    let name = preset.display_name;
    let id = preset.id;
    let told = setup::of(id).map_or(".".to_owned(), |setup| {
        format!(": {} (Read in {}.)", setup.steps, setup.checked_against)
    });
    write!(
        text,
        "\n## Set up\n\n\
         1. Make a source. Its verifier takes {secret}. Where {name} shows that only once it knows \
         the URL, put another of the same form there until step 3.\n\n   \
         ```sh\n   \
         curl -X PUT $GATEWAY/v1/sources -H \"Authorization: Bearer $HOOKLATCH_API_KEY\" \\\n     \
         -d '{{\"name\": \"{id}\", \"provider\": \"{id}\", \"verifier\": {{\"{field}\": \"…\"}}}}'\n   \
         ```\n\n\
         2. Give {name} the `ingest_url` of the answer, which begins with the gateway's \
         `--public-url`{told}\n\
         3. If it showed that only then:\n\n   \
         ```sh\n   \
         curl -X PATCH $GATEWAY/v1/sources/$SOURCE -H \"Authorization: Bearer $HOOKLATCH_API_KEY\" \\\n     \
         -d '{{\"verifier\": {{\"{field}\": \"…\"}}}}'\n   \
         ```\n\n\
         4. Connect it to an endpoint, as in the [first steps](../first-steps.md).\n",
        secret = preset.secret,
        field = setup::verifier_field(id),
    )
    .expect("a text takes every line");
}

fn window(text: &mut String, preset: &Preset) {
    let name = preset.display_name;
    let kept = span(preset.default_window_seconds());
    let floor = preset.window_floor_seconds();
    let why = match (
        preset.automatic_retry_window_seconds,
        preset.manual_resend_window_seconds,
    ) {
        (None, None) => format!(
            "How long {name} tries again is not known, so a key is kept for the general {kept}. \
             Set `window_seconds` where you know better."
        ),
        _ if floor + WINDOW_MARGIN_SECONDS < preset.default_window_seconds() => format!(
            "A key is kept for the general {kept}, which is longer than the time in which an event \
             of {name} is known to come again ({}).",
            span(floor)
        ),
        _ => format!(
            "A key is kept for {kept}: as long as an event of {name} can come again ({}), and a day \
             over.",
            span(floor)
        ),
    };
    line(text, &format!("\n## For how long a key is kept\n\n{why}"));
    if floor > 0 {
        line(
            text,
            "A shorter `window_seconds` is saved with a warning that names both numbers (C4).",
        );
    }
}

fn traps(text: &mut String, preset: &Preset) {
    let traps = every_trap(preset);
    if traps.is_empty() {
        return;
    }
    line(text, "\n## What to watch out for\n");
    for trap in traps {
        line(text, &format!("- {trap}"));
    }
}

fn every_trap(preset: &Preset) -> Vec<String> {
    let name = preset.display_name;
    let mut traps = key_traps(preset);
    if let Some(split) = preset.split {
        traps.push(format!(
            "One request carries many events. Each element of `{split}` is a message with a key of \
             its own; a batch that comes again with one new element delivers just that one (K10)."
        ));
    }
    if !preset.fingerprint_exclude.is_empty() {
        traps.push(format!(
            "When payloads are compared, what may differ between tries of one event plays no part \
             (K11): {}.",
            codes(preset.fingerprint_exclude, ", ")
        ));
    }
    if preset.automatic_retry_window_seconds == Some(0) {
        traps.push(format!(
            "{name} never tries again by itself: what the gateway has to refuse, while the source is \
             paused or the disk is full, comes only if a person sends it again."
        ));
    }
    if let Some(seconds) = preset.timeout_seconds {
        traps.push(format!(
            "{name} waits {seconds} s for an answer. The gateway answers as soon as the event is on \
             its disk; how long your endpoint takes does not matter to {name}."
        ));
    }
    traps
}

fn key_traps(preset: &Preset) -> Vec<String> {
    let name = preset.display_name;
    if preset.key_locations.is_empty() {
        return vec![format!(
            "An event of {name} has no id, so its body is the key: two that say the same within the \
             window are one."
        )];
    }
    let mut traps = Vec::new();
    if signed(preset) != "signed" {
        let locations = preset.key_locations.iter();
        let locations: Vec<_> = locations.map(|one| format!("\"{one}\"")).collect();
        let mode = match preset.key_mode {
            KeyMode::All => "",
            KeyMode::First => "\"mode\": \"first\", ",
        };
        traps.push(format!(
            "The key is {}. Where the signature does not cover it, whoever gets hold of one signed \
             request can send it again under another key (K8). `\"key\": {{\"locations\": [{}], \
             {mode}\"bind_body\": true}}` makes the body a part of the key.",
            signed(preset),
            locations.join(", "),
        ));
    }
    traps
}

#[cfg(test)]
mod tests {
    use hooklatch_core::provider::preset;

    use super::*;

    fn page_of(id: &str) -> String {
        page(preset(id).unwrap())
    }

    #[test]
    fn a_page_says_how_a_provider_is_set_up_and_what_to_watch_out_for() {
        let stripe = page_of("stripe");
        assert!(stripe.contains("\"provider\": \"stripe\""), "{stripe}");
        assert!(stripe.contains("Workbench"), "{stripe}");
        assert!(stripe.contains("A key is kept for 34 d"), "{stripe}");
        assert!(!stripe.contains("K8"), "{stripe}");
        let github = page_of("github");
        assert!(github.contains("The key is not signed"), "{github}");
        assert!(github.contains("never tries again"), "{github}");
        let sendgrid = page_of("sendgrid");
        assert!(sendgrid.contains("One request carries many events"));
        assert!(sendgrid.contains("is not known, so a key is kept"));
        assert!(page_of("meta").contains("its body is the key"));
    }

    #[test]
    fn the_summary_names_every_provider_once() {
        let current =
            "- [First](a.md)\n- [Providers](providers.md)\n  - [Gone](providers/gone.md)\n";
        let summary = summary(current);
        assert!(!summary.contains("gone.md"), "{summary}");
        for preset in presets() {
            let entry = format!("\n  - [{}]({})\n", preset.display_name, path(preset));
            assert_eq!(summary.matches(&entry).count(), 1, "{entry}{summary}");
        }
        assert_eq!(super::summary(&summary), summary);
    }
}
