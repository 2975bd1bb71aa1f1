//! A person who calls as themselves: what they may leave out of a request, and what they may not say in it.

use tonic::Status;
use tonic::metadata::MetadataMap;

use super::Call;
use super::organization_access::{REQUESTER, TARGET};
use crate::api::parse::violations::Violations;
use crate::auth::caller::Caller;
use crate::auth::permission::Required;
use crate::domain::invitation::recipient::Address;
use crate::domain::reach::person::Person;
use crate::pb;
use crate::server::status;
use crate::store::InvitationQuery;

/// Refuses a call that its requirement does not open to persons, although its caller is one, and a person for whom an organization
/// is to act. A caller who is no person passes.
pub(super) fn check(caller: &Caller, required: Required, metadata: &MetadataMap) -> Result<(), Status> {
    if caller.person().is_none() {
        return Ok(());
    }
    if let Some(permission) = required.lacked_by(caller) {
        return Err(status::permission_denied(caller, permission));
    }
    if [REQUESTER, TARGET].into_iter().any(|key| metadata.contains_key(key)) {
        return Err(status::no_organization_of_person());
    }
    Ok(())
}

/// Refuses a field by which services alone speak, if a person has set it.
pub(crate) fn check_of_service(violations: &mut Violations, person: Option<&Person>, field: &str, is_set: bool) {
    if is_set && person.is_some() {
        violations.deny(status::not_oneself(field));
    }
}

impl Call {
    /// Returns the person who calls as themselves, if one does.
    pub(crate) fn person(&self) -> Option<&Person> {
        self.caller.person().map(AsRef::as_ref)
    }

    /// Returns the addresses of an invitee, one of which a request may name. A person is the invitee, by the one that they name, or
    /// by all of theirs.
    pub(crate) fn invitee(&self, violations: &mut Violations, named: Option<Address>) -> Vec<Address> {
        let address = self.own_target(violations, named);
        match (self.person(), address) {
            (_, Some(address)) => vec![address],
            (Some(person), None) => person.addresses(),
            (None, None) => Vec::new(),
        }
    }

    /// Refuses the address in the field `target` if the caller is a person whose it is not.
    pub(crate) fn own_target(&self, violations: &mut Violations, named: Option<Address>) -> Option<Address> {
        let is_foreign = |address: &Address| self.person().is_some_and(|person| !person.has(address));
        match named {
            Some(address) if is_foreign(&address) => {
                violations.deny(status::not_oneself("target"));
                None
            }
            named => named,
        }
    }

    /// Returns the query of a list; for a person, that of the invitations that they sent, chosen by nothing that they are not shown.
    pub(crate) fn sent(
        &self,
        violations: &mut Violations,
        query: InvitationQuery,
        filter: Option<&pb::InvitationFilter>,
    ) -> InvitationQuery {
        let Some(person) = self.person() else { return query };
        let own = &person.subject.0;
        if let Some(filter) = filter {
            let others = !filter.inviter_user_id.is_empty() && filter.inviter_user_id != *own;
            for (field, is_set) in [
                ("filter.inviter_user_id", others),
                ("filter.creator", !filter.creator.is_empty()),
                ("filter.labels", !filter.labels.is_empty()),
                ("filter.widget_configuration_id", !filter.widget_configuration_id.is_empty()),
                ("filter.subtype", !filter.subtype.is_empty()),
            ] {
                check_of_service(violations, Some(person), field, is_set);
            }
        }
        InvitationQuery { inviter_user_id: Some(own.clone()), ..query }
    }
}
