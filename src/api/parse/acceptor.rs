//! The acceptor of an invitation.

use crate::api::parse::violations::Violations;
use crate::domain::erasure::is_reserved;
use crate::domain::invitation::acceptance::{Acceptor, Subject};
use crate::domain::reach::person::Person;
use crate::domain::value::given_email::GivenEmail;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::text;
use crate::pb;
use crate::server::status;

const RESERVED: Invalid = Invalid::new(
    FieldRule::NotAllowed,
    "must not begin with system: or erased:, which are for AcceptGuestInvitation and EraseRecipient",
);

/// Parses the acceptor, which is required of a service. A person is the acceptor.
pub(in crate::api) fn acceptor(
    violations: &mut Violations,
    person: Option<&Person>,
    acceptor: Option<&pb::Acceptor>,
) -> Option<Acceptor> {
    // An absent acceptor is reported like an empty one: the subject is missing.
    let empty = pb::Acceptor::default();
    let acceptor = acceptor.unwrap_or(&empty);
    if let Some(person) = person {
        return oneself(violations, person, acceptor);
    }
    let subject = violations.required("acceptor.subject", &acceptor.subject, |subject| match subject {
        // Systems that accept for their organization, and people who were erased, have these forms.
        subject if is_reserved(subject) => Err(RESERVED),
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

/// Returns the acceptor that a person is. What they say of themselves beside their name must be what is known of them already: it is
/// refused otherwise, and never replaced.
fn oneself(violations: &mut Violations, person: &Person, given: &pb::Acceptor) -> Option<Acceptor> {
    let pb::Acceptor { subject, email, email_verified, phone, display_name, existing_user } = given;
    let known = person.email.as_ref();
    let is_own = |given: &GivenEmail| match (known.map(GivenEmail::comparable), given.comparable()) {
        (Some(Some(known)), Some(given)) => known.key() == given.key(),
        (Some(None), None) => known == Some(given),
        _ => false,
    };
    for (field, is_theirs) in [
        ("acceptor.subject", subject.is_empty() || *subject == person.subject.0),
        ("acceptor.email", email.is_empty() || GivenEmail::parse(email).is_ok_and(|email| is_own(&email))),
        ("acceptor.email_verified", !email_verified || known.is_some()),
        ("acceptor.phone", phone.is_empty()),
        ("acceptor.existing_user", existing_user.is_none()),
    ] {
        if !is_theirs {
            violations.deny(status::not_oneself(field));
        }
    }
    let display_name = violations.optional("acceptor.display_name", display_name, text::free_text);
    Some(Acceptor { display_name, ..person.acceptor() })
}
