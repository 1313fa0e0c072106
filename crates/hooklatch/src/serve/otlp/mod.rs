//! Where traces are sent: OTLP over HTTP, in its JSON encoding, to a collector of the operator's.
//!
//! An exporter of our own, because what we have to say is two kinds of spans with ids that are made
//! elsewhere: the libraries bring thirty crates, a second HTTP client and a generator of ids for it.

mod collector;
mod encode;
mod export;

use hooklatch_core::secret::Secret;
use hooklatch_core::trace::SampleRatio;
use hooklatch_engine::trace::Span;
use http::{HeaderName, HeaderValue};
use tokio::sync::mpsc;
use url::Url;

use super::settings::SettingsError;
pub(crate) use export::export;

/// What flags and environment say of traces. The variables are OpenTelemetry's own, where it has
/// them.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct TraceArgs {
    /// A collector that traces are sent to, by OTLP over HTTP (JSON), for example
    /// http://127.0.0.1:4318; `/v1/traces` is appended [default: no traces are recorded]
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,

    /// Headers that go with each export: NAME=VALUE, separated by commas, values percent-encoded
    #[arg(
        long,
        value_name = "HEADERS",
        env = "OTEL_EXPORTER_OTLP_HEADERS",
        hide_env_values = true,
        value_parser = crate::cli::secret,
    )]
    pub otlp_headers: Option<Secret>,

    /// The share of traces begun here that are recorded, from 0 to 1; a trace that came with a
    /// request is recorded if its sender records it [default: 1]
    #[arg(long, value_name = "RATIO", env = "HOOKLATCH_OTLP_SAMPLE_RATIO")]
    pub otlp_sample_ratio: Option<f64>,

    /// What this gateway is called in traces [default: hooklatch]
    #[arg(long, value_name = "NAME", env = "OTEL_SERVICE_NAME")]
    pub otlp_service_name: Option<String>,
}

/// Where traces go.
#[derive(Debug, Clone)]
pub(crate) struct Traces {
    /// The whole URL.
    url: Url,
    /// Marked as sensitive, so that they print as nothing.
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The share that is recorded.
    pub ratio: SampleRatio,
    service: String,
}

/// The queue of spans on its way to the collector.
pub(crate) type Spans = mpsc::Receiver<Span>;

impl TraceArgs {
    /// What is said here, and what is not, as it is said there.
    pub fn or(self, other: Self) -> Self {
        Self {
            otlp_endpoint: self.otlp_endpoint.or(other.otlp_endpoint),
            otlp_headers: self.otlp_headers.or(other.otlp_headers),
            otlp_sample_ratio: self.otlp_sample_ratio.or(other.otlp_sample_ratio),
            otlp_service_name: self.otlp_service_name.or(other.otlp_service_name),
        }
    }

    /// Where traces go; none where no endpoint is named.
    pub fn traces(self) -> Result<Option<Traces>, SettingsError> {
        let ratio = self.otlp_sample_ratio.map_or(Ok(SampleRatio::ALL), ratio)?;
        let headers = self.otlp_headers.as_ref().map(headers).transpose()?;
        let given = |text: &String| !text.trim().is_empty();
        let Some(endpoint) = self.otlp_endpoint.filter(given) else {
            return Ok(None);
        };
        Ok(Some(Traces {
            url: url_of(&endpoint)?,
            headers: headers.unwrap_or_default(),
            ratio,
            service: self
                .otlp_service_name
                .filter(given)
                .unwrap_or_else(|| "hooklatch".to_owned()),
        }))
    }
}

fn ratio(share: f64) -> Result<SampleRatio, SettingsError> {
    SampleRatio::new(share).ok_or_else(|| SettingsError::Value {
        name: "otlp_sample_ratio",
        value: share.to_string(),
        hint: "it is from 0 to 1",
    })
}

fn url_of(endpoint: &str) -> Result<Url, SettingsError> {
    let url = format!("{}/v1/traces", endpoint.trim().trim_end_matches('/'));
    let url: Option<Url> = url.parse().ok();
    let usable = |url: &Url| {
        matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none()
    };
    url.filter(usable).ok_or_else(|| SettingsError::Value {
        name: "otlp_endpoint",
        value: endpoint.to_owned(),
        hint: "it is the URL of a collector, for example http://127.0.0.1:4318",
    })
}

fn headers(text: &Secret) -> Result<Vec<(HeaderName, HeaderValue)>, SettingsError> {
    let wrong = || SettingsError::Secret {
        name: "OTEL_EXPORTER_OTLP_HEADERS (or otlp_headers)",
        hint: "it is NAME=VALUE, separated by commas, with values percent-encoded".to_owned(),
    };
    let pairs = text.expose().split(',').map(str::trim);
    let pairs = pairs.filter(|pair| !pair.is_empty());
    let read = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let name = HeaderName::try_from(name.trim()).ok()?;
        let mut value = HeaderValue::try_from(decoded(value.trim())?).ok()?;
        value.set_sensitive(true);
        Some((name, value))
    };
    pairs.map(|pair| read(pair).ok_or_else(wrong)).collect()
}

/// A plus sign stands for itself there, unlike in forms.
fn decoded(value: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(endpoint: &str, headers: &str) -> TraceArgs {
        TraceArgs {
            otlp_endpoint: Some(endpoint.to_owned()),
            otlp_headers: Some(Secret::from(headers)),
            ..TraceArgs::default()
        }
    }

    #[test]
    fn without_an_endpoint_no_traces_are_recorded() {
        assert!(TraceArgs::default().traces().unwrap().is_none());
        assert!(args(" ", "").traces().unwrap().is_none());
    }

    #[test]
    fn an_endpoint_and_its_headers_are_read_and_headers_are_not_printed() {
        let args = args(
            "https://otel.example/base/",
            "authorization=Bearer%20a+b, x-team=red",
        );
        let traces = args.traces().unwrap().unwrap();
        assert_eq!(traces.url.as_str(), "https://otel.example/base/v1/traces");
        assert_eq!(traces.headers[0].1.as_bytes(), b"Bearer a+b");
        assert_eq!(traces.headers[1].0, "x-team");
        assert!(!format!("{traces:?}").contains("Bearer"));
    }

    #[test]
    fn wrong_values_are_refused_and_headers_not_repeated() {
        for (endpoint, headers, expected) in [
            ("127.0.0.1:4318", "", "otlp_endpoint is"),
            ("ftp://a", "", "otlp_endpoint is"),
            ("http://a?b", "", "otlp_endpoint is"),
            ("http://a", "sesame", "OTEL_EXPORTER_OTLP_HEADERS"),
            ("http://a", "a=sesame%2", "OTEL_EXPORTER_OTLP_HEADERS"),
            ("http://a", "a=sesame%0a", "OTEL_EXPORTER_OTLP_HEADERS"),
            ("http://a", "s esame=1", "OTEL_EXPORTER_OTLP_HEADERS"),
        ] {
            let error = args(endpoint, headers).traces().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
            assert!(!error.contains("sesame"), "{error}");
        }
        let ratio = TraceArgs {
            otlp_sample_ratio: Some(1.5),
            ..TraceArgs::default()
        };
        assert!(
            ratio
                .traces()
                .unwrap_err()
                .to_string()
                .contains("from 0 to 1")
        );
    }
}
