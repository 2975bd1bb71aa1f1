//! `keys`: the API keys of the account on a running server. `api-key` makes the first one, in the database itself.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::failure::Failure;
use super::flags::{moment, put};
use super::output::Columns;
use super::output::printable::printable;
use super::{Run, Session};
use crate::domain::value::time::Timestamp;

const KEYS: &Columns = &[
    ("NAME", "name"),
    ("STATE", "state"),
    ("PERMISSIONS", "permissions"),
    ("ORGANIZATION", "organization_id"),
    ("EXPIRES", "expire_time"),
    ("LAST USED", "last_use_time"),
    ("CREATED", "create_time"),
];

/// The flags of `keys`.
#[derive(Clone, Debug, Args)]
pub struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum KeysCommand {
    /// List the keys, the newest first.
    List(ListArgs),
    /// Show one key.
    Show(NameArgs),
    /// Create a key and print it, once.
    Create(CreateArgs),
    /// Change the permissions, the expiry or the display name of a key.
    Update(UpdateArgs),
    /// Revoke a key for ever.
    Revoke(NameArgs),
}

#[derive(Clone, Debug, Args)]
struct ListArgs {
    /// List revoked keys too.
    #[arg(long)]
    revoked: bool,
    /// Only keys that are bound to this organization.
    #[arg(long, value_name = "UUID")]
    organization: Option<Uuid>,
    /// Number of keys to list; all of them, if it is not given.
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
}

#[derive(Clone, Debug, Args)]
struct NameArgs {
    /// Id or name of the key, such as billing or apiKeys/billing.
    #[arg(value_name = "KEY", value_parser = key)]
    name: String,
}

#[derive(Clone, Debug, Args)]
struct CreateArgs {
    /// Id of the key: lower-case letters, digits and hyphens, never used before.
    #[arg(value_name = "ID")]
    id: String,
    /// A permission of the key, `*` or area.action; can be given several times.
    #[arg(long = "permission", value_name = "PERMISSION", required = true)]
    permissions: Vec<String>,
    #[command(flatten)]
    more: KeyArgs,
    /// The only organization the key may act for.
    #[arg(long, value_name = "UUID")]
    organization: Option<Uuid>,
    /// A role that the key may give; can be given several times. Any role, if it is not given.
    #[arg(long = "grantable-role", value_name = "ROLE")]
    grantable_roles: Vec<String>,
    /// Decide and answer, but create nothing.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Debug, Args)]
struct UpdateArgs {
    #[command(flatten)]
    name: NameArgs,
    /// A permission of the key, in place of the present ones; can be given several times.
    #[arg(long = "permission", value_name = "PERMISSION")]
    permissions: Vec<String>,
    #[command(flatten)]
    more: KeyArgs,
}

#[derive(Clone, Debug, Args)]
struct KeyArgs {
    /// Name of the key for people.
    #[arg(long, value_name = "TEXT")]
    display_name: Option<String>,
    /// Moment from which the key is refused, such as 2027-01-01T00:00:00Z.
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    expires_at: Option<Timestamp>,
}

impl KeyArgs {
    fn put(self, permissions: Vec<String>, key: &mut Map<String, Value>) {
        put(key, "permissions", Some(permissions));
        put(key, "display_name", self.display_name);
        put(key, "expire_time", self.expires_at.map(|moment| moment.to_string()));
    }
}

impl Run for KeysArgs {
    async fn run(self, session: &mut Session) -> Result<(), Failure> {
        match self.command {
            KeysCommand::List(ListArgs { revoked, organization, limit }) => {
                let request = json!({"show_revoked": revoked, "organization_id": organization});
                session.list("AccessService.ListApiKeys", request, limit, KEYS).await
            }
            KeysCommand::Show(NameArgs { name }) => {
                session.record("AccessService.GetApiKey", json!({"name": name})).await
            }
            KeysCommand::Create(args) => create(args, session).await,
            KeysCommand::Update(args) => update(args, session).await,
            KeysCommand::Revoke(NameArgs { name }) => {
                let revoked = session.client.call("AccessService.RevokeApiKey", json!({"name": name})).await?;
                session.output.rows(KEYS, vec![revoked])
            }
        }
    }
}

/// Prints the key alone, so that the output can be the file of a credential.
async fn create(args: CreateArgs, session: &mut Session) -> Result<(), Failure> {
    let CreateArgs { id, permissions, more, organization, grantable_roles, dry_run } = args;
    let mut key = Map::new();
    more.put(permissions, &mut key);
    put(&mut key, "organization_id", organization.map(|id| id.to_string()));
    put(&mut key, "grantable_roles", (!grantable_roles.is_empty()).then(|| json!({"roles": grantable_roles})));
    let request = json!({"api_key_id": id, "api_key": Value::Object(key), "validate_only": dry_run});
    let created = session.client.call("AccessService.CreateApiKey", request).await?;
    let secret = created.get_field_by_name("key_string").and_then(|text| text.as_str().map(str::to_owned));
    match secret.filter(|secret| !secret.is_empty()) {
        // An answer that was lost is not given again.
        None if !dry_run => Err(Failure::failed(format!(
            "the key was created, but its only answer was lost: run `keys revoke {id}` and create another one"
        ))),
        Some(secret) if !session.output.is_json() => session.output.line(&printable(&secret)),
        _ => session.output.record(created, true),
    }
}

async fn update(args: UpdateArgs, session: &mut Session) -> Result<(), Failure> {
    let UpdateArgs { name: NameArgs { name }, permissions, more } = args;
    let mut key = Map::new();
    more.put(permissions, &mut key);
    if key.is_empty() {
        return Err(Failure::usage("nothing to change: give --permission, --expires-at or --display-name"));
    }
    put(&mut key, "name", Some(name));
    session.record("AccessService.UpdateApiKey", json!({"api_key": Value::Object(key)})).await
}

fn key(text: &str) -> Result<String, &'static str> {
    let id = text.strip_prefix("apiKeys/").unwrap_or(text);
    let is_id =
        !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if is_id {
        Ok(format!("apiKeys/{id}"))
    } else {
        Err("it must be the id of a key: lower-case letters, digits and hyphens")
    }
}
