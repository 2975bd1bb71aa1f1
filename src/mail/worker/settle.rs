//! The beginning and the end of sending one message: whether its address is suppressed, and the commit of its result.

use tokio::time::{Instant, sleep};

use super::{ACTOR, DATABASE_TIMEOUT, MailWorker, SETTLE_RESERVE, SETTLE_RETRY_DELAY};
use crate::domain::command::{Action, Command, SettleDelivery};
use crate::domain::delivery::DeliveryEnd;
use crate::domain::reach::Reach;
use crate::domain::value::grantable_roles::GrantableRoles;
use crate::domain::value::id::IdSeed;
use crate::store::{ClaimedDelivery, ExecuteError, StoreError, Topicality, within};

impl MailWorker {
    /// Returns whether the address of a message is suppressed: it may be so since the message was queued.
    pub(super) async fn is_suppressed(
        &self,
        message: &ClaimedDelivery,
        topic: &Topicality,
    ) -> Result<bool, StoreError> {
        let email = message.delivery.address(&topic.invitation.found);
        let Some((rule, email)) = self.suppressions.as_ref().zip(email) else { return Ok(false) };
        let keys = rule.keys(&message.account, email);
        within(DATABASE_TIMEOUT, self.store.is_suppressed(&message.account, &keys)).await
    }

    /// Commits the result of a message with its event. It retries while the lease lasts, since a message that is not
    /// recorded as sent is sent again.
    pub(super) async fn settle(&self, message: &ClaimedDelivery, end: DeliveryEnd) -> Result<(), StoreError> {
        let Some(lease) = message.delivery.lease else { return Err(StoreError::Conflict) };
        let settle = SettleDelivery { delivery: message.delivery.message.id, lease, end };
        let command = Command {
            reach: Reach::of_account(message.account.clone()),
            actor: ACTOR.to_owned(),
            grantable_roles: GrantableRoles::default(),
            request: None,
            seed: IdSeed::new(self.clock.now(), self.entropy.bytes()),
            action: Action::SettleDelivery(settle),
        };
        let until = Instant::now() + SETTLE_RESERVE;
        loop {
            match self.store.executor().execute(command.clone(), None).await {
                Ok(_) => return Ok(()),
                Err(ExecuteError::Unavailable | ExecuteError::Conflict) if Instant::now() < until => {
                    sleep(SETTLE_RETRY_DELAY).await;
                }
                Err(error) => return Err(StoreError::Refused(format!("{error:?}"))),
            }
        }
    }
}
