//! `InvitationService.AcceptInvitations`: several invitations, each independently, for one subject.

use std::collections::BTreeSet;

use tonic::Status;

use super::entry_error::entry_error;
use crate::api::execute::{Api, Call};
use crate::api::parse::acceptor::acceptor as parse_acceptor;
use crate::api::parse::violations::Violations;
use crate::api::resource::InvitationName;
use crate::domain::command::{AcceptInvitation, Access, Action, Command, Target};
use crate::domain::group::{BatchMode, Executed};
use crate::domain::invitation::acceptance::Acceptor;
use crate::domain::value::rule::FieldRule;
use crate::pb;
use crate::pb::accept_invitations_result::Result as Outcome;

const MAX_NAMES: usize = 100;

/// Accepts the named invitations.
pub(crate) async fn accept_invitations(
    api: &Api,
    call: &Call,
    message: &pb::AcceptInvitationsRequest,
    mut violations: Violations,
) -> Result<pb::AcceptInvitationsResponse, Status> {
    if message.names.is_empty() {
        violations.add("names", FieldRule::Required, "must have 1 to 100 entries");
    }
    let names = violations.each("names", &message.names, MAX_NAMES, InvitationName::parse);
    let acceptor = parse_acceptor(&mut violations, message.acceptor.as_ref());
    let named: BTreeSet<_> = names.iter().map(|name| name.id().0).collect();
    if named.len() < names.len() {
        violations.add("names", FieldRule::Duplicate, "must not name an invitation twice");
    }
    let targets: Vec<_> = names.iter().filter_map(|name| name.target(None, &mut violations)).collect();
    let acceptor = violations.finish(acceptor)?;
    let hosts = api.hosts(call).await?;
    let whole = api.request(call, message, 0);
    let command = |target: &Target| {
        let request = whole.as_ref().map(|whole| whole.part(target.id.0));
        api.command(call, hosts.clone(), request, accept(Access::Name(target.clone()), acceptor.clone()))
    };
    let commands: Vec<Command> = targets.iter().map(command).collect();
    let mode = if message.validate_only { BatchMode::DryRun } else { BatchMode::Independent };
    let results = api.execute_all(call, commands, mode).await?;
    let results =
        message.names.iter().zip(results).map(|(name, result)| outcome(api, call, name, result.map_err(Status::from)));
    Ok(pb::AcceptInvitationsResponse { results: results.collect() })
}

/// Returns an acceptance by a person who has an account with the caller.
pub(crate) fn accept(access: Access, acceptor: Acceptor) -> Action {
    Action::Accept(Box::new(AcceptInvitation {
        access,
        acceptor,
        created_connection: None,
        guest_organization_id: None,
        by_system: false,
        proof: None,
    }))
}

fn outcome(api: &Api, call: &Call, name: &str, result: Result<Executed, Status>) -> pb::AcceptInvitationsResult {
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
                invitation: Some(invitation),
                already_accepted: executed.already_accepted,
            }
        }
    }
}
