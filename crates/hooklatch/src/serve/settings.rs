//! What `hooklatch serve` is told: flags before environment before file before default.
//!
//! The flags and most of the environment come through the command line's parser; the two secrets
//! come from the environment or the file only.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hooklatch_core::address::Reach;
use hooklatch_core::network::{Network, NetworkError};
use hooklatch_core::retention::RetentionSettings;
use hooklatch_core::seal::SealingKey;
use hooklatch_core::secret::Secret;
use hooklatch_core::time::Millis;
use hooklatch_core::token::check_api_key;
use hooklatch_server::api::Rate;
use hooklatch_server::retention::Settings as Pruning;
use serde::Deserialize;

use super::file::{FileError, FileSettings, Places};
use super::otlp::Traces;
use super::place::{Place, PlaceError, Wish};
use super::rate::rate;
use super::reach::{networks, reach};
use super::secrets::{self, SecretError};
use super::tls::TlsFiles;
use crate::cli::ServeArgs;
use crate::connect::API_KEY_VARIABLE;

/// The environment variable that holds the key which seals stored secrets.
pub(crate) const ENCRYPTION_KEY_VARIABLE: &str = "HOOKLATCH_ENCRYPTION_KEY";
const LISTEN: &str = "127.0.0.1:8420";
pub(super) const DATA_DIR: &str = "hooklatch-data";
const LOG: &str = "info";
const DRAIN: Duration = Duration::from_secs(30);
/// The longest time for which history may be kept, but for ever.
const HISTORY_DAYS_MAX: u32 = 3_650;
/// Between two looks for what has been kept for long enough.
const RETENTION_INTERVAL_SECONDS: u64 = 60;
/// For how long history is kept in memory, unless something else is said.
const MEMORY_HISTORY_DAYS: u32 = 1;
/// Bytes of bodies that a project may keep in memory, unless it says otherwise.
const MEMORY_PAYLOAD_BYTES_MAX: u64 = 256 << 20;
/// The longest graceful end; no service manager waits for longer.
const DRAIN_SECONDS_MAX: u64 = 3_600;

/// How the log is written: for people, or one JSON object a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

/// What the gateway runs with.
#[derive(Debug)]
pub(crate) struct Settings {
    pub listen: SocketAddr,
    pub place: Place,
    pub dev: bool,
    /// Networks that endpoints may be in, besides the public internet.
    pub networks: Vec<Network>,
    pub public_url: Option<String>,
    pub log: String,
    pub log_format: LogFormat,
    pub drain: Duration,
    /// For how long a shared store keeps history, which it drops by whole days; none for ever.
    pub history: Option<Millis>,
    /// How what is kept for long enough is pruned.
    pub retention: Pruning,
    /// Calls of the API that each key may make.
    pub api_rate: Option<Rate>,
    pub api_key: Option<Secret>,
    pub encryption_key: Option<SealingKey>,
    /// The certificate to show; none for plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Authorities that endpoints' certificates may come from besides the public ones.
    pub endpoint_ca: Option<PathBuf>,
    /// Where traces go; none where none are recorded.
    pub traces: Option<Traces>,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error(
        "HOOKLATCH_ENCRYPTION_KEY (or encryption_key) is not set, and nodes that share a database \
         need the same key: make one with `openssl rand -base64 32` and give it to each of them"
    )]
    NoEncryptionKey,
    #[error("{name} is {value:?}: {hint}")]
    Value {
        name: &'static str,
        value: String,
        hint: &'static str,
    },
    #[error("allow_network is {value:?}: {wrong}")]
    Network { value: String, wrong: NetworkError },
    #[error("{name}: {hint}")]
    Secret { name: &'static str, hint: String },
    #[error(transparent)]
    SecretFile(#[from] SecretError),
    #[error("{place}: {wrong}")]
    Written {
        place: String,
        wrong: Box<SettingsError>,
    },
}

impl SettingsError {
    /// The same, with where the file says it. What flags and variables say goes before the file, so
    /// that it is not the file which is wrong in that.
    fn in_file(self, places: Option<&Places>, said: &[&str]) -> Self {
        let key = match &self {
            Self::Value { name, .. } => name,
            Self::Network { .. } => &"allow_network",
            Self::Secret { name, .. } if name.contains(API_KEY_VARIABLE) => &"api_key",
            Self::Secret { .. } => &"encryption_key",
            Self::File(_)
            | Self::Place(_)
            | Self::NoEncryptionKey
            | Self::SecretFile(_)
            | Self::Written { .. } => return self,
        };
        let place = places.and_then(|places| places.find(key));
        match place.filter(|_| !said.contains(key)) {
            Some(place) => Self::Written {
                place,
                wrong: Box::new(self),
            },
            None => self,
        }
    }
}

impl Settings {
    /// The settings of this start. `variable` looks up an environment variable.
    pub fn gather(
        arguments: ServeArgs,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let file = match &arguments.config {
            Some(path) => FileSettings::read(path)?,
            None => FileSettings::default(),
        };
        let places = file.places.clone();
        let said = said(&arguments, &variable);
        let gathered = Self::of(arguments, file, variable);
        gathered.map_err(|wrong| wrong.in_file(places.as_ref(), &said))
    }

    fn of(
        arguments: ServeArgs,
        file: FileSettings,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let traces = arguments.traces.or(file.traces()).traces()?;
        let certificate = arguments.tls.tls_cert.or(file.tls_cert.clone());
        let tls = TlsFiles::of(certificate, arguments.tls.tls_key.or(file.tls_key.clone()))?;
        let written = Wish::of_arguments(file.data_dir.clone(), file.database());
        // A flag that says no goes before a file that says yes.
        let in_memory = arguments.in_memory.or(file.in_memory).unwrap_or(false);
        let written = written.in_memory(in_memory);
        let given = |name: &str| variable(name).filter(|value| !value.is_empty());
        let api_key = secrets::of_two(
            API_KEY_VARIABLE,
            given(API_KEY_VARIABLE).map(Secret::new),
            arguments.secrets.api_key_file.as_deref(),
            ("api_key", file.api_key, file.api_key_file.as_deref()),
        )?;
        let encryption_key = secrets::of_two(
            ENCRYPTION_KEY_VARIABLE,
            given(ENCRYPTION_KEY_VARIABLE).map(Secret::new),
            arguments.secrets.encryption_key_file.as_deref(),
            (
                "encryption_key",
                file.encryption_key,
                file.encryption_key_file.as_deref(),
            ),
        )?;
        let place = Wish::of_arguments(arguments.data_dir, arguments.database)
            .in_memory(arguments.in_memory.unwrap_or(false))
            .place()?;
        let place = match place {
            Some(place) => place,
            None => written
                .place()?
                .unwrap_or_else(|| Place::Directory(Path::new(DATA_DIR).to_owned())),
        };
        if matches!(place, Place::Database(_)) && encryption_key.is_none() {
            return Err(SettingsError::NoEncryptionKey);
        }
        let named = match arguments.reach.allow_network {
            named if named.is_empty() => file.allow_network.unwrap_or_default(),
            named => named,
        };
        let listen = arguments.listen.or(file.listen);
        let history = arguments.history_days.or(file.history_days);
        let payload_days = arguments.payload_days.or(file.payload_days);
        let interval = arguments
            .retention_interval_seconds
            .or(file.retention_interval_seconds);
        let drain = arguments.drain_seconds.or(file.drain_seconds);
        let api_rate = arguments.rate.api_rate_per_second;
        let api_rate = rate(api_rate.or(file.api_rate_per_second))?;
        Ok(Self {
            listen: address(listen.as_deref().unwrap_or(LISTEN))?,
            dev: arguments.dev.or(file.dev).unwrap_or(false),
            networks: networks(&named)?,
            public_url: arguments
                .public_url
                .or(file.public_url)
                .map(public_url)
                .transpose()?,
            log: arguments.log.or(file.log).unwrap_or_else(|| LOG.to_owned()),
            log_format: arguments.log_format.or(file.log_format).unwrap_or_default(),
            history: dropped_by_day(history, &place)?,
            retention: pruning(history, payload_days, interval, &place)?,
            place,
            api_rate,
            drain: drain.map_or(Ok(DRAIN), drain_time)?,
            api_key: api_key.map(checked_api_key).transpose()?,
            encryption_key: encryption_key.map(sealing_key).transpose()?,
            tls,
            endpoint_ca: arguments.authorities.endpoint_ca.or(file.endpoint_ca),
            traces,
        })
    }
}

impl Settings {
    /// How far requests may go.
    pub fn reach(&self) -> Reach {
        reach(self.dev, &self.networks)
    }
}

/// The values that flags or variables say.
fn said(arguments: &ServeArgs, variable: impl Fn(&str) -> Option<String>) -> Vec<&'static str> {
    let secret = |name| variable(name).is_some_and(|value| !value.is_empty());
    let secrets = &arguments.secrets;
    let said = [
        ("listen", arguments.listen.is_some()),
        ("public_url", arguments.public_url.is_some()),
        ("allow_network", !arguments.reach.allow_network.is_empty()),
        ("drain_seconds", arguments.drain_seconds.is_some()),
        ("history_days", arguments.history_days.is_some()),
        ("payload_days", arguments.payload_days.is_some()),
        (
            "retention_interval_seconds",
            arguments.retention_interval_seconds.is_some(),
        ),
        (
            "api_rate_per_second",
            arguments.rate.api_rate_per_second.is_some(),
        ),
        (
            "api_key",
            secret(API_KEY_VARIABLE) || secrets.api_key_file.is_some(),
        ),
        (
            "encryption_key",
            secret(ENCRYPTION_KEY_VARIABLE) || secrets.encryption_key_file.is_some(),
        ),
    ];
    let said = said.into_iter().filter(|(_, said)| *said);
    said.map(|(name, _)| name).collect()
}

fn address(text: &str) -> Result<SocketAddr, SettingsError> {
    let mut resolved = text.to_socket_addrs().into_iter().flatten();
    resolved.next().ok_or_else(|| SettingsError::Value {
        name: "listen",
        value: text.to_owned(),
        hint: "it is an address and a port, for example 127.0.0.1:8420",
    })
}

fn public_url(text: String) -> Result<String, SettingsError> {
    let bare = text.trim_end_matches('/');
    let uri: Option<http::Uri> = bare.parse().ok();
    let usable = uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none()
    });
    if !usable {
        return Err(SettingsError::Value {
            name: "public_url",
            value: text,
            hint: "it is a URL without a query, for example https://hooks.example.com",
        });
    }
    Ok(bare.to_owned())
}

fn dropped_by_day(days: Option<u32>, place: &Place) -> Result<Option<Millis>, SettingsError> {
    let days = days.map(|days| checked_days("history_days", days));
    let Some(days) = days.transpose()? else {
        return Ok(None);
    };
    match place {
        Place::Directory(_) | Place::Memory => Ok(None),
        Place::Database(_) => Ok(Some(Millis::from_seconds(i64::from(days) * 86_400))),
    }
}

/// How what is kept for long enough is pruned.
fn pruning(
    history: Option<u32>,
    payload: Option<u32>,
    interval: Option<u64>,
    place: &Place,
) -> Result<Pruning, SettingsError> {
    let payload = payload.map(|days| checked_days("payload_days", days));
    let interval = interval.unwrap_or(RETENTION_INTERVAL_SECONDS);
    if !(1..=86_400).contains(&interval) {
        return Err(SettingsError::Value {
            name: "retention_interval_seconds",
            value: interval.to_string(),
            hint: "it is from 1 to 86400",
        });
    }
    let (history_days, payload_bytes_max) = match place {
        Place::Directory(_) => (history, None),
        // It drops whole days by itself; what is left to prune row by row is what projects say.
        Place::Database(_) => (None, None),
        // Nothing else bounds it.
        Place::Memory => (
            history.or(Some(MEMORY_HISTORY_DAYS)),
            Some(MEMORY_PAYLOAD_BYTES_MAX),
        ),
    };
    Ok(Pruning {
        gateway: RetentionSettings {
            payload_days: payload.transpose()?,
            history_days,
            payload_bytes_max,
        },
        interval: Duration::from_secs(interval),
    })
}

fn checked_days(name: &'static str, days: u32) -> Result<u32, SettingsError> {
    if (1..=HISTORY_DAYS_MAX).contains(&days) {
        return Ok(days);
    }
    Err(SettingsError::Value {
        name,
        value: days.to_string(),
        hint: "it is from 1 to 3650",
    })
}

fn drain_time(seconds: u64) -> Result<Duration, SettingsError> {
    if seconds > DRAIN_SECONDS_MAX {
        return Err(SettingsError::Value {
            name: "drain_seconds",
            value: seconds.to_string(),
            hint: "it is at most 3600",
        });
    }
    Ok(Duration::from_secs(seconds))
}

fn checked_api_key(key: Secret) -> Result<Secret, SettingsError> {
    match check_api_key(key.expose()) {
        Ok(()) => Ok(key),
        Err(error) => Err(SettingsError::Secret {
            name: "HOOKLATCH_API_KEY (or api_key)",
            hint: error.to_string(),
        }),
    }
}

fn sealing_key(key: Secret) -> Result<SealingKey, SettingsError> {
    SealingKey::from_base64(key.expose()).map_err(|error| SettingsError::Secret {
        name: "HOOKLATCH_ENCRYPTION_KEY (or encryption_key)",
        hint: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::secrets::SecretFileArgs;

    const KEY: &str = "hl_0123456789abcdef0123456789abcdef";
    const SEALING: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

    fn nothing(_: &str) -> Option<String> {
        None
    }

    fn with_file(text: &str, arguments: ServeArgs) -> Result<Settings, SettingsError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hooklatch.toml");
        std::fs::write(&path, text).unwrap();
        let config = Some(path);
        Settings::gather(
            ServeArgs {
                config,
                ..arguments
            },
            nothing,
        )
    }

    #[test]
    fn without_a_word_the_gateway_is_local_and_strict() {
        let settings = Settings::gather(ServeArgs::default(), nothing).unwrap();
        assert_eq!(settings.listen.to_string(), LISTEN);
        assert_eq!(settings.place.to_string(), DATA_DIR);
        assert_eq!(
            (settings.dev, settings.log_format),
            (false, LogFormat::Text)
        );
        assert_eq!((settings.drain, settings.api_key), (DRAIN, None));
    }

    #[test]
    fn every_option_is_a_key_of_the_file() {
        let text = format!(
            "listen = \"127.0.0.1:9\"\ndata_dir = \"d\"\ndev = true\n\
             public_url = \"https://hooks.example.com/\"\nlog = \"warn\"\nlog_format = \"json\"\n\
             drain_seconds = 5\napi_key = \"{KEY}\"\nencryption_key = \"{SEALING}\"\n"
        );
        let settings = with_file(&text, ServeArgs::default()).unwrap();
        assert_eq!(settings.listen.port(), 9);
        assert_eq!(settings.place.to_string(), "d");
        assert!(settings.dev);
        let url = settings.public_url.as_deref();
        assert_eq!(url, Some("https://hooks.example.com"));
        assert_eq!(
            (settings.log.as_str(), settings.log_format),
            ("warn", LogFormat::Json)
        );
        assert_eq!(settings.drain, Duration::from_secs(5));
        assert_eq!(settings.api_key, Some(Secret::from(KEY)));
        assert!(settings.encryption_key.is_some());
    }

    #[test]
    fn a_database_needs_the_key_that_all_nodes_share() {
        let url = "database_url = \"postgres://me:s3same@127.0.0.1/hooks\"\n";
        let error = with_file(url, ServeArgs::default()).unwrap_err();
        assert!(matches!(error, SettingsError::NoEncryptionKey), "{error}");
        let text = format!("{url}encryption_key = \"{SEALING}\"\n");
        let settings = with_file(&text, ServeArgs::default()).unwrap();
        assert_eq!(
            settings.place.to_string(),
            "postgres://127.0.0.1:5432/hooks"
        );
        assert!(!format!("{settings:?}").contains("s3same"));
        // A flag goes before the file, also where it names another kind of place.
        let arguments = ServeArgs {
            data_dir: Some("here".into()),
            ..ServeArgs::default()
        };
        let settings = with_file(&text, arguments).unwrap();
        assert_eq!(settings.place.to_string(), "here");
        let both = format!("{text}data_dir = \"d\"\n");
        let error = with_file(&both, ServeArgs::default()).unwrap_err();
        assert!(matches!(error, SettingsError::Place(_)), "{error}");
    }

    #[test]
    fn in_memory_is_asked_for_by_flag_or_file_and_bounded() {
        let file = "in_memory = true\n";
        let settings = with_file(file, ServeArgs::default()).unwrap();
        assert_eq!(settings.place.to_string(), "memory");
        assert_eq!(settings.retention.gateway.history_days, Some(1));
        let bytes = settings.retention.gateway.payload_bytes_max;
        assert_eq!(bytes, Some(256 << 20));
        let asked = |in_memory| ServeArgs {
            in_memory: Some(in_memory),
            ..ServeArgs::default()
        };
        let settings = with_file(file, asked(false)).unwrap();
        assert_eq!(settings.place.to_string(), DATA_DIR);
        let settings = with_file("history_days = 9\n", asked(true)).unwrap();
        assert_eq!(settings.place.to_string(), "memory");
        assert_eq!(settings.retention.gateway.history_days, Some(9));
        let both = with_file("in_memory = true\ndata_dir = \"d\"\n", ServeArgs::default());
        let error = both.unwrap_err().to_string();
        assert!(error.contains("choose one of them"), "{error}");
        let elsewhere = ServeArgs {
            data_dir: Some("here".into()),
            ..ServeArgs::default()
        };
        let settings = with_file(file, elsewhere).unwrap();
        assert_eq!(settings.place.to_string(), "here");
        let both = ServeArgs {
            data_dir: Some("here".into()),
            ..asked(true)
        };
        let error = Settings::gather(both, nothing).unwrap_err();
        assert!(matches!(error, SettingsError::Place(_)), "{error}");
    }

    #[test]
    fn a_flag_goes_before_the_file() {
        let arguments = ServeArgs {
            listen: Some("127.0.0.1:7".into()),
            dev: Some(false),
            ..ServeArgs::default()
        };
        let text = "listen = \"127.0.0.1:9\"\ndev = true\nlog = \"warn\"\n";
        let settings = with_file(text, arguments).unwrap();
        assert_eq!((settings.listen.port(), settings.dev), (7, false));
        assert_eq!(settings.log, "warn");
    }

    #[test]
    fn values_are_checked_and_the_message_says_what_to_write() {
        let cases = [
            (
                "listen = \"8420\"",
                "listen is \"8420\": it is an address and a port",
            ),
            (
                "public_url = \"hooks.example.com\"",
                "public_url is \"hooks.example.com\": it is a URL",
            ),
            ("public_url = \"http://x?a\"", "it is a URL without a query"),
            (
                "history_days = 0",
                "history_days is \"0\": it is from 1 to 3650",
            ),
            (
                "payload_days = 4000",
                "payload_days is \"4000\": it is from 1 to 3650",
            ),
            (
                "retention_interval_seconds = 0",
                "retention_interval_seconds is \"0\": it is from 1 to 86400",
            ),
            (
                "tls_cert = \"c.pem\"",
                "tls_cert is \"c.pem\": it needs its private key",
            ),
            (
                "tls_key = \"k.pem\"",
                "tls_key is \"k.pem\": it needs its certificate",
            ),
            (
                "otlp_endpoint = \"localhost:4318\"",
                "otlp_endpoint is \"localhost:4318\": it is the URL of a collector",
            ),
            (
                "drain_seconds = 4000",
                "drain_seconds is \"4000\": it is at most 3600",
            ),
            ("api_key = \"short\"", "HOOKLATCH_API_KEY (or api_key): "),
            (
                "encryption_key = \"c2hvcnQ=\"",
                "HOOKLATCH_ENCRYPTION_KEY (or encryption_key): ",
            ),
        ];
        for (text, expected) in cases {
            let error = with_file(text, ServeArgs::default())
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_wrong_value_of_the_file_is_found_in_it() {
        let text = "# ours\nlog = \"warn\"\nlisten = \"8420\"\ndrain_seconds = 4000\n";
        let error = with_file(text, ServeArgs::default())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("hooklatch.toml, line 3: listen is \"8420\": it is"),
            "{error}"
        );
        // A flag that is wrong is not the file's fault.
        let arguments = ServeArgs {
            listen: Some("8421".into()),
            ..ServeArgs::default()
        };
        let error = with_file(text, arguments).unwrap_err().to_string();
        assert!(error.starts_with("listen is \"8421\""), "{error}");
        let error = with_file("api_key = \"s3same\"\n", ServeArgs::default());
        let error = error.unwrap_err().to_string();
        assert!(error.contains("line 1: HOOKLATCH_API_KEY"), "{error}");
        assert!(!error.contains("s3same"), "{error}");
    }

    #[test]
    fn secrets_may_lie_in_files_that_a_flag_or_the_file_names() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sealing");
        std::fs::write(&path, format!("{SEALING}\n")).unwrap();
        let key = dir.path().join("key");
        std::fs::write(&key, KEY).unwrap();
        let text = format!("encryption_key_file = {path:?}\napi_key_file = {key:?}\n");
        let settings = with_file(&text, ServeArgs::default()).unwrap();
        assert_eq!(settings.api_key, Some(Secret::from(KEY)));
        assert!(settings.encryption_key.is_some());
        let both = format!("{text}api_key = \"{KEY}\"\n");
        let error = with_file(&both, ServeArgs::default()).unwrap_err();
        assert!(matches!(error, SettingsError::SecretFile(_)), "{error}");
        // What the flag names goes before all that the file says.
        let arguments = ServeArgs {
            secrets: SecretFileArgs {
                api_key_file: Some(path),
                ..SecretFileArgs::default()
            },
            ..ServeArgs::default()
        };
        let error = with_file(&text, arguments).unwrap_err().to_string();
        assert!(
            error.starts_with("HOOKLATCH_API_KEY (or api_key): "),
            "{error}"
        );
    }

    #[test]
    fn a_bad_secret_is_refused_without_being_repeated() {
        let variable = |name: &str| (name == "HOOKLATCH_API_KEY").then(|| "sesame".to_owned());
        let error = Settings::gather(ServeArgs::default(), variable).unwrap_err();
        assert!(!error.to_string().contains("sesame"), "{error}");
    }

    #[test]
    fn settings_print_no_secret() {
        let variable = |name: &str| match name {
            "HOOKLATCH_API_KEY" => Some(KEY.to_owned()),
            "HOOKLATCH_ENCRYPTION_KEY" => Some(SEALING.to_owned()),
            _ => None,
        };
        let settings = Settings::gather(ServeArgs::default(), variable).unwrap();
        let text = format!("{settings:?}");
        assert!(!text.contains(KEY) && !text.contains(SEALING), "{text}");
    }
}
