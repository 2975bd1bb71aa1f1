//! Makes an invitation of any kind.

use super::revoke::revoked;
use super::{Command, CreateInvitation, OnConflict};
use crate::domain::decide::{Change, Changes, Context, Decided, Maker};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::event::EventType;
use crate::domain::invitation::recipient::Recipient;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::slot_plan::Claim;
use crate::domain::invitation::state::Facts;
use crate::domain::invitation::unknown_fields::UnknownFields;
use crate::domain::invitation::{Engagement, Invitation};
use crate::domain::kind::Kind;
use crate::domain::value::id::InvitationId;

pub(in crate::domain) fn decide(
    loaded: &Loaded,
    command: &Command,
    create: &CreateInvitation,
    context: &Context,
) -> Result<Decided, Refusal> {
    let mut maker = Maker::new(loaded, command);
    let mut invitation = new_invitation(&mut maker, create, context)?;
    let Claim { slots, mut rivals, .. } = Claim::of(loaded, &invitation).readable(&invitation)?;
    let open_search = create.open_search();
    let open = open_search.iter().flat_map(|open_search| loaded.open_search(&command.account, open_search));
    rivals.extend(open.map(|open| open.id));
    rivals.sort();
    rivals.dedup();
    if let Some(newest) = rivals.last() {
        match create.on_conflict {
            OnConflict::ReturnExisting => return Ok(Decided::unchanged(*newest)),
            OnConflict::Replace => {}
            OnConflict::Allow | OnConflict::Reject => {
                return Err(Refusal::InvitationExists(*newest, create.details.kind()));
            }
        }
    }

    let mut deliveries = maker.deliveries(&invitation);
    invitation.sent(deliveries.len(), loaded.now);
    let data = [("recipients", invitation.recipients.len().into()), ("mailed", deliveries.len().into())];
    let mut events = vec![maker.event(&invitation, EventType::Created, data)];
    let schedule = context.reminders.of(invitation.details.kind());
    deliveries.extend(maker.reminders(&invitation, &schedule.for_new(invitation.facts.expire_at, loaded.now)));
    let id = invitation.id;
    let mut invitations = vec![Change::Create(invitation)];
    for rival in rivals {
        let rival = revoked(&mut maker, loaded.invitation(&command.account, rival)?);
        events.push(rival.1);
        invitations.push(rival.0);
    }
    Ok(Decided::changed(id, Changes { invitations, slots, events, deliveries, ..Changes::default() }))
}

/// Returns a new invitation that nothing has happened to.
pub(in crate::domain) fn new_invitation(
    maker: &mut Maker<'_>,
    create: &CreateInvitation,
    context: &Context,
) -> Result<Invitation, Refusal> {
    let (now, actor) = (maker.loaded.now, &maker.command.actor);
    let expire_at = create.expiry.map(|expiry| expiry.at(now)).transpose()?;
    let recipients = (1..).zip(&create.recipients).map(|(ordinal, new)| Recipient::new(ordinal, new.clone()));
    Ok(Invitation {
        id: InvitationId(maker.id()),
        account: maker.command.account.clone(),
        details: create.details.clone(),
        unknown: UnknownFields::default(),
        facts: Facts::new(create.max_uses, expire_at),
        revision: 1,
        generation: 0,
        key_id: context.signing_key,
        mails: create.mails,
        recipients: recipients.collect(),
        labels: create.labels.clone(),
        creator: actor.clone(),
        updater: actor.clone(),
        archived_at: None,
        deleted_at: None,
        expiry_told_at: None,
        // Nobody but the host sees a guest invitation before it is sent, mailed or not.
        first_sent_at: (create.details.kind() == Kind::Guest).then_some(now),
        last_sent_at: (create.details.kind() == Kind::Guest).then_some(now),
        created_at: now,
        updated_at: now,
        engagement: Engagement::default(),
        deliveries: 0,
        latest_delivery: None,
        acceptances: Vec::new(),
    })
}
