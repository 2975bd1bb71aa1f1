//! `InvitationService.ReassignInvitations`: gives another inviter to the open invitations of a person.

use tonic::Status;

use super::{Sweep, Swept, sweep};
use crate::api::convert::count;
use crate::api::execute::{Api, Call};
use crate::api::parse::shared::to_inviter;
use crate::api::parse::violations::Violations;
use crate::domain::command::{Action, ReassignInvitation};
use crate::domain::invitation::state::State;
use crate::domain::kind::shared::Inviter;
use crate::domain::value::rule::FieldRule;
use crate::domain::value::text;
use crate::pb;
use crate::store::InvitationQuery;

/// Gives another inviter to the ACTIVE and EXPIRED invitations of a person, and returns their number.
pub(crate) async fn reassign_invitations(
    api: &Api,
    call: &Call,
    message: &pb::ReassignInvitationsRequest,
    mut violations: Violations,
) -> Result<pb::ReassignInvitationsResponse, Status> {
    let from = violations.required("from_user_id", &message.from_user_id, text::opaque_id);
    let to = to(&mut violations, message);
    let (from, to) = violations.finish(from.zip(to))?;
    let query = InvitationQuery {
        states: vec![State::Active, State::Expired],
        inviter_user_id: Some(from.clone()),
        include_deleted: true,
        ..InvitationQuery::default()
    };
    let action = |target| {
        let (from, to) = (from.clone(), to.clone());
        Action::Reassign(Box::new(ReassignInvitation { target, from, to }))
    };
    let Swept { changed, sample_names, more } =
        sweep(api, call, message, Sweep { query, expected: None, action }).await?;
    Ok(pb::ReassignInvitationsResponse { reassigned_count: count(changed), sample_names, more })
}

/// Parses the new inviter, who has a name, since user invitations need one, and is another person.
fn to(violations: &mut Violations, message: &pb::ReassignInvitationsRequest) -> Option<Inviter> {
    let Some(given) = &message.to else {
        violations.add("to", FieldRule::Required, "is required");
        return None;
    };
    let to = to_inviter(violations, "to", given);
    for (field, value) in [("to.user_id", &given.user_id), ("to.display_name", &given.display_name)] {
        if value.is_empty() {
            violations.add(field, FieldRule::Required, "is required");
        }
    }
    if !given.user_id.is_empty() && given.user_id == message.from_user_id {
        let description = "must be another than from_user_id: the Update RPCs correct an inviter";
        violations.add("to.user_id", FieldRule::Conflicts, description);
    }
    Some(to)
}
