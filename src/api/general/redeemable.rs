//! The part of an invitation that a caller sees who may redeem it but not read it.

use super::seen_by_person::received;
use crate::api::execute::Call;
use crate::domain::invitation::Invitation;
use crate::domain::value::time::Timestamp;
use crate::pb;
use crate::pb::invitation::Details;

/// Returns the message of an invitation for a caller: all of it, or what the preview shows, with the acceptances that are in it. A
/// person sees less: see [`received`].
pub(in crate::api) fn redeemable(
    call: &Call,
    invitation: &Invitation,
    now: Timestamp,
    whole: pb::Invitation,
) -> pb::Invitation {
    if let Some(person) = call.person() {
        return received(person, invitation, now, whole);
    }
    if call.reads_all_of(invitation.details.host()) {
        return whole;
    }
    pb::Invitation {
        name: whole.name,
        uid: whole.uid,
        typed_name: whole.typed_name,
        account: whole.account,
        kind: whole.kind,
        state: whole.state,
        invitation_type: whole.invitation_type,
        expiration: whole.expiration,
        expired: whole.expired,
        max_uses: whole.max_uses,
        use_count: whole.use_count,
        scope: whole.scope,
        groups: whole.groups,
        roles: whole.roles,
        inviter: whole.inviter.map(|inviter| pb::Inviter {
            display_name: inviter.display_name,
            avatar_uri: inviter.avatar_uri,
            ..pb::Inviter::default()
        }),
        message: whole.message,
        locale: whole.locale,
        redirect_uri: whole.redirect_uri,
        metadata: whole.metadata,
        acceptances: whole.acceptances,
        token_visibility: whole.token_visibility,
        accept_time: whole.accept_time,
        decline_time: whole.decline_time,
        revoke_time: whole.revoke_time,
        etag: whole.etag,
        details: whole.details.and_then(of_kind),
        ..pb::Invitation::default()
    }
}

fn of_kind(details: Details) -> Option<Details> {
    match details {
        Details::ConnectionDetails(_) => Some(details),
        // It has the address alone.
        Details::UserDetails(_) => None,
        Details::GuestDetails(guest) => Some(Details::GuestDetails(pb::GuestDetails {
            host_organization_id: guest.host_organization_id,
            status: guest.status,
            guest_organization_id: guest.guest_organization_id,
            parent_organization_name: guest.parent_organization_name,
            ..pb::GuestDetails::default()
        })),
    }
}
