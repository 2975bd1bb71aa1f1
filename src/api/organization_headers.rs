//! The organizations that a guest call is about: who asks, and whose invitations it is about.

use tonic::Status;
use tonic::metadata::MetadataMap;
use uuid::Uuid;

use super::call::Call;
use super::execute::Api;
use super::violations::Violations;
use crate::auth::permission::Permission;
use crate::domain::value::text;
use crate::domain::value::text::Invalid;
use crate::server::status;

const REQUESTER: &str = "requester-organization-id";
const TARGET: &str = "target-organization-id";

/// The organizations of one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Organizations {
    /// Who asks.
    pub(crate) requester: Uuid,
    /// Whose invitations it is about: the host of guests.
    pub(crate) target: Uuid,
}

impl Organizations {
    /// Parses both from a call's metadata, in which each has to be once.
    pub(crate) fn parse(violations: &mut Violations, metadata: &MetadataMap) -> Option<Self> {
        let mut parse = |key: &str| {
            let mut values = metadata.get_all(key).iter();
            match (values.next(), values.next()) {
                (None, _) => violations.required(key, "", text::uuid),
                (Some(value), None) => violations.required(key, value.to_str().unwrap_or("?"), text::uuid),
                (Some(_), Some(_)) => violations.take(key, Err(Invalid("must be given once"))),
            }
        };
        let (requester, target) = (parse(REQUESTER), parse(TARGET));
        Some(Self { requester: requester?, target: target? })
    }

    /// Checks that the credential may speak for the requester, and the requester act for the target.
    pub(crate) async fn authorize(self, api: &Api, call: &Call, permission: Permission) -> Result<(), Status> {
        let Self { requester, target } = self;
        let speaks = call.caller.organization_id.is_none_or(|bound| bound == requester);
        if speaks && (requester == target || self.connected(api, call, permission).await?) {
            return Ok(());
        }
        Err(status::organizations_access_denied(requester, target))
    }

    async fn connected(self, api: &Api, call: &Call, permission: Permission) -> Result<bool, Status> {
        let Self { requester, target } = self;
        let found = api.store.find_organization_connection(&call.caller.account, requester, target);
        let found = api.read(found).await?;
        Ok(found.is_some_and(|connection| connection.grants(permission.name())))
    }
}
