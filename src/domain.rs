//! The functional core: what an invitation is and what may happen to it.
//!
//! Pure: no async, no I/O, no clock, no randomness, and no knowledge of gRPC or SQL. Values are parsed once, at the edge,
//! and are valid from then on. What a command does is decided in [`decide`], on what was [loaded](group::loaded::Loaded).

pub mod api_key;
pub mod command;
pub mod decide;
pub mod delivery;
pub mod erasure;
#[cfg(test)]
mod fixtures;
pub mod group;
pub mod invitation;
pub mod kind;
pub mod organization_grant;
pub mod policy;
pub mod quota;
pub mod reach;
pub mod seat;
pub mod secret;
pub mod suppression;
#[cfg(test)]
mod tests;
pub mod value;
pub mod webhook;
