//! Indexes that no look-up can mistake for one another.
//!
//! PostgreSQL plans a statement once per connection, perhaps while its tables are new, and then all indexes that begin alike
//! cost the same: a look-up by the primary key may read every entry that an account has in another index. So on PostgreSQL
//! the primary key alone begins with the account. Every other index begins with the account and a tag of its own
//! (`{account:TAG}`), which a statement has to name to use it (`by_index`). SQLite chooses by the number of columns that fit.
//!
//! Labels repeat when their invitation was created, so that a list by label is read in its order. `open_until` says until
//! when a recipient's general invitation is open unless something else ends it first, so that open invitations are found
//! however many have ended. Events without a position are indexed by their time, so that a look can begin behind those that
//! have been numbered: a snapshot that is held for long, as by a dump, keeps their entries in the index.

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
ALTER TABLE label ADD COLUMN created_at bigint NOT NULL DEFAULT 0;
UPDATE label SET created_at = (SELECT i.created_at FROM invitation i
    WHERE i.account_id = label.account_id AND i.id = label.invitation_id);
ALTER TABLE recipient ADD COLUMN open_until bigint;
UPDATE recipient SET open_until = (SELECT coalesce(i.expire_at, 9223372036854775807) FROM invitation i
    WHERE i.account_id = recipient.account_id AND i.id = recipient.invitation_id AND i.kind = 'general'
        AND i.revoked_at IS NULL AND i.declined_at IS NULL AND i.accepted_elsewhere_at IS NULL AND i.emptied_at IS NULL
        AND (i.max_uses IS NULL OR i.use_count < i.max_uses));
DROP INDEX invitation_by_age;
DROP INDEX invitation_by_scope;
DROP INDEX invitation_by_resource;
DROP INDEX invitation_by_inviter;
DROP INDEX guest_by_email;
DROP INDEX guest_by_first_sent;
DROP INDEX guest_by_age;
DROP INDEX label_by_value;
DROP INDEX recipient_by_value;
DROP INDEX acceptance_by_subject;
DROP INDEX acceptance_by_connection;
DROP INDEX event_by_id;
DROP INDEX event_unsequenced;
DROP INDEX event_by_account_position;
DROP INDEX outbox_by_invitation;
DROP INDEX outbox_pending;
DROP INDEX outbox_failed;
DROP INDEX webhook_message_by_event;
DROP INDEX webhook_message_by_time;
DROP INDEX webhook_message_pending;
DROP INDEX organization_connection_by_ends;
CREATE INDEX invitation_by_age ON invitation ({account:age}, created_at, id);
CREATE INDEX invitation_by_scope ON invitation ({account:scope}, scope_type, scope_id, created_at, id);
CREATE INDEX invitation_by_resource ON invitation ({account:resource}, resource_id, created_at, id)
    WHERE resource_id IS NOT NULL;
CREATE INDEX invitation_by_inviter ON invitation ({account:inviter}, inviter_user_id, created_at, id)
    WHERE inviter_user_id IS NOT NULL;
CREATE INDEX guest_by_email ON invitation ({account:guest-email}, scope_id, sort_email, id) WHERE kind = 'guest';
CREATE INDEX guest_by_first_sent ON invitation
    ({account:guest-sent}, scope_id, coalesce(first_sent_at, 9223372036854775807), id) WHERE kind = 'guest';
CREATE INDEX guest_by_age ON invitation ({account:guest-age}, scope_id, created_at, id) WHERE kind = 'guest';
CREATE INDEX label_by_value ON label ({account:label}, key, value, created_at, invitation_id);
CREATE INDEX recipient_by_value ON recipient ({account:address}, recipient_type, value, created_at, invitation_id);
CREATE INDEX recipient_open ON recipient ({account:open}, recipient_type, value, open_until, invitation_id)
    WHERE open_until IS NOT NULL;
CREATE UNIQUE INDEX acceptance_by_subject ON acceptance ({account:subject}, invitation_id, subject);
CREATE UNIQUE INDEX acceptance_by_connection ON acceptance ({account:connection}, invitation_id, created_connection_id)
    WHERE created_connection_id IS NOT NULL;
CREATE UNIQUE INDEX event_by_id ON event ({account:id}, id);
CREATE INDEX event_unsequenced ON event (occurred_at, account_id, invitation_id, sequence) WHERE position IS NULL;
CREATE INDEX event_by_account_position ON event ({account:position}, position) WHERE position IS NOT NULL;
CREATE INDEX outbox_by_invitation ON outbox ({account:invitation}, invitation_id, created_at, id);
CREATE INDEX outbox_pending ON outbox ({account:pending}, due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX outbox_failed ON outbox ({account:failed}, created_at, id) WHERE state = 'failed';
CREATE UNIQUE INDEX webhook_message_by_event ON webhook_message ({account:event}, endpoint_id, invitation_id, sequence);
CREATE INDEX webhook_message_by_time ON webhook_message ({account:time}, endpoint_id, occurred_at);
CREATE INDEX webhook_message_pending ON webhook_message ({account:pending}, endpoint_id, due_at, id)
    WHERE due_at IS NOT NULL;
CREATE INDEX webhook_message_leased ON webhook_message ({account:leased}, endpoint_id, due_at) WHERE lease IS NOT NULL;
CREATE UNIQUE INDEX organization_connection_by_ends ON organization_connection
    ({account:ends}, requester_id, target_id);
CREATE INDEX organization_connection_by_target ON organization_connection ({account:target}, target_id, id)
";

const DOWN: &str = "
DROP INDEX invitation_by_age;
DROP INDEX invitation_by_scope;
DROP INDEX invitation_by_resource;
DROP INDEX invitation_by_inviter;
DROP INDEX guest_by_email;
DROP INDEX guest_by_first_sent;
DROP INDEX guest_by_age;
DROP INDEX label_by_value;
DROP INDEX recipient_by_value;
DROP INDEX recipient_open;
DROP INDEX acceptance_by_subject;
DROP INDEX acceptance_by_connection;
DROP INDEX event_by_id;
DROP INDEX event_unsequenced;
DROP INDEX event_by_account_position;
DROP INDEX outbox_by_invitation;
DROP INDEX outbox_pending;
DROP INDEX outbox_failed;
DROP INDEX webhook_message_by_event;
DROP INDEX webhook_message_by_time;
DROP INDEX webhook_message_pending;
DROP INDEX webhook_message_leased;
DROP INDEX organization_connection_by_ends;
DROP INDEX organization_connection_by_target;
ALTER TABLE label DROP COLUMN created_at;
ALTER TABLE recipient DROP COLUMN open_until;
CREATE INDEX invitation_by_age ON invitation (account_id, created_at, id);
CREATE INDEX invitation_by_scope ON invitation (account_id, scope_type, scope_id, created_at, id);
CREATE INDEX invitation_by_resource ON invitation (account_id, resource_id, created_at, id) WHERE resource_id IS NOT NULL;
CREATE INDEX invitation_by_inviter ON invitation (account_id, inviter_user_id, created_at, id)
    WHERE inviter_user_id IS NOT NULL;
CREATE INDEX guest_by_email ON invitation (account_id, scope_id, sort_email, id) WHERE kind = 'guest';
CREATE INDEX guest_by_first_sent ON invitation (account_id, scope_id, coalesce(first_sent_at, 9223372036854775807), id)
    WHERE kind = 'guest';
CREATE INDEX guest_by_age ON invitation (account_id, scope_id, created_at, id) WHERE kind = 'guest';
CREATE INDEX label_by_value ON label (account_id, key, value, invitation_id);
CREATE INDEX recipient_by_value ON recipient (account_id, recipient_type, value, created_at, invitation_id);
CREATE UNIQUE INDEX acceptance_by_subject ON acceptance (account_id, ({uuid_text:invitation_id} || ' ' || subject));
CREATE UNIQUE INDEX acceptance_by_connection
    ON acceptance (account_id, ({uuid_text:invitation_id} || ' ' || {uuid_text:created_connection_id}))
    WHERE created_connection_id IS NOT NULL;
CREATE UNIQUE INDEX event_by_id ON event (account_id, id);
CREATE INDEX event_unsequenced ON event (account_id, invitation_id, sequence) WHERE position IS NULL;
CREATE INDEX event_by_account_position ON event (account_id, position) WHERE position IS NOT NULL;
CREATE INDEX outbox_by_invitation ON outbox (account_id, invitation_id);
CREATE INDEX outbox_pending ON outbox (account_id, due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX outbox_failed ON outbox (account_id, created_at, id) WHERE state = 'failed';
CREATE UNIQUE INDEX webhook_message_by_event ON webhook_message (account_id, endpoint_id, invitation_id, sequence);
CREATE INDEX webhook_message_by_time ON webhook_message (account_id, endpoint_id, occurred_at);
CREATE INDEX webhook_message_pending ON webhook_message (account_id, endpoint_id, due_at, id) WHERE due_at IS NOT NULL;
CREATE UNIQUE INDEX organization_connection_by_ends ON organization_connection (account_id, requester_id, target_id)
";
