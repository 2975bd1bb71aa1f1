//! Parses the requests that create user invitations.

use crate::api::parse::expiration::Expires;
use crate::api::parse::on_conflict::on_conflict;
use crate::api::parse::roles;
use crate::api::parse::shared::SharedFields;
use crate::api::parse::violations::Violations;
use crate::auth::caller::{Caller, Credential};
use crate::domain::command::{CreateInvitation, Expiry, ExpiryTime, OnConflict};
use crate::domain::invitation::recipient::NewRecipient;
use crate::domain::kind::user::UserDetails;
use crate::domain::kind::{Details, Kind};
use crate::domain::value::email::Email;
use crate::domain::value::rule::FieldRule;
use crate::domain::value::time::Ttl;
use crate::pb;

/// The expiry of a user invitation whose creator sets none.
const DEFAULT_EXPIRY: Expiry = Expiry { time: ExpiryTime::After(Ttl::WEEK), field: "user_invitation.ttl" };

/// Parses a CreateUserInvitationRequest.
pub(in crate::api) fn to_create(
    violations: &mut Violations,
    caller: &Caller,
    request: &pb::CreateUserInvitationRequest,
) -> Option<CreateInvitation> {
    let empty = pb::UserInvitation::default();
    let given = request.user_invitation.as_ref().unwrap_or(&empty);
    let email = violations.required("user_invitation.invited_email", &given.invited_email, Email::parse);
    email.iter().for_each(|email| violations.invites("user_invitation.invited_email", email));
    let (shared, labels) = given.shared(violations);
    // A credential identifies no person, so its holder has to name the inviter.
    let is_unnamed = given.inviter.as_ref().is_none_or(|inviter| inviter.display_name.is_empty());
    if caller.credential != Credential::None && is_unnamed {
        violations.add("user_invitation.inviter.display_name", FieldRule::Required, "is required");
    }
    let on_conflict = on_conflict(violations, request.on_conflict, OnConflict::Reject);
    let roles = roles(violations, "user_invitation.roles", &given.roles);
    let expiry = given.expiry(violations, Kind::User.lifetime()).unwrap_or(DEFAULT_EXPIRY);
    Some(CreateInvitation {
        details: Details::User(UserDetails { roles, shared }),
        max_uses: Some(1),
        expiry: Some(expiry),
        recipients: vec![NewRecipient::from(email?)],
        mails: request.send_email.unwrap_or(true),
        labels,
        on_conflict,
    })
}
