//! Requests about guest invitations, with the organizations that each of them is about.

use super::messages::Expiring;
use invitation_service::pb;
use tonic::Request;

use super::messages;
use crate::support::service::Service;

/// The organization that invites.
pub(crate) const HOST: &str = "01920000-0000-7000-8000-0000000000a0";
/// Another organization that invites.
pub(crate) const OTHER_HOST: &str = "01920000-0000-7000-8000-0000000000b0";
/// An organization that is invited.
pub(crate) const GUEST: &str = "01920000-0000-7000-8000-0000000000c0";

/// Adds who asks, and whose guests are meant.
pub(crate) fn add<T>(request: &mut Request<T>, requester: &str, target: &str) {
    request.metadata_mut().insert("requester-organization-id", requester.parse().unwrap());
    request.metadata_mut().insert("target-organization-id", target.parse().unwrap());
}

/// A request of an organization about its own guests.
pub(crate) fn of<T>(host: &str, message: T) -> Request<T> {
    between(host, host, message)
}

/// A request of one organization about the guests of another.
pub(crate) fn between<T>(requester: &str, target: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    add(&mut request, requester, target);
    request
}

/// A guest of an hour.
pub(crate) fn guest(email: &str) -> pb::GuestInvitation {
    pb::GuestInvitation {
        email: email.to_owned(),
        expiration: messages::at(3_600).map(pb::guest_invitation::Expiration::ExpireTime),
        ..Default::default()
    }
}

/// The request to invite a guest.
pub(crate) fn creation(guest: pb::GuestInvitation) -> pb::CreateGuestInvitationRequest {
    pb::CreateGuestInvitationRequest { guest_invitation: Some(guest), ..Default::default() }
}

/// Invites a guest of the host.
pub(crate) async fn create(service: &Service, guest: pb::GuestInvitation) -> pb::GuestInvitation {
    service.guests().create_guest_invitation(of(HOST, creation(guest))).await.unwrap().into_inner().read()
}

/// Reads a guest invitation of the host.
pub(crate) async fn get(service: &Service, name: &str) -> pb::GuestInvitation {
    let request = pb::GetGuestInvitationRequest { name: name.to_owned(), ..Default::default() };
    service.guests().get_guest_invitation(of(HOST, request)).await.unwrap().into_inner()
}

/// A change of the fields in a mask; without a mask, of what is not empty.
pub(crate) fn update(guest: pb::GuestInvitation, mask: &[&str]) -> Request<pb::UpdateGuestInvitationRequest> {
    let paths: Vec<String> = mask.iter().map(|path| (*path).to_owned()).collect();
    let update_mask = Some(prost_types::FieldMask { paths }).filter(|mask| !mask.paths.is_empty());
    let request = pb::UpdateGuestInvitationRequest { guest_invitation: Some(guest), update_mask, ..Default::default() };
    of(HOST, request)
}

/// The system's word that an organization accepts.
pub(crate) fn by_system(name: &str, organization: &str) -> Request<pb::AcceptGuestInvitationRequest> {
    let request = pb::AcceptGuestInvitationRequest {
        name: name.to_owned(),
        guest_organization_id: organization.to_owned(),
        ..Default::default()
    };
    of(HOST, request)
}

/// The end of a guest invitation.
pub(crate) fn revocation(name: &str) -> Request<pb::RevokeGuestInvitationRequest> {
    of(HOST, pb::RevokeGuestInvitationRequest { name: name.to_owned(), ..Default::default() })
}
