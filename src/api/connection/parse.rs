//! Parses the requests that create connection invitations.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::prefill::prefill;
use crate::api::parse::expiration::Expires;
use crate::api::parse::field_mask::FieldMask;
use crate::api::parse::shared::SharedFields;
use crate::api::parse::update::Updated;
use crate::api::parse::violations::Violations;
use crate::api::parse::{check_not_archived, emails, max_uses};
use crate::auth::caller::Caller;
use crate::domain::command::{CreateInvitation, Expiry, Fixed, FixedField, OnConflict, UpdatedFields};
use crate::domain::invitation::recipient::{Address, NewRecipient};
use crate::domain::kind::connection::{ConnectionDetails, ConnectionPurpose, Prefill};
use crate::domain::kind::shared::SharedDetails;
use crate::domain::kind::{Details, Kind};
use crate::domain::value::rule::FieldRule;
use crate::domain::value::text;
use crate::pb;

/// The fields that both requests for a connection invitation have, with their paths.
struct Common<'a> {
    path: &'static str,
    /// `None` if the connection, which would tell the company, is invalid itself.
    company_id: Option<&'a str>,
    allowed_emails: &'a [String],
    expiry: Option<Expiry>,
    max_uses: Option<i32>,
    shared: (SharedDetails, BTreeMap<String, String>),
    send_email: Option<bool>,
}

/// Parses a CreateConnectionInvitationRequest.
pub(in crate::api) fn to_create(
    violations: &mut Violations,
    request: &pb::CreateConnectionInvitationRequest,
) -> Option<CreateInvitation> {
    let empty = pb::ConnectionInvitation::default();
    let given = request.connection_invitation.as_ref().unwrap_or(&empty);
    if !given.connection_id.is_empty() {
        let description = "must not be set: CreateReconnectInvitation repairs a connection";
        violations.add("connection_invitation.connection_id", FieldRule::NotAllowed, description);
    }
    violations.optional("connection_invitation.etag", &given.etag, text::opaque_id);
    check_not_archived(violations, "connection_invitation.archived", given.archived);
    let prefill = to_prefill(violations, given);
    let common = Common {
        path: "connection_invitation.",
        company_id: Some(&given.company_id),
        allowed_emails: &given.allowed_emails,
        expiry: given.expiry(violations, Kind::Connection.lifetime()),
        max_uses: given.max_uses,
        shared: given.shared(violations),
        send_email: request.send_email,
    };
    common.parse(violations, Some(ConnectionPurpose::CreateConnection { prefill }))
}

/// Parses a CreateReconnectInvitationRequest; `known_company` is the company that the connection is known to belong to.
pub(in crate::api) fn to_reconnect(
    violations: &mut Violations,
    request: &pb::CreateReconnectInvitationRequest,
    known_company: Option<Uuid>,
) -> Option<CreateInvitation> {
    let connection_id = violations.required("connection_id", &request.connection_id, text::uuid);
    let known_company = known_company.map(|company| company.to_string()).unwrap_or_default();
    let company_id = if request.company_id.is_empty() { known_company.as_str() } else { &request.company_id };
    let common = Common {
        path: "",
        company_id: Some(company_id).filter(|given| connection_id.is_some() || !given.is_empty()),
        allowed_emails: &request.allowed_emails,
        expiry: request.expiry(violations, Kind::Connection.lifetime()),
        max_uses: request.max_uses,
        shared: request.shared(violations),
        send_email: request.send_email,
    };
    common.parse(violations, connection_id.map(|connection_id| ConnectionPurpose::EditConnection { connection_id }))
}

impl Common<'_> {
    fn parse(self, violations: &mut Violations, purpose: Option<ConnectionPurpose>) -> Option<CreateInvitation> {
        let at = |field: &str| format!("{}{field}", self.path);
        let company_id = self.company_id.and_then(|given| violations.required(&at("company_id"), given, text::uuid));
        let recipients = emails(violations, &at("allowed_emails"), self.allowed_emails);
        if self.send_email == Some(true) && self.allowed_emails.is_empty() {
            violations.add("send_email", FieldRule::Conflicts, "needs at least one allowed e-mail address");
        }
        let max_uses = max_uses(violations, &at("max_uses"), self.max_uses);
        let (shared, labels) = self.shared;
        let details = Details::Connection(ConnectionDetails { company_id: company_id?, purpose: purpose?, shared });
        Some(CreateInvitation {
            details,
            max_uses,
            expiry: self.expiry,
            recipients: recipients.into_iter().map(NewRecipient::from).collect(),
            mails: self.send_email == Some(true),
            labels,
            on_conflict: OnConflict::Allow,
        })
    }
}

fn to_prefill(violations: &mut Violations, given: &pb::ConnectionInvitation) -> Option<Prefill> {
    given.prefill.as_ref().map(|given| prefill(violations, "connection_invitation.prefill", given))
}

impl Updated for pb::ConnectionInvitation {
    const KIND: Kind = Kind::Connection;
    const MAX_ADDED: usize = 1_000;
    const MAPS: &'static [&'static str] = &[];

    fn archived(&self) -> Option<bool> {
        self.archived
    }

    fn own_fields(&self) -> Vec<(&'static str, bool)> {
        vec![
            ("max_uses", self.max_uses.is_some()),
            ("prefill", self.prefill.is_some()),
            ("scope_display_name", self.has_shared("scope_display_name")),
        ]
    }

    fn parse_own(&self, violations: &mut Violations, mask: &FieldMask, _caller: &Caller, fields: &mut UpdatedFields) {
        let field = "connection_invitation.max_uses";
        fields.max_uses = mask.has("max_uses").then(|| max_uses(violations, field, self.max_uses));
        fields.prefill = mask.has("prefill").then(|| to_prefill(violations, self));
    }

    fn fixed(&self, violations: &mut Violations) -> Vec<FixedField> {
        let company = "connection_invitation.company_id";
        let connection = "connection_invitation.connection_id";
        let emails_field = "connection_invitation.allowed_emails";
        // An address that was erased is shown as an empty text.
        let given: Vec<_> = self.allowed_emails.iter().filter(|email| !email.is_empty()).cloned().collect();
        let allowed = emails(violations, emails_field, &given).into_iter().map(Address::Email).collect();
        let allowed = (!given.is_empty()).then_some(Fixed::Recipients(allowed));
        let company_id = violations.optional(company, &self.company_id, text::uuid).map(Fixed::Company);
        let connection_id = violations.optional(connection, &self.connection_id, text::uuid).map(Fixed::Connection);
        let fields = [(company, company_id), (connection, connection_id), (emails_field, allowed)];
        fields.into_iter().filter_map(|(path, value)| Some(FixedField { path, value: value? })).collect()
    }
}
