//! The address of an endpoint, checked as far as possible without a look-up of its name.

use std::net::IpAddr;

use url::{Host, Url};

use super::networks::Networks;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::text::is_control;

const MAX_LENGTH: usize = 2_000;

/// Parses the address of an endpoint: an https URL without user name and fragment whose host, if it is an IP address,
/// may be posted to. Plain http is for development: it needs a network that the configuration adds.
pub fn parse(value: &str, networks: &Networks) -> Result<String, Invalid> {
    if value.chars().count() > MAX_LENGTH {
        return Err(Invalid::new(FieldRule::TooLong, "must have at most 2,000 characters"));
    }
    // The parser would silently drop line breaks and tabs.
    if value.chars().any(|c| is_control(c) || c.is_whitespace()) {
        return Err(Invalid::format("must not contain white space or control characters"));
    }
    let url = Url::parse(value).map_err(|_| Invalid::format("must be an absolute https URL"))?;
    let tls = match url.scheme() {
        "https" => true,
        "http" if !networks.is_empty() => false,
        _ => return Err(Invalid::format("must be an https URL")),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Invalid::format("must not have a user name or a password"));
    }
    if url.fragment().is_some() {
        return Err(Invalid::format("must not have a fragment"));
    }
    if url.host().is_none() {
        return Err(Invalid::format("must have a host"));
    }
    match literal(&url) {
        Some(address) if !networks.allow(address, tls) => {
            Err(Invalid::new(FieldRule::NotAllowed, "must lead to the open Internet"))
        }
        _ => Ok(value.to_owned()),
    }
}

/// Returns the IP address of a URL's host, in whichever spelling. Returns `None` for a name.
pub fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_plain_https_to_the_open_internet() {
        let none = Networks::default();
        let longest = format!("https://example.com/{}", "x".repeat(MAX_LENGTH - 20));
        for good in ["https://example.com/hook?key=1", "HTTPS://Example.com:8443", "https://8.8.8.8/", &longest] {
            assert_eq!(parse(good, &none).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "example.com",
            "http://example.com/",
            "ftp://example.com/",
            "https://",
            "https:///",
            "https://user@example.com/",
            "https://user:pass@example.com/",
            "https://example.com/#part",
            "https://exam\nple.com/",
            "https://example.com/a b",
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f.0.0.1/",
            "https://0177.0.0.1/",
            "https://127.0.0.1./",
            "https://169.254.169.254/latest/meta-data",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:a00:1]/",
            "https://[fd00:ec2::254]/",
            &format!("{longest}x"),
        ] {
            assert!(parse(bad, &none).is_err(), "{bad}");
        }
    }

    #[test]
    fn http_takes_a_network_that_is_added() {
        let added = Networks::new(["127.0.0.0/8".parse().unwrap()]);
        // The address of a name is checked when the client connects.
        for good in ["http://127.0.0.1:8080/hook", "https://127.0.0.1/", "http://localhost:8080/", "https://8.8.8.8/"] {
            assert!(parse(good, &added).is_ok(), "{good}");
        }
        for bad in ["http://10.0.0.1/", "http://8.8.8.8/", "https://10.0.0.1/", "http://[::1]/", "gopher://127.0.0.1/"]
        {
            assert!(parse(bad, &added).is_err(), "{bad}");
        }
    }
}
