//! The invitees of one inviter in a day.

use super::{Addition, DAY, PER_INVITER, QuotaChanges, check, day_of, invitees, inviter_key};
use crate::domain::command::Command;
use crate::domain::decide::{Change, Changes};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::refusal::Refusal;

/// Adds the people whom a command invites, if they fit.
pub(super) fn charge(
    limit: u32,
    loaded: &Loaded,
    (command, changes): (&Command, &Changes),
    quotas: &mut QuotaChanges,
) -> Result<(), Refusal> {
    let (net, inviting) = match changes.invitations.first() {
        // A sync of an auto-join invites nobody.
        Some(Change::Create(created)) if command.rules().create().is_some() => {
            (i64::from(invitees(created.recipients.len())), created)
        }
        Some(Change::Update { invitation, .. }) => {
            let Ok(before) = loaded.invitation(command.account(), invitation.id) else { return Ok(()) };
            // Nobody is ever taken off the list of all recipients.
            let added = invitation.recipients.len().saturating_sub(before.recipients.len());
            (i64::try_from(added).unwrap_or(i64::MAX), before.as_ref())
        }
        Some(Change::Create(_)) | None => return Ok(()),
    };
    if net > 0 {
        let key = inviter_key(command.account(), &inviting.details, &command.actor);
        let period = day_of(loaded.now);
        let wait = period.later(DAY).since(loaded.now);
        check(PER_INVITER, limit, (loaded.quota(&key, period).used, net), Some(wait))?;
        quotas.additions.push(Addition { key, period, net, by_holds: false, most: limit.into() });
    }
    Ok(())
}
