//! `InvitationService.DeclineInvitations`: several invitations, each independently, for one person.

use tonic::Status;

use super::each::{Named, check_count, execute_each};
use super::entry_error::entry_error;
use super::fit::Fit;
use crate::api::execute::{Api, Call};
use crate::api::parse::filter;
use crate::api::parse::violations::Violations;
use crate::domain::command::{Action, DeclineInvitation};
use crate::pb;
use crate::pb::decline_invitations_result::Result as Outcome;

/// Declines the named invitations.
pub(crate) async fn decline_invitations(
    api: &Api,
    call: &Call,
    message: &pb::DeclineInvitationsRequest,
    mut violations: Violations,
) -> Result<pb::DeclineInvitationsResponse, Status> {
    check_count(&mut violations, "names", message.names.len());
    let address = filter::target(&mut violations, "target", message.target.as_ref());
    let addresses = Vec::from_iter(call.own_target(&mut violations, address));
    let reason = violations.remark("reason", &message.reason);
    violations.finish(Some(()))?;
    let mut named = Named::default();
    let decline = |name: &String| {
        let mut violations = Violations::default();
        let target = named.target(&mut violations, name);
        let access = call.by_name(violations.finish(target)?);
        Ok(Action::Decline(DeclineInvitation { access, addresses: addresses.clone(), reason: reason.clone() }))
    };
    let declines = message.names.iter().map(decline).collect();
    let results = execute_each(api, call, message, declines).await?;
    let mut fit = Fit::beside(message.names.iter());
    let result = |(name, result): (&String, Result<_, Status>)| {
        let shown = result.and_then(|executed| api.answered(call, &executed));
        let result = match shown {
            Ok(invitation) => Outcome::Invitation(fit.show(invitation)),
            Err(status) => Outcome::Error(entry_error(&status)),
        };
        pb::DeclineInvitationsResult { name: name.clone(), result: Some(result) }
    };
    Ok(pb::DeclineInvitationsResponse { results: message.names.iter().zip(results).map(result).collect() })
}
