//! The invitations that a call may be about: those of the organizations that its credential may act for, or of the one that its
//! request names, in a field or in the metadata; or those of the person who calls.

use std::sync::Arc;

use tonic::Status;
use tonic::metadata::MetadataMap;
use uuid::Uuid;

use super::{Api, Call};
use crate::api::parse::violations::Violations;
use crate::auth::permission::Permission;
use crate::domain::command::{Access, Action};
use crate::domain::reach::Reach;
use crate::domain::reach::person::Person;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::text;
use crate::server::status;
use crate::store::OrganizationGrantQuery;

/// The most organizations that one organization may act for.
const MAX_ORGANIZATIONS: u64 = 10_000;

pub(super) const REQUESTER: &str = "requester-organization-id";
pub(super) const TARGET: &str = "target-organization-id";

/// Decides which organizations' invitations a call may be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OrganizationAccess {
    /// The organizations that the credential may act for; all, if it is bound to none.
    Caller,
    /// The target organization of the request, for which the requester of the request must be allowed to act.
    Request,
    /// Any organization: the token of a link opens its invitation.
    Link,
    /// By the token of a link any organization; by a name those of `Caller`.
    LinkOrName,
    /// The whole account, for which a credential that is bound to an organization may not act.
    Account,
}

/// The organizations that one request names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Organizations {
    /// The organization that asks.
    pub(crate) requester: Uuid,
    /// The organization it asks for: the host of guests.
    pub(crate) target: Uuid,
}

impl Organizations {
    /// Parses both from the fields of a request, or from its metadata, in which each may occur once. Where both are given,
    /// they must be equal.
    pub(crate) fn parse(violations: &mut Violations, metadata: &MetadataMap, fields: [&str; 2]) -> Option<Self> {
        let mut parse = |field: &'static str, given: &str, key: &str| {
            let mut values = metadata.get_all(key).iter();
            let by_key = match (values.next(), values.next()) {
                (None, _) => return violations.required(field, given, text::uuid),
                (Some(value), None) => violations.required(key, value.to_str().unwrap_or("?"), text::uuid),
                (Some(_), Some(_)) => {
                    violations.take(key, Err(Invalid::new(FieldRule::Duplicate, "must be given once")))
                }
            };
            match violations.optional(field, given, text::uuid) {
                Some(by_field) if by_key.is_some_and(|by_key| by_key != by_field) => {
                    let rule = Invalid::new(FieldRule::Conflicts, "must be the same as in the metadata");
                    violations.take(field, Err(rule))
                }
                _ => by_key,
            }
        };
        let [requester, target] = fields;
        let requester = parse("requester_organization_id", requester, REQUESTER);
        let target = parse("target_organization_id", target, TARGET);
        Some(Self { requester: requester?, target: target? })
    }
}

impl Api {
    /// Returns the invitations that the call may be about. The whole account costs no look-up, and no room for one: the look-ups are
    /// in boxes.
    pub(crate) async fn reach(&self, call: &Call) -> Result<Reach, Status> {
        let account = call.caller.account.clone();
        if let Some(person) = call.caller.person() {
            return reach_of_person(call, person);
        }
        match (call.access, call.caller.organization_id) {
            (OrganizationAccess::Link | OrganizationAccess::Account, _)
            | (OrganizationAccess::Caller | OrganizationAccess::LinkOrName, None) => Ok(Reach::of_account(account)),
            (OrganizationAccess::Caller | OrganizationAccess::LinkOrName, Some(own)) => {
                let reads = call.required.permission().is_none_or(Permission::is_read);
                let needed = if reads { Permission::GuestInvitationsRead } else { Permission::GuestInvitationsWrite };
                Ok(Reach::of_hosts(account, Box::pin(self.hosts_of(call, own, needed)).await?))
            }
            (OrganizationAccess::Request, bound) => match call.organizations {
                // The violation of a field or of the metadata refuses the call.
                None => Ok(Reach::of_hosts(account, Vec::new())),
                Some(Organizations { requester, target }) => {
                    let speaks = bound.is_none_or(|bound| bound == requester);
                    if speaks && (requester == target || Box::pin(self.may_act_for(call, requester, target)).await?) {
                        return Ok(Reach::of_hosts(account, vec![target]));
                    }
                    Err(status::organizations_access_denied(requester, target))
                }
            },
        }
    }

    /// Returns the invitations that a call may read, although its permission lets it write as well.
    pub(crate) async fn reach_to_read(&self, call: &Call) -> Result<Reach, Status> {
        let account = call.caller.account.clone();
        if let Some(person) = call.caller.person() {
            return reach_of_person(call, person);
        }
        Ok(match call.caller.organization_id {
            None => Reach::of_account(account),
            Some(own) => Reach::of_hosts(account, self.hosts_of(call, own, Permission::GuestInvitationsRead).await?),
        })
    }

    /// Returns the invitations that the call may be about by this access.
    pub(crate) async fn reach_by(&self, call: &Call, access: &Access) -> Result<Reach, Status> {
        match access {
            Access::Link(_) if call.person().is_none() => Ok(Reach::of_account(call.caller.account.clone())),
            Access::Link(_) | Access::Name(_) | Access::NameOfInvited(_) => self.reach(call).await,
        }
    }

    async fn hosts_of(&self, call: &Call, own: Uuid, needed: Permission) -> Result<Vec<Uuid>, Status> {
        let query = OrganizationGrantQuery {
            requester: Some(own),
            limit: MAX_ORGANIZATIONS,
            ..OrganizationGrantQuery::default()
        };
        let found = self.read(self.store.primary().list_organization_grants(&call.caller.account, &query)).await?;
        let granting = found.iter().filter(|found| found.grants(needed.name()));
        Ok(granting.map(|found| found.target).chain([own]).collect())
    }

    async fn may_act_for(&self, call: &Call, requester: Uuid, target: Uuid) -> Result<bool, Status> {
        let found = self.store.find_organization_grant(&call.caller.account, requester, target);
        let found = self.read(found).await?;
        let permission = call.required.permission();
        Ok(permission.zip(found).is_some_and(|(permission, grant)| grant.grants(permission.name())))
    }
}

/// Returns the reach of a person: the invitations that stand to them in the relation for which the call is open to persons. A call
/// that is open to none has no reach.
fn reach_of_person(call: &Call, person: &Arc<Person>) -> Result<Reach, Status> {
    let relation = call.required.relation().ok_or_else(status::not_found)?;
    Ok(Reach::of_person(call.caller.account.clone(), Arc::clone(person), relation))
}

/// Refuses a new invitation that belongs to no organization to a caller who is bound to one.
pub(crate) fn check_new(call: &Call, action: &Action) -> Result<(), Status> {
    let Action::Create(create) = action else { return Ok(()) };
    if create.details.host().is_none() && call.caller.organization_id.is_some() {
        return Err(status::organization_access_denied());
    }
    Ok(())
}
