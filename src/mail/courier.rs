//! What carries one message to its address.

use std::fmt::Debug;

use async_trait::async_trait;

use super::transport::SendError;
use crate::store::{ClaimedDelivery, Topicality};

/// Carries messages.
#[async_trait]
pub trait Mailer: Debug + Send + Sync {
    /// Hands one message to whatever brings it to its address.
    async fn deliver(&self, message: &ClaimedDelivery, topic: &Topicality) -> Result<(), SendError>;
}
