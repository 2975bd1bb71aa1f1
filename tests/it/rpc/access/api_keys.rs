//! API keys of the database: created, read, changed, revoked, and never more than their makers have.

use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::ApiKeyState as State;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::stored_keys::{caller, create, creation, get, make, revoke, start, unknown, update};
use crate::rpc::redemption::keys::{altered, with};
use crate::support::build::guests::{HOST, OTHER_HOST};
use crate::support::build::{generals, messages};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::pace::paced;
use crate::support::service::Service;

on_both!(migrated: key_is_shown_once_and_opens_what_it_may,
    nobody_makes_a_key_with_more_than_they_have,
    change_gives_no_more_than_the_caller_has,
    bound_key_makes_and_sees_only_keys_of_its_organization,
    revoked_or_expired_key_is_refused_and_keeps_its_name,
    keys_are_listed_by_age_without_the_revoked,
    key_grants_only_its_roles,
    hour_of_the_last_use_is_noted,
    key_with_the_name_of_one_in_the_file_is_not_accepted,
);

async fn list(service: &Service, key: &str, request: pb::ListApiKeysRequest) -> (Vec<String>, String) {
    let listed = service.access().list_api_keys(with(key, request)).await.unwrap().into_inner();
    (listed.api_keys.into_iter().map(|key| key.name).collect(), listed.next_page_token)
}

async fn key_is_shown_once_and_opens_what_it_may(database: TestDatabase) {
    let root = make(&database, "root", "acme", "*").await;
    let service = start(&database, &[]).await;
    let request = pb::CreateApiKeyRequest {
        request_id: "once".to_owned(),
        api_key: Some(pb::ApiKey {
            display_name: "Billing, production".to_owned(),
            permissions: ["invitations.read", "events.read", "invitations.read"].map(str::to_owned).to_vec(),
            ..Default::default()
        }),
        ..creation("billing", &[])
    };
    let dry = pb::CreateApiKeyRequest { validate_only: true, ..request.clone() };
    let shown = create(&service, &root, dry.clone()).await.unwrap();
    assert_eq!((shown.name.as_str(), shown.key_string.as_str(), shown.etag.as_str()), ("", "", ""));
    let made = create(&service, &root, request.clone()).await.unwrap();
    let key = made.key_string.clone();
    assert!(key.starts_with("ivk_") && key.len() == 53, "its form");
    let stored = pb::ApiKey { key_string: String::new(), ..made.clone() };
    assert_eq!(
        (stored.name.as_str(), stored.creator.as_str(), stored.state()),
        ("apiKeys/billing", "apiKeys/root", State::Active)
    );
    assert_eq!(stored.permissions, ["events.read", "invitations.read"]);
    assert_eq!(get(&service, &root, "apiKeys/billing").await.unwrap(), stored);
    assert_eq!(create(&service, &root, request.clone()).await.unwrap(), stored, "a retry shows no key");
    assert_eq!(create(&service, &root, dry).await.unwrap(), pb::ApiKey { etag: String::new(), ..stored.clone() });
    let other = pb::CreateApiKeyRequest { api_key_id: "other".to_owned(), ..request };
    refused(create(&service, &root, other).await, Code::FailedPrecondition, "REQUEST_ID_REUSED");
    refused(create(&service, &root, creation("billing", &["*"])).await, Code::AlreadyExists, "API_KEY_EXISTS");

    let seen = caller(&service, &key).await.unwrap();
    assert_eq!((seen.account.as_str(), seen.name.as_str()), ("acme", "apiKeys/billing"));
    assert_eq!(seen.permissions, stored.permissions);
    let listed = service.invitations().list_invitations(with(&key, pb::ListInvitationsRequest::default())).await;
    assert!(listed.is_ok());
    refused(get(&service, &key, "apiKeys/billing").await, Code::PermissionDenied, "PERMISSION_DENIED");
    for wrong in [unknown(), altered(&key, 52), key[..47].to_owned(), key.to_lowercase()] {
        refused(caller(&service, &wrong).await, Code::Unauthenticated, "UNAUTHENTICATED");
    }
    service.stop().await;
    let service = start(&database, &[]).await;
    assert_eq!(caller(&service, &key).await.unwrap(), seen, "a restart asks for it again");
    service.stop().await;
}

async fn nobody_makes_a_key_with_more_than_they_have(database: TestDatabase) {
    let root = make(&database, "root", "acme", "*").await;
    let service = start(&database, &[]).await;
    let expire_time = messages::at(1_000);
    let roles =
        |roles: &[&str]| Some(pb::GrantableRoles { roles: roles.iter().map(|role| (*role).to_owned()).collect() });
    let powers = |permissions: &[&str], expire_time, grantable_roles| pb::ApiKey {
        expire_time,
        grantable_roles,
        ..creation("", permissions).api_key.unwrap()
    };
    let api_key = Some(powers(&["api_keys.write", "events.read"], expire_time, roles(&["viewer", "editor"])));
    let maker = create(&service, &root, pb::CreateApiKeyRequest { api_key, ..creation("maker", &[]) }).await.unwrap();
    let maker = maker.key_string;
    let attempt = async |id: &str, api_key| {
        create(&service, &maker, pb::CreateApiKeyRequest { api_key: Some(api_key), ..creation(id, &[]) }).await
    };
    for permission in ["tokens.read", "*", "api_keys.read"] {
        let status = refused(
            attempt("strong", powers(&["events.read", permission], expire_time, roles(&[]))).await,
            Code::PermissionDenied,
            "PERMISSION_DENIED",
        );
        let missing = status.get_error_details().error_info().unwrap().metadata["permission"].clone();
        assert!(permission == "*" || missing == permission, "{missing}");
    }
    for (later, id) in [(messages::at(1_001), "later"), (None, "never")] {
        let status = refused(
            attempt(id, powers(&["events.read"], later, roles(&["viewer"]))).await,
            Code::InvalidArgument,
            "INVALID_FIELD",
        );
        assert_eq!(violated(&status), ["api_key.expire_time"]);
    }
    for granted in [roles(&["viewer", "owner"]), None] {
        let status = attempt("granting", powers(&["events.read"], expire_time, granted)).await;
        refused(status, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
    }
    let status = refused(
        attempt("past", powers(&["events.read"], messages::at(0), roles(&[]))).await,
        Code::InvalidArgument,
        "INVALID_FIELD",
    );
    assert_eq!(violated(&status), ["api_key.expire_time"]);
    let made = attempt("weak", powers(&["events.read"], messages::at(999), roles(&["viewer"]))).await.unwrap();
    assert_eq!((made.grantable_roles, made.expire_time), (roles(&["viewer"]), messages::at(999)));
    let mut names = list(&service, &root, pb::ListApiKeysRequest::default()).await.0;
    names.sort_unstable();
    assert_eq!(names, ["apiKeys/maker", "apiKeys/root", "apiKeys/weak"], "nothing of the refused was kept");
    service.stop().await;
}

async fn change_gives_no_more_than_the_caller_has(database: TestDatabase) {
    let root = make(&database, "root", "acme", "*").await;
    let maker = make(&database, "maker", "acme", "api_keys.write events.read").await;
    let foreign = make(&database, "foreign", "other", "*").await;
    let service = start(&database, &[]).await;
    let strong = creation("strong", &["events.read", "tokens.read"]);
    let api_key = Some(pb::ApiKey { expire_time: messages::at(1_000), ..strong.api_key.clone().unwrap() });
    let strong = create(&service, &root, pb::CreateApiKeyRequest { api_key, ..strong }).await.unwrap();
    let named = || pb::ApiKey { name: strong.name.clone(), ..Default::default() };
    let with_permissions =
        |names: &[&str]| pb::ApiKey { permissions: names.iter().map(|name| (*name).to_owned()).collect(), ..named() };
    let longer = update(&service, &maker, pb::ApiKey { expire_time: messages::at(1_001), ..named() }, &[]).await;
    refused(longer, Code::PermissionDenied, "PERMISSION_DENIED");
    let never = update(&service, &maker, named(), &["expire_time"]).await;
    refused(never, Code::PermissionDenied, "PERMISSION_DENIED");
    let more = with_permissions(&["events.read", "tokens.read", "webhooks.write"]);
    refused(update(&service, &maker, more, &[]).await, Code::PermissionDenied, "PERMISSION_DENIED");
    let moved = update(&service, &root, pb::ApiKey { organization_id: HOST.to_owned(), ..named() }, &[]).await;
    assert_eq!(violated(&refused(moved, Code::InvalidArgument, "INVALID_FIELD")), ["api_key.organization_id"]);
    let stale = pb::ApiKey { etag: "\"x\"".to_owned(), ..with_permissions(&["events.read"]) };
    refused(update(&service, &root, stale, &[]).await, Code::Aborted, "ETAG_MISMATCH");
    for key in [&foreign, &root] {
        let unknown = pb::ApiKey { name: "apiKeys/none".to_owned(), ..with_permissions(&["events.read"]) };
        refused(update(&service, key, unknown, &[]).await, Code::NotFound, "API_KEY_NOT_FOUND");
    }
    let theirs = update(&service, &foreign, with_permissions(&["events.read"]), &[]).await;
    refused(theirs, Code::NotFound, "API_KEY_NOT_FOUND");
    assert_eq!(get(&service, &root, &strong.name).await.unwrap().etag, strong.etag, "nothing has changed");

    let shorter = pb::ApiKey { expire_time: messages::at(500), ..named() };
    let shorter = update(&service, &maker, shorter, &["expire_time"]).await.unwrap();
    assert_eq!((shorter.permissions.len(), shorter.expire_time), (2, messages::at(500)));
    let fewer = update(&service, &maker, with_permissions(&["events.read"]), &[]).await.unwrap();
    assert_eq!(fewer.permissions, ["events.read"], "to take something needs none of it");
    until(async || caller(&service, &strong.key_string).await.unwrap().permissions == ["events.read"]).await;
    let name = pb::ApiKey { display_name: "Strong".to_owned(), ..named() };
    assert_eq!(update(&service, &maker, name, &[]).await.unwrap().display_name, "Strong");
    service.stop().await;
}

async fn bound_key_makes_and_sees_only_keys_of_its_organization(database: TestDatabase) {
    let root = make(&database, "root", "acme", "*").await;
    let service = start(&database, &[]).await;
    let bound = |id: &str, organization: &str| {
        let request = creation(id, &["*"]);
        let api_key = request.api_key.clone().map(|key| pb::ApiKey { organization_id: organization.to_owned(), ..key });
        pb::CreateApiKeyRequest { api_key, ..request }
    };
    let own = create(&service, &root, bound("own", HOST)).await.unwrap().key_string;
    create(&service, &root, bound("other", OTHER_HOST)).await.unwrap();
    let made = create(&service, &own, bound("made", "")).await.unwrap();
    assert_eq!((made.organization_id.as_str(), made.creator.as_str()), (HOST, "apiKeys/own"));
    assert_eq!(caller(&service, &made.key_string).await.unwrap().organization_id, HOST);
    create(&service, &own, bound("named", HOST)).await.unwrap();
    let denied = create(&service, &own, bound("foreign", OTHER_HOST)).await;
    refused(denied, Code::PermissionDenied, "ORGANIZATION_ACCESS_DENIED");
    for name in ["apiKeys/root", "apiKeys/other"] {
        refused(get(&service, &own, name).await, Code::NotFound, "API_KEY_NOT_FOUND");
        refused(revoke(&service, &own, name).await, Code::NotFound, "API_KEY_NOT_FOUND");
        let change = pb::ApiKey { name: name.to_owned(), display_name: "x".to_owned(), ..Default::default() };
        refused(update(&service, &own, change, &[]).await, Code::NotFound, "API_KEY_NOT_FOUND");
    }
    let of_host = pb::ListApiKeysRequest { organization_id: HOST.to_owned(), ..Default::default() };
    for (key, request) in [(&own, pb::ListApiKeysRequest::default()), (&own, of_host.clone()), (&root, of_host)] {
        let mut ours = list(&service, key, request).await.0;
        ours.sort_unstable();
        assert_eq!(ours, ["apiKeys/made", "apiKeys/named", "apiKeys/own"]);
    }
    let of_other = pb::ListApiKeysRequest { organization_id: OTHER_HOST.to_owned(), ..Default::default() };
    let denied = service.access().list_api_keys(with(&own, of_other)).await;
    refused(denied, Code::PermissionDenied, "ORGANIZATION_ACCESS_DENIED");
    assert_eq!(list(&service, &root, pb::ListApiKeysRequest::default()).await.0.len(), 5);
    service.stop().await;
}

async fn revoked_or_expired_key_is_refused_and_keeps_its_name(database: TestDatabase) {
    let root = make(&database, "root", "acme", "*").await;
    let service = start(&database, &[]).await;
    let brief = creation("brief", &["events.read"]);
    let api_key = brief.api_key.clone().map(|key| pb::ApiKey { expire_time: messages::at(60), ..key });
    let brief = create(&service, &root, pb::CreateApiKeyRequest { api_key, ..brief }).await.unwrap();
    caller(&service, &brief.key_string).await.unwrap();
    service.clock.advance(Duration::from_secs(60));
    refused(caller(&service, &brief.key_string).await, Code::Unauthenticated, "UNAUTHENTICATED");
    assert_eq!(get(&service, &root, &brief.name).await.unwrap().state(), State::Expired);
    let renewal = pb::ApiKey { name: brief.name.clone(), expire_time: messages::at(200), ..Default::default() };
    assert_eq!(update(&service, &root, renewal, &[]).await.unwrap().state(), State::Active);
    until(async || caller(&service, &brief.key_string).await.is_ok()).await;

    let made = get(&service, &root, &brief.name).await.unwrap();
    let request = pb::RevokeApiKeyRequest { name: made.name.clone(), etag: brief.etag.clone(), ..Default::default() };
    refused(service.access().revoke_api_key(with(&root, request)).await, Code::Aborted, "ETAG_MISMATCH");
    let request = pb::RevokeApiKeyRequest { name: made.name.clone(), validate_only: true, ..Default::default() };
    let shown = service.access().revoke_api_key(with(&root, request)).await.unwrap().into_inner();
    assert_eq!(
        (shown.state(), get(&service, &root, &made.name).await.unwrap().state()),
        (State::Revoked, State::Active)
    );
    let revoked = revoke(&service, &root, &made.name).await.unwrap();
    assert_eq!((revoked.state(), revoked.revoke_time), (State::Revoked, messages::at(60)));
    assert_eq!(revoke(&service, &root, &made.name).await.unwrap(), revoked, "again");
    until(async || caller(&service, &brief.key_string).await.is_err()).await;
    refused(caller(&service, &brief.key_string).await, Code::Unauthenticated, "UNAUTHENTICATED");
    let renewal = pb::ApiKey { name: brief.name.clone(), expire_time: messages::at(300), ..Default::default() };
    refused(update(&service, &root, renewal, &[]).await, Code::FailedPrecondition, "API_KEY_REVOKED");
    let again = create(&service, &root, creation("brief", &["events.read"])).await;
    refused(again, Code::AlreadyExists, "API_KEY_EXISTS");
    service.stop().await;
}

/// Waits until something holds, two seconds at most: changes of keys take effect that soon.
async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let began = std::time::Instant::now();
    while !holds().await {
        assert!(began.elapsed() < paced(Duration::from_secs(2)), "it takes longer than two seconds");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn keys_are_listed_by_age_without_the_revoked(database: TestDatabase) {
    let root = make(&database, "root", "acme", "*").await;
    make(&database, "foreign", "other", "*").await;
    let service = start(&database, &[]).await;
    for id in ["a", "b", "c", "d"] {
        service.clock.advance(Duration::from_secs(1));
        create(&service, &root, creation(id, &["events.read"])).await.unwrap();
    }
    revoke(&service, &root, "apiKeys/b").await.unwrap();
    for (show_revoked, order_by, wanted) in
        [(false, "", vec!["d", "c", "a", "root"]), (true, "create_time", vec!["root", "a", "b", "c", "d"])]
    {
        let (mut seen, mut page_token) = (Vec::new(), String::new());
        loop {
            let order_by = order_by.to_owned();
            let request =
                pb::ListApiKeysRequest { show_revoked, order_by, page_size: 2, page_token, ..Default::default() };
            let (names, next) = list(&service, &root, request).await;
            seen.extend(names);
            page_token = next;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, wanted.iter().map(|id| format!("apiKeys/{id}")).collect::<Vec<_>>());
    }
    service.stop().await;
}

async fn key_grants_only_its_roles(database: TestDatabase) {
    let root = make(&database, "root", "acme", "*").await;
    let service = start(&database, &[]).await;
    let request = creation("viewers", &["*"]);
    let grantable_roles = Some(pb::GrantableRoles { roles: vec!["viewer".to_owned()] });
    let api_key = request.api_key.clone().map(|key| pb::ApiKey { grantable_roles, ..key });
    let key = create(&service, &root, pb::CreateApiKeyRequest { api_key, ..request }).await.unwrap().key_string;
    let invite = async |roles: &[&str]| {
        let user = pb::UserInvitation {
            invited_email: format!("{}@example.org", roles.join("-")),
            inviter: Some(pb::Inviter { display_name: "Ann".to_owned(), ..Default::default() }),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            ..Default::default()
        };
        let create = pb::CreateUserInvitationRequest { user_invitation: Some(user), ..Default::default() };
        service.users().create_user_invitation(with(&key, create)).await
    };
    invite(&["viewer"]).await.unwrap();
    for roles in [&["admin"][..], &["viewer", "admin"]] {
        let status = refused(invite(roles).await, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        assert_eq!(status.get_error_details().error_info().unwrap().metadata["role"], "admin");
    }
    let general =
        |role: &str| messages::general(pb::Invitation { roles: vec![role.to_owned()], ..generals::into_team(&[]) });
    let denied = service.invitations().create_invitation(with(&key, general("admin"))).await;
    refused(denied, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
    let requests = vec![general("viewer"), general("admin")];
    let batch = pb::BatchCreateInvitationsRequest { requests, ..Default::default() };
    let results = service.invitations().batch_create_invitations(with(&key, batch)).await.unwrap().into_inner().results;
    assert!(matches!(results[0].result, Some(pb::batch_create_invitations_result::Result::Invitation(_))));
    let Some(pb::batch_create_invitations_result::Result::Error(error)) = &results[1].result else { panic!() };
    assert_eq!(error.reason, "ROLE_NOT_GRANTABLE");
    service.stop().await;
}

async fn key_with_the_name_of_one_in_the_file_is_not_accepted(database: TestDatabase) {
    let root = make(&database, "root", "acme", "*").await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let entry = |account: &str| {
        let hash = "0".repeat(64);
        format!("[[api_key]]\nname = \"ci\"\nhash = \"sha256:{hash}\"\naccount = {account:?}\npermissions = [\"*\"]\n")
    };
    std::fs::write(file.path(), entry("acme")).unwrap();
    let path = file.path().to_str().unwrap();
    let service = start(&database, &[("INVITATION__AUTH__API_KEYS_FILE", path)]).await;
    let key = create(&service, &root, creation("ci", &["events.read"])).await.unwrap().key_string;
    for _ in 0..2 {
        refused(caller(&service, &key).await, Code::Unauthenticated, "UNAUTHENTICATED");
    }
    std::fs::write(file.path(), entry("another")).unwrap();
    while caller(&service, &key).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    service.stop().await;
}

async fn hour_of_the_last_use_is_noted(database: TestDatabase) {
    let root = make(&database, "root", "acme", "*").await;
    let service = start(&database, &[]).await;
    let made = create(&service, &root, creation("used", &["events.read"])).await.unwrap();
    assert_eq!(made.last_use_time, None);
    let noted = async |hour: i64| {
        let began = std::time::Instant::now();
        loop {
            caller(&service, &made.key_string).await.unwrap();
            let seen = get(&service, &root, &made.name).await.unwrap();
            if seen.last_use_time == messages::at(hour * 3_600) {
                return assert_eq!((seen.etag, seen.update_time), (made.etag.clone(), made.update_time));
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{:?}", seen.last_use_time);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    service.clock.advance(Duration::from_secs(1_800));
    noted(0).await;
    service.clock.advance(Duration::from_secs(2 * 3_600));
    noted(2).await;
    service.stop().await;
}
