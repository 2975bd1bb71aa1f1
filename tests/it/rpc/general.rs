//! InvitationService.

pub(crate) mod accept_invitations;
pub(crate) mod batch_create_invitations;
pub(crate) mod batch_get_invitations;
pub(crate) mod by_name;
pub(crate) mod check_acceptance;
pub(crate) mod create_invitation;
pub(crate) mod decline_invitations;
pub(crate) mod fields;
pub(crate) mod get_invitation;
pub(crate) mod list_acceptances;
pub(crate) mod list_invitations;
pub(crate) mod list_invitations_of_all_kinds;
pub(crate) mod list_open_invitations;
pub(crate) mod list_views;
pub(crate) mod reassign_invitations;
pub(crate) mod recipients;
pub(crate) mod release_acceptance;
pub(crate) mod resend_limits;
pub(crate) mod resend_to_recipients;
pub(crate) mod revoke_invitations;
pub(crate) mod rivals;
pub(crate) mod settle_invitations;
pub(crate) mod sync_internal_invitation;
pub(crate) mod update_acceptance;
