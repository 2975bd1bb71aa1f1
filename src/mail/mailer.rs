//! The courier by e-mail: composes a message when its turn has come, with the link or the code derived then, and hands it to
//! the transport.

use std::fmt::Debug;

use async_trait::async_trait;

use super::compose::{About, ComposeError, Composer};
use super::transport::{SendError, SendFailure, SharedTransport};
use crate::domain::delivery::notice::NoticeContent;
use crate::domain::delivery::{NewDelivery, Purpose};
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
        let found = found.map_err(|_| no_answer())?;
        Ok(found.and_then(|verification| verification.code(&self.ring, email)).map(Code::reveal))
    }

    /// Reads what a notice reports. Returns `None` if that is nothing any more.
    async fn notice_content(
        &self,
        message: &ClaimedDelivery,
        topic: &Topicality,
    ) -> Result<Option<NoticeContent>, SendError> {
        let NewDelivery { purpose, created_at, moment, .. } = message.delivery.message;
        let about = (purpose, moment.unwrap_or(created_at));
        let content = self.store.notice_content(&topic.invitation.found, about).await.map_err(|_| no_answer())?;
        Ok(Some(content).filter(|content| content.count > 0 || purpose == Purpose::ExpiryNotice))
    }
}

fn no_answer() -> SendError {
    SendError::new(SendFailure::Retry, "the database does not answer")
}

#[async_trait]
impl Mailer for TemplateMailer {
    async fn deliver(&self, message: &ClaimedDelivery, topic: &Topicality) -> Result<(), SendError> {
        let (code, content);
        let about = match message.delivery.message.purpose {
            Purpose::Invitation | Purpose::Reminder => About::Nothing,
            Purpose::AcceptanceNotice | Purpose::DeclineNotice | Purpose::FailureNotice | Purpose::ExpiryNotice => {
                let over = || SendError::new(SendFailure::Needless, "there is nothing to report any more");
                content = self.notice_content(message, topic).await?.ok_or_else(over)?;
                About::Notice(&content)
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
