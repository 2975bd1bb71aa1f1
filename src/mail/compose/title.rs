//! The names of messages: what templates are looked up by.

use crate::domain::delivery::Purpose;
use crate::domain::kind::Details;

/// A message as templates know it: its purpose, and the kind where that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Title(&'static str);

impl Title {
    /// Every message there is.
    pub(crate) const ALL: [Self; 12] = [
        Self("invitation.connection"),
        Self("invitation.reconnection"),
        Self("invitation.user"),
        Self("invitation.guest"),
        Self("invitation.general"),
        Self("reminder.connection"),
        Self("reminder.reconnection"),
        Self("reminder.user"),
        Self("reminder.guest"),
        Self("reminder.general"),
        Self("acceptance_notice"),
        Self("verification_code"),
    ];

    /// Returns the message that serves a purpose for an invitation.
    pub(crate) fn of(purpose: Purpose, details: &Details) -> Self {
        let of_kind = |purpose: &str| {
            let is_it = |title: &Self| title.0.strip_prefix(purpose) == Some(details.mail_name());
            Self::ALL.into_iter().find(is_it).unwrap_or(Self("invitation.general"))
        };
        match purpose {
            Purpose::Invitation => of_kind("invitation."),
            Purpose::Reminder => of_kind("reminder."),
            Purpose::AcceptanceNotice => Self("acceptance_notice"),
            Purpose::VerificationCode => Self("verification_code"),
        }
    }

    /// Returns the first part of the names of its templates.
    pub(crate) fn as_str(self) -> &'static str {
        self.0
    }

    /// Returns whether it brings a link.
    pub(crate) fn has_link(self) -> bool {
        self.0.starts_with("invitation.") || self.0.starts_with("reminder.")
    }
}
