//! The rows that commands leave in the database, kind by kind.

pub(crate) mod autojoin;
pub(crate) mod conformance;
pub(crate) mod fields;
pub(crate) mod slots;
pub(crate) mod states;
