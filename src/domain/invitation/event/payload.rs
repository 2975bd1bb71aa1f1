//! The contents of events, which are stored as JSON. They hold neither a token nor an address: recipients are numbers.
//! The fields are explained in `proto/invitation/v1/event.proto`.

#![expect(missing_docs, reason = "the proto documents the fields")]

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::EventType;
use crate::domain::delivery::Purpose;
use crate::domain::kind::Scope;
use crate::domain::suppression::SuppressionReason;
use crate::domain::value::id::{AcceptanceId, InvitationId};
use crate::domain::value::time::Timestamp;
use crate::domain::value::word::Word;

/// The content of an event. Types whose content has the same fields share one.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Payload {
    /// Of `invitation.created`.
    Created(CreatedPayload),
    /// Of `invitation.viewed`, `invitation.clicked` and `invitation.unfurled`.
    Engagement(EngagementPayload),
    /// Of `invitation.accepted`.
    Accepted(Box<AcceptedPayload>),
    /// Of `invitation.accepted_elsewhere`.
    AcceptedElsewhere(AcceptedElsewherePayload),
    /// Of `invitation.reopened`.
    Reopened(ReopenedPayload),
    /// Of `acceptance.released`, `acceptance.ended`, `acceptance.expired` and `acceptance.updated`.
    Acceptance(Box<AcceptancePayload>),
    /// Of `invitation.declined`.
    Declined(DeclinedPayload),
    /// Of `invitation.revoked`.
    Revoked(RevokedPayload),
    /// Of `invitation.resent`.
    Resent(ResentPayload),
    /// Of `invitation.updated`.
    Updated(Box<UpdatedPayload>),
    /// Of `invitation.archived`.
    Archived(EmptyPayload),
    /// Of `invitation.unarchived`.
    Unarchived(EmptyPayload),
    /// Of `invitation.fulfilled`.
    Fulfilled(FulfilledPayload),
    /// Of `invitation.expired`.
    Expired(ExpiredPayload),
    /// Of `invitation.email_verified`.
    EmailVerified(EmailVerifiedPayload),
    /// Of `invitation.recipient_erased`.
    RecipientErased(RecipientErasedPayload),
    /// Of `autojoin.updated`.
    Autojoin(AutojoinPayload),
    /// Of `delivery.sent`, `delivery.delivered`, `delivery.bounced`, `delivery.failed`, `delivery.opened`,
    /// `delivery.complained` and `delivery.suppressed`.
    Delivery(DeliveryPayload),
    /// Of `suppression.created`.
    Suppression(SuppressionPayload),
}

/// The part of an event that only its followers read, as it is stored: one JSON object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventData {
    pub state: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass_through: Option<String>,
    pub payload: Value,
}

/// The creation of an invitation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CreatedPayload {
    pub recipient_count: usize,
    pub mailed_count: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_at: Option<Timestamp>,
}

/// A look at a link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EngagementPayload {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// An acceptance, with everything that is to be granted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AcceptedPayload {
    pub acceptance: AcceptanceId,
    pub subject: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Scope>,
    pub use_count: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest_organization_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant_expire_at: Option<Timestamp>,
}

/// The acceptance of another invitation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AcceptedElsewherePayload {
    pub invitation: InvitationId,
    pub acceptance: AcceptanceId,
}

/// The undoing of the acceptance of another invitation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReopenedPayload {
    pub invitation: InvitationId,
    pub acceptance: AcceptanceId,
}

/// A change of an acceptance, with everything that was granted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AcceptancePayload {
    pub acceptance: AcceptanceId,
    pub subject: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Scope>,
    pub use_count: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest_organization_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant_expire_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_grant_expire_at: Option<Timestamp>,
}

/// A recipient's refusal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeclinedPayload {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A revocation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RevokedPayload {
    #[serde(default)]
    pub deleted: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<InvitationId>,
}

/// A renewal, or a repetition of the mail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResentPayload {
    pub rotated: bool,
    pub mailed_count: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_at: Option<Timestamp>,
}

/// A field that changed, with its values where they can be told; `null` if there was none, or it cannot be told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    pub field: String,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub old: Value,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub new: Value,
}

/// A change in another respect.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UpdatedPayload {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_connection: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acceptance: Option<AcceptanceId>,
    #[serde(default)]
    pub deleted: bool,
    /// The changes of numbers, moments, ids and words of the caller's own system.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<FieldChange>,
    /// The changes of other texts, which an erasure removes: they may name a person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<FieldChange>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<u16>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<u16>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub mailed_count: usize,
}

/// No content beside the type.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EmptyPayload {}

/// The end of the uses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FulfilledPayload {
    pub use_count: u32,
}

/// An expiry that passed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExpiredPayload {
    pub expire_at: Timestamp,
}

/// An address that a code verified.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EmailVerifiedPayload {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<u16>,
}

/// The erasure of a person's data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecipientErasedPayload {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<u16>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acceptances: Vec<AcceptanceId>,
}

/// The domains of an auto-join that are new or gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AutojoinPayload {
    #[serde(default)]
    pub added: Vec<String>,
    #[serde(default)]
    pub removed: Vec<String>,
}

/// A message to a person. A newer release may have a purpose that this one does not know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeliveryPayload {
    pub delivery: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<u16>,
    #[serde(serialize_with = "purpose_code", deserialize_with = "purpose_of")]
    pub purpose: Word<Purpose>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The suppression of an address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuppressionPayload {
    pub suppression: Uuid,
    /// Not `reason`, which is a text of a person's in other payloads, and is erased.
    #[serde(serialize_with = "cause_code", deserialize_with = "cause_of")]
    pub cause: Word<SuppressionReason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<u16>,
}

impl Payload {
    /// Parses the stored content of an event of a type.
    pub fn parse(event_type: EventType, json: Value) -> Result<Self, serde_json::Error> {
        use serde_json::from_value;
        Ok(match event_type {
            EventType::Created => Self::Created(from_value(json)?),
            EventType::Viewed | EventType::Clicked | EventType::Unfurled => Self::Engagement(from_value(json)?),
            EventType::Accepted => Self::Accepted(from_value(json)?),
            EventType::AcceptedElsewhere => Self::AcceptedElsewhere(from_value(json)?),
            EventType::Reopened => Self::Reopened(from_value(json)?),
            EventType::AcceptanceReleased
            | EventType::AcceptanceEnded
            | EventType::AcceptanceExpired
            | EventType::AcceptanceUpdated => Self::Acceptance(from_value(json)?),
            EventType::Declined => Self::Declined(from_value(json)?),
            EventType::Revoked => Self::Revoked(from_value(json)?),
            EventType::Resent => Self::Resent(from_value(json)?),
            EventType::Updated => Self::Updated(from_value(json)?),
            EventType::Archived => Self::Archived(from_value(json)?),
            EventType::Unarchived => Self::Unarchived(from_value(json)?),
            EventType::Fulfilled => Self::Fulfilled(from_value(json)?),
            EventType::Expired => Self::Expired(from_value(json)?),
            EventType::EmailVerified => Self::EmailVerified(from_value(json)?),
            EventType::RecipientErased => Self::RecipientErased(from_value(json)?),
            EventType::AutojoinUpdated => Self::Autojoin(from_value(json)?),
            EventType::DeliverySent
            | EventType::DeliveryDelivered
            | EventType::DeliveryBounced
            | EventType::DeliveryFailed
            | EventType::DeliveryOpened
            | EventType::DeliveryComplained
            | EventType::DeliverySuppressed => Self::Delivery(from_value(json)?),
            EventType::SuppressionCreated => Self::Suppression(from_value(json)?),
        })
    }

    /// Returns the content as it is stored.
    pub fn json(&self) -> Value {
        // Fields of plain types cannot fail.
        serde_json::to_value(self).unwrap_or_default()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

fn purpose_code<S: serde::Serializer>(purpose: &Word<Purpose>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(purpose.text(Purpose::code))
}

fn purpose_of<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Word<Purpose>, D::Error> {
    let code = String::deserialize(deserializer)?;
    Word::parse(&code, Purpose::from_code).ok_or_else(|| serde::de::Error::custom("is not a purpose"))
}

fn cause_code<S: serde::Serializer>(cause: &Word<SuppressionReason>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(cause.text(SuppressionReason::code))
}

fn cause_of<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Word<SuppressionReason>, D::Error> {
    let code = String::deserialize(deserializer)?;
    Word::parse(&code, SuppressionReason::from_code).ok_or_else(|| serde::de::Error::custom("is not a reason"))
}
