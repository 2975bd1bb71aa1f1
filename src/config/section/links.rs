//! Section `[links]`: what the link in an invitation looks like, per kind.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::policy::entries;
use crate::config::error::{Checked, Problems, Reported};
use crate::config::value;
use crate::domain::kind::{Kind, PerKind};
use crate::domain::policy::{MAX_ENTRIES, RedirectSet};
use crate::domain::secret::token::Token;

/// The placeholder of the token in a link template.
pub const TOKEN_PLACEHOLDER: &str = "{token}";

const ALLOW_LOCALHOST: &str = "allow_localhost";
const REDIRECTS: &str = "redirects";

/// The settings of links.
#[derive(Clone, Debug)]
pub struct LinksConfig {
    /// The template of each kind: an http(s) URL with `{token}` once.
    pub templates: PerKind<String>,
    /// Whether real mail may have links, and a sender, that lead to the machine of the recipient.
    pub allow_localhost: bool,
    /// The addresses that people may be sent to after their answer.
    pub redirects: RedirectSet,
}

impl LinksConfig {
    /// Returns the link of an invitation of a kind that carries a token.
    pub fn link(&self, kind: Kind, token: &Token) -> String {
        self.templates.get(kind).replace(TOKEN_PLACEHOLDER, token.reveal())
    }

    /// Returns the kinds whose links lead to the machine of whoever follows them.
    pub(in crate::config) fn on_localhost(&self) -> Vec<Kind> {
        let is_local = |(kind, template): (Kind, &String)| is_localhost(template).then_some(kind);
        self.templates.iter().filter_map(is_local).collect()
    }
}

/// Returns whether the host of a template is a loopback address or `localhost`.
fn is_localhost(template: &str) -> bool {
    let url = Url::parse(&template.replace(TOKEN_PLACEHOLDER, "x")).ok();
    match url.as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => is_local_name(name),
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
        Some(Host::Ipv6(address)) => address.is_loopback() || address.is_unspecified(),
        None => false,
    }
}

/// Returns whether a name is `localhost`, or below it.
pub(in crate::config) fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// The templates by the code of their kind, `allow_localhost` and `redirects`.
#[derive(Deserialize, Serialize)]
#[serde(transparent)]
pub(in crate::config) struct RawLinks(BTreeMap<String, String>);

impl Default for RawLinks {
    fn default() -> Self {
        let keys = Kind::ALL.into_iter().map(Kind::code).chain([ALLOW_LOCALHOST, REDIRECTS]);
        Self(keys.map(|key| (key.to_owned(), String::new())).collect())
    }
}

impl RawLinks {
    pub(in crate::config) fn validate(mut self, problems: &mut Problems) -> Checked<LinksConfig> {
        let allow_localhost = self.0.remove(ALLOW_LOCALHOST).unwrap_or_default();
        let choices = [("true", true), ("false", false)];
        let allow_localhost = value::choice(problems, "links.allow_localhost", &allow_localhost, &choices);
        let given = self.0.remove(REDIRECTS).unwrap_or_default();
        let redirects = problems.check("links.redirects", redirects(entries(&given)));
        let links = PerKind::from_fn(|kind| {
            let template = self.0.remove(kind.code()).unwrap_or_default();
            problems.check(&format!("links.{}", kind.code()), parse_template(template))
        });
        // All are checked before the first problem returns, so that every problem is reported at once.
        if links.iter().any(|(_, link)| link.is_err()) {
            return Err(Reported);
        }
        let templates = links.map(Result::unwrap_or_default);
        Ok(LinksConfig { templates, allow_localhost: allow_localhost?, redirects: redirects? })
    }
}

/// Parses a list of addresses. The error names the first entry that is none.
pub(in crate::config) fn redirects<'a>(entries: impl Iterator<Item = &'a str>) -> Result<RedirectSet, String> {
    let mut set = RedirectSet::default();
    for entry in entries {
        set.add(entry).map_err(|invalid| format!("{entry:?} {}", invalid.description))?;
    }
    if set.len() > MAX_ENTRIES { Err(format!("must have at most {MAX_ENTRIES} addresses")) } else { Ok(set) }
}

pub(in crate::config) fn parse_template(template: String) -> Result<String, String> {
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
