//! Where a gateway keeps its data: in a directory of its own, in a database that nodes share, or in
//! memory, for as long as its process lives.
//!
//! A database's URL may hold a password, so it is a secret until it is parsed, and shows no more
//! than host, port and database afterwards.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use hooklatch_core::secret::Secret;
use hooklatch_store_postgres::{DatabaseUrl, UrlError};

use super::file::FileSettings;
use super::settings::DATA_DIR;
use crate::cli::DatabaseArgs;
use crate::failure::Failure;

/// The place of the data.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// One process at a time has it.
    Directory(PathBuf),
    /// Any number of nodes share it.
    Database(Box<DatabaseUrl>),
    /// It ends with the process.
    Memory,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => path.display().fmt(f),
            Self::Database(url) => url.fmt(f),
            Self::Memory => f.write_str("memory"),
        }
    }
}

/// Where the data of a gateway is, for what works beside it.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PlaceArgs {
    /// The gateway's configuration file (TOML)
    #[arg(long, value_name = "FILE", env = "HOOKLATCH_CONFIG")]
    pub config: Option<PathBuf>,

    /// The gateway's data directory [default: ./hooklatch-data]
    #[arg(long, value_name = "DIR", env = "HOOKLATCH_DATA_DIR")]
    pub data_dir: Option<PathBuf>,

    #[command(flatten)]
    pub database: DatabaseArgs,
}

impl PlaceArgs {
    /// The place: as flags and variables say, else as the file says, else the default.
    pub fn place(self) -> Result<Place, Failure> {
        let usage = |error: &dyn std::error::Error| Failure::Usage(error.to_string());
        let said = Wish::of_arguments(self.data_dir, self.database).place();
        if let Some(place) = said.map_err(|error| usage(&error))? {
            return Ok(place);
        }
        let file = self.config.as_deref().map(FileSettings::read).transpose();
        let file = file.map_err(|error| usage(&error))?.unwrap_or_default();
        let database = file.database();
        let written = Wish::of_arguments(file.data_dir, database)
            .in_memory(file.in_memory.unwrap_or(false))
            .place();
        let written = written.map_err(|error| usage(&error))?;
        Ok(written.unwrap_or_else(|| Place::Directory(Path::new(DATA_DIR).to_owned())))
    }
}

/// What one source of settings, the arguments or the file, says of the place.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    in_memory: bool,
    data_dir: Option<PathBuf>,
    database_url: Option<Secret>,
    database_url_file: Option<PathBuf>,
}

/// Why a wish cannot be fulfilled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    #[error(
        "in_memory, data_dir, database_url and database_url_file each say where the data is: choose \
         one of them"
    )]
    Several,
    #[error("the file {} that holds the database URL cannot be read: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("HOOKLATCH_DATABASE_URL (or database_url, or its file): {0}")]
    Url(#[from] UrlError),
}

impl Wish {
    /// What arguments, or keys of the file with the same names, say.
    pub fn of_arguments(data_dir: Option<PathBuf>, database: DatabaseArgs) -> Self {
        let given = |url: &Secret| !url.expose().trim().is_empty();
        Self {
            in_memory: false,
            data_dir,
            database_url: database.database_url.filter(given),
            database_url_file: database.database_url_file,
        }
    }

    /// The same, and whether they ask for memory.
    #[must_use]
    pub fn in_memory(self, in_memory: bool) -> Self {
        Self { in_memory, ..self }
    }

    /// The place, if it names one.
    pub fn place(mut self) -> Result<Option<Place>, PlaceError> {
        let database = self.database_url.is_some() || self.database_url_file.is_some();
        match (self.in_memory, self.data_dir.take(), database) {
            (false, None, _) => Ok(self.database()?.map(Box::new).map(Place::Database)),
            (false, Some(path), false) => Ok(Some(Place::Directory(path))),
            (true, None, false) => Ok(Some(Place::Memory)),
            (true, Some(_), _) | (true, None, true) | (false, Some(_), true) => {
                Err(PlaceError::Several)
            }
        }
    }

    /// The database, if it names one.
    pub fn database(self) -> Result<Option<DatabaseUrl>, PlaceError> {
        let url = match (self.database_url, self.database_url_file) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => return Err(PlaceError::Several),
            (Some(url), None) => url,
            (None, Some(path)) => match std::fs::read_to_string(&path) {
                Ok(text) => Secret::new(text),
                Err(source) => return Err(PlaceError::File { path, source }),
            },
        };
        Ok(Some(DatabaseUrl::parse(url.expose().trim())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "postgres://me:s3same@127.0.0.1:6432/hooks";

    fn wish(dir: Option<&str>, url: Option<&str>, file: Option<PathBuf>) -> Wish {
        let database = DatabaseArgs {
            database_url: url.map(Secret::from),
            database_url_file: file,
        };
        Wish::of_arguments(dir.map(PathBuf::from), database)
    }

    fn shown(wish: Wish) -> Option<String> {
        wish.place().unwrap().map(|place| place.to_string())
    }

    #[test]
    fn a_place_is_named_once_and_shows_no_password() {
        assert_eq!(shown(wish(None, None, None)), None);
        assert_eq!(shown(wish(None, Some(" "), None)), None);
        assert_eq!(shown(wish(Some("/d"), None, None)).as_deref(), Some("/d"));
        let database = Some("postgres://127.0.0.1:6432/hooks");
        assert_eq!(shown(wish(None, Some(URL), None)).as_deref(), database);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("url");
        std::fs::write(&file, format!("{URL}\n")).unwrap();
        assert_eq!(shown(wish(None, None, Some(file))).as_deref(), database);
        let in_memory = wish(None, None, None).in_memory(true);
        assert_eq!(shown(in_memory).as_deref(), Some("memory"));
    }

    #[test]
    fn two_places_are_one_too_many() {
        for wish in [
            wish(Some("d"), Some(URL), None),
            wish(Some("d"), None, Some("f".into())),
            wish(None, Some(URL), Some("f".into())),
            wish(Some("d"), None, None).in_memory(true),
            wish(None, Some(URL), None).in_memory(true),
            wish(None, None, Some("f".into())).in_memory(true),
        ] {
            let error = wish.place().unwrap_err();
            assert!(matches!(error, PlaceError::Several), "{error}");
            assert!(error.to_string().contains("choose one of them"), "{error}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        let missing = wish(None, None, Some("/no/such/url".into()));
        let error = missing.place().unwrap_err().to_string();
        assert!(error.contains("/no/such/url"), "{error}");
        for url in ["mysql://me:s3same@db/x", "postgres://me:s3same@db:port/x"] {
            let error = wish(None, Some(url), None).place().unwrap_err();
            let error = error.to_string();
            assert!(error.contains("HOOKLATCH_DATABASE_URL"), "{error}");
            assert!(!error.contains("s3same"), "{error}");
        }
    }
}
