//! The erasure of a person's data from one invitation: the parts that identify the person go, states and counts stay.
//!
//! A person is known by an e-mail address. Theirs are the recipients with the address, the acceptances with it, and, where the
//! invitation is meant for one person alone, everything that was written for that person. Nothing is derived from what was
//! erased: the marks that take its place are the same for everybody, or come from ids of this service.

#[cfg(test)]
mod tests;
pub mod tombstone;

use crate::domain::kind::guest::SYSTEM_SUBJECT;
use std::collections::BTreeSet;

use super::invitation::Invitation;
use super::invitation::acceptance::{Acceptance, Subject};
use super::invitation::event::{NewEvent, Payload};
use super::invitation::recipient::{Address, Recipient};
use super::invitation::slot::SlotKey;
use super::invitation::state::State;
use super::invitation::unknown_fields::UnknownFields;
use super::kind::connection::ConnectionPurpose;
use super::kind::general::{CallerData, Usage};
use super::kind::shared::SharedDetails;
use super::kind::{Details, Scope};
use super::value::email::Email;
use super::value::given_email::GivenEmail;
use super::value::id::AcceptanceId;
use super::value::time::Timestamp;

/// The actor in place of a person who acted by a credential of their own.
pub const ERASED_ACTOR: &str = "users/erased";
/// The beginning of the subject in place of a person's; the id of the acceptance follows, so that each is another one.
pub const ERASED_SUBJECT: &str = "erased:";

/// Returns whether a subject is one that the service gives itself, and no caller may name: that of a system or of an erased person.
pub fn is_reserved(subject: &str) -> bool {
    subject.starts_with(SYSTEM_SUBJECT) || subject.starts_with(ERASED_SUBJECT)
}
/// The beginning of the actor of a person.
const PERSON: &str = "users/";
/// The fewest characters of a name that is looked for in other texts: a shorter one is found in too many.
const MIN_NAME: usize = 3;

/// The person's data to take out of the rows beside an invitation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erasure {
    /// The person's acceptances as they are afterwards.
    pub acceptances: Vec<Acceptance>,
    /// The slots whose keys have the address.
    pub slots: Vec<SlotKey>,
    /// The stored rows that lose the person's data.
    pub rows: ErasedRows,
}

/// The events and messages of an invitation that are a person's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErasedRows {
    /// The ordinals of the person's recipients.
    pub recipients: BTreeSet<u16>,
    /// The person's acceptances.
    pub acceptances: BTreeSet<AcceptanceId>,
    /// The actors that are the person.
    pub actors: BTreeSet<String>,
    /// The person's addresses, without case.
    pub addresses: BTreeSet<String>,
    /// Whether all events are about the person, since the invitation is meant for nobody else.
    pub is_whole: bool,
    /// Whether the words of the caller that every event repeats are removed.
    pub drops_words: bool,
}

impl ErasedRows {
    /// Adds the rows of another erasure from the same invitation.
    pub fn add(&mut self, more: Self) {
        let Self { recipients, acceptances, actors, addresses, is_whole, drops_words } = more;
        self.recipients.extend(recipients);
        self.acceptances.extend(acceptances);
        self.actors.extend(actors);
        self.addresses.extend(addresses);
        self.is_whole |= is_whole;
        self.drops_words |= drops_words;
    }

    /// Takes the person's data out of an event, as the save does with stored ones.
    pub fn erase_event(&self, event: &mut NewEvent) {
        if self.drops_words {
            event.pass_through = None;
            event.scope = event.scope.take().map(|scope| Scope { display_name: None, ..scope });
        }
        let is_actor = self.actors.contains(&event.actor);
        let is_recipient = |recipient: Option<u16>| recipient.is_some_and(|ordinal| self.recipients.contains(&ordinal));
        let mut is_mine = self.is_whole || is_actor;
        match &mut event.payload {
            Payload::Accepted(accepted) => {
                let is_person = self.acceptances.contains(&accepted.acceptance);
                is_mine |= is_person || is_recipient(accepted.recipient);
                if is_person {
                    accepted.subject = erased_subject(accepted.acceptance).0;
                }
            }
            Payload::Acceptance(changed) => {
                let is_person = self.acceptances.contains(&changed.acceptance);
                is_mine |= is_person || is_recipient(changed.recipient);
                if is_person {
                    changed.subject = erased_subject(changed.acceptance).0;
                }
                changed.reason = changed.reason.take().filter(|_| !is_mine);
            }
            Payload::Declined(declined) => {
                is_mine |= is_recipient(declined.recipient);
                declined.reason = declined.reason.take().filter(|_| !is_mine);
            }
            Payload::Delivery(delivery) => {
                is_mine |= is_recipient(delivery.recipient);
                delivery.detail = delivery.detail.take().filter(|_| !is_mine);
            }
            // Another person's words may name this one.
            Payload::Updated(updated) => updated.words.clear(),
            Payload::Engagement(engagement) => is_mine |= is_recipient(engagement.recipient),
            Payload::EmailVerified(verified) => is_mine |= is_recipient(verified.recipient),
            Payload::Suppression(suppression) => is_mine |= is_recipient(suppression.recipient),
            Payload::Created(_)
            | Payload::AcceptedElsewhere(_)
            | Payload::Reopened(_)
            | Payload::Revoked(_)
            | Payload::Resent(_)
            | Payload::Archived(_)
            | Payload::Unarchived(_)
            | Payload::Fulfilled(_)
            | Payload::Expired(_)
            | Payload::RecipientErased(_)
            | Payload::Autojoin(_) => {}
        }
        if is_actor {
            ERASED_ACTOR.clone_into(&mut event.actor);
        }
        event.request_id = event.request_id.take().filter(|id| !(is_mine && id.contains('@')));
    }
}

/// Returns the subject in place of the one who made an acceptance.
pub fn erased_subject(acceptance: AcceptanceId) -> Subject {
    Subject(format!("{ERASED_SUBJECT}{}", acceptance.0))
}

/// The invitation without a person's data, and what is to be taken out beside it.
#[derive(Clone, Debug)]
pub(in crate::domain) struct Erased {
    pub(in crate::domain) invitation: Invitation,
    /// Whether it was open to nobody but the person, and is revoked.
    pub(in crate::domain) is_revoked: bool,
    pub(in crate::domain) erasure: Erasure,
}

/// Erases the person with an address from an invitation; `None` if nothing in it is theirs. `acceptances` are those that are known.
pub(in crate::domain) fn erase(
    before: &Invitation,
    acceptances: &[Acceptance],
    email: &GivenEmail,
    now: Timestamp,
) -> Option<Erased> {
    let recipients = recipients_of(before, email);
    let theirs: Vec<_> =
        acceptances.iter().filter(|acceptance| is_by(acceptance, before, &recipients, email)).collect();
    if recipients.is_empty() && theirs.is_empty() {
        return None;
    }
    let person = Person::of(before, &recipients, &theirs, email);
    let mut invitation = before.clone();
    for recipient in invitation.recipients.iter_mut().filter(|recipient| recipients.contains(&recipient.ordinal)) {
        let Recipient { ordinal, accepted_at, declined_at, existing_user, .. } = *recipient;
        let (address, display_name, avatar_uri) = (Address::Erased, None, None);
        *recipient = Recipient { ordinal, address, display_name, avatar_uri, existing_user, accepted_at, declined_at };
    }
    let is_whole = is_for_nobody_else(before, &recipients);
    let drops_words = person.erase_words(&mut invitation, is_whole);
    let actors = person.erase_actors(&mut invitation);
    let labels: Vec<String> =
        before.labels.iter().filter(|label| person.has_label(*label)).map(|(key, _)| key.clone()).collect();
    labels.iter().for_each(|key| drop(invitation.labels.remove(key)));
    let is_revoked = is_whole && matches!(before.state_at(now), State::Active | State::Expired);
    if is_revoked {
        invitation.facts.emptied_at = None;
        invitation.facts.revoked_at = Some(now);
    }
    // The invitation gives up the slots with the address, also those that it took before it was archived.
    let kept = SlotKey::of(&invitation.details, invitation.addresses());
    let taken = SlotKey::of(&before.details, before.addresses());
    let slots = taken.into_iter().filter(|key| !kept.contains(key)).collect();
    let rows = ErasedRows {
        recipients,
        acceptances: theirs.iter().map(|acceptance| acceptance.id).collect(),
        actors,
        addresses: person.addresses,
        is_whole,
        drops_words,
    };
    let acceptances = theirs.into_iter().map(without_person).collect();
    invitation.acceptances.clear();
    Some(Erased { invitation, is_revoked, erasure: Erasure { acceptances, slots, rows } })
}

/// Returns the ordinals of the recipients that are the person with an address.
pub fn recipients_of(invitation: &Invitation, email: &GivenEmail) -> BTreeSet<u16> {
    let key = email.search_key();
    let has_address = |recipient: &Recipient| recipient.email().is_some_and(|own| own.key() == key);
    // The targets of an invitation for a single use are addresses of one person.
    let is_one_person =
        invitation.details.usage() == Some(Usage::SingleUse) && invitation.recipients.iter().any(has_address);
    let is_theirs = |recipient: &&Recipient| !recipient.is_erased() && (is_one_person || has_address(recipient));
    invitation.recipients.iter().filter(is_theirs).map(|recipient| recipient.ordinal).collect()
}

/// Returns whether an invitation is meant for nobody but the person with some of its recipients, apart from those who were erased.
pub fn is_for_nobody_else(invitation: &Invitation, recipients: &BTreeSet<u16>) -> bool {
    let is_for_one = !matches!(invitation.details.usage(), Some(Usage::MultiUse | Usage::Autojoin));
    let is_theirs = |recipient: &Recipient| recipient.is_erased() || recipients.contains(&recipient.ordinal);
    is_for_one
        && !recipients.is_empty()
        && invitation.further_recipients == 0
        && invitation.recipients.iter().all(is_theirs)
}

/// Returns whether an invitation was meant for people of whom nobody is left: whoever it opened for would be somebody else.
pub(in crate::domain) fn is_for_nobody(invitation: &Invitation) -> bool {
    let is_for_one = !matches!(invitation.details.usage(), Some(Usage::MultiUse | Usage::Autojoin));
    is_for_one && !invitation.recipients.is_empty() && invitation.recipients.iter().all(Recipient::is_erased)
}

/// Returns whether an acceptance is the person's: it has the address, or it was made by the person's recipient, and not with the
/// address of somebody else.
pub fn is_by(acceptance: &Acceptance, invitation: &Invitation, recipients: &BTreeSet<u16>, email: &GivenEmail) -> bool {
    let key = acceptance.email.as_ref().map(GivenEmail::search_key);
    if key.as_deref() == Some(&email.search_key()) {
        return true;
    }
    let recipient = acceptance.recipient.filter(|ordinal| recipients.contains(ordinal));
    recipient
        .and_then(|ordinal| invitation.recipient(ordinal))
        .is_some_and(|recipient| key.is_none_or(|key| recipient.email().is_some_and(|own| own.key() == key)))
}

/// Returns an acceptance without the person: that it was made, when, and the roles that it gave.
fn without_person(acceptance: &Acceptance) -> Acceptance {
    Acceptance {
        revision: acceptance.revision + 1,
        subject: erased_subject(acceptance.id),
        email: None,
        phone: None,
        display_name: None,
        unknown: UnknownFields::default(),
        ..acceptance.clone()
    }
}

/// The texts that a person is known by in one invitation.
struct Person {
    addresses: BTreeSet<String>,
    names: BTreeSet<String>,
    subjects: BTreeSet<String>,
}

impl Person {
    fn of(
        invitation: &Invitation,
        recipients: &BTreeSet<u16>,
        acceptances: &[&Acceptance],
        email: &GivenEmail,
    ) -> Self {
        let recipients = || invitation.recipients.iter().filter(|recipient| recipients.contains(&recipient.ordinal));
        let lower = |text: &str| text.to_lowercase();
        let mut addresses = BTreeSet::from([email.search_key(), lower(email.original())]);
        for own in recipients().filter_map(Recipient::email) {
            addresses.extend([own.key().to_owned(), lower(own.original())]);
        }
        addresses
            .extend(acceptances.iter().filter_map(|acceptance| Some(lower(acceptance.email.as_ref()?.original()))));
        let names = recipients().map(|recipient| recipient.display_name.as_deref());
        let names = names.chain(acceptances.iter().map(|acceptance| acceptance.display_name.as_deref()));
        let phones = acceptances.iter().map(|acceptance| acceptance.phone.as_deref());
        let names = names.chain(phones).flatten().map(lower).filter(|name| name.chars().count() >= MIN_NAME).collect();
        let subjects = acceptances.iter().map(|acceptance| acceptance.subject.0.clone());
        let internal = recipients().filter_map(|recipient| match &recipient.address {
            Address::Internal(id) => Some(id.clone()),
            Address::Email(_) | Address::Phone(_) | Address::Share(_) | Address::Erased | Address::Removed => None,
        });
        Self { addresses, names, subjects: subjects.chain(internal).collect() }
    }

    /// Returns whether a text has an address of the person, or a name of theirs as whole words, in any case.
    fn is_in(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.addresses.iter().any(|address| text.contains(address.as_str()))
            || self.names.iter().any(|name| has_words(&text, name))
    }

    /// Returns whether JSON has them, however its text escapes them.
    fn is_in_json(&self, json: &str) -> bool {
        let plain = serde_json::from_str::<serde_json::Value>(json).map(|value| value.to_string());
        self.is_in(json) || plain.is_ok_and(|plain| self.is_in(&plain))
    }

    fn has_label(&self, (key, value): (&String, &String)) -> bool {
        self.is_in(key) || self.is_in(value)
    }

    fn has_email(&self, email: &Email) -> bool {
        self.addresses.contains(email.key())
    }

    /// Takes the person out of the words and the caller's own data: all of them if the invitation is for nobody else, and otherwise
    /// those that have an address or a name. Returns whether events repeat any of what was removed.
    fn erase_words(&self, invitation: &mut Invitation, all: bool) -> bool {
        let drops = |text: &str| all || self.is_in_json(text);
        let clear = |text: &mut Option<String>| {
            let had = text.is_some();
            *text = text.take().filter(|text| !drops(text));
            had && text.is_none()
        };
        let mut repeated = self.erase_shared(invitation.details.shared_mut(), all);
        match &mut invitation.details {
            Details::General(details) => {
                let CallerData { attributes, configuration_attributes, template_variables, pass_through, .. } =
                    &mut details.caller_data;
                clear(attributes);
                clear(configuration_attributes);
                repeated |= clear(pass_through);
                template_variables.retain(|key, value| !drops(key) && !drops(value));
                let config = serde_json::to_string(&details.caller_data.unfurl_config).unwrap_or_default();
                details.caller_data.unfurl_config =
                    details.caller_data.unfurl_config.take().filter(|_| !drops(&config));
                let scopes = details.scope.iter_mut().chain(&mut details.groups);
                for scope in scopes.filter(|scope| scope.display_name.as_deref().is_some_and(|name| self.is_in(name))) {
                    scope.display_name = None;
                    repeated = true;
                }
            }
            Details::Connection(details) => match &mut details.purpose {
                ConnectionPurpose::CreateConnection { prefill: Some(prefill) } => {
                    let owner = prefill.connection_owner_email.take();
                    prefill.connection_owner_email = owner.filter(|owner| !self.has_email(owner));
                }
                ConnectionPurpose::CreateConnection { prefill: None } | ConnectionPurpose::EditConnection { .. } => {}
            },
            Details::Guest(details) => {
                let name = details.parent_organization_name.take();
                details.parent_organization_name = name.filter(|name| !self.is_in(name));
            }
            Details::User(_) => {}
        }
        let mut stored = serde_json::to_value(&invitation.details).unwrap_or_default();
        invitation.unknown.add_to(&mut stored);
        if drops(&stored.to_string()) {
            invitation.unknown = UnknownFields::default();
        }
        repeated
    }

    fn erase_shared(&self, shared: &mut SharedDetails, all: bool) -> bool {
        let drops = |text: &str| all || self.is_in_json(text);
        shared.message = shared.message.take().filter(|text| !drops(text));
        shared.metadata = shared.metadata.take().filter(|text| !drops(text));
        shared.redirect_uri = shared.redirect_uri.take().filter(|uri| !drops(&decoded(uri.as_str())));
        // The inviter is another person, unless they have the same address.
        shared.inviter = shared.inviter.take().filter(|inviter| {
            let name = inviter.display_name.as_deref().unwrap_or_default().to_lowercase();
            let is_named = self.addresses.iter().any(|address| name.contains(address.as_str()));
            !is_named && inviter.email.as_ref().is_none_or(|email| !self.has_email(email))
        });
        let name = shared.scope_display_name.take();
        let had = name.is_some();
        shared.scope_display_name = name.filter(|name| !self.is_in(name));
        had && shared.scope_display_name.is_none()
    }

    /// Takes the person out of the names of credentials, and returns those names.
    fn erase_actors(&self, invitation: &mut Invitation) -> BTreeSet<String> {
        let actors: BTreeSet<String> = self.subjects.iter().map(|subject| format!("{PERSON}{subject}")).collect();
        for name in [&mut invitation.creator, &mut invitation.updater] {
            if actors.contains(name.as_str()) {
                ERASED_ACTOR.clone_into(name);
            }
        }
        actors
    }
}

/// Returns a URI with its escapes read.
fn decoded(uri: &str) -> String {
    percent_encoding::percent_decode_str(uri).decode_utf8_lossy().into_owned()
}

/// Returns whether a text has some words: the same characters, with no letter or digit before and behind them.
fn has_words(text: &str, words: &str) -> bool {
    text.match_indices(words).any(|(at, found)| {
        let before = text[..at].chars().next_back();
        let behind = text[at + found.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric) && !behind.is_some_and(char::is_alphanumeric)
    })
}
