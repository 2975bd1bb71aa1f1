//! The e-mail rule, over every type of invitation, link, address and proof.

use crate::domain::command::{AcceptInvitation, Action};
use crate::domain::decide::tests::{after, run};
use crate::domain::decide::{AcceptanceChange, Decided};
use crate::domain::fixtures::{
    CONTEXT, NOW, accept, command, details, email, general, invitation, invited, loaded, minutes, person,
};
use crate::domain::group::Group;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::Acceptor;
use crate::domain::invitation::elsewhere::elsewhere;
use crate::domain::invitation::recipient::Address;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::refusal::Refusal::{
    EmailNotAllowed, EmailNotVerified, EmailProofUsed, InvitationDeclined,
};
use crate::domain::kind::general::{GeneralDetails, RecipientMatch, Usage};
use crate::domain::kind::{Details, Kind};
use crate::domain::secret::verification::EmailProof;
use crate::domain::value::given_email::GivenEmail;
use uuid::Uuid;

const R1: &str = "r1@example.org";
const R2: &str = "r2@example.org";
/// Recipient 3 has declined.
const R3: &str = "r3@example.org";
const R1_SPELT_OTHERWISE: &str = " R1@EXAMPLE.org ";
const STRANGER: &str = "eve@example.org";
const R1_TAGGED: &str = "r1+tag@example.org";

type Matched = Result<u16, Refusal>;

/// The link, the acceptor's address, and the matched recipient: without and with the caller's voucher for the address.
#[rustfmt::skip]
const TABLE: [(u16, Option<&str>, Matched, Matched); 26] = [
    (0, None,                     Err(EmailNotAllowed),    Err(EmailNotAllowed)),
    (0, Some(R1),                 Err(EmailNotVerified),   Ok(1)),
    (0, Some(R1_SPELT_OTHERWISE), Err(EmailNotVerified),   Ok(1)),
    (0, Some(R2),                 Err(EmailNotVerified),   Ok(2)),
    (0, Some(R3),                 Err(EmailNotVerified),   Err(InvitationDeclined)),
    (0, Some(STRANGER),           Err(EmailNotAllowed),    Err(EmailNotAllowed)),
    (0, Some(R1_TAGGED),          Err(EmailNotAllowed),    Err(EmailNotAllowed)),
    (1, None,                     Ok(1),                   Ok(1)),
    (1, Some(R1),                 Ok(1),                   Ok(1)),
    (1, Some(R1_SPELT_OTHERWISE), Ok(1),                   Ok(1)),
    (1, Some(R2),                 Err(EmailNotVerified),   Ok(2)),
    (1, Some(R3),                 Err(EmailNotVerified),   Err(InvitationDeclined)),
    (1, Some(STRANGER),           Err(EmailNotAllowed),    Err(EmailNotAllowed)),
    (1, Some(R1_TAGGED),          Err(EmailNotAllowed),    Err(EmailNotAllowed)),
    (2, None,                     Ok(2),                   Ok(2)),
    (2, Some(R1),                 Err(EmailNotVerified),   Ok(1)),
    (2, Some(R1_SPELT_OTHERWISE), Err(EmailNotVerified),   Ok(1)),
    (2, Some(R2),                 Ok(2),                   Ok(2)),
    (2, Some(R3),                 Err(EmailNotVerified),   Err(InvitationDeclined)),
    (2, Some(STRANGER),           Err(EmailNotAllowed),    Err(EmailNotAllowed)),
    (3, None,                     Err(InvitationDeclined), Err(InvitationDeclined)),
    (3, Some(R1),                 Err(EmailNotVerified),   Ok(1)),
    (3, Some(R2),                 Err(EmailNotVerified),   Ok(2)),
    (3, Some(R3),                 Err(InvitationDeclined), Err(InvitationDeclined)),
    (3, Some(STRANGER),           Err(EmailNotAllowed),    Err(EmailNotAllowed)),
    (3, Some(R1_TAGGED),          Err(EmailNotAllowed),    Err(EmailNotAllowed)),
];

/// Returns an invitation to three addresses, the last of whom has declined.
fn bound() -> Invitation {
    let mut invitation = invitation(3, None);
    invitation.recipients[2].declined_at = Some(minutes(-1));
    invitation
}

/// The recipient and the address of the acceptance, and the invitation afterwards.
fn accepted(decided: Decided) -> (Option<u16>, Option<String>, Invitation) {
    let after = after(&decided.changes).unwrap().clone();
    let Some(AcceptanceChange::Create(acceptance)) = decided.changes.acceptance else { panic!("no acceptance") };
    (acceptance.recipient, acceptance.email.map(|email| email.original().to_owned()), after)
}

#[test]
fn bound_invitation_accepts_only_proven_allowed_addresses() {
    let bound = bound();
    for (link, address, unvouched, vouched) in TABLE {
        for (verified, expected) in [(false, unvouched), (true, vouched)] {
            let case = format!("link {link}, {address:?}, verified: {verified}");
            let acceptor = person("a", address.map(email), verified);
            let result = run(&bound, accept(bound.claims(link), acceptor)).map(accepted);
            let Ok((recipient, with, after)) = result else {
                assert_eq!(result.map(|(recipient, ..)| recipient.unwrap()), expected, "{case}");
                continue;
            };
            let ordinal = expected.unwrap_or_else(|refusal| panic!("{case}: not {refusal:?}"));
            assert_eq!(recipient, Some(ordinal), "{case}");
            let own = format!("r{ordinal}@example.org");
            assert_eq!(with.as_deref(), Some(address.map_or(own.as_str(), str::trim)), "{case}");
            for other in &after.recipients {
                assert_eq!(other.accepted_at, (other.ordinal == ordinal).then_some(NOW), "{case}");
            }
        }
    }
}

#[test]
fn unbound_invitation_takes_any_address_and_none() {
    let unbound = invitation(0, None);
    for address in [None, Some(R1), Some(STRANGER)] {
        for verified in [false, true] {
            let acceptor = person("a", address.map(email), verified);
            let (recipient, with, _) = accepted(run(&unbound, accept(unbound.claims(0), acceptor)).unwrap());
            assert_eq!((recipient, with.as_deref()), (None, address));
        }
    }
}

#[test]
fn two_subjects_with_one_address_are_two_uses() {
    let mut bound = bound();
    bound.recipients[0].accepted_at = Some(minutes(-1));
    let (recipient, _, after) = accepted(run(&bound, accept(bound.claims(1), person("b", None, false))).unwrap());
    assert_eq!((recipient, after.facts.use_count), (Some(1), 1));
    assert_eq!(after.recipients[0].accepted_at, Some(minutes(-1)));
}

#[test]
fn state_is_refused_before_the_address_is_checked() {
    let mut bound = bound();
    bound.facts.revoked_at = Some(minutes(-1));
    let acceptor = person("a", Some(email(STRANGER)), false);
    let refusal = run(&bound, accept(bound.claims(0), acceptor)).unwrap_err();
    assert_eq!(refusal, Refusal::InvitationRevoked);
}

#[test]
fn accept_event_has_the_recipients_ordinal_and_no_address() {
    let bound = bound();
    let decided = run(&bound, accept(bound.claims(2), person("a", None, false))).unwrap();
    assert_eq!(decided.changes.events[0].payload.json()["recipient"], 2);
    assert!(decided.changes.events.iter().all(|event| !format!("{:?}", event.payload.json()).contains('@')));
}

/// A case of the general kind: the targets (one that begins with `!` has declined), and the acceptor.
struct Case {
    usage: Usage,
    rule: RecipientMatch,
    targets: &'static [&'static str],
    /// The link, the subject, the address, and whether the caller vouches for it.
    acceptor: (u16, &'static str, &'static str, bool),
    /// The ordinal of the matched target, 0 for none.
    expected: Matched,
}

const fn case(
    rule: RecipientMatch,
    targets: &'static [&'static str],
    acceptor: (u16, &'static str, &'static str, bool),
    expected: Matched,
) -> Case {
    Case { usage: Usage::SingleUse, rule, targets, acceptor, expected }
}

const fn for_many(targets: &'static [&'static str], acceptor: (u16, &'static str, &'static str, bool), n: u16) -> Case {
    Case { usage: Usage::MultiUse, rule: Exact, targets, acceptor, expected: Ok(n) }
}

use RecipientMatch::{Any, Domain, Exact};

#[rustfmt::skip]
const GENERAL: [Case; 49] = [
    // Only the address itself matches, with the caller's voucher or the mailed link.
    case(Exact, &["r1@a.org"],                  (0, "u", "r1@a.org", true),      Ok(1)),
    case(Exact, &["r1@a.org"],                  (0, "u", "r1@a.org", false),     Err(EmailNotVerified)),
    case(Exact, &["r1@a.org"],                  (0, "u", "", true),              Err(EmailNotAllowed)),
    case(Exact, &["r1@a.org"],                  (0, "u", "r2@a.org", true),      Err(EmailNotAllowed)),
    case(Exact, &["r1@a.org"],                  (1, "u", "", false),             Ok(1)),
    case(Exact, &["r1@a.org"],                  (1, "u", "r1@A.ORG", false),     Ok(1)),
    case(Exact, &["r1@a.org"],                  (1, "u", "r2@a.org", true),      Err(EmailNotAllowed)),
    case(Exact, &["r1@a.org", "r2@a.org"],      (1, "u", "r2@a.org", false),     Err(EmailNotVerified)),
    case(Exact, &["r1@a.org", "r2@a.org"],      (1, "u", "r2@a.org", true),      Ok(2)),
    // A domain is compared as a whole.
    case(Domain, &["r1@a.org"],                 (0, "u", "r2@a.org", true),      Ok(1)),
    case(Domain, &["r1@a.org"],                 (0, "u", "r2@a.org", false),     Err(EmailNotVerified)),
    case(Domain, &["r1@a.org"],                 (1, "u", "r2@a.org", false),     Err(EmailNotVerified)),
    case(Domain, &["r1@a.org"],                 (0, "u", "r1@sub.a.org", true),  Err(EmailNotAllowed)),
    case(Domain, &["r1@a.org"],                 (0, "u", "r1@evil-a.org", true), Err(EmailNotAllowed)),
    case(Domain, &["r1@a.org"],                 (0, "u", "r1@a.org.evil.org", true), Err(EmailNotAllowed)),
    case(Domain, &["r1@b.org", "r2@a.org"],     (0, "u", "r3@a.org", true),      Ok(2)),
    case(Domain, &["r1@a.org", "r2@a.org"],     (0, "u", "r2@a.org", true),      Ok(2)),
    case(Domain, &["r1@exämple.org"],           (0, "u", "x@xn--exmple-cua.org", true), Ok(1)),
    // Any address matches, if it is proven.
    case(Any, &["r1@a.org"],                    (0, "u", "eve@evil.org", true),  Ok(1)),
    case(Any, &["r1@a.org"],                    (0, "u", "eve@evil.org", false), Err(EmailNotVerified)),
    case(Any, &["r1@a.org"],                    (1, "u", "eve@evil.org", false), Err(EmailNotVerified)),
    case(Any, &["r1@a.org"],                    (1, "u", "", false),             Ok(1)),
    case(Any, &["r1@a.org"],                    (0, "u", "", true),              Err(EmailNotAllowed)),
    // The caller's own id needs no address.
    case(Exact, &["u1"],                        (0, "u1", "", false),            Ok(1)),
    case(Exact, &["u1"],                        (0, "u1", "x@a.org", false),     Ok(1)),
    case(Exact, &["u1"],                        (0, "u2", "x@a.org", true),      Err(EmailNotAllowed)),
    case(Any, &["u1"],                          (0, "u2", "x@a.org", true),      Err(EmailNotAllowed)),
    case(Exact, &["r1@a.org", "u1"],            (0, "u1", "x@a.org", false),     Ok(2)),
    case(Exact, &["r1@a.org", "u1"],            (0, "u2", "r1@a.org", true),     Ok(1)),
    case(Exact, &["u1"],                        (0, "U1", "", false),            Err(EmailNotAllowed)),
    // Phones and shared links bind no acceptor, but an address beside them does.
    case(Exact, &["+4930123"],                  (0, "u", "", false),             Ok(0)),
    case(Exact, &[""],                          (0, "u", "x@a.org", false),      Ok(0)),
    case(Exact, &[],                            (0, "u", "", false),             Ok(0)),
    case(Exact, &["+4930123", "r1@a.org"],      (0, "u", "", false),             Err(EmailNotAllowed)),
    case(Exact, &["+4930123", "r1@a.org"],      (0, "u", "r1@a.org", true),      Ok(2)),
    // A person who has declined is refused as declined; another target of theirs may still match.
    case(Exact, &["!r1@a.org", "r2@a.org"],     (0, "u", "r1@a.org", true),      Err(InvitationDeclined)),
    case(Exact, &["!r1@a.org", "r2@a.org"],     (0, "u", "r1@a.org", false),     Err(EmailNotVerified)),
    case(Exact, &["!r1@a.org", "r2@a.org"],     (1, "u", "", false),             Err(InvitationDeclined)),
    case(Exact, &["!r1@a.org", "r2@a.org"],     (2, "u", "", false),             Ok(2)),
    case(Domain, &["!r1@a.org", "r2@a.org"],    (0, "u", "r1@a.org", true),      Err(InvitationDeclined)),
    case(Domain, &["!r1@a.org", "r2@a.org"],    (0, "u", "r3@a.org", true),      Ok(2)),
    case(Exact, &["!u1", "r1@a.org"],           (0, "u1", "", false),            Err(InvitationDeclined)),
    case(Exact, &["!u1", "r1@a.org"],           (0, "u1", "r1@a.org", true),     Ok(2)),
    case(Any, &["!u1", "r1@a.org"],             (0, "u1", "r2@a.org", true),     Err(InvitationDeclined)),
    case(Exact, &["u1", "!r1@a.org"],           (2, "u1", "", false),            Ok(1)),
    // An invitation for many binds no acceptor; a known target is recorded.
    for_many(&["r1@a.org", "u1"],               (0, "u", "", false),             0),
    for_many(&["r1@a.org", "u1"],               (0, "u", "r1@a.org", false),     0),
    for_many(&["r1@a.org", "u1"],               (1, "u", "", false),             1),
    for_many(&["r1@a.org", "u1"],               (0, "u1", "", false),            2),
];

#[test]
fn general_invitation_accepts_only_by_its_email_rule() {
    for Case { usage, rule, targets, acceptor: (link, subject, address, verified), expected } in GENERAL {
        let case = format!("{usage:?} {rule:?} {targets:?}: {subject} by link {link}, {address}, {verified}");
        let details = GeneralDetails { recipient_match: rule, ..general(usage) };
        let plain: Vec<_> = targets.iter().map(|target| target.trim_start_matches('!')).collect();
        let mut before = invited(0, Details::General(Box::new(details)), &plain);
        for (recipient, _) in before.recipients.iter_mut().zip(targets).filter(|(_, target)| target.starts_with('!')) {
            recipient.declined_at = Some(minutes(-1));
        }
        let email = Some(address).filter(|address| !address.is_empty()).map(email);
        let result = run(&before, accept(before.claims(link), person(subject, email, verified))).map(accepted);
        assert_eq!(result.map(|(recipient, ..)| recipient.unwrap_or(0)), expected, "{case}");
    }
}

/// The address, whether the caller vouches for it, and whether it is admitted where `example.com` and `exämple.org`
/// join by themselves.
#[rustfmt::skip]
const AUTOJOIN: [(&str, bool, Result<(), Refusal>); 11] = [
    ("jane@example.com",          true,  Ok(())),
    ("Jane@EXAMPLE.COM",          true,  Ok(())),
    ("jane@xn--exmple-cua.org",   true,  Ok(())),
    ("jane@exa\u{308}mple.org",   true,  Ok(())),
    ("jane@example.com",          false, Err(EmailNotVerified)),
    ("jane@sub.example.com",      true,  Err(EmailNotAllowed)),
    ("jane@evil-example.com",     true,  Err(EmailNotAllowed)),
    ("jane@example.com.evil.org", true,  Err(EmailNotAllowed)),
    ("jane@example.comm",         true,  Err(EmailNotAllowed)),
    ("example.com@evil.org",      true,  Err(EmailNotAllowed)),
    ("jane@evil.org",             false, Err(EmailNotAllowed)),
];

#[test]
fn auto_join_takes_verified_addresses_of_its_very_domains() {
    let mut details = general(Usage::Autojoin);
    details.domains = vec!["example.com".to_owned(), "xn--exmple-cua.org".to_owned()];
    let mut invitation = invited(0, Details::General(Box::new(details)), &[]);
    invitation.facts.max_uses = None;
    let come = |acceptor| run(&invitation, accept(invitation.claims(0), acceptor)).map(|_| ());
    for (address, verified, expected) in AUTOJOIN {
        assert_eq!(come(person("u", Some(email(address)), verified)), expected, "{address} {verified}");
    }
    assert_eq!(come(person("u", None, true)), Err(EmailNotAllowed), "no address");
}

#[test]
fn user_and_guest_invitations_are_bound_to_their_address() {
    for kind in [Kind::User, Kind::Guest] {
        let invitation = invited(0, details(kind), &[R1]);
        for (link, address, verified, expected) in [
            (0, None, true, Err(EmailNotAllowed)),
            (0, Some(R1), false, Err(EmailNotVerified)),
            (0, Some(R1), true, Ok(Some(1))),
            (1, None, false, Ok(Some(1))),
            (1, Some(R2), true, Err(EmailNotAllowed)),
        ] {
            let acceptor = person("u", address.map(email), verified);
            let result = run(&invitation, accept(invitation.claims(link), acceptor)).map(accepted);
            assert_eq!(result.map(|(recipient, ..)| recipient), expected, "{kind:?} by {link} {address:?} {verified}");
        }
    }
}

#[test]
fn proof_serves_the_first_subject_that_accepts_with_it() {
    let mut bound = bound();
    bound.facts.max_uses = None;
    let proof = |id: u128, address: &str| EmailProof::new(Uuid::from_u128(id), email(address), NOW);
    let accept_with = |subject: &str, address: Option<&str>, verified: bool, proof: EmailProof| {
        let Action::Accept(accept) = accept(bound.claims(0), person(subject, address.map(email), verified)) else {
            unreachable!()
        };
        Action::Accept(Box::new(AcceptInvitation { proof: Some(proof), ..*accept }))
    };
    let mut group = Group::new(loaded(&bound, &[]));
    let late = EmailProof { expire_at: NOW, ..proof(1, R1) };
    for (number, (case, action, expected)) in (1..).zip([
        ("refused, so nothing is used", accept_with("eve", None, false, proof(1, STRANGER)), Err(EmailNotAllowed)),
        ("the first", accept_with("ann", None, false, proof(1, R1)), Ok(false)),
        ("the same subject again", accept_with("ann", None, false, proof(1, R1)), Ok(true)),
        ("another subject", accept_with("bob", None, false, proof(1, R1)), Err(EmailProofUsed)),
        ("another subject with the address", accept_with("bob", Some(R1), false, proof(1, R1)), Err(EmailProofUsed)),
        ("another subject, vouched for", accept_with("bob", Some(R1), true, proof(1, R1)), Err(EmailProofUsed)),
        ("a used proof that does not count", accept_with("bob", Some(R2), true, proof(1, R1)), Ok(false)),
        ("one that is too old", accept_with("carl", Some(R1), false, late), Err(EmailNotVerified)),
        ("a proof of its own", accept_with("carl", None, false, proof(2, R1)), Ok(false)),
    ]) {
        let result = group.run(&command(number, action), &CONTEXT).map(|executed| executed.already_accepted);
        assert_eq!(result, expected, "{case}");
    }
    let used: Vec<_> = group.save().requests.keys().map(|key| key.id.clone()).collect();
    assert_eq!(used, [1, 2].map(|id| Uuid::from_u128(id).to_string()), "each of the two that counted, once");
}

/// An address as Japanese carriers gave them to people, in the domain of those who are invited.
const NOT_PLAIN: &str = "\"a..b\"@a.org";

#[test]
fn address_that_is_not_plain_counts_only_where_none_is_compared() {
    let bound = |rule, targets: &[&str]| {
        let details = GeneralDetails { recipient_match: rule, ..general(Usage::SingleUse) };
        invited(0, Details::General(Box::new(details)), targets)
    };
    let mut autojoin = general(Usage::Autojoin);
    autojoin.domains = vec!["a.org".to_owned()];
    let autojoin = invited(0, Details::General(Box::new(autojoin)), &[]);
    for (invitation, link, subject, verified, expected) in [
        (&invitation(0, None), 0, "u", false, Ok(None)),
        (&invitation(0, None), 0, "u", true, Ok(None)),
        (&bound(Exact, &["r1@a.org"]), 0, "u", true, Err(EmailNotAllowed)),
        (&bound(Exact, &["r1@a.org"]), 1, "u", true, Err(EmailNotAllowed)),
        (&bound(Exact, &["u1"]), 0, "u1", false, Ok(Some(1))),
        (&bound(Domain, &["r1@a.org"]), 0, "u", true, Err(EmailNotAllowed)),
        (&bound(Any, &["r1@a.org"]), 0, "u", true, Ok(Some(1))),
        (&bound(Any, &["r1@a.org"]), 0, "u", false, Err(EmailNotVerified)),
        (&autojoin, 0, "u", true, Err(EmailNotAllowed)),
    ] {
        let email = Some(GivenEmail::parse(NOT_PLAIN).unwrap());
        let acceptor = Acceptor { email, ..person(subject, None, verified) };
        let result = run(invitation, accept(invitation.claims(link), acceptor)).map(accepted);
        let result = result.map(|(recipient, email, _)| (recipient, email.unwrap()));
        assert_eq!(result, expected.map(|recipient| (recipient, NOT_PLAIN.to_owned())), "{:?}", invitation.recipients);
    }
}

#[test]
fn address_that_is_not_plain_closes_nothing_elsewhere() {
    let details = || Details::General(Box::new(general(Usage::SingleUse)));
    let invitation = invited(0, details(), &["u1", "r1@a.org"]);
    let email = Some(GivenEmail::parse(NOT_PLAIN).unwrap());
    let acceptor = Acceptor { email, ..person("u1", None, true) };
    let Action::Accept(accept) = accept(invitation.claims(2), acceptor) else { panic!("no accept") };
    let search = elsewhere(&invitation, &accept, NOW).unwrap();
    assert_eq!(search.addresses, [Address::Internal("u1".to_owned())]);
}
