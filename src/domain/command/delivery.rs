//! What happens to messages.

use uuid::Uuid;

use crate::domain::delivery::{DeliveryEnd, DeliveryReport};

/// Says how an attempt to send a message ended it.
#[derive(Clone, Debug)]
pub struct SettleDelivery {
    /// Which message.
    pub delivery: Uuid,
    /// The lease it was sent under; whoever lost it has no say.
    pub lease: Uuid,
    /// How it ended.
    pub end: DeliveryEnd,
}

/// Takes the provider's word on a message.
#[derive(Clone, Debug)]
pub struct ReportDelivery {
    /// Which message.
    pub delivery: Uuid,
    /// The organizations one of which has to be the invitation's host; none where that does not matter.
    pub hosts: Option<Vec<Uuid>>,
    /// What is reported.
    pub report: DeliveryReport,
    /// The provider's words.
    pub detail: Option<String>,
}
