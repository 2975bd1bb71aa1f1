//! The indexes of the schema, as SQL: `{account:TAG}` is the account with a tag of the index's own.

/// Guest invitations are indexed by columns that never change. Orders by other columns are sorted: an index over a
/// column that an accept changes would cost every accept, of every kind, an entry in every index of the table
/// (PostgreSQL's HOT updates), to save a sort of one host's guests. The index of events without a position begins with
/// their time, so that a look can begin behind those that have been numbered: a snapshot that is held for long, as by a
/// dump, keeps their entries in the index.
pub(super) const SQL: &str = "
CREATE INDEX invitation_by_age ON invitation ({account:age}, created_at, id);
CREATE INDEX invitation_by_scope ON invitation ({account:scope}, scope_type, scope_id, created_at, id);
CREATE INDEX invitation_by_resource ON invitation ({account:resource}, resource_id, created_at, id)
    WHERE resource_id IS NOT NULL;
CREATE INDEX invitation_by_inviter ON invitation ({account:inviter}, inviter_user_id, created_at, id)
    WHERE inviter_user_id IS NOT NULL;
CREATE INDEX invitation_by_expiry ON invitation (expire_at, account_id, id) WHERE expire_at IS NOT NULL;
CREATE INDEX guest_by_email ON invitation ({account:guest-email}, scope_id, sort_email, id) WHERE kind = 'guest';
CREATE INDEX guest_by_first_sent ON invitation
    ({account:guest-sent}, scope_id, coalesce(first_sent_at, 9223372036854775807), id) WHERE kind = 'guest';
CREATE INDEX guest_by_age ON invitation ({account:guest-age}, scope_id, created_at, id) WHERE kind = 'guest';
CREATE INDEX label_by_value ON label ({account:label}, key, value, created_at, invitation_id);
CREATE INDEX recipient_by_value ON recipient ({account:address}, recipient_type, value, created_at, invitation_id);
CREATE INDEX recipient_open ON recipient ({account:open}, recipient_type, value, open_until, invitation_id)
    WHERE open_until IS NOT NULL;
CREATE UNIQUE INDEX acceptance_by_subject ON acceptance ({account:subject}, invitation_id, subject, undone_id);
CREATE UNIQUE INDEX acceptance_by_connection ON acceptance ({account:connection}, created_connection_id, invitation_id)
    WHERE created_connection_id IS NOT NULL;
CREATE INDEX acceptance_by_email ON acceptance ({account:email}, email_key, id) WHERE email_key IS NOT NULL;
CREATE INDEX acceptance_by_age ON acceptance ({account:age}, id);
CREATE INDEX acceptance_by_grant ON acceptance (grant_expire_at, account_id, invitation_id, id)
    WHERE grant_expire_at IS NOT NULL;
CREATE INDEX request_by_age ON request (created_at);
CREATE UNIQUE INDEX event_by_id ON event ({account:id}, id);
CREATE UNIQUE INDEX event_by_position ON event (position) WHERE position IS NOT NULL;
CREATE INDEX event_by_account_position ON event ({account:position}, position) WHERE position IS NOT NULL;
CREATE INDEX event_unsequenced ON event (occurred_at, account_id, invitation_id, sequence) WHERE position IS NULL;
CREATE INDEX outbox_by_invitation ON outbox ({account:invitation}, invitation_id, created_at, id);
CREATE INDEX outbox_pending ON outbox ({account:pending}, due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX outbox_leased ON outbox ({account:leased}, due_at) WHERE lease IS NOT NULL;
CREATE INDEX outbox_planned ON outbox (planned_at) WHERE planned_at IS NOT NULL;
CREATE INDEX outbox_failed ON outbox ({account:failed}, created_at, id) WHERE state = 'failed';
CREATE INDEX outbox_undelivered ON outbox ({account:undelivered}, created_at, id)
    WHERE state = 'bounced' OR state = 'failed' OR state = 'suppressed';
CREATE INDEX outbox_by_age ON outbox ({account:age}, created_at, id);
CREATE INDEX verification_by_age ON verification (created_at);
CREATE INDEX verification_budget_by_age ON verification_budget (touched_at);
CREATE UNIQUE INDEX webhook_message_by_event ON webhook_message ({account:event}, endpoint_id, invitation_id, sequence);
CREATE INDEX webhook_message_by_time ON webhook_message ({account:time}, endpoint_id, occurred_at);
CREATE INDEX webhook_message_pending ON webhook_message ({account:pending}, endpoint_id, due_at, id)
    WHERE due_at IS NOT NULL;
CREATE INDEX webhook_message_leased ON webhook_message ({account:leased}, endpoint_id, due_at) WHERE lease IS NOT NULL;
CREATE INDEX quota_by_period ON quota (period_start) WHERE period_start > 0;
CREATE INDEX quota_hold_by_account_end ON quota_hold ({account:end}, open_until);
CREATE INDEX quota_hold_by_end ON quota_hold (open_until);
CREATE UNIQUE INDEX organization_grant_by_ends ON organization_grant
    ({account:ends}, requester_id, target_id);
CREATE INDEX organization_grant_by_target ON organization_grant ({account:target}, target_id, id);
CREATE UNIQUE INDEX scope_settings_by_scope ON scope_settings ({account:scope}, scope_type, scope_id);
CREATE UNIQUE INDEX seat_by_age ON seat ({account:age}, scope_uid, id);
CREATE INDEX seat_by_subject ON seat ({account:subject}, subject, scope_uid);
CREATE INDEX seat_hold_by_scope ON seat_hold ({account:end}, scope_uid, open_until);
CREATE INDEX seat_hold_by_end ON seat_hold (open_until);
CREATE UNIQUE INDEX suppression_by_address ON suppression ({account:address}, address_key);
CREATE UNIQUE INDEX api_key_by_hash ON api_key (hash);
CREATE UNIQUE INDEX api_key_by_position ON api_key (position);
CREATE UNIQUE INDEX api_key_by_key_id ON api_key ({account:key-id}, key_id);
CREATE INDEX api_key_in_force ON api_key ({account:in-force}, coalesce(revoked_at, 0), expires_at);
CREATE INDEX api_key_by_organization ON api_key ({account:organization}, organization_id, id)
    WHERE organization_id IS NOT NULL";
