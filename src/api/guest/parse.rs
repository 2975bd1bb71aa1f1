//! Parses the requests that create and update guest invitations.

use uuid::Uuid;

use crate::api::parse::expiration::Expires;
use crate::api::parse::field_mask::FieldMask;
use crate::api::parse::on_conflict::on_conflict;
use crate::api::parse::shared::SharedFields;
use crate::api::parse::violations::Violations;
use crate::domain::command::{CreateInvitation, Expiry, FixedFields, OnConflict, Target, UpdateGuestInvitation};
use crate::domain::invitation::recipient::NewRecipient;
use crate::domain::kind::guest::GuestDetails;
use crate::domain::kind::{Details, Kind};
use crate::domain::value::email::Email;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::text;
use crate::pb;

/// The longest address of a guest, in bytes.
const MAX_EMAIL: usize = 100;

const EXPIRE_TIME: &str = "guest_invitation.expire_time";

/// The caller-set fields of a guest invitation that can be updated, parsed.
pub(in crate::api) struct Given {
    pub(in crate::api) expiry: Option<Expiry>,
    pub(in crate::api) parent_organization_id: Option<Uuid>,
    pub(in crate::api) parent_organization_name: Option<String>,
}

/// Parses the fields that a create and an update have in common.
pub(in crate::api) fn given(violations: &mut Violations, given: &pb::GuestInvitation) -> Given {
    let expiry = given.expiry(violations, Kind::Guest.lifetime());
    let parent = &given.parent_organization_id;
    let parent_name = &given.parent_organization_name;
    Given {
        expiry,
        parent_organization_id: violations.optional("guest_invitation.parent_organization_id", parent, text::uuid),
        parent_organization_name: violations.optional(
            "guest_invitation.parent_organization_name",
            parent_name,
            text::free_text,
        ),
    }
}

/// Parses a CreateGuestInvitationRequest of a host.
pub(in crate::api) fn to_create(
    violations: &mut Violations,
    host_organization_id: Option<Uuid>,
    request: &pb::CreateGuestInvitationRequest,
) -> Option<CreateInvitation> {
    let empty = pb::GuestInvitation::default();
    let invitation = request.guest_invitation.as_ref().unwrap_or(&empty);
    let email = violations.required("guest_invitation.email", &invitation.email, |value| {
        Email::parse(value).and_then(|email| {
            let short = email.original().len() <= MAX_EMAIL;
            if short {
                Ok(email)
            } else {
                Err(Invalid::new(FieldRule::TooLong, "must be an e-mail address of 3 to 100 bytes"))
            }
        })
    });
    email.iter().for_each(|email| violations.invites("guest_invitation.email", email));
    if invitation.expiration.is_none() {
        violations.add(EXPIRE_TIME, FieldRule::Required, "is required, or ttl in its place");
    }
    violations.optional("guest_invitation.etag", &invitation.etag, text::opaque_id);
    if invitation.archived == Some(true) {
        violations.add(
            "guest_invitation.archived",
            FieldRule::NotAllowed,
            "must not be set: a new invitation is not archived",
        );
    }
    let Given { expiry, parent_organization_id, parent_organization_name } = given(violations, invitation);
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
        recipients: vec![NewRecipient::from(email?)],
        mails: request.send_email.unwrap_or(true),
        labels,
        on_conflict,
    })
}

/// The changes of an UpdateGuestInvitationRequest, parsed.
pub(in crate::api) struct Update {
    given: Given,
    archived: bool,
    fixed: FixedFields,
    mask: FieldMask,
}

/// Parses an UpdateGuestInvitationRequest.
pub(in crate::api) fn update(violations: &mut Violations, request: &pb::UpdateGuestInvitationRequest) -> Update {
    let empty = pb::GuestInvitation::default();
    let invitation = request.guest_invitation.as_ref().unwrap_or(&empty);
    let fields = [
        ("expire_time", invitation.expiration.is_some()),
        ("archived", invitation.archived.is_some()),
        ("parent_organization_id", !invitation.parent_organization_id.is_empty()),
        ("parent_organization_name", !invitation.parent_organization_name.is_empty()),
    ];
    let mask = FieldMask::parse(violations, request.update_mask.as_ref(), fields);
    if mask.has("expire_time") && invitation.expiration.is_none() {
        violations.add(EXPIRE_TIME, FieldRule::Required, "is required, or ttl in its place");
    }
    // A mask that names fields says that the others are not looked at.
    let fixed = if mask.is_whole() { fixed(violations, invitation) } else { FixedFields::default() };
    Update { given: given(violations, invitation), archived: invitation.archived.unwrap_or_default(), fixed, mask }
}

fn fixed(violations: &mut Violations, invitation: &pb::GuestInvitation) -> FixedFields {
    let email = violations.optional("guest_invitation.email", &invitation.email, Email::parse);
    let (shared, labels) = invitation.shared(violations);
    FixedFields { email, shared, labels }
}

impl Update {
    /// Returns the command on an invitation.
    pub(in crate::api) fn of(self, target: Target) -> UpdateGuestInvitation {
        let Self { given, archived, fixed, mask } = self;
        UpdateGuestInvitation {
            target,
            expiry: given.expiry.filter(|_| mask.has("expire_time")),
            archived: mask.has("archived").then_some(archived),
            parent_organization_id: mask.has("parent_organization_id").then_some(given.parent_organization_id),
            parent_organization_name: mask.has("parent_organization_name").then_some(given.parent_organization_name),
            fixed: Box::new(fixed),
        }
    }
}
