//! `hooklatch backup`: a copy of the embedded store, made while a gateway works on it, read from end
//! to end before it gets its name. A database is backed up by its own means.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use hooklatch_store_sqlite::{BackedUp, BackupProgress, BackupStage, Existing, back_up};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::serve::keyfile;
use crate::serve::place::{Place, PlaceArgs};

const EXAMPLE: &str = "\
Example:
  hooklatch backup --data-dir /var/lib/hooklatch --to /backup/hooklatch-$(date +%F).db

The gateway goes on meanwhile. The copy is of the moment at which it begins; it is checked and counted
against what it was made of before it gets its name, so that a file with that name is a whole backup.
The key file is not in it: keep that apart, for without it stored secrets cannot be read.

To restore: put the backup as hooklatch.db, and the key file beside it as encryption.key, into an
empty directory of mode 0700, and start `hooklatch serve --data-dir` on it. What was pending at the
moment of the backup is delivered again, under the same webhook-id.

A PostgreSQL database is backed up with pg_dump, or with base backups and archived log
(docs/operations.md).";

/// Options of `hooklatch backup`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct BackupArgs {
    /// The file that the backup becomes
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,

    /// Take the place of a file that has the name already, once the backup is whole
    #[arg(long)]
    pub replace: bool,

    #[command(flatten)]
    pub place: PlaceArgs,

    /// Print what was backed up as JSON
    #[arg(long)]
    pub json: bool,
}

/// Makes a backup.
pub(crate) async fn run(arguments: Box<BackupArgs>) -> Result<(), Failure> {
    let BackupArgs {
        to,
        replace,
        place,
        json,
    } = *arguments;
    let from = match place.place()? {
        Place::Directory(path) => path,
        Place::Memory => {
            return Err(Failure::Usage(
                "what a gateway keeps in memory ends with it, and cannot be backed up; name a \
                 data directory with --data-dir"
                    .to_owned(),
            ));
        }
        Place::Database(url) => {
            return Err(Failure::Usage(format!(
                "{url} is a PostgreSQL database, which is backed up by its own means: pg_dump for \
                 one moment, or pg_basebackup with archived log (docs/operations.md)"
            )));
        }
    };
    let existing = match replace {
        true => Existing::Replace,
        false => Existing::Keep,
    };
    let (source, target) = (from.clone(), to.clone());
    let copying = tokio::task::spawn_blocking(move || {
        let bar = bar();
        let made = back_up(&source, &target, existing, |progress| tell(&bar, progress));
        bar.finish_and_clear();
        made
    });
    let made = copying
        .await
        .map_err(|error| Failure::failed("the backup was broken off", error))?;
    let made = made.map_err(|error| Failure::failed("no backup was made", error))?;
    let text = match json {
        true => as_json(&from, &to, &made).to_string(),
        false => in_words(&from, &to, &made),
    };
    writeln!(std::io::stdout(), "{text}")
        .map_err(|error| Failure::failed("the backup was made, and cannot be told of", error))
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:10} {wide_bar} {percent} %")
        .expect("the template is well formed");
    ProgressBar::new(1).with_style(style)
}

fn tell(bar: &ProgressBar, progress: BackupProgress) {
    bar.set_message(match progress.stage {
        BackupStage::Copying => "copying",
        BackupStage::Checking => "checking",
        BackupStage::Comparing => "comparing",
    });
    bar.set_length(progress.total);
    bar.set_position(progress.done);
}

fn as_json(from: &Path, to: &Path, made: &BackedUp) -> Value {
    let tables = made.tables.iter();
    let tables: serde_json::Map<String, Value> = tables
        .map(|(name, rows)| (name.clone(), json!(rows)))
        .collect();
    json!({
        "from": from.display().to_string(),
        "to": to.display().to_string(),
        "bytes": made.bytes,
        "schema": made.schema,
        "integrity": "ok",
        "rows": tables,
        "key_file": key_file(from).map(|path| path.display().to_string()),
    })
}

fn in_words(from: &Path, to: &Path, made: &BackedUp) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["table", "rows"]);
    for (name, rows) in made.tables.iter().filter(|(_, rows)| *rows > 0) {
        table.add_row([name.clone(), rows.to_string()]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let (from_shown, to) = (from.display(), to.display());
    let mebibytes = made.bytes.div_ceil(1 << 20);
    let key = match key_file(from) {
        Some(path) => format!(
            "The key file {} is not in it: keep a copy of it in another place.",
            path.display()
        ),
        None => "Keep HOOKLATCH_ENCRYPTION_KEY in another place: the backup is of no use without \
                 it."
        .to_owned(),
    };
    format!(
        "{table}\n{from_shown} is backed up in {to}: {mebibytes} MiB, whole and counted.\n{key}\n\
         To restore: copy {to} to hooklatch.db in an empty directory, the key file beside it as \
         encryption.key, and run hooklatch serve --data-dir on it."
    )
}

fn key_file(from: &Path) -> Option<PathBuf> {
    Some(from.join(keyfile::NAME)).filter(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::DatabaseArgs;

    fn made() -> BackedUp {
        BackedUp {
            bytes: 5 << 20,
            schema: 1,
            tables: vec![("audit".to_owned(), 0), ("messages".to_owned(), 12)],
        }
    }

    #[test]
    fn the_key_that_is_not_in_the_backup_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let to = Path::new("/backup/a.db");
        let text = in_words(dir.path(), to, &made());
        assert!(text.contains("HOOKLATCH_ENCRYPTION_KEY"), "{text}");
        assert!(as_json(dir.path(), to, &made())["key_file"].is_null());
        std::fs::write(dir.path().join(keyfile::NAME), "x").unwrap();
        let text = in_words(dir.path(), to, &made());
        assert!(text.contains("encryption.key is not in it"), "{text}");
        assert!(text.contains("5 MiB") && !text.contains("audit"), "{text}");
    }

    #[tokio::test]
    async fn a_database_is_refused_with_what_to_do_instead() {
        let arguments = BackupArgs {
            to: "a.db".into(),
            replace: false,
            place: PlaceArgs {
                database: DatabaseArgs {
                    database_url: Some("postgres://me:s3same@db/hooks".into()),
                    database_url_file: None,
                },
                ..PlaceArgs::default()
            },
            json: false,
        };
        let failure = run(Box::new(arguments)).await.unwrap_err();
        assert!(matches!(failure, Failure::Usage(_)));
        let text = failure.to_string();
        assert!(
            text.contains("pg_dump") && !text.contains("s3same"),
            "{text}"
        );
    }
}
