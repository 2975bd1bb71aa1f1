//! How far a credential reaches that is bound to an organization: to the invitations of the organizations it may act for.

use tonic::Status;
use uuid::Uuid;

use super::call::Call;
use super::execute::Api;
use crate::auth::permission::Permission;
use crate::domain::command::Action;
use crate::server::status;
use crate::store::OrganizationConnectionQuery;

/// The most organizations that one may act for.
const MOST: u64 = 10_000;

impl Api {
    /// Returns the organizations whose invitations a caller may see, or change if it `writes`; none for one that speaks for the
    /// whole account, which is found out without a look.
    pub(crate) async fn hosts(&self, call: &Call, writes: bool) -> Result<Option<Vec<Uuid>>, Status> {
        let Some(own) = call.caller.organization_id else { return Ok(None) };
        let needed = if writes { Permission::GuestInvitationsWrite } else { Permission::GuestInvitationsRead };
        let query =
            OrganizationConnectionQuery { requester: Some(own), limit: MOST, ..OrganizationConnectionQuery::default() };
        let found = self.read(self.store.list_organization_connections(&call.caller.account, &query)).await?;
        let granting = found.iter().filter(|found| found.grants(needed.name()));
        Ok(Some(granting.map(|found| found.target).chain([own]).collect()))
    }
}

/// Refuses a credential that is bound to an organization: who may act for whom, and where all events go, is not for one side
/// to say.
pub(crate) fn whole_account(call: &Call) -> Result<(), Status> {
    if call.caller.organization_id.is_none() { Ok(()) } else { Err(status::organization_access_denied()) }
}

/// Refuses a caller who is bound to an organization what belongs to none.
pub(crate) fn check_new(call: &Call, action: &Action) -> Result<(), Status> {
    let belongs_to_none = match action {
        Action::Create(create) => create.details.host().is_none(),
        Action::SyncAutojoin(_) => true,
        Action::Accept(_)
        | Action::Decline(_)
        | Action::Revoke(_)
        | Action::Resend(_)
        | Action::RecordEngagement(_)
        | Action::VerifyEmail(_)
        | Action::UpdateCreatedConnection(_)
        | Action::UpdateGuest(_)
        | Action::Delete(_)
        | Action::SettleDelivery(_)
        | Action::ReportDelivery(_)
        | Action::Expire(_) => false,
    };
    if belongs_to_none && call.caller.organization_id.is_some() {
        return Err(status::organization_access_denied());
    }
    Ok(())
}
