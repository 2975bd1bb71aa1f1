//! The client of a request: its address, as the proxies that are trusted tell it, and the name under which it is limited.

use std::net::{IpAddr, Ipv6Addr};

use http::HeaderMap;
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";
/// The part of an IPv6 address that one customer of a provider has.
const CUSTOMER: u32 = 64;

/// Returns the address of the client: that of the connection, unless a trusted proxy has forwarded the request. Of the addresses that
/// proxies add, the last one that is no proxy's counts: whatever stands before it, the client may have written.
pub(super) fn address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_proxy = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = peer;
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    let mut forwarded = lines.flat_map(|line| line.to_str().unwrap_or("?").rsplit(','));
    while is_proxy(&client) {
        match forwarded.next().map(|entry| entry.trim().parse::<IpAddr>()) {
            Some(Ok(address)) => client = address.to_canonical(),
            Some(Err(_)) | None => break,
        }
    }
    client
}

/// Returns the name under which a client is limited: its address, and of IPv6 the network of one customer.
pub(super) fn limited_as(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let network = Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - CUSTOMER)));
            format!("{network}/{CUSTOMER}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        address(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn address_is_the_last_that_no_trusted_proxy_has() {
        for (peer, forwarded, wanted) in [
            ("192.0.2.1", &["203.0.113.7"][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.7"], "203.0.113.7"),
            ("10.0.0.1", &["1.2.3.4, 203.0.113.7, 10.9.9.9"], "203.0.113.7"),
            ("10.0.0.1", &["1.2.3.4", "203.0.113.7"], "203.0.113.7"),
            ("10.0.0.1", &["nonsense"], "10.0.0.1"),
            ("10.0.0.1", &["1.2.3.4, nonsense"], "10.0.0.1"),
            ("fd00::1", &["::ffff:203.0.113.7"], "203.0.113.7"),
        ] {
            assert_eq!(client(peer, forwarded), wanted, "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn customer_of_ipv6_is_limited_as_one() {
        let limited = |address: &str| limited_as(address.parse().unwrap());
        assert_eq!(limited("2001:db8:1:2:3:4:5:6"), limited("2001:db8:1:2::1"));
        assert_ne!(limited("2001:db8:1:2::1"), limited("2001:db8:1:3::1"));
        assert_eq!(limited("203.0.113.7"), "203.0.113.7");
    }
}
