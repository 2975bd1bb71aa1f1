//! The repository and its executor: one list of guarantees, on both databases.

mod commit;
mod conformance;
mod events;
mod gate;
mod groups;
mod idempotency;
mod isolation;
mod lists;
mod make;
mod plans;
mod proxy;
mod queue;
mod races;
mod retries;
mod states;
mod upkeep;
