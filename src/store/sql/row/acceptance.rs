//! Acceptances.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{account, corrupt};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::{Acceptance, AcceptedBy, Release, Subject};
use crate::domain::invitation::unknown_fields::UnknownFields;
use crate::domain::kind::connection::NewConnection;
use crate::domain::value::given_email::GivenEmail;
use crate::domain::value::id::{AcceptanceId, InvitationId};
use crate::domain::value::time::Timestamp;
use crate::store::sql::entity::acceptance;
use crate::store::sql::error::StoreError;

/// The parts of an acceptance that are never searched.
#[derive(Serialize, Deserialize)]
struct AcceptanceDetails {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<GivenEmail>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    phone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    existing_user: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_connection: Option<StoredConnection>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    roles: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    guest_organization_id: Option<Uuid>,
    #[serde(default)]
    accepted_by: AcceptedBy,
    #[serde(default = "first", skip_serializing_if = "is_first")]
    revision: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    release: Option<Release>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    closed: Vec<InvitationId>,
}

fn first() -> i64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_first(revision: &i64) -> bool {
    *revision == first()
}

#[derive(Serialize, Deserialize)]
struct StoredConnection {
    #[serde(flatten)]
    connection: NewConnection,
    created_at: i64,
}

impl TryFrom<acceptance::Model> for Acceptance {
    type Error = StoreError;

    fn try_from(row: acceptance::Model) -> Result<Self, StoreError> {
        let corrupt = corrupt("acceptance", &row.id);
        let details: AcceptanceDetails = AcceptanceDetails::deserialize(&row.details)
            .map_err(|_| corrupt("details", "is not the details of an acceptance"))?;
        let unknown = UnknownFields::between(&row.details, &serde_json::to_value(&details).unwrap_or_default());
        Ok(Self {
            id: AcceptanceId(row.id),
            invitation: InvitationId(row.invitation_id),
            subject: Subject(row.subject),
            recipient: row
                .recipient
                .map(u16::try_from)
                .transpose()
                .map_err(|_| corrupt("recipient", "is out of range"))?,
            email: details.email,
            phone: details.phone,
            display_name: details.display_name,
            existing_user: details.existing_user,
            accepted_at: Timestamp::from_micros(row.accepted_at),
            roles: details.roles,
            guest_organization_id: details.guest_organization_id,
            accepted_by: details.accepted_by,
            revision: details.revision,
            grant_expire_at: row.grant_expire_at.map(Timestamp::from_micros),
            grant_told_at: row.grant_told_at.map(Timestamp::from_micros),
            release: details.release,
            closed: details.closed,
            unknown,
            created_connection: details
                .created_connection
                .map(|stored| stored.connection.created_at(Timestamp::from_micros(stored.created_at))),
        })
    }
}

/// Returns the row of an acceptance of an invitation.
pub(in crate::store) fn acceptance_row(invitation: &Invitation, acceptance: &Acceptance) -> acceptance::Model {
    let created_connection = acceptance.created_connection.as_ref();
    let details = AcceptanceDetails {
        email: acceptance.email.clone(),
        phone: acceptance.phone.clone(),
        display_name: acceptance.display_name.clone(),
        existing_user: acceptance.existing_user,
        roles: acceptance.roles.clone(),
        guest_organization_id: acceptance.guest_organization_id,
        accepted_by: acceptance.accepted_by,
        revision: acceptance.revision,
        release: acceptance.release,
        closed: acceptance.closed.clone(),
        created_connection: created_connection.map(|created| StoredConnection {
            connection: created.connection.clone(),
            created_at: created.created_at.micros(),
        }),
    };
    let is_undone = acceptance.is_undone();
    let mut details = serde_json::to_value(details).unwrap_or_default();
    acceptance.unknown.add_to(&mut details);
    acceptance::Model {
        account_id: account(invitation),
        invitation_id: invitation.id.0,
        id: acceptance.id.0,
        subject: acceptance.subject.0.clone(),
        recipient: acceptance.recipient.map(i32::from),
        // The connection is free for another acceptance, as the subject is.
        created_connection_id: created_connection.filter(|_| !is_undone).map(|created| created.connection.id),
        accepted_at: acceptance.accepted_at.micros(),
        details,
        email_key: acceptance.email.as_ref().map(GivenEmail::search_key),
        undone_id: if is_undone { acceptance.id.0 } else { Uuid::nil() },
        grant_expire_at: acceptance.grant_expire_at.map(Timestamp::micros),
        grant_told_at: acceptance.grant_told_at.map(Timestamp::micros),
        released_at: acceptance.release.map(|release| release.at.micros()),
    }
}
