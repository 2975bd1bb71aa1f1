//! The sections of the configuration, a file for each: a private raw struct of texts, and a public parsed struct.

pub(super) mod admin;
pub(super) mod auth;
pub(super) mod delivery;
pub(super) mod events;
pub(super) mod general;
pub(super) mod grpc;
pub(super) mod limits;
pub(super) mod links;
pub(super) mod log;
pub(super) mod mail;
pub(super) mod pages;
pub(super) mod policy;
pub(super) mod reminders;
pub(super) mod retention;
pub(super) mod store;
pub(super) mod token;
pub(super) mod webhooks;
