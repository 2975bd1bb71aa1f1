//! `InvitationService.CheckAcceptance`: everything that would keep a person from accepting, for whoever is asked why.

use tonic::Status;
use tonic_types::StatusExt as _;

use super::accept_invitations::accept;
use crate::api::execute::{Api, Call, note_invitation, verify};
use crate::api::parse::acceptor::acceptor as parse_acceptor;
use crate::api::parse::kind_input::{KindInput, kind_input};
use crate::api::parse::violations::Violations;
use crate::api::resource::InvitationName;
use crate::domain::command::{AcceptInvitation, Access, Action, CheckAcceptance};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::secret::verification::EmailProof;
use crate::domain::value::text;
use crate::pb;
use crate::pb::check_acceptance_request::Access as Given;
use crate::store::ExecuteError;

/// The remedy of a field that does not fit.
const FIT: &str = "correct the field, or leave it out";

/// Checks whether a person could accept.
pub(super) async fn check_acceptance(
    api: &Api,
    call: &Call,
    message: &pb::CheckAcceptanceRequest,
    mut violations: Violations,
) -> Result<pb::CheckAcceptanceResponse, Status> {
    let acceptor = parse_acceptor(&mut violations, None, message.acceptor.as_ref());
    let input = kind_input(&mut violations, None, message.kind_input.as_ref().map(Into::into));
    let proof = violations.optional("email_proof", &message.email_proof, text::sealed).unwrap_or_default();
    let access = match &message.access {
        Some(Given::Name(name)) => by_name(&mut violations, name),
        Some(Given::Token(token)) => verify(&api.ring, &mut violations, token).map(Access::Link),
        None => verify(&api.ring, &mut violations, "").map(Access::Link),
    };
    let check = async {
        let (acceptor, access) = violations.finish(acceptor.zip(access))?;
        let invitation = access.invitation();
        let reach = api.reach_by(call, &access).await?;
        let KindInput { created_connection, guest_organization_id } = input;
        let proof = EmailProof::open(&api.ring, &call.caller.account, invitation, &proof);
        let accept = AcceptInvitation { proof, created_connection, guest_organization_id, ..accept(access, acceptor) };
        let action = Action::CheckAcceptance(Box::new(CheckAcceptance { accept }));
        let command = api.command(call, &reach, None, action);
        note_invitation(invitation);
        match api.store.executor().dry_run(command, Some(call.deadline.0)).await {
            Ok(executed) => Ok((executed.already_accepted, Vec::new())),
            Err(ExecuteError::Refused(Refusal::Blocked(blockers))) => Ok((false, blockers)),
            Err(error) => Err(Status::from(error)),
        }
    };
    let is_named = matches!(message.access, Some(Given::Name(_)));
    let (already_accepted, blockers) =
        if is_named { check.await? } else { api.rates.look_up(&call.caller, check).await? };
    let acceptable = blockers.is_empty();
    let blockers = blockers.into_iter().map(blocker).collect();
    Ok(pb::CheckAcceptanceResponse { acceptable, already_accepted, blockers })
}

/// Returns the access of a person by the name: what the credential of the call may do for them is not looked at.
fn by_name(violations: &mut Violations, name: &str) -> Option<Access> {
    let name = InvitationName::required(violations, "name", name, None)?;
    name.target(None, violations).map(Access::Name)
}

/// Converts a refusal. The message of a status says what is wrong and, behind a colon, what to do.
fn blocker(refusal: Refusal) -> pb::AcceptanceBlocker {
    let is_of_field = matches!(refusal, Refusal::InvalidField { .. });
    let status = Status::from(refusal);
    let reason = status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default();
    let (message, remedy) = match status.message().split_once(": ") {
        Some(parts) if !is_of_field => parts,
        Some(_) | None => (status.message(), FIT),
    };
    pb::AcceptanceBlocker { reason, message: message.to_owned(), remedy: remedy.to_owned() }
}
