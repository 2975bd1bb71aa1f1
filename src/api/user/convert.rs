//! User invitations, as their own service shows them.

use crate::api::convert::acceptance::standing;
use crate::api::convert::only_address;
use crate::api::convert::shared::shown;
use crate::api::resource::{Identity, KindFields, Resource};
use crate::domain::invitation::Invitation;
use crate::domain::kind::user::UserDetails;
use crate::domain::kind::{Details, Kind};
use crate::domain::value::time::Timestamp;
use crate::pb;

impl Resource for pb::UserInvitation {
    const KIND: Option<Kind> = Some(Kind::User);

    fn of(invitation: &Invitation, now: Timestamp, identity: Identity) -> Option<Self> {
        let Details::User(details) = &invitation.details else { return None };
        let acceptance = standing(invitation, now, &identity);
        Some(shown! {
            UserInvitation, expiring in user_invitation, of invitation at now with identity;
            name: identity.typed_name,
            invited_email: only_address(invitation),
            acceptance: acceptance,
            archived: Some(invitation.archived_at.is_some()),
            roles: details.roles.clone(),
            scope_display_name: details.shared.scope_display_name.clone().unwrap_or_default(),
        })
    }
}

impl KindFields for UserDetails {
    fn add_to_invitation(&self, invitation: &Invitation, message: &mut pb::Invitation) {
        let invited_email = only_address(invitation);
        message.details = Some(pb::invitation::Details::UserDetails(pb::UserDetails { invited_email }));
    }

    fn add_to_preview(&self, _preview: &mut pb::InvitationPreview) {}
}
