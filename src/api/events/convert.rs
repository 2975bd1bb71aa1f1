//! Events.

use uuid::Uuid;

use crate::api::convert::json::json_value;
use crate::api::convert::shared::scope;
use crate::api::convert::{count, kind, state, timestamp};
use crate::api::deliveries::convert::purpose;
use crate::api::resource::{acceptance_name, delivery_name, invitation_name, recipient_name, suppression_name};
use crate::api::suppressions::reason;
use crate::domain::invitation::event::payload::{
    AcceptancePayload, AcceptedPayload, FieldChange, Payload, UpdatedPayload,
};
use crate::domain::invitation::event::{Event, StoredEvent};
use crate::domain::value::id::InvitationId;
use crate::pb;
use crate::pb::event::Payload as Shown;

/// Converts an event, without a resume token.
pub(crate) fn event(Event { event, sequence, .. }: &Event) -> pb::Event {
    let StoredEvent { invitation: id, .. } = *event;
    let is_of_invitation = event.is_of_invitation();
    let of_invitation = |name: String| if is_of_invitation { name } else { String::new() };
    pb::Event {
        name: of_invitation(event_name(id, *sequence)),
        uid: event.id.to_string(),
        r#type: event.type_name().to_owned(),
        time: Some(timestamp(event.time)),
        account: event.account.as_str().to_owned(),
        invitation: of_invitation(invitation_name(id)),
        kind: event.kind.known().map(kind).unwrap_or_default(),
        state: event.state.known().map(state).unwrap_or_default(),
        scope: event.scope.as_ref().map(scope),
        sequence: if is_of_invitation { *sequence } else { 0 },
        actor: event.actor.clone(),
        request_id: event.request_id.clone().unwrap_or_default(),
        resume_token: String::new(),
        pass_through: event.pass_through.clone().unwrap_or_default(),
        payload: event.payload.as_ref().map(|content| payload(id, content)),
    }
}

/// Returns the name of an event.
pub(crate) fn event_name(invitation: InvitationId, sequence: i64) -> String {
    format!("{}/events/{sequence}", invitation_name(invitation))
}

fn payload(id: InvitationId, payload: &Payload) -> Shown {
    let recipient = |ordinal: Option<u16>| ordinal.map(|ordinal| recipient_name(id, ordinal)).unwrap_or_default();
    match payload {
        Payload::Created(created) => Shown::Created(pb::InvitationCreatedEvent {
            recipient_count: count(created.recipient_count),
            mailed_count: count(created.mailed_count),
            expire_time: created.expire_at.map(timestamp),
        }),
        Payload::Engagement(engagement) => Shown::Engagement(pb::InvitationEngagementEvent {
            recipient: recipient(engagement.recipient),
            source: engagement.source.clone().unwrap_or_default(),
        }),
        Payload::Accepted(accepted) => Shown::Accepted(self::accepted(id, accepted)),
        Payload::AcceptedElsewhere(elsewhere) => Shown::AcceptedElsewhere(pb::InvitationAcceptedElsewhereEvent {
            accepted_invitation: invitation_name(elsewhere.invitation),
            acceptance: acceptance_name(elsewhere.invitation, elsewhere.acceptance),
        }),
        Payload::Reopened(reopened) => Shown::Reopened(pb::InvitationReopenedEvent {
            accepted_invitation: invitation_name(reopened.invitation),
            acceptance: acceptance_name(reopened.invitation, reopened.acceptance),
        }),
        Payload::Acceptance(changed) => Shown::Acceptance(acceptance(id, changed)),
        Payload::Declined(declined) => Shown::Declined(pb::InvitationDeclinedEvent {
            recipient: recipient(declined.recipient),
            reason: declined.reason.clone().unwrap_or_default(),
        }),
        Payload::Revoked(revoked) => Shown::Revoked(pb::InvitationRevokedEvent {
            deleted: revoked.deleted,
            replaced_by: revoked.replaced_by.map(invitation_name).unwrap_or_default(),
        }),
        Payload::Resent(resent) => Shown::Resent(pb::InvitationResentEvent {
            rotated: resent.rotated,
            mailed_count: count(resent.mailed_count),
            expire_time: resent.expire_at.map(timestamp),
        }),
        Payload::Updated(updated) => Shown::Updated(self::updated(id, updated)),
        Payload::Archived(_) => Shown::Archived(pb::InvitationArchivedEvent {}),
        Payload::Unarchived(_) => Shown::Unarchived(pb::InvitationUnarchivedEvent {}),
        Payload::Fulfilled(fulfilled) => {
            Shown::Fulfilled(pb::InvitationFulfilledEvent { use_count: count(fulfilled.use_count) })
        }
        Payload::Expired(expired) => {
            Shown::Expired(pb::InvitationExpiredEvent { expire_time: Some(timestamp(expired.expire_at)) })
        }
        Payload::EmailVerified(verified) => {
            Shown::EmailVerified(pb::InvitationEmailVerifiedEvent { recipient: recipient(verified.recipient) })
        }
        Payload::RecipientErased(erased) => Shown::RecipientErased(pb::InvitationRecipientErasedEvent {
            recipients: erased.recipients.iter().map(|ordinal| recipient_name(id, *ordinal)).collect(),
            acceptances: erased.acceptances.iter().map(|acceptance| acceptance_name(id, *acceptance)).collect(),
        }),
        Payload::Autojoin(autojoin) => Shown::Autojoin(pb::AutojoinUpdatedEvent {
            added_domains: autojoin.added.clone(),
            removed_domains: autojoin.removed.clone(),
        }),
        Payload::Delivery(delivery) => Shown::Delivery(pb::DeliveryEvent {
            delivery: delivery_name(id, delivery.delivery),
            recipient: recipient(delivery.recipient),
            purpose: delivery.purpose.known().map(purpose).unwrap_or_default().into(),
            detail: delivery.detail.clone().unwrap_or_default(),
        }),
        Payload::Suppression(suppression) => Shown::Suppression(pb::SuppressionCreatedEvent {
            suppression: suppression_name(suppression.suppression),
            reason: suppression.cause.known().map(reason).unwrap_or_default().into(),
            source_delivery: suppression.delivery.map(|delivery| delivery_name(id, delivery)).unwrap_or_default(),
            recipient: recipient(suppression.recipient),
        }),
    }
}

fn accepted(id: InvitationId, accepted: &AcceptedPayload) -> pb::InvitationAcceptedEvent {
    pb::InvitationAcceptedEvent {
        acceptance: acceptance_name(id, accepted.acceptance),
        subject: accepted.subject.clone(),
        roles: accepted.roles.clone(),
        groups: accepted.groups.iter().map(scope).collect(),
        use_count: count(accepted.use_count),
        recipient: accepted.recipient.map(|ordinal| recipient_name(id, ordinal)).unwrap_or_default(),
        guest_organization_id: text(accepted.guest_organization_id),
        connection_id: text(accepted.connection_id),
        grant_expire_time: accepted.grant_expire_at.map(timestamp),
    }
}

fn acceptance(id: InvitationId, changed: &AcceptancePayload) -> pb::AcceptanceEvent {
    pb::AcceptanceEvent {
        acceptance: acceptance_name(id, changed.acceptance),
        subject: changed.subject.clone(),
        roles: changed.roles.clone(),
        groups: changed.groups.iter().map(scope).collect(),
        use_count: count(changed.use_count),
        recipient: changed.recipient.map(|ordinal| recipient_name(id, ordinal)).unwrap_or_default(),
        guest_organization_id: text(changed.guest_organization_id),
        connection_id: text(changed.connection_id),
        reason: changed.reason.clone().unwrap_or_default(),
        grant_expire_time: changed.grant_expire_at.map(timestamp),
        old_grant_expire_time: changed.old_grant_expire_at.map(timestamp),
    }
}

fn updated(id: InvitationId, updated: &UpdatedPayload) -> pb::InvitationUpdatedEvent {
    pb::InvitationUpdatedEvent {
        fields: updated.fields.clone(),
        expire_time: updated.expire_at.map(timestamp),
        created_connection: text(updated.created_connection),
        acceptance: updated.acceptance.map(|acceptance| acceptance_name(id, acceptance)).unwrap_or_default(),
        deleted: updated.deleted,
        changes: updated.changes.iter().chain(&updated.words).map(field_change).collect(),
        added_recipients: updated.added.iter().map(|ordinal| recipient_name(id, *ordinal)).collect(),
        removed_recipients: updated.removed.iter().map(|ordinal| recipient_name(id, *ordinal)).collect(),
        mailed_count: count(updated.mailed_count),
    }
}

fn field_change(change: &FieldChange) -> pb::FieldChange {
    let value = |value: &serde_json::Value| Some(value).filter(|value| !value.is_null()).map(json_value);
    pb::FieldChange { field: change.field.clone(), old_value: value(&change.old), new_value: value(&change.new) }
}

fn text(id: Option<Uuid>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}
