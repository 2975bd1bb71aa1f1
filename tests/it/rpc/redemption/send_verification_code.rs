//! SendVerificationCode: a code for whom it may concern, and the same answer for everybody.

use std::time::Duration;

use invitation_service::pb;
use tokio::task::JoinSet;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::keys;
use crate::contract::codes;
use crate::contract::raw::told;
use crate::support::build::{generals, guests, messages, users};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    code_is_mailed_only_to_an_address_that_could_accept,
    nothing_tells_an_allowed_address_from_another,
    address_gets_one_code_a_minute_under_concurrency,
    address_gets_five_codes_an_hour,
    invitation_that_cannot_be_accepted_sends_no_code,
    neither_an_address_nor_a_code_is_stored,
    code_goes_before_whatever_else_waits,
    answer_tells_everybody_alike_when_to_come_again,
    name_reaches_what_its_organization_reaches,
);

const ANN: &str = "ann@example.org";

async fn code_is_mailed_only_to_an_address_that_could_accept(database: TestDatabase) {
    let service = Service::start(&database).await;
    let bound = messages::create(&service, messages::invitation_for(&["ann@example.org", "Bob@Example.org"])).await;
    let open = messages::create(&service, messages::invitation()).await;
    let domain = pb::Invitation {
        recipient_match: pb::RecipientMatch::Domain.into(),
        ..generals::into_team(&[generals::email("carl@example.net")])
    };
    let domain = generals::create(&service, domain).await;
    let sync = pb::SyncAutojoinRequest {
        scope: Some(messages::scope("team", "blue")),
        domains: vec!["example.com".to_owned()],
        ..Default::default()
    };
    let autojoin = service.scopes().sync_autojoin(sync).await.unwrap().into_inner().invitation.unwrap();
    let to = |address: &str| Some((0, Some(address.to_owned())));
    for (token, email, mailed) in [
        (&bound.invitation_token, "BOB@example.org", Some((2, None))),
        (&bound.invitation_token, "eve@example.org", None),
        (&open.invitation_token, ANN, None),
        (&domain.invitation_token, "Dora@example.net", to("Dora@example.net")),
        (&domain.invitation_token, "dora@sub.example.net", None),
        (&domain.invitation_token, "carl@example.net", Some((1, None))),
        (&autojoin.invitation_token, "new@example.com", to("new@example.com")),
        (&autojoin.invitation_token, "new@evil-example.com", None),
    ] {
        let before = codes::mailed(&service).await;
        codes::ask(&service, token, email).await.unwrap();
        let mut after = codes::mailed(&service).await;
        after.retain(|message| !before.contains(message));
        assert_eq!(after, mailed.into_iter().collect::<Vec<_>>(), "{email}");
    }
    let accept = messages::accept_as(&bound.invitation_token, "bob", "bob@example.org", true);
    service.redemptions().accept_invitation(accept).await.unwrap();
    service.clock.advance(Duration::from_secs(60));
    let before = codes::mailed(&service).await;
    codes::ask(&service, &bound.invitation_token, "bob@example.org").await.unwrap();
    assert_eq!(codes::mailed(&service).await, before, "whoever has answered needs no code");
    service.stop().await;
}

async fn nothing_tells_an_allowed_address_from_another(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut seen: Vec<Vec<_>> = Vec::new();
    for email in [ANN, "eve@example.org"] {
        let bound = messages::create(&service, messages::invitation_for(&[ANN])).await;
        let token = &bound.invitation_token;
        let mut answers = Vec::new();
        codes::ask(&service, token, email).await.unwrap();
        answers.push(told(&codes::ask(&service, token, email).await.unwrap_err()));
        let wrong = codes::other(&codes::sent(&service, email).await.unwrap());
        for _ in 0..6 {
            answers.push(told(&codes::verify(&service, token, email, &wrong).await.unwrap_err()));
        }
        let never = codes::verify(&service, token, "never@example.org", "000000").await;
        let never = refused(never, Code::PermissionDenied, "VERIFICATION_CODE_INVALID");
        assert_eq!(told(&never), answers[1]);
        for _ in 0..6 {
            answers.push(told(&codes::verify(&service, token, email, &wrong).await.unwrap_err()));
        }
        assert_ne!(answers.last(), answers.get(1), "there were too many");
        seen.push(answers);
    }
    assert_eq!(seen[0], seen[1]);
    service.stop().await;
}

/// Asserts that there were too many, and returns for how long.
fn limited(result: Result<(), Status>) -> Duration {
    let status = refused(result, Code::ResourceExhausted, "RATE_LIMITED");
    let details = status.get_error_details();
    assert!(details.error_info().unwrap().metadata.contains_key("limit"));
    details.retry_info().unwrap().retry_delay.unwrap()
}

async fn address_gets_one_code_a_minute_under_concurrency(database: TestDatabase) {
    let service = Service::start(&database).await;
    let bound = messages::create(&service, messages::invitation_for(&[ANN])).await;
    let other = messages::create(&service, messages::invitation_for(&[ANN])).await;
    let mut calls = JoinSet::new();
    for _ in 0..20 {
        let (mut redemptions, request) = (service.redemptions(), codes::asking(&bound.invitation_token, ANN));
        calls.spawn(async move { redemptions.send_verification_code(request).await.map(drop) });
    }
    let (sent, refused): (Vec<_>, Vec<_>) = calls.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!(sent.len(), 1);
    assert!(refused.into_iter().map(limited).all(|wait| wait == Duration::from_secs(60)));
    assert_eq!(codes::mailed(&service).await.len(), 1);
    codes::ask(&service, &other.invitation_token, ANN).await.expect("another invitation counts for itself");
    service.clock.advance(Duration::from_millis(59_000));
    assert_eq!(limited(codes::ask(&service, &bound.invitation_token, " Ann@EXAMPLE.org ").await).as_secs(), 1);
    let first = codes::sent(&service, ANN).await;
    service.clock.advance(Duration::from_secs(1));
    codes::ask(&service, &bound.invitation_token, ANN).await.unwrap();
    let sent = codes::rows(&service, "SELECT id FROM verification").await;
    assert_eq!(sent.len(), 2, "the new code took the place of the old one");
    assert!(first.is_some());
    service.stop().await;
}

async fn address_gets_five_codes_an_hour(database: TestDatabase) {
    let service = Service::start(&database).await;
    let bound = messages::create(&service, messages::invitation_for(&[ANN])).await;
    let token = &bound.invitation_token;
    for count in 0..5 {
        for email in [ANN, "eve@example.org"] {
            codes::ask(&service, token, email).await.unwrap();
        }
        if count == 4 {
            let code = codes::sent(&service, ANN).await.unwrap();
            codes::verify(&service, token, ANN, &code).await.unwrap();
        }
        service.clock.advance(Duration::from_secs(60));
    }
    for email in [ANN, "eve@example.org"] {
        assert_eq!(limited(codes::ask(&service, token, email).await), Duration::from_secs(3_300));
    }
    service.clock.advance(Duration::from_secs(3_300));
    for email in [ANN, "eve@example.org"] {
        codes::ask(&service, token, email).await.unwrap();
    }
    service.stop().await;
}

async fn invitation_that_cannot_be_accepted_sends_no_code(database: TestDatabase) {
    let service = Service::start(&database).await;
    let revoked = messages::create(&service, messages::invitation_for(&[ANN])).await;
    messages::revoke(&service, &revoked.name).await.unwrap();
    let user = users::create(&service, users::user(ANN)).await;
    service.redemptions().decline_invitation(messages::decline(&user.invitation_token)).await.unwrap();
    let rotated = messages::create(&service, messages::invitation_for(&[ANN])).await;
    messages::rotate(&service, &rotated.name).await;
    for email in [ANN, "eve@example.org"] {
        let ask = async |token: &str| codes::ask(&service, token, email).await;
        refused(ask(&revoked.invitation_token).await, Code::FailedPrecondition, "INVITATION_REVOKED");
        refused(ask(&user.invitation_token).await, Code::FailedPrecondition, "INVITATION_DECLINED");
        refused(ask(&rotated.invitation_token).await, Code::NotFound, "INVITATION_NOT_FOUND");
    }
    assert!(codes::mailed(&service).await.is_empty());
    assert!(codes::sent(&service, ANN).await.is_none());
    service.stop().await;
}

async fn neither_an_address_nor_a_code_is_stored(database: TestDatabase) {
    let service = Service::start(&database).await;
    let bound = messages::create(&service, messages::invitation_for(&[ANN])).await;
    codes::ask(&service, &bound.invitation_token, ANN).await.unwrap();
    let code = codes::sent(&service, ANN).await.unwrap();
    assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()), "{code}");
    let text = "account_id || ' ' || address_mac || ' ' || key_id || ' ' || tries";
    for row in codes::rows(&service, &format!("SELECT {text} AS text FROM verification")).await {
        let text: String = row.try_get("", "text").unwrap();
        assert!(!text.contains("ann") && !text.contains('@') && !text.contains(&code), "{text}");
    }
    let sql = "SELECT coalesce(address, '') || ' ' || coalesce(last_error, '') || purpose AS text FROM outbox";
    for row in codes::rows(&service, sql).await {
        assert!(!row.try_get::<String>("", "text").unwrap().contains(&code));
    }
    let proof = codes::verify(&service, &bound.invitation_token, ANN, &code).await.unwrap();
    for event in messages::events(&service, &bound.name).await {
        let told = format!("{event:?}");
        assert!(!told.contains("ann@") && !told.contains(&proof), "{told}");
        assert!(event.payload.is_none_or(|payload| !format!("{payload:?}").contains(&code)));
    }
    service.stop().await;
}

async fn code_goes_before_whatever_else_waits(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = users::create(&service, users::user(ANN)).await;
    service.clock.advance(Duration::from_secs(3_600));
    let token = made.invitation_token.clone();
    codes::ask(&service, &token, ANN).await.unwrap();
    let sql = "SELECT purpose FROM outbox WHERE due_at IS NOT NULL ORDER BY due_at, id";
    let waiting = codes::rows(&service, sql).await;
    let purposes: Vec<String> = waiting.iter().map(|row| row.try_get("", "purpose").unwrap()).collect();
    assert_eq!(purposes, ["verification_code", "invitation"]);
    let list = pb::ListDeliveriesRequest { parent: made.name, ..Default::default() };
    let code = service.deliveries().list_deliveries(list).await.unwrap().into_inner().deliveries.remove(0);
    assert_eq!((code.purpose(), code.next_attempt_time), (pb::DeliveryPurpose::VerificationCode, messages::at(3_600)));
    service.stop().await;
}

async fn answer_tells_everybody_alike_when_to_come_again(database: TestDatabase) {
    let service = Service::start(&database).await;
    let bound = messages::create(&service, messages::invitation_for(&[ANN])).await;
    for (asked, wait) in [60, 60, 60, 60, 3_360].into_iter().enumerate() {
        let mut answers = Vec::new();
        for email in [ANN, "eve@example.org"] {
            let request = codes::asking(&bound.invitation_token, email);
            answers.push(service.redemptions().send_verification_code(request).await.unwrap().into_inner());
        }
        assert_eq!(answers[0], answers[1]);
        let now = i64::try_from(asked).unwrap() * 60;
        assert_eq!(
            (answers[0].expire_time, answers[0].retry_delay),
            (messages::at(now + 600), messages::seconds(wait))
        );
        service.clock.advance(Duration::from_secs(60));
    }
    service.stop().await;
}

async fn name_reaches_what_its_organization_reaches(database: TestDatabase) {
    let all = [("ours", "*", None), ("ours", "*", Some(guests::HOST)), ("ours", "*", Some(guests::OTHER_HOST))];
    let (service, key) = keys::start_bound(&database, &all).await;
    let mut create = keys::with(&key[1], guests::creation(guests::guest(ANN)));
    guests::add(&mut create, guests::HOST, guests::HOST);
    let guest = service.guests().create_guest_invitation(create).await.unwrap().into_inner();
    let by_name = |name: &str| pb::SendVerificationCodeRequest {
        access: Some(pb::send_verification_code_request::Access::Name(name.to_owned())),
        ..codes::asking("", ANN)
    };
    let mut redemptions = service.redemptions();
    let foreign = redemptions.send_verification_code(keys::with(&key[2], by_name(&guest.name))).await;
    refused(foreign, Code::NotFound, "INVITATION_NOT_FOUND");
    let mistyped = guest.name.replace("guestInvitations", "userInvitations");
    let mistyped = redemptions.send_verification_code(keys::with(&key[0], by_name(&mistyped))).await;
    refused(mistyped, Code::NotFound, "INVITATION_NOT_FOUND");
    redemptions.send_verification_code(keys::with(&key[1], by_name(&guest.name))).await.unwrap();
    let code = codes::sent(&service, ANN).await.unwrap();
    let verify = pb::VerifyEmailRequest {
        access: Some(pb::verify_email_request::Access::Name(guest.name.clone())),
        ..codes::trying("", ANN, &code)
    };
    let foreign = redemptions.verify_email(keys::with(&key[2], verify.clone())).await;
    refused(foreign, Code::NotFound, "INVITATION_NOT_FOUND");
    redemptions.verify_email(keys::with(&key[1], verify)).await.unwrap();
    // A link opens it for every organization.
    service.clock.advance(Duration::from_secs(60));
    let link = codes::asking(&guest.invitation_token, ANN);
    redemptions.send_verification_code(keys::with(&key[2], link)).await.unwrap();
    let none = pb::SendVerificationCodeRequest { access: None, ..codes::asking("", ANN) };
    let none = redemptions.send_verification_code(keys::with(&key[1], none)).await;
    assert_eq!(violated(&refused(none, Code::InvalidArgument, "INVALID_FIELD")), ["token"]);
    service.stop().await;
}
