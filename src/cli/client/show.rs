//! `show`: one invitation with everything that belongs to it.

use clap::Args;
use prost_reflect::DynamicMessage;
use serde_json::json;

use super::failure::Failure;
use super::flags::invitation;
use super::output::{Columns, redact};
use super::{Run, Session};

const RECIPIENTS: &Columns = &[
    ("RECIPIENT", "value"),
    ("TYPE", "type"),
    ("STATE", "state"),
    ("ANSWERED", "answer_time"),
    ("LAST MESSAGE", "last_delivery_state"),
];
const ACCEPTANCES: &Columns = &[
    ("SUBJECT", "subject"),
    ("EMAIL", "email"),
    ("BY", "accepted_by"),
    ("ROLES", "roles"),
    ("ACCEPTED", "accept_time"),
];
const EVENTS: &Columns =
    &[("TIME", "time"), ("EVENT", "type"), ("STATE", "state"), ("ACTOR", "actor"), ("DETAILS", "payload")];
const DELIVERIES: &Columns = &[
    ("CREATED", "create_time"),
    ("ADDRESS", "address"),
    ("PURPOSE", "purpose"),
    ("STATE", "state"),
    ("ATTEMPTS", "attempts"),
    ("SENT", "send_time"),
    ("LAST ERROR", "last_error"),
];

/// A part of an invitation: the title of its table, the field in the document, the method and its order, and the columns.
type Part = (&'static str, &'static str, &'static str, &'static str, &'static Columns);

const PARTS: [Part; 4] = [
    ("RECIPIENTS", "recipients", "InvitationService.ListRecipients", "", RECIPIENTS),
    ("ACCEPTANCES", "acceptances", "InvitationService.ListAcceptances", "accept_time desc", ACCEPTANCES),
    ("EVENTS", "events", "EventService.ListEvents", "sequence desc", EVENTS),
    ("DELIVERIES", "deliveries", "DeliveryService.ListDeliveries", "create_time desc", DELIVERIES),
];

/// The flags of `show`.
#[derive(Clone, Debug, Args)]
pub struct ShowArgs {
    /// Id or name of the invitation.
    #[arg(value_name = "INVITATION", value_parser = invitation)]
    name: String,
    /// Number of recipients, acceptances, events and deliveries to show of each; the newest of them.
    #[arg(long, value_name = "NUMBER", default_value_t = 200)]
    limit: usize,
}

impl Run for ShowArgs {
    async fn run(self, session: &mut Session) -> Result<(), Failure> {
        let Self { name, limit } = self;
        let mut invitation = session.client.call("InvitationService.GetInvitation", json!({"name": name})).await?;
        // They have a table of their own.
        invitation.clear_field_by_name("acceptances");
        let mut parts = Vec::new();
        for part in PARTS {
            parts.push((part, list(session, &name, part, limit).await?));
        }
        if session.output.is_json() {
            redact(&mut invitation);
            let mut document = serde_json::Map::new();
            document.insert("invitation".to_owned(), to_json(&invitation)?);
            for ((_, field, ..), (messages, _)) in parts {
                document.insert(field.to_owned(), messages.iter().map(to_json).collect::<Result<_, _>>()?);
            }
            return session.output.json(&document);
        }
        session.output.record(invitation, false)?;
        for ((title, _, _, _, columns), (messages, is_cut)) in parts {
            let title =
                if is_cut { format!("{title} (the newest {limit}; --limit shows more)") } else { title.to_owned() };
            session.output.section(&title, columns, messages)?;
        }
        Ok(())
    }
}

/// Returns a part from its oldest to its newest, and whether there are older ones.
async fn list(
    session: &Session,
    parent: &str,
    (_, _, method, order, _): Part,
    limit: usize,
) -> Result<(Vec<DynamicMessage>, bool), Failure> {
    let request = json!({"parent": parent, "order_by": order});
    let mut messages = session.collect(method, request, limit.saturating_add(1)).await?;
    let is_cut = messages.len() > limit;
    messages.truncate(limit);
    if order.ends_with("desc") {
        messages.reverse();
    }
    messages.iter_mut().for_each(redact);
    Ok((messages, is_cut))
}

fn to_json(message: &DynamicMessage) -> Result<serde_json::Value, Failure> {
    serde_json::to_value(message).map_err(|error| Failure::failed(error.to_string()))
}
