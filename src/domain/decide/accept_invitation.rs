//! Accepts an invitation for one subject: the only way to consume a use.

use std::sync::Arc;

use super::{AcceptanceChange, Change, Changes, Decided, Maker, Outcome};
use crate::domain::acceptance::Acceptance;
use crate::domain::command::{AcceptInvitation, Command};
use crate::domain::connection::ConnectionPurpose;
use crate::domain::details::Details;
use crate::domain::email_rule::match_acceptor;
use crate::domain::event::EventType;
use crate::domain::id::AcceptanceId;
use crate::domain::invitation::Invitation;
use crate::domain::loaded::Loaded;
use crate::domain::refusal::Refusal;

pub(super) fn decide(loaded: &Loaded, command: &Command, accept: &AcceptInvitation) -> Result<Decided, Refusal> {
    let invitation = loaded.linked(command, &accept.link)?;
    // Before the state: whoever is in is in, whatever has become of the invitation since.
    if let Some(acceptance) = loaded.acceptance_of(invitation.id, &accept.acceptor.subject) {
        let outcome = Outcome { invitation: invitation.id, acceptance: Some(acceptance.id), already_accepted: true };
        return Ok(Decided { changes: Changes::default(), outcome });
    }
    invitation.state_at(loaded.now).require_active()?;
    let matched = match_acceptor(invitation, &accept.link, &accept.acceptor)?;
    check_created_connection(loaded, invitation, accept)?;

    let mut maker = Maker::new(loaded, command);
    let id = AcceptanceId(maker.id());
    let connection = accept.created_connection.clone();
    let acceptance = Acceptance::new(id, invitation.id, &accept.acceptor, matched, connection, loaded.now);
    let invitation = used(invitation, acceptance.recipient, loaded);

    let mut events = vec![maker.event(
        &invitation,
        EventType::Accepted,
        [
            ("acceptance", id.0.to_string().into()),
            ("subject", acceptance.subject.0.clone().into()),
            ("recipient", acceptance.recipient.into()),
            ("use_count", invitation.facts.use_count.into()),
        ],
    )];
    if invitation.facts.remaining_uses() == Some(0) {
        events.push(maker.event(&invitation, EventType::Fulfilled, []));
    }
    let outcome = Outcome { invitation: invitation.id, acceptance: Some(id), already_accepted: false };
    let changes = Changes {
        invitation: Some(Change::Update { invitation, unexpired: true }),
        acceptance: Some(AcceptanceChange::Create(acceptance)),
        events,
        ..Changes::default()
    };
    Ok(Decided { changes, outcome })
}

/// Returns the invitation with one use more.
fn used(invitation: &Arc<Invitation>, recipient: Option<u16>, loaded: &Loaded) -> Invitation {
    let mut invitation = Invitation::clone(invitation);
    invitation.facts.use_count += 1;
    invitation.facts.accepted_at.get_or_insert(loaded.now);
    for accepted in invitation.recipients.iter_mut().filter(|other| Some(other.ordinal) == recipient) {
        accepted.accepted_at.get_or_insert(loaded.now);
    }
    invitation.touch(loaded.now);
    invitation
}

/// Checks that the connection which the acceptor made fits the invitation and is nobody else's.
fn check_created_connection(
    loaded: &Loaded,
    invitation: &Invitation,
    accept: &AcceptInvitation,
) -> Result<(), Refusal> {
    let Some(connection) = &accept.created_connection else { return Ok(()) };
    let Details::Connection(details) = &invitation.details;
    match details.purpose {
        ConnectionPurpose::EditConnection { .. } => Err(Refusal::InvalidField {
            field: "created_connection",
            description: "must not be set: this invitation is to repair an existing connection",
        }),
        ConnectionPurpose::CreateConnection { .. } => match loaded.acceptance_with(invitation.id, connection.id) {
            Some(_) => Err(Refusal::CreatedConnectionExists(connection.id)),
            None => Ok(()),
        },
    }
}
