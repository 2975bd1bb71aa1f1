//! Makes an invitation of any kind.

use super::{Change, Changes, Context, Decided, Maker};
use crate::domain::command::{Command, CreateInvitation};
use crate::domain::event::EventType;
use crate::domain::id::InvitationId;
use crate::domain::invitation::{Engagement, Invitation};
use crate::domain::loaded::Loaded;
use crate::domain::recipient::Recipient;
use crate::domain::refusal::Refusal;
use crate::domain::state::Facts;

pub(super) fn decide(
    loaded: &Loaded,
    command: &Command,
    create: &CreateInvitation,
    context: &Context,
) -> Result<Decided, Refusal> {
    let mut maker = Maker::new(loaded, command);
    let recipients = (1..).zip(&create.recipients).map(|(ordinal, email)| Recipient::new(ordinal, email.clone()));
    let mut invitation = Invitation {
        id: InvitationId(maker.id()),
        account: command.account.clone(),
        details: create.details.clone(),
        facts: Facts::new(create.max_uses, create.ttl.map(|ttl| loaded.now.plus(ttl))),
        revision: 1,
        generation: 0,
        key_id: context.signing_key,
        mails: create.mails,
        recipients: recipients.collect(),
        labels: create.labels.clone(),
        creator: command.actor.clone(),
        created_at: loaded.now,
        updated_at: loaded.now,
        engagement: Engagement::default(),
        deliveries: 0,
        acceptances: Vec::new(),
    };
    let deliveries = maker.deliveries(&invitation);
    invitation.deliveries = u32::try_from(deliveries.len()).unwrap_or(u32::MAX);
    let data = [("recipients", invitation.recipients.len().into()), ("mailed", deliveries.len().into())];
    let events = vec![maker.event(&invitation, EventType::Created, data)];
    let id = invitation.id;
    Ok(Decided::changed(
        id,
        Changes { invitation: Some(Change::Create(invitation)), events, deliveries, ..Changes::default() },
    ))
}
