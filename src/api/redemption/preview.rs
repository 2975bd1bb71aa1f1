//! The preview: the part of an invitation that is shown to every holder of a link of it.

use crate::api::convert::json::json_text;
use crate::api::convert::shared::{scope, shown_inviter};
use crate::api::convert::{count, kind, state, timestamp};
use crate::api::kind_fields;
use crate::api::resource::invitation_name;
use crate::domain::command::is_declinable;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::email_rule::{Binding, binding};
use crate::domain::invitation::recipient::Recipient;
use crate::domain::kind::general::RecipientMatch;
use crate::domain::reach::person::Person;
use crate::domain::secret::token::Claims;
use crate::domain::value::email::Email;
use crate::domain::value::time::Timestamp;
use crate::pb;

/// The most addresses in a preview: a page needs a few to remind its reader, not the list of all recipients.
const MAX_MASKED: usize = 10;

/// Converts an invitation to its preview through one of its links, for a service or for a person.
pub(in crate::api) fn preview(
    invitation: &Invitation,
    link: &Claims,
    person: Option<&Person>,
    now: Timestamp,
) -> pb::InvitationPreview {
    let mailed_to = invitation.recipient(link.recipient).and_then(Recipient::email);
    let bound = binding(invitation) != Binding::Open;
    let addresses = invitation.recipients.iter().filter_map(Recipient::email).filter(|_| bound);
    let shared = invitation.details.shared();
    let mut preview = pb::InvitationPreview {
        invitation: invitation_name(invitation.id),
        kind: kind(invitation.details.kind()),
        state: state(invitation.state_at(now)),
        scope: invitation.details.scope(&invitation.account).as_ref().map(scope),
        groups: invitation.details.groups().iter().map(scope).collect(),
        roles: invitation.details.roles().to_vec(),
        inviter: shared.inviter.as_ref().map(shown_inviter),
        message: shared.message.clone().unwrap_or_default(),
        locale: shared.locale.clone().unwrap_or_default(),
        redirect_uri: redirect_uri(invitation),
        metadata: shared.metadata.as_deref().and_then(json_text),
        expire_time: invitation.facts.expire_at.map(timestamp),
        remaining_uses: invitation.facts.remaining_uses().map(count),
        declinable: is_declinable(invitation, link.recipient, person, now),
        email_required: bound && mailed_to.is_none(),
        masked_emails: addresses.take(MAX_MASKED).map(Email::masked).collect(),
        recipient_email: mailed_to.map(|email| email.original().to_owned()).unwrap_or_default(),
        existing_user: person_of(invitation, link).and_then(|recipient| recipient.existing_user),
        ..pb::InvitationPreview::default()
    };
    kind_fields(&invitation.details).add_to_preview(&mut preview);
    preview
}

/// Returns the address to send a person to after their answer, empty if there is none.
pub(in crate::api) fn redirect_uri(invitation: &Invitation) -> String {
    let redirect = invitation.details.shared().redirect_uri.as_ref();
    redirect.map(|redirect| redirect.as_str().to_owned()).unwrap_or_default()
}

/// Returns the recipient who alone can be expected to have a link: the one it was mailed to, or the only one of an invitation for one
/// use. A link that may be passed on says nothing about a person.
fn person_of<'a>(invitation: &'a Invitation, link: &Claims) -> Option<&'a Recipient> {
    if link.recipient > 0 {
        return invitation.recipient(link.recipient).filter(|recipient| recipient.email().is_some());
    }
    let mut present = invitation.present_recipients();
    let only = present.next().filter(|_| present.next().is_none() && invitation.facts.max_uses == Some(1));
    // Whoever else may accept may have the link too.
    let is_for_others =
        matches!(binding(invitation), Binding::Recipients(RecipientMatch::Any | RecipientMatch::Domain));
    only.filter(|recipient| recipient.address.names_a_person() && !is_for_others)
}
