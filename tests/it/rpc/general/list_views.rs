//! The views and the filters of ListInvitations that are about the caller's own fields.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::{
    InvitationFilter as Filter, InvitationType, InvitationView, ListInvitationsRequest as Request, TargetType,
};
use prost::Message;

use crate::support::build::generals::{email, into, into_team};
use crate::support::build::{generals, guests, messages, users};
use crate::support::database::TestDatabase;
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    basic_view_leaves_the_large_fields_out,
    basic_view_has_ten_targets_and_counts_all,
    fields_of_the_caller_and_spans_are_filters,
    total_counts_an_invitation_of_two_sources_once,
);

async fn list(service: &Service, request: Request) -> Vec<pb::Invitation> {
    service.invitations().list_invitations(request).await.unwrap().into_inner().invitations
}

async fn in_view(service: &Service, view: InvitationView) -> pb::Invitation {
    list(service, Request { view: view.into(), ..Default::default() }).await.remove(0)
}

/// A struct of about 10 KB.
fn large() -> Option<prost_types::Struct> {
    let text = prost_types::value::Kind::StringValue("x".repeat(10_000));
    Some(prost_types::Struct { fields: [("text".to_owned(), prost_types::Value { kind: Some(text) })].into() })
}

async fn basic_view_leaves_the_large_fields_out(database: TestDatabase) {
    let service = Service::start(&database).await;
    let variables: BTreeMap<_, _> = [("first_name".to_owned(), "Ann".to_owned())].into();
    let made = pb::Invitation {
        metadata: large(),
        attributes: large(),
        configuration_attributes: large(),
        template_variables: variables,
        unfurl_config: Some(pb::UnfurlConfig { title: "Join us".to_owned(), ..Default::default() }),
        pass_through: "kept".to_owned(),
        ..into_team(&[email("ann@example.org")])
    };
    let made = generals::create(&service, made).await;
    let full = in_view(&service, InvitationView::Full).await;
    assert_eq!(full, messages::get_general(&service, &made.name).await);
    assert!(full.metadata.is_some() && full.token_visibility() == pb::TokenVisibility::Shown);
    let basic = in_view(&service, InvitationView::Basic).await;
    assert_eq!(in_view(&service, InvitationView::Unspecified).await, basic);
    assert!(basic.encoded_len() < 600 && full.encoded_len() > 30_000, "{} {}", basic.encoded_len(), full.encoded_len());
    let wanted = pb::Invitation {
        metadata: None,
        attributes: None,
        configuration_attributes: None,
        template_variables: BTreeMap::new(),
        unfurl_config: None,
        pass_through: String::new(),
        invitation_token: String::new(),
        invitation_uri: String::new(),
        token_visibility: pb::TokenVisibility::BasicView.into(),
        ..full
    };
    assert_eq!(basic, wanted);
    let target = Some(pb::TargetRef { r#type: TargetType::Email.into(), value: "ann@example.org".to_owned() });
    let open = pb::ListOpenInvitationsRequest { target, ..Default::default() };
    let opened = service.invitations().list_open_invitations(open.clone()).await.unwrap().into_inner().invitations;
    assert_eq!(opened, [basic]);
    let open = pb::ListOpenInvitationsRequest { view: InvitationView::Full.into(), ..open };
    let opened = service.invitations().list_open_invitations(open).await.unwrap().into_inner().invitations;
    assert_eq!(opened[0].pass_through, "kept");
    service.stop().await;
}

async fn basic_view_has_ten_targets_and_counts_all(database: TestDatabase) {
    let service = Service::start(&database).await;
    // The e-mail target, which binds the invitation, is not among the first.
    let shares = (0..12).map(|number| messages::target(TargetType::Share, &format!("channel-{number}")));
    let targets: Vec<_> = shares.chain([email("ann@example.org")]).collect();
    generals::create(&service, into_team(&targets)).await;
    let (basic, full) = (in_view(&service, InvitationView::Basic).await, in_view(&service, InvitationView::Full).await);
    assert_eq!((basic.targets.as_slice(), basic.recipient_count), (&targets[..10], 13));
    assert_eq!((full.targets.as_slice(), full.recipient_count), (&targets[..], 13));
    assert_eq!(
        (basic.recipient_match(), full.recipient_match()),
        (pb::RecipientMatch::Exact, pb::RecipientMatch::Exact)
    );

    service.clock.advance(Duration::from_secs(1));
    let people: Vec<_> = (0..30).map(|number| format!("p{number}@example.org")).collect();
    let people: Vec<_> = people.iter().map(String::as_str).collect();
    messages::create(&service, messages::invitation_for(&people)).await;
    let basic = in_view(&service, InvitationView::Basic).await;
    assert_eq!((basic.targets.len(), basic.recipient_count), (10, 30));
    service.stop().await;
}

async fn fields_of_the_caller_and_spans_are_filters(database: TestDatabase) {
    let service = Service::start(&database).await;
    let expiring = |seconds| messages::seconds(seconds).map(pb::invitation::Expiration::Ttl);
    let connection = messages::create(&service, messages::invitation()).await;
    let start = connection.create_time;
    service.clock.advance(Duration::from_secs(100));
    let user = users::create(&service, users::user("ann@example.org")).await;
    let guest = guests::create(&service, guests::guest("ann@example.org")).await;
    let letter = pb::Invitation {
        subtype: "news%letter".to_owned(),
        widget_configuration_id: "w-1".to_owned(),
        expiration: expiring(1_000),
        ..into_team(&[])
    };
    let letter = generals::create(&service, letter).await;
    let many = pb::Invitation {
        invitation_type: InvitationType::MultiUse.into(),
        max_uses: Some(1),
        expiration: expiring(2_000),
        ..into_team(&[])
    };
    let many = generals::create(&service, many).await;
    let sync = pb::SyncAutojoinRequest {
        scope: Some(messages::scope("team", "red")),
        domains: vec!["example.org".to_owned()],
        ..Default::default()
    };
    let join = service.scopes().sync_autojoin(sync).await.unwrap().into_inner().invitation.unwrap();
    let archived = pb::GuestInvitation { name: guest.name.clone(), archived: Some(true), ..Default::default() };
    service.guests().update_guest_invitation(guests::update(archived, &["archived"])).await.unwrap();

    let at = |seconds: i64| start.map(|start| prost_types::Timestamp { seconds: start.seconds + seconds, ..start });
    let span = |from: Option<i64>, to: Option<i64>| {
        Some(pb::TimeRange { start_time: from.and_then(at), end_time: to.and_then(at) })
    };
    let types = |types: &[InvitationType]| Filter {
        invitation_types: types.iter().map(|of| (*of).into()).collect(),
        ..Default::default()
    };
    let created = |from, to| Filter { create_time: span(from, to), ..Default::default() };
    let expires = |from, to| Filter { expire_time: span(from, to), ..Default::default() };
    let general = |filter: Filter| Filter { kinds: vec![pb::InvitationKind::General.into()], ..filter };
    let team = |filter: Filter| Filter {
        scope: Some(pb::ScopeRef { r#type: "team".to_owned(), id: "red".to_owned() }),
        ..filter
    };
    let (connection, user, guest) = (&connection.uid, &user.uid, &guest.uid);
    let (letter, many, join) = (&letter.uid, &many.uid, &join.uid);
    for (filter, wanted) in [
        (Filter { subtype: "news%letter".to_owned(), ..Default::default() }, vec![letter]),
        (Filter { subtype: "news%".to_owned(), ..Default::default() }, vec![]),
        (Filter { widget_configuration_id: "w-1".to_owned(), ..Default::default() }, vec![letter]),
        (types(&[InvitationType::SingleUse]), vec![user, guest, letter]),
        (types(&[InvitationType::MultiUse]), vec![connection, many]),
        (types(&[InvitationType::Autojoin]), vec![join]),
        (types(&[InvitationType::Autojoin, InvitationType::MultiUse]), vec![connection, many, join]),
        (Filter { archived: Some(true), ..Default::default() }, vec![guest]),
        (Filter { archived: Some(false), ..Default::default() }, vec![connection, user, letter, many, join]),
        (created(Some(0), None), vec![connection, user, guest, letter, many, join]),
        (created(None, Some(100)), vec![connection]),
        (created(Some(1), Some(100)), vec![]),
        (created(Some(100), Some(101)), vec![user, guest, letter, many, join]),
        (team(created(Some(0), Some(101))), vec![letter, many, join]),
        (team(created(None, Some(100))), vec![]),
        (general(expires(Some(1_100), Some(2_100))), vec![letter]),
        (general(expires(Some(1_100), Some(2_101))), vec![letter, many]),
        (general(expires(None, Some(1_100))), vec![]),
    ] {
        let request = Request { filter: Some(filter.clone()), show_total: true, ..Default::default() };
        let page = service.invitations().list_invitations(request).await.unwrap().into_inner();
        assert_eq!(usize::try_from(page.total_size).unwrap(), wanted.len(), "{filter:?}");
        let found: BTreeSet<_> = page.invitations.into_iter().map(|read| read.uid).collect();
        assert_eq!(found, wanted.into_iter().cloned().collect(), "{filter:?}");
    }
    service.stop().await;
}

async fn total_counts_an_invitation_of_two_sources_once(database: TestDatabase) {
    let service = Service::start(&database).await;
    let red = || pb::Scope { r#type: "team".to_owned(), id: "red".to_owned(), display_name: String::new() };
    for _ in 0..3 {
        generals::create(&service, pb::Invitation { groups: vec![red()], ..into_team(&[]) }).await;
        generals::create(&service, pb::Invitation { groups: vec![red()], ..into("blue", &[]) }).await;
    }
    let request = Request { filter: generals::in_scope("team", "red"), page_size: 4, ..Default::default() };
    let page = service.invitations().list_invitations(request.clone()).await.unwrap().into_inner();
    assert_eq!((page.total_size, page.invitations.len()), (0, 4), "nobody asked");
    let request = Request { show_total: true, ..request };
    let first = service.invitations().list_invitations(request.clone()).await.unwrap().into_inner();
    assert_eq!(first.total_size, 6);
    service.clock.advance(Duration::from_secs(1));
    generals::create(&service, into_team(&[])).await;
    let next = Request { page_token: first.next_page_token, ..request };
    let next = service.invitations().list_invitations(next).await.unwrap().into_inner();
    assert_eq!((next.total_size, next.invitations.len(), next.next_page_token.as_str()), (6, 2, ""));
    service.stop().await;
}
