//! What delivery needs: the outbox as a queue that is worked off by lease, the order of all events, cursors of those who
//! follow it, webhooks, and verification codes.
//!
//! A row of a queue is pending while `due_at` is set: then it is tried, or, if it is leased, taken over. The indexes of
//! pending rows begin with the account, so that one account's backlog keeps no other waiting. What is planned for later
//! waits outside of them until `planned_at`, so that whoever looks for work does not walk over it.

use sea_orm_migration::prelude::*;

use super::{named, run};

pub(in crate::store) struct Migration;

named!(Migration);

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, DOWN).await
    }
}

/// Messages from before there was delivery are not sent: nobody waits for them any more.
const UP: &str = "
ALTER TABLE outbox ADD COLUMN purpose {text} NOT NULL DEFAULT 'invitation';
ALTER TABLE outbox ADD COLUMN state {text} NOT NULL DEFAULT 'queued';
ALTER TABLE outbox ADD COLUMN due_at bigint;
ALTER TABLE outbox ADD COLUMN planned_at bigint;
ALTER TABLE outbox ADD COLUMN lease {uuid};
ALTER TABLE outbox ADD COLUMN attempts integer NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN last_error text;
ALTER TABLE outbox ADD COLUMN sent_at bigint;
ALTER TABLE outbox ADD COLUMN address text;
ALTER TABLE outbox ADD COLUMN about {uuid};
ALTER TABLE outbox ADD COLUMN for_expire_at bigint;
UPDATE outbox SET state = 'cancelled', last_error = 'from before there was delivery';
CREATE INDEX outbox_pending ON outbox (account_id, due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX outbox_planned ON outbox (planned_at) WHERE planned_at IS NOT NULL;
ALTER TABLE invitation ADD COLUMN expiry_told_at bigint;
CREATE INDEX invitation_by_expiry ON invitation (expire_at, account_id, id) WHERE expire_at IS NOT NULL;
ALTER TABLE event ADD COLUMN position bigint;
CREATE INDEX event_unsequenced ON event (account_id, invitation_id, sequence) WHERE position IS NULL;
CREATE UNIQUE INDEX event_by_position ON event (position) WHERE position IS NOT NULL;
CREATE INDEX event_by_account_position ON event (account_id, position) WHERE position IS NOT NULL;
CREATE TABLE follower (
    name {text} NOT NULL, position bigint NOT NULL, lease {uuid}, leased_until bigint NOT NULL,
    PRIMARY KEY (name)
);
INSERT INTO follower (name, position, leased_until) VALUES ('sequencer', 0, 0), ('webhooks', 0, 0), ('nats', 0, 0), ('expiry', 0, 0);
CREATE TABLE webhook_endpoint (
    account_id {text} NOT NULL, id {uuid} NOT NULL, uri text NOT NULL, event_types {json} NOT NULL,
    disabled_at bigint, disabled_reason text, secret text NOT NULL, previous_secret text, previous_until bigint,
    rotation_request {text}, failing_since bigint, revision bigint NOT NULL, creator text NOT NULL, created_at bigint NOT NULL,
    updated_at bigint NOT NULL, request_id {text}, request_digest text, since_position bigint NOT NULL,
    PRIMARY KEY (account_id, id)
);
CREATE UNIQUE INDEX webhook_endpoint_by_request ON webhook_endpoint (account_id, request_id) WHERE request_id IS NOT NULL;
CREATE TABLE webhook_message (
    account_id {text} NOT NULL, id {uuid} NOT NULL, endpoint_id {uuid} NOT NULL, invitation_id {uuid} NOT NULL,
    sequence bigint NOT NULL, occurred_at bigint NOT NULL, state {text} NOT NULL, due_at bigint, lease {uuid},
    attempts integer NOT NULL, first_tried_at bigint, created_at bigint NOT NULL,
    PRIMARY KEY (account_id, id)
);
CREATE UNIQUE INDEX webhook_message_by_event ON webhook_message (account_id, endpoint_id, invitation_id, sequence);
CREATE INDEX webhook_message_by_time ON webhook_message (account_id, endpoint_id, occurred_at);
CREATE INDEX webhook_message_pending ON webhook_message (account_id, endpoint_id, due_at, id) WHERE due_at IS NOT NULL;
CREATE TABLE webhook_attempt (
    account_id {text} NOT NULL, endpoint_id {uuid} NOT NULL, id {uuid} NOT NULL, message_id {uuid} NOT NULL,
    invitation_id {uuid} NOT NULL, sequence bigint NOT NULL, attempted_at bigint NOT NULL, http_status integer,
    error text, duration_millis integer NOT NULL,
    PRIMARY KEY (account_id, endpoint_id, id)
);
CREATE TABLE verification (
    account_id {text} NOT NULL, invitation_id {uuid} NOT NULL, address_mac {text} NOT NULL, id {uuid} NOT NULL,
    key_id integer NOT NULL, tries integer NOT NULL, created_at bigint NOT NULL, asked integer NOT NULL,
    asked_since bigint NOT NULL,
    PRIMARY KEY (account_id, invitation_id, address_mac)
);
CREATE INDEX verification_by_age ON verification (created_at)
";

const DOWN: &str = "
DROP TABLE verification;
DROP TABLE webhook_attempt;
DROP TABLE webhook_message;
DROP TABLE webhook_endpoint;
DROP TABLE follower;
DROP INDEX event_by_account_position;
DROP INDEX event_by_position;
DROP INDEX event_unsequenced;
ALTER TABLE event DROP COLUMN position;
DROP INDEX invitation_by_expiry;
ALTER TABLE invitation DROP COLUMN expiry_told_at;
DROP INDEX outbox_planned;
DROP INDEX outbox_pending;
ALTER TABLE outbox DROP COLUMN for_expire_at;
ALTER TABLE outbox DROP COLUMN about;
ALTER TABLE outbox DROP COLUMN address;
ALTER TABLE outbox DROP COLUMN sent_at;
ALTER TABLE outbox DROP COLUMN last_error;
ALTER TABLE outbox DROP COLUMN attempts;
ALTER TABLE outbox DROP COLUMN lease;
ALTER TABLE outbox DROP COLUMN planned_at;
ALTER TABLE outbox DROP COLUMN due_at;
ALTER TABLE outbox DROP COLUMN state;
ALTER TABLE outbox DROP COLUMN purpose
";
