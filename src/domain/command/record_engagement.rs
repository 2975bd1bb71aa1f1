//! Counts the engagement with a link. Leaves the invitation itself alone, in every state.

use super::{Command, CommandRules, ReadSet};
use crate::domain::decide::{Changes, Context, Decided, Maker};
use crate::domain::delivery::reminder::Schedules;
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::EngagementType;
use crate::domain::invitation::event::Payload;
use crate::domain::invitation::event::payload::EngagementPayload;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::secret::token::Claims;
use crate::domain::value::scrubbed::scrubbed;

/// Counts an engagement.
#[derive(Clone, Debug)]
pub struct RecordEngagement {
    /// The claims of the link's token.
    pub link: Claims,
    /// The type of engagement.
    pub engagement: EngagementType,
    /// The place of the link, as the caller names it.
    pub source: Option<String>,
}

impl CommandRules for RecordEngagement {
    fn read_set(&self) -> ReadSet {
        ReadSet::of(self.link.invitation)
    }

    fn weight(&self, _reminders: &Schedules) -> usize {
        4
    }

    fn decide(&self, loaded: &Loaded, command: &Command, _context: &Context) -> Result<Decided, Refusal> {
        let invitation = loaded.linked(command, &self.link)?;
        let recipient = Some(self.link.recipient).filter(|ordinal| *ordinal > 0);
        let payload = EngagementPayload { recipient, source: self.source.as_deref().map(scrubbed) };
        let payload = Payload::Engagement(payload);
        let events = vec![Maker::new(loaded, command).event(invitation, self.engagement.into(), payload)];
        let engagement = Some((invitation.id, self.engagement));
        Ok(Decided::changed(invitation.id, Changes { engagement, events, ..Changes::default() }))
    }
}
