//! What a message is about besides its invitation.

use std::fmt;

use crate::domain::invitation::acceptance::Acceptance;

/// What a purpose needs beyond the invitation.
#[derive(Clone, Copy)]
pub enum About<'a> {
    /// Nothing: an invitation or a reminder.
    Nothing,
    /// The acceptance that a notice tells of.
    Acceptance(&'a Acceptance),
    /// The code that proves an address.
    Code(&'a str),
}

/// Never shows the code.
impl fmt::Debug for About<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("Nothing"),
            Self::Acceptance(acceptance) => f.debug_tuple("Acceptance").field(&acceptance.id).finish(),
            Self::Code(_) => f.write_str("Code([redacted])"),
        }
    }
}
