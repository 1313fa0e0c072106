//! `hooklatch copy`: moves everything from the embedded store into a database, and compares both
//! before the database may be served.
//!
//! It can be interrupted at any moment: how far it has come stands in the database beside what was
//! copied, so that the next run goes on. The directory is only read.

mod report;

use std::path::{Path, PathBuf};

use hooklatch_core::secret::Secret;
use hooklatch_core::time::Timestamp;
use hooklatch_store::transfer::{Cursor, Table, Tally};
use hooklatch_store::{Clock, StoreError, SystemClock};
use hooklatch_store_postgres::{DatabaseUrl, Import, ImportError};
use hooklatch_store_sqlite::Export;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::{CopyArgs, DatabaseArgs};
use crate::failure::Failure;
use crate::serve::place::Wish;
use report::{Compared, Report};

/// Copies, goes on copying, or says that it was done before.
pub(crate) async fn run(arguments: Box<CopyArgs>) -> Result<(), Failure> {
    let json = arguments.json;
    let mut copy = Copy::open(*arguments).await?;
    if copy.import.is_complete() {
        return copy.was_done(json);
    }
    let before = copy.copied();
    copy.bring().await?;
    let compared = copy.compare().await?;
    let complete = compared.iter().all(Compared::is_same);
    if complete {
        copy.import
            .complete()
            .await
            .map_err(|it| copy.stopped(it))?;
    }
    let report = Report {
        from: &copy.from,
        to: copy.url.to_string(),
        complete,
        before,
        tables: compared,
    };
    report.print(json);
    if complete {
        return Ok(());
    }
    Err(Failure::Failed(format!(
        "what is in {} is not what is in {}, so no gateway will open the database: empty it, and \
         copy again",
        copy.url,
        copy.from.display()
    )))
}

/// A copy under way.
struct Copy {
    from: Box<Path>,
    url: DatabaseUrl,
    export: Export,
    import: Import,
}

impl Copy {
    async fn open(arguments: CopyArgs) -> Result<Self, Failure> {
        let from = arguments.from.into_boxed_path();
        let url = database(arguments.to, arguments.to_file)?;
        let now = SystemClock.now();
        let cannot = format!("{} cannot be copied", from.display());
        let export = Export::open(&from, now).map_err(|error| Failure::failed(&cannot, error))?;
        let identity = export.identity();
        let identity = identity.map_err(|error| Failure::failed(&cannot, error))?;
        let import = Import::open(&url, identity, now).await;
        let import = import.map_err(|error| Failure::failed(&url, error))?;
        Ok(Self {
            from,
            url,
            export,
            import,
        })
    }

    /// Rows that are in the database.
    fn copied(&self) -> u64 {
        let standings = Table::ALL.map(|table| self.import.standing(table).rows);
        standings.iter().sum()
    }

    /// Rows that there are in all.
    fn total(&self) -> Result<u64, Failure> {
        let mut total = 0;
        for table in Table::ALL {
            total += self.count(table)?;
        }
        Ok(total)
    }

    fn count(&self, table: Table) -> Result<u64, Failure> {
        let rows = self.export.count(table, self.cutoff());
        rows.map_err(|error| self.unreadable(error))
    }

    /// The time as of which claims are taken.
    fn cutoff(&self) -> Timestamp {
        self.import.cutoff()
    }

    /// Brings over what is not there yet.
    async fn bring(&mut self) -> Result<(), Failure> {
        let bar = bar(self.total()?);
        bar.set_position(self.copied());
        for table in Table::ALL {
            bar.set_message(table.name());
            loop {
                let last = self.import.standing(table).last;
                let chunk = self.export.chunk(table, last, self.cutoff());
                let chunk = chunk.map_err(|error| self.unreadable(error))?;
                if chunk.rows.is_empty() {
                    break;
                }
                let taken = self.import.take(table, &chunk).await;
                taken.map_err(|error| self.stopped(error))?;
                bar.inc(chunk.rows.len() as u64);
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Reads both sides from the beginning.
    async fn compare(&self) -> Result<Vec<Compared>, Failure> {
        let bar = bar(2 * self.total()?);
        bar.set_message("comparing");
        let mut compared = Vec::new();
        for table in Table::ALL {
            let source = self.tally(table, &bar)?;
            let found = self.import.tally(table, |rows| bar.inc(rows)).await;
            compared.push(Compared {
                table,
                source,
                found: found.map_err(|error| self.stopped(error))?,
            });
        }
        bar.finish_and_clear();
        Ok(compared)
    }

    /// What a table of the directory comes to.
    fn tally(&self, table: Table, bar: &ProgressBar) -> Result<Tally, Failure> {
        let mut tally = Tally::default();
        let mut last = Cursor::MIN;
        loop {
            let chunk = self.export.chunk(table, last, self.cutoff());
            let chunk = chunk.map_err(|error| self.unreadable(error))?;
            if chunk.rows.is_empty() {
                return Ok(tally);
            }
            for row in &chunk.rows {
                tally += Tally::of(row);
            }
            last = chunk.last;
            bar.inc(chunk.rows.len() as u64);
        }
    }

    /// The copy was complete before. Gateways may have written into the database since, so that it
    /// is not compared again; but nothing may have come into the directory.
    fn was_done(&self, json: bool) -> Result<(), Failure> {
        let mut tables = Vec::new();
        for table in Table::ALL {
            let rows = self.count(table)?;
            if rows != self.import.standing(table).rows {
                return Err(Failure::Failed(format!(
                    "{} was copied into {} before, and its {} have changed since: what came later \
                     is not in the database and cannot be added",
                    self.from.display(),
                    self.url,
                    table.name()
                )));
            }
            tables.push((table, rows));
        }
        report::print_done(&self.from, &self.url.to_string(), &tables, json);
        Ok(())
    }

    fn unreadable(&self, error: StoreError) -> Failure {
        Failure::failed(
            format_args!("{} cannot be read", self.from.display()),
            error,
        )
    }

    fn stopped(&self, error: ImportError) -> Failure {
        Failure::failed(
            format_args!(
                "{}: the copy stopped; run it again, and it goes on where it was",
                self.url
            ),
            error,
        )
    }
}

fn database(url: Option<Secret>, file: Option<PathBuf>) -> Result<DatabaseUrl, Failure> {
    let arguments = DatabaseArgs {
        database_url: url,
        database_url_file: file,
    };
    let named = Wish::of_arguments(None, arguments).database();
    let named = named.map_err(|error| Failure::Usage(error.to_string()))?;
    named.ok_or_else(|| {
        Failure::Usage("name a database: --to, or HOOKLATCH_DATABASE_URL".to_owned())
    })
}

/// A bar for so many rows; it is not shown unless somebody sits at a terminal.
fn bar(rows: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:12} {wide_bar} {human_pos}/{human_len} {eta}")
        .expect("the template is well formed");
    ProgressBar::new(rows).with_style(style)
}
