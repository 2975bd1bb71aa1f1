//! What may be shown to whoever holds a link.

use super::{count, kind, prefill, state, timestamp};
use crate::domain::details::Details;
use crate::domain::invitation::Invitation;
use crate::domain::time::Timestamp;
use crate::domain::token::Claims;
use crate::pb;

/// A page needs a few addresses to jog a memory, not the list of all who were invited.
const MAX_MASKED: usize = 10;

/// Converts an invitation as one of its links shows it.
pub(in crate::grpc) fn preview(invitation: &Invitation, link: &Claims, now: Timestamp) -> pb::InvitationPreview {
    let Details::Connection(details) = &invitation.details;
    let recipient = invitation.recipient(link.recipient);
    let masked = invitation.recipients.iter().take(MAX_MASKED).map(|recipient| recipient.email.masked());
    let (_, connection_id) = prefill::purpose(details);
    pb::InvitationPreview {
        kind: kind(invitation.details.kind()),
        state: state(invitation.state_at(now)),
        host: Some(pb::invitation_preview::Host::CompanyId(details.company_id.to_string())),
        connection_id,
        expire_time: invitation.facts.expire_at.map(timestamp),
        remaining_uses: invitation.facts.remaining_uses().map(count),
        email_required: invitation.is_bound() && recipient.is_none(),
        masked_emails: masked.collect(),
        recipient_email: recipient.map(|recipient| recipient.email.original().to_owned()).unwrap_or_default(),
        prefill: prefill::prefill_of(details),
    }
}
