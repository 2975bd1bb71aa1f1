//! The names by which a service without authentication is called.
//!
//! Such a service listens on loopback alone, where the pages of a browser reach it too: a page of any site can have its own name lead to
//! 127.0.0.1 once it is loaded (DNS rebinding), and is then of the same origin. Its calls have that name.

use std::net::{Ipv4Addr, Ipv6Addr};

use http::Request;
use http::header::HOST;

/// Returns whether the host of a request is this machine by a name that nobody else can give it, or by an address. A request without a
/// host comes from no browser.
pub(crate) fn is_local<B>(request: &Request<B>) -> bool {
    let header = || request.headers().get(HOST).map(|host| host.to_str().unwrap_or("?"));
    let host = request.uri().authority().map(http::uri::Authority::as_str).or_else(header);
    host.is_none_or(is_local_host)
}

fn is_local_host(host: &str) -> bool {
    if let Some(bracketed) = host.strip_prefix('[') {
        let address = bracketed.split(']').next().unwrap_or_default();
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let name = host.split(':').next().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || name.parse::<Ipv4Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_others_can_give_are_not_local() {
        for host in
            ["localhost", "LOCALHOST:50051", "app.localhost.", "127.0.0.1:1", "10.0.0.1", "[::1]", "[::1]:50051"]
        {
            assert!(is_local_host(host), "{host}");
        }
        for host in
            ["", "evil.example", "localhost.evil.example:50051", "127.0.0.1.evil.example", "[evil]", "notlocalhost"]
        {
            assert!(!is_local_host(host), "{host}");
        }
        let of = |uri: &str, host: Option<&str>| {
            let request = Request::get(uri);
            is_local(&host.map_or(request, |host| Request::get(uri).header(HOST, host)).body(()).unwrap())
        };
        assert!(of("/", None) && of("/", Some("localhost")) && of("http://localhost/", Some("evil.example")));
        assert!(!of("/", Some("evil.example")) && !of("http://evil.example/", None));
    }
}
