//! The acceptances of one invitation or of all: one by its name, in pages, their changes and their end.

use tonic::Status;

use crate::api::convert::acceptance::{acceptance, with_etag};
use crate::api::execute::{Api, Call, note_invitation};
use crate::api::parse::field_mask::FieldMask;
use crate::api::parse::filter;
use crate::api::parse::invitation_filter::time_range;
use crate::api::parse::moment;
use crate::api::parse::page;
use crate::api::parse::violations::Violations;
use crate::api::resource::{Parent, parse_acceptance};
use crate::domain::command::{AcceptanceTarget, Action, ReleaseAcceptance, UpdateAcceptance};
use crate::domain::group::Executed;
use crate::domain::invitation::acceptance::{ReleaseMode, Subject};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::value::id::{AcceptanceId, InvitationId};
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::text;
use crate::pb;
use crate::server::status;
use crate::store::{AcceptanceFilter, AcceptanceQuery, AccountAcceptances, Cursor};

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
    Ok(with_etag(&found, api.clock.now()))
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
    let states = filter::acceptance_states(&mut violations, &message.states);
    let accepted = time_range(&mut violations, "accept_time", message.accept_time.as_ref());
    let parent = violations.finish(parent)?;
    let reach = api.reach(call).await?;
    let (size, context, now) = (asked.size, (api, call, message), api.clock.now());
    let filter = AcceptanceFilter { subject, states, now, accepted };
    let show = |row: &_| Ok(with_etag(row, now));
    let (acceptances, next_page_token) = match parent {
        Parent::All => {
            let query = AccountAcceptances { filter, page: asked.account_page() };
            let found = api.read_lagging(|reads| reads.list_account_acceptances(&reach, &query)).await?;
            page::show_account(context, &found, size, show)?
        }
        Parent::One(name) => {
            let (invitation, kind) = name.id_and_kind();
            let (ascending, limit) = (asked.ascending, asked.limit());
            let of_invitation = AcceptanceQuery { kind, filter, ..AcceptanceQuery::of(invitation, limit) };
            let query = AcceptanceQuery { ascending, after: asked.after, ..of_invitation };
            let found = api.find_lagging(Option::is_some, |reads| reads.list_acceptances(&reach, &query)).await?;
            let rows = found.ok_or_else(status::not_found)?;
            note_invitation(invitation);
            page::show(context, (&rows, None), size, Cursor::of_acceptance, show)?
        }
    };
    Ok(pb::ListAcceptancesResponse { acceptances, next_page_token })
}

/// Undoes an acceptance, or ends it.
pub(super) async fn release_acceptance(
    api: &Api,
    call: &Call,
    message: &pb::ReleaseAcceptanceRequest,
    mut violations: Violations,
) -> Result<pb::Acceptance, Status> {
    let name = violations.required("name", &message.name, parse_acceptance);
    let target = target(&mut violations, "etag", (name, &message.etag));
    let mode = violations.take("mode", mode(message.mode));
    let reason = violations.remark("reason", &message.reason);
    let release = target.zip(mode).map(|(target, mode)| ReleaseAcceptance { target, mode, reason });
    let executed = api.execute(call, message, violations, release.map(Action::ReleaseAcceptance)).await?;
    changed(api, &executed)
}

/// Changes the time for which an acceptance counts.
pub(super) async fn update_acceptance(
    api: &Api,
    call: &Call,
    message: &pb::UpdateAcceptanceRequest,
    mut violations: Violations,
) -> Result<pb::Acceptance, Status> {
    let empty = pb::Acceptance::default();
    let given = message.acceptance.as_ref().unwrap_or(&empty);
    let name = violations.required("acceptance.name", &given.name, parse_acceptance);
    let target = target(&mut violations, "acceptance.etag", (name, &given.etag));
    let field = "grant_expire_time";
    let mask =
        FieldMask::parse(&mut violations, message.update_mask.as_ref(), [(field, given.grant_expire_time.is_some())]);
    let expire_at = moment(&mut violations, "acceptance.grant_expire_time", given.grant_expire_time);
    let grant_expire_at = mask.has(field).then_some(expire_at);
    let update = target.map(|target| Action::UpdateAcceptance(UpdateAcceptance { target, grant_expire_at }));
    let executed = api.execute(call, message, violations, update).await?;
    changed(api, &executed)
}

/// Returns the target with a name and an etag.
fn target(
    violations: &mut Violations,
    field: &str,
    (name, etag): (Option<(InvitationId, AcceptanceId)>, &str),
) -> Option<AcceptanceTarget> {
    let etag = violations.optional(field, etag, text::opaque_id);
    name.map(|(invitation, id)| AcceptanceTarget { invitation, id, etag })
}

fn mode(mode: i32) -> Result<ReleaseMode, Invalid> {
    match pb::ReleaseMode::try_from(mode) {
        Ok(pb::ReleaseMode::Undo) => Ok(ReleaseMode::Undo),
        Ok(pb::ReleaseMode::End) => Ok(ReleaseMode::End),
        Ok(pb::ReleaseMode::Unspecified) => Err(Invalid::new(FieldRule::Required, "is required")),
        Err(_) => Err(Invalid::new(FieldRule::UnknownValue, "must be a known mode")),
    }
}

/// Shows an acceptance as a command left it, or would have: without the etag that nothing has.
fn changed(api: &Api, executed: &Executed) -> Result<pb::Acceptance, Status> {
    let Some(changed) = &executed.acceptance else {
        return Err(api.defect(&"a command about an acceptance has left none"));
    };
    let now = executed.now;
    Ok(if executed.dry_run { acceptance(changed, now) } else { with_etag(changed, now) })
}
