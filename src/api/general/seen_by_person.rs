//! The parts of an invitation that a person sees: as one of its recipients, or as its inviter.

use crate::api::execute::Call;
use crate::api::redemption::preview::preview;
use crate::domain::invitation::Invitation;
use crate::domain::reach::person::Person;
use crate::domain::value::time::Timestamp;
use crate::pb;
use crate::pb::invitation::Details;

/// Returns the message of an invitation for a recipient: the fields of the preview, which every holder of a link may see, but for the
/// addresses in it, and the recipient's own acceptance. `whole` has the names, the expiry and the acceptances.
pub(super) fn received(
    person: &Person,
    invitation: &Invitation,
    now: Timestamp,
    whole: pb::Invitation,
) -> pb::Invitation {
    let preview = preview(invitation, &invitation.claims(0), Some(person), now);
    pb::Invitation {
        name: whole.name,
        uid: whole.uid,
        typed_name: whole.typed_name,
        account: whole.account,
        kind: preview.kind,
        state: preview.state,
        invitation_type: whole.invitation_type,
        expiration: whole.expiration,
        expired: whole.expired,
        scope: preview.scope,
        groups: preview.groups,
        roles: preview.roles,
        inviter: preview.inviter,
        message: preview.message,
        locale: preview.locale,
        redirect_uri: preview.redirect_uri,
        metadata: preview.metadata.filter(|_| whole.metadata.is_some()),
        acceptances: own_acceptances(person, whole.acceptances),
        token_visibility: whole.token_visibility,
        details: whole.details.and_then(received_details),
        ..pb::Invitation::default()
    }
}

/// Returns the acceptances of a person among those of an invitation.
fn own_acceptances(person: &Person, acceptances: Vec<pb::Acceptance>) -> Vec<pb::Acceptance> {
    acceptances.into_iter().filter(|acceptance| acceptance.subject == person.subject.0).collect()
}

/// Returns the fields of a kind that its preview has.
fn received_details(details: Details) -> Option<Details> {
    match details {
        Details::ConnectionDetails(_) => Some(details),
        // It has the address alone.
        Details::UserDetails(_) => None,
        Details::GuestDetails(guest) => Some(Details::GuestDetails(pb::GuestDetails {
            host_organization_id: guest.host_organization_id,
            parent_organization_name: guest.parent_organization_name,
            ..pb::GuestDetails::default()
        })),
    }
}

/// Returns the message of an invitation of a list: all of it, or what its inviter may know, if the caller is that person. They know
/// whom they have invited to what, and what has come of it, but neither the caller's data of the service that created it, nor
/// whether an invited person has an account.
pub(super) fn sent(call: &Call, whole: pb::Invitation) -> pb::Invitation {
    if call.person().is_none() {
        return whole;
    }
    let target = |target| pb::Target { existing_user: None, ..target };
    pb::Invitation {
        name: whole.name,
        uid: whole.uid,
        typed_name: whole.typed_name,
        account: whole.account,
        kind: whole.kind,
        state: whole.state,
        status: whole.status,
        invitation_type: whole.invitation_type,
        recipient_match: whole.recipient_match,
        targets: whole.targets.into_iter().map(target).collect(),
        recipient_count: whole.recipient_count,
        expiration: whole.expiration,
        expired: whole.expired,
        deactivated: whole.deactivated,
        archived: whole.archived,
        max_uses: whole.max_uses,
        use_count: whole.use_count,
        scope: whole.scope,
        groups: whole.groups,
        roles: whole.roles,
        inviter: whole.inviter,
        message: whole.message,
        locale: whole.locale,
        redirect_uri: whole.redirect_uri,
        metadata: whole.metadata,
        mailed: whole.mailed,
        token_visibility: whole.token_visibility,
        create_time: whole.create_time,
        update_time: whole.update_time,
        accept_time: whole.accept_time,
        decline_time: whole.decline_time,
        revoke_time: whole.revoke_time,
        archive_time: whole.archive_time,
        details: whole.details,
        ..pb::Invitation::default()
    }
}
