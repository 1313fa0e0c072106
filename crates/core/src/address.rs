//! Which addresses an endpoint may have.
//!
//! Whoever can set an endpoint's URL decides where our requests go. Without a guard they could
//! reach what only this machine can reach: its own services, the private network, the cloud's
//! metadata service with its credentials. So the same rules are asked twice: [`check_url`] when an
//! endpoint is saved, which spares people a surprise later, and [`refuse_ip`] at every connect, on
//! the very address that is dialled, which is what keeps us safe. A name proves nothing: its
//! answer may change between the two.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use crate::network::Network;

/// Longest URL of an endpoint, in bytes.
pub const URL_BYTES_MAX: usize = 2_048;

/// How far requests may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// Addresses of the public internet only.
    #[default]
    PublicOnly,
    /// Addresses of this machine's loopback as well (`--dev`); everything else stays refused.
    LoopbackToo,
    /// Addresses in these networks as well, which the operator names when the gateway starts
    /// (`--allow-network`). What is no place for an endpoint in any network stays refused.
    Networks(&'static [Network]),
}

/// Why an address is not a public one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressKind {
    /// This machine itself.
    Loopback,
    /// A private network (RFC 1918, unique local IPv6, the old site-local IPv6).
    Private,
    /// The range that providers share behind their own address translation (100.64.0.0/10).
    Shared,
    /// Reachable on the same link only.
    LinkLocal,
    /// The service from which cloud machines read their credentials.
    Metadata,
    /// No address at all; many systems take it for loopback.
    Unspecified,
    /// A group of machines.
    Multicast,
    /// Every machine on the link.
    Broadcast,
    /// Set aside for examples.
    Documentation,
    /// Set aside for measurements of network equipment.
    Benchmarking,
    /// An IPv6 address that wraps an IPv4 one and may lead around every other rule.
    Tunnel,
    /// Set aside by the standards for something else.
    Reserved,
    /// A name that only a local network resolves.
    LocalName,
}

/// A host that requests may not be sent to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host} is {}; {}", .kind.described(), .kind.remedy())]
pub struct AddressRefusal {
    /// The address or the name, as it would be dialled.
    pub host: String,
    /// What is wrong with it.
    pub kind: AddressKind,
}

/// Why a URL cannot be an endpoint's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlRefusal {
    /// It is longer than [`URL_BYTES_MAX`].
    #[error("the URL is longer than {URL_BYTES_MAX} bytes; shorten it")]
    TooLong,
    /// It does not parse.
    #[error("the URL cannot be read ({0}); write it as https://host/path")]
    Unreadable(#[from] url::ParseError),
    /// Its scheme is neither `http` nor `https`.
    #[error("the URL's scheme is neither http nor https; use one of them")]
    Scheme,
    /// It names no host.
    #[error("the URL names no host; write it as https://host/path")]
    NoHost,
    /// Its host cannot be the name of a TLS server, or its path cannot be sent.
    #[error("the URL cannot be sent over HTTP; percent-encode unusual characters")]
    Unsendable,
    /// It carries a user name or a password, which would end up in logs.
    #[error("the URL holds a user name or a password; put credentials into the endpoint's headers")]
    UserInfo,
    /// It has a part after `#`, which is never sent.
    #[error("the URL has a fragment (#…), which is never sent; remove it")]
    Fragment,
    /// Its port is 0.
    #[error("the URL's port is 0, where nothing can listen; name another port")]
    PortZero,
    /// Its host is one that requests may not be sent to.
    #[error(transparent)]
    Address(#[from] AddressRefusal),
}

// The first range that holds an address names its kind, so single addresses stand before the
// ranges around them. From the IANA registries of special-purpose addresses; the metadata
// addresses are those of AWS, Google Cloud, Azure, Alibaba Cloud and Oracle Cloud.
const V4_RANGES: &[(Ipv4Addr, u32, AddressKind)] = &[
    (Ipv4Addr::new(169, 254, 169, 254), 32, AddressKind::Metadata),
    (Ipv4Addr::new(169, 254, 170, 2), 32, AddressKind::Metadata),
    (Ipv4Addr::new(169, 254, 170, 23), 32, AddressKind::Metadata),
    (Ipv4Addr::new(100, 100, 100, 200), 32, AddressKind::Metadata),
    (Ipv4Addr::new(168, 63, 129, 16), 32, AddressKind::Metadata),
    (Ipv4Addr::new(192, 0, 0, 192), 32, AddressKind::Metadata),
    (Ipv4Addr::BROADCAST, 32, AddressKind::Broadcast),
    (Ipv4Addr::new(0, 0, 0, 0), 8, AddressKind::Unspecified),
    (Ipv4Addr::new(10, 0, 0, 0), 8, AddressKind::Private),
    (Ipv4Addr::new(100, 64, 0, 0), 10, AddressKind::Shared),
    (Ipv4Addr::new(127, 0, 0, 0), 8, AddressKind::Loopback),
    (Ipv4Addr::new(169, 254, 0, 0), 16, AddressKind::LinkLocal),
    (Ipv4Addr::new(172, 16, 0, 0), 12, AddressKind::Private),
    (Ipv4Addr::new(192, 0, 0, 0), 24, AddressKind::Reserved),
    (Ipv4Addr::new(192, 0, 2, 0), 24, AddressKind::Documentation),
    (Ipv4Addr::new(192, 88, 99, 0), 24, AddressKind::Tunnel),
    (Ipv4Addr::new(192, 168, 0, 0), 16, AddressKind::Private),
    (Ipv4Addr::new(198, 18, 0, 0), 15, AddressKind::Benchmarking),
    (
        Ipv4Addr::new(198, 51, 100, 0),
        24,
        AddressKind::Documentation,
    ),
    (
        Ipv4Addr::new(203, 0, 113, 0),
        24,
        AddressKind::Documentation,
    ),
    (Ipv4Addr::new(224, 0, 0, 0), 4, AddressKind::Multicast),
    (Ipv4Addr::new(240, 0, 0, 0), 4, AddressKind::Reserved),
];

const V6_RANGES: &[(Ipv6Addr, u32, AddressKind)] = &[
    (v6([0xfd00, 0xec2], 0x254), 128, AddressKind::Metadata),
    (v6([0xfd00, 0xec2], 0x23), 128, AddressKind::Metadata),
    (v6([0xfd20, 0xce], 0x254), 128, AddressKind::Metadata),
    (Ipv6Addr::UNSPECIFIED, 128, AddressKind::Unspecified),
    (Ipv6Addr::LOCALHOST, 128, AddressKind::Loopback),
    // IPv4-compatible and IPv4-translated (::ffff:0:a.b.c.d), local NAT64, Teredo, 6to4.
    (Ipv6Addr::UNSPECIFIED, 96, AddressKind::Tunnel),
    (
        Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0),
        96,
        AddressKind::Tunnel,
    ),
    (
        Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0),
        48,
        AddressKind::Tunnel,
    ),
    (v6([0x2001, 0], 0), 32, AddressKind::Tunnel),
    (v6([0x2002, 0], 0), 16, AddressKind::Tunnel),
    (v6([0x2001, 2], 0), 48, AddressKind::Benchmarking),
    (v6([0x2001, 0xdb8], 0), 32, AddressKind::Documentation),
    (v6([0x3fff, 0], 0), 20, AddressKind::Documentation),
    (v6([0x2001, 0], 0), 23, AddressKind::Reserved),
    (v6([0xfc00, 0], 0), 7, AddressKind::Private),
    (v6([0xfe80, 0], 0), 10, AddressKind::LinkLocal),
    (v6([0xfec0, 0], 0), 10, AddressKind::Private),
    (v6([0xff00, 0], 0), 8, AddressKind::Multicast),
];

/// All that has been given out as global unicast; what lies outside is not the public internet.
const V6_GLOBAL: (Ipv6Addr, u32) = (v6([0x2000, 0], 0), 3);
/// The well-known prefix of NAT64. Networks without IPv4 reach every IPv4 endpoint through it, so
/// it is judged by the address inside.
const V6_NAT64: (Ipv6Addr, u32) = (v6([0x64, 0xff9b], 0), 96);

const METADATA_NAMES: &[&str] = &[
    "instance-data",
    "metadata",
    "metadata.goog",
    "metadata.google.internal",
];
const LOCAL_SUFFIXES: &[&str] = &[
    "internal",
    "local",
    "localdomain",
    "lan",
    "intranet",
    "home.arpa",
];

/// Whether a request may not be sent to `ip`, and why.
pub fn refuse_ip(ip: IpAddr, reach: Reach) -> Option<AddressRefusal> {
    let ip = ip.to_canonical();
    let kind = match ip {
        IpAddr::V4(v4) => kind_of_v4(v4),
        IpAddr::V6(v6) => kind_of_v6(v6),
    }?;
    let opened = match reach {
        Reach::PublicOnly => false,
        Reach::LoopbackToo => kind == AddressKind::Loopback,
        Reach::Networks(networks) => kind.can_be_opened() && holds(networks, ip),
    };
    (!opened).then(|| AddressRefusal {
        host: ip.to_string(),
        kind,
    })
}

fn holds(networks: &[Network], ip: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(ip))
}

/// Whether a request may not be sent to the host called `name`, whatever it resolves to. A name
/// that passes proves nothing: its addresses are judged when they are known.
pub fn refuse_name(name: &str, reach: Reach) -> Option<AddressRefusal> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let kind = if is_or_ends_in(&name, "localhost") {
        AddressKind::Loopback
    } else if METADATA_NAMES.contains(&name.as_str()) {
        AddressKind::Metadata
    } else if LOCAL_SUFFIXES
        .iter()
        .any(|suffix| is_or_ends_in(&name, suffix))
    {
        AddressKind::LocalName
    } else {
        return None;
    };
    let opened = match reach {
        Reach::PublicOnly => false,
        Reach::LoopbackToo => kind == AddressKind::Loopback,
        // What a local name resolves to has to be in them.
        Reach::Networks(networks) => {
            kind == AddressKind::LocalName
                || (kind == AddressKind::Loopback
                    && (holds(networks, Ipv4Addr::LOCALHOST.into())
                        || holds(networks, Ipv6Addr::LOCALHOST.into())))
        }
    };
    (!opened).then_some(AddressRefusal { host: name, kind })
}

/// Checks an endpoint's URL when it is saved.
pub fn check_url(url: &str, reach: Reach) -> Result<Url, UrlRefusal> {
    let url = parse_url(url)?;
    let refusal = match url.host() {
        None => return Err(UrlRefusal::NoHost),
        Some(Host::Ipv4(ip)) => refuse_ip(ip.into(), reach),
        Some(Host::Ipv6(ip)) => refuse_ip(ip.into(), reach),
        Some(Host::Domain(name)) => refuse_name(name, reach),
    };
    match refusal {
        Some(refusal) => Err(refusal.into()),
        None => Ok(url),
    }
}

/// Reads a URL that has the form of an endpoint's, without judging where it leads. The parser
/// brings every spelling of an IPv4 address (`2130706433`, `0x7f.1`, `0177.0.0.1`) to one.
pub fn parse_url(url: &str) -> Result<Url, UrlRefusal> {
    if url.len() > URL_BYTES_MAX {
        return Err(UrlRefusal::TooLong);
    }
    let url = Url::parse(url)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(UrlRefusal::Scheme);
    }
    if url
        .host_str()
        .is_none_or(|host| host.trim_end_matches('.').is_empty())
    {
        return Err(UrlRefusal::NoHost);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlRefusal::UserInfo);
    }
    if url.fragment().is_some() {
        return Err(UrlRefusal::Fragment);
    }
    if url.port() == Some(0) {
        return Err(UrlRefusal::PortZero);
    }
    Ok(url)
}

fn kind_of_v4(ip: Ipv4Addr) -> Option<AddressKind> {
    let range = V4_RANGES
        .iter()
        .find(|(start, bits, _)| (ip.to_bits() ^ start.to_bits()) >> (32 - bits) == 0)?;
    Some(range.2)
}

fn kind_of_v6(ip: Ipv6Addr) -> Option<AddressKind> {
    if in_v6(ip, V6_NAT64) {
        // Even loopback inside is not ours but the translator's, so `--dev` does not open it.
        let inside = Ipv4Addr::from_bits((ip.to_bits() & u128::from(u32::MAX)) as u32);
        return kind_of_v4(inside).map(|_| AddressKind::Tunnel);
    }
    let range = V6_RANGES
        .iter()
        .find(|(start, bits, _)| in_v6(ip, (*start, *bits)));
    match range {
        Some((_, _, kind)) => Some(*kind),
        None if in_v6(ip, V6_GLOBAL) => None,
        None => Some(AddressKind::Reserved),
    }
}

fn in_v6(ip: Ipv6Addr, (start, bits): (Ipv6Addr, u32)) -> bool {
    (ip.to_bits() ^ start.to_bits()) >> (128 - bits) == 0
}

const fn v6(first: [u16; 2], last: u16) -> Ipv6Addr {
    Ipv6Addr::new(first[0], first[1], 0, 0, 0, 0, 0, last)
}

fn is_or_ends_in(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

impl AddressKind {
    /// Whether an operator can have endpoints at such an address.
    fn can_be_opened(self) -> bool {
        match self {
            Self::Loopback
            | Self::Private
            | Self::Shared
            | Self::LinkLocal
            | Self::Documentation
            | Self::Benchmarking
            | Self::Reserved => true,
            Self::Metadata
            | Self::Unspecified
            | Self::Multicast
            | Self::Broadcast
            | Self::Tunnel
            | Self::LocalName => false,
        }
    }

    fn described(self) -> &'static str {
        match self {
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::Shared => "an address shared behind a provider's NAT",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "a cloud metadata address",
            Self::Unspecified => "an unspecified address",
            Self::Multicast => "a multicast address",
            Self::Broadcast => "a broadcast address",
            Self::Documentation => "an address set aside for examples",
            Self::Benchmarking => "an address set aside for benchmarks",
            Self::Tunnel => "an IPv6 address that hides an IPv4 address",
            Self::Reserved => "a reserved address",
            Self::LocalName => "a name of a local network",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Loopback => "start with --dev to allow it",
            Self::Metadata => "it is never allowed",
            Self::Private
            | Self::Shared
            | Self::LinkLocal
            | Self::Documentation
            | Self::Benchmarking
            | Self::Reserved
            | Self::LocalName => {
                "use a host that the public internet can reach, or have the operator start with \
                 --allow-network"
            }
            Self::Unspecified | Self::Multicast | Self::Broadcast | Self::Tunnel => {
                "use a host that the public internet can reach"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AddressKind::{self, *};
    use super::*;

    const ADDRESSES: &[(&str, Option<AddressKind>)] = &[
        ("0.0.0.0", Some(Unspecified)),
        ("0.1.2.3", Some(Unspecified)),
        ("10.0.0.0", Some(Private)),
        ("10.255.255.255", Some(Private)),
        ("100.63.255.255", None),
        ("100.64.0.0", Some(Shared)),
        ("100.100.100.200", Some(Metadata)),
        ("100.127.255.255", Some(Shared)),
        ("100.128.0.0", None),
        ("127.0.0.1", Some(Loopback)),
        ("127.255.255.254", Some(Loopback)),
        ("128.0.0.1", None),
        ("168.63.129.16", Some(Metadata)),
        ("168.63.129.17", None),
        ("169.254.0.1", Some(LinkLocal)),
        ("169.254.169.254", Some(Metadata)),
        ("169.254.169.253", Some(LinkLocal)),
        ("169.254.170.2", Some(Metadata)),
        ("169.254.170.23", Some(Metadata)),
        ("172.15.255.255", None),
        ("172.16.0.1", Some(Private)),
        ("172.31.255.255", Some(Private)),
        ("172.32.0.0", None),
        ("192.0.0.8", Some(Reserved)),
        ("192.0.0.192", Some(Metadata)),
        ("192.0.1.1", None),
        ("192.0.2.1", Some(Documentation)),
        ("192.88.99.1", Some(Tunnel)),
        ("192.167.255.255", None),
        ("192.168.1.1", Some(Private)),
        ("192.169.0.0", None),
        ("198.17.255.255", None),
        ("198.18.0.1", Some(Benchmarking)),
        ("198.19.255.255", Some(Benchmarking)),
        ("198.51.100.7", Some(Documentation)),
        ("203.0.113.9", Some(Documentation)),
        ("224.0.0.1", Some(Multicast)),
        ("239.255.255.255", Some(Multicast)),
        ("240.0.0.1", Some(Reserved)),
        ("255.255.255.255", Some(Broadcast)),
        ("1.1.1.1", None),
        ("8.8.8.8", None),
        ("::", Some(Unspecified)),
        ("::1", Some(Loopback)),
        ("::2", Some(Tunnel)),
        ("::127.0.0.1", Some(Tunnel)),
        ("::8.8.8.8", Some(Tunnel)),
        ("::ffff:127.0.0.1", Some(Loopback)),
        ("::ffff:10.0.0.1", Some(Private)),
        ("::ffff:169.254.169.254", Some(Metadata)),
        ("::ffff:8.8.8.8", None),
        ("::ffff:0:127.0.0.1", Some(Tunnel)),
        ("64:ff9b::7f00:1", Some(Tunnel)),
        ("64:ff9b::a9fe:a9fe", Some(Tunnel)),
        ("64:ff9b::a00:1", Some(Tunnel)),
        ("64:ff9b::808:808", None),
        ("64:ff9b:1::808:808", Some(Tunnel)),
        ("64:ff9b:0:1::1", Some(Reserved)),
        ("100::1", Some(Reserved)),
        ("2001::1", Some(Tunnel)),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", Some(Tunnel)),
        ("2001:2::1", Some(Benchmarking)),
        ("2001:20::1", Some(Reserved)),
        ("2001:db8::1", Some(Documentation)),
        ("2001:200::1", None),
        ("2001:4860:4860::8888", None),
        ("2002:7f00:1::", Some(Tunnel)),
        ("2002:808:808::1", Some(Tunnel)),
        ("2606:4700:4700::1111", None),
        ("3fff::1", Some(Documentation)),
        ("3fff:1000::1", None),
        ("4000::1", Some(Reserved)),
        ("5f00::1", Some(Reserved)),
        ("fc00::1", Some(Private)),
        ("fd12:3456::1", Some(Private)),
        ("fd00:ec2::254", Some(Metadata)),
        ("fd00:ec2::23", Some(Metadata)),
        ("fd20:ce::254", Some(Metadata)),
        ("fe80::1", Some(LinkLocal)),
        ("febf::1", Some(LinkLocal)),
        ("fec0::1", Some(Private)),
        ("ff02::1", Some(Multicast)),
    ];

    const NAMES: &[(&str, Option<AddressKind>)] = &[
        ("localhost", Some(Loopback)),
        ("LOCALHOST.", Some(Loopback)),
        ("app.localhost", Some(Loopback)),
        ("notlocalhost", None),
        ("localhost.example.com", None),
        ("metadata", Some(Metadata)),
        ("metadata.google.internal", Some(Metadata)),
        ("Metadata.Google.Internal..", Some(Metadata)),
        ("metadata.goog", Some(Metadata)),
        ("db.internal", Some(LocalName)),
        ("internal", Some(LocalName)),
        ("printer.local", Some(LocalName)),
        ("localhost.localdomain", Some(LocalName)),
        ("nas.home.arpa", Some(LocalName)),
        ("internal.example.com", None),
        ("local.example.com.", None),
        ("example.com", None),
    ];

    /// Every spelling of a refused address that a URL parser lets pass.
    const SPELLINGS: &[(&str, AddressKind)] = &[
        ("http://127.0.0.1/", Loopback),
        ("http://127.0.0.1./", Loopback),
        ("http://127.1/", Loopback),
        ("http://127.0.1/", Loopback),
        ("http://2130706433/", Loopback),
        ("http://0x7f000001/", Loopback),
        ("http://0x7F.1/", Loopback),
        ("http://0x7f.0x0.0x0.0x1/", Loopback),
        ("http://0177.0.0.1/", Loopback),
        ("http://017700000001/", Loopback),
        ("http://%31%32%37.0.0.1/", Loopback),
        ("http://①②⑦.⓪.⓪.①/", Loopback),
        ("http://127。0。0。1/", Loopback),
        ("http:\\\\127.0.0.1\\", Loopback),
        ("http:127.0.0.1", Loopback),
        ("\thttp://127.0.\n0.1/", Loopback),
        ("http://[::1]/", Loopback),
        ("http://[0:0:0:0:0:0:0:1]/", Loopback),
        ("http://[::ffff:127.0.0.1]/", Loopback),
        ("http://[::ffff:7f00:1]/", Loopback),
        ("http://LOCALHOST/", Loopback),
        ("http://localhost./", Loopback),
        ("http://ｌocalhost/", Loopback),
        ("http://local%68ost:8080/", Loopback),
        ("http://0/", Unspecified),
        ("http://[::]/", Unspecified),
        ("http://0xa9fea9fe/", Metadata),
        ("http://2852039166/latest/", Metadata),
        ("http://0251.0376.0251.0376/", Metadata),
        ("http://[::ffff:a9fe:a9fe]/", Metadata),
        ("http://[fd00:ec2::254]/", Metadata),
        ("http://[64:ff9b::a9fe:a9fe]/", Tunnel),
        ("http://10.1/", Private),
        ("http://192.168.257/", Private),
        ("https://printer.local/", LocalName),
    ];

    fn kind(refusal: Option<AddressRefusal>) -> Option<AddressKind> {
        refusal.map(|refusal| refusal.kind)
    }

    #[test]
    fn every_address_that_is_not_public_is_refused_for_its_reason() {
        for (address, expected) in ADDRESSES {
            let ip = address.parse().unwrap();
            assert_eq!(
                kind(refuse_ip(ip, Reach::PublicOnly)),
                *expected,
                "{address}"
            );
        }
        for (name, expected) in NAMES {
            assert_eq!(
                kind(refuse_name(name, Reach::PublicOnly)),
                *expected,
                "{name}"
            );
        }
    }

    #[test]
    fn dev_opens_loopback_and_nothing_else() {
        let open = |expected: &Option<AddressKind>| expected.filter(|kind| *kind != Loopback);
        for (address, expected) in ADDRESSES {
            let ip = address.parse().unwrap();
            assert_eq!(
                kind(refuse_ip(ip, Reach::LoopbackToo)),
                open(expected),
                "{address}"
            );
        }
        for (name, expected) in NAMES {
            assert_eq!(
                kind(refuse_name(name, Reach::LoopbackToo)),
                open(expected),
                "{name}"
            );
        }
    }

    fn reach(networks: &[&str]) -> Reach {
        let networks: Vec<Network> = networks.iter().map(|it| it.parse().unwrap()).collect();
        Reach::Networks(networks.leak())
    }

    #[test]
    fn a_network_that_is_named_is_open_and_nothing_else() {
        let reach = reach(&["10.1.0.0/16", "fd00:1::/32"]);
        let refused = |ip: &str| kind(refuse_ip(ip.parse().unwrap(), reach));
        for open in ["10.1.2.3", "::ffff:10.1.2.3", "fd00:1::7", "8.8.8.8"] {
            assert_eq!(refused(open), None, "{open}");
        }
        for shut in ["10.2.0.1", "192.168.1.1", "fd00:2::7"] {
            assert_eq!(refused(shut), Some(Private), "{shut}");
        }
        assert_eq!(refused("127.0.0.1"), Some(Loopback));
        assert_eq!(refused("64:ff9b::a01:203"), Some(Tunnel));
        let name = |name: &str| kind(refuse_name(name, reach));
        assert_eq!(name("orders.shop.svc.cluster.local"), None);
        assert_eq!(name("localhost"), Some(Loopback));
        assert_eq!(name("metadata.google.internal"), Some(Metadata));
    }

    #[test]
    fn whatever_is_named_no_place_for_an_endpoint_is_opened() {
        let reach = reach(&["0.0.0.0/0", "::/0"]);
        for (address, expected) in ADDRESSES {
            let ip = address.parse().unwrap();
            let shut = expected.filter(|kind| !kind.can_be_opened());
            assert_eq!(kind(refuse_ip(ip, reach)), shut, "{address}");
        }
        for (name, expected) in NAMES {
            let shut = expected.filter(|kind| *kind == Metadata);
            assert_eq!(kind(refuse_name(name, reach)), shut, "{name}");
        }
    }

    #[test]
    fn every_spelling_of_a_refused_host_is_refused() {
        for (url, expected) in SPELLINGS {
            match check_url(url, Reach::PublicOnly) {
                Err(UrlRefusal::Address(refusal)) => assert_eq!(refusal.kind, *expected, "{url}"),
                other => panic!("{url}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_url_must_have_the_form_of_an_endpoint() {
        let check = |url: &str| check_url(url, Reach::PublicOnly).unwrap_err();
        assert_eq!(check("ftp://example.com/"), UrlRefusal::Scheme);
        assert_eq!(check("file:///etc/passwd"), UrlRefusal::Scheme);
        assert_eq!(check("https://user@example.com/"), UrlRefusal::UserInfo);
        assert_eq!(check("https://:pw@example.com/"), UrlRefusal::UserInfo);
        assert_eq!(check("https://example.com/#top"), UrlRefusal::Fragment);
        assert_eq!(check("https://example.com:0/"), UrlRefusal::PortZero);
        assert_eq!(check("https://./"), UrlRefusal::NoHost);
        assert!(matches!(check("https://"), UrlRefusal::Unreadable(_)));
        assert!(matches!(check("example.com"), UrlRefusal::Unreadable(_)));
        assert!(matches!(
            check("https://256.256.256.256/"),
            UrlRefusal::Unreadable(_)
        ));
        let longest = format!("https://example.com/{}", "a".repeat(URL_BYTES_MAX - 20));
        assert!(check_url(&longest, Reach::PublicOnly).is_ok());
        assert_eq!(check(&format!("{longest}a")), UrlRefusal::TooLong);
    }

    #[test]
    fn an_ordinary_url_passes_and_keeps_its_parts() {
        let url = check_url(
            "HTTPS://Hooks.Example.com:8443/in?x=1%202",
            Reach::PublicOnly,
        )
        .unwrap();
        assert_eq!(url.as_str(), "https://hooks.example.com:8443/in?x=1%202");
        assert!(check_url("http://[2606:4700::1111]/", Reach::PublicOnly).is_ok());
        assert!(check_url("http://localhost:3000/", Reach::LoopbackToo).is_ok());
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let refused = |url: &str| check_url(url, Reach::PublicOnly).unwrap_err().to_string();
        assert_eq!(
            refused("http://0x7f.1/"),
            "127.0.0.1 is a loopback address; start with --dev to allow it"
        );
        assert_eq!(
            refused("http://10.0.0.1/"),
            "10.0.0.1 is a private address; use a host that the public internet can reach, or have \
             the operator start with --allow-network"
        );
        assert_eq!(
            refused("http://169.254.169.254/"),
            "169.254.169.254 is a cloud metadata address; it is never allowed"
        );
    }
}
