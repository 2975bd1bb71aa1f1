//! GuestInvitationService, and which organization acts for which.

pub(crate) mod accept_guest_invitation;
pub(crate) mod create_guest_invitation;
pub(crate) mod list_guest_invitations;
pub(crate) mod organization_grants;
pub(crate) mod organizations;
pub(crate) mod update_guest_invitation;
