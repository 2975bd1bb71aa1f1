//! Invitations with all that hangs on them, remembered requests, events and the outbox.

use sea_orm_migration::prelude::*;

use super::{named, run};

pub(in crate::store) struct Migration;

named!(Migration);

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, SCHEMA).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        for table in ["outbox", "event", "engagement", "request", "acceptance", "recipient", "label", "invitation"] {
            connection.execute_unprepared(&format!("DROP TABLE {table}")).await?;
        }
        Ok(())
    }
}

/// Every key begins with the account.
const SCHEMA: &str = "
CREATE TABLE invitation (
    account_id {text} NOT NULL, id {uuid} NOT NULL, kind {text} NOT NULL,
    scope_type {text} NOT NULL, scope_id {text} NOT NULL, resource_id {uuid}, creator {text} NOT NULL,
    max_uses integer CHECK (max_uses >= 1), use_count integer NOT NULL CHECK (use_count >= 0),
    expire_at bigint, accepted_at bigint, declined_at bigint, revoked_at bigint,
    revision bigint NOT NULL, generation integer NOT NULL, key_id integer NOT NULL, mails boolean NOT NULL,
    details {json} NOT NULL, created_at bigint NOT NULL, updated_at bigint NOT NULL,
    PRIMARY KEY (account_id, id), CHECK (use_count <= max_uses)
);
CREATE INDEX invitation_by_age ON invitation (account_id, created_at, id);
CREATE INDEX invitation_by_scope ON invitation (account_id, scope_type, scope_id, created_at, id);
CREATE INDEX invitation_by_resource ON invitation (account_id, resource_id, created_at, id) WHERE resource_id IS NOT NULL;
CREATE TABLE label (
    account_id {text} NOT NULL, invitation_id {uuid} NOT NULL, key {text} NOT NULL, value {text} NOT NULL,
    PRIMARY KEY (account_id, invitation_id, key)
);
CREATE INDEX label_by_value ON label (account_id, key, value, invitation_id);
CREATE TABLE recipient (
    account_id {text} NOT NULL, invitation_id {uuid} NOT NULL, ordinal integer NOT NULL, recipient_type {text} NOT NULL,
    value {text} NOT NULL, original text NOT NULL, normalizer integer NOT NULL, accepted_at bigint, declined_at bigint,
    PRIMARY KEY (account_id, invitation_id, ordinal)
);
CREATE INDEX recipient_by_value ON recipient (account_id, recipient_type, value, invitation_id);
CREATE TABLE acceptance (
    account_id {text} NOT NULL, invitation_id {uuid} NOT NULL, id {uuid} NOT NULL, subject {text} NOT NULL, recipient integer,
    created_connection_id {uuid}, accepted_at bigint NOT NULL, details {json} NOT NULL,
    PRIMARY KEY (account_id, invitation_id, id)
);
CREATE UNIQUE INDEX acceptance_by_subject ON acceptance (account_id, invitation_id, subject);
CREATE UNIQUE INDEX acceptance_by_connection ON acceptance (account_id, invitation_id, created_connection_id)
    WHERE created_connection_id IS NOT NULL;
CREATE INDEX acceptance_by_age ON acceptance (account_id, invitation_id, accepted_at, id);
CREATE TABLE request (
    account_id {text} NOT NULL, method {text} NOT NULL, request_id {text} NOT NULL, key_id integer NOT NULL,
    mac text NOT NULL, invitation_id {uuid} NOT NULL, acceptance_id {uuid}, created_at bigint NOT NULL,
    PRIMARY KEY (account_id, method, request_id)
);
CREATE INDEX request_by_age ON request (created_at);
CREATE TABLE engagement (
    account_id {text} NOT NULL, invitation_id {uuid} NOT NULL, views bigint NOT NULL, clicks bigint NOT NULL,
    unfurls bigint NOT NULL, last_sequence bigint NOT NULL,
    PRIMARY KEY (account_id, invitation_id)
);
CREATE TABLE event (
    account_id {text} NOT NULL, invitation_id {uuid} NOT NULL, sequence bigint NOT NULL, id {uuid} NOT NULL,
    kind {text} NOT NULL, event_type {text} NOT NULL, occurred_at bigint NOT NULL, actor text NOT NULL,
    request_id text, data {json} NOT NULL,
    PRIMARY KEY (account_id, invitation_id, sequence)
);
CREATE UNIQUE INDEX event_by_id ON event (account_id, id);
CREATE TABLE outbox (
    account_id {text} NOT NULL, id {uuid} NOT NULL, invitation_id {uuid} NOT NULL, recipient integer NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (account_id, id)
);
CREATE INDEX outbox_by_invitation ON outbox (account_id, invitation_id)
";
