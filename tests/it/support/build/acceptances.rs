//! Requests about acceptances.

use invitation_service::pb;
use tonic::Status;

use super::messages;
use crate::support::service::Service;

/// Accepts by a link, for somebody with a verified e-mail address or, if it is empty, without one.
pub(crate) async fn accept(
    service: &Service,
    token: &str,
    subject: &str,
    email: &str,
) -> Result<pb::Acceptance, Status> {
    let request = messages::accept_as(token, subject, email, !email.is_empty());
    let accepted = service.redemptions().accept_invitation(request).await?;
    Ok(accepted.into_inner().acceptance.expect("an accept has an acceptance"))
}

/// The request to undo an acceptance, or to end it.
pub(crate) fn releasing(name: &str, mode: pb::ReleaseMode) -> pb::ReleaseAcceptanceRequest {
    let reason = "Ask boss@example.org".to_owned();
    pb::ReleaseAcceptanceRequest { name: name.to_owned(), mode: mode.into(), reason, ..Default::default() }
}

/// Undoes an acceptance, or ends it.
pub(crate) async fn release(service: &Service, name: &str, mode: pb::ReleaseMode) -> Result<pb::Acceptance, Status> {
    let released = service.invitations().release_acceptance(releasing(name, mode)).await;
    released.map(tonic::Response::into_inner)
}

/// Reads an acceptance.
pub(crate) async fn get(service: &Service, name: &str) -> pb::Acceptance {
    let request = pb::GetAcceptanceRequest { name: name.to_owned() };
    service.invitations().get_acceptance(request).await.unwrap().into_inner()
}

/// Lists the acceptances of an invitation by a subject, or by all if it is empty, in some states; the oldest first.
pub(crate) async fn list(
    service: &Service,
    parent: &str,
    subject: &str,
    states: &[pb::AcceptanceState],
) -> Vec<pb::Acceptance> {
    let request = pb::ListAcceptancesRequest {
        parent: parent.to_owned(),
        subject: subject.to_owned(),
        states: states.iter().map(|state| (*state).into()).collect(),
        order_by: "accept_time".to_owned(),
        ..Default::default()
    };
    service.invitations().list_acceptances(request).await.unwrap().into_inner().acceptances
}

/// Changes the moment from which an acceptance counts no longer; without one, it counts for ever.
pub(crate) fn extending(name: &str, grant_expire_time: Option<prost_types::Timestamp>) -> pb::UpdateAcceptanceRequest {
    let acceptance = Some(pb::Acceptance { name: name.to_owned(), grant_expire_time, ..Default::default() });
    let update_mask = Some(prost_types::FieldMask { paths: vec!["grant_expire_time".to_owned()] });
    pb::UpdateAcceptanceRequest { acceptance, update_mask, ..Default::default() }
}
