//! CreateInvitation: what an invitation is made of, and what it does about those that are there.

use std::collections::BTreeSet;
use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::event::Payload;
use invitation_service::pb::{InvitationState, InvitationType, OnConflict, TargetType};
use tokio::task::JoinSet;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::support::build::generals::{email, internal, into, into_team, try_create, with_conflict};
use crate::support::build::messages::Expiring;
use crate::support::build::{generals, messages};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    first_group_is_the_scope_unless_one_is_named,
    expiry_is_a_month_a_ttl_or_a_moment,
    all_that_is_wrong_is_told_at_once_and_makes_nothing,
    conflict_behaviours_hold_for_each_type_of_target,
    only_the_same_target_in_the_same_scope_conflicts,
    replacement_revokes_all_that_match_and_tells_of_each,
    place_of_what_has_expired_or_ended_is_free,
    renewing_needs_the_place_again,
    one_of_two_concurrent_creates_wins_and_is_named,
    single_use_invitation_with_many_targets_is_used_once,
    shared_link_serves_twenty_people_and_no_more_than_it_says,
);

const ALLOW: OnConflict = OnConflict::Allow;
const REJECT: OnConflict = OnConflict::Reject;
const RETURN: OnConflict = OnConflict::ReturnExisting;
const REPLACE: OnConflict = OnConflict::Replace;

/// Asserts that a create was refused because of an invitation.
#[track_caller]
fn exists<T: std::fmt::Debug>(result: Result<T, Status>, holder: &pb::Invitation) {
    let status = refused(result, Code::AlreadyExists, "INVITATION_EXISTS");
    let details = status.get_error_details();
    let resource = details.resource_info().unwrap();
    assert_eq!(
        (resource.resource_name.as_str(), resource.resource_type.as_str()),
        (holder.name.as_str(), "invitation.v1/Invitation")
    );
    assert_eq!(details.error_info().unwrap().metadata.get("invitation"), Some(&holder.name));
}

async fn first_group_is_the_scope_unless_one_is_named(database: TestDatabase) {
    let service = Service::start(&database).await;
    let group = |id: &str| pb::Scope { r#type: "team".to_owned(), id: id.to_owned(), display_name: id.to_uppercase() };
    let grouped = pb::Invitation { groups: vec![group("red"), group("blue")], ..Default::default() };
    let first = generals::create(&service, grouped.clone()).await;
    let scope = first.scope.clone().unwrap();
    assert_eq!((scope.r#type.as_str(), scope.id.as_str(), scope.display_name.as_str()), ("team", "red", "RED"));
    let named = pb::Invitation { scope: Some(messages::scope("site", "s")), ..grouped };
    let named = generals::create(&service, named).await;
    assert_eq!(named.scope.as_ref().unwrap().id, "s");
    let nowhere = generals::create(&service, pb::Invitation::default()).await;
    assert_eq!((nowhere.scope.as_ref(), nowhere.max_uses, nowhere.source.as_str()), (None, Some(1), "api"));
    assert_eq!(nowhere.invitation_type(), InvitationType::SingleUse);
    for made in [first, named, nowhere] {
        assert_eq!(made, messages::get_general(&service, &made.name).await, "as it is read");
        assert_eq!((made.kind(), &made.typed_name), (pb::InvitationKind::General, &made.name));
        assert!(made.invitation_uri.contains(&made.invitation_token) && !made.invitation_token.is_empty());
    }
    service.stop().await;
}

async fn expiry_is_a_month_a_ttl_or_a_moment(database: TestDatabase) {
    let service = Service::start(&database).await;
    let month = generals::create(&service, into_team(&[])).await;
    assert_eq!(month.expire_time(), messages::at(30 * 86_400));
    let ttl = generals::create(
        &service,
        pb::Invitation { expiration: messages::seconds(60).map(pb::invitation::Expiration::Ttl), ..into_team(&[]) },
    )
    .await;
    assert_eq!(ttl.expire_time(), messages::at(60));
    let moment = generals::create(
        &service,
        pb::Invitation { expiration: messages::at(7).map(pb::invitation::Expiration::ExpireTime), ..into_team(&[]) },
    )
    .await;
    assert_eq!(moment.expire_time(), messages::at(7));
    let never = pb::Invitation { expiration: Some(pb::invitation::Expiration::Never(())), ..into_team(&[]) };
    assert_eq!(generals::create(&service, never).await.expire_time(), None);
    for (invitation, field) in [
        (
            pb::Invitation {
                expiration: messages::at(0).map(pb::invitation::Expiration::ExpireTime),
                ..into_team(&[])
            },
            "invitation.expire_time",
        ),
        (
            pb::Invitation {
                expiration: messages::at(101 * 366 * 86_400).map(pb::invitation::Expiration::ExpireTime),
                ..into_team(&[])
            },
            "invitation.expire_time",
        ),
        (
            pb::Invitation { expiration: messages::seconds(59).map(pb::invitation::Expiration::Ttl), ..into_team(&[]) },
            "invitation.ttl",
        ),
        (
            pb::Invitation { expiration: messages::seconds(-1).map(pb::invitation::Expiration::Ttl), ..into_team(&[]) },
            "invitation.ttl",
        ),
        (
            pb::Invitation {
                expiration: messages::seconds(i64::MAX).map(pb::invitation::Expiration::Ttl),
                ..into_team(&[])
            },
            "invitation.ttl",
        ),
    ] {
        let status = try_create(&service, messages::general(invitation)).await;
        let status = refused(status, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(violated(&status), [field]);
    }
    service.stop().await;
}

async fn all_that_is_wrong_is_told_at_once_and_makes_nothing(database: TestDatabase) {
    let service = Service::start(&database).await;
    let group = pb::Scope { r#type: "team".to_owned(), id: "red".to_owned(), display_name: String::new() };
    let invitation = pb::Invitation {
        invitation_type: InvitationType::Autojoin.into(),
        targets: vec![
            email("not an address"),
            messages::target(TargetType::Unspecified, "x"),
            messages::target(TargetType::Phone, "0"),
            internal(""),
            pb::Target { avatar_uri: "ftp://x".to_owned(), ..internal("ann") },
        ],
        recipient_match: 99,
        groups: vec![group.clone(), group, pb::Scope::default()],
        scope: Some(messages::scope("", "a\nb")),
        roles: vec!["a".to_owned(), String::new()],
        max_uses: Some(0),
        expiration: messages::seconds(1).map(pb::invitation::Expiration::Ttl),
        pass_through: "\0".to_owned(),
        inviter: Some(pb::Inviter { email: "@".to_owned(), ..Default::default() }),
        subtype: "x".repeat(301),
        ..Default::default()
    };
    let request =
        pb::CreateInvitationRequest { on_conflict: 9, request_id: "a b".to_owned(), ..messages::general(invitation) };
    let status = refused(try_create(&service, request).await, Code::InvalidArgument, "INVALID_FIELD");
    let fields: BTreeSet<_> = violated(&status).into_iter().collect();
    let wanted = [
        "invitation.groups[2].id",
        "invitation.groups[2].type",
        "invitation.invitation_type",
        "invitation.inviter.email",
        "invitation.max_uses",
        "invitation.pass_through",
        "invitation.recipient_match",
        "invitation.roles[1]",
        "invitation.scope.id",
        "invitation.scope.type",
        "invitation.subtype",
        "invitation.targets[0].value",
        "invitation.targets[1].type",
        "invitation.targets[2].value",
        "invitation.targets[3].value",
        "invitation.targets[4].avatar_uri",
        "invitation.ttl",
        "on_conflict",
        "request_id",
    ];
    assert_eq!(fields.iter().map(String::as_str).collect::<Vec<_>>(), wanted);

    let mail =
        |send_email| pb::CreateInvitationRequest { send_email, ..messages::general(into_team(&[internal("ann")])) };
    for (request, field) in [
        (pb::CreateInvitationRequest::default(), "invitation"),
        (mail(Some(true)), "send_email"),
        (with_conflict(into_team(&[]), REJECT), "on_conflict"),
        (with_conflict(into_team(&[messages::target(TargetType::Share, "")]), REPLACE), "on_conflict"),
        (
            with_conflict(pb::Invitation { targets: vec![email("a@x.org")], ..Default::default() }, RETURN),
            "on_conflict",
        ),
        (messages::general(pb::Invitation { max_uses: Some(2), ..into_team(&[]) }), "invitation.max_uses"),
        (messages::general(into_team(&vec![internal("ann"); 101])), "invitation.targets"),
    ] {
        let status = refused(try_create(&service, request).await, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(violated(&status), [field]);
    }
    assert_eq!(generals::all(&service).await, []);
    service.stop().await;
}

async fn conflict_behaviours_hold_for_each_type_of_target(database: TestDatabase) {
    let service = Service::start(&database).await;
    let spelled = [
        (email("Ann@EXAMPLE.org"), email(" ann@example.org ")),
        (internal("ann"), internal("ann")),
        (messages::target(TargetType::Phone, "+4930123456"), messages::target(TargetType::Phone, "+4930123456")),
    ];
    for (index, (target, again)) in spelled.into_iter().enumerate() {
        let wanted = into(&format!("team-{index}"), &[target]);
        let again = pb::Invitation { targets: vec![email("other@example.org"), again], ..wanted.clone() };
        // Made without claiming the place: rejecting sees it all the same.
        let first = try_create(&service, with_conflict(wanted.clone(), ALLOW)).await.unwrap();
        exists(try_create(&service, with_conflict(again.clone(), REJECT)).await, &first);
        service.clock.advance(Duration::from_secs(1));
        let second = try_create(&service, with_conflict(again.clone(), ALLOW)).await.unwrap();
        exists(try_create(&service, with_conflict(again.clone(), REJECT)).await, &second);
        let found = try_create(&service, with_conflict(again.clone(), RETURN)).await.unwrap();
        assert_eq!(found, second, "the newest, as it is");
        assert_eq!(generals::happened(&service, &second.name).await, ["created"]);

        let third = try_create(&service, with_conflict(again, REPLACE)).await.unwrap();
        assert!(third.name != first.name && third.name != second.name);
        for replaced in [&first, &second] {
            let replaced = messages::get_general(&service, &replaced.name).await;
            assert_eq!(replaced.state(), InvitationState::Revoked);
        }
        exists(try_create(&service, with_conflict(wanted.clone(), REJECT)).await, &third);
        let beside = try_create(&service, with_conflict(wanted, ALLOW)).await.unwrap();
        assert_eq!(beside.state(), InvitationState::Active, "beside the one that holds the place");
    }
    service.stop().await;
}

async fn only_the_same_target_in_the_same_scope_conflicts(database: TestDatabase) {
    let service = Service::start(&database).await;
    let first = try_create(&service, with_conflict(into_team(&[email("ann@x.org")]), REJECT)).await.unwrap();
    let site = pb::Invitation { scope: Some(messages::scope("site", "red")), ..into_team(&[email("ann@x.org")]) };
    for other in [
        into_team(&[email("bob@x.org")]),
        into("blue", &[email("ann@x.org")]),
        into_team(&[internal("ann@x.org")]),
        site,
    ] {
        try_create(&service, with_conflict(other, REJECT)).await.unwrap();
    }
    let group = pb::Scope { r#type: "team".to_owned(), id: "red".to_owned(), display_name: String::new() };
    let by_group = pb::Invitation { groups: vec![group], targets: vec![email("ann@x.org")], ..Default::default() };
    exists(try_create(&service, with_conflict(by_group, REJECT)).await, &first);
    service.stop().await;
}

async fn replacement_revokes_all_that_match_and_tells_of_each(database: TestDatabase) {
    let service = Service::start(&database).await;
    let passing = |targets: &[pb::Target]| pb::Invitation { pass_through: "mine".to_owned(), ..into_team(targets) };
    let mut matching = Vec::new();
    for targets in [vec![email("ann@x.org")], vec![internal("ann"), email("ann@x.org")], vec![internal("ann")]] {
        matching.push(generals::create(&service, passing(&targets)).await);
    }
    let other = generals::create(&service, into_team(&[email("bob@x.org")])).await;
    let both = into_team(&[email("ann@x.org"), internal("ann")]);
    let made = try_create(&service, with_conflict(both, REPLACE)).await.unwrap();
    for replaced in matching {
        let events = messages::events(&service, &replaced.name).await;
        let last = events.last().unwrap();
        assert_eq!(last.r#type, "invitation.revoked");
        assert_eq!(last.pass_through, "mine");
        let Some(Payload::Revoked(revoked)) = &last.payload else { panic!("{last:?}") };
        assert_eq!((revoked.replaced_by.as_str(), revoked.deleted), (made.name.as_str(), false));
    }
    assert_eq!(messages::get_general(&service, &other.name).await, other);
    assert_eq!(made.state(), InvitationState::Active);
    service.stop().await;
}

async fn place_of_what_has_expired_or_ended_is_free(database: TestDatabase) {
    let service = Service::start(&database).await;
    let wanted = || {
        with_conflict(
            pb::Invitation {
                expiration: messages::seconds(60).map(pb::invitation::Expiration::Ttl),
                ..into_team(&[email("ann@x.org")])
            },
            REJECT,
        )
    };
    let first = try_create(&service, wanted()).await.unwrap();
    exists(try_create(&service, wanted()).await, &first);
    service.clock.advance(Duration::from_secs(60));
    let second = try_create(&service, wanted()).await.unwrap();
    exists(try_create(&service, wanted()).await, &second);
    generals::revoke(&service, &second.name).await;
    service.clock.advance(Duration::from_secs(1));
    let third = try_create(&service, wanted()).await.unwrap();
    let accepted = generals::accept(&service, &[&third.name], generals::verified("ann", "ann@x.org")).await;
    assert_eq!(generals::refusal(&accepted[0]), "");
    service.clock.advance(Duration::from_secs(1));
    let fourth = try_create(&service, wanted()).await.unwrap();
    generals::decline(&service, &[&fourth.name], None).await.remove(0).unwrap();
    service.clock.advance(Duration::from_secs(1));
    try_create(&service, wanted()).await.unwrap();
    let states: Vec<_> = generals::all(&service).await.iter().map(pb::Invitation::state).collect();
    use InvitationState::{Active, Declined, Expired, Fulfilled, Revoked};
    assert_eq!(states, [Expired, Revoked, Fulfilled, Declined, Active]);
    service.stop().await;
}

async fn renewing_needs_the_place_again(database: TestDatabase) {
    let service = Service::start(&database).await;
    let wanted = || {
        with_conflict(
            pb::Invitation {
                expiration: messages::seconds(60).map(pb::invitation::Expiration::Ttl),
                ..into_team(&[email("ann@x.org")])
            },
            REJECT,
        )
    };
    let first = try_create(&service, wanted()).await.unwrap();
    service.clock.advance(Duration::from_secs(60));
    let second = try_create(&service, wanted()).await.unwrap();
    let renew = || pb::ResendInvitationRequest {
        name: first.name.clone(),
        expiration: messages::seconds(600).map(pb::resend_invitation_request::Expiration::Ttl),
        ..Default::default()
    };
    exists(service.invitations().resend_invitation(renew()).await, &second);
    generals::revoke(&service, &second.name).await;
    let renewed = service.invitations().resend_invitation(renew()).await.unwrap().into_inner();
    assert_eq!(renewed.state(), InvitationState::Active);
    exists(try_create(&service, wanted()).await, &renewed);
    service.stop().await;
}

async fn one_of_two_concurrent_creates_wins_and_is_named(database: TestDatabase) {
    let service = Service::start(&database).await;
    for round in 0..10 {
        let mut calls = JoinSet::new();
        for _ in 0..2 {
            let mut client = service.invitations();
            let invitation = into(&round.to_string(), &[internal("ann")]);
            calls.spawn(async move { client.create_invitation(with_conflict(invitation, REJECT)).await });
        }
        let (won, lost): (Vec<_>, Vec<_>) = calls.join_all().await.into_iter().partition(Result::is_ok);
        assert_eq!((won.len(), lost.len()), (1, 1));
        let holder = won.into_iter().next().unwrap().unwrap().into_inner();
        exists(lost.into_iter().next().unwrap(), &holder);
    }
    service.stop().await;
}

async fn single_use_invitation_with_many_targets_is_used_once(database: TestDatabase) {
    let service = Service::start(&database).await;
    let targets = [email("ann@x.org"), email("ann@home.org"), internal("ann"), email("ANN@x.org")];
    let made = generals::create(&service, into_team(&targets)).await;
    assert_eq!((made.max_uses, made.targets.len(), made.delivery_count), (Some(1), 3, 2));
    assert_eq!(made.targets, targets[..3], "as they were given, each once");
    let mut redemptions = service.redemptions();
    let token = &made.invitation_token;
    let stranger = redemptions.accept_invitation(messages::accept_as(token, "eve", "eve@x.org", true)).await;
    refused(stranger, Code::PermissionDenied, "EMAIL_NOT_ALLOWED");
    let unproven = redemptions.accept_invitation(messages::accept_as(token, "eve", "ann@home.org", false)).await;
    refused(unproven, Code::PermissionDenied, "EMAIL_NOT_VERIFIED");
    let accepted = redemptions.accept_invitation(messages::accept_as(token, "a", "ann@home.org", true)).await.unwrap();
    assert_eq!(accepted.into_inner().invitation.unwrap().state(), InvitationState::Fulfilled);
    let other = redemptions.accept_invitation(messages::accept(token, "ann")).await;
    refused(other, Code::FailedPrecondition, "INVITATION_FULFILLED");
    service.stop().await;
}

async fn shared_link_serves_twenty_people_and_no_more_than_it_says(database: TestDatabase) {
    let service = Service::start(&database).await;
    let link = |max_uses| pb::Invitation {
        invitation_type: InvitationType::MultiUse.into(),
        max_uses,
        roles: vec!["reader".to_owned()],
        ..into_team(&[messages::target(TargetType::Share, "newsletter")])
    };
    for (max_uses, wanted) in [(None, 20), (Some(7), 7)] {
        let made = generals::create(&service, link(max_uses)).await;
        assert_eq!((made.max_uses, made.delivery_count), (max_uses, 0));
        assert_eq!(made.status(), pb::InvitationStatus::Shared);
        let mut calls = JoinSet::new();
        for person in 0..20 {
            let mut redemptions = service.redemptions();
            let request = messages::accept(&made.invitation_token, &format!("person-{person}"));
            calls.spawn(async move { redemptions.accept_invitation(request).await });
        }
        let results = calls.join_all().await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), wanted);
        let after = messages::get_general(&service, &made.name).await;
        assert_eq!((after.use_count, after.acceptances.len()), (i32::try_from(wanted).unwrap(), wanted));
        assert!(after.acceptances.iter().all(|acceptance| acceptance.roles == ["reader"]));
    }
    service.stop().await;
}
