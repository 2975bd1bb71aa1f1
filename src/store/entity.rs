//! The tables as SeaORM entities: the one list of columns, from which statements and JSON rows are made.
//!
//! Rows are not the domain: [`super::row`] turns one into the other. Timestamps are microseconds since 1970.

pub(crate) mod acceptance;
pub(crate) mod autojoin_domain;
pub(crate) mod engagement;
pub(crate) mod event;
pub(crate) mod invitation;
pub(crate) mod invitation_group;
pub(crate) mod label;
pub(crate) mod organization_connection;
pub(crate) mod outbox;
pub(crate) mod recipient;
pub(crate) mod request;
pub(crate) mod slot;
pub(crate) mod verification;
pub(crate) mod webhook_attempt;
pub(crate) mod webhook_endpoint;
pub(crate) mod webhook_message;
