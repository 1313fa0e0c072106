//! `hooklatch migrate`: brings a database to the tables of this version, or only says what that
//! would be.

use hooklatch_store_postgres::{DatabaseUrl, Migrated};
use serde_json::json;

use crate::cli::MigrateArgs;
use crate::failure::Failure;
use crate::serve::file::FileSettings;
use crate::serve::place::Wish;

/// Migrates, or checks.
pub(crate) async fn run(arguments: MigrateArgs) -> Result<(), Failure> {
    let (check, json) = (arguments.check, arguments.json);
    let url = database(arguments)?;
    let answer = if check {
        hooklatch_store_postgres::versions(&url).await
    } else {
        hooklatch_store_postgres::migrate(&url).await
    };
    let Migrated { from, to } =
        answer.map_err(|error| Failure::failed(format_args!("{url} was not migrated"), error))?;
    if json {
        let text = json!({"database": url.to_string(), "from": from, "to": to, "check": check});
        println!("{text}");
    } else {
        println!("{url} {}", sentence(from, to, check));
    }
    if check && from != to {
        return Err(Failure::Failed(
            "the tables are not those of this version".to_owned(),
        ));
    }
    Ok(())
}

fn sentence(from: i64, to: i64, check: bool) -> String {
    if from == to {
        format!("is at version {to}, and there is nothing to do")
    } else if !check {
        format!("went from version {from} to {to}")
    } else if from > to {
        format!("is at version {from}, which is newer than this hooklatch, which knows {to}")
    } else {
        format!("is at version {from} and would go to {to}")
    }
}

fn database(arguments: MigrateArgs) -> Result<DatabaseUrl, Failure> {
    let usage = |error: &dyn std::error::Error| Failure::Usage(error.to_string());
    let file = match &arguments.config {
        Some(path) => FileSettings::read(path).map_err(|error| usage(&error))?,
        None => FileSettings::default(),
    };
    let asked = Wish::of_arguments(None, arguments.database).database();
    let asked = asked.map_err(|error| usage(&error))?;
    let wished = match asked {
        Some(url) => Some(url),
        None => {
            let written = Wish::of_arguments(None, file.database()).database();
            written.map_err(|error| usage(&error))?
        }
    };
    wished.ok_or_else(|| {
        Failure::Usage("name a database: --database-url, or HOOKLATCH_DATABASE_URL".to_owned())
    })
}
