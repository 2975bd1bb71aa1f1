//! The recipients of one invitation or of all, one by its name or in pages, each with their own link.

use super::convert::target_type;
use crate::api::convert::timestamp;
use crate::api::deliveries::convert::state as delivery_state;
use crate::api::execute::{Api, Call, note_invitation};
use crate::api::parse::filter;
use crate::api::parse::invitation_filter::time_range;
use crate::api::parse::page;
use crate::api::parse::violations::Violations;
use crate::api::resource::{Parent, parse_recipient, recipient_name};
use crate::domain::invitation::recipient::{Recipient, RecipientState};
use crate::domain::value::rule::FieldRule;
use crate::pb;
use crate::server::status;
use crate::store::{AccountRecipients, Cursor, ListedRecipient, RecipientQuery};
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

/// The most recipients of a page over all invitations, which may each have a thousand of them.
const MAX_OF_ALL: usize = 250;

/// Lists the recipients of an invitation, or of all.
pub(super) async fn list_recipients(
    api: &Api,
    call: &Call,
    message: &pb::ListRecipientsRequest,
    mut violations: Violations,
) -> Result<pb::ListRecipientsResponse, Status> {
    let parent = violations.required("parent", &message.parent, Parent::parse);
    let states = filter::recipient_states(&mut violations, &message.states);
    let created = time_range(&mut violations, "create_time", message.create_time.as_ref());
    if message.create_time.is_some() && parent.is_some_and(|parent| !parent.is_all()) {
        violations.add("create_time", FieldRule::Conflicts, "must be unset for one invitation: it needs invitations/-");
    }
    let of_all = parent.is_some_and(Parent::is_all);
    let order = if of_all { "create_time" } else { "ordinal" };
    let asked = page::asked(api, call, message, order, &mut violations);
    let asked = if of_all { asked } else { asked.ascending_by_default(message) };
    let parent = violations.finish(parent)?;
    let reach = api.reach(call).await?;
    let context = (api, call, message);
    let show = |row: &_| Ok(recipient(api, call, row));
    let (recipients, next_page_token) = match parent {
        Parent::All => {
            let asked = page::Asked { size: asked.size.min(MAX_OF_ALL), ..asked };
            let size = asked.size;
            let query = AccountRecipients { states, created, page: asked.account_page() };
            let found = api.read_lagging(|reads| reads.list_account_recipients(&reach, &query)).await?;
            page::show_account(context, &found, size, show)?
        }
        Parent::One(name) => {
            let (invitation, kind) = name.id_and_kind();
            let (size, ascending) = (asked.size, asked.ascending);
            let of_invitation = RecipientQuery::of(invitation, asked.limit());
            let query = RecipientQuery { kind, states, ascending, after: asked.after, ..of_invitation };
            let found = api.find_lagging(Option::is_some, |reads| reads.list_recipients(&reach, &query)).await?;
            let rows = found.ok_or_else(status::not_found)?;
            note_invitation(invitation);
            let cursor_of = |row: &ListedRecipient| Cursor::of_ordinal(row.recipient.ordinal);
            page::show(context, (&rows, None), size, cursor_of, show)?
        }
    };
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
