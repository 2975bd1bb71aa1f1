//! Section `[token]`: the key ring that signs invitation tokens.
//!
//! Only the text is kept here. Its syntax, and the keys generated beside a SQLite file when it is absent, belong to
//! `domain::token` and to the start of the server.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::config::error::{Checked, Problems};
use crate::config::value;

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
        let (keys, file) = match value::secret(problems, "token.keys", keys, keys_file)? {
            Some(value::Secret { value, file }) => (Some(value), file),
            None => (None, None),
        };
        Ok((TokenConfig { keys }, file))
    }
}
