//! How the demo talks: sentences on standard output, progress bars on a terminal only.

use std::io::IsTerminal;
use std::time::Instant;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

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
        self.print(&format!("{seconds:5.1} s  {text}"));
    }

    /// Something that has no time of its own.
    pub fn print(&self, text: &str) {
        match &self.bars {
            Some(bars) => bars.suspend(|| println!("{text}")),
            None => println!("{text}"),
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
