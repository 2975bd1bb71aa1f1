//! The fields that the invitations of every kind have: the words that people see, and the caller's own data.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::domain::value::email::Email;
use crate::domain::value::id::InvitationId;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::time::Ttl;

/// The part of an invitation that no kind treats differently.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SharedDetails {
    /// The inviter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inviter: Option<Inviter>,
    /// The name of the scope, if the kind has its scope from elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope_display_name: Option<String>,
    /// The inviter's message to the recipients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The language of its mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// The address that the caller's page sends the person to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect_uri: Option<RedirectUri>,
    /// A JSON object, kept as the original text, which no database rewrites.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
    /// The time for which an acceptance counts; `None` for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant_ttl: Option<Ttl>,
    /// The invitations that its creation revoked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<InvitationId>,
}

impl SharedDetails {
    /// Returns the name of the inviter, empty if there is none.
    pub fn inviter_name(&self) -> &str {
        self.inviter.as_ref().and_then(|inviter| inviter.display_name.as_deref()).unwrap_or_default()
    }
}

/// The inviter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Inviter {
    /// The caller's own id of the person.
    pub user_id: String,
    /// Their address.
    pub email: Option<Email>,
    /// Their name for people.
    pub display_name: Option<String>,
    /// Their picture.
    pub avatar_uri: Option<String>,
}

/// An address to which a person is sent: https, or the scheme of an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RedirectUri(String);

/// The schemes that a browser runs, reads from the machine, or sends without encryption.
const REFUSED_SCHEMES: [&str; 10] =
    ["http", "javascript", "data", "vbscript", "file", "blob", "about", "filesystem", "view-source", "ftp"];
/// The longest redirect, in characters.
const MAX_REDIRECT: usize = 2_000;

impl RedirectUri {
    /// Parses an address, which is kept as it was written: it has to be written in such a way that every parser finds the same host.
    pub fn parse(value: &str) -> Result<Self, Invalid> {
        const INVALID: Invalid = Invalid::new(
            FieldRule::InvalidFormat,
            "must be an absolute URL of at most 2,000 characters of RFC 3986, with https:// and a host or with the scheme of an app",
        );
        if !value.chars().all(is_of_uri) || value.len() > MAX_REDIRECT {
            return Err(INVALID);
        }
        let url = Url::parse(value).map_err(|_| INVALID)?;
        let named = url.scheme() != "https" || has_plain_host(value);
        if named && !REFUSED_SCHEMES.contains(&url.scheme()) { Ok(Self(value.to_owned())) } else { Err(INVALID) }
    }

    /// Returns the address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns whether a character may stand in a URI (RFC 3986).
fn is_of_uri(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c)
}

/// Returns whether `https://` is followed by a host of the web with or without a port, and nothing else before the path: labels of letters,
/// digits and hyphens.
fn has_plain_host(value: &str) -> bool {
    let Some((_, rest)) = value.split_once("://").filter(|(scheme, _)| scheme.eq_ignore_ascii_case("https")) else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = authority.split_once(':').map_or((authority, "443"), |(host, port)| (host, port));
    let is_label = |label: &str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let is_port = !port.is_empty() && !port.starts_with('0') && port.chars().all(|c| c.is_ascii_digit());
    host.split('.').all(is_label) && is_port
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirect_is_https_or_the_scheme_of_an_app() {
        for (value, fits) in [
            ("https://app.example/welcome?x=1#top", true),
            ("myapp://invitations/accepted", true),
            ("com.example.app:/done", true),
            ("http://app.example", false),
            ("https://user@app.example", false),
            ("https://", false),
            ("HTTPS://App.Example:8443/welcome", true),
            ("https://app.example\\@evil.example", false),
            ("https://@app.example/", false),
            ("https://app.example:/", false),
            ("https://app.example:0443/", false),
            ("https:app.example", false),
            ("https:/app.example", false),
            ("https:///app.example", false),
            ("https:\\\\app.example", false),
            ("https://a..example/", false),
            ("https://*.app.example/", false),
            ("https://app。example/", false),
            ("https://\u{ff48}ost.example/", false),
            ("https://app.example/\"><script>", false),
            ("https://app.example/\u{202e}x", false),
            ("https://app.example/%E2%80%AE", true),
            ("JavaScript:alert(1)", false),
            ("java\tscript:alert(1)", false),
            (" javascript:alert(1)", false),
            ("data:text/html,x", false),
            ("view-source:https://x", false),
            ("/welcome", false),
            ("//app.example", false),
        ] {
            assert_eq!(RedirectUri::parse(value).is_ok(), fits, "{value}");
        }
        assert!(RedirectUri::parse(&format!("https://x/{}", "a".repeat(1_990))).is_ok());
        assert!(RedirectUri::parse(&format!("https://x/{}", "a".repeat(1_991))).is_err());
    }
}
