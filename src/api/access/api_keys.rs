//! The RPCs of API keys. A caller that is bound to an organization sees and makes only keys that are bound to it, and nobody gives
//! a key what they do not have.
//!
//! A key belongs to no invitation, so its changes have no event. Each is one line of the log: see [`crate::auth::audit`].

mod parse;

use tonic::{Request, Status};
use uuid::Uuid;

use super::super::convert::timestamp;
use super::super::execute::{Api, Call};
use crate::api::parse::page;
use crate::auth::api_key::ApiKey;
use crate::auth::audit::{KeyEvent, audit};
use crate::auth::key_directory::name_of;
use crate::domain::api_key::{ApiKeyRecord, ApiKeyState, ChangeRefusal, Excess, Powers};
use crate::domain::value::id::IdSeed;
use crate::domain::value::rule::FieldRule;
use crate::domain::value::text;
use crate::domain::value::time::Timestamp;
use crate::pb;
use crate::server::status;
use crate::server::violation::Violation;
use crate::store::{ApiKeyChanged, ApiKeyCreated, ApiKeyName, ApiKeyQuery, Cursor};
use parse::NewKey;

/// Creates a key. It is in the answer of the call that creates it, and nowhere else.
pub(super) async fn create(api: &Api, request: Request<pb::CreateApiKeyRequest>) -> Result<pb::ApiKey, Status> {
    let (call, message, mut violations) = Call::of(request)?;
    let (now, caller) = (api.clock.now(), &call.caller);
    let NewKey { key_id, display_name, organization, powers } = {
        let given = parse::to_create(&mut violations, &message, now);
        violations.finish(given)?
    };
    let organization = organization_of(&call, organization)?;
    powers.check_gift(None, &caller.powers()).map_err(|excess| excessive(&call, excess))?;
    let secret = ApiKey::generate(&api.entropy);
    let key = ApiKeyRecord {
        id: IdSeed::new(now, api.entropy.bytes()).nth(0),
        key_id,
        display_name,
        hash: secret.hash(),
        powers,
        organization,
        revoked_at: None,
        last_used_at: None,
        revision: 1,
        creator: caller.name.clone(),
        created_at: now,
        updated_at: now,
    };
    let once = api.write_once(&call, &message);
    let created = api.read(api.store.create_api_key(&caller.account, &key, &once, api.max_api_keys)).await?;
    Ok(match created {
        ApiKeyCreated::Created if message.validate_only => {
            pb::ApiKey { name: String::new(), uid: String::new(), ..dry_run(&key, now) }
        }
        ApiKeyCreated::Created => {
            audit(KeyEvent::Created, &key);
            pb::ApiKey { key_string: secret.expose().to_owned(), ..convert(&key, now) }
        }
        ApiKeyCreated::Replayed(key) if message.validate_only => dry_run(&key, now),
        ApiKeyCreated::Replayed(key) => convert(&key, now),
        ApiKeyCreated::AlreadyExists => return Err(status::api_key_exists(&name_of(&key.key_id))),
        ApiKeyCreated::TooMany(used) => return Err(too_many(api, used)),
        ApiKeyCreated::RequestIdReused => return Err(status::request_id_reused()),
    })
}

/// Returns one key.
pub(super) async fn get(api: &Api, request: Request<pb::GetApiKeyRequest>) -> Result<pb::ApiKey, Status> {
    let (call, message, mut violations) = Call::of(request)?;
    let key_id = violations.required("name", &message.name, parse::name);
    let key_id = violations.finish(key_id)?;
    let name = named(&call, &key_id);
    let found = api.find_lagging(Option::is_some, |reads| reads.get_api_key(name)).await?;
    let found = found.ok_or_else(|| status::api_key_not_found(&name_of(&key_id)))?;
    Ok(convert(&found, api.clock.now()))
}

/// Lists keys.
pub(super) async fn list(
    api: &Api,
    request: Request<pb::ListApiKeysRequest>,
) -> Result<pb::ListApiKeysResponse, Status> {
    let (call, message, mut violations) = Call::of(request)?;
    let asked = page::asked(api, &call, &message, "create_time", &mut violations);
    let organization = violations.optional("organization_id", &message.organization_id, text::uuid);
    let (size, limit) = (asked.size, asked.limit());
    let revoked = message.show_revoked;
    let query = ApiKeyQuery { organization, revoked, ascending: asked.ascending, limit, after: asked.after };
    let query = violations.finish(Some(query))?;
    let query = ApiKeyQuery { organization: organization_of(&call, query.organization)?, ..query };
    let rows = api.read_lagging(|reads| reads.list_api_keys(&call.caller.account, &query)).await?;
    let (context, now) = ((api, &call, &message), api.clock.now());
    let (cursor_of, show) = (|row: &ApiKeyRecord| Cursor::of_id(row.id), |row: &_| Ok(convert(row, now)));
    let (api_keys, next_page_token) = page::show(context, (&rows, None), size, cursor_of, show)?;
    Ok(pb::ListApiKeysResponse { api_keys, next_page_token })
}

/// Changes a key.
pub(super) async fn update(api: &Api, request: Request<pb::UpdateApiKeyRequest>) -> Result<pb::ApiKey, Status> {
    let (call, message, mut violations) = Call::of(request)?;
    let now = api.clock.now();
    let parsed = parse::to_update(&mut violations, &message, now);
    let (key_id, etag, update) = violations.finish(parsed)?;
    let (once, powers) = (api.write_once(&call, &message), call.caller.powers());
    let decide = |key: &ApiKeyRecord| key.update(&update, &powers, etag.as_deref(), now);
    let changed = api.store.change_api_key(named(&call, &key_id), &once, api.max_api_keys, decide);
    let changed = api.read(changed).await?;
    answer((api, &call), (&key_id, now), KeyEvent::Updated, changed, message.validate_only)
}

/// Revokes a key.
pub(super) async fn revoke(api: &Api, request: Request<pb::RevokeApiKeyRequest>) -> Result<pb::ApiKey, Status> {
    let (call, message, mut violations) = Call::of(request)?;
    let key_id = violations.required("name", &message.name, parse::name);
    let etag = violations.optional("etag", &message.etag, text::opaque_id);
    let (key_id, now) = (violations.finish(key_id)?, api.clock.now());
    let once = api.write_once(&call, &message);
    let decide = |key: &ApiKeyRecord| key.revoke(etag.as_deref(), now);
    let changed = api.read(api.store.change_api_key(named(&call, &key_id), &once, None, decide)).await?;
    answer((api, &call), (&key_id, now), KeyEvent::Revoked, changed, message.validate_only)
}

/// Returns the organization of a key or of a list: that of a caller who is bound to one, who may name no other.
fn organization_of(call: &Call, given: Option<Uuid>) -> Result<Option<Uuid>, Status> {
    match (call.caller.organization_id, given) {
        (Some(own), Some(other)) if own != other => Err(status::organization_access_denied()),
        (own, given) => Ok(own.or(given)),
    }
}

/// Returns the name of a key as the caller sees it.
fn named<'a>(call: &'a Call, key_id: &'a str) -> ApiKeyName<'a> {
    ApiKeyName { account: &call.caller.account, key_id, within: call.caller.organization_id }
}

fn answer(
    (api, call): (&Api, &Call),
    (key_id, now): (&str, Timestamp),
    event: KeyEvent,
    changed: ApiKeyChanged,
    validate_only: bool,
) -> Result<pb::ApiKey, Status> {
    match changed {
        ApiKeyChanged::Changed(key) | ApiKeyChanged::Unchanged(key) if validate_only => Ok(dry_run(&key, now)),
        ApiKeyChanged::Changed(key) => {
            audit(event, &key);
            Ok(convert(&key, now))
        }
        ApiKeyChanged::Unchanged(key) => Ok(convert(&key, now)),
        ApiKeyChanged::NotFound => Err(status::api_key_not_found(&name_of(key_id))),
        ApiKeyChanged::TooMany(used) => Err(too_many(api, used)),
        ApiKeyChanged::RequestIdReused => Err(status::request_id_reused()),
        ApiKeyChanged::Refused(refusal) => Err(match refusal {
            ChangeRefusal::Stale => status::etag_mismatch("API key"),
            ChangeRefusal::Revoked => status::api_key_revoked(),
            ChangeRefusal::Fixed(field) => {
                let (field, text) = (format!("api_key.{field}"), "must be unset or as it is: it cannot be updated");
                status::invalid_fields(vec![Violation::new(field, FieldRule::NotAllowed, text)])
            }
            ChangeRefusal::Excess(excess) => excessive(call, excess),
        }),
    }
}

/// Returns the status of a call that would put one key more in force than the account may have.
fn too_many(api: &Api, used: u64) -> Status {
    status::too_many_api_keys(api.max_api_keys.unwrap_or_default(), used)
}

/// Returns the status of a call that gives what its caller does not have.
fn excessive(call: &Call, excess: Excess) -> Status {
    match excess {
        Excess::Permission(permission) => status::permission_not_given(&call.caller.name, &permission),
        Excess::Role(role) => status::role_not_grantable(&role.unwrap_or_default()),
        Excess::Time => {
            let text = "must be set, and no later than the expiry of the caller's own credential";
            status::invalid_fields(vec![Violation::new("api_key.expire_time", FieldRule::OutOfRange, text)])
        }
    }
}

fn convert(key: &ApiKeyRecord, now: Timestamp) -> pb::ApiKey {
    let Powers { permissions, grantable_roles, expires_at } = key.powers.clone();
    let state = match key.state_at(now) {
        ApiKeyState::Active => pb::ApiKeyState::Active,
        ApiKeyState::Expired => pb::ApiKeyState::Expired,
        ApiKeyState::Revoked => pb::ApiKeyState::Revoked,
    };
    pb::ApiKey {
        name: name_of(&key.key_id),
        uid: key.id.to_string(),
        display_name: key.display_name.clone(),
        permissions,
        organization_id: key.organization.map(|id| id.to_string()).unwrap_or_default(),
        grantable_roles: grantable_roles.map(|roles| pb::GrantableRoles { roles }),
        expire_time: expires_at.map(timestamp),
        key_string: String::new(),
        state: state.into(),
        last_use_time: key.last_used_at.map(timestamp),
        creator: key.creator.clone(),
        create_time: Some(timestamp(key.created_at)),
        update_time: Some(timestamp(key.updated_at)),
        revoke_time: key.revoked_at.map(timestamp),
        etag: key.etag(),
    }
}

/// Converts a key as it would be, without the etag that nothing has.
fn dry_run(key: &ApiKeyRecord, now: Timestamp) -> pb::ApiKey {
    pb::ApiKey { etag: String::new(), ..convert(key, now) }
}
