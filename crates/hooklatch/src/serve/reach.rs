//! How far requests may go: the public internet, and the networks that the operator names.

use hooklatch_core::address::Reach;
use hooklatch_core::network::Network;

use super::settings::SettingsError;

/// Networks that can be named.
const NETWORKS_MAX: usize = 64;

/// What flags and environment say of it.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ReachArgs {
    /// Allow endpoints in this network, such as 10.1.0.0/16, for services of your own behind the
    /// gateway; several are separated by commas. Whoever has an API key reaches all that listens there
    /// [default: the public internet only]
    #[arg(
        long,
        value_name = "NETWORK",
        value_delimiter = ',',
        env = "HOOKLATCH_ALLOW_NETWORK"
    )]
    pub allow_network: Vec<String>,
}

/// The networks, checked.
pub(super) fn networks(texts: &[String]) -> Result<Vec<Network>, SettingsError> {
    let texts = texts.iter().filter(|text| !text.trim().is_empty());
    let networks = texts.map(|text| {
        text.parse().map_err(|wrong| SettingsError::Network {
            value: text.clone(),
            wrong,
        })
    });
    let networks: Vec<Network> = networks.collect::<Result<_, _>>()?;
    if networks.len() > NETWORKS_MAX {
        return Err(SettingsError::Value {
            name: "allow_network",
            value: format!("{} networks", networks.len()),
            hint: "at most 64 can be named; name the ones around them",
        });
    }
    Ok(networks)
}

/// How far requests may go. What is named is kept for as long as the process lives.
pub(super) fn reach(dev: bool, networks: &[Network]) -> Reach {
    match (dev, networks) {
        (false, []) => Reach::PublicOnly,
        (true, []) => Reach::LoopbackToo,
        (dev, named) => {
            let loopback = Network::LOOPBACK.into_iter().filter(|_| dev);
            let all: Vec<Network> = named.iter().copied().chain(loopback).collect();
            Reach::Networks(all.leak())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use hooklatch_core::address::refuse_ip;

    use super::*;

    #[test]
    fn a_network_that_is_none_is_named_with_what_should_stand_there() {
        let error = networks(&["10.0.0.0/8".into(), "10.1.0.0/8".into()]).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("allow_network is \"10.1.0.0/8\": "),
            "{text}"
        );
        assert!(text.contains("write 10.0.0.0/8"), "{text}");
        assert!(networks(&vec!["10.0.0.1".into(); 65]).is_err());
        assert!(networks(&[String::new()]).unwrap().is_empty());
    }

    #[test]
    fn dev_opens_loopback_beside_the_networks() {
        let named = networks(&["10.0.0.0/8".into()]).unwrap();
        let (home, house): (IpAddr, IpAddr) =
            ("127.0.0.1".parse().unwrap(), "10.0.0.1".parse().unwrap());
        assert_eq!(refuse_ip(house, reach(false, &named)), None);
        assert!(refuse_ip(home, reach(false, &named)).is_some());
        assert_eq!(refuse_ip(home, reach(true, &named)), None);
        assert_eq!(reach(false, &[]), Reach::PublicOnly);
        assert_eq!(reach(true, &[]), Reach::LoopbackToo);
    }
}
