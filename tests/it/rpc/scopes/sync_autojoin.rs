//! SyncAutojoin and GetAutojoin: which domains may join a scope by themselves.

use invitation_service::pb;
use invitation_service::pb::event::Payload;
use invitation_service::pb::{InvitationState, InvitationType, SyncAutojoinRequest as Request};
use tokio::task::JoinSet;
use tonic::{Code, Status};

use crate::rpc::redemption::keys;
use crate::support::build::generals::{subject, verified};
use crate::support::build::messages::Expiring;
use crate::support::build::{generals, guests, messages};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    sync_sets_all_domains_in_one_form_and_tells_what_changed,
    emptied_auto_join_comes_back_with_its_next_domain,
    revoked_auto_join_stays_and_the_next_domain_creates_another,
    scope_without_an_auto_join_has_none_and_may_be_emptied,
    people_of_a_listed_domain_join_and_nobody_else,
    retry_syncs_once_and_two_at_once_make_one,
    auto_join_never_expires_and_is_sent_to_nobody,
    all_that_is_wrong_is_told_at_once,
    sync_with_an_etag_wants_the_present_autojoin,
    bound_key_reaches_no_scope,
);

fn red() -> pb::ScopeRef {
    pb::ScopeRef { r#type: "team".to_owned(), id: "red".to_owned() }
}

fn request(domains: &[&str]) -> Request {
    let domains = domains.iter().map(|domain| (*domain).to_owned()).collect();
    Request { scope: Some(messages::scope("team", "red")), domains, ..Default::default() }
}

async fn try_sync(service: &Service, request: Request) -> Result<pb::Autojoin, Status> {
    service.scopes().sync_autojoin(request).await.map(tonic::Response::into_inner)
}

async fn sync(service: &Service, domains: &[&str]) -> (Vec<String>, pb::Invitation) {
    let answer = try_sync(service, request(domains)).await.unwrap();
    assert_eq!(answer, get(service).await, "as it is read");
    (answer.domains, answer.invitation.unwrap())
}

async fn get(service: &Service) -> pb::Autojoin {
    let request = pb::GetAutojoinRequest { scope: Some(red()) };
    service.scopes().get_autojoin(request).await.unwrap().into_inner()
}

/// The domains that the last event of an auto-join says were added, and removed.
async fn last_change(service: &Service, name: &str) -> [Vec<String>; 2] {
    let last = messages::events(service, name).await.pop().unwrap();
    assert_eq!(last.r#type, "autojoin.updated");
    let Some(Payload::Autojoin(payload)) = last.payload else { panic!("{last:?}") };
    [payload.added_domains, payload.removed_domains]
}

async fn sync_sets_all_domains_in_one_form_and_tells_what_changed(database: TestDatabase) {
    let service = Service::start(&database).await;
    let (domains, made) =
        sync(&service, &["Example.org", " b\u{fc}cher.example", "example.ORG", "bu\u{308}cher.example"]).await;
    assert_eq!(domains, ["example.org", "xn--bcher-kva.example"]);
    assert_eq!(
        (made.invitation_type(), made.state(), made.expire_time()),
        (InvitationType::Autojoin, InvitationState::Active, None)
    );
    assert_eq!((made.kind(), made.max_uses, made.deactivated), (pb::InvitationKind::General, None, false));
    assert_eq!(generals::happened(&service, &made.name).await, ["created", "autojoin.updated"]);
    let (domains, changed) = sync(&service, &["example.net", "example.org"]).await;
    assert_eq!(domains, ["example.net", "example.org"]);
    assert_eq!(changed.name, made.name);
    assert_ne!(changed.etag, made.etag);
    assert_eq!(last_change(&service, &made.name).await, [vec!["example.net"], vec!["xn--bcher-kva.example"]]);
    let (_, same) = sync(&service, &["EXAMPLE.org", "example.net"]).await;
    assert_eq!(same, changed, "the same domains are no change");

    let metadata = prost_types::Value { kind: Some(prost_types::value::Kind::BoolValue(true)) };
    let metadata = Some(prost_types::Struct { fields: [("a".to_owned(), metadata)].into() });
    let more =
        Request { widget_configuration_id: "w".to_owned(), metadata: metadata.clone(), ..request(&["example.org"]) };
    let seen = try_sync(&service, more).await.unwrap().invitation.unwrap();
    assert_eq!((seen.widget_configuration_id.as_str(), seen.metadata), ("w", metadata));
    let (_, bare) = sync(&service, &["example.org"]).await;
    assert_eq!((bare.widget_configuration_id.as_str(), bare.metadata), ("", None), "all of it is replaced");
    assert_eq!(generals::all(&service).await.len(), 1, "one for the scope");
    service.stop().await;
}

async fn emptied_auto_join_comes_back_with_its_next_domain(database: TestDatabase) {
    let service = Service::start(&database).await;
    let (_, made) = sync(&service, &["example.org"]).await;
    let (domains, emptied) = sync(&service, &[]).await;
    assert!(domains.is_empty());
    assert_eq!(
        (emptied.name.as_str(), emptied.state(), emptied.deactivated),
        (made.name.as_str(), InvitationState::Revoked, true)
    );
    assert_eq!(emptied.revoke_time, None, "nobody revoked it");
    let ann = generals::accept(&service, &[&made.name], verified("ann", "ann@example.org")).await;
    assert_eq!(generals::refusal(&ann[0]), "INVITATION_REVOKED");
    let (_, again) = sync(&service, &[]).await;
    assert_eq!(again, emptied);
    let (_, back) = sync(&service, &["example.org"]).await;
    assert_eq!(
        (back.name.as_str(), back.state(), back.deactivated),
        (made.name.as_str(), InvitationState::Active, false)
    );
    assert_eq!(last_change(&service, &made.name).await, [vec!["example.org"], vec![]]);
    let ann = generals::accept(&service, &[&made.name], verified("ann", "ann@example.org")).await;
    assert_eq!(generals::refusal(&ann[0]), "");
    service.stop().await;
}

async fn revoked_auto_join_stays_and_the_next_domain_creates_another(database: TestDatabase) {
    let service = Service::start(&database).await;
    let (_, first) = sync(&service, &["example.org"]).await;
    generals::revoke(&service, &first.name).await;
    assert_eq!(get(&service).await, pb::Autojoin::default());
    assert_eq!(try_sync(&service, request(&[])).await.unwrap(), pb::Autojoin::default(), "nothing to be emptied");
    let (_, second) = sync(&service, &["example.org"]).await;
    assert_ne!(second.name, first.name);
    assert_eq!(messages::get_general(&service, &first.name).await.state(), InvitationState::Revoked);
    let ann = generals::accept(&service, &[&first.name, &second.name], verified("ann", "ann@example.org")).await;
    assert_eq!((generals::refusal(&ann[0]), generals::refusal(&ann[1])), ("INVITATION_REVOKED", ""));
    // An emptied one can be revoked for good, too.
    sync(&service, &[]).await;
    let revoked = generals::revoke(&service, &second.name).await;
    assert!(revoked.state() == InvitationState::Revoked);
    let (_, third) = sync(&service, &["example.org"]).await;
    assert_eq!(third.state(), InvitationState::Active);
    service.stop().await;
}

async fn scope_without_an_auto_join_has_none_and_may_be_emptied(database: TestDatabase) {
    let service = Service::start(&database).await;
    assert_eq!(get(&service).await, pb::Autojoin::default());
    assert_eq!(try_sync(&service, request(&[])).await.unwrap(), pb::Autojoin::default());
    assert_eq!(generals::all(&service).await, []);
    let other = Request { scope: Some(messages::scope("site", "red")), ..request(&["example.org"]) };
    try_sync(&service, other).await.unwrap();
    assert_eq!(get(&service).await, pb::Autojoin::default(), "another scope");
    service.stop().await;
}

async fn people_of_a_listed_domain_join_and_nobody_else(database: TestDatabase) {
    let service = Service::start(&database).await;
    let (_, made) = sync(&service, &["example.com", "b\u{fc}cher.example"]).await;
    let names = [&made.name];
    for (index, email) in
        ["a@example.com", "b@EXAMPLE.com", "c@b\u{fc}cher.example", "d@xn--bcher-kva.example"].into_iter().enumerate()
    {
        let joined = generals::accept(&service, &names, verified(&index.to_string(), email)).await;
        assert_eq!(generals::refusal(&joined[0]), "", "{email}");
    }
    let not_allowed = "EMAIL_NOT_ALLOWED";
    for (acceptor, refusal) in [
        (verified("x", "a@sub.example.com"), not_allowed),
        (verified("x", "a@evil-example.com"), not_allowed),
        (verified("x", "a@example.com.evil.org"), not_allowed),
        (subject("x"), not_allowed),
        (pb::Acceptor { email_verified: false, ..verified("x", "a@example.com") }, "EMAIL_NOT_VERIFIED"),
    ] {
        let refused = generals::accept(&service, &names, acceptor).await;
        assert_eq!(generals::refusal(&refused[0]), refusal);
    }
    let after = messages::get_general(&service, &made.name).await;
    assert_eq!((after.use_count, after.state()), (4, InvitationState::Active));
    service.stop().await;
}

async fn retry_syncs_once_and_two_at_once_make_one(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut calls = JoinSet::new();
    for index in 0..8 {
        let mut client = service.scopes();
        calls.spawn(async move { client.sync_autojoin(request(&[&format!("{index}.example.org")])).await.unwrap() });
    }
    calls.join_all().await;
    let all = generals::all(&service).await;
    assert_eq!(all.len(), 1);
    let sent = Request { request_id: "r".to_owned(), ..request(&["example.org"]) };
    let first = try_sync(&service, sent.clone()).await.unwrap();
    sync(&service, &["example.net"]).await;
    let again = try_sync(&service, sent.clone()).await.unwrap();
    assert_eq!(again.domains, ["example.net"], "as it now is: done once");
    assert_eq!(again.invitation.unwrap().name, first.invitation.unwrap().name);
    let other = Request { request_id: "r".to_owned(), ..request(&["example.com"]) };
    refused(try_sync(&service, other).await, Code::FailedPrecondition, "REQUEST_ID_REUSED");
    service.stop().await;
}

async fn auto_join_never_expires_and_is_sent_to_nobody(database: TestDatabase) {
    let service = Service::start(&database).await;
    let (_, made) = sync(&service, &["example.org"]).await;
    let resend = |ttl: Option<prost_types::Duration>| pb::ResendInvitationRequest {
        name: made.name.clone(),
        expiration: ttl.map(pb::resend_invitation_request::Expiration::Ttl),
        ..Default::default()
    };
    let status = service.invitations().resend_invitation(resend(messages::seconds(60))).await;
    let status = refused(status, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["ttl"]);
    let resent = service.invitations().resend_invitation(resend(None)).await.unwrap().into_inner();
    assert_eq!((resent.delivery_count, resent.expire_time()), (0, None));
    service.stop().await;
}

async fn all_that_is_wrong_is_told_at_once(database: TestDatabase) {
    let service = Service::start(&database).await;
    let bad = Request {
        widget_configuration_id: "x".repeat(201),
        request_id: " ".to_owned(),
        scope: None,
        ..request(&["example.org", "", "a b", "ann@example.org", "-x.org", "a\nb.org", "*.example.org", "127.0.0.1"])
    };
    let status = refused(try_sync(&service, bad).await, Code::InvalidArgument, "INVALID_FIELD");
    let mut fields = violated(&status);
    fields.sort();
    let domains = (1..8).map(|index| format!("domains[{index}]"));
    let others = ["request_id", "scope.id", "scope.type", "widget_configuration_id"].map(str::to_owned);
    assert_eq!(fields, domains.chain(others).collect::<Vec<_>>());
    let many: Vec<_> = (0..1_001).map(|index| format!("{index}.example.org")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let status = refused(try_sync(&service, request(&many)).await, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["domains"]);
    let most = try_sync(&service, request(&many[..1_000])).await.unwrap();
    assert_eq!(most.domains.len(), 1_000);
    let none = service.scopes().get_autojoin(pb::GetAutojoinRequest::default()).await;
    let status = refused(none, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["scope.type", "scope.id"]);
    service.stop().await;
}

async fn sync_with_an_etag_wants_the_present_autojoin(database: TestDatabase) {
    let service = Service::start(&database).await;
    let with = |etag: &str, domains: &[&str]| Request { etag: etag.to_owned(), ..request(domains) };
    let mismatch = async |etag: &str, domains: &[&str]| {
        refused(try_sync(&service, with(etag, domains)).await, Code::Aborted, "ETAG_MISMATCH");
    };
    for domains in [&["example.org"][..], &[]] {
        mismatch("\"x\"", domains).await;
    }
    let named = pb::Scope { display_name: "Red".to_owned(), ..messages::scope("team", "red") };
    let first = Request { scope: Some(named.clone()), ..request(&["example.org"]) };
    let dry = Request { validate_only: true, ..first.clone() };
    assert_eq!(try_sync(&service, dry).await.unwrap().etag, "", "nothing has this etag");
    let first = try_sync(&service, first).await.unwrap();
    assert_eq!((first.scope, &first.etag), (Some(named), &first.invitation.unwrap().etag));
    let second = try_sync(&service, with(&first.etag, &["example.com"])).await.unwrap();
    assert_ne!(second.etag, first.etag);
    mismatch(&first.etag, &["example.net"]).await;
    assert_eq!(get(&service).await, second);
    // An etag of the invitation is one of the scope's autojoin, until the invitation is revoked by its name.
    generals::revoke(&service, &second.invitation.unwrap().name).await;
    mismatch(&second.etag, &["example.net"]).await;
    service.stop().await;
}

/// A scope is the account's, not an organization's: whether it has domains is nothing to a key of one.
async fn bound_key_reaches_no_scope(database: TestDatabase) {
    let credentials = [("ours", "*", None), ("ours", "*", Some(guests::HOST))];
    let (service, key) = keys::start_bound(&database, &credentials).await;
    let mut scopes = service.scopes();
    let get = || pb::GetAutojoinRequest { scope: Some(red()) };
    for domains in [vec![], vec!["example.org"]] {
        scopes.sync_autojoin(keys::with(&key[0], request(&domains))).await.unwrap();
        let sync = scopes.sync_autojoin(keys::with(&key[1], request(&["example.com"]))).await;
        for status in [sync.unwrap_err(), scopes.get_autojoin(keys::with(&key[1], get())).await.unwrap_err()] {
            refused::<()>(Err(status), Code::PermissionDenied, "ORGANIZATION_ACCESS_DENIED");
        }
        let found = scopes.get_autojoin(keys::with(&key[0], get())).await.unwrap().into_inner();
        assert_eq!(found.domains, domains);
    }
    service.stop().await;
}
