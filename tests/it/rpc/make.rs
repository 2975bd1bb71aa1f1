//! Requests that most tests begin with.

use invitation_service::pb;

use crate::harness::service::Service;

/// Any company.
pub(super) const COMPANY: &str = "01920000-0000-7000-8000-00000000c0de";
/// Any connection.
pub(super) const CONNECTION: &str = "01920000-0000-7000-8000-00000000c0c0";

/// The smallest connection invitation there is: a link for anyone, for ever.
pub(super) fn invitation() -> pb::ConnectionInvitation {
    pb::ConnectionInvitation { company_id: COMPANY.to_owned(), ..Default::default() }
}

/// Makes a connection invitation.
pub(super) async fn create(service: &Service, invitation: pb::ConnectionInvitation) -> pb::ConnectionInvitation {
    let request =
        pb::CreateConnectionInvitationRequest { connection_invitation: Some(invitation), ..Default::default() };
    service.connections().create_connection_invitation(request).await.unwrap().into_inner()
}

/// An acceptance by a subject without an e-mail address.
pub(super) fn accept(token: &str, subject: &str) -> pb::AcceptInvitationRequest {
    pb::AcceptInvitationRequest {
        token: token.to_owned(),
        acceptor: Some(pb::Acceptor { subject: subject.to_owned(), ..Default::default() }),
        ..Default::default()
    }
}
