//! Parses the requests that create user invitations.

use crate::api::parse::expiration::Expires;
use crate::api::parse::field_mask::FieldMask;
use crate::api::parse::on_conflict::on_conflict;
use crate::api::parse::shared::SharedFields;
use crate::api::parse::update::Updated;
use crate::api::parse::violations::Violations;
use crate::api::parse::{check_not_archived, roles};
use crate::auth::caller::{Caller, Credential};
use crate::domain::command::{CreateInvitation, Expiry, ExpiryTime, Fixed, FixedField, OnConflict, UpdatedFields};
use crate::domain::invitation::recipient::{Address, NewRecipient};
use crate::domain::kind::user::UserDetails;
use crate::domain::kind::{Details, Kind};
use crate::domain::value::email::Email;
use crate::domain::value::rule::FieldRule;
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
    email.iter().for_each(|email| violations.invites("user_invitation.invited_email", email));
    let (shared, labels) = given.shared(violations);
    check_inviter(violations, caller, given);
    violations.optional("user_invitation.etag", &given.etag, text::opaque_id);
    check_not_archived(violations, "user_invitation.archived", given.archived);
    let on_conflict = on_conflict(violations, request.on_conflict, OnConflict::Reject);
    let roles = roles(violations, "user_invitation.roles", &given.roles);
    let expiry = given.expiry(violations, Kind::User.lifetime()).unwrap_or(DEFAULT_EXPIRY);
    Some(CreateInvitation {
        details: Details::User(UserDetails { roles, shared }),
        max_uses: Some(1),
        expiry: Some(expiry),
        recipients: vec![NewRecipient { existing_user: request.existing_user, ..NewRecipient::from(email?) }],
        mails: request.send_email.unwrap_or(true),
        labels,
        on_conflict,
    })
}

/// Checks that there is an inviter: a credential identifies no person, so its holder has to name one.
fn check_inviter(violations: &mut Violations, caller: &Caller, given: &pb::UserInvitation) {
    let is_unnamed = given.inviter.as_ref().is_none_or(|inviter| inviter.display_name.is_empty());
    if caller.credential != Credential::None && is_unnamed {
        violations.add("user_invitation.inviter.display_name", FieldRule::Required, "is required");
    }
}

impl Updated for pb::UserInvitation {
    const KIND: Kind = Kind::User;
    const MAX_ADDED: usize = 1;
    const MAPS: &'static [&'static str] = &[];

    fn archived(&self) -> Option<bool> {
        self.archived
    }

    fn own_fields(&self) -> Vec<(&'static str, bool)> {
        vec![("roles", !self.roles.is_empty()), ("scope_display_name", self.has_shared("scope_display_name"))]
    }

    fn parse_own(&self, violations: &mut Violations, mask: &FieldMask, caller: &Caller, fields: &mut UpdatedFields) {
        fields.roles = mask.has("roles").then(|| roles(violations, "user_invitation.roles", &self.roles));
        if mask.has("inviter") {
            check_inviter(violations, caller, self);
        }
    }

    fn fixed(&self, violations: &mut Violations) -> Vec<FixedField> {
        let path = "user_invitation.invited_email";
        let email = violations.optional(path, &self.invited_email, Email::parse).map(Address::Email);
        email.map(|email| FixedField { path, value: Fixed::Recipients(vec![email]) }).into_iter().collect()
    }
}
