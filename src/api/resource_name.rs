//! Resource names (AIP-122): `{collection}/{uuid}`.

use tonic::Status;
use uuid::Uuid;

use super::violations::Violations;
use crate::domain::command::Target;
use crate::domain::kind::Kind;
use crate::domain::value::id::{AcceptanceId, InvitationId};
use crate::domain::value::text;
use crate::domain::value::text::Invalid;
use crate::server::status::not_found;

/// The collection whose names fit an invitation of any kind.
const ANY: &str = "invitations";

/// The name of an invitation, parsed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InvitationName {
    collection: Collection,
    id: InvitationId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Collection {
    Any,
    Of(Kind),
}

/// The name that fits any kind of invitation.
pub(crate) fn invitation_name(id: InvitationId) -> String {
    format!("{ANY}/{}", id.0)
}

/// The name of an acceptance.
pub(crate) fn acceptance_name(invitation: InvitationId, id: AcceptanceId) -> String {
    format!("{}/acceptances/{}", invitation_name(invitation), id.0)
}

/// The name of a message about an invitation.
pub(crate) fn delivery_name(invitation: InvitationId, id: Uuid) -> String {
    format!("{}/deliveries/{id}", invitation_name(invitation))
}

impl InvitationName {
    /// Parses the name of an invitation.
    pub(crate) fn parse(name: &str) -> Result<Self, Invalid> {
        const INVALID: Invalid = Invalid("must be the name of an invitation, such as connectionInvitations/{uuid}");
        let (collection, id) = name.split_once('/').ok_or(INVALID)?;
        let collection = match Kind::ALL.into_iter().find(|kind| kind.collection() == collection) {
            // The names of general invitations fit any.
            Some(Kind::General) => Collection::Any,
            Some(kind @ (Kind::Connection | Kind::User | Kind::Guest)) => Collection::Of(kind),
            None => return Err(INVALID),
        };
        Ok(Self { collection, id: InvitationId(text::uuid(id).map_err(|_| INVALID)?) })
    }

    /// Returns the id in the name, whatever the collection.
    pub(crate) fn id(self) -> InvitationId {
        self.id
    }

    /// Returns the invitation that a service for one kind, or for any, may look for.
    pub(crate) fn within(self, service: Option<Kind>) -> Result<(InvitationId, Option<Kind>), Status> {
        match (self.collection, service) {
            (Collection::Any, kind) => Ok((self.id, kind)),
            (Collection::Of(kind), None) => Ok((self.id, Some(kind))),
            (Collection::Of(kind), Some(wanted)) if kind == wanted => Ok((self.id, Some(kind))),
            (Collection::Of(_), Some(_)) => Err(not_found()),
        }
    }

    /// Returns the target of a command.
    pub(crate) fn target(self, service: Option<Kind>, etag: &str) -> Result<Target, Status> {
        let (id, kind) = self.within(service)?;
        let hides_deleted = service.is_some();
        Ok(Target { id, kind, hosts: None, hides_deleted, etag: Some(etag.to_owned()).filter(|etag| !etag.is_empty()) })
    }
}

/// Parses the field `name` of a request.
pub(crate) fn parse_name(violations: &mut Violations, name: &str) -> Option<InvitationName> {
    violations.required("name", name, InvitationName::parse)
}

/// Parses `invitations/{uuid}/acceptances/{uuid}`.
pub(crate) fn parse_acceptance(name: &str) -> Result<(InvitationId, AcceptanceId), Invalid> {
    const INVALID: Invalid = Invalid("must be invitations/{uuid}/acceptances/{uuid}");
    let parts: Vec<&str> = name.split('/').collect();
    let uuid = |value| text::uuid(value).map_err(|_| INVALID);
    match parts.as_slice() {
        [ANY, invitation, "acceptances", id] => {
            let id: Uuid = uuid(id)?;
            Ok((InvitationId(uuid(invitation)?), AcceptanceId(id)))
        }
        _ => Err(INVALID),
    }
}
