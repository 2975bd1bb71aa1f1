//! The tonic services: parse, run, convert. Nothing is decided here.
//!
//! [`boundary`] is what all RPCs have in common before and after; [`status`] is the one table from refusals to statuses.

mod accept_invitations;
mod access_service;
mod admission;
pub mod api;
mod batch_create_invitations;
pub mod boundary;
mod call;
mod connection_invitation_service;
mod convert;
mod deadline;
mod delivery_service;
mod draining;
mod event_service;
mod face;
mod guest_invitation_service;
mod invitation_service;
mod name;
mod named;
mod organizations;
mod page;
mod parse;
mod reach;
mod redemption_service;
mod request_id;
mod resume_token;
mod revoke_scope_invitations;
mod send_verification_code;
mod status;
mod sync_internal_invitation;
mod user_invitation_service;
mod verify_email;
mod violations;
mod watch_events;
mod webhook_service;

pub use access_service::Access;
pub use connection_invitation_service::ConnectionInvitations;
pub use delivery_service::Deliveries;
pub use draining::InFlight;
pub use event_service::Events;
pub use guest_invitation_service::GuestInvitations;
pub use invitation_service::Invitations;
pub use redemption_service::Redemptions;
pub use user_invitation_service::UserInvitations;
pub use watch_events::Watches;
pub use webhook_service::Webhooks;
