//! Section `[token]`: the key ring that signs invitation tokens.
//!
//! The text is kept, since its file is read again. The keys that are generated beside a SQLite file when it is absent belong to the start
//! of the server.

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::config::error::{Checked, Problems};
use crate::config::value;
use crate::domain::secret::key_ring::KeyRing;

const EMPTY: &str = "is empty: make a key with `invitation-service token-key`";

/// The keys that sign invitation tokens.
#[derive(Clone, Debug)]
pub struct TokenConfig {
    /// The key ring as `id:base64,...`, first signs; `None` (SQLite only) means a ring kept beside the database file.
    pub keys: Option<SecretString>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawToken {
    keys: Option<String>,
    keys_file: Option<String>,
}

impl RawToken {
    /// Parses the section; the second value is the file the keys came from.
    pub(in crate::config) fn validate(self, problems: &mut Problems) -> Checked<(TokenConfig, Option<PathBuf>)> {
        let RawToken { keys, keys_file } = self;
        let Some(value::Secret { value, file }) = value::secret_or(problems, "token.keys", keys, keys_file, EMPTY)?
        else {
            return Ok((TokenConfig { keys: None }, None));
        };
        let field = if file.is_some() { "token.keys_file" } else { "token.keys" };
        problems.check(field, KeyRing::parse(value.expose_secret()).map_err(|error| error.to_string()))?;
        Ok((TokenConfig { keys: Some(value) }, file))
    }
}
