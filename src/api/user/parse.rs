//! Parses the requests that create user invitations.

use std::time::Duration;

use crate::api::parse::violations::Violations;
use crate::api::parse::{labels, roles, ttl};
use crate::auth::caller::Caller;
use crate::domain::command::{CreateInvitation, Expiry, OnConflict};
use crate::domain::invitation::recipient::NewRecipient;
use crate::domain::kind::Details;
use crate::domain::kind::user::UserDetails;
use crate::domain::value::email::Email;
use crate::domain::value::text;
use crate::domain::value::time::Ttl;
use crate::pb;

/// The time to live of a user invitation whose creator sets none.
const DEFAULT_TTL: Duration = Duration::from_secs(7 * 24 * 3_600);

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
    let ttl = ttl(violations, "user_invitation.ttl", given.ttl, Ttl::within_a_year);
    let labels = labels(violations, "user_invitation.labels", &given.labels);
    let ttl = ttl.or(Ttl::within_a_year(DEFAULT_TTL).ok());
    Some(CreateInvitation {
        details: Details::User(UserDetails { inviter: inviter?, roles }),
        max_uses: Some(1),
        expiry: ttl.map(Expiry::After),
        recipients: vec![NewRecipient::from(email?)],
        mails: !given.disable_invitation_email,
        labels,
        on_conflict: OnConflict::Reject,
    })
}
