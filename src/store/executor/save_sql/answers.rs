//! The parts of the save that change recipients and acceptances which exist.

use super::{Part, told_at};
use crate::store::sql::texts::Layout;

pub(super) fn update_recipients(layout: &Layout<'_, Part>) -> String {
    format!(
        "UPDATE recipient AS i SET recipient_type = r.recipient_type, value = r.value, original = r.original,
            display_name = r.display_name, avatar_uri = r.avatar_uri, accepted_at = r.accepted_at,
            existing_user = r.existing_user, declined_at = r.declined_at, open_until = r.open_until FROM {}
        WHERE i.account_id = r.account_id AND i.invitation_id = r.invitation_id AND i.ordinal = r.ordinal",
        layout.keys(Part::Answers, "r")
    )
}

pub(super) fn update_acceptances(layout: &Layout<'_, Part>) -> String {
    format!(
        "UPDATE acceptance AS i SET subject = r.subject, email_key = r.email_key,
            created_connection_id = r.created_connection_id, details = r.details, undone_id = r.undone_id,
            released_at = r.released_at, grant_expire_at = r.grant_expire_at, grant_told_at = {} FROM {}
        WHERE i.account_id = r.account_id AND i.invitation_id = r.invitation_id AND i.id = r.id",
        told_at("grant_told_at", "grant_expire_at"),
        layout.keys(Part::Reacceptances, "r")
    )
}
