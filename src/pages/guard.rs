//! Forms come from the pages themselves alone. The cookie is not sent with the forms of other sites (SameSite), and a form holds a
//! text that only the sealed cookie has; this is the third wall, which needs neither.

use http::HeaderMap;
use http::header::{HOST, ORIGIN};

use crate::config::PagesConfig;

const FETCH_SITE: &str = "sec-fetch-site";

/// Returns whether a form was sent by a page of this origin, as the browser says in `Sec-Fetch-Site` or `Origin`. Every browser of
/// today sends one of them; what is there has to fit.
pub(super) fn is_same_origin(headers: &HeaderMap, config: &PagesConfig) -> bool {
    let text = |name| headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?")).collect::<Vec<_>>();
    let (sites, origins) = (text(FETCH_SITE), text(ORIGIN.as_str()));
    let fits_site = sites.iter().all(|site| *site == "same-origin");
    let fits_origin = origins.iter().all(|origin| is_own(origin, headers, config));
    fits_site && fits_origin && !(sites.is_empty() && origins.is_empty())
}

fn is_own(origin: &str, headers: &HeaderMap, config: &PagesConfig) -> bool {
    match &config.origin {
        Some(own) => origin == own,
        // Without an origin the pages are on a loopback address, and go by the name that the browser has asked for.
        None => {
            let host = headers.get(HOST).and_then(|host| host.to_str().ok());
            host.is_some_and(|host| origin.strip_prefix("http://") == Some(host))
        }
    }
}
