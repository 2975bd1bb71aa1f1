//! The executor: groups, their conflicts and their answers.

pub(crate) mod batches;
pub(crate) mod commit;
pub(crate) mod conflicts;
pub(crate) mod groups;
pub(crate) mod idempotency;
pub(crate) mod isolation;
pub(crate) mod proofs;
pub(crate) mod queue;
pub(crate) mod races;
pub(crate) mod retries;
pub(crate) mod updates;
