//! Every RPC that takes a request_id, by the descriptors: one effect and one answer, whatever comes between. A new one has to
//! be added to [`other`] before these pass.

pub(crate) mod interrupted_calls;
pub(crate) mod request_id;
use futures_util::future::join_all;
use prost::Message as _;
use sea_orm::{ConnectionTrait, Statement};
use tonic::{Code, Request, Status};

use super::raw::{Input, Rpc};
use super::request::{About, Known, call, new_general, new_user};
use super::{raw, request};
use crate::rpc::redemption::keys;
use crate::support::build::guests::{HOST, OTHER_HOST, add};
use crate::support::build::{generals, messages};
use crate::support::database::TestDatabase;
use crate::support::expect::refused;
use crate::support::on_both;
use crate::support::service::Service;
use invitation_service::pb;

on_both!(
    migrated:
    request_id_has_one_effect_for_every_rpc,
    request_id_used_ten_times_at_once_has_one_effect,
    request_id_of_one_organization_is_free_for_another,
    key_of_an_organization_replays_only_what_it_reaches,
);

/// The rows that show an effect, and the changes of them.
const EFFECTS: [&str; 19] = [
    "count(*) FROM invitation",
    "CAST(coalesce(sum(revision), 0) AS bigint) FROM invitation",
    "count(*) FROM recipient",
    "count(*) FROM acceptance",
    "count(*) FROM event",
    "count(*) FROM outbox",
    "count(*) FROM slot",
    "count(*) FROM autojoin_domain",
    "count(*) FROM webhook_endpoint",
    "CAST(coalesce(sum(revision), 0) AS bigint) FROM webhook_endpoint",
    "count(*) FROM webhook_message",
    "count(*) FROM request",
    "count(*) FROM organization_grant",
    "CAST(coalesce(sum(revision), 0) AS bigint) FROM organization_grant",
    "count(*) FROM api_key",
    "CAST(coalesce(sum(revision), 0) AS bigint) FROM api_key",
    "count(*) FROM suppression",
    "count(*) FROM seat",
    "CAST(coalesce(sum(revision), 0) AS bigint) FROM scope_settings",
];

pub(super) async fn effects(service: &Service) -> [i64; 19] {
    let database = service.connected().await;
    let columns: Vec<_> = EFFECTS.iter().enumerate().map(|(at, sql)| format!("(SELECT {sql}) AS c{at}")).collect();
    let select = Statement::from_string(database.get_database_backend(), format!("SELECT {}", columns.join(", ")));
    let row = database.query_one_raw(select).await.unwrap().unwrap();
    std::array::from_fn(|at| row.try_get("", &format!("c{at}")).unwrap())
}

fn difference(before: [i64; 19], after: [i64; 19]) -> [i64; 19] {
    std::array::from_fn(|at| after[at] - before[at])
}

/// The RPCs that take a request_id, each with that field.
fn rpcs() -> Vec<(&'static Rpc, Input)> {
    let with_id = |rpc: &'static Rpc| {
        let input = raw::inputs(rpc).into_iter().find(|input| input.path == "request_id")?;
        Some((rpc, input))
    };
    let rpcs: Vec<_> = raw::rpcs().iter().filter_map(with_id).collect();
    assert!(rpcs.len() >= 29, "the descriptors have lost request_ids");
    rpcs
}

/// The bytes that, behind those of a valid request, make another valid request of it.
fn other(rpc: &Rpc, known: &Known) -> Vec<u8> {
    let path = rpc.path.trim_start_matches("/invitation.v1.");
    let (field, text) = match path {
        "ConnectionInvitationService/CreateConnectionInvitation" => {
            ("connection_invitation.company_id", messages::CONNECTION)
        }
        "ConnectionInvitationService/CreateReconnectInvitation" => ("company_id", messages::CONNECTION),
        "ConnectionInvitationService/RevokeConnectionInvitation"
        | "ConnectionInvitationService/ResendConnectionInvitation"
        | "ConnectionInvitationService/RecordCreatedConnection"
        | "UserInvitationService/RevokeUserInvitation"
        | "UserInvitationService/DeleteUserInvitation"
        | "UserInvitationService/ResendUserInvitation"
        | "GuestInvitationService/ResendGuestInvitation"
        | "GuestInvitationService/RevokeGuestInvitation"
        | "GuestInvitationService/AcceptGuestInvitation"
        | "InvitationService/RevokeInvitation"
        | "InvitationService/ResendInvitation"
        | "SuppressionService/DeleteSuppression"
        | "WebhookService/DeleteWebhookEndpoint"
        | "WebhookService/RotateWebhookSecret"
        | "WebhookService/RedeliverWebhookEvents" => ("etag", "\"x\""),
        "RedemptionService/AcceptInvitation" => ("acceptor.subject", "bob"),
        "RedemptionService/DeclineInvitation"
        | "InvitationService/DeclineInvitations"
        | "InvitationService/ReleaseAcceptance" => ("reason", "because"),
        "RedemptionService/RecordEngagement" => ("source", "other"),
        "DeliveryService/RedeliverDeliveries" => ("parent", known.guest.as_str()),
        "AccessService/CreateOrganizationGrant" => ("organization_grant.permissions", "guest_invitations.write"),
        "AccessService/UpdateOrganizationGrant" => ("organization_grant.permissions", "guest_invitations.read"),
        "AccessService/DeleteOrganizationGrant" | "AccessService/RevokeApiKey" => ("etag", "\"x\""),
        "AccessService/CreateApiKey" | "AccessService/UpdateApiKey" => ("api_key.display_name", "Other"),
        "DeliveryService/ReportDeliveryStatus" => ("detail", "other"),
        "UserInvitationService/CreateUserInvitation" => ("user_invitation.inviter.display_name", "Bob"),
        "GuestInvitationService/CreateGuestInvitation" => ("guest_invitation.email", "other@example.org"),
        "ConnectionInvitationService/UpdateConnectionInvitation" => ("connection_invitation.message", "Other"),
        "UserInvitationService/UpdateUserInvitation" => ("user_invitation.message", "Other"),
        "InvitationService/UpdateInvitation" => ("invitation.message", "Other"),
        "GuestInvitationService/UpdateGuestInvitation" => ("guest_invitation.parent_organization_name", "Other"),
        "InvitationService/CreateInvitation" => ("invitation.scope.id", "other"),
        "InvitationService/UpdateAcceptance" => ("acceptance.etag", "\"x\""),
        "InvitationService/AcceptInvitations" => ("entries.name", known.guest.as_str()),
        "InvitationService/SettleInvitations" => ("acceptor.display_name", "Bob"),
        "InvitationService/RevokeInvitations" => ("filter.scope.id", "other"),
        "InvitationService/ReassignInvitations" => ("to.display_name", "Other"),
        "InvitationService/SyncInternalInvitation" => ("widget_configuration_id", "other"),
        "ScopeService/SyncAutojoin" => ("domains", "other.example.org"),
        "ScopeService/UpdateScopeSettings" => ("scope_settings.scope.id", "other"),
        "ScopeService/OccupySeats" | "ScopeService/VacateSeats" => ("subjects", "other"),
        "PrivacyService/EraseRecipient" => ("email", "other@example.org"),
        "SuppressionService/CreateSuppression" => ("suppression.email", "other@example.org"),
        "WebhookService/CreateWebhookEndpoint" | "WebhookService/UpdateWebhookEndpoint" => {
            ("webhook_endpoint.uri", "https://example.org/other")
        }
        "InvitationService/BatchCreateInvitations" => {
            let requests = vec![new_general(known, "other")];
            return pb::BatchCreateInvitationsRequest { requests, ..Default::default() }.encode_to_vec();
        }
        "UserInvitationService/BatchCreateUserInvitations" => {
            let requests = vec![new_user(known, "other")];
            return pb::BatchCreateUserInvitationsRequest { requests, ..Default::default() }.encode_to_vec();
        }
        _ => panic!("{path} has no other body here"),
    };
    with_text(rpc, field, text)
}

fn with_text(rpc: &Rpc, field: &str, text: &str) -> Vec<u8> {
    let input = raw::inputs(rpc).into_iter().find(|input| input.path == field);
    input.unwrap_or_else(|| panic!("{} has no field {field}", rpc.path)).text(text)
}

/// A valid request that changes something.
fn changing(rpc: &Rpc, known: &Known) -> Vec<u8> {
    let (_, valid) = request::valid(&rpc.path, known);
    let more = match rpc.path.rsplit('/').next().unwrap() {
        "AcceptInvitation" => with_text(rpc, "acceptor.subject", "cid"),
        "RecordCreatedConnection" => with_text(rpc, "status", "live"),
        "SyncAutojoin" => with_text(rpc, "domains", "new.example.org"),
        _ => Vec::new(),
    };
    [valid, more].concat()
}

/// One of everything that nobody has changed, the webhook endpoint included.
async fn fresh(service: &Service) -> Known {
    let endpoints = service.webhooks().list_webhook_endpoints(pb::ListWebhookEndpointsRequest::default()).await;
    for pb::WebhookEndpoint { name, .. } in endpoints.unwrap().into_inner().webhook_endpoints {
        let delete = pb::DeleteWebhookEndpointRequest { name, ..Default::default() };
        service.webhooks().delete_webhook_endpoint(delete).await.unwrap();
    }
    request::known(service, None, messages::COMPANY).await
}

/// Returns the part of an answer that a retry has to repeat: all but an API key, which is shown once and stored nowhere.
fn lasting(rpc: &Rpc, answer: bytes::Bytes) -> bytes::Bytes {
    if !rpc.path.ends_with("/CreateApiKey") {
        return answer;
    }
    let key = pb::ApiKey::decode(answer).unwrap();
    pb::ApiKey { key_string: String::new(), ..key }.encode_to_vec().into()
}

async fn request_id_has_one_effect_for_every_rpc(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut done = Vec::new();
    for (rpc, id) in rpcs() {
        let known = fresh(&service).await;
        let message = [changing(rpc, &known), id.text("once")].concat();
        let before = effects(&service).await;
        let first = call(&service, rpc, message.clone()).await;
        let first = lasting(rpc, first.unwrap_or_else(|status| panic!("{}: {status:?}", rpc.path)));
        let after = effects(&service).await;
        assert_ne!(before, after, "{}: the request is one that changes something", rpc.path);
        let again = call(&service, rpc, message.clone()).await.unwrap();
        assert_eq!(again, first, "{}: a retry has the same answer", rpc.path);
        assert_eq!(effects(&service).await, after, "{}: a retry has no effect", rpc.path);
        let other = [message.clone(), other(rpc, &known)].concat();
        refused(call(&service, rpc, other).await, Code::FailedPrecondition, "REQUEST_ID_REUSED");
        assert_eq!(effects(&service).await, after, "{}: another body has no effect", rpc.path);
        let again = call(&service, rpc, message.clone()).await.unwrap();
        assert_eq!(again, first, "{}: the first call is remembered still", rpc.path);
        done.push((rpc, message, first));
    }
    let after = effects(&service).await;
    service.stop().await;
    let service = Service::start(&database).await;
    for (rpc, message, first) in done {
        let again = call(&service, rpc, message).await;
        // The endpoints of all but the last of these requests are deleted by now.
        if !rpc.path.contains(".WebhookService/") {
            assert_eq!(again.unwrap(), first, "{}: a restart forgets nothing", rpc.path);
        }
        assert_eq!(effects(&service).await, after, "{}: a retry after a restart has no effect", rpc.path);
    }
    service.stop().await;
}

async fn request_id_used_ten_times_at_once_has_one_effect(database: TestDatabase) {
    let service = Service::start(&database).await;
    // Only one process may have a SQLite file.
    let replica = if database.url().starts_with("postgres") { Some(Service::start(&database).await) } else { None };
    let replicas = [&service, replica.as_ref().unwrap_or(&service)];
    for (rpc, id) in rpcs() {
        let mut differences = Vec::new();
        for calls in [1, 10] {
            let known = fresh(&service).await;
            let text = format!("at-once-{calls}");
            let message = [changing(rpc, &known), id.text(&text)].concat();
            let before = effects(&service).await;
            let answers = join_all((0..calls).map(|at| call(replicas[at % 2], rpc, message.clone()))).await;
            differences.push(difference(before, effects(&service).await));
            let keys = answers.iter().flatten().filter(|answer| lasting(rpc, (*answer).clone()) != **answer).count();
            assert_eq!(keys, usize::from(rpc.path.ends_with("/CreateApiKey")), "{}: a key is shown once", rpc.path);
            let answers: Vec<_> = answers.into_iter().map(|answer| answer.map(|answer| lasting(rpc, answer))).collect();
            let first = answers[0].as_ref().unwrap_or_else(|status| panic!("{}: {status:?}", rpc.path));
            assert!(
                answers.iter().all(|answer| answer.as_ref().is_ok_and(|it| it == first)),
                "{}: {answers:?}",
                rpc.path
            );
        }
        assert_eq!(differences[0], differences[1], "{}: ten calls at once do what one does", rpc.path);
    }
    if let Some(replica) = replica {
        replica.stop().await;
    }
    service.stop().await;
}

/// Calls an RPC about the guests of an organization.
async fn call_of(service: &Service, host: &str, rpc: &Rpc, message: Vec<u8>) -> Result<bytes::Bytes, Status> {
    let mut request = Request::new(message.into());
    add(&mut request, host, host);
    raw::call_as_it_is(service, &rpc.path, request).await
}

async fn request_id_of_one_organization_is_free_for_another(database: TestDatabase) {
    let service = Service::start(&database).await;
    let guests = rpcs().into_iter().filter(|(rpc, _)| rpc.path.contains(".GuestInvitationService/"));
    for (rpc, id) in guests {
        let known = request::known(&service, None, messages::COMPANY).await;
        let (about, message) = request::valid(&rpc.path, &known);
        let message = [message, id.text("common")].concat();
        let ours = call_of(&service, HOST, rpc, message.clone()).await.unwrap();
        let before = effects(&service).await;
        let theirs = call_of(&service, OTHER_HOST, rpc, message.clone()).await;
        if about == About::New {
            let [ours, theirs] = [ours.clone(), theirs.unwrap()].map(|it| pb::GuestInvitation::decode(it).unwrap());
            assert_ne!(ours.name, theirs.name);
            assert_eq!(theirs.host_organization_id, OTHER_HOST);
        } else {
            refused(theirs, Code::NotFound, "INVITATION_NOT_FOUND");
            assert_eq!(effects(&service).await, before, "{}", rpc.path);
        }
        assert_eq!(call_of(&service, HOST, rpc, message).await.unwrap(), ours, "{}", rpc.path);
    }
    service.stop().await;
}

/// These change general invitations alone, or an acceptance, which a guest invitation that is open has not.
fn is_left_out(path: &str) -> bool {
    let about_others = ["/SyncInternalInvitation", "/UpdateInvitation", "/ReleaseAcceptance", "/UpdateAcceptance"];
    about_others.iter().any(|end| path.ends_with(end))
}

async fn key_of_an_organization_replays_only_what_it_reaches(database: TestDatabase) {
    let keys = [("ours", "*", None), ("ours", "*", Some(HOST)), ("ours", "*", Some(OTHER_HOST))];
    let (service, key) = keys::start_bound(&database, &keys).await;
    let grant = pb::OrganizationGrant {
        requester_organization_id: OTHER_HOST.to_owned(),
        target_organization_id: HOST.to_owned(),
        permissions: vec!["guest_invitations.write".to_owned()],
        ..Default::default()
    };
    let create = pb::CreateOrganizationGrantRequest { organization_grant: Some(grant), ..Default::default() };
    let grant = service.access().create_organization_grant(keys::with(&key[0], create)).await.unwrap();
    let mut replays = Vec::new();
    for (rpc, id) in rpcs().into_iter().filter(|(rpc, _)| rpc.path.contains(".InvitationService/")) {
        let mut known = request::known(&service, Some(&key[0]), messages::COMPANY).await;
        known.general = known.guest.clone();
        let about = request::valid(&rpc.path, &known).0;
        if !matches!(about, About::One | About::Each) || is_left_out(&rpc.path) {
            continue;
        }
        let message = match rpc.path.rsplit('/').next().unwrap() {
            // The one recipient, whose address is not that of the known request.
            "DeclineInvitations" => {
                let names = vec![known.guest.clone()];
                pb::DeclineInvitationsRequest { names, ..Default::default() }.encode_to_vec()
            }
            "AcceptInvitations" => {
                let acceptor = pb::Acceptor {
                    subject: "ann".to_owned(),
                    email: known.email("guest"),
                    email_verified: true,
                    ..Default::default()
                };
                let entries = generals::entries(&[&known.guest]);
                pb::AcceptInvitationsRequest { entries, acceptor: Some(acceptor), ..Default::default() }.encode_to_vec()
            }
            _ => request::valid(&rpc.path, &known).1,
        };
        let message = [message, id.text("reach")].concat();
        let first = keys::call(&service, &key[2], &rpc.path, message.clone()).await;
        let first = first.unwrap_or_else(|status| panic!("{}: {status:?}", rpc.path));
        assert_eq!(keys::call(&service, &key[2], &rpc.path, message.clone()).await.unwrap(), first, "{}", rpc.path);
        replays.push((rpc, message));
    }
    assert_eq!(replays.len(), 4);
    let delete = pb::DeleteOrganizationGrantRequest { name: grant.into_inner().name, ..Default::default() };
    service.access().delete_organization_grant(keys::with(&key[0], delete)).await.unwrap();
    for (rpc, message) in replays {
        let before = effects(&service).await;
        let withdrawn = keys::call(&service, &key[2], &rpc.path, message.clone()).await;
        match withdrawn {
            Ok(answer) => {
                let error = request::each(&rpc.path, &answer).remove(0).unwrap_err();
                assert_eq!(error.reason, "INVITATION_NOT_FOUND");
            }
            other => drop(refused(other, Code::NotFound, "INVITATION_NOT_FOUND")),
        }
        assert_eq!(effects(&service).await, before, "{}", rpc.path);
    }
    service.stop().await;
}
