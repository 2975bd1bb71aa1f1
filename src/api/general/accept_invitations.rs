//! `InvitationService.AcceptInvitations`: several invitations, each independently, for one subject.

use tonic::Status;

use super::each::{Named, check_count, execute_each};
use super::entry_error::entry_error;
use super::fit::Fit;
use crate::api::execute::person::check_of_service;
use crate::api::execute::{Api, Call};
use crate::api::parse::acceptor::acceptor as parse_acceptor;
use crate::api::parse::kind_input::kind_input;
use crate::api::parse::violations::Violations;
use crate::api::redemption::preview::redirect_uri;
use crate::domain::command::{AcceptInvitation, Access, Action, Target};
use crate::domain::group::Executed;
use crate::domain::invitation::acceptance::Acceptor;
use crate::domain::secret::verification::EmailProof;
use crate::domain::value::text;
use crate::pb;
use crate::pb::accept_invitations_result::Result as Outcome;

/// Accepts the named invitations.
pub(crate) async fn accept_invitations(
    api: &Api,
    call: &Call,
    message: &pb::AcceptInvitationsRequest,
    mut violations: Violations,
) -> Result<pb::AcceptInvitationsResponse, Status> {
    let entries = &message.entries;
    check_count(&mut violations, "entries", entries.len());
    let acceptor = parse_acceptor(&mut violations, call.person(), message.acceptor.as_ref());
    let acceptor = violations.finish(acceptor)?;
    let mut named = Named::default();
    let accepts = entries.iter().map(|entry| to_accept(api, call, &mut named, entry, acceptor.clone())).collect();
    let results = execute_each(api, call, message, accepts).await?;
    let mut fit = Fit::beside(entries.iter().map(|entry| &entry.name));
    let outcome =
        |(entry, result): (&pb::AcceptInvitationsEntry, _)| outcome(api, call, (&entry.name, result), &mut fit);
    Ok(pb::AcceptInvitationsResponse { results: entries.iter().zip(results).map(outcome).collect() })
}

/// Returns the command of an entry, or the error that refuses this entry alone.
fn to_accept(
    api: &Api,
    call: &Call,
    named: &mut Named,
    entry: &pb::AcceptInvitationsEntry,
    acceptor: Acceptor,
) -> Result<Action, Status> {
    let mut violations = Violations::default();
    let target = named.target(&mut violations, &entry.name);
    let input = kind_input(&mut violations, call.person(), entry.kind_input.as_ref().map(Into::into));
    check_of_service(&mut violations, call.person(), "email_proof", !entry.email_proof.is_empty());
    let proof = violations.optional("email_proof", &entry.email_proof, text::sealed).unwrap_or_default();
    let etag = violations.optional("etag", &entry.etag, text::opaque_id);
    let target = violations.finish(target)?;
    Ok(Action::Accept(Box::new(AcceptInvitation {
        proof: EmailProof::open(&api.ring, &call.caller.account, target.id, &proof),
        created_connection: input.created_connection,
        guest_organization_id: input.guest_organization_id,
        ..accept(call.by_name(Target { etag, ..target }), acceptor)
    })))
}

/// Returns an acceptance with nothing but its acceptor.
pub(super) fn accept(access: Access, acceptor: Acceptor) -> AcceptInvitation {
    AcceptInvitation {
        access,
        acceptor,
        created_connection: None,
        guest_organization_id: None,
        by_system: false,
        proof: None,
    }
}

fn outcome(
    api: &Api,
    call: &Call,
    (name, result): (&str, Result<Executed, Status>),
    fit: &mut Fit,
) -> pb::AcceptInvitationsResult {
    let name = name.to_owned();
    match result {
        Err(status) => pb::AcceptInvitationsResult {
            name,
            result: Some(Outcome::Error(entry_error(&status))),
            ..pb::AcceptInvitationsResult::default()
        },
        Ok(executed) => {
            let (acceptance, invitation) = api.accepted(call, &executed);
            pb::AcceptInvitationsResult {
                name,
                result: acceptance.map(Outcome::Acceptance),
                invitation: Some(fit.show(invitation)),
                already_accepted: executed.already_accepted,
                redirect_uri: redirect_uri(&executed.invitation),
            }
        }
    }
}
