//! The beginnings of the tests of plans: tables that have grown, and rows that take many fields.

use invitation_service::domain::delivery::{NewDelivery, Purpose};
use invitation_service::domain::invitation::Invitation;
use invitation_service::domain::invitation::event::EventFormat;
use invitation_service::domain::value::id::IdSeed;
use invitation_service::domain::value::time::Timestamp;
use invitation_service::domain::webhook::{Endpoint, SealedSecrets};
use invitation_service::store::NewVerification;

use crate::support::codes::{requested, verification};

/// Each table gets so many rows, most of the account that asks. Half of the invitations are general ones into a scope that is
/// asked for, and have ended; the others never expire. One link has as many acceptances. Of the messages few are due. In front
/// of the account that asks there are 600 endpoints to which as much is being posted as may be, and one that waits.
pub(super) const GROW: &str = "
    INSERT INTO invitation (account_id, id, kind, scope_type, scope_id, creator, max_uses, use_count, expire_at, revoked_at,
            revision, generation, key_id, mails, details, created_at, updated_at, updater, sort_email)
        SELECT 'acme', gen_random_uuid(), i.kind, CASE n % 2 WHEN 0 THEN 'team' ELSE i.scope_type END,
            CASE n % 2 WHEN 0 THEN 'red' ELSE i.scope_id END, 'x', NULL, 0, CASE n % 4 WHEN 1 THEN NEW_YEAR - 1000000000 + n END,
            CASE n % 4 WHEN 0 THEN 1 WHEN 1 THEN 1 END, 1, 0, 7, true, i.details, NEW_YEAR - 900000000 + n, 1, 'x', ''
        FROM generate_series(1, ROWS) n JOIN LATERAL (SELECT * FROM invitation
            WHERE kind = CASE n % 2 WHEN 0 THEN 'general' ELSE 'connection' END LIMIT 1) i ON true;
    INSERT INTO recipient (account_id, invitation_id, ordinal, recipient_type, value, original, created_at)
        SELECT account_id, id, 9, CASE kind WHEN 'general' THEN 'internal' ELSE 'email' END,
            CASE kind WHEN 'general' THEN 'ended' ELSE 'a@b.org' END, 'x', created_at FROM invitation WHERE creator = 'x';
    UPDATE invitation SET revoked_at = 1 WHERE creator = 'x' AND kind = 'general';
    INSERT INTO acceptance (account_id, invitation_id, id, subject, accepted_at, details, undone_id)
        SELECT account_id, id, gen_random_uuid(), 'x', 1, '{}', '00000000-0000-0000-0000-000000000000' FROM invitation WHERE creator = 'x';
    INSERT INTO acceptance (account_id, invitation_id, id, subject, accepted_at, details, undone_id)
        SELECT 'acme', (SELECT id FROM invitation WHERE creator = 'x' LIMIT 1), gen_random_uuid(), 'x' || n, 1, '{}', '00000000-0000-0000-0000-000000000000'
        FROM generate_series(1, ROWS) n;
    INSERT INTO event (account_id, invitation_id, sequence, id, kind, event_type, occurred_at, actor, data, position)
        SELECT CASE n % 2 WHEN 0 THEN 'acme' ELSE 'other' END, gen_random_uuid(), 1, gen_random_uuid(), 'connection',
            'invitation.created', NEW_YEAR - 900000000 + n, 'x', '{}', 1000 + n FROM generate_series(1, ROWS) n;
    UPDATE follower SET position = 1000 + ROWS WHERE name IN ('sequencer', 'webhooks');
    INSERT INTO engagement SELECT account_id, id, 0, 0, 0, 1 FROM invitation WHERE creator = 'x';
    INSERT INTO outbox (account_id, id, invitation_id, recipient, created_at, purpose, state, due_at, planned_at)
        SELECT CASE n % 2 WHEN 0 THEN 'acme' ELSE 'aaa' END, gen_random_uuid(), gen_random_uuid(), 1, 1, 'invitation',
            CASE n % 5 WHEN 0 THEN 'sent' WHEN 1 THEN CASE n % 2 WHEN 0 THEN 'sent' ELSE 'failed' END ELSE 'queued' END,
            CASE n % 5 WHEN 2 THEN NEW_YEAR + 3600000000 + n WHEN 3 THEN NEW_YEAR + 3600000000 + n END,
            CASE n % 5 WHEN 4 THEN NEW_YEAR + 3600000000 + n END FROM generate_series(1, ROWS) n;
    INSERT INTO label (account_id, invitation_id, key, value)
        SELECT account_id, id, 'z', 'z' FROM invitation WHERE creator = 'x';
    INSERT INTO request (account_id, method, request_id, key_id, mac, invitation_id, created_at)
        SELECT 'acme', 'm', n::text, 1, '', gen_random_uuid(), CASE WHEN n <= 10 THEN 1 ELSE NEW_YEAR END
        FROM generate_series(1, ROWS) n;
    INSERT INTO invitation_group SELECT account_id, id, 'team', 'big', created_at FROM invitation WHERE creator = 'x';
    INSERT INTO slot SELECT account_id, 'general ' || id, id, 1 FROM invitation WHERE creator = 'x';
    INSERT INTO autojoin_domain SELECT account_id, 'a.org', id, 1 FROM invitation WHERE creator = 'x';
    INSERT INTO organization_grant (account_id, id, requester_id, target_id, permissions, revision, creator,
            created_at, updated_at)
        SELECT 'acme', gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), '[]', 1, 'x', 1, 1
        FROM generate_series(1, ROWS) n;
    INSERT INTO suppression (account_id, id, address_key, masked_email, reason, creator, created_at)
        SELECT 'acme', gen_random_uuid(), 'grown-' || n || '@example.org', '', 'manual', 'x', 1 FROM generate_series(1, ROWS) n;
    INSERT INTO scope_settings
            (account_id, id, scope_type, scope_id, reserve_open, occupied, held, lapsed, revision, counted_at)
        SELECT 'acme', gen_random_uuid(), 'team', 'grown-' || n, true, 0, 0, 0, 1, 1 FROM generate_series(1, ROWS) n;
    INSERT INTO seat (account_id, scope_uid, subject, id, holders, by_caller, occupied_at, version)
        SELECT 'acme', s.id, s.scope_id, gen_random_uuid(), '[]', true, 1, 1 FROM scope_settings s WHERE s.scope_type = 'team';
    INSERT INTO seat_hold (account_id, invitation_id, open_until, scope_uid, uses)
        SELECT 'acme', gen_random_uuid(), NEW_YEAR * 2, s.id, 1 FROM scope_settings s WHERE s.scope_type = 'team';
    INSERT INTO api_key (account_id, id, key_id, display_name, hash, permissions, grantable_roles, organization_id, revision,
            position, creator, created_at, updated_at)
        SELECT CASE WHEN n <= 200 THEN 'acme' ELSE 'other-' || n END, gen_random_uuid(), 'grown-' || n, '', md5(n::text) || md5(n::text), '[]', 'null',
            gen_random_uuid(), 1, -n, 'x', 1, 1 FROM generate_series(1, ROWS) n;
    INSERT INTO webhook_endpoint (account_id, id, uri, event_types, format, secret, revision, creator, created_at, updated_at,
            since_position)
        SELECT 'aaa', lpad(n::text, 32, '0')::uuid, 'https://example.org', '[]', 'proto_json', '', 1, 'x', 1, 1, 0
        FROM generate_series(1, 600) n;
    INSERT INTO webhook_message (account_id, id, endpoint_id, invitation_id, sequence, occurred_at, state, due_at, lease,
            attempts)
        SELECT 'aaa', gen_random_uuid(), lpad(n::text, 32, '0')::uuid, gen_random_uuid(), 1, NEW_YEAR, 'sending',
            CASE WHEN m < 4 THEN NEW_YEAR + 101000000 ELSE NEW_YEAR END,
            CASE WHEN m < 4 THEN gen_random_uuid() END, 1 FROM generate_series(1, 600) n, generate_series(0, 7) m;
    INSERT INTO webhook_message (account_id, id, endpoint_id, invitation_id, sequence, occurred_at, state, due_at, attempts)
        SELECT 'aab', gen_random_uuid(), lpad('1', 32, '0')::uuid, gen_random_uuid(), 1, NEW_YEAR, 'queued',
            CASE n % 2 WHEN 0 THEN NEW_YEAR + 3600000000 + n END, 1 FROM generate_series(1, ROWS) n;
    INSERT INTO webhook_attempt (account_id, endpoint_id, id, webhook_id, invitation_id, sequence, attempted_at,
            duration_millis)
        SELECT 'aaa', lpad('1', 32, '0')::uuid, gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 1, NEW_YEAR, 1
        FROM generate_series(1, ROWS) n;
    INSERT INTO verification (account_id, invitation_id, address_mac, client_mac, id, key_id, length, tries, created_at, asked,
            asked_since, invited)
        SELECT 'acme', gen_random_uuid(), 'x', 'c', gen_random_uuid(), 7, 6, 0, CASE WHEN n <= 10 THEN 1 ELSE NEW_YEAR END, 1,
            1, false
        FROM generate_series(1, ROWS) n;
    INSERT INTO verification_budget SELECT 'acme', gen_random_uuid(), '', 0, 1, 1, 1, 1,
        CASE WHEN n <= 10 THEN 1 ELSE NEW_YEAR END FROM generate_series(1, ROWS) n;";

/// An endpoint that gets every event.
pub(super) fn endpoint(seed: &IdSeed, now: Timestamp) -> Endpoint {
    Endpoint {
        id: seed.nth(0),
        uri: "https://example.org/hook".to_owned(),
        event_types: Vec::new(),
        format: EventFormat::default().into(),
        disabled_at: None,
        disabled_reason: None,
        secrets: SealedSecrets { present: "sealed".to_owned(), previous: None },
        failing_since: None,
        revision: 1,
        creator: "tester".to_owned(),
        created_at: now,
        updated_at: now,
    }
}

/// A code for an address, and the message that brings it.
pub(super) fn new_verification(invitation: &Invitation, seed: &IdSeed, now: Timestamp) -> NewVerification {
    let verification = verification(invitation, seed.nth(1));
    let message = NewDelivery {
        id: seed.nth(2),
        invitation: invitation.id,
        purpose: Purpose::VerificationCode,
        recipient: 1,
        address: None,
        about: Some(verification.id),
        moment: None,
        created_at: now,
        due_at: now,
    };
    let requested = requested(&verification, &seed.nth(3).to_string(), "client");
    NewVerification { limits_others: true, message: Some(message), ..requested }
}
