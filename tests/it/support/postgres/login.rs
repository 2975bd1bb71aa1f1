//! The options with which tests log in to PostgreSQL.

use std::time::Duration;

use invitation_service::store::PostgresOptions;

use super::is_set;
use crate::support::pooler;

/// The role for reads of calls, and the schema of its views.
pub(crate) const READER_ROLE: &str = "invitation_reader";
pub(crate) const READER_SCHEMA: &str = "invitation_reader_views";

/// The role for reads of calls in every test, if they are to have one.
pub(crate) fn reader_role() -> Option<&'static str> {
    is_set("TEST_READER_ROLE").then_some(READER_ROLE)
}

/// The schema with what reads of calls see.
pub(crate) fn read_schema() -> &'static str {
    reader_role().map_or("public", |_| READER_SCHEMA)
}

/// The options of a store. Without a state of the session it can be reached through a pooler and past it.
pub(crate) fn options<'a>(
    url: &'a str,
    listen_url: Option<&'a str>,
    max_connections: u32,
    timeout: Duration,
) -> PostgresOptions<'a> {
    PostgresOptions {
        url,
        password: None,
        pooler: pooler::is_pooled(),
        listen_url,
        read_url: None,
        reader_role: reader_role(),
        max_connections,
        timeout,
    }
}
