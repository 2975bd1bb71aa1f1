//! The resume token of a watch: a position in the order of all events, for one account alone and whatever the filter.
//!
//! A forged token could only choose another position among the events of its own account, so nothing here depends on its
//! authenticity. It is sealed because positions count the events of all accounts: two plain ones would tell an account how much
//! all others do. The key lies in the database and is as old as the positions are, so that no rotation of the service's keys
//! ends a token; whoever reads the database knows the positions anyway.

use tonic::Status;

use crate::api::execute::{Api, Call};
use crate::domain::invitation::event::Event;
use crate::domain::secret::key_ring::KeyRing;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::entropy::Entropy;
use crate::pb;

/// Makes and reads the resume tokens of one account.
#[derive(Debug)]
pub(crate) struct ResumeTokens {
    key: KeyRing,
    context: Vec<u8>,
    entropy: Entropy,
}

impl ResumeTokens {
    /// Creates it for the account of a call.
    pub(crate) async fn of(api: &Api, call: &Call) -> Result<Self, Status> {
        let key = api.read(api.store.resume_key()).await?;
        let context = [call.caller.account.as_str().as_bytes(), b"\0WatchEvents"].concat();
        Ok(Self { key, context, entropy: api.entropy })
    }

    /// Parses a token.
    pub(crate) fn parse(&self, token: &str) -> Result<i64, Invalid> {
        const INVALID: Invalid =
            Invalid::new(FieldRule::UnknownValue, "must be the resume_token of an event or of a checkpoint");
        let position = self.key.open(&self.context, token).and_then(|position| position.try_into().ok());
        position.map(i64::from_be_bytes).ok_or(INVALID)
    }

    /// Returns the token of a position.
    pub(crate) fn token(&self, api: &Api, position: i64) -> Result<String, Status> {
        let sealed = self.key.seal(&self.context, &position.to_be_bytes(), self.entropy.bytes());
        sealed.ok_or_else(|| api.defect(&"a resume token cannot be sealed"))
    }

    /// Converts an event, with the token that resumes behind it if it has its position already.
    pub(crate) fn event(&self, api: &Api, event: &Event) -> Result<pb::Event, Status> {
        let mut converted = super::convert::event(event);
        if let Some(position) = event.position {
            converted.resume_token = self.token(api, position)?;
        }
        Ok(converted)
    }
}
