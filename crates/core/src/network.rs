//! Networks as an operator writes them: an address and how many of its bits count (RFC 4632).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    bits: u8,
}

/// Why a text is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// It has another form.
    #[error("it is an address and a length, such as 10.0.0.0/8, fd00::/8 or 10.1.2.3")]
    Unreadable,
    /// It has more bits than its address.
    #[error("the length is at most {0}")]
    TooLong(u8),
    /// The address has bits beyond the length, so that one of them is not what was meant.
    #[error("the address has bits beyond the length; write {0}, or a greater length")]
    BitsBeyond(Network),
}

impl Network {
    /// This machine's own addresses.
    pub const LOOPBACK: [Self; 2] = [
        Self {
            first: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)),
            bits: 8,
        },
        Self {
            first: IpAddr::V6(Ipv6Addr::LOCALHOST),
            bits: 128,
        },
    ];

    /// Whether an address is in it. One of IPv4 is never in a network of IPv6.
    pub fn contains(&self, ip: IpAddr) -> bool {
        masked(ip, self.bits) == Some(self.first)
    }
}

/// The first address of the network of so many bits that this address is in; none where it has fewer.
fn masked(ip: IpAddr, bits: u8) -> Option<IpAddr> {
    let bits = u32::from(bits);
    Some(match ip {
        IpAddr::V4(ip) => {
            let beyond = u32::BITS.checked_sub(bits)?;
            let mask = u32::MAX.checked_shl(beyond).unwrap_or(0);
            Ipv4Addr::from_bits(ip.to_bits() & mask).into()
        }
        IpAddr::V6(ip) => {
            let beyond = u128::BITS.checked_sub(bits)?;
            let mask = u128::MAX.checked_shl(beyond).unwrap_or(0);
            Ipv6Addr::from_bits(ip.to_bits() & mask).into()
        }
    })
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, bits) = match text.trim().split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text.trim(), None),
        };
        let ip: IpAddr = address.parse().map_err(|_| NetworkError::Unreadable)?;
        let most = if ip.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().map_err(|_| NetworkError::Unreadable)?,
            None => most,
        };
        let first = masked(ip, bits).filter(|_| bits <= most);
        let first = first.ok_or(NetworkError::TooLong(most))?;
        let network = Self { first, bits };
        if first == ip {
            Ok(network)
        } else {
            Err(NetworkError::BitsBeyond(network))
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.first, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_in_the_network_that_it_begins_like() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("172.16.0.0/12", "172.31.0.1", "172.32.0.0"),
            ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
            ("0.0.0.0/0", "8.8.8.8", "::1"),
            ("fd00::/8", "fdff::1", "fc00::1"),
            ("::1/128", "::1", "::2"),
            ("::/0", "::1", "127.0.0.1"),
        ] {
            let network = network(text);
            assert!(network.contains(inside.parse().unwrap()), "{text}");
            assert!(!network.contains(outside.parse().unwrap()), "{text}");
        }
        assert_eq!(network(" 10.1.2.3 ").to_string(), "10.1.2.3/32");
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_can() {
        let refused = |text: &str| text.parse::<Network>().unwrap_err();
        for text in [
            "",
            "10/8",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "10.0.0.0/x",
            "example.com",
            "::/999",
        ] {
            assert_eq!(refused(text), NetworkError::Unreadable, "{text}");
        }
        assert_eq!(refused("10.0.0.0/33"), NetworkError::TooLong(32));
        assert_eq!(refused("fd00::/129"), NetworkError::TooLong(128));
        let beyond = NetworkError::BitsBeyond(network("10.0.0.0/8"));
        assert_eq!(refused("10.1.2.3/8"), beyond);
        assert!(beyond.to_string().contains("write 10.0.0.0/8"), "{beyond}");
    }
}
