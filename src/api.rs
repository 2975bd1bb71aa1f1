//! The tonic services: parse, run, convert. Nothing is decided here.
//!
//! [`boundary`](crate::server::boundary) is what all RPCs have in common before and after.

pub(crate) mod connection;
mod convert;
pub(crate) mod deliveries;
pub(crate) mod events;
pub mod execute;
pub(crate) mod general;
pub(crate) mod guest;
pub(crate) mod organization_access;
pub(crate) mod organizations;
mod page;
mod parse;
pub(crate) mod redemption;
pub mod requests;
pub(crate) mod resource;
pub(crate) mod user;
pub(crate) mod webhooks;

pub use connection::ConnectionInvitations;
pub use deliveries::Deliveries;
pub use events::Events;
pub use events::watch::Watches;
pub use general::Invitations;
pub use guest::GuestInvitations;
pub use organizations::Access;
pub use redemption::Redemptions;
pub use user::UserInvitations;
pub use webhooks::Webhooks;
