//! What user, guest and general invitations need beside connection invitations: more facts, slots, groups, auto-join domains,
//! and the connections between organizations.
//!
//! Recipients and groups repeat when their invitation was made, so that a list by address or group is read in its order from
//! one index. The orders of guest invitations by what never changes are indexed, for guest invitations alone. Those by what
//! changes are not: an index over a column that an accept changes would cost every accept, of every kind, an entry in every
//! index of the table (PostgreSQL's HOT updates), to save a sort of one host's guests.

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

const UP: &str = "
ALTER TABLE invitation ADD COLUMN accepted_elsewhere_at bigint;
ALTER TABLE invitation ADD COLUMN emptied_at bigint;
ALTER TABLE invitation ADD COLUMN archived_at bigint;
ALTER TABLE invitation ADD COLUMN deleted_at bigint;
ALTER TABLE invitation ADD COLUMN first_sent_at bigint;
ALTER TABLE invitation ADD COLUMN last_sent_at bigint;
ALTER TABLE invitation ADD COLUMN updater {text} NOT NULL DEFAULT '';
ALTER TABLE invitation ADD COLUMN inviter_user_id {text};
ALTER TABLE invitation ADD COLUMN widget_configuration_id {text};
ALTER TABLE invitation ADD COLUMN sort_email {text} NOT NULL DEFAULT '';
UPDATE invitation SET updater = creator;
CREATE INDEX invitation_by_inviter ON invitation (account_id, inviter_user_id, created_at, id)
    WHERE inviter_user_id IS NOT NULL;
CREATE INDEX guest_by_email ON invitation (account_id, scope_id, sort_email, id) WHERE kind = 'guest';
CREATE INDEX guest_by_first_sent ON invitation (account_id, scope_id, coalesce(first_sent_at, 9223372036854775807), id)
    WHERE kind = 'guest';
CREATE INDEX guest_by_age ON invitation (account_id, scope_id, created_at, id) WHERE kind = 'guest';
ALTER TABLE recipient ADD COLUMN display_name text;
ALTER TABLE recipient ADD COLUMN avatar_uri text;
ALTER TABLE recipient ADD COLUMN created_at bigint NOT NULL DEFAULT 0;
UPDATE recipient SET created_at = (SELECT i.created_at FROM invitation i
    WHERE i.account_id = recipient.account_id AND i.id = recipient.invitation_id);
DROP INDEX recipient_by_value;
CREATE INDEX recipient_by_value ON recipient (account_id, recipient_type, value, created_at, invitation_id);
CREATE TABLE invitation_group (
    account_id {text} NOT NULL, invitation_id {uuid} NOT NULL, scope_type {text} NOT NULL, scope_id {text} NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (account_id, scope_type, scope_id, created_at, invitation_id)
);
CREATE TABLE slot (
    account_id {text} NOT NULL, key {text} NOT NULL, invitation_id {uuid} NOT NULL, version bigint NOT NULL,
    PRIMARY KEY (account_id, key)
);
CREATE TABLE autojoin_domain (
    account_id {text} NOT NULL, domain {text} NOT NULL, invitation_id {uuid} NOT NULL, created_at bigint NOT NULL,
    PRIMARY KEY (account_id, domain, created_at, invitation_id)
);
CREATE TABLE organization_connection (
    account_id {text} NOT NULL, id {uuid} NOT NULL, requester_id {uuid} NOT NULL, target_id {uuid} NOT NULL,
    permissions {json} NOT NULL, creator text NOT NULL, created_at bigint NOT NULL,
    PRIMARY KEY (account_id, id)
);
CREATE UNIQUE INDEX organization_connection_by_ends ON organization_connection (account_id, requester_id, target_id)
";

const DOWN: &str = "
DROP TABLE organization_connection;
DROP TABLE autojoin_domain;
DROP TABLE slot;
DROP TABLE invitation_group;
DROP INDEX recipient_by_value;
CREATE INDEX recipient_by_value ON recipient (account_id, recipient_type, value, invitation_id);
ALTER TABLE recipient DROP COLUMN created_at;
ALTER TABLE recipient DROP COLUMN avatar_uri;
ALTER TABLE recipient DROP COLUMN display_name;
DROP INDEX guest_by_age;
DROP INDEX guest_by_first_sent;
DROP INDEX guest_by_email;
DROP INDEX invitation_by_inviter;
ALTER TABLE invitation DROP COLUMN sort_email;
ALTER TABLE invitation DROP COLUMN widget_configuration_id;
ALTER TABLE invitation DROP COLUMN inviter_user_id;
ALTER TABLE invitation DROP COLUMN updater;
ALTER TABLE invitation DROP COLUMN last_sent_at;
ALTER TABLE invitation DROP COLUMN first_sent_at;
ALTER TABLE invitation DROP COLUMN deleted_at;
ALTER TABLE invitation DROP COLUMN archived_at;
ALTER TABLE invitation DROP COLUMN emptied_at;
ALTER TABLE invitation DROP COLUMN accepted_elsewhere_at
";
