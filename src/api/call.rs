//! One call: who makes it and by when it has to be answered, as the boundary found out.

use tonic::{Request, Status};
use uuid::Uuid;

use super::organization_headers::Organizations;
use super::requests::Retryable;
use super::violations::Violations;
use crate::auth::caller::Caller;
use crate::auth::permission::Permission;
use crate::domain::value::id::InvitationId;
use crate::server::deadline::Deadline;
use crate::server::status;

/// What a handler knows of its call beside the message.
pub(crate) struct Call {
    pub(crate) caller: Caller,
    pub(crate) deadline: Deadline,
    /// The organizations in its metadata, if both are there.
    organizations: Option<Organizations>,
}

impl Call {
    /// Splits a request. A request that did not come through the boundary has no caller, and is refused.
    pub(crate) fn of<T>(request: Request<T>) -> Result<(Self, T), Status> {
        let (metadata, mut extensions, message) = request.into_parts();
        let organizations = Organizations::parse(&mut Violations::default(), &metadata);
        match (extensions.remove::<Caller>(), extensions.remove::<Deadline>()) {
            (Some(caller), Some(deadline)) => Ok((Self { caller, deadline, organizations }, message)),
            _ => Err(status::unauthenticated()),
        }
    }

    /// Returns the organizations that decide beside a message what the call may do: the one that asks and the one it asks for.
    /// `None` if the caller speaks for the whole account.
    pub(crate) fn organizations<T: Retryable>(&self) -> Option<(Uuid, Uuid)> {
        let given = self.organizations.filter(|_| T::BETWEEN_ORGANIZATIONS);
        let given = given.map(|organizations| (organizations.requester, organizations.target));
        given.or(self.caller.organization_id.map(|own| (own, own)))
    }

    /// Returns whether tokens and links may be shown.
    pub(crate) fn sees_tokens(&self) -> bool {
        self.caller.may(Permission::TokensRead)
    }
}

/// Notes in the call's log line which invitation it is about.
pub(crate) fn note_invitation(id: InvitationId) {
    tracing::Span::current().record("invitation", tracing::field::display(id.0));
}
