//! Parses the requests that create user invitations.

use crate::api::parse::expiration::Expires;
use crate::api::parse::violations::Violations;
use crate::api::parse::{labels, roles};
use crate::auth::caller::Caller;
use crate::domain::command::{CreateInvitation, Expiry, ExpiryTime, OnConflict};
use crate::domain::invitation::recipient::NewRecipient;
use crate::domain::kind::user::UserDetails;
use crate::domain::kind::{Details, Kind};
use crate::domain::value::email::Email;
use crate::domain::value::text;
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
    // A key identifies no person, so its holder has to name the inviter.
    let inviter = if given.inviter.is_empty() && !caller.is_key {
        Some(caller.name.clone())
    } else {
        violations.required("user_invitation.inviter", &given.inviter, text::free_text)
    };
    let roles = roles(violations, "user_invitation.roles", &given.roles);
    let expiry = given.expiry(violations, Kind::User.lifetime()).unwrap_or(DEFAULT_EXPIRY);
    let labels = labels(violations, "user_invitation.labels", &given.labels);
    Some(CreateInvitation {
        details: Details::User(UserDetails { inviter: inviter?, roles }),
        max_uses: Some(1),
        expiry: Some(expiry),
        recipients: vec![NewRecipient::from(email?)],
        mails: !given.disable_invitation_email,
        labels,
        on_conflict: OnConflict::Reject,
    })
}
