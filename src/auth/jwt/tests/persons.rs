//! Tokens of persons: who they are, and that they are nothing else.

use super::*;
use crate::config::VerifiedEmailClaims;
use crate::domain::reach::person::Person;

/// The entry of an issuer whose tokens are of persons.
fn of_persons() -> JwtIssuer {
    let email = VerifiedEmailClaims { email: "email".to_owned(), verified: "/verified/email".to_owned() };
    let account = JwtSource::Fixed(AccountId::parse("acme").unwrap());
    JwtIssuer { access: JwtAccess::Persons { account, email }, ..issuer() }
}

fn caller(changes: Value) -> Result<Caller, NoCaller> {
    let (verifier, _, signer) = ready(of_persons());
    verifier.judge(&signer.token("ed", &with(valid(), changes)))
}

fn email(changes: Value) -> Option<String> {
    let Credential::Person(person) = caller(changes).unwrap().credential else { panic!("it is no person") };
    let Person { subject, email } = person.as_ref();
    assert_eq!(subject.0, "billing");
    email.as_ref().map(|email| email.original().to_owned())
}

#[test]
fn token_of_a_person_has_no_power_of_a_service() {
    let claims = json!({
        "account": "stolen", "scope": "invitations.read tokens.read *", "permissions": ["*"], "organization_id":
        "01920000-0000-7000-8000-00000000000a", "email": "ann@example.org", "verified": {"email": true},
    });
    let caller = caller(claims).unwrap();
    assert_eq!((caller.account.as_str(), caller.name.as_str()), ("acme", "users/billing"));
    assert_eq!((caller.permissions.as_slice(), caller.organization_id), ([].as_slice(), None));
    assert!(Permission::ALL.into_iter().all(|permission| !caller.may(permission)));
    let person = caller.person().unwrap();
    assert_eq!(person.email.as_ref().unwrap().original(), "ann@example.org");
}

#[test]
fn address_counts_only_with_the_word_true_for_it() {
    let claims = |verified: Value| json!({"email": "ann@example.org", "verified": {"email": verified}});
    assert_eq!(email(claims(json!(true))).as_deref(), Some("ann@example.org"));
    for verified in [json!(false), json!("true"), json!(1), json!(null), json!([true]), json!({"email": true})] {
        assert_eq!(email(claims(verified.clone())), None, "{verified}");
    }
    for other in [
        json!({"email": "ann@example.org"}),
        json!({"email": "ann@example.org", "email_verified": true}),
        json!({"email": "ann@example.org", "/verified/email": true}),
        json!({"verified": {"email": true}}),
        json!({"email": ["ann@example.org"], "verified": {"email": true}}),
        json!({"email": "ann", "verified": {"email": true}}),
        json!({"email": "weiß@example.org", "verified": {"email": true}}),
        json!({"email": "ann@example.org\nbob@example.org", "verified": {"email": true}}),
    ] {
        assert_eq!(email(other.clone()), None, "{other}");
    }
}

#[test]
fn subject_of_a_person_is_none_of_a_system() {
    for (subject, accepted) in [
        ("u-17", true),
        ("systems", true),
        ("system:01920000-0000-7000-8000-00000000000a", false),
        ("system:", false),
        ("", false),
        ("a\u{0}b", false),
    ] {
        assert_eq!(caller(json!({"sub": subject})).is_ok(), accepted, "{subject:?}");
    }
}

#[test]
fn account_of_a_person_comes_from_a_claim_if_it_is_set() {
    let email = VerifiedEmailClaims { email: "email".to_owned(), verified: "email_verified".to_owned() };
    let access = JwtAccess::Persons { account: JwtSource::Claim("account".to_owned()), email };
    let (verifier, _, signer) = ready(JwtIssuer { access, ..issuer() });
    let account = |changes: Value| {
        let answer = verifier.judge(&signer.token("ed", &with(valid(), changes)));
        answer.map(|caller| caller.account.as_str().to_owned())
    };
    assert_eq!(account(json!({"account": "other"})).as_deref(), Ok("other"));
    assert_eq!(account(json!({"account": null})), Err(NoCaller::Unauthenticated));
}
