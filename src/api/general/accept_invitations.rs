//! `InvitationService.AcceptInvitations`: several invitations, each independently, for one subject.

use tonic::Status;

use super::each::{MAX_NAMES, execute_each, targets};
use super::entry_error::entry_error;
use super::fit::Fit;
use crate::api::execute::{Api, Call};
use crate::api::parse::acceptor::acceptor as parse_acceptor;
use crate::api::parse::kind_input::kind_input;
use crate::api::parse::violations::Violations;
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
    let names = entries.iter().map(|entry| entry.name.as_str());
    let mut targets = targets(&mut violations, "entries", |index| format!("entries[{index}].name"), names).into_iter();
    let acceptor = parse_acceptor(&mut violations, message.acceptor.as_ref());
    let mut accepts = Vec::new();
    for (index, entry) in entries.iter().enumerate().take(MAX_NAMES) {
        let at = |field: &str| format!("entries[{index}].{field}");
        let input = kind_input(&mut violations, at, entry.kind_input.as_ref().map(Into::into));
        let proof = violations.optional(&at("email_proof"), &entry.email_proof, text::sealed).unwrap_or_default();
        let etag = violations.optional(&at("etag"), &entry.etag, text::opaque_id);
        // A name without a target is a violation, or a refusal, of the whole call.
        let Some((target, acceptor)) = targets.next().zip(acceptor.clone()) else { continue };
        accepts.push(AcceptInvitation {
            proof: EmailProof::open(&api.ring, &call.caller.account, target.id, &proof),
            created_connection: input.created_connection,
            guest_organization_id: input.guest_organization_id,
            ..accept(call.by_name(Target { etag, ..target }), acceptor)
        });
    }
    violations.finish(Some(()))?;
    let actions = accepts.into_iter().map(|accept| Action::Accept(Box::new(accept))).collect();
    let results = execute_each(api, call, message, actions).await?;
    let mut fit = Fit::default();
    let outcome =
        |(entry, result): (&pb::AcceptInvitationsEntry, _)| outcome(api, call, (&entry.name, result), &mut fit);
    Ok(pb::AcceptInvitationsResponse { results: entries.iter().zip(results).map(outcome).collect() })
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
            }
        }
    }
}
