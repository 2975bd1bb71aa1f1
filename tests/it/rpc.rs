//! The RPCs as clients see them: a real client and server over a real connection, on both databases.

mod access;
mod across;
mod clock;
pub(crate) mod connection;
mod deliveries;
pub(crate) mod events;
pub(crate) mod general;
pub(crate) mod guest;
mod limits;
mod policy;
pub(crate) mod privacy;
pub(crate) mod redemption;
pub(crate) mod scopes;
pub(crate) mod sizes;
mod suppressions;
pub(crate) mod update;
pub(crate) mod user;
pub(crate) mod webhooks;

mod reminders;
pub(crate) mod standby;
