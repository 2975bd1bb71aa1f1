//! Sets the domains whose addresses join a scope: creates the scope's auto-join, updates it, empties it or restores it.

#[cfg(test)]
mod tests;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::create::{created, new_invitation};
use super::{Command, CommandRules, CreateInvitation, OnConflict, ReadSet, text_bytes};
use crate::domain::decide::{Change, Changes, Context, Decided, DomainChange, Maker};
use crate::domain::delivery::reminder::Schedules;
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::event::payload::AutojoinPayload;
use crate::domain::invitation::event::{EventType, Payload};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::slot::SlotKey;
use crate::domain::invitation::slot_plan::SlotPlan;
use crate::domain::kind::general::{CallerData, GeneralDetails, RecipientMatch, Usage};
use crate::domain::kind::shared::SharedDetails;
use crate::domain::kind::{Details, Scope};

/// Sets the domains whose addresses join a scope by themselves.
#[derive(Clone, Debug)]
pub struct SyncAutojoin {
    /// The scope.
    pub scope: Scope,
    /// All domains of the auto-join, in ASCII and distinct.
    pub domains: Vec<String>,
    /// The widget that it is created with.
    pub widget_configuration_id: Option<String>,
    /// A JSON object that is kept for its creator.
    pub metadata: Option<String>,
    /// The etag that the present auto-join must have.
    pub etag: Option<String>,
}

impl CommandRules for SyncAutojoin {
    fn read_set(&self) -> ReadSet {
        ReadSet { slots: vec![SlotKey::autojoin(&self.scope)], ..ReadSet::default() }
    }

    fn weight(&self, _reminders: &Schedules) -> usize {
        4 + self.domains.len()
    }

    fn bytes(&self) -> usize {
        text_bytes(self.domains.iter().chain(&self.metadata))
    }

    fn decide(&self, loaded: &Loaded, command: &Command, context: &Context) -> Result<Decided, Refusal> {
        let mut maker = Maker::new(loaded, command);
        let held = loaded.slot(command.account(), &SlotKey::autojoin(&self.scope));
        let present = held.and_then(|slot| loaded.invitation(command.account(), slot.invitation).ok());
        // A revoked auto-join stays revoked: the scope gets a new one.
        let Some(present) = present.filter(|present| present.facts.revoked_at.is_none()) else {
            // The caller has seen an auto-join that is no longer there.
            if self.etag.is_some() {
                return Err(Refusal::EtagMismatch);
            }
            // The request has no domain, and there is no auto-join to empty.
            return if self.domains.is_empty() {
                Err(Refusal::InvitationNotFound)
            } else {
                make(&mut maker, self, context)
            };
        };
        present.check_etag(self.etag.as_deref())?;
        change(&mut maker, present, self)
    }

    fn may_open(&self) -> bool {
        true
    }
}

fn make(maker: &mut Maker<'_>, sync: &SyncAutojoin, context: &Context) -> Result<Decided, Refusal> {
    let details = GeneralDetails {
        usage: Usage::Autojoin,
        scope: Some(sync.scope.clone()),
        explicit_scope: true,
        groups: Vec::new(),
        roles: Vec::new(),
        exclusive: true,
        recipient_match: RecipientMatch::Domain,
        domains: sync.domains.clone(),
        caller_data: CallerData {
            widget_configuration_id: sync.widget_configuration_id.clone(),
            ..CallerData::default()
        },
        shared: SharedDetails { metadata: sync.metadata.clone(), ..SharedDetails::default() },
    };
    let create = CreateInvitation {
        details: Details::General(Box::new(details)),
        max_uses: None,
        expiry: None,
        recipients: Vec::new(),
        mails: false,
        labels: BTreeMap::new(),
        on_conflict: OnConflict::Reject,
    };
    let invitation = new_invitation(maker, &create, context)?;
    let slots = SlotPlan::of(maker.loaded, &invitation).unrivalled(&invitation)?;
    let domains = sync.domains.iter().map(|domain| (domain, true));
    let domains =
        domains.map(|(domain, joins)| DomainChange { invitation: invitation.id, domain: domain.clone(), joins });
    let domains: Vec<_> = domains.collect();
    let payload = AutojoinPayload { added: sync.domains.clone(), removed: Vec::new() };
    let events = vec![
        created(maker, &invitation, 0),
        maker.event(&invitation, EventType::AutojoinUpdated, Payload::Autojoin(payload)),
    ];
    let id = invitation.id;
    let invitations = vec![Change::Create(invitation)];
    Ok(Decided::changed(id, Changes { invitations, slots, domains, events, ..Changes::default() }))
}

fn change(maker: &mut Maker<'_>, present: &Arc<Invitation>, sync: &SyncAutojoin) -> Result<Decided, Refusal> {
    let id = present.id;
    let mut invitation = maker.touched(present);
    let Details::General(details) = &mut invitation.details else { return Err(Refusal::InvitationNotFound) };
    let missing_from = |of: &[String], there: &[String]| -> Vec<String> {
        there.iter().filter(|domain| !of.contains(domain)).cloned().collect()
    };
    let (added, removed) =
        (missing_from(&details.domains, &sync.domains), missing_from(&sync.domains, &details.domains));
    let before = details.clone();
    // The domains are a set: another order of the same domains is no change.
    if !added.is_empty() || !removed.is_empty() {
        details.domains.clone_from(&sync.domains);
    }
    details.scope = Some(sync.scope.clone());
    details.caller_data.widget_configuration_id.clone_from(&sync.widget_configuration_id);
    details.shared.metadata.clone_from(&sync.metadata);
    if *details == before {
        return Ok(Decided::unchanged(id));
    }
    let emptied_at = invitation.facts.emptied_at.unwrap_or(maker.loaded.now);
    invitation.facts.emptied_at = sync.domains.is_empty().then_some(emptied_at);
    let slots = SlotPlan::of(maker.loaded, &invitation).unrivalled(&invitation)?;
    let changes = [(&added, true), (&removed, false)].into_iter();
    let domains = changes.flat_map(|(domains, joins)| {
        domains.iter().map(move |domain| DomainChange { invitation: id, domain: domain.clone(), joins })
    });
    let domains = domains.collect();
    let payload = AutojoinPayload { added: added.clone(), removed: removed.clone() };
    let events = vec![maker.event(&invitation, EventType::AutojoinUpdated, Payload::Autojoin(payload))];
    let invitations = vec![Change::Update { invitation, unexpired: false }];
    Ok(Decided::changed(id, Changes { invitations, slots, domains, events, ..Changes::default() }))
}
