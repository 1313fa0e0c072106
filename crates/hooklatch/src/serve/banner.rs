//! What a person sees when the gateway is up.

use std::fmt::Write;
use std::net::SocketAddr;

use hooklatch_core::network::Network;
use hooklatch_core::secret::Secret;

use super::place::Place;
use super::settings::{LogFormat, Settings};

/// The banner. A key that this start has made is in it, and nowhere else.
pub(crate) fn text(settings: &Settings, address: SocketAddr, first_key: Option<&Secret>) -> String {
    let mut lines = Vec::new();
    match settings.log_format {
        LogFormat::Text => about(&mut lines, settings, address),
        // Machines read the same from the log.
        LogFormat::Json => {}
    }
    if let Some(key) = first_key {
        lines.push(("API key", key.expose().to_owned()));
        lines.push((
            "",
            "shown this once; every call of the API needs it".to_owned(),
        ));
    }
    if lines.is_empty() {
        return String::new();
    }
    let mut text = format!("hooklatch {}\n", env!("CARGO_PKG_VERSION"));
    for (label, value) in lines {
        writeln!(text, "  {label:<10}{value}").expect("a string takes everything");
    }
    text
}

fn about(lines: &mut Vec<(&'static str, String)>, settings: &Settings, address: SocketAddr) {
    lines.push(("listening", format!("{}://{address}", scheme(settings))));
    lines.push(("dashboard", format!("{}/", dashboard(settings, address))));
    lines.push(("data", settings.place.to_string()));
    if let Some(url) = &settings.public_url {
        lines.push(("public", url.clone()));
    }
    if settings.dev {
        lines.push(("dev", "endpoints on this machine are allowed".to_owned()));
    }
    if !settings.networks.is_empty() {
        let networks: Vec<String> = settings.networks.iter().map(Network::to_string).collect();
        lines.push(("allowed", format!("endpoints in {}", networks.join(", "))));
    }
}

/// Where a browser finds the dashboard.
fn dashboard(settings: &Settings, address: SocketAddr) -> String {
    match &settings.public_url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("{}://{address}", scheme(settings)),
    }
}

fn scheme(settings: &Settings) -> &'static str {
    match settings.tls {
        Some(_) => "https",
        None => "http",
    }
}

/// What is dangerous about these settings.
pub(crate) fn warnings(settings: &Settings, address: SocketAddr) -> Vec<&'static str> {
    let mut warnings = Vec::new();
    if settings.dev && !address.ip().is_loopback() {
        warnings.push(
            "--dev on an address that others reach: whoever has an API key reaches every service \
             of this machine",
        );
    }
    if matches!(settings.place, Place::Memory) {
        warnings.push("everything is kept in memory, and is lost when this process ends");
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ServeArgs;

    fn settings(listen: &str, dev: bool) -> Settings {
        let arguments = ServeArgs {
            listen: Some(listen.into()),
            dev: Some(dev),
            ..ServeArgs::default()
        };
        Settings::gather(arguments, |_| None).unwrap()
    }

    #[test]
    fn a_new_key_is_shown_in_every_format() {
        let address = "127.0.0.1:1".parse().unwrap();
        let key = Secret::from("hl_new");
        let mut settings = settings("127.0.0.1:1", false);
        let shown = text(&settings, address, Some(&key));
        assert!(
            shown.contains("  listening http://127.0.0.1:1\n"),
            "{shown}"
        );
        assert!(
            shown.contains("  dashboard http://127.0.0.1:1/\n"),
            "{shown}"
        );
        assert!(shown.contains("  API key   hl_new\n"), "{shown}");
        assert!(!text(&settings, address, None).contains("API key"));
        settings.log_format = LogFormat::Json;
        assert!(text(&settings, address, Some(&key)).contains("hl_new"));
        assert_eq!(text(&settings, address, None), "");
    }

    #[test]
    fn dev_on_an_open_address_is_warned_of() {
        let cases = [
            ("0.0.0.0:1", true, true),
            ("[::]:1", true, true),
            ("0.0.0.0:1", false, false),
            ("127.0.0.1:1", true, false),
            ("[::1]:1", true, false),
        ];
        for (listen, dev, warned) in cases {
            let warnings = warnings(&settings(listen, dev), listen.parse().unwrap());
            assert_eq!(!warnings.is_empty(), warned, "{listen} {dev}");
        }
    }

    #[test]
    fn what_is_lost_at_the_end_is_warned_of() {
        let arguments = ServeArgs {
            in_memory: Some(true),
            ..ServeArgs::default()
        };
        let settings = Settings::gather(arguments, |_| None).unwrap();
        let address = "127.0.0.1:1".parse().unwrap();
        let shown = text(&settings, address, None);
        assert!(shown.contains("  data      memory\n"), "{shown}");
        let [warning] = warnings(&settings, address)[..] else {
            panic!("one is enough");
        };
        assert!(warning.contains("lost when this process ends"), "{warning}");
    }
}
