//! The courier by e-mail: composes a message when its turn has come, with the link or the code derived then, and hands it to
//! the transport.

use std::fmt::Debug;

use async_trait::async_trait;

use super::compose::{About, ComposeError, Composer};
use super::transport::{SendError, SendFailure, SharedTransport};
use crate::domain::delivery::Purpose;
use crate::domain::invitation::acceptance::Acceptance;
use crate::domain::secret::key_ring::KeyRing;
use crate::domain::secret::verification::Code;
use crate::store::{ClaimedDelivery, Store, Topicality};

/// Carries messages.
#[async_trait]
pub trait Mailer: Debug + Send + Sync {
    /// Hands one message to the transport to its address.
    async fn deliver(&self, message: &ClaimedDelivery, topic: &Topicality) -> Result<(), SendError>;
}

/// Sends messages by e-mail.
#[derive(Debug)]
pub struct TemplateMailer {
    /// Knows what codes are derived from.
    pub store: Store,
    /// Derives codes.
    pub ring: KeyRing,
    /// Writes messages.
    pub composer: Composer,
    /// Sends them.
    pub transport: SharedTransport,
}

impl TemplateMailer {
    /// Derives the code of a message. Returns `None` once the code is used or replaced.
    async fn code(&self, message: &ClaimedDelivery, topic: &Topicality) -> Result<Option<String>, SendError> {
        let (invitation, delivery) = (&topic.invitation.found, &message.delivery);
        let Some((id, email)) = delivery.message.about.zip(delivery.address(invitation)) else { return Ok(None) };
        let found = self.store.find_verification(&message.account, invitation.id, id).await;
        let found = found.map_err(|_| SendError::new(SendFailure::Retry, "the database does not answer"))?;
        Ok(found.and_then(|verification| verification.code(&self.ring, email)).map(Code::reveal))
    }
}

#[async_trait]
impl Mailer for TemplateMailer {
    async fn deliver(&self, message: &ClaimedDelivery, topic: &Topicality) -> Result<(), SendError> {
        let code;
        let about = match message.delivery.message.purpose {
            Purpose::Invitation | Purpose::Reminder => About::Nothing,
            Purpose::AcceptanceNotice => {
                let needless = |reason| SendError::new(SendFailure::Needless, reason);
                About::Acceptance(noticed(topic.acceptance.as_ref()).map_err(needless)?)
            }
            Purpose::VerificationCode => {
                let used = || SendError::new(SendFailure::Needless, "the code is no longer asked for");
                code = self.code(message, topic).await?.ok_or_else(used)?;
                About::Code(&code)
            }
        };
        let invitation = &topic.invitation;
        let mail = self.composer.compose(&message.delivery, &invitation.found, about, invitation.now);
        let refused = |error: ComposeError| SendError::new(SendFailure::Refused, error.to_string());
        self.transport.present().send(&mail.map_err(refused)?).await
    }
}

/// Returns the acceptance that a notice is about, or the reason why the notice need not be sent: one that was undone before that never
/// happened for the inviter either.
fn noticed(acceptance: Option<&Acceptance>) -> Result<&Acceptance, &'static str> {
    match acceptance {
        None => Err("the acceptance is gone"),
        Some(undone) if undone.is_undone() => Err("the acceptance was taken back"),
        Some(acceptance) => Ok(acceptance),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::invitation::acceptance::{Acceptor, Release, ReleaseMode};
    use crate::domain::value::id::{AcceptanceId, InvitationId};
    use crate::domain::value::time::Timestamp;

    #[test]
    fn undone_acceptance_is_not_told_to_the_inviter() {
        let (at, by) = (Timestamp::from_micros(0), Acceptor::known_as("ann".to_owned()));
        let id = Uuid::from_u128(1);
        let made = Acceptance::new(AcceptanceId(id), InvitationId(id), &by, (None, None), None, at);
        assert!(noticed(Some(&made)).is_ok());
        assert!(noticed(None).is_err());
        for (mode, is_told) in [(ReleaseMode::Undo, false), (ReleaseMode::End, true)] {
            let released = Acceptance { release: Some(Release { mode, at }), ..made.clone() };
            assert_eq!(noticed(Some(&released)).is_ok(), is_told, "{mode:?}");
        }
    }
}
