//! What may be shown to whoever holds a link.

use crate::api::connection::prefill;
use crate::api::convert::json::json_text;
use crate::api::convert::{count, kind, state, timestamp};
use crate::api::general::convert::scope;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::email_rule::{Binding, binding};
use crate::domain::invitation::recipient::Recipient;
use crate::domain::kind::Details;
use crate::domain::secret::token::Claims;
use crate::domain::value::email::Email;
use crate::domain::value::time::Timestamp;
use crate::pb;

/// A page needs a few addresses to jog a memory, not the list of all who were invited.
const MAX_MASKED: usize = 10;

/// Converts an invitation as one of its links shows it.
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
    add_host(invitation, &mut preview);
    preview
}

/// Writes who invites, and into what.
fn add_host(invitation: &Invitation, preview: &mut pb::InvitationPreview) {
    use pb::invitation_preview::Host;
    match &invitation.details {
        Details::Connection(details) => {
            preview.host = Some(Host::CompanyId(details.company_id.to_string()));
            preview.connection_id = prefill::purpose(details).1;
            preview.prefill = prefill::prefill_of(details);
        }
        Details::User(details) => preview.inviter_display_name.clone_from(&details.inviter),
        Details::Guest(details) => {
            preview.host = Some(Host::HostOrganizationId(details.host_organization_id.to_string()));
        }
        Details::General(details) => {
            let inviter = details.inviter.as_ref().and_then(|inviter| inviter.display_name.clone());
            preview.inviter_display_name = inviter.unwrap_or_default();
            let into = details.scope.as_ref();
            preview.scope_display_name = into.and_then(|scope| scope.display_name.clone()).unwrap_or_default();
            preview.host = details.scope.clone().map(|into| Host::Scope(scope(into)));
            preview.metadata = details.kept.metadata.as_deref().and_then(json_text);
        }
    }
}
