//! Whom an invitation is meant for.

use super::email::Email;
use super::time::Timestamp;

/// One address of an invitation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Counts the invitation's recipients from 1; what a mailed token carries.
    pub ordinal: u16,
    /// The address.
    pub email: Email,
    /// When somebody first accepted with this address.
    pub accepted_at: Option<Timestamp>,
    /// When the recipient declined.
    pub declined_at: Option<Timestamp>,
}

impl Recipient {
    /// Makes a recipient nothing has happened to.
    pub fn new(ordinal: u16, email: Email) -> Self {
        Self { ordinal, email, accepted_at: None, declined_at: None }
    }

    /// Returns whether the recipient has not answered yet, so that mail to them makes sense.
    pub fn is_open(&self) -> bool {
        self.accepted_at.is_none() && self.declined_at.is_none()
    }
}
