//! The resume token of a watch: the position of an event, sealed, for its account alone and whatever the filter.

use tonic::Status;

use crate::api::execute::{Api, Call};
use crate::domain::invitation::event::Event;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::pb;

fn context(call: &Call) -> Vec<u8> {
    [call.caller.account.as_str().as_bytes(), b"\0WatchEvents"].concat()
}

/// Parses a token.
pub(crate) fn parse(api: &Api, call: &Call, token: &str) -> Result<i64, Invalid> {
    let position = api.ring.open(&context(call), token).and_then(|position| position.try_into().ok());
    position
        .map(i64::from_be_bytes)
        .ok_or(Invalid::new(FieldRule::UnknownValue, "must be the resume_token of an event"))
}

/// Converts an event, with the token that resumes behind it if it has its position already.
pub(crate) fn event(api: &Api, call: &Call, event: &Event) -> Result<pb::Event, Status> {
    let mut converted = super::convert::event(event);
    if let Some(position) = event.position {
        let sealed = api.ring.seal(&context(call), &position.to_be_bytes(), api.entropy.bytes());
        converted.resume_token = sealed.ok_or_else(|| api.defect(&"a resume token cannot be sealed"))?;
    }
    Ok(converted)
}
