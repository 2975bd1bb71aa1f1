//! The parts of the save that change messages which exist.

use sea_orm::sea_query::ColumnType::{BigInteger, Integer, Text, Uuid as UuidType};

use super::Part;
use crate::domain::delivery::{DeliveryState, Purpose, REMOVED, REPLACED};
use crate::store::sql::rows_param::{Columns, by_index};
use crate::store::sql::texts::Layout;

pub(super) fn settled_columns() -> Columns {
    Columns::list([("account_id", Text), ("id", UuidType), ("state", Text), ("loaded_state", Text)]).and_nullable([
        ("loaded_lease", UuidType),
        ("last_error", Text),
        ("sent_at", BigInteger),
    ])
}

pub(super) fn replacing_columns() -> Columns {
    let key = [("account_id", Text), ("invitation_id", UuidType), ("recipient", Integer), ("id", UuidType)];
    Columns::list(key)
}

pub(super) fn removed_columns() -> Columns {
    Columns::list([("account_id", Text), ("invitation_id", UuidType), ("recipient", Integer)])
}

/// Updates messages, each only if it is unchanged since it was loaded. A person who asks for a verification code need
/// not have been invited, so their address is kept no longer than it takes to mail the code.
pub(super) fn settle_deliveries(layout: &Layout<'_, Part>) -> String {
    format!(
        "UPDATE outbox AS o SET state = r.state, last_error = r.last_error, sent_at = r.sent_at, lease = NULL,
        due_at = CASE WHEN r.state IN ('queued', 'sending') THEN o.due_at END, planned_at = NULL,
        address = CASE WHEN {is_done} THEN NULL ELSE o.address END,
        address_key = CASE WHEN {is_done} THEN NULL ELSE o.address_key END
        FROM {} WHERE o.account_id = r.account_id AND o.id = r.id AND o.state = r.loaded_state
            AND o.lease IS NOT DISTINCT FROM r.loaded_lease",
        layout.keys(Part::DeliveryUpdates, "r"),
        is_done = "o.purpose = 'verification_code' AND r.state NOT IN ('queued', 'sending')",
    )
}

/// Cancels the queued messages with a link that new ones replace; one that is being sent is left. The messages of an
/// invitation are read once, whatever the number of its recipients.
pub(super) fn cancel_replaced(layout: &Layout<'_, Part>, condition: &str) -> String {
    let rows = layout.rows(Part::Replacing, "r");
    format!(
        "UPDATE outbox AS o SET state = '{cancelled}', due_at = NULL, planned_at = NULL, last_error = '{REPLACED}'
        FROM (SELECT DISTINCT account_id, invitation_id FROM {rows} WHERE account_id || '' = account_id) k {condition}
        WHERE {by_invitation} AND o.invitation_id = k.invitation_id AND o.purpose = '{invitation}'
            AND o.state || '' = '{queued}' AND o.id NOT IN (SELECT id FROM {rows})
            AND (o.invitation_id, o.recipient) IN (SELECT invitation_id, recipient FROM {rows})",
        by_invitation = by_index(layout.backend, "invitation", "o", "k.account_id"),
        invitation = Purpose::Invitation.code(),
        cancelled = DeliveryState::Cancelled.code(),
        queued = DeliveryState::Queued.code(),
    )
}

/// Cancels the messages of any purpose to recipients who are removed; one that is being sent is left to the worker that sends it,
/// which would not send it again.
pub(super) fn cancel_removed(layout: &Layout<'_, Part>, condition: &str) -> String {
    let rows = layout.rows(Part::Removed, "r");
    format!(
        "UPDATE outbox AS o SET state = '{cancelled}', due_at = NULL, planned_at = NULL, last_error = '{REMOVED}'
        FROM (SELECT DISTINCT account_id, invitation_id FROM {rows} WHERE account_id || '' = account_id) k {condition}
        WHERE {by_invitation} AND o.invitation_id = k.invitation_id AND o.state || '' = '{queued}'
            AND (o.invitation_id, o.recipient) IN (SELECT invitation_id, recipient FROM {rows})",
        by_invitation = by_index(layout.backend, "invitation", "o", "k.account_id"),
        cancelled = DeliveryState::Cancelled.code(),
        queued = DeliveryState::Queued.code(),
    )
}
