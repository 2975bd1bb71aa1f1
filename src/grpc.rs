//! The tonic services: parse, run, convert. Nothing is decided here.
//!
//! [`boundary`] is what all RPCs have in common before and after; [`status`] is the one table from refusals to statuses.

pub mod api;
pub mod boundary;
mod call;
mod connection_invitation_service;
mod convert;
mod deadline;
mod draining;
mod event_service;
mod invitation_service;
mod name;
mod page;
mod parse;
mod redemption_service;
mod request_id;
mod status;
mod violations;

pub use connection_invitation_service::ConnectionInvitations;
pub use draining::InFlight;
pub use event_service::Events;
pub use invitation_service::Invitations;
pub use redemption_service::Redemptions;
