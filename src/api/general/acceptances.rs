//! The acceptances of one invitation or of all, one by its name or in pages.

use tonic::Status;

use crate::api::convert::acceptance::acceptance;
use crate::api::execute::{Api, Call, note_invitation};
use crate::api::parse::filter;
use crate::api::parse::invitation_filter::time_range;
use crate::api::parse::page;
use crate::api::parse::violations::Violations;
use crate::api::resource::{Parent, parse_acceptance};
use crate::domain::invitation::acceptance::Subject;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::value::text;
use crate::pb;
use crate::server::status;
use crate::store::{AcceptanceQuery, AccountAcceptances, Cursor};

/// Returns an acceptance.
pub(super) async fn get_acceptance(
    api: &Api,
    call: &Call,
    message: &pb::GetAcceptanceRequest,
    mut violations: Violations,
) -> Result<pb::Acceptance, Status> {
    let name = violations.required("name", &message.name, parse_acceptance);
    let (invitation, id) = violations.finish(name)?;
    let not_found = || Status::from(Refusal::AcceptanceNotFound(invitation, id));
    let reach = api.reach(call).await?;
    let found = api.find_lagging(Option::is_some, |reads| reads.get_acceptance(&reach, invitation, id)).await?;
    let found = found.ok_or_else(not_found)?;
    note_invitation(invitation);
    Ok(acceptance(&found))
}

/// Lists the acceptances of an invitation, or of all.
pub(super) async fn list_acceptances(
    api: &Api,
    call: &Call,
    message: &pb::ListAcceptancesRequest,
    mut violations: Violations,
) -> Result<pb::ListAcceptancesResponse, Status> {
    let asked = page::asked(api, call, message, "accept_time", &mut violations);
    let parent = violations.required("parent", &message.parent, Parent::parse);
    let subject = violations.optional("subject", &message.subject, text::opaque_id).map(Subject);
    // Every acceptance there is has the one state that can be asked for.
    filter::acceptance_states(&mut violations, &message.states);
    let accepted = time_range(&mut violations, "accept_time", message.accept_time.as_ref());
    let parent = violations.finish(parent)?;
    let reach = api.reach(call).await?;
    let (size, context) = (asked.size, (api, call, message));
    let show = |row: &_| Ok(acceptance(row));
    let (acceptances, next_page_token) = match parent {
        Parent::All => {
            let query = AccountAcceptances { subject, accepted, page: asked.account_page() };
            let found = api.read_lagging(|reads| reads.list_account_acceptances(&reach, &query)).await?;
            page::show_account(context, &found, size, show)?
        }
        Parent::One(name) => {
            let (invitation, kind) = name.id_and_kind();
            let (ascending, limit) = (asked.ascending, asked.limit());
            let of_invitation = AcceptanceQuery { kind, subject, accepted, ..AcceptanceQuery::of(invitation, limit) };
            let query = AcceptanceQuery { ascending, after: asked.after, ..of_invitation };
            let found = api.find_lagging(Option::is_some, |reads| reads.list_acceptances(&reach, &query)).await?;
            let rows = found.ok_or_else(status::not_found)?;
            note_invitation(invitation);
            page::show(context, (&rows, None), size, Cursor::of_acceptance, show)?
        }
    };
    Ok(pb::ListAcceptancesResponse { acceptances, next_page_token })
}
