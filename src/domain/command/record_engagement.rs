//! Counts what people and programs do with a link. Leaves the invitation itself alone, in every state.

use super::{Command, RecordEngagement};
use crate::domain::decide::{Changes, Decided, Maker};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::value::scrubbed::scrubbed;

pub(in crate::domain) fn decide(
    loaded: &Loaded,
    command: &Command,
    record: &RecordEngagement,
) -> Result<Decided, Refusal> {
    let invitation = loaded.linked(command, &record.link)?;
    let recipient = Some(record.link.recipient).filter(|ordinal| *ordinal > 0);
    let data = [("recipient", recipient.into()), ("source", record.source.as_deref().map(scrubbed).into())];
    let events = vec![Maker::new(loaded, command).event(invitation, record.engagement.into(), data)];
    let engagement = Some((invitation.id, record.engagement));
    Ok(Decided::changed(invitation.id, Changes { engagement, events, ..Changes::default() }))
}
