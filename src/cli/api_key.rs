//! `api-key`: makes a key and the entry that lets it in.
//!
//! The key is in the returned text only. Its entry, which has its hash, is there too, or is added to a file.

use std::io::Write as _;

use toml::Value;

use super::ApiKeyArgs;
use crate::auth::api_key::{ApiKey, format_hash};
use crate::config::{ApiKeyEntry, ConfigError, Problem};
use crate::entropy::Entropy;
use crate::private_file;

/// Creates an API key and returns the text to print: the key, and its entry for the API key file.
///
/// # Errors
/// Arguments that the API key file would refuse too, or a file that cannot be written.
pub fn run(args: ApiKeyArgs, entropy: &Entropy) -> Result<String, ConfigError> {
    let ApiKeyArgs { name, account, permissions, organization_id, expires_at, entry_file } = args;
    let key = ApiKey::generate(entropy);
    let entry =
        ApiKeyEntry::new(name, key.hash(), account, permissions, organization_id, expires_at).map_err(refuse)?;
    if let Some(file) = entry_file {
        let added = private_file::options().append(true).create(true).open(&file);
        let added = added.and_then(|mut file| writeln!(file, "{}", render(entry)));
        added.map_err(|error| refuse(vec![format!("{}: {error}", file.display())]))?;
        return Ok(key.expose().to_owned());
    }
    let text = format!(
        "# The key, shown this once.\n{}\n\n\
         # Its entry for the file that auth.api_keys_file names; a running server reads it within seconds.\n{}",
        key.expose(),
        render(entry)
    );
    Ok(text)
}

fn refuse(texts: Vec<String>) -> ConfigError {
    let problems = texts.into_iter().map(|text| Problem { field: "api-key".to_owned(), text });
    ConfigError { problems: problems.collect() }
}

fn render(entry: ApiKeyEntry) -> String {
    let ApiKeyEntry { name, hash, account, permissions, organization_id, expires_at } = entry;
    let permissions = Value::Array(permissions.into_iter().map(Value::String).collect());
    let mut text = format!(
        "[[api_key]]\nname = {}\nhash = {}\naccount = {}\npermissions = {permissions}\n",
        Value::String(name),
        Value::String(format_hash(&hash)),
        Value::String(account),
    );
    if let Some(id) = organization_id {
        text += &format!("organization_id = {}\n", Value::String(id.to_string()));
    }
    if let Some(moment) = expires_at {
        text += &format!("expires_at = {}\n", Value::String(moment.to_string()));
    }
    text
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::auth::api_key::hash_api_key;
    use crate::config::{AuthConfig, Config};
    use crate::domain::value::time::Timestamp;

    fn args(account: &str) -> ApiKeyArgs {
        ApiKeyArgs {
            name: "ci".to_owned(),
            account: account.to_owned(),
            permissions: vec!["events.read".to_owned(), "*".to_owned()],
            organization_id: Some(Uuid::from_u128(7)),
            expires_at: Timestamp::from_rfc3339("2027-01-01T01:00:00+01:00"),
            entry_file: None,
        }
    }

    #[test]
    fn printed_entry_loads_and_accepts_the_printed_key() {
        let printed = run(args("acme \"east\" \\ #1"), &Entropy::system()).unwrap();
        let key = printed.lines().find(|line| line.starts_with("ivk_")).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("keys.toml");
        std::fs::write(&file, printed.replace(key, "")).unwrap();

        let flags = [("auth.mode", "required".to_owned()), ("auth.api_keys_file", file.display().to_string())];
        let config = Config::load(None, Vec::<(String, String)>::new(), flags).unwrap();
        let AuthConfig::Required { api_keys } = config.auth else { panic!("authentication is off") };
        let expected = ApiKeyArgs { ..args("acme \"east\" \\ #1") };
        assert_eq!(api_keys.len(), 1);
        assert_eq!(api_keys[0].hash, hash_api_key(key));
        assert_eq!(api_keys[0].account, expected.account);
        assert_eq!(api_keys[0].permissions, expected.permissions);
        assert_eq!(api_keys[0].organization_id, expected.organization_id);
        assert_eq!(api_keys[0].expires_at, Timestamp::from_rfc3339("2027-01-01T00:00:00Z"));
        assert!(api_keys[0].expires_at.is_some());
    }

    #[test]
    fn entries_are_added_to_a_file_of_the_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("keys.toml");
        let make = |name: &str| {
            let args = ApiKeyArgs { name: name.to_owned(), entry_file: Some(file.clone()), ..args("acme") };
            run(args, &Entropy::system()).unwrap()
        };
        let keys = [make("one"), make("two")];
        assert!(keys.iter().all(|key| key.starts_with("ivk_") && !key.contains('\n')), "the key alone");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let flags = [("auth.mode", "required".to_owned()), ("auth.api_keys_file", file.display().to_string())];
        let config = Config::load(None, Vec::<(String, String)>::new(), flags).unwrap();
        let AuthConfig::Required { api_keys } = config.auth else { panic!("authentication is off") };
        assert_eq!(api_keys.iter().map(|entry| entry.hash).collect::<Vec<_>>(), keys.map(|key| hash_api_key(&key)));
    }

    #[test]
    fn what_the_file_would_refuse_is_refused_before_a_key_is_shown() {
        let error = run(args("two\nlines"), &Entropy::system()).unwrap_err();
        assert!(error.to_string().contains("account must be"), "{error}");
    }
}
