//! The events that a follower chooses by what an event itself says.

use super::{EventTypeFilter, StoredEvent};
use crate::domain::kind::{Kind, Scope};
use crate::domain::reach::Reach;

/// The events that a follower chooses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only these types and families; empty means all.
    pub types: Vec<EventTypeFilter>,
    /// Only these kinds; empty means all.
    pub kinds: Vec<Kind>,
    /// Only this scope.
    pub scope: Option<Scope>,
    /// Only events of invitations that an organization hosts, since the reach of the follower includes no others.
    pub is_hosted: bool,
}

impl EventFilter {
    /// Returns the same filter for a follower with a reach.
    pub fn within(self, reach: &Reach) -> Self {
        Self { is_hosted: !reach.is_whole(), ..self }
    }

    /// Returns whether it chooses all events.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether it chooses an event.
    pub fn matches(&self, event: &StoredEvent) -> bool {
        let has_scope = |wanted: &Scope| event.scope.as_ref().is_some_and(|scope| scope.is(wanted));
        (self.types.is_empty() || self.types.iter().any(|wanted| wanted.matches(&event.event_type)))
            && (self.kinds.is_empty() || self.kinds.iter().any(|wanted| event.kind == *wanted))
            && (!self.is_hosted || event.kind == Kind::Guest)
            && self.scope.as_ref().is_none_or(has_scope)
    }
}
