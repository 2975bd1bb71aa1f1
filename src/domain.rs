//! The functional core: what an invitation is and what may happen to it.
//!
//! Pure: no async, no I/O, no clock, no randomness, and no knowledge of gRPC or SQL. Values are parsed once, at the edge,
//! and are valid from then on. What a command does is decided in [`decide`], on what was [loaded](loaded::Loaded).

pub mod acceptance;
pub mod backoff;
pub mod command;
pub mod connection;
pub mod decide;
pub mod delivery;
pub mod details;
mod elsewhere;
pub mod email;
pub mod email_rule;
pub mod event;
#[cfg(test)]
mod fixtures;
pub mod general;
pub mod group;
pub mod guest;
pub mod id;
pub mod invitation;
pub mod key_check;
pub mod key_ring;
pub mod loaded;
pub mod message_id;
pub mod organization_connection;
pub mod recipient;
pub mod refusal;
pub mod reminder;
pub mod scrubbed;
pub mod slot;
pub mod state;
pub mod text;
pub mod time;
pub mod token;
pub mod unknown_fields;
pub mod user;
pub mod verification;
pub mod webhook;
pub mod word;
