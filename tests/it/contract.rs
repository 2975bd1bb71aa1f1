//! The guarantees that hold for every RPC alike.

pub(crate) mod access;
pub(crate) mod codes;
pub(crate) mod create_outcome;
pub(crate) mod deadline;
pub(crate) mod descriptor;
mod documents;
pub(crate) mod etag;
pub(crate) mod examples;
pub(crate) mod field_rule;
pub(crate) mod future_rows;
pub(crate) mod idempotency;
pub(crate) mod input;
pub(crate) mod lifecycle;
pub(crate) mod limits;
pub(crate) mod page_token;
pub(crate) mod raw;
pub(crate) mod reference;
pub(crate) mod request;
pub(crate) mod uniform;
pub(crate) mod unknown_field;
pub(crate) mod validate_only;
pub(crate) mod validate_only_table;
pub(crate) mod walls;
