//! What carries one message to its address.

use std::fmt::Debug;

use async_trait::async_trait;

use super::transport::SendError;
use crate::store::{Claimed, Topicality};

/// Carries messages.
#[async_trait]
pub trait Courier: Debug + Send + Sync {
    /// Hands one message to whatever brings it to its address.
    async fn deliver(&self, message: &Claimed, topic: &Topicality) -> Result<(), SendError>;
}
