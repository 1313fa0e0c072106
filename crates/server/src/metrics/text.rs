//! The text that scrapers read.

use std::fmt::{Display, Write};

/// A text in the making.
#[derive(Default)]
pub(super) struct Text(String);

impl Text {
    /// Begins a metric.
    pub(super) fn metric(&mut self, name: &str, kind: &str, help: &str) {
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// One value. Labels are names of ours and ids: none of them needs an escape.
    pub(super) fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{value}\""))
            .collect();
        if labels.is_empty() {
            self.write(format_args!("{name} {value}\n"));
        } else {
            let labels = labels.join(",");
            self.write(format_args!("{name}{{{labels}}} {value}\n"));
        }
    }

    /// The whole text.
    pub(super) fn finish(self) -> String {
        self.0
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        self.0
            .write_fmt(text)
            .expect("a text takes what is written");
    }
}
