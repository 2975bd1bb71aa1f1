//! The repository and its executor: one list of guarantees, on both databases.

mod api_keys;
mod claims;
mod events;
pub(crate) mod executor;
pub(crate) mod lifecycle;
pub(crate) mod migrations;
mod online_migration;
mod organization_grants;
mod outbox;
mod plans;
mod plans_make;
mod quotas;
pub(crate) mod read;
mod reader_role;
mod retention;
mod seats;
mod standby;
pub(crate) mod trouble;
mod upkeep;
mod verifications;
