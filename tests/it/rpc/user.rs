//! UserInvitationService.

pub(crate) mod batch_create_user_invitations;
pub(crate) mod create_user_invitation;
pub(crate) mod delete_user_invitation;
pub(crate) mod list_user_invitations;
pub(crate) mod resend_user_invitation;
