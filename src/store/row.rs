//! Rows to domain and back. Every value is parsed again on its way in; an error names table, column and row.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::entity::{acceptance, engagement, event, invitation, label, outbox, recipient, request};
use super::error::StoreError;
use crate::domain::acceptance::{Acceptance, Subject};
use crate::domain::command::RequestKey;
use crate::domain::connection::NewConnection;
use crate::domain::decide::NewDelivery;
use crate::domain::details::{Details, Kind};
use crate::domain::email::{Email, NORMALIZER_VERSION};
use crate::domain::event::{Event, EventType, NewEvent};
use crate::domain::id::{AcceptanceId, InvitationId};
use crate::domain::invitation::{Engagement, Invitation};
use crate::domain::key_ring::BodyDigest;
use crate::domain::loaded::Remembered;
use crate::domain::recipient::Recipient;
use crate::domain::state::Facts;
use crate::domain::text::AccountId;
use crate::domain::time::Timestamp;

const EMAIL: &str = "email";

/// An invitation with everything that is read together with it, as one JSON document.
#[derive(Deserialize)]
pub(super) struct InvitationRows {
    invitation: invitation::Model,
    recipients: Option<Vec<recipient::Model>>,
    labels: Option<Vec<label::Model>>,
    engagement: Option<engagement::Model>,
    deliveries: u32,
    acceptances: Option<Vec<acceptance::Model>>,
}

/// What an acceptance has that is never searched.
#[derive(Serialize, Deserialize)]
struct AcceptanceDetails {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<Email>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    phone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    existing_user: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_connection: Option<StoredConnection>,
}

#[derive(Serialize, Deserialize)]
struct StoredConnection {
    #[serde(flatten)]
    connection: NewConnection,
    created_at: i64,
}

/// Returns an error that names where in the database something is wrong.
fn corrupt<'a>(table: &'static str, row: &'a impl ToString) -> impl Fn(&'static str, &'static str) -> StoreError + 'a {
    move |column, problem| StoreError::Corrupt { table, column, row: row.to_string(), problem }
}

fn at(micros: Option<i64>) -> Option<Timestamp> {
    micros.map(Timestamp::from_micros)
}

impl TryFrom<InvitationRows> for Invitation {
    type Error = StoreError;

    fn try_from(rows: InvitationRows) -> Result<Self, StoreError> {
        let InvitationRows { invitation: row, recipients, labels, engagement, deliveries, acceptances } = rows;
        let corrupt = corrupt("invitation", &row.id);
        let kind = Kind::from_code(&row.kind).ok_or_else(|| corrupt("kind", "is no kind"))?;
        let engagement = engagement.map_or(Engagement::default(), |row| Engagement {
            views: row.views,
            clicks: row.clicks,
            unfurls: row.unfurls,
        });
        Ok(Self {
            id: InvitationId(row.id),
            account: AccountId::parse(&row.account_id).map_err(|_| corrupt("account_id", "is no account"))?,
            details: details_from(kind, row.details).ok_or_else(|| corrupt("details", "does not fit its kind"))?,
            facts: Facts {
                max_uses: row
                    .max_uses
                    .map(u32::try_from)
                    .transpose()
                    .map_err(|_| corrupt("max_uses", "is negative"))?,
                use_count: u32::try_from(row.use_count).map_err(|_| corrupt("use_count", "is negative"))?,
                expire_at: at(row.expire_at),
                accepted_at: at(row.accepted_at),
                declined_at: at(row.declined_at),
                revoked_at: at(row.revoked_at),
            },
            revision: row.revision,
            generation: u16::try_from(row.generation).map_err(|_| corrupt("generation", "is out of range"))?,
            key_id: u8::try_from(row.key_id).map_err(|_| corrupt("key_id", "is out of range"))?,
            mails: row.mails,
            recipients: recipients_from(recipients.unwrap_or_default())?,
            labels: labels.into_iter().flatten().map(|label| (label.key, label.value)).collect(),
            creator: row.creator,
            created_at: Timestamp::from_micros(row.created_at),
            updated_at: Timestamp::from_micros(row.updated_at),
            engagement,
            deliveries,
            acceptances: acceptances.into_iter().flatten().map(Acceptance::try_from).collect::<Result<_, _>>()?,
        })
    }
}

fn details_from(kind: Kind, details: Value) -> Option<Details> {
    match kind {
        Kind::Connection => serde_json::from_value(details).ok().map(Details::Connection),
    }
}

fn details_to(details: &Details) -> Value {
    let json = match details {
        Details::Connection(details) => serde_json::to_value(details),
    };
    // Strings, numbers and lists only: there is nothing in the details that JSON cannot say.
    json.unwrap_or_default()
}

fn recipients_from(rows: Vec<recipient::Model>) -> Result<Vec<Recipient>, StoreError> {
    let mut recipients = rows.into_iter().map(recipient_from).collect::<Result<Vec<_>, _>>()?;
    recipients.sort_unstable_by_key(|recipient| recipient.ordinal);
    Ok(recipients)
}

fn recipient_from(row: recipient::Model) -> Result<Recipient, StoreError> {
    let corrupt = corrupt("recipient", &row.invitation_id);
    Ok(Recipient {
        ordinal: u16::try_from(row.ordinal).map_err(|_| corrupt("ordinal", "is out of range"))?,
        email: Email::parse(&row.original).map_err(|_| corrupt("original", "is no e-mail address"))?,
        accepted_at: at(row.accepted_at),
        declined_at: at(row.declined_at),
    })
}

impl TryFrom<acceptance::Model> for Acceptance {
    type Error = StoreError;

    fn try_from(row: acceptance::Model) -> Result<Self, StoreError> {
        let corrupt = corrupt("acceptance", &row.id);
        let details: AcceptanceDetails =
            serde_json::from_value(row.details).map_err(|_| corrupt("details", "is not what acceptances have"))?;
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
            created_connection: details
                .created_connection
                .map(|stored| stored.connection.created_at(Timestamp::from_micros(stored.created_at))),
        })
    }
}

/// Reads a remembered request.
pub(super) fn request_from(row: request::Model) -> Result<(RequestKey, Remembered), StoreError> {
    let corrupt = corrupt("request", &row.invitation_id);
    let mut mac = [0; 32];
    for (byte, hex) in mac.iter_mut().zip(row.mac.as_bytes().chunks(2)) {
        let hex = std::str::from_utf8(hex).unwrap_or_default();
        *byte = u8::from_str_radix(hex, 16).map_err(|_| corrupt("mac", "is no hexadecimal number"))?;
    }
    let key_id = u8::try_from(row.key_id).map_err(|_| corrupt("key_id", "is out of range"))?;
    let account = AccountId::parse(&row.account_id).map_err(|_| corrupt("account_id", "is no account"))?;
    let key = RequestKey { account, method: row.method, id: row.request_id };
    let remembered = Remembered {
        digest: BodyDigest { key_id, mac },
        invitation: InvitationId(row.invitation_id),
        acceptance: row.acceptance_id.map(AcceptanceId),
        at: Timestamp::from_micros(row.created_at),
    };
    Ok((key, remembered))
}

impl TryFrom<event::Model> for Event {
    type Error = StoreError;

    fn try_from(row: event::Model) -> Result<Self, StoreError> {
        let corrupt = corrupt("event", &row.id);
        let Value::Object(data) = row.data else { return Err(corrupt("data", "is no object")) };
        let event = NewEvent {
            id: row.id,
            account: AccountId::parse(&row.account_id).map_err(|_| corrupt("account_id", "is no account"))?,
            invitation: InvitationId(row.invitation_id),
            kind: Kind::from_code(&row.kind).ok_or_else(|| corrupt("kind", "is no kind"))?,
            event_type: EventType::from_name(&row.event_type).ok_or_else(|| corrupt("event_type", "is no type"))?,
            time: Timestamp::from_micros(row.occurred_at),
            actor: row.actor,
            request_id: row.request_id,
            data,
        };
        Ok(Self { event, sequence: row.sequence })
    }
}

/// The row of an invitation.
pub(super) fn invitation_row(invitation: &Invitation) -> invitation::Model {
    let scope = invitation.details.scope();
    let facts = &invitation.facts;
    invitation::Model {
        account_id: account(invitation),
        id: invitation.id.0,
        kind: invitation.details.kind().code().to_owned(),
        scope_type: scope.scope_type,
        scope_id: scope.id,
        resource_id: invitation.details.resource_id(),
        creator: invitation.creator.clone(),
        max_uses: facts.max_uses.map(u32::cast_signed),
        use_count: facts.use_count.cast_signed(),
        expire_at: facts.expire_at.map(Timestamp::micros),
        accepted_at: facts.accepted_at.map(Timestamp::micros),
        declined_at: facts.declined_at.map(Timestamp::micros),
        revoked_at: facts.revoked_at.map(Timestamp::micros),
        revision: invitation.revision,
        generation: i32::from(invitation.generation),
        key_id: i32::from(invitation.key_id),
        mails: invitation.mails,
        details: details_to(&invitation.details),
        created_at: invitation.created_at.micros(),
        updated_at: invitation.updated_at.micros(),
    }
}

/// The rows of an invitation's labels.
pub(super) fn label_rows(invitation: &Invitation) -> impl Iterator<Item = label::Model> {
    invitation.labels.iter().map(|(key, value)| label::Model {
        account_id: account(invitation),
        invitation_id: invitation.id.0,
        key: key.clone(),
        value: value.clone(),
    })
}

/// The row of one of an invitation's recipients.
pub(super) fn recipient_row(invitation: &Invitation, recipient: &Recipient) -> recipient::Model {
    recipient::Model {
        account_id: account(invitation),
        invitation_id: invitation.id.0,
        ordinal: i32::from(recipient.ordinal),
        recipient_type: EMAIL.to_owned(),
        value: recipient.email.key().to_owned(),
        original: recipient.email.original().to_owned(),
        normalizer: NORMALIZER_VERSION,
        accepted_at: recipient.accepted_at.map(Timestamp::micros),
        declined_at: recipient.declined_at.map(Timestamp::micros),
    }
}

/// The row of an acceptance of an invitation.
pub(super) fn acceptance_row(invitation: &Invitation, acceptance: &Acceptance) -> acceptance::Model {
    let created_connection = acceptance.created_connection.as_ref();
    let details = AcceptanceDetails {
        email: acceptance.email.clone(),
        phone: acceptance.phone.clone(),
        display_name: acceptance.display_name.clone(),
        existing_user: acceptance.existing_user,
        created_connection: created_connection.map(|created| StoredConnection {
            connection: created.connection.clone(),
            created_at: created.created_at.micros(),
        }),
    };
    acceptance::Model {
        account_id: account(invitation),
        invitation_id: invitation.id.0,
        id: acceptance.id.0,
        subject: acceptance.subject.0.clone(),
        recipient: acceptance.recipient.map(i32::from),
        created_connection_id: created_connection.map(|created| created.connection.id),
        accepted_at: acceptance.accepted_at.micros(),
        details: serde_json::to_value(details).unwrap_or_default(),
    }
}

/// The row of a remembered request.
pub(super) fn request_row(key: &RequestKey, remembered: &Remembered) -> request::Model {
    request::Model {
        account_id: key.account.as_str().to_owned(),
        method: key.method.clone(),
        request_id: key.id.clone(),
        key_id: i32::from(remembered.digest.key_id),
        mac: remembered.digest.mac.iter().map(|byte| format!("{byte:02x}")).collect(),
        invitation_id: remembered.invitation.0,
        acceptance_id: remembered.acceptance.map(|id| id.0),
        created_at: remembered.at.micros(),
    }
}

/// The row of an event, counted `sequence` by the caller.
pub(super) fn event_row(event: &NewEvent, sequence: i64) -> event::Model {
    event::Model {
        account_id: event.account.as_str().to_owned(),
        invitation_id: event.invitation.0,
        sequence,
        id: event.id,
        kind: event.kind.code().to_owned(),
        event_type: event.event_type.name().to_owned(),
        occurred_at: event.time.micros(),
        actor: event.actor.clone(),
        request_id: event.request_id.clone(),
        data: Value::Object(Map::clone(&event.data)),
    }
}

/// The row of a message to be sent.
pub(super) fn outbox_row(invitation: &Invitation, delivery: &NewDelivery) -> outbox::Model {
    outbox::Model {
        account_id: account(invitation),
        id: delivery.id,
        invitation_id: delivery.invitation.0,
        recipient: i32::from(delivery.recipient),
        created_at: delivery.created_at.micros(),
    }
}

fn account(invitation: &Invitation) -> String {
    invitation.account.as_str().to_owned()
}
