//! `InvitationService.DeclineInvitations`: several invitations, each independently, for one person.

use tonic::Status;

use super::each::{execute_each, targets};
use super::entry_error::entry_error;
use super::fit::Fit;
use crate::api::execute::{Api, Call};
use crate::api::parse::filter;
use crate::api::parse::violations::Violations;
use crate::domain::command::{Action, DeclineInvitation, Target};
use crate::domain::value::text;
use crate::pb;
use crate::pb::decline_invitations_result::Result as Outcome;

/// Declines the named invitations.
pub(crate) async fn decline_invitations(
    api: &Api,
    call: &Call,
    message: &pb::DeclineInvitationsRequest,
    mut violations: Violations,
) -> Result<pb::DeclineInvitationsResponse, Status> {
    let names = message.names.iter().map(String::as_str);
    let targets = targets(&mut violations, "names", |index| format!("names[{index}]"), names);
    let address = filter::target(&mut violations, "target", message.target.as_ref());
    let reason = Some(text::noted(&message.reason)).filter(|reason| !reason.is_empty());
    violations.finish(Some(()))?;
    let decline = |target: Target| {
        let (access, address, reason) = (call.by_name(target), address.clone(), reason.clone());
        Action::Decline(DeclineInvitation { access, address, reason })
    };
    let results = execute_each(api, call, message, targets.into_iter().map(decline).collect()).await?;
    let mut fit = Fit::default();
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
