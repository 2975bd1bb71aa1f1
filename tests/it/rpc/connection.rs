//! ConnectionInvitationService.

pub(crate) mod create_connection_invitation;
pub(crate) mod list_connection_invitations;
pub(crate) mod record_created_connection;
pub(crate) mod resend_invitation;
