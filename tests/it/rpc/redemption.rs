//! RedemptionService.

pub(crate) mod accept_invitation;
pub(crate) mod code_limits;
pub(crate) mod decline_invitation;
pub(crate) mod key_rotation;
pub(crate) mod keys;
pub(crate) mod preview_invitation;
pub(crate) mod send_verification_code;
pub(crate) mod token;
pub(crate) mod verify_email;
pub(crate) mod verify_receipt;
