//! The organizations of a guest call: who asks, whose guests are meant, and who may speak for whom.

use invitation_service::pb;
use prost::Message as _;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::contract::raw::told;
use crate::contract::{raw, request};
use crate::rpc::redemption::keys;
use crate::support::build::guests::{GUEST, HOST, OTHER_HOST, between, of};
use crate::support::build::{guests, messages};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    every_guest_call_needs_each_organization_once,
    organizations_come_by_field_or_by_metadata,
    organization_acts_for_another_only_by_its_grant,
    guests_of_another_host_are_not_found_like_missing_ones,
    key_of_one_organization_speaks_for_no_other,
);

fn guest_rpcs() -> Vec<&'static raw::Rpc> {
    let of_guests = |rpc: &&raw::Rpc| rpc.path.contains(".GuestInvitationService/");
    let rpcs: Vec<_> = raw::rpcs().iter().filter(of_guests).collect();
    assert_eq!(rpcs.len(), 7);
    rpcs
}

/// Names and values.
type Metadata<'a> = [(&'static str, &'a str)];

/// Calls an RPC with just these metadata.
async fn call(service: &Service, path: &str, message: Vec<u8>, metadata: &Metadata<'_>) -> Result<(), Status> {
    let mut request = Request::new(bytes::Bytes::from(message));
    for (name, value) in metadata {
        request.metadata_mut().append(*name, value.parse().unwrap());
    }
    raw::call_as_it_is(service, path, request).await.map(drop)
}

const REQUESTER: &str = "requester-organization-id";
const TARGET: &str = "target-organization-id";

async fn every_guest_call_needs_each_organization_once(database: TestDatabase) {
    let service = Service::start(&database).await;
    let known = request::known(&service, None, messages::COMPANY).await;
    let before = guests::get(&service, &known.guest).await;
    let without_hyphens = HOST.replace('-', "");
    let cases: [(&Metadata<'_>, &[&str]); 8] = [
        (&[], &["requester_organization_id", "target_organization_id"]),
        (&[(REQUESTER, HOST)], &["target_organization_id"]),
        (&[(TARGET, HOST)], &["requester_organization_id"]),
        (&[(REQUESTER, ""), (TARGET, HOST)], &[REQUESTER]),
        (&[(REQUESTER, "x"), (TARGET, "*")], &[REQUESTER, TARGET]),
        (&[(REQUESTER, HOST), (TARGET, &without_hyphens)], &[TARGET]),
        (&[(REQUESTER, HOST), (REQUESTER, HOST), (TARGET, HOST)], &[REQUESTER]),
        (&[(REQUESTER, HOST), (TARGET, HOST), (TARGET, OTHER_HOST)], &[TARGET]),
    ];
    for rpc in guest_rpcs() {
        let (_, message) = request::valid(&rpc.path, &known);
        for (metadata, wanted) in cases {
            let answer = call(&service, &rpc.path, message.clone(), metadata).await;
            let status = refused(answer, Code::InvalidArgument, "INVALID_FIELD");
            assert_eq!(violated(&status), wanted, "{} {metadata:?}", rpc.path);
        }
    }
    assert_eq!(guests::get(&service, &known.guest).await, before);
    service.stop().await;
}

async fn organizations_come_by_field_or_by_metadata(database: TestDatabase) {
    let service = Service::start(&database).await;
    let create = async |request_id: &str, fields: [&str; 2], metadata: &Metadata<'_>| {
        let message = pb::CreateGuestInvitationRequest {
            requester_organization_id: fields[0].to_owned(),
            target_organization_id: fields[1].to_owned(),
            request_id: request_id.to_owned(),
            ..guests::creation(guests::guest("ann@example.org"))
        };
        let path = "/invitation.v1.GuestInvitationService/CreateGuestInvitation";
        call(&service, path, message.encode_to_vec(), metadata).await
    };
    create("r", [HOST, HOST], &[]).await.unwrap();
    let by_metadata = [(REQUESTER, HOST), (TARGET, HOST)];
    create("r", ["", ""], &by_metadata).await.unwrap();
    create("r", [HOST, ""], &by_metadata[1..]).await.unwrap();
    create("r", [HOST, HOST], &by_metadata).await.unwrap();
    let other = refused(create("r", [HOST, OTHER_HOST], &by_metadata).await, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&other), ["target_organization_id"]);
    let invalid = refused(create("r", ["x", HOST], &[]).await, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&invalid), ["requester_organization_id"]);
    let denied = create("r2", [OTHER_HOST, HOST], &[]).await;
    refused(denied, Code::PermissionDenied, "ORGANIZATION_ACCESS_DENIED");
    service.stop().await;
}

async fn grant(service: &Service, permissions: &[&str]) -> pb::OrganizationGrant {
    let organization_grant = Some(pb::OrganizationGrant {
        requester_organization_id: OTHER_HOST.to_owned(),
        target_organization_id: HOST.to_owned(),
        permissions: permissions.iter().map(|name| (*name).to_owned()).collect(),
        ..Default::default()
    });
    let request = pb::CreateOrganizationGrantRequest { organization_grant, ..Default::default() };
    service.access().create_organization_grant(request).await.unwrap().into_inner()
}

async fn organization_acts_for_another_only_by_its_grant(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut known = request::known(&service, None, messages::COMPANY).await;
    let (read, write) = ("guest_invitations.read", "guest_invitations.write");
    // The other direction grants nothing.
    let reverse = [(REQUESTER, HOST), (TARGET, OTHER_HOST)];
    let forth = [(REQUESTER, OTHER_HOST), (TARGET, HOST)];
    for permissions in [&[][..], &[read], &[write], &[read, write]] {
        let granted = if permissions.is_empty() { None } else { Some(grant(&service, permissions).await) };
        for rpc in guest_rpcs() {
            // A guest of which a call was refused, or only read it, serves the next call.
            let granted = permissions.contains(if rpc.reads { &read } else { &write });
            if granted && !rpc.reads {
                known = request::known(&service, None, messages::COMPANY).await;
            }
            let (_, message) = request::valid(&rpc.path, &known);
            let answer = call(&service, &rpc.path, message.clone(), &forth).await;
            if granted {
                answer.unwrap_or_else(|status| panic!("{}: {status:?}", rpc.path));
            } else {
                let status = refused(answer, Code::PermissionDenied, "ORGANIZATION_ACCESS_DENIED");
                let details = status.get_error_details();
                let metadata = &details.error_info().unwrap().metadata;
                assert_eq!(metadata["requester_organization_id"], OTHER_HOST);
                assert_eq!(metadata["target_organization_id"], HOST);
                let (_, missing) = request::valid(&rpc.path, &known.missing());
                let missing = call(&service, &rpc.path, missing, &forth).await.unwrap_err();
                let missing = missing.get_error_details();
                assert_eq!(&missing.error_info().unwrap().metadata, metadata, "{}: nothing of what is", rpc.path);
            }
            let answer = call(&service, &rpc.path, message, &reverse).await;
            refused(answer, Code::PermissionDenied, "ORGANIZATION_ACCESS_DENIED");
        }
        if let Some(granted) = granted {
            let delete = pb::DeleteOrganizationGrantRequest { name: granted.name, ..Default::default() };
            service.access().delete_organization_grant(delete).await.unwrap();
        }
    }
    let get = pb::GetGuestInvitationRequest { name: known.guest, ..Default::default() };
    let gone = service.guests().get_guest_invitation(between(OTHER_HOST, HOST, get)).await;
    refused(gone, Code::PermissionDenied, "ORGANIZATION_ACCESS_DENIED");
    service.stop().await;
}

async fn guests_of_another_host_are_not_found_like_missing_ones(database: TestDatabase) {
    let service = Service::start(&database).await;
    let known = request::known(&service, None, messages::COMPANY).await;
    let before = guests::get(&service, &known.guest).await;
    let own = [(REQUESTER, OTHER_HOST), (TARGET, OTHER_HOST)];
    for rpc in guest_rpcs() {
        let (about, message) = request::valid(&rpc.path, &known);
        if about != request::About::One {
            continue;
        }
        let foreign = call(&service, &rpc.path, message, &own).await;
        let foreign = refused(foreign, Code::NotFound, "INVITATION_NOT_FOUND");
        let (_, missing) = request::valid(&rpc.path, &known.missing());
        let missing = call(&service, &rpc.path, missing, &own).await.unwrap_err();
        assert_eq!(told(&foreign), told(&missing), "{}", rpc.path);
    }
    let list = of(OTHER_HOST, pb::ListGuestInvitationsRequest::default());
    let listed = service.guests().list_guest_invitations(list).await.unwrap().into_inner();
    assert_eq!((listed.guest_invitations.len(), listed.total_size), (0, 0));
    assert_eq!(guests::get(&service, &known.guest).await, before);

    // A page token is good for the guests of one host.
    request::known(&service, None, messages::COMPANY).await;
    let page = |token: &str| pb::ListGuestInvitationsRequest {
        show_total: true,
        page_size: 1,
        page_token: token.to_owned(),
        ..Default::default()
    };
    let first = service.guests().list_guest_invitations(of(HOST, page(""))).await.unwrap().into_inner();
    assert_eq!((first.guest_invitations.len(), first.total_size), (1, 2));
    let elsewhere = service.guests().list_guest_invitations(of(OTHER_HOST, page(&first.next_page_token))).await;
    assert_eq!(violated(&refused(elsewhere, Code::InvalidArgument, "INVALID_FIELD")), ["page_token"]);
    service.guests().list_guest_invitations(of(HOST, page(&first.next_page_token))).await.unwrap();
    service.stop().await;
}

async fn key_of_one_organization_speaks_for_no_other(database: TestDatabase) {
    let keys = [("ours", "*", None), ("ours", "*", Some(HOST)), ("ours", "*", Some(OTHER_HOST))];
    let (service, key) = keys::start_bound(&database, &keys).await;
    let (all, host, other) = (key[0].as_str(), key[1].as_str(), key[2].as_str());
    let mut guests = service.guests();
    let with = |key: &str, requester: &str, target: &str, email: &str| {
        let mut request = keys::with(key, guests::creation(guests::guest(email)));
        guests::add(&mut request, requester, target);
        request
    };
    let hosted = guests.create_guest_invitation(with(host, HOST, HOST, "ann@example.org")).await.unwrap().into_inner();
    guests.create_guest_invitation(with(all, GUEST, GUEST, "ann@example.org")).await.unwrap();
    for (key, requester, target) in
        [(host, OTHER_HOST, OTHER_HOST), (host, OTHER_HOST, HOST), (host, HOST, OTHER_HOST), (other, HOST, HOST)]
    {
        let answer = guests.create_guest_invitation(with(key, requester, target, "bob@example.org")).await;
        refused(answer, Code::PermissionDenied, "ORGANIZATION_ACCESS_DENIED");
    }

    // Through the services for every kind, too, it reaches no further.
    let company = keys::with(all, messages::creation(messages::invitation()));
    let company = service.connections().create_connection_invitation(company).await.unwrap().into_inner();
    let get = |key: &str, name: &str| {
        let request = keys::with(key, pb::GetInvitationRequest { name: name.to_owned() });
        let mut invitations = service.invitations();
        async move { invitations.get_invitation(request).await.map(drop) }
    };
    let events = |key: &str, name: &str| {
        let parent = name.to_owned();
        let request = keys::with(key, pb::ListEventsRequest { parent, ..Default::default() });
        let mut events = service.events();
        async move { events.list_events(request).await.map(drop) }
    };
    get(host, &hosted.name).await.unwrap();
    events(host, &hosted.name).await.unwrap();
    for (key, name) in [(other, &hosted.name), (host, &company.name), (other, &company.name)] {
        refused(get(key, name).await, Code::NotFound, "INVITATION_NOT_FOUND");
        refused(events(key, name).await, Code::NotFound, "INVITATION_NOT_FOUND");
        let revoke = pb::RevokeInvitationRequest { name: name.clone(), ..Default::default() };
        let revoked = service.invitations().revoke_invitation(keys::with(key, revoke)).await;
        refused(revoked, Code::NotFound, "INVITATION_NOT_FOUND");
    }
    for (key, wanted) in [(all, 3), (host, 1), (other, 0)] {
        let request = keys::with(key, pb::ListInvitationsRequest::default());
        let listed = service.invitations().list_invitations(request).await.unwrap().into_inner().invitations;
        assert_eq!(listed.len(), wanted);
    }
    let refusal = keys::with(host, pb::ListOrganizationGrantsRequest::default());
    let refusal = service.access().list_organization_grants(refusal).await;
    refused(refusal, Code::PermissionDenied, "ORGANIZATION_ACCESS_DENIED");
    service.stop().await;
}
