//! The tables as SeaORM entities: the one list of columns, from which statements and JSON rows are made.
//!
//! Rows are not the domain: [`super::row`] turns one into the other. Timestamps are microseconds since 1970.

pub(in crate::store) mod acceptance;
pub(in crate::store) mod autojoin_domain;
pub(in crate::store) mod engagement;
pub(in crate::store) mod event;
pub(in crate::store) mod invitation;
pub(in crate::store) mod invitation_group;
pub(in crate::store) mod label;
pub(in crate::store) mod organization_connection;
pub(in crate::store) mod outbox;
pub(in crate::store) mod recipient;
pub(in crate::store) mod request;
pub(in crate::store) mod slot;
pub(in crate::store) mod verification;
pub(in crate::store) mod webhook_attempt;
pub(in crate::store) mod webhook_endpoint;
pub(in crate::store) mod webhook_message;
