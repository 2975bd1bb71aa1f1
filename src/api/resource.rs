//! The faces of an invitation: the one of its own kind's service, and the general one. What all services do with theirs.

use tonic::{Response, Status};

use super::call::Call;
use super::connection::convert::connection_invitation;
use super::execute::{Api, Resend, check_request_id};
use super::general::convert_invitation::invitation;
use super::guest::convert::guest_invitation;
use super::requests::{Named, Retryable};
use super::resource_name::parse_name;
use super::user::convert::user_invitation;
use super::violations::Violations;
use crate::domain::command::{Action, CreateInvitation, ResendInvitation, RevokeInvitation};
use crate::domain::group::Executed;
use crate::domain::invitation::Invitation;
use crate::domain::kind::{Details, Kind};
use crate::domain::value::time::Timestamp;
use crate::pb;
use crate::server::status;
use crate::store::Read;

/// A message that shows an invitation.
pub(crate) trait Resource: Sized {
    /// The kind whose service shows it; none for the general service.
    const KIND: Option<Kind>;

    /// Converts an invitation, unless it is of another kind; `link` is its token and link, empty for callers who may not see
    /// them.
    fn of(invitation: &Invitation, now: Timestamp, link: (String, String)) -> Option<Self>;
}

impl Resource for pb::ConnectionInvitation {
    const KIND: Option<Kind> = Some(Kind::Connection);

    fn of(invitation: &Invitation, now: Timestamp, link: (String, String)) -> Option<Self> {
        let Details::Connection(details) = &invitation.details else { return None };
        Some(connection_invitation(details, invitation, now, link))
    }
}

impl Resource for pb::UserInvitation {
    const KIND: Option<Kind> = Some(Kind::User);

    fn of(invitation: &Invitation, now: Timestamp, link: (String, String)) -> Option<Self> {
        let Details::User(details) = &invitation.details else { return None };
        Some(user_invitation(details, invitation, now, link))
    }
}

impl Resource for pb::GuestInvitation {
    const KIND: Option<Kind> = Some(Kind::Guest);

    fn of(invitation: &Invitation, now: Timestamp, link: (String, String)) -> Option<Self> {
        let Details::Guest(details) = &invitation.details else { return None };
        Some(guest_invitation(details, invitation, now, link))
    }
}

/// With those of its acceptances that came with it.
impl Resource for pb::Invitation {
    const KIND: Option<Kind> = None;

    fn of(found: &Invitation, now: Timestamp, link: (String, String)) -> Option<Self> {
        Some(invitation(found, &found.acceptances, now, link))
    }
}

impl Api {
    /// Shows an invitation.
    pub(crate) fn face<F: Resource>(&self, call: &Call, found: &Invitation, now: Timestamp) -> Result<F, Status> {
        F::of(found, now, self.link(call, found)).ok_or_else(status::not_found)
    }

    /// Shows a page of a list.
    pub(crate) fn faces<F: Resource>(&self, call: &Call, rows: &[Read<Invitation>]) -> Result<Vec<F>, Status> {
        rows.iter().map(|read| self.face(call, &read.found, read.now)).collect()
    }

    /// Answers a command.
    pub(crate) fn answer<F: Resource>(&self, call: &Call, executed: &Executed) -> Result<Response<F>, Status> {
        self.face(call, &executed.invitation, executed.now).map(Response::new)
    }

    /// Creates an invitation from what was parsed of a message.
    pub(crate) async fn create<F: Resource, T: Retryable>(
        &self,
        call: &Call,
        message: &T,
        mut violations: Violations,
        create: Option<CreateInvitation>,
    ) -> Result<Response<F>, Status> {
        check_request_id(&mut violations, message.request_id());
        let create = Action::Create(Box::new(violations.finish(create)?));
        self.answer(call, &self.execute(call, message, None, create).await?)
    }

    /// Gets an invitation by its name, with its newest acceptances if they are shown.
    pub(crate) async fn get_face<F: Resource>(
        &self,
        call: &Call,
        name: &str,
        newest: bool,
    ) -> Result<Response<F>, Status> {
        let mut violations = Violations::default();
        let name = parse_name(&mut violations, name);
        let (id, kind) = violations.finish(name)?.within(F::KIND)?;
        let read = self.get(call, id, kind, newest).await?;
        // What its own service was told to forget is still there for the general one.
        if F::KIND.is_some() && read.found.deleted_at.is_some() {
            return Err(status::not_found());
        }
        self.face(call, &read.found, read.now).map(Response::new)
    }

    /// Revokes the invitation that the message names.
    pub(crate) async fn revoke<F: Resource, T: Named>(&self, call: &Call, message: &T) -> Result<Response<F>, Status> {
        let revoke = |target| Action::Revoke(RevokeInvitation { target });
        self.answer(call, &self.change(call, message, F::KIND, Violations::default(), revoke).await?)
    }

    /// Sends the invitation that the message names again.
    pub(crate) async fn resend<F: Resource, T: Named>(
        &self,
        call: &Call,
        message: &T,
        violations: Violations,
        resend: Resend,
    ) -> Result<Response<F>, Status> {
        let Resend { rotate, expiry } = resend;
        let resend = |target| Action::Resend(ResendInvitation { target, rotate, expiry });
        self.answer(call, &self.change(call, message, F::KIND, violations, resend).await?)
    }
}
