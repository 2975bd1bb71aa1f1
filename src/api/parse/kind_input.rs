//! The input of an accept that only one kind of invitation takes.

use uuid::Uuid;

use crate::api::connection::prefill;
use crate::api::execute::person::check_of_service;
use crate::api::parse::violations::Violations;
use crate::domain::kind::connection::NewConnection;
use crate::domain::reach::person::Person;
use crate::domain::value::text;
use crate::pb;

/// The input of an accept, of which at most one field is set.
#[derive(Debug, Default)]
pub(in crate::api) struct KindInput {
    /// The connection that was made.
    pub(in crate::api) created_connection: Option<NewConnection>,
    /// The organization that becomes a guest.
    pub(in crate::api) guest_organization_id: Option<Uuid>,
}

/// The input as the message of one RPC has it.
pub(in crate::api) enum GivenKindInput<'a> {
    CreatedConnection(&'a pb::CreatedConnection),
    GuestOrganizationId(&'a str),
}

impl<'a> From<&'a pb::accept_invitation_request::KindInput> for GivenKindInput<'a> {
    fn from(given: &'a pb::accept_invitation_request::KindInput) -> Self {
        use pb::accept_invitation_request::KindInput as Given;
        match given {
            Given::CreatedConnection(connection) => Self::CreatedConnection(connection),
            Given::GuestOrganizationId(id) => Self::GuestOrganizationId(id),
        }
    }
}

impl<'a> From<&'a pb::accept_invitations_entry::KindInput> for GivenKindInput<'a> {
    fn from(given: &'a pb::accept_invitations_entry::KindInput) -> Self {
        use pb::accept_invitations_entry::KindInput as Given;
        match given {
            Given::CreatedConnection(connection) => Self::CreatedConnection(connection),
            Given::GuestOrganizationId(id) => Self::GuestOrganizationId(id),
        }
    }
}

impl<'a> From<&'a pb::check_acceptance_request::KindInput> for GivenKindInput<'a> {
    fn from(given: &'a pb::check_acceptance_request::KindInput) -> Self {
        use pb::check_acceptance_request::KindInput as Given;
        match given {
            Given::CreatedConnection(connection) => Self::CreatedConnection(connection),
            Given::GuestOrganizationId(id) => Self::GuestOrganizationId(id),
        }
    }
}

const CREATED_CONNECTION: &str = "created_connection";
const GUEST_ORGANIZATION_ID: &str = "guest_organization_id";

/// Parses the input, which a person may not give: whose connection or organization it is, a service knows.
pub(in crate::api) fn kind_input(
    violations: &mut Violations,
    person: Option<&Person>,
    given: Option<GivenKindInput<'_>>,
) -> KindInput {
    match given {
        None => KindInput::default(),
        Some(GivenKindInput::CreatedConnection(given)) => {
            check_of_service(violations, person, CREATED_CONNECTION, true);
            let created_connection = prefill::created_connection(violations, CREATED_CONNECTION, given);
            KindInput { created_connection, ..KindInput::default() }
        }
        Some(GivenKindInput::GuestOrganizationId(given)) => {
            check_of_service(violations, person, GUEST_ORGANIZATION_ID, true);
            let guest_organization_id = violations.take(GUEST_ORGANIZATION_ID, text::uuid(given));
            KindInput { guest_organization_id, ..KindInput::default() }
        }
    }
}
