//! ListInvitations by every filter, over invitations of every kind.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::{
    InvitationFilter as Filter, InvitationKind, InvitationState, ListInvitationsRequest as Request, TargetType,
};
use tonic::Code;

use crate::support::build::generals::{email, internal, into, into_team};
use crate::support::build::{generals, guests, messages, users};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    each_filter_finds_what_it_says_over_all_kinds,
    filters_of_states_are_judged_at_the_first_page,
    page_token_of_other_filters_is_refused,
);

const ANN: &str = "ann@example.org";

fn scope(r#type: &str, id: &str) -> Option<pb::ScopeRef> {
    Some(pb::ScopeRef { r#type: r#type.to_owned(), id: id.to_owned() })
}

fn target(r#type: TargetType, value: &str) -> Option<pb::TargetRef> {
    Some(pb::TargetRef { r#type: r#type.into(), value: value.to_owned() })
}

fn of(filter: Filter) -> Request {
    Request { filter: Some(filter), ..Default::default() }
}

async fn list(service: &Service, request: Request) -> pb::ListInvitationsResponse {
    service.invitations().list_invitations(request).await.unwrap().into_inner()
}

async fn each_filter_finds_what_it_says_over_all_kinds(database: TestDatabase) {
    let service = Service::start(&database).await;
    let team: BTreeMap<_, _> = [("team".to_owned(), "north".to_owned())].into();
    let both: BTreeMap<_, _> = team.clone().into_iter().chain([("stage".to_owned(), "b".to_owned())]).collect();
    let inviter = |id: &str| Some(pb::Inviter { user_id: id.to_owned(), ..Default::default() });
    let group = |id: &str| pb::Scope { r#type: "team".to_owned(), id: id.to_owned(), display_name: String::new() };
    let phone = messages::target(TargetType::Phone, "+4930123456");
    let share = messages::target(TargetType::Share, "flyer");
    let connection = messages::create(&service, messages::invitation_for(&[ANN])).await.uid;
    let user = pb::UserInvitation { labels: team.clone(), ..users::user(ANN) };
    let user = users::create(&service, user).await.uid;
    let guest = guests::create(&service, guests::guest(ANN)).await.uid;
    let grouped = pb::Invitation {
        inviter: inviter("boss"),
        groups: vec![group("blue"), group("red")],
        labels: both.clone(),
        ..into("green", &[email(ANN), internal("ann"), phone])
    };
    let grouped = generals::create(&service, grouped).await.uid;
    let shared = pb::Invitation { inviter: inviter("other"), ..into_team(&[share]) };
    let shared = generals::create(&service, shared).await.uid;
    let revoked = pb::Invitation { inviter: inviter("boss"), labels: team.clone(), ..into_team(&[internal("ann")]) };
    let revoked = generals::revoke(&service, &generals::create(&service, revoked).await.name).await.uid;
    let deleted = users::create(&service, users::user("bob@example.org")).await;
    service.users().delete_user_invitation(users::deletion(&deleted.name)).await.unwrap();
    let deleted = deleted.uid;

    let all = [&connection, &user, &guest, &grouped, &shared, &revoked, &deleted];
    let kinds = |kinds: &[InvitationKind]| Filter {
        kinds: kinds.iter().map(|kind| (*kind).into()).collect(),
        ..Default::default()
    };
    let states = |states: &[InvitationState]| Filter {
        states: states.iter().map(|state| (*state).into()).collect(),
        ..Default::default()
    };
    let by_target = |r#type, value| Filter { target: target(r#type, value), ..Default::default() };
    let by_scope = |r#type, id| Filter { scope: scope(r#type, id), ..Default::default() };
    let by_inviter = |id: &str| Filter { inviter_user_id: id.to_owned(), ..Default::default() };
    let cases: Vec<(Filter, Vec<&String>)> = vec![
        (Filter::default(), all.to_vec()),
        (kinds(&[InvitationKind::Connection]), vec![&connection]),
        (kinds(&[InvitationKind::User]), vec![&user, &deleted]),
        (kinds(&[InvitationKind::Guest]), vec![&guest]),
        (kinds(&[InvitationKind::General]), vec![&grouped, &shared, &revoked]),
        (kinds(&[InvitationKind::Guest, InvitationKind::General]), vec![&guest, &grouped, &shared, &revoked]),
        (states(&[InvitationState::Revoked]), vec![&revoked, &deleted]),
        (states(&[InvitationState::Fulfilled, InvitationState::Declined, InvitationState::Expired]), vec![]),
        (by_scope("team", "green"), vec![&grouped]),
        (by_scope("team", "blue"), vec![&grouped]),
        (by_scope("team", "red"), vec![&grouped, &shared, &revoked]),
        (by_scope("site", "red"), vec![]),
        (by_scope("company", messages::COMPANY), vec![&connection]),
        (by_scope("organization", guests::HOST), vec![&guest]),
        (by_inviter("boss"), vec![&grouped, &revoked]),
        (by_inviter("b_ss"), vec![]),
        (by_target(TargetType::Email, " ANN@Example.org"), vec![&connection, &user, &guest, &grouped]),
        (by_target(TargetType::Internal, "ann"), vec![&grouped, &revoked]),
        (by_target(TargetType::Phone, "+4930123456"), vec![&grouped]),
        (Filter { labels: team.clone(), ..Default::default() }, vec![&user, &grouped, &revoked]),
        (Filter { labels: both.clone(), ..Default::default() }, vec![&grouped]),
        (Filter { labels: team.clone(), scope: scope("team", "red"), ..by_inviter("boss") }, vec![&grouped, &revoked]),
        (
            Filter {
                scope: scope("team", "red"),
                states: vec![InvitationState::Active.into()],
                target: target(TargetType::Internal, "ann"),
                creator: "anonymous".to_owned(),
                labels: team,
                ..by_inviter("boss")
            },
            vec![&grouped],
        ),
        (
            Filter {
                scope: scope("team", "red"),
                target: target(TargetType::Email, ANN),
                ..kinds(&[InvitationKind::Guest])
            },
            vec![],
        ),
    ];
    for (filter, wanted) in cases {
        let found: BTreeSet<_> =
            list(&service, of(filter.clone())).await.invitations.into_iter().map(|read| read.uid).collect();
        assert_eq!(found, wanted.into_iter().cloned().collect(), "{filter:?}");
    }
    service.stop().await;
}

async fn filters_of_states_are_judged_at_the_first_page(database: TestDatabase) {
    let service = Service::start(&database).await;
    for _ in 0..6 {
        let minute =
            pb::Invitation { expiration: messages::seconds(60).map(pb::invitation::Expiration::Ttl), ..into_team(&[]) };
        generals::create(&service, minute).await;
    }
    let filter =
        Filter { states: vec![InvitationState::Active.into()], scope: scope("team", "red"), ..Default::default() };
    let mut request = Request { page_size: 2, show_total: true, ..of(filter) };
    let mut seen = 0;
    loop {
        let page = list(&service, request.clone()).await;
        assert!(page.invitations.iter().all(|read| read.state() == InvitationState::Active), "as at the first page");
        assert_eq!((page.total_size, page.total_size_is_lower_bound), (6, false), "of the first page");
        seen += page.invitations.len();
        request.page_token = page.next_page_token;
        service.clock.advance(Duration::from_secs(60));
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, 6);
    assert_eq!(list(&service, Request { page_token: String::new(), ..request }).await.invitations, []);
    service.stop().await;
}

async fn page_token_of_other_filters_is_refused(database: TestDatabase) {
    let service = Service::start(&database).await;
    for _ in 0..2 {
        generals::create(&service, into_team(&[internal("ann")])).await;
    }
    let filter = Filter { scope: scope("team", "red"), ..Default::default() };
    let filtered = Request { page_size: 1, ..of(filter.clone()) };
    let page_token = list(&service, filtered.clone()).await.next_page_token;
    let on = Request { page_token, ..filtered };
    let with = |filter: Filter| Request { filter: Some(filter), ..on.clone() };
    for other in [
        Request { filter: None, ..on.clone() },
        Request { show_total: true, ..on.clone() },
        Request { view: pb::InvitationView::Full.into(), ..on.clone() },
        with(Filter { scope: scope("team", "blue"), ..filter.clone() }),
        with(Filter { target: target(TargetType::Internal, "ann"), ..filter.clone() }),
        with(Filter { inviter_user_id: "boss".to_owned(), ..filter.clone() }),
        with(Filter { creator: "x".to_owned(), ..filter.clone() }),
        with(Filter { kinds: vec![InvitationKind::General.into()], ..filter.clone() }),
        with(Filter { labels: [("a".to_owned(), "b".to_owned())].into(), ..filter.clone() }),
        with(Filter { archived: Some(false), ..filter.clone() }),
    ] {
        let status = service.invitations().list_invitations(other).await;
        assert_eq!(violated(&refused(status, Code::InvalidArgument, "INVALID_FIELD")), ["page_token"]);
    }
    assert_eq!(list(&service, on).await.invitations.len(), 1);
    service.stop().await;
}
