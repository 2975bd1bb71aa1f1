//! Parses the requests that create and update guest invitations.

use uuid::Uuid;

use crate::api::parse::check_not_archived;
use crate::api::parse::expiration::Expires;
use crate::api::parse::field_mask::FieldMask;
use crate::api::parse::on_conflict::on_conflict;
use crate::api::parse::shared::SharedFields;
use crate::api::parse::update::Updated;
use crate::api::parse::violations::Violations;
use crate::auth::caller::Caller;
use crate::domain::command::{CreateInvitation, Fixed, FixedField, OnConflict, UpdatedFields};
use crate::domain::invitation::recipient::{Address, NewRecipient};
use crate::domain::kind::guest::GuestDetails;
use crate::domain::kind::{Details, Kind};
use crate::domain::value::email::Email;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::text;
use crate::pb;

/// The longest address of a guest, in bytes.
const MAX_EMAIL: usize = 100;

const EXPIRE_TIME: &str = "guest_invitation.expire_time";
const PARENT_ID: &str = "parent_organization_id";
const PARENT_NAME: &str = "parent_organization_name";

/// Parses a CreateGuestInvitationRequest of a host.
pub(in crate::api) fn to_create(
    violations: &mut Violations,
    host_organization_id: Option<Uuid>,
    request: &pb::CreateGuestInvitationRequest,
) -> Option<CreateInvitation> {
    let empty = pb::GuestInvitation::default();
    let invitation = request.guest_invitation.as_ref().unwrap_or(&empty);
    let email = violations.required("guest_invitation.email", &invitation.email, |value| {
        Email::parse(value).and_then(|email| check_email(&email).map(|()| email))
    });
    email.iter().for_each(|email| violations.invites("guest_invitation.email", email));
    if invitation.expiration.is_none() {
        violations.add(EXPIRE_TIME, FieldRule::Required, "is required, or ttl in its place");
    }
    violations.optional("guest_invitation.etag", &invitation.etag, text::opaque_id);
    check_not_archived(violations, "guest_invitation.archived", invitation.archived);
    let expiry = invitation.expiry(violations, Kind::Guest.lifetime());
    let parent_organization_id = parent_id(violations, invitation);
    let parent_organization_name = parent_name(violations, invitation);
    let (shared, labels) = invitation.shared(violations);
    let on_conflict = on_conflict(violations, request.on_conflict, OnConflict::Reject);
    let details = GuestDetails {
        host_organization_id: host_organization_id?,
        parent_organization_id,
        parent_organization_name,
        accepted: None,
        shared,
    };
    Some(CreateInvitation {
        details: Details::Guest(details),
        max_uses: Some(1),
        expiry,
        recipients: vec![NewRecipient { existing_user: request.existing_user, ..NewRecipient::from(email?) }],
        mails: request.send_email.unwrap_or(true),
        labels,
        on_conflict,
    })
}

impl Updated for pb::GuestInvitation {
    const KIND: Kind = Kind::Guest;
    const MAX_ADDED: usize = 1;
    const MAPS: &'static [&'static str] = &[];

    fn archived(&self) -> Option<bool> {
        self.archived
    }

    fn own_fields(&self) -> Vec<(&'static str, bool)> {
        vec![
            (PARENT_ID, !self.parent_organization_id.is_empty()),
            (PARENT_NAME, !self.parent_organization_name.is_empty()),
            ("scope_display_name", self.has_shared("scope_display_name")),
        ]
    }

    fn parse_own(&self, violations: &mut Violations, mask: &FieldMask, _caller: &Caller, fields: &mut UpdatedFields) {
        fields.parent_organization_id = mask.has(PARENT_ID).then(|| parent_id(violations, self));
        fields.parent_organization_name = mask.has(PARENT_NAME).then(|| parent_name(violations, self));
    }

    fn fixed(&self, violations: &mut Violations) -> Vec<FixedField> {
        let path = "guest_invitation.email";
        let email = violations.optional(path, &self.email, Email::parse).map(Address::Email);
        email.map(|email| FixedField { path, value: Fixed::Recipients(vec![email]) }).into_iter().collect()
    }

    fn check_added(recipient: &NewRecipient) -> Result<(), Invalid> {
        recipient.address.email().map_or(Ok(()), check_email)
    }
}

fn parent_id(violations: &mut Violations, given: &pb::GuestInvitation) -> Option<Uuid> {
    violations.optional("guest_invitation.parent_organization_id", &given.parent_organization_id, text::uuid)
}

fn parent_name(violations: &mut Violations, given: &pb::GuestInvitation) -> Option<String> {
    violations.optional("guest_invitation.parent_organization_name", &given.parent_organization_name, text::free_text)
}

fn check_email(email: &Email) -> Result<(), Invalid> {
    let is_short = email.original().len() <= MAX_EMAIL;
    if is_short { Ok(()) } else { Err(Invalid::new(FieldRule::TooLong, "must be an e-mail address of 3 to 100 bytes")) }
}
