//! Section `[auth]`: whether callers must authenticate, and the files of API keys, of JWT issuers and of client certificates.
//!
//! The files are read at start, and again when they change. Which permissions exist is the auth module's knowledge: here only their form.

pub(in crate::config) mod client_certificate;
pub(in crate::config) mod jwt;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use jwt::JwtConfig;

use crate::auth::api_key::parse_hash;
use crate::auth::permission::Permission;
use crate::config::error::{Checked, ConfigError, Problems, Reported};
use crate::config::value;
use crate::domain::value::time::Timestamp;
use client_certificate::ClientCertificatesConfig;

/// The authentication of callers.
#[derive(Clone, Debug)]
pub enum AuthConfig {
    /// Everybody may do everything; only on a loopback address.
    None,
    /// A call needs a credential.
    Required {
        /// The keys of the file, which are accepted beside those of the database; names and hashes are unique. There is at least
        /// one if there is a file.
        api_keys: Vec<ApiKeyEntry>,
    },
}

/// An accepted API key, with its account and its permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyEntry {
    /// The unique name, for logs; 1-100 visible ASCII characters.
    pub name: String,
    /// The SHA-256 of the whole key.
    pub hash: [u8; 32],
    /// The account the key acts in; 1-200 characters.
    pub account: String,
    /// The permissions of the key: `*` or `area.action`, at least one.
    pub permissions: Vec<String>,
    /// The only organization the key may act for, if it is bound to one.
    pub organization_id: Option<Uuid>,
    /// The moment from which the key is refused, if there is one.
    pub expires_at: Option<Timestamp>,
}

impl ApiKeyEntry {
    /// Creates an entry of parts that pass all checks.
    ///
    /// # Errors
    /// The texts of the refused parts.
    pub fn new(
        name: String,
        hash: [u8; 32],
        account: String,
        permissions: Vec<String>,
        organization_id: Option<Uuid>,
        expires_at: Option<Timestamp>,
    ) -> Result<ApiKeyEntry, Vec<String>> {
        let refused = grant_problems(&name, &account, &permissions);
        if refused.is_empty() {
            Ok(ApiKeyEntry { name, hash, account, permissions, organization_id, expires_at })
        } else {
            Err(refused)
        }
    }
}

/// Returns the texts of what is refused in the name, the account and the permissions of a credential.
fn grant_problems(name: &str, account: &str, permissions: &[String]) -> Vec<String> {
    let mut refused = Vec::new();
    if !(1..=100).contains(&name.len()) || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        refused.push("name must be 1-100 visible ASCII characters without spaces".to_owned());
    }
    if !(1..=200).contains(&account.chars().count()) || value::has_control(account) {
        refused.push("account must be 1-200 characters without control characters".to_owned());
    }
    if permissions.is_empty() {
        refused.push("permissions must name at least one permission".to_owned());
    }
    for permission in permissions.iter().filter(|permission| Permission::from_name(permission).is_none()) {
        let known = Permission::ALL.map(Permission::name).join(", ");
        refused.push(format!("there is no permission {permission:?}: it must be \"*\" or one of {known}"));
    }
    refused
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawAuth {
    mode: String,
    api_keys_file: Option<String>,
    client_certificates_file: Option<String>,
    jwt_issuers_file: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    #[serde(default)]
    api_key: Vec<RawApiKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawApiKey {
    name: String,
    hash: String,
    account: String,
    permissions: Vec<String>,
    organization_id: Option<String>,
    expires_at: Option<String>,
}

#[derive(Clone, Copy)]
enum Mode {
    None,
    Required,
}

const FILE_FIELD: &str = "auth.api_keys_file";
const JWT_FIELD: &str = "auth.jwt_issuers_file";

impl RawAuth {
    /// Parses the file of client certificates, if there is one.
    pub(in crate::config) fn validate_client_certificates(
        &self,
        problems: &mut Problems,
    ) -> Checked<Option<ClientCertificatesConfig>> {
        match (&self.client_certificates_file, self.mode.as_str()) {
            (None, _) => Ok(None),
            (Some(_), "none") => problems.check(
                client_certificate::FILE_FIELD,
                Err("has no effect while auth.mode is \"none\": set one of the two"),
            ),
            (Some(path), _) => client_certificate::read(problems, path).map(Some),
        }
    }

    /// Parses the file of JWT issuers, if there is one.
    pub(in crate::config) fn validate_jwt(&self, problems: &mut Problems) -> Checked<Option<JwtConfig>> {
        match (&self.jwt_issuers_file, self.mode.as_str()) {
            (None, _) => Ok(None),
            (Some(_), "none") => {
                problems.check(JWT_FIELD, Err("has no effect while auth.mode is \"none\": set one of the two"))
            }
            (Some(path), _) => jwt::parse::read(problems, path).map(Some),
        }
    }

    /// Parses the section; the second value is the file the keys came from.
    pub(in crate::config) fn validate(self, problems: &mut Problems) -> Checked<(AuthConfig, Option<PathBuf>)> {
        let RawAuth { mode, api_keys_file, .. } = self;
        let mode = value::choice(problems, "auth.mode", &mode, &[("none", Mode::None), ("required", Mode::Required)])?;
        match (mode, api_keys_file) {
            (Mode::None, None) => Ok((AuthConfig::None, None)),
            // An operator who lists keys expects that they are checked.
            (Mode::None, Some(_)) => {
                problems.check(FILE_FIELD, Err("has no effect while auth.mode is \"none\": set one of the two"))
            }
            // The keys of the database remain.
            (Mode::Required, None) => Ok((AuthConfig::Required { api_keys: Vec::new() }, None)),
            (Mode::Required, Some(path)) => {
                let api_keys = read_keys(problems, &path)?;
                Ok((AuthConfig::Required { api_keys }, Some(PathBuf::from(path))))
            }
        }
    }
}

/// Parses the content of a file of API keys, as a start does that reads it.
///
/// # Errors
/// The texts of everything that is refused in it.
pub(crate) fn parse_api_keys(path: &str, text: &str) -> Result<Vec<ApiKeyEntry>, ConfigError> {
    let mut problems = Problems::default();
    parse_keys(&mut problems, path, text).map_err(|Reported| problems.into_error(&BTreeMap::new()))
}

fn read_keys(problems: &mut Problems, path: &str) -> Checked<Vec<ApiKeyEntry>> {
    let text = problems.check(FILE_FIELD, value::read_file(path))?;
    parse_keys(problems, path, &text)
}

fn parse_keys(problems: &mut Problems, path: &str, text: &str) -> Checked<Vec<ApiKeyEntry>> {
    let parsed = toml::from_str::<KeyFile>(text)
        .map_err(|error| format!("{path}, {}", value::describe_toml_error(text, &error)));
    let KeyFile { api_key } = problems.check(FILE_FIELD, parsed)?;
    if api_key.is_empty() {
        return problems.check(FILE_FIELD, Err(format!("{path} has no [[api_key]] entry")));
    }

    let count = api_key.len();
    let (mut entries, mut names, mut hashes) = (Vec::new(), HashSet::new(), HashSet::new());
    for (index, raw) in api_key.into_iter().enumerate() {
        let place = format!("{path}, api_key number {} ({:?})", index + 1, raw.name);
        match parse_entry(raw) {
            Ok(entry) if !names.insert(entry.name.clone()) => {
                problems.add(FILE_FIELD, format!("{place}: another entry has the same name"));
            }
            Ok(entry) if !hashes.insert(entry.hash) => {
                problems.add(FILE_FIELD, format!("{place}: another entry has the same hash"));
            }
            Ok(entry) => entries.push(entry),
            Err(refused) => refused.iter().for_each(|text| problems.add(FILE_FIELD, format!("{place}: {text}"))),
        }
    }
    if entries.len() == count { Ok(entries) } else { Err(Reported) }
}

fn parse_entry(raw: RawApiKey) -> Result<ApiKeyEntry, Vec<String>> {
    let RawApiKey { name, hash, account, permissions, organization_id, expires_at } = raw;
    let mut refused = Vec::new();
    let hash = parse_hash(&hash).unwrap_or_else(|| {
        // Not quoted: the likeliest mistake is the key itself in place of its hash.
        refused.push("hash must be \"sha256:\" and 64 hexadecimal digits".to_owned());
        [0; 32]
    });
    let organization_id = organization_id.and_then(|text| match Uuid::parse_str(&text) {
        Ok(id) => Some(id),
        Err(_) => {
            refused.push("organization_id must be a UUID".to_owned());
            None
        }
    });
    let expires_at = expires_at.and_then(|text| {
        let parsed = Timestamp::from_rfc3339(&text);
        if parsed.is_none() {
            refused.push("expires_at must be a moment such as \"2027-01-01T00:00:00Z\"".to_owned());
        }
        parsed
    });
    match ApiKeyEntry::new(name, hash, account, permissions, organization_id, expires_at) {
        Ok(entry) if refused.is_empty() => Ok(entry),
        Ok(_) => Err(refused),
        Err(more) => Err(refused.into_iter().chain(more).collect()),
    }
}
