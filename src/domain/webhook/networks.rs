//! The addresses that may be posted to: those of the open Internet, and the networks that the configuration adds.
//!
//! The creator of an endpoint chooses the address that this service connects to. Without a guard that could be the
//! service's own network: a database, a neighbour, or the metadata of the machine, which gives credentials away.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Networks that may be posted to although they are not part of the open Internet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Creates a list of networks.
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self(networks.into_iter().collect())
    }

    /// Returns whether the configuration adds no network.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether an address is in one of the networks.
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Returns whether an address may be posted to: with TLS any of the open Internet, without TLS only the added
    /// networks.
    pub fn allow(&self, address: IpAddr, tls: bool) -> bool {
        self.contain(address) || tls && is_global(address)
    }
}

/// IPv4 networks that are not routed on the open Internet, or that clouds use for their own machines.
const CLOSED_V4: [Ipv4Net; 17] = [
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    // The network contains the metadata of AWS, Google and Azure.
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 2, 0], 24),
    v4([192, 88, 99, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    // The address is formally public; Azure's machines reach their host by it.
    v4([168, 63, 129, 16], 32),
    v4([224, 0, 0, 0], 4),
    v4([240, 0, 0, 0], 4),
    v4([255, 255, 255, 255], 32),
];

/// The only part of IPv6 that is assigned to the open Internet.
const OPEN_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// The networks in that part that are not routed: protocols (Teredo and benchmarking among them) and two for
/// documentation.
const CLOSED_V6: [Ipv6Net; 3] = [
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
];

/// Translation to IPv4: the last four bytes are the IPv4 address.
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);
/// 6to4: the four bytes behind the prefix are the IPv4 address.
const SIX_TO_FOUR: Ipv6Net = v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16);

const fn v4(address: [u8; 4], bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::from_octets(address), bits)
}

const fn v6(address: [u16; 8], bits: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::from_segments(address), bits)
}

/// Returns whether an address is one of the open Internet. An IPv6 address that stands for an IPv4 one counts as that.
pub fn is_global(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => !CLOSED_V4.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) => {
            let bytes = address.octets();
            let embedded = |at: usize| IpAddr::from([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
            if NAT64.contains(&address) {
                is_global(embedded(12))
            } else if SIX_TO_FOUR.contains(&address) {
                is_global(embedded(2))
            } else {
                OPEN_V6.contains(&address) && !CLOSED_V6.iter().any(|network| network.contains(&address))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(list: &[&str]) -> Networks {
        Networks::new(list.iter().map(|network| network.parse().unwrap()))
    }

    #[test]
    fn closed_networks_are_refused_in_every_spelling() {
        for closed in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::808:808",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:a9fe:a9fe::1",
            "2002:c0a8:101::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            let address: IpAddr = closed.parse().unwrap();
            assert!(!is_global(address), "{closed}");
            assert!(!Networks::default().allow(address, true), "{closed}");
        }
    }

    #[test]
    fn open_internet_is_allowed_with_tls_alone() {
        for open in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "172.15.255.255",
            "172.32.0.1",
            "198.17.255.255",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2001:200::1",
            "2002:808:808::1",
            "2606:4700:4700::1111",
            "2a00:1450:4001::1",
        ] {
            let address: IpAddr = open.parse().unwrap();
            assert!(is_global(address), "{open}");
            assert!(Networks::default().allow(address, true) && !Networks::default().allow(address, false), "{open}");
        }
    }

    #[test]
    fn configured_network_is_allowed_and_nothing_beside_it() {
        let added = networks(&["10.1.0.0/16", "127.0.0.1/32", "fd12::/16", "::1/128"]);
        for (address, allowed) in [
            ("10.1.2.3", true),
            ("10.2.0.0", false),
            ("10.0.255.255", false),
            ("127.0.0.1", true),
            ("127.0.0.2", false),
            ("::ffff:10.1.2.3", true),
            ("::ffff:10.2.2.3", false),
            ("fd12::7", true),
            ("fd13::7", false),
            ("::1", true),
            ("::2", false),
        ] {
            assert_eq!(added.allow(address.parse().unwrap(), false), allowed, "{address}");
        }
        let all = networks(&["0.0.0.0/0", "::/0"]);
        assert!(all.contain("169.254.169.254".parse().unwrap()) && all.contain("fe80::1".parse().unwrap()));
    }
}
