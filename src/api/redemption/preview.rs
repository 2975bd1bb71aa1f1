//! The preview: the part of an invitation that is shown to every holder of a link of it.

use crate::api::convert::{count, kind, state, timestamp};
use crate::api::kind_fields;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::email_rule::{Binding, binding};
use crate::domain::invitation::recipient::Recipient;
use crate::domain::secret::token::Claims;
use crate::domain::value::email::Email;
use crate::domain::value::time::Timestamp;
use crate::pb;

/// The most addresses in a preview: a page needs a few to remind its reader, not the list of all recipients.
const MAX_MASKED: usize = 10;

/// Converts an invitation to its preview through one of its links.
pub(in crate::api) fn preview(invitation: &Invitation, link: &Claims, now: Timestamp) -> pb::InvitationPreview {
    let mailed_to = invitation.recipient(link.recipient).and_then(Recipient::email);
    let bound = binding(invitation) != Binding::Open;
    let addresses = invitation.recipients.iter().filter_map(Recipient::email).filter(|_| bound);
    let mut preview = pb::InvitationPreview {
        kind: kind(invitation.details.kind()),
        state: state(invitation.state_at(now)),
        expire_time: invitation.facts.expire_at.map(timestamp),
        remaining_uses: invitation.facts.remaining_uses().map(count),
        email_required: bound && mailed_to.is_none(),
        masked_emails: addresses.take(MAX_MASKED).map(Email::masked).collect(),
        recipient_email: mailed_to.map(|email| email.original().to_owned()).unwrap_or_default(),
        roles: invitation.details.roles().to_vec(),
        ..pb::InvitationPreview::default()
    };
    kind_fields(&invitation.details).add_to_preview(&mut preview);
    preview
}
