//! ListInvitations and GetInvitation: every kind through one face.

use std::collections::BTreeSet;
use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::{InvitationFilter as Filter, ListInvitationsRequest as Request};
use tonic::Code;

use crate::rpc::redemption::keys;
use crate::support::build::messages;
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    filters_must_all_hold_and_none_means_all,
    only_invitations_of_a_creator_are_listed,
    pages_follow_each_other_and_have_no_acceptances,
    both_faces_show_one_invitation_under_each_of_its_names,
);

const OTHER: &str = "01920000-0000-7000-8000-0000000000aa";

async fn uids(service: &Service, filter: Filter) -> BTreeSet<String> {
    let request = Request { filter: Some(filter), ..Default::default() };
    let listed = service.invitations().list_invitations(request).await.unwrap().into_inner();
    listed.invitations.into_iter().map(|read| read.uid).collect()
}

fn labels(labels: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn email(value: &str) -> Option<pb::TargetRef> {
    Some(pb::TargetRef { r#type: pb::TargetType::Email.into(), value: value.to_owned() })
}

fn scope(id: &str) -> Option<pb::ScopeRef> {
    Some(pb::ScopeRef { r#type: "company".to_owned(), id: id.to_owned() })
}

async fn filters_must_all_hold_and_none_means_all(database: TestDatabase) {
    let service = Service::start(&database).await;
    let labelled = pb::ConnectionInvitation {
        labels: labels(&[("team", "north"), ("stage", "100%"), ("a_b", "x")]),
        ..messages::invitation_for(&["Ann@Ex\u{e4}mple.org", "bob@example.org"])
    };
    let one = messages::create(&service, labelled).await.uid;
    let elsewhere = pb::ConnectionInvitation {
        company_id: OTHER.to_owned(),
        labels: labels(&[("team", "south"), ("stage", "1000"), ("aXb", "x")]),
        ..messages::invitation_for(&["bob@example.org"])
    };
    let two = messages::create(&service, elsewhere).await.uid;
    let three = messages::create(&service, messages::invitation()).await;
    messages::revoke(&service, &three.name).await.unwrap();
    let three = three.uid;
    let (connection, revoked) = (pb::InvitationKind::Connection.into(), pb::InvitationState::Revoked.into());

    let cases: Vec<(Filter, Vec<&String>)> = vec![
        (Filter::default(), vec![&one, &two, &three]),
        (Filter { kinds: vec![connection, connection], ..Default::default() }, vec![&one, &two, &three]),
        (Filter { states: vec![revoked], ..Default::default() }, vec![&three]),
        (Filter { scope: scope(messages::COMPANY), ..Default::default() }, vec![&one, &three]),
        (Filter { scope: scope(OTHER), ..Default::default() }, vec![&two]),
        (Filter { scope: scope("%"), ..Default::default() }, vec![]),
        (
            Filter {
                scope: Some(pb::ScopeRef { r#type: "site".to_owned(), id: OTHER.to_owned() }),
                ..Default::default()
            },
            vec![],
        ),
        (Filter { target: email("bob@example.org"), ..Default::default() }, vec![&one, &two]),
        (Filter { target: email(" aNN@XN--EXMPLE-CUA.org"), ..Default::default() }, vec![&one]),
        (Filter { target: email("b_b@example.org"), ..Default::default() }, vec![]),
        (Filter { target: email("%@example.org"), ..Default::default() }, vec![]),
        (Filter { labels: labels(&[("team", "north")]), ..Default::default() }, vec![&one]),
        (Filter { labels: labels(&[("team", "north"), ("stage", "100%")]), ..Default::default() }, vec![&one]),
        (Filter { labels: labels(&[("team", "north"), ("stage", "1000")]), ..Default::default() }, vec![]),
        (Filter { labels: labels(&[("stage", "100%")]), ..Default::default() }, vec![&one]),
        (Filter { labels: labels(&[("a_b", "x")]), ..Default::default() }, vec![&one]),
        (Filter { labels: labels(&[("team", "")]), ..Default::default() }, vec![]),
        (Filter { creator: "anonymous".to_owned(), ..Default::default() }, vec![&one, &two, &three]),
        (Filter { creator: "anonymou_".to_owned(), ..Default::default() }, vec![]),
        (Filter { target: email("bob@example.org"), scope: scope(OTHER), ..Default::default() }, vec![&two]),
        (Filter { target: email("bob@example.org"), states: vec![revoked], ..Default::default() }, vec![]),
    ];
    for (filter, wanted) in cases {
        assert_eq!(uids(&service, filter.clone()).await, wanted.into_iter().cloned().collect(), "{filter:?}");
    }
    let span = |start, end| {
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        Some(pb::TimeRange { start_time: at(start), end_time: at(end) })
    };
    let filter = Filter {
        scope: Some(pb::ScopeRef::default()),
        target: Some(pb::TargetRef::default()),
        kinds: vec![0],
        states: vec![99, revoked],
        invitation_types: vec![0],
        subtype: "a\0".to_owned(),
        create_time: span(2, 2),
        expire_time: Some(pb::TimeRange::default()),
        ..Default::default()
    };
    let empty =
        Request { filter: Some(filter), view: 9, page_size: -1, order_by: "name".to_owned(), ..Default::default() };
    let status = refused(service.invitations().list_invitations(empty).await, Code::InvalidArgument, "INVALID_FIELD");
    let fields: BTreeSet<String> = violated(&status).into_iter().collect();
    let wanted = [
        "filter.create_time.end_time",
        "filter.expire_time",
        "filter.invitation_types[0]",
        "filter.kinds[0]",
        "filter.scope.id",
        "filter.scope.type",
        "filter.states[0]",
        "filter.subtype",
        "filter.target.type",
        "filter.target.value",
        "order_by",
        "page_size",
        "view",
    ];
    assert_eq!(fields.iter().map(String::as_str).collect::<Vec<_>>(), wanted);
    service.stop().await;
}

async fn only_invitations_of_a_creator_are_listed(database: TestDatabase) {
    let (service, key) = keys::start(&database, &[("ours", "*"), ("ours", "*"), ("theirs", "*")]).await;
    let mut made = Vec::new();
    for key in &key {
        let request = keys::with(key, messages::creation(messages::invitation()));
        made.push(service.connections().create_connection_invitation(request).await.unwrap().into_inner());
    }
    assert_eq!(made[0].creator, "apiKeys/key-0");
    for (creator, wanted) in
        [("apiKeys/key-0", vec![&made[0]]), ("apiKeys/key-1", vec![&made[1]]), ("apiKeys/key-2", vec![])]
    {
        let filter = Some(Filter { creator: creator.to_owned(), ..Default::default() });
        let request = keys::with(&key[1], Request { filter, ..Default::default() });
        let listed = service.invitations().list_invitations(request).await.unwrap().into_inner().invitations;
        let seen: Vec<_> = listed.iter().map(|read| (&read.uid, read.account.as_str())).collect();
        assert_eq!(seen, wanted.iter().map(|made| (&made.uid, "ours")).collect::<Vec<_>>(), "{creator}");
    }
    service.stop().await;
}

async fn pages_follow_each_other_and_have_no_acceptances(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut oldest_first = Vec::new();
    for _ in 0..5 {
        service.clock.advance(Duration::from_secs(1));
        oldest_first.push(crate::contract::request::known(&service, None, messages::COMPANY).await.id);
    }
    for (order_by, reverse) in [("create_time", false), ("", true)] {
        let mut request = Request {
            page_size: 2,
            order_by: order_by.to_owned(),
            filter: Some(Filter { scope: scope(messages::COMPANY), ..Default::default() }),
            ..Default::default()
        };
        let (mut seen, mut sizes) = (Vec::new(), Vec::new());
        loop {
            let page = service.invitations().list_invitations(request.clone()).await.unwrap().into_inner();
            sizes.push(page.invitations.len());
            assert!(page.invitations.iter().all(|read| read.acceptances.is_empty() && read.use_count == 1));
            seen.extend(page.invitations.into_iter().map(|read| read.uid));
            request.page_token = page.next_page_token;
            // The size may change from page to page.
            request.page_size = 1;
            if request.page_token.is_empty() {
                break;
            }
        }
        if reverse {
            seen.reverse();
        }
        assert_eq!((seen, sizes), (oldest_first.clone(), vec![2, 1, 1, 1]));
    }
    service.stop().await;
}

async fn both_faces_show_one_invitation_under_each_of_its_names(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation_for(&["ann@example.org"])).await;
    let any = format!("invitations/{}", made.uid);
    let general = messages::get_general(&service, &any).await;
    assert_eq!(messages::get_general(&service, &made.name).await, general);
    assert_eq!(messages::get(&service, &any).await, made);
    assert_eq!((&general.name, &general.typed_name), (&any, &made.name));
    assert_eq!(general.kind(), pb::InvitationKind::Connection);
    assert_eq!((&general.etag, &general.invitation_token), (&made.etag, &made.invitation_token));
    assert_eq!(
        general.targets,
        [pb::Target {
            r#type: pb::TargetType::Email.into(),
            value: "ann@example.org".to_owned(),
            ..Default::default()
        }]
    );
    let company = pb::Scope { r#type: "company".to_owned(), id: messages::COMPANY.to_owned(), ..Default::default() };
    assert_eq!(general.scope, Some(company));
    assert_eq!((general.source.as_str(), general.account.as_str()), ("api", "default"));
    for (name, code, reason) in [
        (format!("userInvitations/{}", made.uid), Code::NotFound, "INVITATION_NOT_FOUND"),
        (format!("guestInvitations/{}", made.uid), Code::NotFound, "INVITATION_NOT_FOUND"),
        (format!("other/{}", made.uid), Code::InvalidArgument, "INVALID_FIELD"),
        (made.uid.clone(), Code::InvalidArgument, "INVALID_FIELD"),
        (format!("{any}/"), Code::InvalidArgument, "INVALID_FIELD"),
        (format!("{any}/acceptances/{}", made.uid), Code::InvalidArgument, "INVALID_FIELD"),
        (format!("//example.org/{any}"), Code::InvalidArgument, "INVALID_FIELD"),
        (format!("invitations/{{{}}}", made.uid), Code::InvalidArgument, "INVALID_FIELD"),
        (format!("invitations/{}", made.uid.replace('-', "")), Code::InvalidArgument, "INVALID_FIELD"),
        ("invitations/-".to_owned(), Code::InvalidArgument, "INVALID_FIELD"),
    ] {
        let get = pb::GetInvitationRequest { name: name.clone() };
        refused(service.invitations().get_invitation(get).await, code, reason);
        let get = pb::GetConnectionInvitationRequest { name: name.clone() };
        refused(service.connections().get_connection_invitation(get).await, code, reason);
        // As the parent of a list, it stands for all invitations.
        if name != "invitations/-" {
            let list = pb::ListEventsRequest { parent: name, ..Default::default() };
            refused(service.events().list_events(list).await, code, reason);
        }
    }
    service.stop().await;
}
