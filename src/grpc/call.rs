//! One call: who makes it and by when it has to be answered, as the boundary found out.

use tonic::{Request, Status};

use super::deadline::Deadline;
use super::status;
use crate::auth::caller::Caller;
use crate::auth::permission::Permission;
use crate::domain::id::InvitationId;

/// What a handler knows of its call beside the message.
pub(super) struct Call {
    pub(super) caller: Caller,
    pub(super) deadline: Deadline,
}

impl Call {
    /// Splits a request. A request that did not come through the boundary has no caller, and is refused.
    pub(super) fn of<T>(request: Request<T>) -> Result<(Self, T), Status> {
        let (_, mut extensions, message) = request.into_parts();
        match (extensions.remove::<Caller>(), extensions.remove::<Deadline>()) {
            (Some(caller), Some(deadline)) => Ok((Self { caller, deadline }, message)),
            _ => Err(status::unauthenticated()),
        }
    }

    /// Returns whether tokens and links may be shown.
    pub(super) fn sees_tokens(&self) -> bool {
        self.caller.may(Permission::TokensRead)
    }
}

/// Notes in the call's log line which invitation it is about.
pub(super) fn note_invitation(id: InvitationId) {
    tracing::Span::current().record("invitation", tracing::field::display(id.0));
}
