//! What was copied, whether both sides are the same, and what to do next.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table as Drawn};
use hooklatch_store::transfer::{Table, Tally};
use serde_json::{Value, json};

use crate::serve::keyfile;

/// A table on both sides.
pub(super) struct Compared {
    /// Which one.
    pub table: Table,
    /// What it comes to in the directory.
    pub source: Tally,
    /// What it comes to in the database.
    pub found: Tally,
}

impl Compared {
    /// Whether both sides have the same rows.
    pub(super) fn is_same(&self) -> bool {
        self.source == self.found
    }

    fn verdict(&self) -> String {
        if self.is_same() {
            "the same".to_owned()
        } else if self.source.rows == self.found.rows {
            "DIFFERENT ROWS".to_owned()
        } else {
            format!("{} ROWS", self.found.rows)
        }
    }
}

/// What a run came to.
pub(super) struct Report<'a> {
    /// The directory.
    pub from: &'a Path,
    /// The database, as it may be shown.
    pub to: String,
    /// Whether everything is there and the same.
    pub complete: bool,
    /// Rows that an earlier run had copied.
    pub before: u64,
    /// Every table.
    pub tables: Vec<Compared>,
}

impl Report<'_> {
    /// Prints it, for machines or for people.
    pub(super) fn print(&self, json: bool) {
        if json {
            print(&self.json().to_string());
        } else {
            print(&self.text());
        }
    }

    fn json(&self) -> Value {
        let tables = self.tables.iter().map(|compared| {
            json!({
                "table": compared.table.name(),
                "rows": compared.source.rows,
                "checksum": checksum(compared.source),
                "same": compared.is_same(),
            })
        });
        json!({
            "from": self.from.display().to_string(),
            "to": self.to,
            "complete": self.complete,
            "copied_before": self.before,
            "tables": tables.collect::<Vec<_>>(),
            "key_file": key_file(self.from).map(|path| path.display().to_string()),
        })
    }

    fn text(&self) -> String {
        let mut drawn = Drawn::new();
        drawn.load_style(UTF8_FULL_CONDENSED);
        drawn.set_header(["", "rows", "checksum", "in the database"]);
        for compared in &self.tables {
            drawn.add_row([
                compared.table.name().to_owned(),
                compared.source.rows.to_string(),
                checksum(compared.source),
                compared.verdict(),
            ]);
        }
        if let Some(column) = drawn.column_mut(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let mut text = drawn.to_string();
        if self.before > 0 {
            let before = self.before;
            let _ = write!(
                text,
                "\n{before} of these rows were copied by an earlier run."
            );
        }
        if self.complete {
            let _ = write!(text, "\n{}", next_steps(self.from, &self.to));
        }
        text
    }
}

/// Says that nothing was to be done.
pub(super) fn print_done(from: &Path, to: &str, tables: &[(Table, u64)], json: bool) {
    if json {
        let rows = tables.iter().map(|(_, rows)| rows).sum::<u64>();
        let tables = tables
            .iter()
            .map(|(table, rows)| json!({"table": table.name(), "rows": rows}));
        let text = json!({
            "from": from.display().to_string(),
            "to": to,
            "complete": true,
            "copied_before": rows,
            "tables": tables.collect::<Vec<_>>(),
            "key_file": key_file(from).map(|path| path.display().to_string()),
        });
        print(&text.to_string());
    } else {
        print(&format!(
            "Everything was copied and compared before; nothing was done.\n{}",
            next_steps(from, to)
        ));
    }
}

/// The same rows have the same checksum.
fn checksum(tally: Tally) -> String {
    format!("{:032x}", tally.sum)
}

fn next_steps(from: &Path, to: &str) -> String {
    let key = match key_file(from) {
        Some(path) => format!(
            "the content of {} in HOOKLATCH_ENCRYPTION_KEY: the key that has sealed the secrets",
            path.display()
        ),
        None => "the same HOOKLATCH_ENCRYPTION_KEY as until now: it has sealed the secrets".into(),
    };
    let from = from.display();
    format!(
        "\nNext: start `hooklatch serve` with --database-url for {to}\nand {key}.\n\
         Do not serve {from} again: what is pending would be delivered from both."
    )
}

/// The file with the key, where there is one.
fn key_file(from: &Path) -> Option<PathBuf> {
    let path = from.join(keyfile::NAME);
    path.is_file().then_some(path)
}

fn print(text: &str) {
    // Whoever stops reading (`| head`) has seen enough; the copy is done.
    drop(writeln!(std::io::stdout(), "{text}"));
}
