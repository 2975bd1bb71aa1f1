//! BatchGetInvitations: several invitations in one read, all of them or none.

use std::collections::{BTreeSet, HashMap};

use tonic::Status;

use crate::api::execute::{Api, Call};
use crate::api::parse::violations::Violations;
use crate::api::resource::InvitationName;
use crate::domain::value::id::InvitationId;
use crate::domain::value::rule::FieldRule;
use crate::pb;
use crate::server::status;

const MAX_NAMES: usize = 100;

/// Reads the named invitations, and answers in the order of the names.
pub(super) async fn batch_get_invitations(
    api: &Api,
    call: &Call,
    message: &pb::BatchGetInvitationsRequest,
    mut violations: Violations,
) -> Result<pb::BatchGetInvitationsResponse, Status> {
    if message.names.is_empty() {
        violations.add("names", FieldRule::Required, "is required");
    }
    let names = violations.each("names", &message.names, MAX_NAMES, InvitationName::parse);
    let reach = api.reach(call).await?;
    let names = violations.finish(Some(names))?;
    let ids: BTreeSet<InvitationId> = names.iter().map(|name| name.id()).collect();
    // One that is missing makes the call fail.
    let is_found = |found: &Option<Vec<_>>| found.as_ref().is_none_or(|found| found.len() == ids.len());
    let found = api.find_lagging(is_found, |reads| reads.get_invitations(&reach, &ids)).await?;
    let found = found.ok_or_else(status::answer_too_large)?;
    let found: HashMap<_, _> = found.into_iter().map(|read| (read.found.id, read)).collect();
    let mut invitations = Vec::with_capacity(names.len());
    for (name, given) in names.into_iter().zip(&message.names) {
        let (id, kind) = name.id_and_kind();
        let read = found.get(&id).filter(|read| kind.is_none_or(|kind| kind == read.found.details.kind()));
        let read = read.ok_or_else(|| status::named_not_found(given))?;
        invitations.push(api.resource(call, &read.found, read.now)?);
    }
    Ok(pb::BatchGetInvitationsResponse { invitations })
}
