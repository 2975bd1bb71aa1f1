//! `InvitationService.RevokeInvitations`: revokes all invitations that a filter finds.

use tonic::Status;

use super::{Sweep, Swept, sweep};
use crate::api::convert::count;
use crate::api::execute::{Api, Call};
use crate::api::parse::invitation_filter::invitation_filter;
use crate::api::parse::violations::Violations;
use crate::domain::command::{Action, RevokeInvitation};
use crate::domain::invitation::state::State;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::pb;
use crate::store::InvitationQuery;

/// Revokes the ACTIVE and EXPIRED invitations that the filter finds, and returns their number.
pub(crate) async fn revoke_invitations(
    api: &Api,
    call: &Call,
    message: &pb::RevokeInvitationsRequest,
    mut violations: Violations,
) -> Result<pb::RevokeInvitationsResponse, Status> {
    let query = query(&mut violations, message.filter.as_ref());
    let expected = message.expected_count.and_then(|expected| {
        let rule = Invalid::new(FieldRule::OutOfRange, "must not be negative");
        violations.take("expected_count", u64::try_from(expected).map_err(|_| rule))
    });
    let query = violations.finish(Some(query))?;
    let action = |target| Action::Revoke(RevokeInvitation { target });
    let Swept { changed, sample_names, more } = sweep(api, call, message, Sweep { query, expected, action }).await?;
    Ok(pb::RevokeInvitationsResponse { revoked_count: count(changed), sample_names, more })
}

/// Parses the filter. Only ACTIVE and EXPIRED invitations can be revoked.
fn query(violations: &mut Violations, filter: Option<&pb::InvitationFilter>) -> InvitationQuery {
    if filter.is_none_or(|filter| *filter == pb::InvitationFilter::default()) {
        violations.add("filter", FieldRule::Required, "must have at least one field");
    }
    let query = invitation_filter(violations, filter);
    for (index, state) in filter.iter().flat_map(|filter| &filter.states).enumerate() {
        use pb::InvitationState as Given;
        if let Ok(Given::Revoked | Given::Declined | Given::Fulfilled) = Given::try_from(*state) {
            let field = format!("filter.states[{index}]");
            violations.add(field, FieldRule::NotAllowed, "must be ACTIVE or EXPIRED: others cannot be revoked");
        }
    }
    let states = if query.states.is_empty() { vec![State::Active, State::Expired] } else { query.states };
    InvitationQuery { states, ..query }
}
