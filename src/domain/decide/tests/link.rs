//! The links and names that lead to an invitation, and the etags that fit it.

use uuid::Uuid;

use super::{after, run, run_on};
use crate::domain::command::{Action, Command, RevokeInvitation, Target};
use crate::domain::fixtures::{
    accept, acceptor, account, by_any_name, command, decline, details, early, engage, in_state, invitation, invited,
    loaded, organization, person, reach_of, resend, target, verbs,
};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::state::State;
use crate::domain::invitation::{EngagementType, Invitation};
use crate::domain::kind::Kind;
use crate::domain::reach::Reach;
use crate::domain::secret::token::Claims;
use crate::domain::value::id::InvitationId;

/// Returns every action through a link.
fn by_link(link: Claims) -> [Action; 3] {
    [accept(link, acceptor("early")), decline(link), engage(link, EngagementType::View)]
}

/// Returns the claims of links that were never this invitation's, or no longer are.
fn dead_links(invitation: &Invitation) -> Vec<(&'static str, Claims)> {
    let link = invitation.claims(0);
    let beyond = u16::try_from(invitation.recipients.len()).unwrap() + 1;
    vec![
        ("an older generation", Claims { generation: link.generation - 1, ..link }),
        ("a generation to come", Claims { generation: link.generation + 1, ..link }),
        ("another key", Claims { key_id: 2, ..link }),
        ("another invitation", Claims { invitation: InvitationId(Uuid::from_u128(9)), ..link }),
        ("a recipient beyond", Claims { recipient: beyond, ..link }),
        ("the last ordinal", Claims { recipient: u16::MAX, ..link }),
    ]
}

#[test]
fn old_or_foreign_link_finds_nothing_in_any_state() {
    for state in State::ALL {
        for recipients in [0, 2] {
            let mut invitation = in_state(state);
            invitation.recipients = super::invitation(recipients, None).recipients;
            let loaded = loaded(&invitation, &[early(&invitation)]);
            for (case, link) in dead_links(&invitation) {
                for action in by_link(link) {
                    let refusal = run_on(&loaded, &command(1, action)).unwrap_err();
                    assert_eq!(refusal, Refusal::InvitationNotFound, "{case} when {state:?}");
                }
            }
        }
    }
}

#[test]
fn another_account_finds_nothing_by_link_or_name() {
    let invitation = in_state(State::Active);
    let loaded = loaded(&invitation, &[early(&invitation)]);
    for (verb, action) in verbs(&invitation) {
        let theirs = Command { reach: Reach::of_account(account("other")), ..command(1, action) };
        assert_eq!(run_on(&loaded, &theirs).unwrap_err(), Refusal::InvitationNotFound, "{verb}");
    }
}

#[test]
fn rotation_replaces_the_plain_and_all_mailed_links() {
    let before = invitation(2, None);
    let rotated = run(&before, resend(&before, true, None)).unwrap().changes;
    let after = after(&rotated).unwrap();
    for recipient in [0, 1, 2] {
        let seen = |link| run(after, engage(link, EngagementType::View)).map(|decided| decided.affected.invitation);
        assert_eq!(seen(before.claims(recipient)), Err(Refusal::InvitationNotFound));
        assert_eq!(seen(after.claims(recipient)), Ok(after.id));
    }
    assert!(run(after, accept(after.claims(1), person("a", None, false))).is_ok());
}

/// Returns the named commands, with this etag.
fn by_name(invitation: &Invitation, etag: Option<&str>) -> Vec<(&'static str, Action)> {
    let wanted = Target { etag: etag.map(str::to_owned), ..target(invitation) };
    let named = verbs(invitation).into_iter().filter_map(|(verb, action)| match action {
        Action::Revoke(mut revoke) => {
            revoke.target = wanted.clone();
            Some((verb, Action::Revoke(revoke)))
        }
        Action::Resend(mut resend) => {
            resend.target = wanted.clone();
            Some((verb, Action::Resend(resend)))
        }
        Action::RecordCreatedConnection(mut update) => {
            update.target = wanted.clone();
            Some((verb, Action::RecordCreatedConnection(update)))
        }
        Action::Update(_)
        | Action::Reassign(_)
        | Action::Delete(_)
        | Action::SyncAutojoin(_)
        | Action::Create(_)
        | Action::Accept(_)
        | Action::CheckAcceptance(_)
        | Action::Decline(_)
        | Action::RecordEngagement(_)
        | Action::SettleDelivery(_)
        | Action::ReportDelivery(_)
        | Action::VerifyEmail(_)
        | Action::Expire(_)
        | Action::EraseRecipient(_)
        | Action::ReleaseAcceptance(_)
        | Action::UpdateAcceptance(_)
        | Action::ExpireGrant(_) => None,
    });
    named.collect()
}

#[test]
fn stale_etag_is_refused_before_the_state_counts() {
    for state in State::ALL {
        let invitation = in_state(state);
        let loaded = loaded(&invitation, &[early(&invitation)]);
        let present = invitation.etag();
        let neighbour = |revision| Invitation { revision, ..invitation.clone() }.etag();
        let (before, next, unquoted) = (neighbour(6), neighbour(8), present.trim_matches('"'));
        assert!(present.len() == unquoted.len() + 2 && ![&before, &next].contains(&&present), "{present}");
        let weak = format!("W/{present}");
        for stale in [before.as_str(), &next, unquoted, &weak, "\"7\"", "*", ""] {
            for (verb, action) in by_name(&invitation, Some(stale)) {
                let refusal = run_on(&loaded, &command(1, action)).unwrap_err();
                assert_eq!(refusal, Refusal::EtagMismatch, "{verb} with {stale} when {state:?}");
            }
        }
        for (present, absent) in
            by_name(&invitation, Some(present.as_str())).into_iter().zip(by_name(&invitation, None))
        {
            let result = |action| format!("{:?}", run_on(&loaded, &command(1, action)));
            assert_eq!(result(present.1), result(absent.1), "{} when {state:?}", present.0);
        }
    }
}

#[test]
fn every_change_but_engagement_changes_the_etag() {
    let invitation = in_state(State::Active);
    let loaded = loaded(&invitation, &[early(&invitation)]);
    for (verb, action) in verbs(&invitation) {
        let changes = run_on(&loaded, &command(1, action)).unwrap().changes;
        let etag = after(&changes).map_or(invitation.etag(), Invitation::etag);
        assert_eq!(etag == invitation.etag(), verb == "record engagement", "{verb}");
    }
}

#[test]
fn engagement_by_a_mailed_link_names_its_recipient() {
    let invitation = invitation(2, None);
    for (link, recipient) in [(0, None), (2, Some(2.into()))] {
        let changes = run(&invitation, engage(invitation.claims(link), EngagementType::Unfurl)).unwrap().changes;
        assert_eq!(changes.events[0].payload.json().get("recipient"), recipient.as_ref());
        assert_eq!(changes.engagement, Some((invitation.id, EngagementType::Unfurl)));
    }
}

#[test]
fn name_of_a_foreign_host_is_not_found_before_its_etag_counts() {
    let guest = invited(1, details(Kind::Guest), &["guest@example.org"]);
    let user = invited(2, details(Kind::User), &["jane@example.org"]);
    let (host, other) = (organization(1), organization(2));
    for (invitation, hosts, found) in [
        (&guest, None, true),
        (&guest, Some(vec![host]), true),
        (&guest, Some(vec![other, host]), true),
        (&guest, Some(vec![other]), false),
        (&guest, Some(vec![]), false),
        (&user, None, true),
        (&user, Some(vec![host]), false),
    ] {
        for (etag, refusal) in [(None, None), (Some("stale".to_owned()), Some(Refusal::EtagMismatch))] {
            let target = Target { etag, ..by_any_name(invitation) };
            let revoke = command(1, Action::Revoke(RevokeInvitation { target }));
            let result = run_on(&loaded(invitation, &[]), &Command { reach: reach_of(hosts.clone()), ..revoke });
            let expected = if found { refusal } else { Some(Refusal::InvitationNotFound) };
            assert_eq!(result.err(), expected, "{hosts:?}");
        }
    }
}
