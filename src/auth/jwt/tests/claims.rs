//! Claims: who may call, until when, and what for.

use super::*;
use crate::config::JwtSubject;
use uuid::Uuid;

const ORGANIZATION: &str = "01920000-0000-7000-8000-00000000000a";

#[track_caller]
fn judge(issuer: JwtIssuer, cases: &[(Value, bool)]) {
    let (verifier, _, signer) = ready(issuer);
    for (changes, accepted) in cases {
        let answer = verifier.judge(&signer.token("ed", &with(valid(), changes.clone())));
        let expected = if *accepted { Ok(()) } else { Err(NoCaller::Unauthenticated) };
        assert_eq!(answer.map(|_| ()), expected, "{changes}");
    }
}

#[test]
fn audience_must_be_ours_as_a_text_or_in_a_list() {
    let many = |count: usize| vec!["other"; count - 1].into_iter().chain(["second"]).collect::<Vec<_>>();
    judge(
        issuer(),
        &[
            (json!({"aud": "second"}), true),
            (json!({"aud": ["other", "second"]}), true),
            (json!({"aud": many(64)}), true),
            (json!({"aud": many(65)}), false),
            (json!({"aud": null}), false),
            (json!({"aud": []}), false),
            (json!({"aud": "other"}), false),
            (json!({"aud": "invitation-service "}), false),
            (json!({"aud": "INVITATION-SERVICE"}), false),
            (json!({"aud": ["other"]}), false),
            (json!({"aud": ["second", 1]}), false),
            (json!({"aud": [["second"]]}), false),
            (json!({"aud": {"second": true}}), false),
            (json!({"aud": 1}), false),
        ],
    );
}

#[test]
fn times_are_required_where_they_decide_and_never_guessed() {
    judge(
        issuer(),
        &[
            (json!({"exp": NOW - 29}), false),
            (json!({"exp": NOW - 29, "iat": NOW - 60}), true),
            (json!({"exp": NOW - 30, "iat": NOW - 60}), false),
            (json!({"exp": NOW as f64 + 0.5}), true),
            (json!({"exp": 253_402_300_799_i64}), true),
            (json!({"exp": 253_402_300_800_i64}), false),
            (json!({"exp": u64::MAX}), false),
            (json!({"exp": 1e308}), false),
            (json!({"exp": -1, "iat": null}), false),
            (json!({"exp": 0, "iat": null}), false),
            (json!({"exp": null}), false),
            (json!({"exp": (NOW + 600).to_string()}), false),
            (json!({"exp": [NOW + 600]}), false),
            (json!({"exp": true}), false),
            (json!({"nbf": NOW + 30}), true),
            (json!({"nbf": NOW + 31}), false),
            (json!({"nbf": "0"}), false),
            (json!({"nbf": -1}), false),
            (json!({"iat": null}), true),
            (json!({"iat": NOW + 30}), true),
            (json!({"iat": NOW + 31}), false),
            (json!({"iat": NOW + 1, "exp": NOW}), false),
            (json!({"iat": "now"}), false),
            (json!({"cnf": {"jkt": "x"}}), false),
        ],
    );
    judge(
        JwtIssuer { leeway: Duration::ZERO, ..issuer() },
        &[(json!({"exp": NOW, "iat": null}), false), (json!({"nbf": NOW}), true), (json!({"nbf": NOW + 1}), false)],
    );
}

#[test]
fn null_is_not_taken_for_a_missing_claim() {
    let (verifier, _, signer) = ready(issuer());
    let header = r#"{"alg":"EdDSA","kid":"ed"}"#;
    for name in ["nbf", "iat", "exp", "aud", "sub", "account", "scope"] {
        let mut claims = valid();
        claims.as_object_mut().unwrap().insert(name.to_owned(), Value::Null);
        let answer = verifier.judge(&signer.raw(header, &claims.to_string()));
        assert_eq!(answer.unwrap_err(), NoCaller::Unauthenticated, "{name}");
    }
}

#[test]
fn subject_is_bounded_and_cannot_forge_a_line() {
    judge(
        issuer(),
        &[
            (json!({"sub": "ä".repeat(150)}), true),
            (json!({"sub": "system:serviceaccount:shop/../x:y"}), true),
            (json!({"sub": "ä".repeat(151)}), false),
            (json!({"sub": ""}), false),
            (json!({"sub": null}), false),
            (json!({"sub": 7}), false),
            (json!({"sub": "a\nb"}), false),
            (json!({"sub": "a\u{2028}b"}), false),
            (json!({"sub": "a\u{0}"}), false),
        ],
    );
    let longest = JwtIssuer { name: "n".repeat(32), ..issuer() };
    let (verifier, _, signer) = ready(longest);
    let caller = verifier.judge(&signer.token("ed", &with(valid(), json!({"sub": "s".repeat(150)})))).unwrap();
    assert_eq!(caller.name.chars().count(), 200);
}

#[test]
fn account_and_organization_come_from_claims_or_not_at_all() {
    let claim = |name: &str| name.to_owned();
    let access = JwtAccess::All {
        account: JwtSource::Claim(claim("/tenant/0/account")),
        permissions: JwtSource::Fixed(vec![Permission::EventsRead]),
        organization_id: Some(JwtSource::Claim(claim("https://claims.example/organization"))),
    };
    let issuer = JwtIssuer { access, subject_claim: claim("client_id"), ..issuer() };
    let (verifier, _, signer) = ready(issuer.clone());
    let tenant = json!([{"account": "nested"}]);
    let given = json!({"tenant": tenant, "https://claims.example/organization": ORGANIZATION, "client_id": "c"});
    let caller = verifier.judge(&signer.token("ed", &with(valid(), given.clone()))).unwrap();
    assert_eq!((caller.account.as_str(), caller.name.as_str()), ("nested", "issuers/main/subjects/c"));
    assert_eq!(caller.organization_id, Some(ORGANIZATION.parse().unwrap()));
    assert_eq!(caller.permissions, [Permission::EventsRead], "the claim `scope` has no say");
    let without = |changes: Value| with(given.clone(), changes);
    judge(
        issuer,
        &[
            (without(json!({"https://claims.example/organization": null})), false),
            (without(json!({"https://claims.example/organization": "x"})), false),
            (without(json!({"https://claims.example/organization": ""})), false),
            (without(json!({"https://claims.example/organization": [ORGANIZATION]})), false),
            (without(json!({"tenant": null})), false),
            (without(json!({"tenant": [{"account": ""}]})), false),
            (without(json!({"tenant": [{"account": "a".repeat(201)}]})), false),
            (without(json!({"tenant": [{"account": "a\rb"}]})), false),
            (without(json!({"tenant": [{"account": ["acme"]}]})), false),
            (without(json!({"client_id": null})), false),
        ],
    );
}

#[test]
fn permissions_are_those_of_this_service_that_are_named() {
    let (verifier, _, signer) = ready(issuer());
    let (read, events) = (Permission::InvitationsRead, Permission::EventsRead);
    for (scope, expected) in [
        (json!("openid events.read invitations.read events.read"), Some(vec![read, events])),
        (json!(["events.read"]), Some(vec![events])),
        (json!("*"), Some(vec![])),
        (json!(["*", "events.*", "events.read "]), Some(vec![])),
        (json!("events.read\tinvitations.read"), Some(vec![])),
        (json!(""), Some(vec![])),
        (json!([]), Some(vec![])),
        (json!(["events.read", 1]), None),
        (json!({"events.read": true}), None),
        (json!(1), None),
    ] {
        let answer = verifier.judge(&signer.token("ed", &with(valid(), json!({ "scope": scope }))));
        assert_eq!(answer.ok().map(|caller| caller.permissions), expected, "{scope}");
    }
    let none = verifier.judge(&signer.token("ed", &with(valid(), json!({"scope": null})))).unwrap();
    assert_eq!(none.permissions, []);
}

#[test]
fn first_rule_for_a_subject_decides_and_others_are_refused() {
    let rule = |subject: &str, account: &str, organization_id: Option<Uuid>| JwtSubject {
        subject: subject.to_owned(),
        account: AccountId::parse(account).unwrap(),
        permissions: vec![Permission::EventsRead],
        organization_id,
    };
    let organization = ORGANIZATION.parse().ok();
    let access = JwtAccess::Subjects(vec![
        rule("system:serviceaccount:shop:billing", "shop", organization),
        rule("system:serviceaccount:shop:*", "others", None),
    ]);
    let (verifier, _, signer) = ready(JwtIssuer { access, ..issuer() });
    for (subject, expected) in [
        ("system:serviceaccount:shop:billing", Some(("shop", organization))),
        ("system:serviceaccount:shop:billing2", Some(("others", None))),
        ("system:serviceaccount:shop:", Some(("others", None))),
        ("system:serviceaccount:shop", None),
        ("system:serviceaccount:shop2:billing", None),
        ("xsystem:serviceaccount:shop:billing", None),
        ("SYSTEM:serviceaccount:shop:billing", None),
    ] {
        let claims = with(valid(), json!({"sub": subject, "account": "stolen", "scope": "tokens.read"}));
        let answer = verifier.judge(&signer.token("ed", &claims)).ok();
        let answer = answer.as_ref().map(|caller| (caller.account.as_str(), caller.organization_id));
        assert_eq!(answer, expected, "{subject}");
    }
}
