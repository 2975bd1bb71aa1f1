//! Requests about user invitations.

use super::messages::Expiring;
use invitation_service::pb;
use tonic::Status;

use crate::support::service::Service;

/// An invitation of a person, with nothing but what is needed.
pub(crate) fn user(email: &str) -> pb::UserInvitation {
    pb::UserInvitation { invited_email: email.to_owned(), ..Default::default() }
}

/// The request to invite a person.
pub(crate) fn creation(user: pb::UserInvitation) -> pb::CreateUserInvitationRequest {
    pb::CreateUserInvitationRequest { user_invitation: Some(user), ..Default::default() }
}

/// Invites a person, or tells why not.
pub(crate) async fn try_create(service: &Service, user: pb::UserInvitation) -> Result<pb::UserInvitation, Status> {
    service.users().create_user_invitation(creation(user)).await.map(|made| made.into_inner().read())
}

/// Invites a person.
pub(crate) async fn create(service: &Service, user: pb::UserInvitation) -> pb::UserInvitation {
    try_create(service, user).await.unwrap()
}

/// Reads a user invitation, or tells why not.
pub(crate) async fn try_get(service: &Service, name: &str) -> Result<pb::UserInvitation, Status> {
    let request = pb::GetUserInvitationRequest { name: name.to_owned() };
    service.users().get_user_invitation(request).await.map(tonic::Response::into_inner)
}

/// Reads a user invitation.
pub(crate) async fn get(service: &Service, name: &str) -> pb::UserInvitation {
    try_get(service, name).await.unwrap()
}

/// The request to forget a user invitation.
pub(crate) fn deletion(name: &str) -> pb::DeleteUserInvitationRequest {
    pb::DeleteUserInvitationRequest { name: name.to_owned(), ..Default::default() }
}

/// The request to send a user invitation again.
pub(crate) fn resending(name: &str) -> pb::ResendUserInvitationRequest {
    pb::ResendUserInvitationRequest { name: name.to_owned(), ..Default::default() }
}
