//! The export of a person's data: for each invitation the parts that are the person's, as JSON.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tonic::Status;

use super::required_email;
use crate::api::execute::{Api, Call};
use crate::api::parse::page;
use crate::api::parse::violations::Violations;
use crate::api::resource::{acceptance_name, delivery_name, invitation_name, recipient_name, suppression_name};
use crate::domain::delivery::Delivery;
use crate::domain::erasure::{is_by, is_for_nobody_else, recipients_of};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::Acceptance;
use crate::domain::invitation::event::{Event, Payload};
use crate::domain::invitation::state::State;
use crate::domain::reach::Reach;
use crate::domain::value::given_email::GivenEmail;
use crate::domain::value::id::{AcceptanceId, InvitationId};
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::pb;
use crate::store::{Cursor, Reads};

/// The most invitations of a page: each takes several reads.
const MAX_INVITATIONS: usize = 100;
/// The most bytes of the invitations of a page.
const MAX_BYTES: usize = 1024 * 1024;

/// Returns a page of the data of a person.
pub(super) async fn export(
    api: &Api,
    call: &Call,
    message: &pb::ExportRecipientRequest,
    mut violations: Violations,
) -> Result<pb::ExportRecipientResponse, Status> {
    let email = required_email(&mut violations, &message.email);
    let asked = page::asked(api, call, message, "create_time", &mut violations);
    let asked = page::Asked { size: asked.size.min(MAX_INVITATIONS), ..asked };
    let email = violations.finish(email)?;
    let reach = api.reach(call).await?;
    let (account, address) = (&call.caller.account, email.search_key());
    let after = asked.after.as_ref().map(|cursor| cursor.id);
    // An export shows what is stored now, and not what a standby has.
    let reads = api.store.primary();
    let ids = reads.person_invitations(account, &address, (after, asked.ascending, asked.limit()));
    let ids = api.read(ids).await?;
    let mut rows = Vec::new();
    let mut bytes = 0;
    for id in &ids {
        let document = match record(api, reads, &reach, *id, &email).await? {
            Some(document) => document.to_string(),
            None => String::new(),
        };
        bytes += document.len();
        rows.push((*id, document));
        if bytes > MAX_BYTES {
            break;
        }
    }
    let goes_on = rows.last().filter(|_| rows.len() < ids.len()).map(|(id, _)| Cursor::of_id(id.0));
    let cursor_of = |(id, _): &(InvitationId, String)| Cursor::of_id(id.0);
    let show = |(_, document): &(InvitationId, String)| Ok(document.clone());
    let page = page::show((api, call, message), (&rows, goes_on), asked.size, cursor_of, show)?;
    let (invitations, next_page_token): (Vec<String>, String) = page;
    // The first page has it.
    let suppression = if after.is_none() { suppression(api, reads, account, &address).await? } else { None };
    // Nothing is stored, so there is nothing to show.
    if invitations.iter().all(String::is_empty) && suppression.is_none() {
        return Ok(pb::ExportRecipientResponse { document: String::new(), next_page_token });
    }
    let document = format!(
        "{{\"account\":{},\"email\":{},\"export_time\":{},{}\"invitations\":[{}]}}",
        json!(account.as_str()),
        json!(email.original()),
        json!(api.clock.now().to_string()),
        suppression.map(|known| format!("\"suppression\":{known},")).unwrap_or_default(),
        invitations.into_iter().filter(|document| !document.is_empty()).collect::<Vec<_>>().join(","),
    );
    Ok(pb::ExportRecipientResponse { document, next_page_token })
}

/// Returns the suppression of the person's address. One from before an erasure has nothing of the person.
async fn suppression(api: &Api, reads: &Reads, account: &AccountId, address: &str) -> Result<Option<Value>, Status> {
    let found = api.read(reads.find_suppression(account, &[address.to_owned()])).await?;
    Ok(found.map(|known| {
        json!({
            "name": suppression_name(known.id),
            "reason": known.reason.code(),
            "source_delivery": known.source.map(|(invitation, delivery)| delivery_name(invitation, delivery)),
            "create_time": known.created_at.to_string(),
        })
    }))
}

/// Returns what an invitation has of a person; `None` if it was deleted or erased meanwhile.
async fn record(
    api: &Api,
    reads: &Reads,
    reach: &Reach,
    id: InvitationId,
    email: &GivenEmail,
) -> Result<Option<Value>, Status> {
    let Some(read) = api.read(reads.get_invitation(reach, id, false)).await? else { return Ok(None) };
    let (invitation, account) = (&read.found, reach.account());
    let recipients = recipients_of(invitation, email);
    let address = email.search_key();
    let mut acceptances = api.read(reads.person_acceptances(account, id, (&address, &recipients))).await?;
    acceptances.retain(|acceptance| is_by(acceptance, invitation, &recipients, email));
    if recipients.is_empty() && acceptances.is_empty() {
        return Ok(None);
    }
    let accepted: BTreeSet<AcceptanceId> = acceptances.iter().map(|acceptance| acceptance.id).collect();
    let is_theirs = is_for_nobody_else(invitation, &recipients);
    let messages = api.read(reads.person_messages(account, id, &recipients)).await?;
    let events = api.read(reads.person_events(account, id, (&recipients, &accepted, is_theirs))).await?;
    let mut document = invitation_json(invitation, read.now);
    document["recipients"] = recipients_json(invitation, &recipients);
    document["acceptances"] = acceptances.iter().map(acceptance_json).collect();
    document["messages"] = messages.iter().map(message_json).collect();
    document["events"] = events.iter().filter(|event| !is_of_another(event, &accepted)).map(event_json).collect();
    if is_theirs {
        document["words"] = words_json(invitation);
    }
    Ok(Some(document))
}

/// Returns whether an event is about the acceptance of somebody else.
fn is_of_another(event: &Event, accepted: &BTreeSet<AcceptanceId>) -> bool {
    let about = match &event.event.payload {
        Some(Payload::Accepted(accepted)) => accepted.acceptance,
        Some(Payload::Acceptance(changed)) => changed.acceptance,
        _ => return false,
    };
    !accepted.contains(&about)
}

/// Returns the part of an invitation that is no person's.
fn invitation_json(invitation: &Invitation, now: Timestamp) -> Value {
    let scope = invitation.details.scope(&invitation.account);
    json!({
        "name": invitation_name(invitation.id),
        "kind": invitation.details.kind().code(),
        "state": invitation.state_at(now).code(),
        "scope": scope.map(|scope| json!({"type": scope.scope_type, "id": scope.id})),
        "roles": invitation.details.roles(),
        "create_time": time(Some(invitation.created_at)),
        "expire_time": time(invitation.facts.expire_at),
        "revoke_time": time(invitation.facts.revoked_at),
    })
}

/// Returns the words and the data that the caller stored with an invitation to the person alone.
fn words_json(invitation: &Invitation) -> Value {
    let shared = invitation.details.shared();
    let caller_data = invitation.details.general().map(|details| &details.caller_data);
    let parsed = |json: Option<&String>| json.and_then(|json| serde_json::from_str::<Value>(json).ok());
    json!({
        "message": shared.message,
        "locale": shared.locale,
        "redirect_uri": shared.redirect_uri,
        "metadata": parsed(shared.metadata.as_ref()),
        "labels": invitation.labels,
        "attributes": parsed(caller_data.and_then(|data| data.attributes.as_ref())),
        "configuration_attributes": parsed(caller_data.and_then(|data| data.configuration_attributes.as_ref())),
        "template_variables": caller_data.map(|data| &data.template_variables),
        "pass_through": caller_data.and_then(|data| data.pass_through.as_ref()),
    })
}

fn recipients_json(invitation: &Invitation, recipients: &BTreeSet<u16>) -> Value {
    let theirs = invitation.recipients.iter().filter(|recipient| recipients.contains(&recipient.ordinal));
    let shown = theirs.map(|recipient| {
        json!({
            "name": recipient_name(invitation.id, recipient.ordinal),
            "type": recipient.address.address_type().code(),
            "value": recipient.address.original(),
            "display_name": recipient.display_name,
            "avatar_uri": recipient.avatar_uri,
            "existing_user": recipient.existing_user,
            "accept_time": time(recipient.accepted_at),
            "decline_time": time(recipient.declined_at),
        })
    });
    shown.collect()
}

fn acceptance_json(acceptance: &Acceptance) -> Value {
    json!({
        "name": acceptance_name(acceptance.invitation, acceptance.id),
        "subject": acceptance.subject.0,
        "email": acceptance.email.as_ref().map(GivenEmail::original),
        "phone": acceptance.phone,
        "display_name": acceptance.display_name,
        "existing_user": acceptance.existing_user,
        "accept_time": time(Some(acceptance.accepted_at)),
        "grant_expire_time": time(acceptance.grant_expire_at),
        "release_time": time(acceptance.release.map(|release| release.at)),
        "roles": acceptance.roles,
        "guest_organization_id": acceptance.guest_organization_id,
        "created_connection": acceptance.created_connection.as_ref().map(|created| json!(created.connection)),
    })
}

fn message_json(message: &Delivery) -> Value {
    let about = &message.message;
    json!({
        "name": delivery_name(about.invitation, about.id),
        "purpose": about.purpose.code(),
        "state": message.state.code(),
        "create_time": time(Some(about.created_at)),
        "send_time": time(message.sent_at),
        "last_error": message.last_error,
    })
}

/// Returns an event without the actor and the request_id, which are the caller's.
fn event_json(event: &Event) -> Value {
    json!({
        "name": crate::api::events::convert::event_name(event.event.invitation, event.sequence),
        "type": event.event.type_name(),
        "time": time(Some(event.event.time)),
        "state": event.event.state.text(State::code),
        "payload": event.event.payload.as_ref().map(Payload::json),
    })
}

fn time(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}
