//! The configuration file. Its errors name the file, the line, and what may stand there.

use std::io;
use std::path::{Path, PathBuf};

use hooklatch_core::secret::Secret;
use serde::Deserialize;

use super::otlp::TraceArgs;
use super::settings::LogFormat;
use crate::cli::DatabaseArgs;

/// What the file may say; the names are those of the flags.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FileSettings {
    pub listen: Option<String>,
    pub data_dir: Option<PathBuf>,
    pub in_memory: Option<bool>,
    pub database_url: Option<Secret>,
    pub database_url_file: Option<PathBuf>,
    pub dev: Option<bool>,
    pub allow_network: Option<Vec<String>>,
    pub public_url: Option<String>,
    pub log: Option<String>,
    pub log_format: Option<LogFormat>,
    pub drain_seconds: Option<u64>,
    pub history_days: Option<u32>,
    pub payload_days: Option<u32>,
    pub retention_interval_seconds: Option<u64>,
    pub api_rate_per_second: Option<u32>,
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub endpoint_ca: Option<PathBuf>,
    pub otlp_endpoint: Option<String>,
    pub otlp_headers: Option<Secret>,
    pub otlp_sample_ratio: Option<f64>,
    pub otlp_service_name: Option<String>,
    pub api_key: Option<Secret>,
    pub api_key_file: Option<PathBuf>,
    pub encryption_key: Option<Secret>,
    pub encryption_key_file: Option<PathBuf>,
    /// Where each key stands, to say where a value is that cannot be used.
    #[serde(skip)]
    pub places: Option<Places>,
}

/// A file and the lines of its keys.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    path: PathBuf,
    lines: Vec<(String, usize)>,
}

impl Places {
    fn of(path: &Path, text: &str) -> Self {
        let lines = (1..).zip(text.lines()).filter_map(|(number, line)| {
            let (key, _) = line.split_once('=')?;
            Some((key.trim().trim_matches('"').to_owned(), number))
        });
        Self {
            path: path.to_owned(),
            lines: lines.collect(),
        }
    }

    /// The file and the line of a key that it has.
    pub fn find(&self, key: &str) -> Option<String> {
        let (_, line) = self.lines.iter().find(|(known, _)| known == key)?;
        Some(format!("{}, line {line}", self.path.display()))
    }
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("the configuration file {} cannot be read", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{}, line {line}: {message}", path.display())]
    Wrong {
        path: PathBuf,
        line: usize,
        message: String,
    },
}

impl FileSettings {
    /// What it says of a database.
    pub fn database(&self) -> DatabaseArgs {
        DatabaseArgs {
            database_url: self.database_url.clone(),
            database_url_file: self.database_url_file.clone(),
        }
    }

    /// What it says of traces.
    pub fn traces(&self) -> TraceArgs {
        TraceArgs {
            otlp_endpoint: self.otlp_endpoint.clone(),
            otlp_headers: self.otlp_headers.clone(),
            otlp_sample_ratio: self.otlp_sample_ratio,
            otlp_service_name: self.otlp_service_name.clone(),
        }
    }

    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let text = std::fs::read_to_string(path).map_err(|source| FileError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let read = toml::from_str(&text).map_err(|error| FileError::Wrong {
            path: path.to_owned(),
            line: line_of(&text, &error),
            message: in_our_words(error.message()),
        });
        Ok(Self {
            places: Some(Places::of(path, &text)),
            ..read?
        })
    }
}

fn line_of(text: &str, error: &toml::de::Error) -> usize {
    let start = error.span().map_or(0, |span| span.start);
    let before = text.get(..start).unwrap_or(text);
    before.matches('\n').count() + 1
}

/// TOML calls them keys.
fn in_our_words(message: &str) -> String {
    message.replacen("unknown field", "unknown key", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hooklatch.toml");
        std::fs::write(&path, text).unwrap();
        let error = FileSettings::read(&path).unwrap_err().to_string();
        let shown = path.display().to_string();
        assert!(error.starts_with(&shown), "{error}");
        error[shown.len()..].to_owned()
    }

    #[test]
    fn errors_name_line_key_and_what_is_expected() {
        let cases = [
            (
                "listen = \"127.0.0.1:1\"\nlissten = 2\n",
                ", line 2: unknown key `lissten`, expected one of `listen`, `data_dir`, `in_memory`, ",
            ),
            (
                "# ours\n\n[server]\nlisten = \"x\"\n",
                ", line 3: unknown key `server`, expected one of ",
            ),
            (
                "dev = \"yes\"\n",
                ", line 1: invalid type: string \"yes\", expected a boolean",
            ),
            (
                "dev = true\nlog_format = \"xml\"\n",
                ", line 2: unknown variant `xml`, expected `text` or `json`",
            ),
            ("dev = true\ndev = false\n", ", line 2: duplicate key"),
            ("\n\nlisten = \n", ", line 3: "),
            (
                "drain_seconds = -1\n",
                ", line 1: invalid value: integer `-1`, expected u64",
            ),
        ];
        for (text, expected) in cases {
            let error = wrong(text);
            assert!(error.starts_with(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = FileSettings::read(Path::new("/no/such.toml")).unwrap_err();
        let text = "the configuration file /no/such.toml cannot be read";
        assert_eq!(error.to_string(), text);
    }
}
