//! One person's use of one invitation.

use strum::{EnumString, IntoStaticStr};
use uuid::Uuid;

use super::refusal::Refusal;
use super::unknown_fields::UnknownFields;
use crate::domain::kind::connection::{CreatedConnection, NewConnection};
use crate::domain::value::etag;
use crate::domain::value::given_email::GivenEmail;
use crate::domain::value::id::{AcceptanceId, InvitationId};
use crate::domain::value::time::Timestamp;

/// The caller's own id of a person.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(pub String);

/// The person who accepts, as the caller knows them.
#[derive(Clone, Debug)]
pub struct Acceptor {
    /// The person.
    pub subject: Subject,
    /// The person's address, if the caller knows it.
    pub email: Option<GivenEmail>,
    /// Whether the caller vouches that the address is the person's.
    pub email_verified: bool,
    /// The person's phone number.
    pub phone: Option<String>,
    /// The person's name.
    pub display_name: Option<String>,
    /// Whether the person had an account with the caller before.
    pub existing_user: Option<bool>,
}

impl Acceptor {
    /// Creates an acceptor with a subject only.
    pub fn known_as(subject: String) -> Self {
        let subject = Subject(subject);
        Self { subject, email: None, email_verified: false, phone: None, display_name: None, existing_user: None }
    }
}

/// The person or system that vouches for an acceptance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AcceptedBy {
    /// A person.
    #[default]
    User,
    /// A person for the guest organization.
    Guest,
    /// A system, for the guest organization.
    System,
}

/// The way in which a caller ends an acceptance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ReleaseMode {
    /// As if it had not been made: the caller could not do their part.
    Undo,
    /// The person was let in, and is no longer.
    End,
}

/// The end of an acceptance by a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Release {
    /// The way.
    pub mode: ReleaseMode,
    /// The moment.
    pub at: Timestamp,
}

/// The state of an acceptance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AcceptanceState {
    /// It counts.
    Active,
    /// The time for which it counts is over.
    Expired,
    /// It was undone, and the same subject may accept again.
    Released,
    /// It was ended for good.
    Ended,
}

/// A use of an invitation. One subject has at most one of one invitation, apart from those that were undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acceptance {
    /// Its id.
    pub id: AcceptanceId,
    /// The accepted invitation.
    pub invitation: InvitationId,
    /// The acceptor.
    pub subject: Subject,
    /// The recipient that they were matched with, if the invitation is bound to addresses.
    pub recipient: Option<u16>,
    /// The address they accepted with.
    pub email: Option<GivenEmail>,
    /// Their phone number.
    pub phone: Option<String>,
    /// Their name.
    pub display_name: Option<String>,
    /// Whether they had an account with the caller before.
    pub existing_user: Option<bool>,
    /// The moment of the acceptance.
    pub accepted_at: Timestamp,
    /// The connection that they created by it.
    pub created_connection: Option<CreatedConnection>,
    /// The roles that the invitation gave at that moment.
    pub roles: Vec<String>,
    /// The organization that became a guest by it.
    pub guest_organization_id: Option<Uuid>,
    /// The person or system that vouches for it.
    pub accepted_by: AcceptedBy,
    /// The number of its changes, from 1; shown by its etag.
    pub revision: i64,
    /// The moment from which it counts no longer, `None` if it always does.
    pub grant_expire_at: Option<Timestamp>,
    /// The expiry of it that an event has recorded.
    pub grant_told_at: Option<Timestamp>,
    /// The end, once a caller has ended it.
    pub release: Option<Release>,
    /// Other invitations of the person that it has closed.
    pub closed: Vec<InvitationId>,
    /// Fields of the stored details that only a newer release knows.
    pub unknown: UnknownFields,
}

impl Acceptance {
    /// Creates the acceptance of an acceptor who was matched with a recipient and an address.
    pub fn new(
        id: AcceptanceId,
        invitation: InvitationId,
        acceptor: &Acceptor,
        matched: (Option<u16>, Option<GivenEmail>),
        connection: Option<NewConnection>,
        now: Timestamp,
    ) -> Self {
        let (recipient, email) = matched;
        Self {
            id,
            invitation,
            subject: acceptor.subject.clone(),
            recipient,
            email,
            phone: acceptor.phone.clone(),
            display_name: acceptor.display_name.clone(),
            existing_user: acceptor.existing_user,
            accepted_at: now,
            created_connection: connection.map(|connection| connection.created_at(now)),
            roles: Vec::new(),
            guest_organization_id: None,
            accepted_by: AcceptedBy::User,
            revision: 1,
            grant_expire_at: None,
            grant_told_at: None,
            release: None,
            closed: Vec::new(),
            unknown: UnknownFields::default(),
        }
    }

    /// Returns the state at a moment. The store's filter of lists has the same rule in SQL.
    pub fn state_at(&self, now: Timestamp) -> AcceptanceState {
        match self.release.map(|release| release.mode) {
            None if self.grant_expire_at.is_some_and(|expire_at| expire_at <= now) => AcceptanceState::Expired,
            None => AcceptanceState::Active,
            Some(ReleaseMode::Undo) => AcceptanceState::Released,
            Some(ReleaseMode::End) => AcceptanceState::Ended,
        }
    }

    /// Returns the refusal to answer with it as with an acceptance that counts; `None` if it does.
    pub fn require_active(&self, now: Timestamp) -> Result<(), Refusal> {
        match self.state_at(now) {
            AcceptanceState::Active => Ok(()),
            AcceptanceState::Expired => Err(Refusal::GrantExpired),
            AcceptanceState::Released => Err(Refusal::AcceptanceReleased),
            AcceptanceState::Ended => Err(Refusal::AcceptanceEnded),
        }
    }

    /// Returns the refusal to change it; `None` if no caller has ended it.
    pub fn require_standing(&self) -> Result<(), Refusal> {
        match self.release.map(|release| release.mode) {
            None => Ok(()),
            Some(ReleaseMode::Undo) => Err(Refusal::AcceptanceReleased),
            Some(ReleaseMode::End) => Err(Refusal::AcceptanceEnded),
        }
    }

    /// Returns whether it was undone. Then its subject, its recipient and its connection are free for another one.
    pub fn is_undone(&self) -> bool {
        self.release.is_some_and(|release| release.mode == ReleaseMode::Undo)
    }

    /// Returns the strong entity tag: quoted, another one after each change.
    pub fn etag(&self) -> String {
        etag::of(self.id.0, self.revision)
    }

    /// Checks the etag, if the caller sent one.
    pub fn check_etag(&self, etag: Option<&str>) -> Result<(), Refusal> {
        etag::check(etag, self.id.0, self.revision).map_err(|etag::StaleEtag| Refusal::AcceptanceEtagMismatch)
    }

    /// Returns it after a change.
    pub fn changed(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = Self { revision: self.revision + 1, ..self.clone() };
        change(&mut changed);
        changed
    }
}
