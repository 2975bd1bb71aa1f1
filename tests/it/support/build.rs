//! Builders of invitations, commands and messages for all tests.

pub(crate) mod acceptances;
pub(crate) mod commands;
pub(crate) mod generals;
pub(crate) mod guests;
pub(crate) mod kinds;
pub(crate) mod messages;
pub(crate) mod receipts;
pub(crate) mod users;
