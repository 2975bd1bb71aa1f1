//! `[links] redirects`: where people may be sent after their answer, and who is told.

use std::fs;
use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::pb;
use invitation_service::pb::batch_create_invitations_result::Result as Outcome;
use invitation_service::pb::{BatchCreateInvitationsRequest, BatchCreateUserInvitationsRequest};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::rpc::redemption::keys;
use crate::support::build::generals::{self, email, into_team, subject};
use crate::support::build::{guests, messages, users};
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::{Service, configuration};

on_both!(
    migrated:
    redirect_that_is_not_allowed_is_refused_with_its_path,
    redirect_comes_back_in_preview_and_every_accept,
    account_may_send_people_to_less,
);

const GOOD: &str = "https://app.example/welcome?x=1";
const BAD: &str = "https://evil.example/";
const MINE: [(&str, &str); 1] =
    [("INVITATION__LINKS__REDIRECTS", "https://app.example, https://*.corp.example/in, myapp:")];

async fn start(database: &TestDatabase) -> Service {
    Service::start_with(configuration(database, &MINE), Clock::manual(NEW_YEAR)).await
}

/// The path of a refusal, which has a reason of its own.
#[track_caller]
fn denied<T: std::fmt::Debug>(result: Result<T, Status>) -> Vec<String> {
    let status = refused(result, Code::InvalidArgument, "REDIRECT_NOT_ALLOWED");
    let violations = status.get_details_bad_request().unwrap().field_violations;
    assert!(violations.iter().all(|violation| violation.reason == "REDIRECT_NOT_ALLOWED"), "{violations:?}");
    violated(&status)
}

fn general(redirect_uri: &str) -> pb::Invitation {
    pb::Invitation { redirect_uri: redirect_uri.to_owned(), ..into_team(&[email("ann@example.org")]) }
}

async fn redirect_that_is_not_allowed_is_refused_with_its_path(database: TestDatabase) {
    let service = start(&database).await;
    let bad = || BAD.to_owned();
    let create =
        async |redirect: &str| service.invitations().create_invitation(messages::general(general(redirect))).await;
    for allowed in [GOOD, "https://a.corp.example/in/b", "myapp://done"] {
        create(allowed).await.unwrap();
    }
    for other in
        [BAD, "https://app.example.evil.example", "https://corp.example/in", "https://a.corp.example/", "app:x"]
    {
        assert_eq!(denied(create(other).await), ["invitation.redirect_uri"], "{other}");
    }
    let connection = pb::ConnectionInvitation { redirect_uri: bad(), ..messages::invitation() };
    let refused = service.connections().create_connection_invitation(messages::creation(connection)).await;
    assert_eq!(denied(refused), ["connection_invitation.redirect_uri"]);
    let reconnect = pb::CreateReconnectInvitationRequest {
        connection_id: messages::COMPANY.to_owned(),
        company_id: messages::COMPANY.to_owned(),
        redirect_uri: bad(),
        ..Default::default()
    };
    assert_eq!(denied(service.connections().create_reconnect_invitation(reconnect).await), ["redirect_uri"]);
    let user = pb::UserInvitation { redirect_uri: bad(), ..users::user("bob@example.org") };
    assert_eq!(denied(users::try_create(&service, user.clone()).await), ["user_invitation.redirect_uri"]);
    let guest = pb::GuestInvitation { redirect_uri: bad(), ..guests::guest("bob@example.org") };
    let guest = guests::of(messages::COMPANY, guests::creation(guest));
    assert_eq!(denied(service.guests().create_guest_invitation(guest).await), ["guest_invitation.redirect_uri"]);

    let requests = [GOOD, BAD].map(|redirect| messages::general(general(redirect))).into();
    let batch = BatchCreateInvitationsRequest { requests, ..Default::default() };
    let made = service.invitations().batch_create_invitations(batch.clone()).await.unwrap().into_inner().results;
    let Some(Outcome::Error(error)) = &made[1].result else { panic!("{made:?}") };
    assert_eq!(
        (error.reason.as_str(), error.field_violations[0].field.as_str()),
        ("REDIRECT_NOT_ALLOWED", "invitation.redirect_uri")
    );
    let atomic = BatchCreateInvitationsRequest { atomic: true, ..batch };
    let refused = service.invitations().batch_create_invitations(atomic).await;
    assert_eq!(denied(refused), ["requests[1].invitation.redirect_uri"]);
    let batch =
        BatchCreateUserInvitationsRequest { requests: vec![users::creation(user)], atomic: true, ..Default::default() };
    let refused = service.users().batch_create_user_invitations(batch).await;
    assert_eq!(denied(refused), ["requests[0].user_invitation.redirect_uri"]);

    let made = generals::create(&service, general(GOOD)).await;
    let update = |redirect_uri: &str, dry_run| pb::UpdateInvitationRequest {
        invitation: Some(pb::Invitation {
            name: made.name.clone(),
            redirect_uri: redirect_uri.to_owned(),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["redirect_uri".to_owned()] }),
        validate_only: dry_run,
        ..Default::default()
    };
    for dry_run in [false, true] {
        let refused = service.invitations().update_invitation(update(BAD, dry_run)).await;
        assert_eq!(denied(refused), ["invitation.redirect_uri"]);
    }
    let changed = service.invitations().update_invitation(update("myapp:x", false)).await.unwrap().into_inner();
    assert_eq!(changed.redirect_uri, "myapp:x");
    service.stop().await;
}

async fn redirect_comes_back_in_preview_and_every_accept(database: TestDatabase) {
    let service = start(&database).await;
    let user = pb::UserInvitation { redirect_uri: GOOD.to_owned(), ..users::user("bob@example.org") };
    let user = users::create(&service, user).await;
    let token = messages::mailed_token(&user.uid, 1);
    let preview = service.redemptions().preview_invitation(messages::preview(&token)).await.unwrap().into_inner();
    assert_eq!(preview.redirect_uri, GOOD);
    for already in [false, true] {
        let accept = messages::accept_as(&token, "bob", "bob@example.org", true);
        let accepted = service.redemptions().accept_invitation(accept).await.unwrap().into_inner();
        assert_eq!((accepted.redirect_uri.as_str(), accepted.already_accepted), (GOOD, already));
        assert_eq!(accepted.invitation.unwrap().redirect_uri, GOOD);
    }
    let target = messages::target(pb::TargetType::Internal, "u-1");
    let made =
        generals::create(&service, pb::Invitation { redirect_uri: GOOD.to_owned(), ..into_team(&[target]) }).await;
    let plain = generals::create(&service, into_team(&[])).await;
    let names = [made.name.as_str(), plain.name.as_str(), "invitations/01920000-0000-7000-8000-000000000001"];
    let accept = pb::AcceptInvitationsRequest {
        entries: generals::entries(&names),
        acceptor: Some(subject("u-1")),
        ..Default::default()
    };
    let results = service.invitations().accept_invitations(accept).await.unwrap().into_inner().results;
    let redirects: Vec<&str> = results.iter().map(|result| result.redirect_uri.as_str()).collect();
    assert_eq!(redirects, [GOOD, "", ""]);
    service.stop().await;
}

async fn account_may_send_people_to_less(database: TestDatabase) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let write = |redirects: &str| {
        fs::write(file.path(), format!("[[account]]\nname = \"acme\"\nredirects = {redirects}\n")).unwrap();
    };
    write("[\"https://app.example/welcome\", \"https://evil.example\"]");
    let accounts = [("INVITATION__AUTH__ACCOUNTS_FILE", file.path().to_str().unwrap())];
    let known = [("acme", "invitations.write", None), ("umbrella", "invitations.write", None)];
    let (service, known) = keys::start_configured(&database, &known, &[&MINE[..], &accounts].concat()).await;
    let invite = async |key: &str, redirect: &str| {
        let request = messages::general(general(redirect));
        service.invitations().create_invitation(keys::with(key, request)).await.map(drop)
    };
    let path = ["invitation.redirect_uri"];
    invite(&known[0], GOOD).await.unwrap();
    assert_eq!(denied(invite(&known[0], "https://app.example/other").await), path, "which the account may not");
    assert_eq!(denied(invite(&known[0], BAD).await), path, "which the server does not permit");
    invite(&known[1], "https://app.example/other").await.unwrap();
    write("[]");
    while invite(&known[0], GOOD).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    invite(&known[0], "").await.unwrap();
    service.stop().await;
}
