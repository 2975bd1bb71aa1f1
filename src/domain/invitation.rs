//! The aggregate: one invitation of any kind with everything that is decided together.

pub mod acceptance;
pub(super) mod elsewhere;
pub mod email_rule;
pub mod event;
pub mod recipient;
pub mod refusal;
pub mod slot;
pub(super) mod slot_plan;
pub mod state;
pub mod unknown_fields;

use std::collections::BTreeMap;

use super::delivery::DeliveryState;
use super::delivery::repeats::Repeats;
use super::kind::{Details, Kind};
use super::secret::token::Claims;
use super::value::etag;
use super::value::id::InvitationId;
use super::value::text::AccountId;
use super::value::time::Timestamp;
use acceptance::Acceptance;
use recipient::{Address, Recipient};
use refusal::Refusal;
use slot::SlotKey;
use state::{Facts, State};
use unknown_fields::UnknownFields;

/// The number of acceptances that are shown with an invitation, the newest first.
pub const NEWEST_ACCEPTANCES: usize = 100;

/// An invitation of any kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Its id, the same in every service.
    pub id: InvitationId,
    /// The account that owns it.
    pub account: AccountId,
    /// The details of its kind.
    pub details: Details,
    /// Fields of the stored details that only a newer release knows.
    pub unknown: UnknownFields,
    /// The facts that its state follows from.
    pub facts: Facts,
    /// The number of its changes, from 1; shown by the etag and checked by a save.
    pub revision: i64,
    /// The number of rotations of its link.
    pub generation: u16,
    /// The key its links are signed with.
    pub key_id: u8,
    /// Whether this service mails its links.
    pub mails: bool,
    /// The recipients, by ordinal.
    pub recipients: Vec<Recipient>,
    /// The number of recipients that were not read, which only a list leaves out.
    pub further_recipients: usize,
    /// The caller's own labels.
    pub labels: BTreeMap<String, String>,
    /// The name of the credential that created it.
    pub creator: String,
    /// The name of the credential that last changed it.
    pub updater: String,
    /// The moment at which it was archived; independent of its state.
    pub archived_at: Option<Timestamp>,
    /// The moment at which the service of its kind deleted it.
    pub deleted_at: Option<Timestamp>,
    /// The expiry that an event has recorded; a renewal sets another expiry.
    pub expiry_told_at: Option<Timestamp>,
    /// The moment at which its link was first handed to delivery.
    pub first_sent_at: Option<Timestamp>,
    /// The moment at which its link was last handed to delivery.
    pub last_sent_at: Option<Timestamp>,
    /// The times that callers had it mailed again.
    pub repeats: Repeats,
    /// The moment of its creation.
    pub created_at: Timestamp,
    /// The moment of its last update.
    pub updated_at: Timestamp,
    /// The engagement with its link.
    pub engagement: Engagement,
    /// The number of messages with its link that were enqueued.
    pub deliveries: u32,
    /// The state of the latest message with its link that was not cancelled.
    pub latest_delivery: Option<DeliveryState>,
    /// The newest acceptances, newest first, if they are loaded.
    pub acceptances: Vec<Acceptance>,
}

/// The engagement with a link: everything short of accepting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Engagement {
    /// The number of views of the invitation's page.
    pub views: i64,
    /// The number of clicks on the link.
    pub clicks: i64,
    /// The number of previews of the link that programs fetched.
    pub unfurls: i64,
}

impl Engagement {
    /// Adds one engagement of a type.
    pub fn count(&mut self, engagement: EngagementType) {
        match engagement {
            EngagementType::View => self.views += 1,
            EngagementType::Click => self.clicks += 1,
            EngagementType::Unfurl => self.unfurls += 1,
        }
    }

    /// Adds the counts of another engagement.
    pub fn add(&mut self, more: Self) {
        let Self { views, clicks, unfurls } = more;
        self.views += views;
        self.clicks += clicks;
        self.unfurls += unfurls;
    }
}

/// The types of engagement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngagementType {
    /// A view of the invitation's page.
    View,
    /// A click on the link.
    Click,
    /// A preview of the link that a program fetched.
    Unfurl,
}

impl Invitation {
    /// Returns the state at a moment.
    pub fn state_at(&self, now: Timestamp) -> State {
        self.facts.state_at(now)
    }

    /// Returns whether it had ended before a moment and has not been changed since. Every end but the expiry is a change, so
    /// nothing else has to say when it was: the moment of the last use is stored nowhere. An auto-join without domains has not
    /// ended for good, since a sync gives it domains again, unless it is deleted.
    pub fn ended_before(&self, moment: Timestamp) -> bool {
        let comes_back = self.facts.emptied_at.is_some() && self.deleted_at.is_none();
        self.updated_at < moment && self.state_at(moment) != State::Active && !comes_back
    }

    /// Returns the moment until which a search for open invitations finds it, unless it ends earlier. `None` if it has
    /// ended, or is of a kind that no search covers.
    pub fn open_until(&self) -> Option<Timestamp> {
        let begins = Timestamp::from_micros(i64::MIN);
        let open = self.details.kind() == Kind::General && self.state_at(begins) == State::Active;
        open.then(|| self.facts.expire_at.unwrap_or(Timestamp::from_micros(i64::MAX)))
    }

    /// Returns the strong entity tag: quoted, another one after each change.
    pub fn etag(&self) -> String {
        etag::of(self.id.0, self.revision)
    }

    /// Returns the claims of the token of one of its links; recipient 0 is the plain link.
    pub fn claims(&self, recipient: u16) -> Claims {
        Claims { key_id: self.key_id, invitation: self.id, generation: self.generation, recipient }
    }

    /// Returns the recipient of a mailed link, `None` for the plain link.
    pub fn recipient(&self, ordinal: u16) -> Option<&Recipient> {
        self.recipients.iter().find(|recipient| recipient.ordinal == ordinal)
    }

    /// Returns the addresses it is meant for.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.recipients.iter().map(|recipient| &recipient.address)
    }

    /// Returns the recipients that it is meant for: those who were not removed.
    pub fn present_recipients(&self) -> impl Iterator<Item = &Recipient> {
        self.recipients.iter().filter(|recipient| !recipient.is_removed())
    }

    /// Returns the slots that it holds, or would hold if it were ACTIVE; empty once it is archived.
    pub fn slots(&self) -> Vec<SlotKey> {
        if self.archived_at.is_some() { Vec::new() } else { SlotKey::of(&self.details, self.addresses()) }
    }

    /// Returns whether it keeps other invitations out of its slots.
    pub fn holds_slots_at(&self, now: Timestamp) -> bool {
        self.state_at(now) == State::Active && self.archived_at.is_none()
    }

    /// Records that messages with its link were handed to delivery.
    pub fn sent(&mut self, deliveries: usize, now: Timestamp) {
        if deliveries > 0 {
            self.deliveries = self.deliveries.saturating_add(u32::try_from(deliveries).unwrap_or(u32::MAX));
            self.latest_delivery = Some(DeliveryState::Queued);
            self.first_sent_at.get_or_insert(now);
            self.last_sent_at = Some(now);
        }
    }

    /// Checks that a well-formed token is one of its present links.
    pub fn check_link(&self, link: &Claims) -> Result<(), Refusal> {
        let is_mine = *link == self.claims(link.recipient);
        let is_known = || self.recipient(link.recipient).is_some_and(|recipient| !recipient.is_erased());
        if is_mine && (link.recipient == 0 || is_known()) { Ok(()) } else { Err(Refusal::InvitationNotFound) }
    }

    /// Checks the etag, if the caller sent one.
    pub fn check_etag(&self, etag: Option<&str>) -> Result<(), Refusal> {
        etag::check(etag, self.id.0, self.revision).map_err(|etag::StaleEtag| Refusal::EtagMismatch)
    }

    /// Records an update by a credential.
    pub fn touch(&mut self, actor: &str, now: Timestamp) {
        self.revision += 1;
        self.updated_at = now;
        actor.clone_into(&mut self.updater);
    }
}
