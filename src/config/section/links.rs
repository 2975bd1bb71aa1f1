//! Section `[links]`: what the link in an invitation looks like, per kind.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::config::error::{Checked, Problems, Reported};
use crate::domain::kind::{Kind, PerKind};
use crate::domain::secret::token::Token;

/// The placeholder of the token in a link template.
pub const TOKEN_PLACEHOLDER: &str = "{token}";

/// The link template of each kind: an http(s) URL with `{token}` once.
#[derive(Clone, Debug)]
pub struct LinksConfig(pub PerKind<String>);

impl LinksConfig {
    /// Returns the link of an invitation of a kind that carries a token.
    pub fn link(&self, kind: Kind, token: &Token) -> String {
        self.0.get(kind).replace(TOKEN_PLACEHOLDER, token.reveal())
    }
}

/// The templates by the code of their kind.
#[derive(Deserialize, Serialize)]
#[serde(transparent)]
pub(in crate::config) struct RawLinks(BTreeMap<String, String>);

impl Default for RawLinks {
    fn default() -> Self {
        Self(Kind::ALL.into_iter().map(|kind| (kind.code().to_owned(), String::new())).collect())
    }
}

impl RawLinks {
    pub(in crate::config) fn validate(mut self, problems: &mut Problems) -> Checked<LinksConfig> {
        let links = PerKind::from_fn(|kind| {
            let template = self.0.remove(kind.code()).unwrap_or_default();
            problems.check(&format!("links.{}", kind.code()), parse_template(template))
        });
        // All are checked before the first problem returns, so that every problem is reported at once.
        if links.iter().any(|(_, link)| link.is_err()) {
            return Err(Reported);
        }
        Ok(LinksConfig(links.map(Result::unwrap_or_default)))
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
