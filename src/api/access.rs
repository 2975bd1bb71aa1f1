//! `AccessService`: the caller, API keys, and the grants by which one organization may act for another.

mod api_keys;

mod quota;

use std::collections::BTreeSet;
use std::sync::Arc;

use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::convert::timestamp;
use super::execute::{Api, Call};
use super::parse::field_mask::FieldMask;
use super::parse::page;
use super::parse::violations::Violations;
use crate::auth::caller::Credential;
use crate::auth::permission::{Permission, SELF};
use crate::domain::organization_grant::{GrantUpdate, OrganizationGrant};
use crate::domain::value::id::IdSeed;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::text;
use crate::pb;
use crate::pb::access_service_server::AccessService;
use crate::server::status;
use crate::server::violation::Violation;
use crate::store::{Cursor, GrantCreated, GrantRefusal, OrganizationGrantQuery};

const COLLECTION: &str = "organizationGrants";
const PERMISSIONS: &str = "organization_grant.permissions";

/// The most entries of `permissions`; the same one twice counts once.
const MAX_PERMISSIONS: usize = 50;
/// The permissions that one organization may grant to another.
const GRANTABLE: [Permission; 2] = [Permission::GuestInvitationsRead, Permission::GuestInvitationsWrite];

/// Serves `AccessService`.
#[derive(Debug)]
pub(crate) struct Access(pub(crate) Arc<Api>);

#[tonic::async_trait]
impl AccessService for Access {
    async fn get_caller(&self, request: Request<pb::GetCallerRequest>) -> Result<Response<pb::Caller>, Status> {
        let (Call { caller, .. }, _, violations) = Call::of(request)?;
        violations.finish(Some(()))?;
        let own = caller.person().map(|_| SELF);
        let permissions = caller.permissions.iter().map(|permission| permission.name());
        let permissions: BTreeSet<_> = permissions.chain(own).collect();
        let person = caller.person().map(|person| pb::Person {
            subject: person.subject.0.clone(),
            email: person.email.as_ref().map(|email| email.original().to_owned()).unwrap_or_default(),
        });
        let auth_mode = match caller.credential {
            Credential::None => pb::AuthMode::None,
            Credential::ApiKey => pb::AuthMode::ApiKey,
            Credential::ClientCertificate => pb::AuthMode::ClientCertificate,
            Credential::Jwt | Credential::Person(_) => pb::AuthMode::Jwt,
        };
        Ok(Response::new(pb::Caller {
            account: caller.account.as_str().to_owned(),
            name: caller.name,
            organization_id: caller.organization_id.map(|id| id.to_string()).unwrap_or_default(),
            permissions: permissions.into_iter().map(str::to_owned).collect(),
            auth_mode: auth_mode.into(),
            server_version: env!("CARGO_PKG_VERSION").to_owned(),
            person,
        }))
    }

    async fn create_api_key(&self, request: Request<pb::CreateApiKeyRequest>) -> Result<Response<pb::ApiKey>, Status> {
        api_keys::create(&self.0, request).await.map(Response::new)
    }

    async fn get_api_key(&self, request: Request<pb::GetApiKeyRequest>) -> Result<Response<pb::ApiKey>, Status> {
        api_keys::get(&self.0, request).await.map(Response::new)
    }

    async fn list_api_keys(
        &self,
        request: Request<pb::ListApiKeysRequest>,
    ) -> Result<Response<pb::ListApiKeysResponse>, Status> {
        api_keys::list(&self.0, request).await.map(Response::new)
    }

    async fn update_api_key(&self, request: Request<pb::UpdateApiKeyRequest>) -> Result<Response<pb::ApiKey>, Status> {
        api_keys::update(&self.0, request).await.map(Response::new)
    }

    async fn revoke_api_key(&self, request: Request<pb::RevokeApiKeyRequest>) -> Result<Response<pb::ApiKey>, Status> {
        api_keys::revoke(&self.0, request).await.map(Response::new)
    }

    async fn get_quota(&self, request: Request<pb::GetQuotaRequest>) -> Result<Response<pb::Quota>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let inviter = violations.optional("inviter_user_id", &message.inviter_user_id, text::opaque_id);
        violations.finish(Some(()))?;
        quota::quota(&self.0, &call.caller, inviter.as_deref()).await.map(Response::new)
    }

    async fn create_organization_grant(
        &self,
        request: Request<pb::CreateOrganizationGrantRequest>,
    ) -> Result<Response<pb::OrganizationGrant>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let given = to_create(&mut violations, message.organization_grant.as_ref());
        let (requester, target, permissions) = violations.finish(given)?;
        let now = self.0.clock.now();
        let grant = OrganizationGrant {
            id: IdSeed::new(now, self.0.entropy.bytes()).nth(1),
            requester,
            target,
            permissions,
            revision: 1,
            creator: call.caller.name.clone(),
            created_at: now,
            updated_at: now,
        };
        let once = self.0.write_once(&call, &message);
        let created = self.0.store.create_organization_grant(&call.caller.account, &grant, &once);
        match self.0.read(created).await? {
            GrantCreated::Created if message.validate_only => {
                let (name, uid) = (String::new(), String::new());
                Ok(Response::new(pb::OrganizationGrant { name, uid, ..dry_run(&grant) }))
            }
            GrantCreated::Replayed(grant) if message.validate_only => Ok(Response::new(dry_run(&grant))),
            GrantCreated::Created => Ok(Response::new(convert(&grant))),
            GrantCreated::Replayed(grant) => Ok(Response::new(convert(&grant))),
            GrantCreated::Deleted(id) => Err(status::organization_grant_not_found(&name(id))),
            GrantCreated::RequestIdReused => Err(status::request_id_reused()),
            GrantCreated::AlreadyExists(id) => Err(status::organization_grant_exists(&name(id))),
        }
    }

    async fn get_organization_grant(
        &self,
        request: Request<pb::GetOrganizationGrantRequest>,
    ) -> Result<Response<pb::OrganizationGrant>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let id = violations.required("name", &message.name, parse_name);
        let id = violations.finish(id)?;
        let found = self
            .0
            .find_lagging(Option::is_some, |reads| reads.get_organization_grant(&call.caller.account, id))
            .await?;
        let found = found.ok_or_else(|| status::organization_grant_not_found(&name(id)))?;
        Ok(Response::new(convert(&found)))
    }

    async fn list_organization_grants(
        &self,
        request: Request<pb::ListOrganizationGrantsRequest>,
    ) -> Result<Response<pb::ListOrganizationGrantsResponse>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let asked = page::asked(&self.0, &call, &message, "create_time", &mut violations);
        let mut id = |field: &str, value: &str| violations.optional(field, value, text::uuid);
        let requester = id("requester_organization_id", &message.requester_organization_id);
        let target = id("target_organization_id", &message.target_organization_id);
        let (size, limit) = (asked.size, asked.limit());
        let query = OrganizationGrantQuery { requester, target, ascending: asked.ascending, limit, after: asked.after };
        let query = violations.finish(Some(query))?;
        let rows = self.0.read_lagging(|reads| reads.list_organization_grants(&call.caller.account, &query)).await?;
        let (context, show) = ((self.0.as_ref(), &call, &message), |row: &_| Ok(convert(row)));
        let cursor_of = |row: &OrganizationGrant| Cursor::of_id(row.id);
        let (organization_grants, next_page_token) = page::show(context, (&rows, None), size, cursor_of, show)?;
        Ok(Response::new(pb::ListOrganizationGrantsResponse { organization_grants, next_page_token }))
    }

    async fn update_organization_grant(
        &self,
        request: Request<pb::UpdateOrganizationGrantRequest>,
    ) -> Result<Response<pb::OrganizationGrant>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let parsed = to_update(&mut violations, &message);
        let (id, etag, update) = violations.finish(parsed)?;
        let (once, now) = (self.0.write_once(&call, &message), self.0.clock.now());
        let decide = |grant: &OrganizationGrant| grant.update(&update, etag.as_deref(), now);
        let changed = self.0.store.change_organization_grant(&call.caller.account, id, &once, decide);
        let changed = self.0.read(changed).await?.map_err(|refusal| refused(id, refusal))?;
        Ok(Response::new(if message.validate_only { dry_run(&changed) } else { convert(&changed) }))
    }

    async fn delete_organization_grant(
        &self,
        request: Request<pb::DeleteOrganizationGrantRequest>,
    ) -> Result<Response<()>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let id = violations.required("name", &message.name, parse_name);
        let etag = violations.optional("etag", &message.etag, text::opaque_id);
        let id = violations.finish(id)?;
        let once = self.0.write_once(&call, &message);
        let check = |grant: &OrganizationGrant| grant.check_etag(etag.as_deref());
        let deleted = self.0.store.delete_organization_grant(&call.caller.account, id, &once, check);
        self.0.read(deleted).await?.map_err(|refusal| refused(id, refusal))?;
        Ok(Response::new(()))
    }
}

fn refused(id: Uuid, refusal: GrantRefusal) -> Status {
    match refusal {
        GrantRefusal::NotFound => status::organization_grant_not_found(&name(id)),
        GrantRefusal::Stale => status::etag_mismatch("organization grant"),
        GrantRefusal::Fixed(field) => {
            let rule = Invalid::new(FieldRule::NotAllowed, "must be unset or as it is: it cannot be updated");
            status::invalid_fields(vec![Violation::new(
                format!("organization_grant.{field}"),
                rule.rule,
                rule.description,
            )])
        }
        GrantRefusal::RequestIdReused => status::request_id_reused(),
    }
}

fn to_create(violations: &mut Violations, given: Option<&pb::OrganizationGrant>) -> Option<(Uuid, Uuid, Vec<String>)> {
    let empty = pb::OrganizationGrant::default();
    let given = given.unwrap_or(&empty);
    let at = |field: &str| format!("organization_grant.{field}");
    let requester = violations.required(&at("requester_organization_id"), &given.requester_organization_id, text::uuid);
    let target = violations.required(&at("target_organization_id"), &given.target_organization_id, text::uuid);
    if requester.is_some() && requester == target {
        violations.add(
            at("target_organization_id"),
            FieldRule::Conflicts,
            "must be another organization than the requester",
        );
    }
    violations.optional(&at("etag"), &given.etag, text::opaque_id);
    let permissions = granted(violations, &given.permissions);
    Some((requester?, target?, permissions))
}

/// Parses the grant to be updated, the etag it must have, and the update.
fn to_update(
    violations: &mut Violations,
    request: &pb::UpdateOrganizationGrantRequest,
) -> Option<(Uuid, Option<String>, GrantUpdate)> {
    let empty = pb::OrganizationGrant::default();
    let given = request.organization_grant.as_ref().unwrap_or(&empty);
    let id = violations.required("organization_grant.name", &given.name, parse_name);
    let etag = violations.optional("organization_grant.etag", &given.etag, text::opaque_id);
    let fields = [("permissions", !given.permissions.is_empty())];
    let mask = FieldMask::parse(violations, request.update_mask.as_ref(), fields);
    // A mask that names fields says that the others are not looked at.
    let mut fixed = |field: &str, value: &str| {
        let value = if mask.is_whole() { value } else { "" };
        violations.optional(&format!("organization_grant.{field}"), value, text::uuid)
    };
    let requester = fixed("requester_organization_id", &given.requester_organization_id);
    let target = fixed("target_organization_id", &given.target_organization_id);
    let permissions = mask.has("permissions").then(|| granted(violations, &given.permissions));
    Some((id?, etag, GrantUpdate { requester, target, permissions }))
}

/// Parses granted permissions, at least one; the same twice counts once.
fn granted(violations: &mut Violations, given: &[String]) -> Vec<String> {
    if given.is_empty() {
        violations.add(PERMISSIONS, FieldRule::Required, "is required");
    }
    let permissions = violations.each(PERMISSIONS, given, MAX_PERMISSIONS, |value| {
        let known = GRANTABLE.iter().find(|permission| permission.name() == value);
        let rule = Invalid::new(FieldRule::UnknownValue, "must be guest_invitations.read or guest_invitations.write");
        known.map(|known| known.name()).ok_or(rule)
    });
    let permissions: BTreeSet<_> = permissions.into_iter().map(str::to_owned).collect();
    permissions.into_iter().collect()
}

fn parse_name(name: &str) -> Result<Uuid, Invalid> {
    const INVALID: Invalid = Invalid::format("must be organizationGrants/{uuid}");
    let id = name.strip_prefix(COLLECTION).and_then(|rest| rest.strip_prefix('/')).ok_or(INVALID)?;
    text::uuid(id).map_err(|_| INVALID)
}

fn name(id: Uuid) -> String {
    format!("{COLLECTION}/{id}")
}

fn convert(grant: &OrganizationGrant) -> pb::OrganizationGrant {
    pb::OrganizationGrant {
        name: name(grant.id),
        uid: grant.id.to_string(),
        requester_organization_id: grant.requester.to_string(),
        target_organization_id: grant.target.to_string(),
        permissions: grant.permissions.clone(),
        creator: grant.creator.clone(),
        create_time: Some(timestamp(grant.created_at)),
        update_time: Some(timestamp(grant.updated_at)),
        etag: grant.etag(),
    }
}

/// Converts a grant as it would be, without the etag that nothing has.
fn dry_run(grant: &OrganizationGrant) -> pb::OrganizationGrant {
    pb::OrganizationGrant { etag: String::new(), ..convert(grant) }
}
