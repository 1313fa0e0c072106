//! How the demo talks: sentences on standard output, progress bars on a terminal only.

use std::io::{IsTerminal, Write};
use std::time::Instant;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Columns of a line, and those before its text.
const WIDTH: usize = 88;
const INDENT: usize = 9;

/// Tells the story as it happens.
pub(crate) struct Teller {
    bars: Option<MultiProgress>,
    started: Instant,
}

impl Teller {
    /// Begins.
    pub fn new() -> Self {
        let bars = std::io::stderr().is_terminal().then(MultiProgress::new);
        Self {
            bars,
            started: Instant::now(),
        }
    }

    /// Something happens now.
    pub fn say(&self, text: &str) {
        let seconds = self.started.elapsed().as_secs_f32();
        let lines = wrapped(text, WIDTH - INDENT);
        let text = lines.join(&format!("\n{:INDENT$}", ""));
        self.print(&format!("{seconds:5.1} s  {text}"));
    }

    /// Something that has no time of its own.
    pub fn print(&self, text: &str) {
        // Whoever stops reading (`| head`) does not stop the story.
        let print = || drop(writeln!(std::io::stdout(), "{text}"));
        match &self.bars {
            Some(bars) => bars.suspend(print),
            None => print(),
        }
    }

    /// A bar for work of this length; it is not shown unless somebody sits at a terminal.
    pub fn bar(&self, label: &'static str, length: u64) -> ProgressBar {
        let Some(bars) = &self.bars else {
            return ProgressBar::hidden();
        };
        let style = ProgressStyle::with_template("         {msg:24} {wide_bar} {pos}/{len}")
            .expect("the template is well formed");
        bars.add(
            ProgressBar::new(length)
                .with_style(style)
                .with_message(label),
        )
    }
}

/// Breaks a text between words so that no line is longer than `width`, unless a word is.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(
            wrapped("incomprehensible word", 7),
            ["incomprehensible", "word"]
        );
        assert!(wrapped("", 7).is_empty());
    }
}
