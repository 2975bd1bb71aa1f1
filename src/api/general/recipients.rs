//! The recipients of an invitation, one by its name or in pages, each with their own link.

use super::convert::target_type;
use crate::api::convert::timestamp;
use crate::api::deliveries::convert::state as delivery_state;
use crate::api::execute::{Api, Call, note_invitation};
use crate::api::parse::filter;
use crate::api::parse::page;
use crate::api::parse::violations::Violations;
use crate::api::resource::{InvitationName, parse_recipient, recipient_name};
use crate::domain::invitation::recipient::{Recipient, RecipientState};
use crate::pb;
use crate::server::status;
use crate::store::{Cursor, ListedRecipient, RecipientQuery};
use tonic::Status;

/// Returns a recipient.
pub(super) async fn get_recipient(
    api: &Api,
    call: &Call,
    message: &pb::GetRecipientRequest,
    mut violations: Violations,
) -> Result<pb::Recipient, Status> {
    let name = violations.required("name", &message.name, parse_recipient);
    let (invitation, ordinal) = violations.finish(name)?;
    let not_found = || status::recipient_not_found(&message.name);
    let reach = api.reach(call).await?;
    let query = RecipientQuery { ordinal: Some(ordinal), ..RecipientQuery::of(invitation, 1) };
    let is_found = |found: &Option<Vec<_>>| found.as_ref().is_some_and(|rows| !rows.is_empty());
    let found = api.find_lagging(is_found, |reads| reads.list_recipients(&reach, &query)).await?;
    let found = found.and_then(|mut rows| rows.pop()).ok_or_else(not_found)?;
    note_invitation(invitation);
    Ok(recipient(api, call, &found))
}

/// Lists the recipients of an invitation.
pub(super) async fn list_recipients(
    api: &Api,
    call: &Call,
    message: &pb::ListRecipientsRequest,
    mut violations: Violations,
) -> Result<pb::ListRecipientsResponse, Status> {
    let asked = page::asked(api, call, message, "ordinal", &mut violations).ascending_by_default(message);
    let parent = violations.required("parent", &message.parent, InvitationName::parse);
    let states = filter::recipient_states(&mut violations, &message.states);
    let (invitation, kind) = violations.finish(parent)?.id_and_kind();
    let reach = api.reach(call).await?;
    let (size, limit) = (asked.size, asked.limit());
    let of_invitation = RecipientQuery::of(invitation, limit);
    let query = RecipientQuery { kind, states, ascending: asked.ascending, after: asked.after, ..of_invitation };
    let found = api.find_lagging(Option::is_some, |reads| reads.list_recipients(&reach, &query)).await?;
    let rows = found.ok_or_else(status::not_found)?;
    note_invitation(invitation);
    let cursor_of = |row: &ListedRecipient| Cursor::of_ordinal(row.recipient.ordinal);
    let show = |row: &_| Ok(recipient(api, call, row));
    let (recipients, next_page_token) = page::show((api, call, message), (&rows, None), size, cursor_of, show)?;
    Ok(pb::ListRecipientsResponse { recipients, next_page_token })
}

fn recipient(api: &Api, call: &Call, row: &ListedRecipient) -> pb::Recipient {
    let ListedRecipient { recipient, kind, host, link, last_delivery } = row;
    let (token_visibility, (invitation_token, invitation_uri)) = api.link(*kind, link, call.sees_tokens_of(*host));
    let Recipient { ordinal, address, display_name, avatar_uri, existing_user, accepted_at, declined_at } = recipient;
    pb::Recipient {
        name: recipient_name(link.invitation, *ordinal),
        r#type: target_type(address.address_type()).into(),
        value: address.original().to_owned(),
        display_name: display_name.clone().unwrap_or_default(),
        avatar_uri: avatar_uri.clone().unwrap_or_default(),
        state: state(recipient.state()).into(),
        answer_time: accepted_at.or(*declined_at).map(timestamp),
        last_delivery_state: last_delivery.map(delivery_state).unwrap_or_default().into(),
        existing_user: *existing_user,
        invitation_token,
        invitation_uri,
        token_visibility: token_visibility.into(),
    }
}

fn state(state: RecipientState) -> pb::RecipientState {
    match state {
        RecipientState::Open => pb::RecipientState::Open,
        RecipientState::Accepted => pb::RecipientState::Accepted,
        RecipientState::Declined => pb::RecipientState::Declined,
        RecipientState::Removed => pb::RecipientState::Removed,
    }
}
