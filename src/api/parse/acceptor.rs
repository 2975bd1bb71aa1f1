//! The acceptor of an invitation.

use crate::api::parse::violations::Violations;
use crate::domain::invitation::acceptance::{Acceptor, Subject};
use crate::domain::kind::guest::SYSTEM_SUBJECT;
use crate::domain::value::given_email::GivenEmail;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::text;
use crate::pb;

const RESERVED: Invalid =
    Invalid::new(FieldRule::NotAllowed, "must not begin with system:, which is for AcceptGuestInvitation");

/// Parses the acceptor, which is required.
pub(in crate::api) fn acceptor(violations: &mut Violations, acceptor: Option<&pb::Acceptor>) -> Option<Acceptor> {
    // An absent acceptor is reported like an empty one: the subject is missing.
    let empty = pb::Acceptor::default();
    let acceptor = acceptor.unwrap_or(&empty);
    let subject = violations.required("acceptor.subject", &acceptor.subject, |subject| match subject {
        // A system that accepts for its organization has this form.
        subject if subject.starts_with(SYSTEM_SUBJECT) => Err(RESERVED),
        subject => text::opaque_id(subject),
    });
    let email = violations.optional("acceptor.email", &acceptor.email, GivenEmail::parse);
    let phone = violations.optional("acceptor.phone", &acceptor.phone, text::phone);
    let display_name = violations.optional("acceptor.display_name", &acceptor.display_name, text::free_text);
    if acceptor.email_verified && acceptor.email.is_empty() {
        violations.add("acceptor.email_verified", FieldRule::Conflicts, "needs an e-mail address");
    }
    Some(Acceptor {
        subject: Subject(subject?),
        email,
        email_verified: acceptor.email_verified,
        phone,
        display_name,
        existing_user: acceptor.existing_user,
    })
}
