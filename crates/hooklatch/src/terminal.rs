//! What is printed for people: texts from outside cannot steer the terminal, colours appear on
//! terminals only, and questions are asked only where somebody can answer.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};

use crate::failure::Failure;

/// How a word is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tint {
    Good,
    Doubtful,
    Bad,
    Quiet,
    Plain,
}

/// Whether colours are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colours {
    Shown,
    Hidden,
}

impl Colours {
    /// As standard output can show them, and `NO_COLOR` lets us.
    pub fn of_stdout() -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if std::io::stdout().is_terminal() && !set("NO_COLOR") && !dumb {
            Self::Shown
        } else {
            Self::Hidden
        }
    }

    /// The text in a colour, where they are shown.
    pub fn paint(self, tint: Tint, text: &str) -> String {
        let code = match (self, tint) {
            (Self::Hidden, _) | (_, Tint::Plain) => return text.to_owned(),
            (Self::Shown, Tint::Good) => "32",
            (Self::Shown, Tint::Doubtful) => "33",
            (Self::Shown, Tint::Bad) => "31",
            (Self::Shown, Tint::Quiet) => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// The text without anything that a terminal would obey.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let shown = text.chars().map(|one| match steers(one) {
        true => one.escape_unicode().to_string(),
        false => one.to_string(),
    });
    Cow::Owned(shown.collect())
}

/// Control characters, and those that turn the direction of what follows.
fn steers(one: char) -> bool {
    one.is_control()
        || matches!(one, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The beginning of a text, for a table.
pub(crate) fn clipped(text: &str, chars_max: usize) -> String {
    let text = plain(text);
    match text.char_indices().nth(chars_max) {
        None => text.into_owned(),
        Some(_) => {
            let kept: String = text.chars().take(chars_max.saturating_sub(1)).collect();
            format!("{kept}…")
        }
    }
}

/// Asks at the terminal. Where there is none nobody can say yes: that is a usage error, which says
/// that `nothing_done`, and what can be done `elsewhere`.
pub(crate) fn confirmed(
    question: &str,
    nothing_done: &str,
    elsewhere: &str,
) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage(format!(
            "{nothing_done}: there is no terminal to ask at. {elsewhere}"
        )));
    }
    // On standard error, so that a redirected output holds the answer and not the question.
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    std::io::stderr()
        .flush()
        .and_then(|()| std::io::stdin().read_line(&mut answer))
        .map_err(|error| Failure::failed("the terminal cannot be asked", error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_from_outside_steers_no_terminal() {
        assert_eq!(plain("order.paid é"), "order.paid é");
        let shown = plain("a\u{1b}[2Jb\r\nc\u{202e}d");
        assert!(!shown.contains(steers), "{shown}");
        assert!(shown.starts_with("a\\u{1b}[2Jb"), "{shown}");
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        assert_eq!(clipped("ééé", 3), "ééé");
        assert_eq!(clipped("éééé", 3), "éé…");
    }

    #[test]
    fn colours_are_shown_or_not_there_at_all() {
        assert_eq!(Colours::Hidden.paint(Tint::Bad, "failed"), "failed");
        let red = "\u{1b}[31mfailed\u{1b}[0m";
        assert_eq!(Colours::Shown.paint(Tint::Bad, "failed"), red);
        assert_eq!(Colours::Shown.paint(Tint::Plain, "x"), "x");
    }
}
