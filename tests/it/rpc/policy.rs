//! `[policy]`: which addresses may be invited, and which domains may join by themselves.

pub(crate) mod redirects;

use std::fs;
use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::pb;
use invitation_service::pb::batch_create_invitations_result::Result as Outcome;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::rpc::redemption::keys;
use crate::support::build::generals::{email, internal, into_team};
use crate::support::build::{guests, messages, users};
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::{Service, configuration};

on_both!(
    migrated:
    address_that_may_not_be_invited_is_refused_with_its_path,
    entry_is_refused_by_itself_and_an_atomic_batch_as_a_whole,
    auto_join_refuses_public_domains_but_for_exceptions,
    account_may_be_allowed_less_from_one_moment_to_the_next,
);

const POLICY: [(&str, &str); 3] = [
    ("INVITATION__POLICY__INVITE_DOMAINS_ALLOW", "example.org, *.example.org, b\u{fc}cher.example, gmx.de"),
    ("INVITATION__POLICY__INVITE_DOMAINS_DENY", "x.example.org"),
    ("INVITATION__POLICY__AUTOJOIN_PUBLIC_DOMAINS", "gmx.de, gmail.com"),
];

async fn start(database: &TestDatabase) -> Service {
    Service::start_with(configuration(database, &POLICY), Clock::manual(NEW_YEAR)).await
}

/// The paths of a refusal by the policy.
#[track_caller]
fn denied<T: std::fmt::Debug>(result: Result<T, Status>) -> Vec<String> {
    let status = refused(result, Code::InvalidArgument, "DOMAIN_NOT_ALLOWED");
    let violations = status.get_details_bad_request().unwrap().field_violations;
    assert!(violations.iter().all(|violation| violation.reason == "DOMAIN_NOT_ALLOWED"), "{violations:?}");
    violated(&status)
}

async fn create(service: &Service, targets: &[pb::Target]) -> Result<pb::Invitation, Status> {
    let request = messages::general(into_team(targets));
    service.invitations().create_invitation(request).await.map(tonic::Response::into_inner)
}

async fn address_that_may_not_be_invited_is_refused_with_its_path(database: TestDatabase) {
    let service = start(&database).await;
    let addresses = [
        "a@Example.ORG",
        "b@other.org",
        "c@sub.example.org",
        "d@x.example.org",
        "e@B\u{dc}CHER.example",
        "B@other.org",
    ];
    let targets: Vec<_> = addresses.iter().map(|address| email(address)).chain([internal("other.org")]).collect();
    let paths = ["invitation.targets[1].value", "invitation.targets[3].value", "invitation.targets[5].value"];
    assert_eq!(denied(create(&service, &targets).await), paths);
    let request = pb::CreateInvitationRequest { validate_only: true, ..messages::general(into_team(&targets)) };
    assert_eq!(denied(service.invitations().create_invitation(request).await), paths, "in a dry run as well");
    create(&service, &[email("a@example.org"), email("e@xn--bcher-kva.example"), internal("7")]).await.unwrap();

    let user = users::creation(users::user("ann@other.org"));
    assert_eq!(denied(service.users().create_user_invitation(user).await), ["user_invitation.invited_email"]);
    let guest = guests::of(messages::COMPANY, guests::creation(guests::guest("ann@other.org")));
    assert_eq!(denied(service.guests().create_guest_invitation(guest).await), ["guest_invitation.email"]);
    let invitation = messages::invitation_for(&["ann@other.org", "ann@example.org", "bob@other.org"]);
    let company = service.connections().create_connection_invitation(messages::creation(invitation)).await;
    let paths = ["connection_invitation.allowed_emails[0]", "connection_invitation.allowed_emails[2]"];
    assert_eq!(denied(company), paths);
    let request = pb::CreateReconnectInvitationRequest {
        connection_id: messages::CONNECTION.to_owned(),
        company_id: messages::COMPANY.to_owned(),
        allowed_emails: vec!["ann@other.org".to_owned()],
        ..Default::default()
    };
    let reconnect = service.connections().create_reconnect_invitation(request).await;
    assert_eq!(denied(reconnect), ["allowed_emails[0]"]);
    messages::create(&service, messages::invitation()).await;

    let mut wrong = into_team(&[email("ann@other.org")]);
    wrong.roles = vec![String::new()];
    let status = service.invitations().create_invitation(messages::general(wrong)).await;
    let status = refused(status, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["invitation.roles[0]", "invitation.targets[0].value"], "all at once");
    service.stop().await;
}

async fn entry_is_refused_by_itself_and_an_atomic_batch_as_a_whole(database: TestDatabase) {
    let service = start(&database).await;
    let to = |address: &str| messages::general(into_team(&[email(address)]));
    let requests = vec![to("ann@example.org"), to("bob@other.org"), to("cid@x.example.org")];
    let batch = pb::BatchCreateInvitationsRequest { requests, ..Default::default() };
    let made = service.invitations().batch_create_invitations(batch.clone()).await.unwrap().into_inner().results;
    let errors: Vec<_> = made
        .into_iter()
        .map(|made| match made.result {
            Some(Outcome::Error(error)) => format!("{} {}", error.reason, error.field_violations[0].field),
            _ => String::new(),
        })
        .collect();
    let error = "DOMAIN_NOT_ALLOWED invitation.targets[0].value";
    assert_eq!(errors, ["", error, error]);
    let atomic = pb::BatchCreateInvitationsRequest { atomic: true, ..batch };
    let paths = ["requests[1].invitation.targets[0].value", "requests[2].invitation.targets[0].value"];
    assert_eq!(denied(service.invitations().batch_create_invitations(atomic).await), paths);
    service.stop().await;
}

async fn auto_join_refuses_public_domains_but_for_exceptions(database: TestDatabase) {
    let sync = async |service: &Service, domains: &[&str]| {
        let domains = domains.iter().map(|domain| (*domain).to_owned()).collect();
        let scope = Some(messages::scope("team", "red"));
        let request = pb::SyncAutojoinRequest { scope, domains, ..Default::default() };
        service.scopes().sync_autojoin(request).await.map(|synced| synced.into_inner().domains)
    };
    let open = Service::start(&database).await;
    let domains = ["example.org", "GMail.com", "co.uk", "acme.co.uk", "github.io", "gmx.de"];
    assert_eq!(denied(sync(&open, &domains).await), ["domains[1]", "domains[2]", "domains[4]", "domains[5]"]);
    assert_eq!(sync(&open, &["example.org", "acme.co.uk"]).await.unwrap(), ["acme.co.uk", "example.org"]);
    open.stop().await;

    let service = start(&database).await;
    let domains = ["example.org", "gmx.de", "gmail.com", "other.org"];
    assert_eq!(
        denied(sync(&service, &domains).await),
        ["domains[2]", "domains[3]"],
        "who may not be invited may not join"
    );
    assert_eq!(sync(&service, &["example.org", "gmx.de"]).await.unwrap(), ["example.org", "gmx.de"]);
    service.stop().await;
}

async fn account_may_be_allowed_less_from_one_moment_to_the_next(database: TestDatabase) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let write = |acme: &str| {
        let entry =
            format!("[[account]]\nname = \"acme\"\n{acme}\n[[account]]\nname = \"*\"\ninvite_domains_allow = []\n");
        fs::write(file.path(), entry).unwrap();
    };
    write("invite_domains_allow = [\"example.org\", \"other.org\"]");
    let accounts = [("INVITATION__AUTH__ACCOUNTS_FILE", file.path().to_str().unwrap())];
    let known = [("acme", "invitations.write", None), ("umbrella", "invitations.write", None)];
    let (service, known) = keys::start_configured(&database, &known, &[&POLICY[..], &accounts].concat()).await;
    let invite = async |key: &str, address: &str| {
        let request = messages::general(into_team(&[email(address)]));
        service.invitations().create_invitation(keys::with(key, request)).await.map(drop)
    };
    let path = ["invitation.targets[0].value"];
    invite(&known[0], "ann@example.org").await.unwrap();
    assert_eq!(denied(invite(&known[0], "ann@sub.example.org").await), path, "which the account may not");
    assert_eq!(denied(invite(&known[0], "ann@other.org").await), path, "which the server does not permit");
    assert_eq!(denied(invite(&known[1], "ann@example.org").await), path, "an empty list permits nobody");
    write("invite_domains_deny = [\"example.org\"]");
    while invite(&known[0], "ann@sub.example.org").await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(denied(invite(&known[0], "ann@example.org").await), path);
    service.stop().await;
}
