//! The key `grpc.cors_origins`: the sites whose pages may call from a browser.

use std::fmt;

use url::Url;

use crate::config::section::policy::entries;

/// The word for pages of every site.
const ANY: &str = "*";

/// The origins whose pages may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorsOrigins {
    /// Every origin.
    Any,
    /// These, as browsers write them. Without one, no page may call.
    These(Vec<String>),
}

impl CorsOrigins {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.trim() == ANY {
            return Ok(Self::Any);
        }
        entries(text).map(origin).collect::<Result<_, _>>().map(Self::These)
    }
}

/// Returns an origin as browsers write it: in small letters, and without the port that its scheme has anyway.
fn origin(entry: &str) -> Result<String, String> {
    let refused =
        || format!("{entry:?} must be an origin such as \"https://app.example\" or \"http://localhost:3000\"");
    let url = Url::parse(entry).map_err(|_| refused())?;
    let is_bare =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    let is_origin = matches!(url.scheme(), "http" | "https") && url.has_host() && is_bare && !entry.ends_with('/');
    if is_origin && url.path() == "/" { Ok(url.origin().ascii_serialization()) } else { Err(refused()) }
}

impl fmt::Display for CorsOrigins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str(ANY),
            Self::These(origins) => f.write_str(&origins.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_written_as_browsers_send_them() {
        for (text, origins) in [
            ("", ""),
            ("*", "*"),
            ("https://App.Example:443, http://localhost:3000", "https://app.example, http://localhost:3000"),
            ("https://b\u{fc}cher.example\nhttp://[::1]:80", "https://xn--bcher-kva.example, http://[::1]"),
        ] {
            assert_eq!(CorsOrigins::parse(text).unwrap().to_string(), origins);
        }
        for text in ["app.example", "https://app.example/", "https://a.example/path", "null", "*, https://a.example"] {
            assert!(CorsOrigins::parse(text).unwrap_err().contains("must be an origin"), "{text}");
        }
    }
}
