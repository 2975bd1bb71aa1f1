//! ListOpenInvitations: what one person can accept, over all kinds.

use std::collections::BTreeSet;
use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::{ListOpenInvitationsRequest as Request, TargetType};
use tonic::Code;

use crate::rpc::redemption::keys;
use crate::support::build::generals::{email, internal, into, into_team};
use crate::support::build::{generals, guests, messages, users};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    every_kind_and_domain_auto_joins_are_listed_for_an_address,
    domain_stands_for_itself_alone,
    answered_or_ended_invitation_is_not_open,
    ids_and_phones_have_open_invitations_too,
    pages_follow_each_other_both_ways_and_ties_lose_nothing,
    rows_of_another_account_are_not_seen,
    address_of_a_person_is_required,
);

const ANN: &str = "ann@example.org";

fn request(r#type: TargetType, value: &str) -> Request {
    let target = Some(pb::TargetRef { r#type: r#type.into(), value: value.to_owned() });
    Request { target, ..Default::default() }
}

/// The uids of what is open for an address.
async fn open(service: &Service, r#type: TargetType, value: &str) -> BTreeSet<String> {
    let page = service.invitations().list_open_invitations(request(r#type, value)).await.unwrap().into_inner();
    assert!(page.invitations.iter().all(|open| open.state() == pb::InvitationState::Active));
    let uids: BTreeSet<_> = page.invitations.iter().map(|open| open.uid.clone()).collect();
    assert_eq!(uids.len(), page.invitations.len(), "each once");
    uids
}

async fn open_for(service: &Service, email: &str) -> BTreeSet<String> {
    open(service, TargetType::Email, email).await
}

async fn sync(service: &Service, team: &str, domains: &[&str]) -> String {
    let request = pb::SyncAutojoinRequest {
        scope: Some(messages::scope("team", team)),
        domains: domains.iter().map(|domain| (*domain).to_owned()).collect(),
        ..Default::default()
    };
    service.scopes().sync_autojoin(request).await.unwrap().into_inner().invitation.unwrap().uid
}

async fn every_kind_and_domain_auto_joins_are_listed_for_an_address(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut wanted = BTreeSet::new();
    wanted.insert(
        messages::create(&service, messages::invitation_for(&["bob@example.org", "ANN@example.org"])).await.uid,
    );
    wanted.insert(users::create(&service, users::user(ANN)).await.uid);
    wanted.insert(guests::create(&service, guests::guest(ANN)).await.uid);
    wanted.insert(generals::create(&service, into_team(&[internal("x"), email(ANN)])).await.uid);
    let many = pb::Invitation { invitation_type: pb::InvitationType::MultiUse.into(), ..into_team(&[email(ANN)]) };
    wanted.insert(generals::create(&service, many).await.uid);
    wanted.insert(sync(&service, "red", &["example.com", "example.org"]).await);
    wanted.insert(sync(&service, "blue", &["EXAMPLE.org"]).await);
    // These are not meant for ann.
    messages::create(&service, messages::invitation()).await;
    generals::create(&service, into_team(&[email("bob@example.org"), messages::target(TargetType::Share, ANN)])).await;
    sync(&service, "green", &["example.com"]).await;
    let by = async |request: Request| {
        service.invitations().list_open_invitations(request).await.unwrap().into_inner().invitations.len()
    };
    let ann = request(TargetType::Email, ANN);
    let kinds = vec![pb::InvitationKind::User.into(), pb::InvitationKind::General.into()];
    let team = |id: &str| Some(pb::ScopeRef { r#type: "team".to_owned(), id: id.to_owned() });
    assert_eq!(by(Request { kinds: kinds.clone(), ..ann.clone() }).await, 5);
    assert_eq!(by(Request { scope: team("red"), ..ann.clone() }).await, 3);
    assert_eq!(by(Request { scope: team("blue"), kinds, ..ann.clone() }).await, 1);
    assert_eq!(by(Request { scope: team("blue"), kinds: vec![pb::InvitationKind::User.into()], ..ann }).await, 0);
    for spelled in [ANN, " Ann@EXAMPLE.ORG "] {
        assert_eq!(open_for(&service, spelled).await, wanted);
    }
    service.stop().await;
}

async fn domain_stands_for_itself_alone(database: TestDatabase) {
    let service = Service::start(&database).await;
    let team = sync(&service, "red", &["example.com", "b\u{fc}cher.example"]).await;
    for joins in [
        "a@example.com",
        "a@EXAMPLE.com",
        "a@b\u{fc}cher.example",
        "a@xn--bcher-kva.example",
        "a@bu\u{308}cher.example",
    ] {
        assert_eq!(open_for(&service, joins).await, [team.clone()].into(), "{joins}");
    }
    for other in [
        "a@sub.example.com",
        "a@evil-example.com",
        "a@example.com.evil.org",
        "a@xample.com",
        "example.com@evil.org",
        "a@bucher.example",
        "a@exampleXcom.org",
    ] {
        assert_eq!(open_for(&service, other).await, [].into(), "{other}");
    }
    sync(&service, "red", &["example.net"]).await;
    assert_eq!(open_for(&service, "a@example.com").await, [].into(), "no longer");
    assert_eq!(open_for(&service, "a@example.net").await, [team].into());
    sync(&service, "red", &[]).await;
    assert_eq!(open_for(&service, "a@example.net").await, [].into(), "emptied");
    service.stop().await;
}

async fn answered_or_ended_invitation_is_not_open(database: TestDatabase) {
    let service = Service::start(&database).await;
    let both = messages::create(&service, messages::invitation_for(&[ANN, "bob@example.org"])).await;
    let general = generals::create(&service, into_team(&[email(ANN)])).await;
    let revoked = generals::create(&service, into("blue", &[email(ANN)])).await;
    let minute = pb::Invitation {
        expiration: messages::seconds(60).map(pb::invitation::Expiration::Ttl),
        ..into("green", &[email(ANN)])
    };
    let expiring = generals::create(&service, minute).await;
    let user = users::create(&service, users::user(ANN)).await;
    let all = [&both.uid, &general.uid, &revoked.uid, &expiring.uid, &user.uid];
    assert_eq!(open_for(&service, ANN).await, all.into_iter().cloned().collect());

    let mailed = messages::mailed_token(&both.uid, 1);
    service.redemptions().accept_invitation(messages::accept(&mailed, "ann")).await.unwrap();
    service
        .redemptions()
        .decline_invitation(messages::decline(&messages::mailed_token(&general.uid, 1)))
        .await
        .unwrap();
    generals::revoke(&service, &revoked.name).await;
    assert_eq!(open_for(&service, ANN).await, [expiring.uid.clone(), user.uid.clone()].into());
    assert_eq!(open_for(&service, "bob@example.org").await, [both.uid.clone()].into(), "bob's part is open");
    generals::decline(&service, &[&both.name], Some(email("bob@example.org"))).await.remove(0).unwrap();
    assert_eq!(open_for(&service, "bob@example.org").await, [].into());
    service.clock.advance(Duration::from_secs(60));
    assert_eq!(open_for(&service, ANN).await, [user.uid].into());
    let renew = pb::ResendInvitationRequest {
        name: expiring.name,
        expiration: messages::seconds(60).map(pb::resend_invitation_request::Expiration::Ttl),
        ..Default::default()
    };
    service.invitations().resend_invitation(renew).await.unwrap();
    assert!(open_for(&service, ANN).await.contains(&expiring.uid), "renewed");
    service.stop().await;
}

async fn ids_and_phones_have_open_invitations_too(database: TestDatabase) {
    let service = Service::start(&database).await;
    let by_id = generals::create(&service, into_team(&[internal("Ann"), email(ANN)])).await.uid;
    let phone = messages::target(TargetType::Phone, "+4930123456");
    let by_phone = generals::create(&service, into_team(&[phone])).await.uid;
    assert_eq!(open(&service, TargetType::Internal, "Ann").await, [by_id.clone()].into());
    assert_eq!(open(&service, TargetType::Internal, "ann").await, [].into(), "an id is as it is written");
    assert_eq!(open(&service, TargetType::Internal, ANN).await, [].into(), "an id is no address");
    assert_eq!(open(&service, TargetType::Phone, "+4930123456").await, [by_phone].into());
    assert_eq!(open_for(&service, ANN).await, [by_id].into());
    service.stop().await;
}

async fn pages_follow_each_other_both_ways_and_ties_lose_nothing(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut made = BTreeSet::new();
    for index in 0..24 {
        if index % 3 == 0 {
            service.clock.advance(Duration::from_secs(1));
        }
        let uid = match index % 4 {
            0 => messages::create(&service, messages::invitation_for(&[ANN])).await.uid,
            1 => sync(&service, &index.to_string(), &["example.org"]).await,
            2 => generals::create(&service, into_team(&[email(ANN)])).await.uid,
            _ => generals::create(&service, into_team(&[email("bob@example.org"), email(ANN)])).await.uid,
        };
        made.insert(uid);
    }
    let mut orders = Vec::new();
    for order_by in ["create_time", ""] {
        let mut request = Request { page_size: 5, order_by: order_by.to_owned(), ..request(TargetType::Email, ANN) };
        let mut seen = Vec::new();
        loop {
            let page = service.invitations().list_open_invitations(request.clone()).await.unwrap().into_inner();
            assert!(page.invitations.len() <= 5);
            seen.extend(page.invitations);
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
            if seen.len() == 10 && order_by.is_empty() {
                // New invitations come before the page, and the others expire only for other queries.
                messages::create(&service, messages::invitation_for(&[ANN])).await;
            }
        }
        assert_eq!(seen.iter().map(|open| open.uid.clone()).collect::<BTreeSet<_>>(), made);
        assert_eq!(seen.len(), 24);
        orders.push(seen.into_iter().map(|open| open.uid).collect::<Vec<_>>());
    }
    orders[1].reverse();
    assert_eq!(orders[0], orders[1], "one order, from both ends");
    service.stop().await;
}

async fn rows_of_another_account_are_not_seen(database: TestDatabase) {
    let (service, key) = keys::start(&database, &[("ours", "*"), ("theirs", "*")]).await;
    let mut client = service.invitations();
    for key in &key {
        let create = messages::general(into_team(&[email(ANN)]));
        client.create_invitation(keys::with(key, create)).await.unwrap();
        let sync = pb::SyncAutojoinRequest {
            scope: Some(messages::scope("team", "red")),
            domains: vec!["example.org".to_owned()],
            ..Default::default()
        };
        service.scopes().sync_autojoin(keys::with(key, sync)).await.unwrap();
    }
    for (key, account) in key.iter().zip(["ours", "theirs"]) {
        let page = client.list_open_invitations(keys::with(key, request(TargetType::Email, ANN))).await.unwrap();
        let accounts: Vec<_> = page.into_inner().invitations.into_iter().map(|open| open.account).collect();
        assert_eq!(accounts, [account; 2]);
    }
    service.stop().await;
}

async fn address_of_a_person_is_required(database: TestDatabase) {
    let service = Service::start(&database).await;
    for (request, fields) in [
        (Request::default(), vec!["target.type", "target.value"]),
        (request(TargetType::Share, "x"), vec!["target.type"]),
        (request(TargetType::Email, "x"), vec!["target.value"]),
        (request(TargetType::Phone, "x"), vec!["target.value"]),
        (request(TargetType::Internal, "a\0"), vec!["target.value"]),
    ] {
        let status = service.invitations().list_open_invitations(request).await;
        let status = refused(status, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(violated(&status), fields);
    }
    service.stop().await;
}
