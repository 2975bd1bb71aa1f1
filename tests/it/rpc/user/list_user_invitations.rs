//! ListUserInvitations: filters and pages.

use std::collections::BTreeSet;
use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::{InvitationState, ListUserInvitationsRequest as Request};
use tonic::Code;

use crate::support::build::messages;
use crate::support::build::users::{create, deletion, user};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(migrated: filters_must_all_hold_and_none_means_all, pages_follow_each_other_both_ways_and_have_no_other_kind,);

async fn emails(service: &Service, request: Request) -> BTreeSet<String> {
    let listed = service.users().list_user_invitations(request).await.unwrap().into_inner();
    listed.user_invitations.into_iter().map(|read| read.invited_email).collect()
}

fn labels(key: &str, value: &str) -> std::collections::BTreeMap<String, String> {
    [(key.to_owned(), value.to_owned())].into()
}

async fn filters_must_all_hold_and_none_means_all(database: TestDatabase) {
    let service = Service::start(&database).await;
    let (ann, anna, percent, under) =
        ("Ann@Ex\u{e4}mple.org", "anna@example.org", "a%b@example.org", "a_b@example.org");
    create(&service, pb::UserInvitation { labels: labels("team", "north"), ..user(ann) }).await;
    create(
        &service,
        pb::UserInvitation {
            labels: labels("team", "south"),
            expiration: messages::seconds(60).map(pb::user_invitation::Expiration::Ttl),
            ..user(anna)
        },
    )
    .await;
    create(&service, user(percent)).await;
    let inviter = Some(pb::Inviter { user_id: "boss".to_owned(), ..user(under).inviter.unwrap_or_default() });
    let roles = vec!["editor".to_owned(), "admin 100%".to_owned()];
    create(&service, pb::UserInvitation { inviter, roles, ..user(under) }).await;
    let hidden = create(&service, user("hidden@example.org")).await;
    service.users().delete_user_invitation(deletion(&hidden.name)).await.unwrap();
    messages::create(&service, messages::invitation_for(&["ann@example.org"])).await;
    service.clock.advance(Duration::from_secs(60));

    let email = |email: &str| Request { invited_email: email.to_owned(), ..Default::default() };
    let prefix = |prefix: &str| Request { email_prefix: prefix.to_owned(), ..Default::default() };
    let state = |state: InvitationState| Request { states: vec![state.into()], ..Default::default() };
    let labelled = |value: &str| Request { labels: labels("team", value), ..Default::default() };
    let cases: Vec<(Request, Vec<&str>)> = vec![
        (Request::default(), vec![ann, anna, percent, under]),
        (email(" ANN@xn--exmple-cua.org"), vec![ann]),
        (email("anna@example.org"), vec![anna]),
        (email("hidden@example.org"), vec![]),
        (prefix("ann"), vec![ann, anna]),
        (prefix("ANN@"), vec![ann]),
        (prefix("a%"), vec![percent]),
        (prefix("a_"), vec![under]),
        (prefix("%"), vec![]),
        (prefix("nn"), vec![]),
        (Request { email_query: "NN".to_owned(), ..Default::default() }, vec![ann, anna]),
        (Request { inviter_user_id: "boss".to_owned(), ..Default::default() }, vec![under]),
        (Request { inviter_user_id: "b_ss".to_owned(), ..Default::default() }, vec![]),
        (Request { creator: "anonymous".to_owned(), ..prefix("a_") }, vec![under]),
        (Request { creator: "nobody".to_owned(), ..Default::default() }, vec![]),
        (Request { role: "admin 100%".to_owned(), ..Default::default() }, vec![under]),
        (Request { role: "editor".to_owned(), ..prefix("ann") }, vec![]),
        (Request { role: "admin".to_owned(), ..Default::default() }, vec![]),
        (state(InvitationState::Expired), vec![anna]),
        (state(InvitationState::Active), vec![ann, percent, under]),
        (state(InvitationState::Revoked), vec![]),
        (labelled("north"), vec![ann]),
        (labelled("n_rth"), vec![]),
        (Request { email_prefix: "anna".to_owned(), ..labelled("north") }, vec![]),
        (Request { email_prefix: "anna".to_owned(), ..labelled("south") }, vec![anna]),
    ];
    for (request, wanted) in cases {
        let wanted: BTreeSet<String> = wanted.into_iter().map(str::to_owned).collect();
        assert_eq!(emails(&service, request.clone()).await, wanted, "{request:?}");
    }
    let wrong = Request {
        invited_email: "ann".to_owned(),
        states: vec![0],
        page_size: -1,
        page_token: "x".to_owned(),
        order_by: "email".to_owned(),
        ..Default::default()
    };
    let status = refused(service.users().list_user_invitations(wrong).await, Code::InvalidArgument, "INVALID_FIELD");
    let fields: BTreeSet<String> = violated(&status).into_iter().collect();
    let wanted = ["invited_email", "order_by", "page_size", "page_token", "states[0]"];
    assert_eq!(fields.iter().map(String::as_str).collect::<Vec<_>>(), wanted);
    service.stop().await;
}

async fn pages_follow_each_other_both_ways_and_have_no_other_kind(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut oldest_first = Vec::new();
    for number in 0..5 {
        service.clock.advance(Duration::from_secs(1));
        oldest_first.push(create(&service, user(&format!("p{number}@example.org"))).await.name);
        messages::create(&service, messages::invitation()).await;
    }
    let newest_first: Vec<String> = oldest_first.iter().rev().cloned().collect();
    for (order_by, wanted) in [("create_time", &oldest_first), ("", &newest_first), ("create_time desc", &newest_first)]
    {
        let mut request = Request { page_size: 2, order_by: order_by.to_owned(), ..Default::default() };
        let mut seen = Vec::new();
        loop {
            let page = service.users().list_user_invitations(request.clone()).await.unwrap().into_inner();
            seen.extend(page.user_invitations.into_iter().map(|read| read.name));
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, *wanted, "{order_by:?}");
    }
    service.stop().await;
}
