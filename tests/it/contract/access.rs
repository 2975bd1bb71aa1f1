//! The permission that each RPC of the descriptors needs.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use invitation_service::api::requests::{RPCS, required_by};
use invitation_service::auth::api_key::ApiKey;
use invitation_service::auth::permission::{Permission, Required};
use invitation_service::entropy::Entropy;
use invitation_service::pb;
use prost::Message as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use super::raw::{Cells, told};
use super::request::{About, Known};
use super::{raw, request};
use crate::rpc::redemption::keys;
use crate::support::database::TestDatabase;
use crate::support::expect::{reason, refused};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    foreign_and_missing_resources_answer_alike,
    two_accounts_on_one_connection_never_see_each_other,
);

const OURS: &str = "01920000-0000-7000-8000-00000000aaaa";
const THEIRS: &str = "01920000-0000-7000-8000-00000000bbbb";

/// The RPCs that are about nothing that is there already, so that nothing is own, foreign or missing.
const ABOUT_NOTHING: [&str; 19] = [
    "AccessService/CreateApiKey",
    "AccessService/CreateOrganizationGrant",
    "AccessService/GetCaller",
    "AccessService/GetQuota",
    "ConnectionInvitationService/CreateConnectionInvitation",
    "ConnectionInvitationService/CreateReconnectInvitation",
    "EventService/WatchEvents",
    "GuestInvitationService/CreateGuestInvitation",
    "InvitationService/BatchCreateInvitations",
    "InvitationService/CreateInvitation",
    "RedemptionService/VerifyReceipt",
    "ScopeService/OccupySeats",
    "ScopeService/SyncAutojoin",
    "ScopeService/UpdateScopeSettings",
    "ScopeService/VacateSeats",
    "SuppressionService/CreateSuppression",
    "UserInvitationService/BatchCreateUserInvitations",
    "UserInvitationService/CreateUserInvitation",
    "WebhookService/CreateWebhookEndpoint",
];

fn is_about_nothing(path: &str) -> bool {
    ABOUT_NOTHING.contains(&path.trim_start_matches("/invitation.v1."))
}

#[test]
fn table_of_permissions_has_exactly_the_rpcs_that_exist() {
    let existing: BTreeSet<String> = raw::rpcs().iter().map(|rpc| rpc.path.clone()).collect();
    let listed: BTreeSet<String> = RPCS.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(listed, existing);
    assert_eq!(listed.len(), RPCS.len(), "an RPC is in the table twice");
}

#[tokio::test(crate = "crate::support::limit")]
async fn rpc_without_one_good_credential_is_unauthenticated_first() {
    let database = TestDatabase::sqlite();
    let (service, key) = keys::start(&database, &[("ours", "*"), ("ours", "*")]).await;
    let cases: Vec<(&str, Vec<(&'static str, String)>)> = vec![
        ("none", vec![]),
        ("two authorization values", vec![bearer(&key[0]), bearer(&key[0])]),
        ("two keys", vec![plain(&key[0]), plain(&key[1])]),
        ("one key twice", vec![plain(&key[0]), plain(&key[0])]),
        ("both kinds", vec![plain(&key[0]), bearer(&key[0])]),
        ("a good and a bad one", vec![plain(&key[0]), bearer("nonsense")]),
        ("Basic", vec![("authorization", format!("Basic {}", key[0]))]),
        ("no scheme", vec![("authorization", key[0].clone())]),
        ("Bearer alone", vec![("authorization", "Bearer".to_owned())]),
        ("Bearer and nothing", vec![bearer("")]),
        ("an empty key", vec![plain("")]),
        ("an unknown key", vec![plain(ApiKey::generate(&Entropy::system()).expose())]),
        ("a key without its checksum", vec![plain(&key[0][..47])]),
        ("a key with another checksum", vec![plain(&keys::altered(&key[0], 52))]),
        ("a key cut short", vec![plain(&key[0][..46])]),
        ("a key with a tail", vec![plain(&format!("{}A", key[0]))]),
        ("two in one value", vec![bearer(&format!("{0}, Bearer {0}", key[0]))]),
        ("the hash of a key", vec![plain(&hash_of(&key[0]))]),
        ("a token without signature", vec![bearer("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.")]),
    ];
    let (mut seen, mut cells) = (BTreeSet::new(), Cells::new("credentials that are none"));
    for (case, credentials) in &cases {
        for rpc in raw::rpcs() {
            // Too large, malformed and empty messages are not even looked at.
            for is_malformed in [false, true] {
                let message = if is_malformed { vec![0xff; 8] } else { Vec::new() };
                let mut request = Request::new(Bytes::from(message));
                append(request.metadata_mut(), credentials);
                let status = raw::call(&service, &rpc.path, request).await.expect_err(case);
                assert_eq!(reason(&status), (Code::Unauthenticated, "UNAUTHENTICATED".to_owned()), "{case}");
                cells.check(&rpc.path, &format!("{case}, {is_malformed}"));
                let (_, message, details) = told(&status);
                seen.insert((message, details));
            }
        }
    }
    assert_eq!(seen.len(), 1, "what is wrong with a credential is not told");
    cells.assert_complete(|_| true, 2 * cases.len());
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn key_is_taken_in_either_header_and_the_scheme_in_any_case() {
    let database = TestDatabase::sqlite();
    let (service, key) = keys::start(&database, &[("ours", "*")]).await;
    for credential in [plain(&key[0]), bearer(&key[0]), ("authorization", format!("bEARER {}", key[0]))] {
        let mut request = Request::new(Bytes::new());
        append(request.metadata_mut(), &[credential]);
        raw::call(&service, "/invitation.v1.InvitationService/ListInvitations", request).await.unwrap();
    }
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn permission_opens_exactly_its_rpcs_before_validation() {
    let database = TestDatabase::sqlite();
    let accounts: Vec<(&str, &str)> =
        Permission::ALL.into_iter().map(|permission| ("ours", permission.name())).collect();
    let (service, key) = keys::start(&database, &accounts).await;
    let mut cells = Cells::new("permissions");
    for (permission, key) in Permission::ALL.into_iter().zip(&key) {
        for (path, needed) in RPCS {
            cells.check(path, permission.name());
            // No message of any method: whoever gets as far as validation is told so.
            let status = keys::call(&service, key, path, vec![0xff; 8]).await.expect_err("no message");
            if needed.permission().is_none_or(|needed| needed == permission) {
                refused::<()>(Err(status), Code::InvalidArgument, "MALFORMED_MESSAGE");
            } else {
                let status = refused::<()>(Err(status), Code::PermissionDenied, "PERMISSION_DENIED");
                let details = status.get_error_details();
                assert_eq!(
                    details.error_info().unwrap().metadata["permission"],
                    needed.permission().unwrap().name(),
                    "{path}"
                );
            }
        }
    }
    cells.assert_complete(|_| true, Permission::ALL.len());
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn missing_permission_says_nothing_about_what_exists() {
    let database = TestDatabase::sqlite();
    let (service, key) = keys::start(&database, &[("ours", "*"), ("ours", "tokens.read")]).await;
    let known = request::known(&service, Some(&key[0]), OURS).await;
    for rpc in raw::rpcs() {
        if required_by(&rpc.path) == Some(Required::AnyCredential) {
            continue;
        }
        let (_, there) = request::valid(&rpc.path, &known);
        let (_, missing) = request::valid(&rpc.path, &known.missing());
        let there = keys::call(&service, &key[1], &rpc.path, there).await.unwrap_err();
        let missing = keys::call(&service, &key[1], &rpc.path, missing).await.unwrap_err();
        assert_eq!(there.code(), Code::PermissionDenied, "{}", rpc.path);
        assert_eq!(told(&there), told(&missing), "{}", rpc.path);
    }
    service.stop().await;
}

/// All that a client is told of a refusal, without the names that it sent itself.
fn told_of(status: &Status, known: &Known) -> (Code, String, Vec<u8>) {
    let (code, message, mut details) = told(status);
    let sent =
        [&known.attempt, &known.acceptance, &known.delivery, &known.organizations, &known.endpoint, &known.general];
    let invitation = format!("invitations/{}", known.id);
    for name in sent.into_iter().chain([&known.user, &known.guest, &known.api_key, &known.suppression, &invitation]) {
        while let Some(at) = details.windows(name.len()).position(|part| part == name.as_bytes()) {
            details[at..at + name.len()].fill(b'?');
        }
    }
    (code, message, details)
}

async fn foreign_and_missing_resources_answer_alike(database: TestDatabase) {
    let (service, key) = keys::start(&database, &[("ours", "*"), ("theirs", "*")]).await;
    let theirs = request::known(&service, Some(&key[1]), THEIRS).await;
    let before = snapshot(&service, &key[1], &theirs).await;
    let mut cells = Cells::new("own, foreign and missing resources");
    let mut ours = request::known(&service, Some(&key[0]), OURS).await;
    for rpc in raw::reads_first() {
        if request::valid(&rpc.path, &theirs).0 == About::New {
            assert!(is_about_nothing(&rpc.path), "{} is about what there is already", rpc.path);
            continue;
        }
        if !rpc.reads {
            ours = request::known(&service, Some(&key[0]), OURS).await;
        }
        let ask = |known: &Known| {
            let (about, message) = request::valid(&rpc.path, known);
            let (service, key) = (&service, &key[0]);
            async move { (about, keys::call(service, key, &rpc.path, message).await) }
        };
        for case in ["own", "foreign", "missing"] {
            cells.check(&rpc.path, case);
        }
        let (about, foreign) = ask(&theirs).await;
        let (_, missing) = ask(&theirs.missing()).await;
        match about {
            About::New => unreachable!(),
            About::Many => {
                let (foreign, missing) = (foreign.unwrap(), missing.unwrap());
                assert_eq!((foreign.len(), missing.len()), (0, 0), "{}: an empty list", rpc.path);
                assert!(!ask(&ours).await.1.unwrap().is_empty(), "{}: a list of one's own", rpc.path);
            }
            About::All => {
                // Whomever the credential belongs to, and nobody else.
                let is_of_suppressions = rpc.path.contains(".SuppressionService/");
                let name =
                    |known: &Known| if is_of_suppressions { &known.suppression } else { &known.endpoint }.clone();
                let id = |known: &Known| name(known).rsplit('/').next().unwrap().to_owned();
                let (foreign, missing, own) = (foreign.unwrap(), missing.unwrap(), ask(&ours).await.1.unwrap());
                assert_eq!((&foreign, &missing), (&own, &own), "{}", rpc.path);
                assert!(holds(&own, &id(&ours)) && !holds(&own, &id(&theirs)), "{}", rpc.path);
            }
            About::Each => {
                let each = |answer: Result<Bytes, Status>| request::each(&rpc.path, &answer.unwrap());
                let (foreign, missing) = (each(foreign), each(missing));
                assert!(foreign[0].is_err(), "{}", rpc.path);
                assert_eq!(foreign, missing, "{}", rpc.path);
                assert!(each(ask(&ours).await.1)[0].is_ok(), "{}: one's own", rpc.path);
            }
            About::One => {
                let (foreign, missing) = (foreign.unwrap_err(), missing.unwrap_err());
                let wanted = match rpc.path.trim_start_matches("/invitation.v1.") {
                    path if path.ends_with("ApiKey") => "API_KEY_NOT_FOUND",
                    path if path.starts_with("AccessService/") => "ORGANIZATION_GRANT_NOT_FOUND",
                    "DeliveryService/ReportDeliveryStatus" | "DeliveryService/GetDelivery" => "DELIVERY_NOT_FOUND",
                    path if path.ends_with("Acceptance") && path != "InvitationService/CheckAcceptance" => {
                        "ACCEPTANCE_NOT_FOUND"
                    }
                    "InvitationService/GetRecipient" => "RECIPIENT_NOT_FOUND",
                    "WebhookService/GetWebhookAttempt" => "WEBHOOK_ATTEMPT_NOT_FOUND",
                    path if path.starts_with("WebhookService/") => "WEBHOOK_ENDPOINT_NOT_FOUND",
                    path if path.starts_with("SuppressionService/") => "SUPPRESSION_NOT_FOUND",
                    _ => "INVITATION_NOT_FOUND",
                };
                assert_eq!(reason(&foreign), (Code::NotFound, wanted.to_owned()), "{}", rpc.path);
                assert_eq!(told_of(&foreign, &theirs), told_of(&missing, &theirs.missing()), "{}", rpc.path);
                ask(&ours).await.1.unwrap_or_else(|status| panic!("{}: one's own: {status:?}", rpc.path));
            }
        }
    }
    assert_eq!(snapshot(&service, &key[1], &theirs).await, before, "nothing of it has changed");
    cells.assert_complete(|path| !is_about_nothing(path), 3);
    service.stop().await;
}

async fn two_accounts_on_one_connection_never_see_each_other(database: TestDatabase) {
    let (service, key) = keys::start(&database, &[("ours", "*"), ("theirs", "*")]).await;
    let mut sides = Vec::new();
    for (account, key) in ["ours", "theirs"].into_iter().zip(&key) {
        // Both have invitations of one and the same company.
        sides.push((account, key.clone(), request::known(&service, Some(key), OURS).await));
    }
    let mut calls = JoinSet::new();
    // More at once might be turned away where the machine is busy.
    let room = Arc::new(Semaphore::new(256));
    for number in 0..2_000_usize {
        let room = Arc::clone(&room);
        let (account, key, known) = sides[number % 2].clone();
        let other = sides[(number + 1) % 2].2.clone();
        let (mut invitations, mut redemptions) = (service.invitations(), service.redemptions());
        calls.spawn(async move {
            let _turn = room.acquire().await.unwrap();
            match number / 2 % 4 {
                0 => {
                    let request = pb::GetInvitationRequest { name: format!("invitations/{}", known.id) };
                    let read = invitations.get_invitation(keys::with(&key, request)).await.unwrap().into_inner();
                    assert_eq!((read.account.as_str(), read.uid), (account, known.id));
                }
                1 => {
                    let request = pb::GetInvitationRequest { name: format!("invitations/{}", other.id) };
                    let foreign = invitations.get_invitation(keys::with(&key, request)).await;
                    refused(foreign, Code::NotFound, "INVITATION_NOT_FOUND");
                }
                2 => {
                    let request = keys::with(&key, pb::ListInvitationsRequest::default());
                    let listed = invitations.list_invitations(request).await.unwrap().into_inner().invitations;
                    assert_eq!(listed.len(), 5, "one of each kind, and an auto-join");
                    assert!(listed.iter().all(|read| read.account == account));
                }
                _ => {
                    let view = crate::support::build::messages::view(&known.token);
                    redemptions.record_engagement(keys::with(&key, view)).await.unwrap();
                    let view = crate::support::build::messages::view(&other.token);
                    let foreign = redemptions.record_engagement(keys::with(&key, view)).await;
                    refused(foreign, Code::NotFound, "INVITATION_NOT_FOUND");
                }
            }
        });
    }
    while let Some(done) = calls.join_next().await {
        done.unwrap();
    }
    for (account, key, known) in &sides {
        let request = pb::GetInvitationRequest { name: format!("invitations/{}", known.id) };
        let read = service.invitations().get_invitation(keys::with(key, request)).await.unwrap().into_inner();
        assert_eq!((read.account.as_str(), read.view_count), (*account, 250));
    }
    service.stop().await;
}

/// Whether a message has a text in it.
fn holds(message: &[u8], text: &str) -> bool {
    message.windows(text.len()).any(|window| window == text.as_bytes())
}

/// The resources of an account as gets and lists show them.
async fn snapshot(service: &Service, key: &str, known: &Known) -> Vec<Vec<u8>> {
    let mut asked = Vec::new();
    let mut seen = Vec::new();
    for name in [&format!("invitations/{}", known.id), &known.user, &known.guest, &known.general] {
        let (name, parent) = (name.clone(), name.clone());
        asked.push(("InvitationService/GetInvitation", pb::GetInvitationRequest { name }.encode_to_vec()));
        let deliveries = pb::ListDeliveriesRequest { parent: parent.clone(), ..Default::default() };
        asked.push(("DeliveryService/ListDeliveries", deliveries.encode_to_vec()));
        let events = keys::with(key, pb::ListEventsRequest { parent, ..Default::default() });
        for event in service.events().list_events(events).await.unwrap().into_inner().events {
            // Every answer has another token for the same place.
            seen.push(pb::Event { resume_token: String::new(), ..event }.encode_to_vec());
        }
    }
    let api_key = pb::GetApiKeyRequest { name: known.api_key.clone() };
    asked.push(("AccessService/GetApiKey", api_key.encode_to_vec()));
    let endpoints = pb::ListWebhookEndpointsRequest::default();
    asked.push(("WebhookService/ListWebhookEndpoints", endpoints.encode_to_vec()));
    for (path, message) in asked {
        seen.push(keys::call(service, key, &format!("/invitation.v1.{path}"), message).await.unwrap().to_vec());
    }
    seen
}

fn plain(key: &str) -> (&'static str, String) {
    ("x-api-key", key.to_owned())
}

fn bearer(key: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {key}"))
}

fn append(metadata: &mut MetadataMap, credentials: &[(&'static str, String)]) {
    for (name, value) in credentials {
        metadata.append(*name, value.parse().unwrap());
    }
}

fn hash_of(key: &str) -> String {
    use invitation_service::auth::api_key::{format_hash, hash_api_key};
    format_hash(&hash_api_key(key))
}
