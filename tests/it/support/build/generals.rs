//! Requests about general invitations.

use invitation_service::pb;
use invitation_service::pb::{OnConflict, TargetType};
use tonic::Status;

use super::messages;
use super::messages::Expiring;
use crate::support::service::Service;

/// An invitation into the team that most tests are about.
pub(crate) fn into_team(targets: &[pb::Target]) -> pb::Invitation {
    into("red", targets)
}

/// An invitation into a team.
pub(crate) fn into(team: &str, targets: &[pb::Target]) -> pb::Invitation {
    pb::Invitation { scope: Some(messages::scope("team", team)), targets: targets.to_vec(), ..Default::default() }
}

/// A target by e-mail.
pub(crate) fn email(value: &str) -> pb::Target {
    messages::target(TargetType::Email, value)
}

/// A target by the caller's own id.
pub(crate) fn internal(value: &str) -> pb::Target {
    messages::target(TargetType::Internal, value)
}

/// A request to make an invitation that has an answer to those that are there.
pub(crate) fn with_conflict(invitation: pb::Invitation, on_conflict: OnConflict) -> pb::CreateInvitationRequest {
    pb::CreateInvitationRequest { on_conflict: on_conflict.into(), ..messages::general(invitation) }
}

/// Makes an invitation, or tells why not.
pub(crate) async fn try_create(
    service: &Service,
    request: pb::CreateInvitationRequest,
) -> Result<pb::Invitation, Status> {
    service.invitations().create_invitation(request).await.map(|made| made.into_inner().read())
}

/// Makes an invitation.
pub(crate) async fn create(service: &Service, invitation: pb::Invitation) -> pb::Invitation {
    try_create(service, messages::general(invitation)).await.unwrap()
}

/// Revokes an invitation of any kind.
pub(crate) async fn revoke(service: &Service, name: &str) -> pb::Invitation {
    let request = pb::RevokeInvitationRequest { name: name.to_owned(), ..Default::default() };
    service.invitations().revoke_invitation(request).await.unwrap().into_inner()
}

/// A filter by a scope.
pub(crate) fn in_scope(r#type: &str, id: &str) -> Option<pb::InvitationFilter> {
    let scope = Some(pb::ScopeRef { r#type: r#type.to_owned(), id: id.to_owned() });
    Some(pb::InvitationFilter { scope, ..Default::default() })
}

/// Every invitation of the account, the oldest first.
pub(crate) async fn all(service: &Service) -> Vec<pb::Invitation> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListInvitationsRequest {
            view: pb::InvitationView::Full.into(),
            page_size: 1_000,
            order_by: "create_time".to_owned(),
            page_token,
            ..Default::default()
        };
        let page = service.invitations().list_invitations(request).await.unwrap().into_inner();
        all.extend(page.invitations);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}

/// Somebody known by the caller's own id alone.
pub(crate) fn subject(subject: &str) -> pb::Acceptor {
    pb::Acceptor { subject: subject.to_owned(), ..Default::default() }
}

/// Somebody with a verified e-mail address.
pub(crate) fn verified(subject: &str, email: &str) -> pb::Acceptor {
    pb::Acceptor { email: email.to_owned(), email_verified: true, ..self::subject(subject) }
}

/// The entries that accept invitations by their names alone.
pub(crate) fn entries<T: AsRef<str>>(names: &[T]) -> Vec<pb::AcceptInvitationsEntry> {
    let entry = |name: &T| pb::AcceptInvitationsEntry { name: name.as_ref().to_owned(), ..Default::default() };
    names.iter().map(entry).collect()
}

/// Declines several invitations, for one target or for the only one of each.
pub(crate) async fn decline<T: AsRef<str>>(
    service: &Service,
    names: &[T],
    target: Option<pb::Target>,
) -> Vec<Result<pb::Invitation, Box<pb::BatchError>>> {
    use pb::decline_invitations_result::Result as Outcome;
    let request = pb::DeclineInvitationsRequest {
        names: names.iter().map(|name| name.as_ref().to_owned()).collect(),
        target: target.map(messages::target_ref),
        reason: "busy".to_owned(),
        ..Default::default()
    };
    let results = service.invitations().decline_invitations(request).await.unwrap().into_inner().results;
    let one = |result: pb::DeclineInvitationsResult| match result.result.expect("it has a result") {
        Outcome::Invitation(invitation) => Ok(invitation),
        Outcome::Error(error) => Err(Box::new(error)),
    };
    results.into_iter().map(one).collect()
}

/// Accepts several invitations.
pub(crate) async fn accept(
    service: &Service,
    names: &[&String],
    acceptor: pb::Acceptor,
) -> Vec<pb::AcceptInvitationsResult> {
    let request =
        pb::AcceptInvitationsRequest { entries: entries(names), acceptor: Some(acceptor), ..Default::default() };
    service.invitations().accept_invitations(request).await.unwrap().into_inner().results
}

/// The reason for which one part of a call failed; `None` if it did not.
pub(crate) fn refusal(result: &pb::AcceptInvitationsResult) -> &str {
    match &result.result {
        Some(pb::accept_invitations_result::Result::Error(error)) => &error.reason,
        _ => "",
    }
}

/// The first violation of one part of a call: the field and the rule; empty if it has none.
pub(crate) fn entry_error(result: &pb::AcceptInvitationsResult) -> String {
    let Some(pb::accept_invitations_result::Result::Error(error)) = &result.result else { return String::new() };
    error.field_violations.first().map(|broken| format!("{} {}", broken.field, broken.reason)).unwrap_or_default()
}

/// The types of what happened to an invitation, without what they all begin with.
pub(crate) async fn happened(service: &Service, name: &str) -> Vec<String> {
    let types = messages::event_types(service, name).await;
    types.into_iter().map(|name| name.trim_start_matches("invitation.").to_owned()).collect()
}
