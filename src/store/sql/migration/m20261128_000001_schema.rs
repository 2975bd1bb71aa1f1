//! The schema of the first release. Until then this file is edited freely; afterwards it never changes again.
//!
//! Tables are written with the schema builder. Indexes are written as SQL, because the builder has no indexes over expressions
//! on SQLite.
//!
//! Every key begins with the account. Rows that stand beside an invitation repeat when it was created, so that a list by label,
//! address or group is read in its order from one index.
//!
//! No look-up can mistake one index for another. PostgreSQL plans a statement once per connection, perhaps while its tables are
//! new, and then all indexes that begin alike cost the same: a look-up by the primary key may read every entry that an account
//! has in another index. So on PostgreSQL the primary key alone begins with the account. Every other index begins with the
//! account and a tag of its own (`{account:TAG}`), which a statement has to name to use it (`by_index`). SQLite chooses by the
//! number of columns that fit.

mod api_keys;
mod erasure;
mod indexes;
mod keys;
mod quotas;
mod retention;
mod seats;
mod seed;
mod suppressions;

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, boolean, boolean_null, integer, integer_null, text, text_null,
};

use super::{Dialect, named};

pub(in crate::store) struct Migration;

named!(Migration);

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let dialect = Dialect(manager.get_database_backend());
        for table in TABLES {
            manager.create_table(table(dialect)).await?;
        }
        let connection = manager.get_connection();
        for index in indexes::SQL.split(';') {
            connection.execute_unprepared(&dialect.index(index)).await?;
        }
        for row in seed::rows() {
            connection.execute_unprepared(&row).await?;
        }
        Ok(())
    }
}

const TABLES: [fn(Dialect) -> TableCreateStatement; 31] = [
    invitation,
    label,
    recipient,
    invitation_group,
    acceptance,
    slot,
    autojoin_domain,
    request,
    engagement,
    event,
    retention::pruned_events,
    follower,
    retention::prune_walk,
    outbox,
    verification,
    verification_budget,
    webhook_endpoint,
    webhook_message,
    webhook_attempt,
    organization_grant,
    api_keys::api_key,
    api_keys::api_key_position,
    keys::key_check,
    keys::resume_key,
    erasure::erasure,
    quotas::quota,
    quotas::quota_hold,
    suppressions::suppression,
    seats::scope_settings,
    seats::seat,
    seats::seat_hold,
];

/// The checks are a second guard behind the domain.
fn invitation(dialect: Dialect) -> TableCreateStatement {
    dialect
        .table("invitation", &["account_id", "id"])
        .col(dialect.key_text("account_id"))
        .col(dialect.uuid("id"))
        .col(dialect.key_text("kind"))
        .col(dialect.key_text("scope_type"))
        .col(dialect.key_text("scope_id"))
        .col(dialect.uuid_null("resource_id"))
        .col(dialect.key_text("creator"))
        .col(integer_null("max_uses").check(Expr::col("max_uses").gte(1)))
        .col(integer("use_count").check(Expr::col("use_count").gte(0)))
        .col(big_integer_null("expire_at"))
        .col(big_integer_null("accepted_at"))
        .col(big_integer_null("declined_at"))
        .col(big_integer_null("revoked_at"))
        .col(big_integer("revision"))
        .col(integer("generation"))
        .col(integer("key_id"))
        .col(boolean("mails"))
        .col(dialect.json("details"))
        .col(big_integer("created_at"))
        .col(big_integer("updated_at"))
        .col(big_integer_null("accepted_elsewhere_at"))
        .col(big_integer_null("emptied_at"))
        .col(big_integer_null("archived_at"))
        .col(big_integer_null("deleted_at"))
        .col(big_integer_null("first_sent_at"))
        .col(big_integer_null("last_sent_at"))
        .col(dialect.key_text("updater").default(""))
        .col(dialect.key_text_null("inviter_user_id"))
        .col(dialect.key_text_null("widget_configuration_id"))
        .col(dialect.key_text("sort_email").default(""))
        .col(big_integer_null("expiry_told_at"))
        .col(dialect.json("repeats").default("{}"))
        .check(Expr::col("use_count").lte(Expr::col("max_uses")))
        .take()
}

fn label(dialect: Dialect) -> TableCreateStatement {
    dialect
        .table("label", &["account_id", "invitation_id", "key"])
        .col(dialect.key_text("account_id"))
        .col(dialect.uuid("invitation_id"))
        .col(dialect.key_text("key"))
        .col(dialect.key_text("value"))
        .col(big_integer("created_at").default(0))
        .take()
}

/// `open_until` is the moment until which a general invitation is open unless something else ends it first, so that
/// open invitations are found however many have ended.
fn recipient(dialect: Dialect) -> TableCreateStatement {
    dialect
        .table("recipient", &["account_id", "invitation_id", "ordinal"])
        .col(dialect.key_text("account_id"))
        .col(dialect.uuid("invitation_id"))
        .col(integer("ordinal"))
        .col(dialect.key_text("recipient_type"))
        .col(dialect.key_text("value"))
        .col(text("original"))
        .col(big_integer_null("accepted_at"))
        .col(big_integer_null("declined_at"))
        .col(text_null("display_name"))
        .col(text_null("avatar_uri"))
        .col(boolean_null("existing_user"))
        .col(big_integer("created_at").default(0))
        .col(big_integer_null("open_until"))
        .take()
}

fn invitation_group(dialect: Dialect) -> TableCreateStatement {
    dialect
        .table("invitation_group", &["account_id", "scope_type", "scope_id", "created_at", "invitation_id"])
        .col(dialect.key_text("account_id"))
        .col(dialect.uuid("invitation_id"))
        .col(dialect.key_text("scope_type"))
        .col(dialect.key_text("scope_id"))
        .col(big_integer("created_at"))
        .take()
}

/// The order by age needs no index of its own, since ids sort by age. `undone_id` is nil for the one acceptance of a subject that
/// stands.
fn acceptance(dialect: Dialect) -> TableCreateStatement {
    dialect
        .table("acceptance", &["account_id", "invitation_id", "id"])
        .col(dialect.key_text("account_id"))
        .col(dialect.uuid("invitation_id"))
        .col(dialect.uuid("id"))
        .col(dialect.key_text("subject"))
        .col(integer_null("recipient"))
        .col(dialect.uuid_null("created_connection_id"))
        .col(big_integer("accepted_at"))
        .col(dialect.json("details"))
        .col(dialect.key_text_null("email_key"))
        .col(dialect.uuid("undone_id"))
        .col(big_integer_null("released_at"))
        .col(big_integer_null("grant_expire_at"))
        .col(big_integer_null("grant_told_at"))
        .take()
}

fn slot(dialect: Dialect) -> TableCreateStatement {
    dialect
        .table("slot", &["account_id", "key"])
        .col(dialect.key_text("account_id"))
        .col(dialect.key_text("key"))
        .col(dialect.uuid("invitation_id"))
        .col(big_integer("version"))
        .take()
}

fn autojoin_domain(dialect: Dialect) -> TableCreateStatement {
    dialect
        .table("autojoin_domain", &["account_id", "domain", "created_at", "invitation_id"])
        .col(dialect.key_text("account_id"))
        .col(dialect.key_text("domain"))
        .col(dialect.uuid("invitation_id"))
        .col(big_integer("created_at"))
        .take()
}

fn request(dialect: Dialect) -> TableCreateStatement {
    dialect
        .table("request", &["account_id", "method", "request_id"])
        .col(dialect.key_text("account_id"))
        .col(dialect.key_text("method"))
        .col(dialect.key_text("request_id"))
        .col(integer("key_id"))
        .col(text("mac"))
        .col(dialect.uuid("invitation_id"))
        .col(dialect.uuid_null("acceptance_id"))
        .col(big_integer("created_at"))
        .col(big_integer_null("changed"))
        .take()
}

fn engagement(dialect: Dialect) -> TableCreateStatement {
    dialect
        .table("engagement", &["account_id", "invitation_id"])
        .col(dialect.key_text("account_id"))
        .col(dialect.uuid("invitation_id"))
        .col(big_integer("views"))
        .col(big_integer("clicks"))
        .col(big_integer("unfurls"))
        .col(big_integer("last_sequence"))
        .take()
}

fn event(dialect: Dialect) -> TableCreateStatement {
    dialect
        .table("event", &["account_id", "invitation_id", "sequence"])
        .col(dialect.key_text("account_id"))
        .col(dialect.uuid("invitation_id"))
        .col(big_integer("sequence"))
        .col(dialect.uuid("id"))
        .col(dialect.key_text("kind"))
        .col(dialect.key_text("event_type"))
        .col(big_integer("occurred_at"))
        .col(text("actor"))
        .col(text_null("request_id"))
        .col(dialect.json("data"))
        .col(big_integer_null("position"))
        .take()
}

fn follower(dialect: Dialect) -> TableCreateStatement {
    dialect
        .table("follower", &["name"])
        .col(dialect.key_text("name"))
        .col(big_integer("position"))
        .col(dialect.uuid_null("lease"))
        .col(big_integer("leased_until"))
        .take()
}

/// A row of a queue is pending while `due_at` is set: then it is tried or, if it is leased, taken over. A message that
/// is planned for later has only `planned_at`, so that it is not among the pending rows.
fn outbox(dialect: Dialect) -> TableCreateStatement {
    dialect
        .table("outbox", &["account_id", "id"])
        .col(dialect.key_text("account_id"))
        .col(dialect.uuid("id"))
        .col(dialect.uuid("invitation_id"))
        .col(integer("recipient"))
        .col(big_integer("created_at"))
        .col(dialect.key_text("purpose").default("invitation"))
        .col(dialect.key_text("state").default("queued"))
        .col(big_integer_null("due_at"))
        .col(big_integer_null("planned_at"))
        .col(dialect.uuid_null("lease"))
        .col(integer("attempts").default(0))
        .col(text_null("last_error"))
        .col(big_integer_null("sent_at"))
        .col(text_null("address"))
        .col(text_null("address_key"))
        .col(dialect.uuid_null("about"))
        .col(big_integer_null("moment"))
        .col(text_null("traceparent"))
        .take()
}

fn verification(dialect: Dialect) -> TableCreateStatement {
    dialect
        .table("verification", &["account_id", "invitation_id", "address_mac", "client_mac"])
        .col(dialect.key_text("account_id"))
        .col(dialect.uuid("invitation_id"))
        .col(dialect.key_text("address_mac"))
        .col(dialect.key_text("client_mac"))
        .col(dialect.uuid("id"))
        .col(integer("key_id"))
        .col(integer("length"))
        .col(integer("tries"))
        .col(big_integer("created_at"))
        .col(big_integer_null("used_at"))
        .col(integer("asked"))
        .col(big_integer("asked_since"))
        .col(boolean("invited"))
        .take()
}

/// One row for each client of an invitation, and one with an empty `client_mac` for all calls.
fn verification_budget(dialect: Dialect) -> TableCreateStatement {
    dialect
        .table("verification_budget", &["account_id", "invitation_id", "client_mac"])
        .col(dialect.key_text("account_id"))
        .col(dialect.uuid("invitation_id"))
        .col(dialect.key_text("client_mac"))
        .col(integer("wrong"))
        .col(big_integer("wrong_since"))
        .col(big_integer("paused_until"))
        .col(integer("asked"))
        .col(big_integer("asked_since"))
        .col(big_integer("touched_at"))
        .take()
}

fn webhook_endpoint(dialect: Dialect) -> TableCreateStatement {
    dialect
        .table("webhook_endpoint", &["account_id", "id"])
        .col(dialect.key_text("account_id"))
        .col(dialect.uuid("id"))
        .col(text("uri"))
        .col(dialect.json("event_types"))
        .col(text("format"))
        .col(big_integer_null("disabled_at"))
        .col(text_null("disabled_reason"))
        .col(text("secret"))
        .col(text_null("previous_secret"))
        .col(big_integer_null("previous_until"))
        .col(big_integer_null("failing_since"))
        .col(big_integer("revision"))
        .col(text("creator"))
        .col(big_integer("created_at"))
        .col(big_integer("updated_at"))
        .col(big_integer("since_position"))
        .col(big_integer_null("tested_at"))
        .col(big_integer_null("rests_until"))
        .take()
}

fn webhook_message(dialect: Dialect) -> TableCreateStatement {
    dialect
        .table("webhook_message", &["account_id", "id"])
        .col(dialect.key_text("account_id"))
        .col(dialect.uuid("id"))
        .col(dialect.uuid("endpoint_id"))
        .col(dialect.uuid("invitation_id"))
        .col(big_integer("sequence"))
        .col(big_integer("occurred_at"))
        .col(dialect.key_text("state"))
        .col(big_integer_null("due_at"))
        .col(dialect.uuid_null("lease"))
        .col(integer("attempts"))
        .col(big_integer_null("first_tried_at"))
        .take()
}

fn webhook_attempt(dialect: Dialect) -> TableCreateStatement {
    dialect
        .table("webhook_attempt", &["account_id", "endpoint_id", "id"])
        .col(dialect.key_text("account_id"))
        .col(dialect.uuid("endpoint_id"))
        .col(dialect.uuid("id"))
        .col(dialect.uuid("webhook_id"))
        .col(dialect.uuid("invitation_id"))
        .col(big_integer("sequence"))
        .col(big_integer("attempted_at"))
        .col(integer_null("http_status"))
        .col(text_null("error"))
        .col(integer("duration_millis"))
        .take()
}

fn organization_grant(dialect: Dialect) -> TableCreateStatement {
    dialect
        .table("organization_grant", &["account_id", "id"])
        .col(dialect.key_text("account_id"))
        .col(dialect.uuid("id"))
        .col(dialect.uuid("requester_id"))
        .col(dialect.uuid("target_id"))
        .col(dialect.json("permissions"))
        .col(big_integer("revision"))
        .col(text("creator"))
        .col(big_integer("created_at"))
        .col(big_integer("updated_at"))
        .take()
}
