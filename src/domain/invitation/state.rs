//! The facts of an invitation and the one rule that derives its state from them.
//!
//! The store's filters have the same rule in SQL; a test compares the two over all combinations of facts.

#[cfg(test)]
mod tests;

use strum::{EnumString, IntoStaticStr, VariantArray};

use super::refusal::Refusal;
use crate::domain::value::time::Timestamp;
use crate::domain::value::word;

/// The state of an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum State {
    /// It can be accepted.
    Active,
    /// Its expiry has passed.
    Expired,
    /// It was revoked.
    Revoked,
    /// It was declined.
    Declined,
    /// It was accepted as often as it may be.
    Fulfilled,
}

impl State {
    /// Every state.
    pub const ALL: [Self; Self::VARIANTS.len()] = word::array(Self::VARIANTS);

    /// Returns the code for it in stored events.
    pub fn code(self) -> &'static str {
        self.into()
    }

    /// Reverses [`State::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        code.parse().ok()
    }

    /// Returns the refusal of an action that needs an ACTIVE invitation; `None` if it is ACTIVE.
    pub fn require_active(self) -> Result<(), Refusal> {
        match self {
            Self::Active => Ok(()),
            Self::Expired => Err(Refusal::InvitationExpired),
            Self::Revoked => Err(Refusal::InvitationRevoked),
            Self::Declined => Err(Refusal::InvitationDeclined),
            Self::Fulfilled => Err(Refusal::InvitationFulfilled),
        }
    }
}

/// The facts of an invitation, from which its state follows at any moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The number of acceptances that it allows, `None` for any number.
    pub max_uses: Option<u32>,
    /// The number of acceptances.
    pub use_count: u32,
    /// The moment at which it expires, `None` if it never does.
    pub expire_at: Option<Timestamp>,
    /// The moment of the first acceptance.
    pub accepted_at: Option<Timestamp>,
    /// The moment at which the last recipient declined.
    pub declined_at: Option<Timestamp>,
    /// The moment of the revocation.
    pub revoked_at: Option<Timestamp>,
    /// The moment at which its person accepted another invitation to the same scope, or from which another invitation has its place,
    /// although an acceptance was undone.
    pub accepted_elsewhere_at: Option<Timestamp>,
    /// The moment at which the last domain of an auto-join was removed.
    pub emptied_at: Option<Timestamp>,
}

impl Facts {
    /// Returns the facts of a new invitation.
    pub fn new(max_uses: Option<u32>, expire_at: Option<Timestamp>) -> Self {
        Self {
            max_uses,
            use_count: 0,
            expire_at,
            accepted_at: None,
            declined_at: None,
            revoked_at: None,
            accepted_elsewhere_at: None,
            emptied_at: None,
        }
    }

    /// Returns the state at a moment. Revoked goes before declined, fulfilled and expired; an emptied auto-join is shown as
    /// revoked, though a sync brings it back.
    pub fn state_at(&self, now: Timestamp) -> State {
        if self.revoked_at.is_some() || self.emptied_at.is_some() {
            State::Revoked
        } else if self.declined_at.is_some() {
            State::Declined
        } else if self.remaining_uses() == Some(0) || self.accepted_elsewhere_at.is_some() {
            State::Fulfilled
        } else if self.expired_at(now) {
            State::Expired
        } else {
            State::Active
        }
    }

    /// Returns whether the expiry has passed, whatever the state.
    pub fn expired_at(&self, now: Timestamp) -> bool {
        self.expire_at.is_some_and(|expire_at| expire_at <= now)
    }

    /// Returns the number of uses that are left, `None` for any number.
    pub fn remaining_uses(&self) -> Option<u32> {
        self.max_uses.map(|max_uses| max_uses.saturating_sub(self.use_count))
    }
}
