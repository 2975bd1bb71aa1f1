//! Section `[links]`: what the link in an invitation looks like, per kind.

use serde::{Deserialize, Serialize};
use url::Url;

use super::error::{Checked, Problems};
use crate::domain::kind::Kind;
use crate::domain::secret::token::Token;

/// What stands for the token in a link template.
pub const TOKEN_PLACEHOLDER: &str = "{token}";

/// The link templates.
#[derive(Clone, Debug)]
pub struct LinksConfig {
    /// The link of a connection invitation: an http(s) URL with `{token}` once.
    pub connection: String,
    /// The link of a user invitation, likewise.
    pub user: String,
    /// The link of a guest invitation, likewise.
    pub guest: String,
    /// The link of a general invitation, likewise.
    pub general: String,
}

impl LinksConfig {
    /// Returns the link of an invitation of a kind that carries a token.
    pub fn link(&self, kind: Kind, token: &Token) -> String {
        let template = match kind {
            Kind::Connection => &self.connection,
            Kind::User => &self.user,
            Kind::Guest => &self.guest,
            Kind::General => &self.general,
        };
        template.replace(TOKEN_PLACEHOLDER, token.reveal())
    }
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLinks {
    connection: String,
    user: String,
    guest: String,
    general: String,
}

impl RawLinks {
    pub(super) fn validate(self, problems: &mut Problems) -> Checked<LinksConfig> {
        let RawLinks { connection, user, guest, general } = self;
        // All are checked before any is missed, so that every problem is told at once.
        let connection = problems.check("links.connection", parse_template(connection));
        let user = problems.check("links.user", parse_template(user));
        let guest = problems.check("links.guest", parse_template(guest));
        let general = problems.check("links.general", parse_template(general));
        Ok(LinksConfig { connection: connection?, user: user?, guest: guest?, general: general? })
    }
}

fn parse_template(template: String) -> Result<String, String> {
    // A token's alphabet needs no escaping anywhere in a URL, so this stand-in shows where a real one ends up.
    const SAMPLE: &str = "inv_sample";

    // The URL parser would drop tabs and line breaks without a word.
    if template.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("must not contain white space or control characters".into());
    }
    if template.matches(TOKEN_PLACEHOLDER).count() != 1 {
        return Err("must contain {token} exactly once".into());
    }
    let sample = template.replace(TOKEN_PLACEHOLDER, SAMPLE);
    if sample.contains(['{', '}']) {
        return Err("must not contain braces other than {token}".into());
    }
    let url = Url::parse(&sample).map_err(|error| format!("must be an absolute http or https URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("must be an absolute http or https URL".into());
    }
    let after_host = [Some(url.path()), url.query(), url.fragment()];
    if !after_host.into_iter().flatten().any(|part| part.contains(SAMPLE)) {
        return Err("must have {token} after the host".into());
    }
    Ok(template)
}
