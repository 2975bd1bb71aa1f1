//! Section `[auth]`: whether callers must authenticate, and the files of API keys, of JWT issuers, of client certificates and of accounts.
//!
//! The files are read at start, and again when they change. Which permissions exist is the auth module's knowledge: here only their form.

pub(in crate::config) mod account;
pub(in crate::config) mod client_certificate;
pub(in crate::config) mod entry_file;
pub(in crate::config) mod jwt;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::auth::api_key::parse_hash;
use crate::auth::permission::Permission;
use crate::config::error::{Checked, Problems};
use crate::config::value;
use crate::domain::value::time::Timestamp;
use account::AccountEntry;
use client_certificate::ClientCertificateEntry;
use entry_file::{EntryFile, FileEntry};
use jwt::JwtIssuer;

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
        refused.push(Permission::unknown(permission));
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
    accounts_file: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyFile {
    #[serde(default)]
    api_key: Vec<RawApiKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawApiKey {
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

impl RawAuth {
    /// Reads the file of client certificates, if there is one.
    pub(in crate::config) fn validate_client_certificates(
        &self,
        problems: &mut Problems,
    ) -> Checked<Option<EntryFile<ClientCertificateEntry>>> {
        self.read(problems, self.client_certificates_file.as_ref())
    }

    /// Reads the file of JWT issuers, if there is one.
    pub(in crate::config) fn validate_jwt(&self, problems: &mut Problems) -> Checked<Option<EntryFile<JwtIssuer>>> {
        self.read(problems, self.jwt_issuers_file.as_ref())
    }

    /// Reads the file of accounts, if there is one. Its rules hold for callers without a credential too.
    pub(in crate::config) fn validate_accounts(
        &self,
        problems: &mut Problems,
    ) -> Checked<Option<EntryFile<AccountEntry>>> {
        entry_file::read(problems, self.accounts_file.as_ref(), false)
    }

    /// Parses the section; the second value is the file the keys came from.
    pub(in crate::config) fn validate(self, problems: &mut Problems) -> Checked<(AuthConfig, Option<PathBuf>)> {
        let modes = [("none", Mode::None), ("required", Mode::Required)];
        let mode = value::choice(problems, "auth.mode", &self.mode, &modes)?;
        let file = self.read::<ApiKeyEntry>(problems, self.api_keys_file.as_ref())?;
        // Without a file, the keys of the database remain.
        let (path, api_keys) = file.map(|file| (file.path, file.entries)).unzip();
        let config = match mode {
            Mode::None => AuthConfig::None,
            Mode::Required => AuthConfig::Required { api_keys: api_keys.unwrap_or_default() },
        };
        Ok((config, path))
    }

    fn read<E: FileEntry>(&self, problems: &mut Problems, path: Option<&String>) -> Checked<Option<EntryFile<E>>> {
        entry_file::read(problems, path, self.mode == "none")
    }
}

impl FileEntry for ApiKeyEntry {
    const FIELD: &'static str = "auth.api_keys_file";
    const TABLE: &'static str = "api_key";
    const UNIQUE: &'static str = "hash";

    type File = KeyFile;
    type Raw = RawApiKey;
    type Unique = [u8; 32];

    fn raw_entries(file: KeyFile) -> Vec<RawApiKey> {
        file.api_key
    }

    fn name(raw: &RawApiKey) -> &str {
        &raw.name
    }

    fn unique(&self) -> &[u8; 32] {
        &self.hash
    }

    fn parse(raw: RawApiKey) -> Result<Self, Vec<String>> {
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
}
