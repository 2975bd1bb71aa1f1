//! Requests that most tests begin with.

use invitation_service::domain::secret::key_ring::KeyRing;
use invitation_service::domain::secret::token::{Claims, Token};
use invitation_service::domain::value::id::InvitationId;
use invitation_service::pb;
use invitation_service::pb::watch_events_request::Start;
use invitation_service::pb::watch_events_response::Item;
use tonic::{Response, Status, Streaming};

use crate::support::database::NEW_YEAR;
use crate::support::service::{KEYS, Service};

/// Any company.
pub(crate) const COMPANY: &str = "01920000-0000-7000-8000-00000000c0de";
/// Any connection.
pub(crate) const CONNECTION: &str = "01920000-0000-7000-8000-00000000c0c0";

/// The smallest connection invitation there is: a link for anyone, for ever.
pub(crate) fn invitation() -> pb::ConnectionInvitation {
    pb::ConnectionInvitation { company_id: COMPANY.to_owned(), ..Default::default() }
}

/// An invitation for one person, once.
pub(crate) fn once_for(email: &str) -> pb::ConnectionInvitation {
    pb::ConnectionInvitation { max_uses: Some(1), ..invitation_for(&[email]) }
}

/// An invitation for these addresses alone.
pub(crate) fn invitation_for(emails: &[&str]) -> pb::ConnectionInvitation {
    pb::ConnectionInvitation {
        allowed_emails: emails.iter().map(|email| (*email).to_owned()).collect(),
        ..invitation()
    }
}

/// A span of whole seconds.
pub(crate) fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

/// A moment so many seconds after New Year, where the clocks of tests begin.
pub(crate) fn at(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds: NEW_YEAR.micros() / 1_000_000 + seconds, nanos: 0 })
}

/// Makes a connection invitation.
pub(crate) async fn create(service: &Service, invitation: pb::ConnectionInvitation) -> pb::ConnectionInvitation {
    service.connections().create_connection_invitation(creation(invitation)).await.unwrap().into_inner().read()
}

/// The request to make a connection invitation.
pub(crate) fn creation(invitation: pb::ConnectionInvitation) -> pb::CreateConnectionInvitationRequest {
    pb::CreateConnectionInvitationRequest { connection_invitation: Some(invitation), ..Default::default() }
}

/// An acceptance by a subject without an e-mail address.
pub(crate) fn accept(token: &str, subject: &str) -> pb::AcceptInvitationRequest {
    pb::AcceptInvitationRequest {
        token: token.to_owned(),
        acceptor: Some(pb::Acceptor { subject: subject.to_owned(), ..Default::default() }),
        ..Default::default()
    }
}

/// The reference to a target.
pub(crate) fn target_ref(target: pb::Target) -> pb::TargetRef {
    pb::TargetRef { r#type: target.r#type, value: target.value }
}

/// The connection that an acceptor made.
pub(crate) fn created(id: &str) -> Option<pb::accept_invitation_request::KindInput> {
    made_connection(pb::CreatedConnection { id: id.to_owned(), ..Default::default() })
}

/// The connection that an acceptor made, as it is.
pub(crate) fn made_connection(connection: pb::CreatedConnection) -> Option<pb::accept_invitation_request::KindInput> {
    Some(pb::accept_invitation_request::KindInput::CreatedConnection(connection))
}

/// The organization that accepts as a guest.
pub(crate) fn as_guest(organization: &str) -> Option<pb::accept_invitation_request::KindInput> {
    Some(pb::accept_invitation_request::KindInput::GuestOrganizationId(organization.to_owned()))
}

/// An acceptance by a subject with an e-mail address.
pub(crate) fn accept_as(token: &str, subject: &str, email: &str, verified: bool) -> pb::AcceptInvitationRequest {
    let mut request = accept(token, subject);
    if let Some(acceptor) = &mut request.acceptor {
        acceptor.email = email.to_owned();
        acceptor.email_verified = verified;
    }
    request
}

/// A refusal of an invitation by whoever holds its link.
pub(crate) fn decline(token: &str) -> pb::DeclineInvitationRequest {
    pb::DeclineInvitationRequest { token: token.to_owned(), ..Default::default() }
}

/// A look at what a link leads to.
pub(crate) fn preview(token: &str) -> pb::PreviewInvitationRequest {
    pb::PreviewInvitationRequest { token: token.to_owned() }
}

/// A view of an invitation's page.
pub(crate) fn view(token: &str) -> pb::RecordEngagementRequest {
    let r#type = pb::EngagementType::View.into();
    pb::RecordEngagementRequest { token: token.to_owned(), r#type, ..Default::default() }
}

/// Reads an invitation through its own service.
pub(crate) async fn get(service: &Service, name: &str) -> pb::ConnectionInvitation {
    let request = pb::GetConnectionInvitationRequest { name: name.to_owned() };
    service.connections().get_connection_invitation(request).await.unwrap().into_inner()
}

/// Reads an invitation through the service for every kind.
pub(crate) async fn get_general(service: &Service, name: &str) -> pb::Invitation {
    let request = pb::GetInvitationRequest { name: name.to_owned() };
    service.invitations().get_invitation(request).await.unwrap().into_inner()
}

/// The request to make an invitation of the general kind.
pub(crate) fn general(invitation: pb::Invitation) -> pb::CreateInvitationRequest {
    pb::CreateInvitationRequest { invitation: Some(invitation), ..Default::default() }
}

/// An address that an invitation is meant for.
pub(crate) fn target(r#type: pb::TargetType, value: &str) -> pb::Target {
    pb::Target { r#type: r#type.into(), value: value.to_owned(), ..Default::default() }
}

/// The scope of an invitation.
pub(crate) fn scope(r#type: &str, id: &str) -> pb::Scope {
    pb::Scope { r#type: r#type.to_owned(), id: id.to_owned(), ..Default::default() }
}

/// The events of an invitation, the oldest first.
pub(crate) async fn events(service: &Service, name: &str) -> Vec<pb::Event> {
    let request = pb::ListEventsRequest {
        parent: name.to_owned(),
        order_by: "sequence".to_owned(),
        page_size: 1_000,
        ..Default::default()
    };
    service.events().list_events(request).await.unwrap().into_inner().events
}

/// The types of what happened to an invitation, the oldest first.
pub(crate) async fn event_types(service: &Service, name: &str) -> Vec<String> {
    events(service, name).await.into_iter().map(|event| event.r#type).collect()
}

/// The request to watch from a place on; an empty token means from now on.
pub(crate) fn watch(resume_token: &str) -> pb::WatchEventsRequest {
    let start = (!resume_token.is_empty()).then(|| Start::ResumeToken(resume_token.to_owned()));
    pb::WatchEventsRequest { start, ..Default::default() }
}

/// The next event of a watch; checkpoints are passed over.
pub(crate) async fn next_event(stream: &mut Streaming<pb::WatchEventsResponse>) -> Result<pb::Event, Status> {
    loop {
        let response = stream.message().await?.expect("a watch never ends well");
        if let Some(Item::Event(event)) = response.item {
            assert_eq!(event.resume_token, response.resume_token);
            return Ok(event);
        }
    }
}

/// Ends an invitation.
pub(crate) async fn revoke(service: &Service, name: &str) -> Result<Response<pb::ConnectionInvitation>, Status> {
    let request = pb::RevokeConnectionInvitationRequest { name: name.to_owned(), ..Default::default() };
    service.connections().revoke_connection_invitation(request).await
}

/// Sends an invitation again, with a new link.
pub(crate) async fn rotate(service: &Service, name: &str) -> pb::ConnectionInvitation {
    let request =
        pb::ResendConnectionInvitationRequest { name: name.to_owned(), rotate_token: true, ..Default::default() };
    service.connections().resend_connection_invitation(request).await.unwrap().into_inner()
}

/// The token of the link that was mailed to a recipient of an invitation that was never rotated.
pub(crate) fn mailed_token(uid: &str, recipient: u16) -> String {
    let invitation = InvitationId(uid.parse().unwrap());
    let claims = Claims { key_id: 2, invitation, generation: 0, recipient };
    Token::sign(&claims, &KeyRing::parse(KEYS).unwrap()).unwrap().reveal().to_owned()
}

/// A message that shows an invitation.
pub(crate) trait Expiring: Sized {
    /// Returns the moment of expiry, for which answers use `expire_time` alone; `None` means never.
    fn expire_time(&self) -> Option<prost_types::Timestamp>;

    /// Returns the invitation without what the answer of a create alone says, as a read shows it.
    fn read(self) -> Self;
}

macro_rules! expiring {
    ($($message:ident in $module:ident;)+) => {$(
        impl Expiring for pb::$message {
            fn expire_time(&self) -> Option<prost_types::Timestamp> {
                use pb::$module::Expiration;
                match self.expiration {
                    Some(Expiration::ExpireTime(at)) => Some(at),
                    None => None,
                    Some(Expiration::Ttl(_) | Expiration::Never(())) => panic!("an answer uses expire_time"),
                }
            }

            fn read(mut self) -> Self {
                self.create_outcome = 0;
                self.replaced_invitations.clear();
                self.differing_fields.clear();
                self
            }
        }
    )+};
}

expiring! {
    ConnectionInvitation in connection_invitation;
    UserInvitation in user_invitation;
    GuestInvitation in guest_invitation;
    Invitation in invitation;
}
