//! `api-key`: makes a key and the entry, or the record, that lets it in.
//!
//! The key is in the returned value only. `api-key entry` returns or adds the entry, which has its hash; the record of `api-key
//! create` is written by `src/commands/api_key.rs`.

use std::collections::BTreeSet;
use std::io::Write as _;

use toml::Value;

use super::{ApiKeyArgs, ApiKeyEntryArgs};
use crate::auth::api_key::{ApiKey, format_hash};
use crate::auth::permission::Permission;
use crate::config::{ApiKeyEntry, ConfigError, Problem};
use crate::domain::api_key::{ApiKeyRecord, Powers, parse_id};
use crate::domain::value::id::IdSeed;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::entropy::Entropy;
use crate::private_file;

/// The creator of keys that the command line makes.
const CREATOR: &str = "cli";

/// A key for the database.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// The key.
    pub secret: ApiKey,
    /// The account that it acts in.
    pub account: AccountId,
    /// Everything that the database has of it.
    pub record: ApiKeyRecord,
}

/// Creates an API key and its record of this moment.
///
/// # Errors
/// Arguments that CreateApiKey would refuse too.
pub fn record(args: ApiKeyArgs, entropy: &Entropy, now: Timestamp) -> Result<NewApiKey, ConfigError> {
    let ApiKeyArgs { name, account, permissions, organization_id, expires_at } = args;
    let secret = ApiKey::generate(entropy);
    // The rules of a file are those of the database, but for the name.
    let entry = ApiKeyEntry::new(name, secret.hash(), account, permissions, organization_id, expires_at);
    let ApiKeyEntry { name, hash, account, permissions, organization_id, expires_at } = entry.map_err(refuse)?;
    let key_id = parse_id(&name).map_err(|invalid| refuse(vec![format!("name {}", invalid.description)]))?;
    if expires_at.is_some_and(|expires_at| expires_at <= now) {
        return Err(refuse(vec!["expires-at must be in the future".to_owned()]));
    }
    let account = AccountId::parse(&account).map_err(|invalid| refuse(vec![invalid.description.to_owned()]))?;
    let known = permissions.iter().filter_map(|name| Permission::from_name(name)).flatten();
    let names: BTreeSet<_> = known.map(Permission::name).collect();
    let permissions = names.into_iter().map(str::to_owned).collect();
    let record = ApiKeyRecord {
        id: IdSeed::new(now, entropy.bytes()).nth(0),
        key_id,
        display_name: String::new(),
        hash,
        powers: Powers { permissions, grantable_roles: None, expires_at },
        organization: organization_id,
        revoked_at: None,
        last_used_at: None,
        revision: 1,
        creator: CREATOR.to_owned(),
        created_at: now,
        updated_at: now,
    };
    Ok(NewApiKey { secret, account, record })
}

/// Creates an API key and returns the text to print: the key, and its entry for the API key file.
///
/// # Errors
/// Arguments that the API key file would refuse too, or a file that cannot be written.
pub fn entry(args: ApiKeyEntryArgs, entropy: &Entropy) -> Result<String, ConfigError> {
    let ApiKeyEntryArgs { key, entry_file } = args;
    let ApiKeyArgs { name, account, permissions, organization_id, expires_at } = key;
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
    ConfigError::of(problems.collect())
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

    fn args(account: &str) -> ApiKeyArgs {
        ApiKeyArgs {
            name: "ci".to_owned(),
            account: account.to_owned(),
            permissions: vec!["events.read".to_owned(), "*".to_owned()],
            organization_id: Some(Uuid::from_u128(7)),
            expires_at: Timestamp::from_rfc3339("2027-01-01T01:00:00+01:00"),
        }
    }

    fn run(key: ApiKeyArgs, entry_file: Option<std::path::PathBuf>) -> Result<String, ConfigError> {
        entry(ApiKeyEntryArgs { key, entry_file }, &Entropy::system())
    }

    #[test]
    fn record_has_what_the_arguments_say_and_refuses_the_rest() {
        let now = Timestamp::from_rfc3339("2026-01-01T00:00:00Z").unwrap();
        let made = |args| record(args, &Entropy::system(), now);
        let NewApiKey { secret, account, record } = made(args("acme")).unwrap();
        assert_eq!((account.as_str(), record.key_id.as_str(), record.hash), ("acme", "ci", secret.hash()));
        assert_eq!(record.powers.permissions.len(), Permission::ALL.len(), "* is all that there are");
        assert!(record.powers.permissions.is_sorted() && record.powers.expires_at == args("").expires_at);
        for (refused, text) in [
            (ApiKeyArgs { name: "C I".to_owned(), ..args("acme") }, "name must"),
            (ApiKeyArgs { name: "CI".to_owned(), ..args("acme") }, "lower-case"),
            (ApiKeyArgs { permissions: vec!["all".to_owned()], ..args("acme") }, "no permission"),
            (ApiKeyArgs { expires_at: Some(now), ..args("acme") }, "in the future"),
            (args(""), "account must"),
        ] {
            let error = made(refused).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn printed_entry_loads_and_accepts_the_printed_key() {
        let printed = run(args("acme \"east\" \\ #1"), None).unwrap();
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
        let make = |name: &str| run(ApiKeyArgs { name: name.to_owned(), ..args("acme") }, Some(file.clone())).unwrap();
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
        let error = run(args("two\nlines"), None).unwrap_err();
        assert!(error.to_string().contains("account must be"), "{error}");
    }
}
