//! A person who acts as themselves, and the invitations that are theirs.

use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::{Acceptor, Subject};
use crate::domain::invitation::email_rule::{Binding, binding};
use crate::domain::invitation::recipient::{Address, Recipient};
use crate::domain::value::email::Email;
use crate::domain::value::given_email::GivenEmail;

/// A person who has proved who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The account's own id of the person.
    pub subject: Subject,
    /// Their address, which somebody has verified whom the account trusts.
    pub email: Option<GivenEmail>,
}

/// The relation in which an invitation stands to a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// It is addressed to them: to their verified address, to their subject, or to the domain of the address.
    Recipient,
    /// They have a link of it, which was verified.
    LinkHolder,
    /// They are its inviter: `user_id` is their subject.
    Inviter,
}

impl Relation {
    /// Returns whether an invitation of the person's account stands in the relation.
    pub(super) fn holds(self, person: &Person, invitation: &Invitation) -> bool {
        match self {
            Self::Recipient => person.is_invited_to(invitation),
            Self::LinkHolder => true,
            Self::Inviter => {
                let inviter = invitation.details.shared().inviter.as_ref();
                inviter.is_some_and(|inviter| inviter.user_id == person.subject.0)
            }
        }
    }
}

/// Returns whether folding changes nothing about a letter but its case. The two small sigmas are one letter.
fn keeps_its_letter(letter: char) -> bool {
    let (folded, lower) = (Email::normal_part(&letter.to_string()), letter.to_lowercase());
    letter.is_ascii() || (!folded.is_ascii() && (folded.chars().eq(lower) || letter == 'ς'))
}

impl Person {
    /// Parses a verified address; `None` if the text is not an address as it is, or one that could be taken for that of another person.
    /// Addresses are compared without case, by folding, which makes `ss` of `ß` and `k` of the Kelvin sign: whoever has a
    /// mailbox with such a letter has not proved that they have the one without.
    pub fn parse_email(text: &str) -> Option<GivenEmail> {
        let email = GivenEmail::parse(text).ok()?;
        let is_theirs = |email: &Email| {
            let local = email.original().rsplit_once('@').map_or("", |(local, _)| local);
            email.original() == text && local.chars().all(keeps_its_letter)
        };
        email.comparable().is_none_or(is_theirs).then_some(email)
    }

    /// Returns the name as which they call.
    pub fn name(&self) -> String {
        format!("users/{}", self.subject.0)
    }

    /// Returns the address that can be compared with others.
    pub fn comparable_email(&self) -> Option<&Email> {
        self.email.as_ref().and_then(GivenEmail::comparable)
    }

    /// Returns the addresses by which they can be invited.
    pub fn addresses(&self) -> Vec<Address> {
        let email = self.comparable_email().cloned().map(Address::Email);
        [Address::Internal(self.subject.0.clone())].into_iter().chain(email).collect()
    }

    /// Returns whether an address is one of theirs, however it is spelled.
    pub fn has(&self, address: &Address) -> bool {
        match address {
            Address::Internal(id) => *id == self.subject.0,
            Address::Email(email) => self.comparable_email().is_some_and(|own| own.key() == email.key()),
            Address::Phone(_) | Address::Share(_) | Address::Erased | Address::Removed => false,
        }
    }

    /// Returns whether they are one of the recipients of an invitation.
    pub fn is(&self, recipient: &Recipient) -> bool {
        self.has(&recipient.address)
    }

    fn is_invited_to(&self, invitation: &Invitation) -> bool {
        let joins = || match binding(invitation) {
            Binding::Domains(domains) => {
                self.comparable_email().is_some_and(|email| domains.iter().any(|domain| domain == email.domain()))
            }
            Binding::Open | Binding::Recipients(_) => false,
        };
        invitation.recipients.iter().any(|recipient| self.is(recipient)) || joins()
    }

    /// Returns the acceptor that they are.
    pub fn acceptor(&self) -> Acceptor {
        let email_verified = self.email.is_some();
        Acceptor { email: self.email.clone(), email_verified, ..Acceptor::known_as(self.subject.0.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(email: &str) -> Person {
        Person { subject: Subject("u-17".to_owned()), email: Person::parse_email(email) }
    }

    #[test]
    fn own_address_is_known_in_every_spelling() {
        let has = |email: &str, invited: &str| person(email).has(&Address::Email(Email::parse(invited).unwrap()));
        for (email, invited, is_theirs) in [
            ("ann@example.org", "ANN@Example.ORG", true),
            ("ju\u{308}rgen@example.org", "jürgen@example.org", true),
            ("νικος@example.org", "ΝΙΚΟΣ@example.org", true),
            ("ann@exämple.org", "ann@xn--exmple-cua.org", true),
            ("ann+work@example.org", "ann@example.org", false),
            ("ann@example.org", "ann+work@example.org", false),
            ("a.nn@example.org", "ann@example.org", false),
            ("аnn@example.org", "ann@example.org", false),
            ("ann@example.org.evil.example", "ann@example.org", false),
            ("\u{212a}arl@example.org", "karl@example.org", false),
            ("weiß@example.org", "weiss@example.org", false),
            ("weiß@example.org", "weiß@example.org", false),
            ("müßig@example.org", "müssig@example.org", false),
            ("ü\u{212a}@example.org", "ük@example.org", false),
            ("é\u{fb01}n@example.org", "éfin@example.org", false),
            ("ann..@example.org", "ann@example.org", false),
            ("<ann@example.org>", "ann@example.org", false),
            ("ann@example.org,", "ann@example.org", false),
            (" ann@example.org", "ann@example.org", false),
            ("", "ann@example.org", false),
        ] {
            assert_eq!(has(email, invited), is_theirs, "{email} {invited}");
        }
    }

    #[test]
    fn person_has_no_phone_and_no_place_of_a_shared_link() {
        let person = person("ann@example.org");
        assert_eq!(person.addresses().len(), 2);
        assert!(person.addresses().iter().all(|address| person.has(address)));
        assert!(!person.has(&Address::Phone("u-17".to_owned())) && !person.has(&Address::Share("u-17".to_owned())));
        assert!(!person.has(&Address::Internal("u-18".to_owned())));
    }

    #[test]
    fn acceptor_is_verified_only_with_an_address() {
        for (email, verified) in [("ann@example.org", true), ("a..b@docomo.example", true), ("nonsense", false)] {
            let acceptor = person(email).acceptor();
            assert_eq!((acceptor.email.is_some(), acceptor.email_verified), (verified, verified), "{email}");
            assert_eq!(acceptor.subject.0, "u-17");
        }
        assert_eq!(person("a..b@docomo.example").addresses().len(), 1);
    }
}
