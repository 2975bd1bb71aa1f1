//! Parses the requests about API keys.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::api::access::MAX_PERMISSIONS;
use crate::api::parse::field_mask::FieldMask;
use crate::api::parse::violations::Violations;
use crate::api::parse::{moment, roles};
use crate::auth::permission::Permission;
use crate::domain::api_key::{ApiKeyUpdate, Powers, parse_id};
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::text;
use crate::domain::value::time::Timestamp;
use crate::pb;

const PREFIX: &str = "apiKeys/";
const PERMISSIONS: &str = "api_key.permissions";

/// The fields of a new key.
pub(super) struct NewKey {
    pub(super) key_id: String,
    pub(super) display_name: String,
    pub(super) organization: Option<Uuid>,
    pub(super) powers: Powers,
}

/// Parses the name of a key, and returns the id in it.
pub(super) fn name(name: &str) -> Result<String, Invalid> {
    const INVALID: Invalid = Invalid::format("must be apiKeys/{api_key_id}");
    name.strip_prefix(PREFIX).and_then(|id| parse_id(id).ok()).ok_or(INVALID)
}

/// Parses the key to be created at a moment.
pub(super) fn to_create(
    violations: &mut Violations,
    request: &pb::CreateApiKeyRequest,
    now: Timestamp,
) -> Option<NewKey> {
    let empty = pb::ApiKey::default();
    let given = request.api_key.as_ref().unwrap_or(&empty);
    let key_id = violations.required("api_key_id", &request.api_key_id, parse_id);
    let display_name = violations.optional("api_key.display_name", &given.display_name, text::free_text);
    let organization = violations.optional("api_key.organization_id", &given.organization_id, text::uuid);
    violations.optional("api_key.etag", &given.etag, text::opaque_id);
    let powers = Powers {
        permissions: permissions(violations, &given.permissions),
        grantable_roles: grantable_roles(violations, given),
        expires_at: expiry(violations, given, now),
    };
    Some(NewKey { key_id: key_id?, display_name: display_name.unwrap_or_default(), organization, powers })
}

/// Parses the id of the key to be updated at a moment, the etag it must have, and the update.
pub(super) fn to_update(
    violations: &mut Violations,
    request: &pb::UpdateApiKeyRequest,
    now: Timestamp,
) -> Option<(String, Option<String>, ApiKeyUpdate)> {
    let empty = pb::ApiKey::default();
    let given = request.api_key.as_ref().unwrap_or(&empty);
    let key_id = violations.required("api_key.name", &given.name, name);
    let etag = violations.optional("api_key.etag", &given.etag, text::opaque_id);
    let fields = [
        ("display_name", !given.display_name.is_empty()),
        ("permissions", !given.permissions.is_empty()),
        ("expire_time", given.expire_time.is_some()),
        ("grantable_roles", given.grantable_roles.is_some()),
    ];
    let mask = FieldMask::parse(violations, request.update_mask.as_ref(), fields);
    let display_name = violations.optional("api_key.display_name", &given.display_name, text::free_text);
    // A mask that names fields says that the others are not looked at.
    let organization = if mask.is_whole() { given.organization_id.as_str() } else { "" };
    let update = ApiKeyUpdate {
        display_name: mask.has("display_name").then(|| display_name.unwrap_or_default()),
        permissions: mask.has("permissions").then(|| permissions(violations, &given.permissions)),
        grantable_roles: mask.has("grantable_roles").then(|| grantable_roles(violations, given)),
        expires_at: mask.has("expire_time").then(|| expiry(violations, given, now)),
        organization: violations.optional("api_key.organization_id", organization, text::uuid),
    };
    Some((key_id?, etag, update))
}

/// Parses permissions, at least one, to their names in alphabetical order.
fn permissions(violations: &mut Violations, given: &[String]) -> Vec<String> {
    if given.is_empty() {
        violations.add(PERMISSIONS, FieldRule::Required, "is required");
    }
    let permissions = violations.each(PERMISSIONS, given, MAX_PERMISSIONS, |name| {
        let unknown = Invalid::new(FieldRule::UnknownValue, "must be a permission, such as invitations.read, or *");
        Permission::from_name(name).ok_or(unknown)
    });
    let names: BTreeSet<_> = permissions.into_iter().flatten().map(Permission::name).collect();
    names.into_iter().map(str::to_owned).collect()
}

/// Parses the roles that a key may grant; `None` for any.
fn grantable_roles(violations: &mut Violations, given: &pb::ApiKey) -> Option<Vec<String>> {
    let given = given.grantable_roles.as_ref()?;
    let mut roles = roles(violations, "api_key.grantable_roles.roles", &given.roles);
    roles.sort_unstable();
    Some(roles)
}

/// Parses the expiry, which has to be in the future.
fn expiry(violations: &mut Violations, given: &pb::ApiKey, now: Timestamp) -> Option<Timestamp> {
    const FIELD: &str = "api_key.expire_time";
    let expiry = moment(violations, FIELD, given.expire_time)?;
    let future = Invalid::new(FieldRule::OutOfRange, "must be in the future");
    violations.take(FIELD, if expiry > now { Ok(expiry) } else { Err(future) })
}
