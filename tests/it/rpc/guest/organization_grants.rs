//! Organization grants: created, read, updated, deleted, and what they allow in guest calls.

use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::ListOrganizationGrantsRequest as List;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::rpc::redemption::keys;
use crate::support::build::guests::{GUEST, HOST, OTHER_HOST};
use crate::support::build::{guests, messages};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    grant_is_created_once_listed_and_deleted,
    lists_filter_and_page_both_ways,
    update_changes_permissions_and_nothing_else,
    all_that_is_wrong_is_told_at_once,
    grant_allows_only_the_granted_permissions,
    organization_grant_is_hidden_from_other_accounts,
    bound_credential_manages_no_organization_grants,
);

const READ: &str = "guest_invitations.read";
const WRITE: &str = "guest_invitations.write";

fn creation(requester: &str, target: &str, permissions: &[&str]) -> pb::CreateOrganizationGrantRequest {
    let organization_grant = Some(pb::OrganizationGrant {
        requester_organization_id: requester.to_owned(),
        target_organization_id: target.to_owned(),
        permissions: permissions.iter().map(|name| (*name).to_owned()).collect(),
        ..Default::default()
    });
    pb::CreateOrganizationGrantRequest { organization_grant, ..Default::default() }
}

async fn grant(service: &Service, requester: &str, target: &str, permissions: &[&str]) -> pb::OrganizationGrant {
    let request = creation(requester, target, permissions);
    service.access().create_organization_grant(request).await.unwrap().into_inner()
}

fn deletion(name: &str) -> pb::DeleteOrganizationGrantRequest {
    pb::DeleteOrganizationGrantRequest { name: name.to_owned(), ..Default::default() }
}

async fn list(service: &Service, request: List) -> pb::ListOrganizationGrantsResponse {
    service.access().list_organization_grants(request).await.unwrap().into_inner()
}

async fn grant_is_created_once_listed_and_deleted(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = grant(&service, HOST, OTHER_HOST, &[WRITE, READ]).await;
    assert_eq!(made.name, format!("organizationGrants/{}", made.uid));
    assert_eq!(
        (made.permissions.clone(), made.create_time),
        (vec![READ.to_owned(), WRITE.to_owned()], messages::at(0))
    );
    assert_eq!((made.requester_organization_id.as_str(), made.target_organization_id.as_str()), (HOST, OTHER_HOST));
    assert_eq!(made.creator, "anonymous");
    let again = service.access().create_organization_grant(creation(HOST, OTHER_HOST, &[READ])).await;
    let status = refused(again, Code::AlreadyExists, "ORGANIZATION_GRANT_EXISTS");
    let details = status.get_error_details();
    assert_eq!(details.resource_info().unwrap().resource_name, made.name);
    assert_eq!(details.error_info().unwrap().metadata["organization_grant"], made.name);
    assert_eq!(list(&service, List::default()).await.organization_grants, std::slice::from_ref(&made));
    grant(&service, OTHER_HOST, HOST, &[READ]).await;
    service.access().delete_organization_grant(deletion(&made.name)).await.unwrap();
    let gone = service.access().delete_organization_grant(deletion(&made.name)).await;
    refused(gone, Code::NotFound, "ORGANIZATION_GRANT_NOT_FOUND");
    assert_eq!(list(&service, List::default()).await.organization_grants.len(), 1, "the other direction");
    let anew = grant(&service, HOST, OTHER_HOST, &[READ]).await;
    assert_ne!(anew.name, made.name);
    service.stop().await;
}

async fn update_changes_permissions_and_nothing_else(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut access = service.access();
    let made = grant(&service, HOST, OTHER_HOST, &[READ]).await;
    let get = pb::GetOrganizationGrantRequest { name: made.name.clone() };
    assert_eq!(access.get_organization_grant(get.clone()).await.unwrap().into_inner(), made);
    service.clock.advance(Duration::from_secs(1));
    let update = |permissions: &[&str], etag: &str, paths: &[&str]| pb::UpdateOrganizationGrantRequest {
        organization_grant: Some(pb::OrganizationGrant {
            name: made.name.clone(),
            requester_organization_id: HOST.to_owned(),
            permissions: permissions.iter().map(|name| (*name).to_owned()).collect(),
            etag: etag.to_owned(),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }),
        ..Default::default()
    };
    let dry = pb::UpdateOrganizationGrantRequest { validate_only: true, ..update(&[WRITE], "", &[]) };
    let shown = access.update_organization_grant(dry).await.unwrap().into_inner();
    assert_eq!((shown.permissions.as_slice(), shown.etag.as_str()), ([WRITE.to_owned()].as_slice(), ""));
    assert_eq!(access.get_organization_grant(get.clone()).await.unwrap().into_inner(), made, "a dry run");
    let changed = access.update_organization_grant(update(&[WRITE], &made.etag, &[])).await.unwrap().into_inner();
    assert_ne!(changed.etag, made.etag);
    let expected = pb::OrganizationGrant {
        permissions: vec![WRITE.to_owned()],
        update_time: messages::at(1),
        etag: changed.etag.clone(),
        ..made.clone()
    };
    assert_eq!(changed, expected);
    for (requester, target, field) in [
        (GUEST, OTHER_HOST, Some("requester_organization_id")),
        (HOST, GUEST, Some("target_organization_id")),
        ("x", "", Some("requester_organization_id")),
        (HOST, OTHER_HOST, None),
    ] {
        for mask in [&[][..], &["*"], &["permissions"]] {
            let mut moved = update(&[WRITE], "", mask);
            let grant = moved.organization_grant.as_mut().unwrap();
            grant.requester_organization_id = requester.to_owned();
            grant.target_organization_id = target.to_owned();
            let answer = access.update_organization_grant(moved).await;
            if let Some(field) = field.filter(|_| mask != ["permissions"]) {
                let status = refused(answer, Code::InvalidArgument, "INVALID_FIELD");
                assert_eq!(violated(&status), [format!("organization_grant.{field}")], "{mask:?}");
            } else {
                assert_eq!(answer.unwrap().into_inner(), changed, "{mask:?}");
            }
        }
    }
    let same = access.update_organization_grant(update(&[WRITE], "", &["permissions"])).await.unwrap().into_inner();
    assert_eq!(same, changed, "the same again changes nothing");
    refused(access.update_organization_grant(update(&[READ], &made.etag, &[])).await, Code::Aborted, "ETAG_MISMATCH");
    for (request, field) in [
        (update(&[], "", &["*"]), "organization_grant.permissions"),
        (update(&[READ], "", &["creator"]), "update_mask.paths[0]"),
        (update(&["events.read"], "", &[]), "organization_grant.permissions[0]"),
    ] {
        let status = refused(access.update_organization_grant(request).await, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(violated(&status), [field]);
    }
    let stale = pb::DeleteOrganizationGrantRequest { etag: made.etag.clone(), ..deletion(&made.name) };
    refused(access.delete_organization_grant(stale).await, Code::Aborted, "ETAG_MISMATCH");
    let fresh = pb::DeleteOrganizationGrantRequest { etag: changed.etag, ..deletion(&made.name) };
    access.delete_organization_grant(fresh).await.unwrap();
    refused(access.get_organization_grant(get).await, Code::NotFound, "ORGANIZATION_GRANT_NOT_FOUND");
    service.stop().await;
}

async fn lists_filter_and_page_both_ways(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut oldest_first = Vec::new();
    for index in 0..7 {
        service.clock.advance(Duration::from_secs(1));
        let target = format!("01920000-0000-7000-8000-00000000010{index}");
        oldest_first.push(grant(&service, HOST, &target, &[READ]).await);
    }
    service.clock.advance(Duration::from_secs(1));
    let other = grant(&service, OTHER_HOST, HOST, &[READ]).await;
    for (order_by, reverse) in [("create_time", false), ("", true), ("create_time desc", true)] {
        let mut request = List {
            requester_organization_id: HOST.to_owned(),
            page_size: 3,
            order_by: order_by.to_owned(),
            ..Default::default()
        };
        let mut seen = Vec::new();
        loop {
            let page = list(&service, request.clone()).await;
            seen.extend(page.organization_grants);
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        if reverse {
            seen.reverse();
        }
        assert_eq!(seen, oldest_first, "{order_by}");
    }
    let by_target = |target: &str| List { target_organization_id: target.to_owned(), ..Default::default() };
    assert_eq!(list(&service, by_target(HOST)).await.organization_grants, [other]);
    assert_eq!(list(&service, by_target(OTHER_HOST)).await.organization_grants, []);
    let first = list(&service, List { page_size: 1, ..Default::default() }).await;
    let elsewhere = List { page_token: first.next_page_token, ..by_target(HOST) };
    let status = service.access().list_organization_grants(elsewhere).await;
    assert_eq!(violated(&refused(status, Code::InvalidArgument, "INVALID_FIELD")), ["page_token"]);
    service.stop().await;
}

async fn all_that_is_wrong_is_told_at_once(database: TestDatabase) {
    let service = Service::start(&database).await;
    let at = |field: &str| format!("organization_grant.{field}");
    let requester = at("requester_organization_id");
    let (target, permissions) = (at("target_organization_id"), at("permissions"));
    for (request, wanted) in [
        (Default::default(), vec![requester.clone(), target.clone(), permissions.clone()]),
        (creation("x", "", &["*", READ]), vec![requester, target.clone(), format!("{permissions}[0]")]),
        (creation(HOST, HOST, &["events.read"]), vec![target, format!("{permissions}[0]")]),
    ] {
        let status = service.access().create_organization_grant(request).await;
        assert_eq!(violated(&refused(status, Code::InvalidArgument, "INVALID_FIELD")), wanted);
    }
    for name in ["", "x", HOST, "organizationGrants/", "organizationGrants/x", "invitations/x"] {
        let status = service.access().delete_organization_grant(deletion(name)).await;
        assert_eq!(violated(&refused(status, Code::InvalidArgument, "INVALID_FIELD")), ["name"], "{name}");
    }
    service.stop().await;
}

/// The result of guest calls from one organization about another's guests: whether it may read, and write.
async fn may(service: &Service, requester: &str, target: &str, name: &str) -> (bool, bool) {
    let between = |message| guests::between(requester, target, message);
    let get = between(pb::GetGuestInvitationRequest { name: name.to_owned(), ..Default::default() });
    let get = service.guests().get_guest_invitation(get).await.map(drop);
    let list = guests::between(requester, target, pb::ListGuestInvitationsRequest::default());
    let list = service.guests().list_guest_invitations(list).await.map(drop);
    service.clock.advance(Duration::from_secs(60));
    let resend = pb::ResendGuestInvitationRequest { name: name.to_owned(), ..Default::default() };
    let resend = service.guests().resend_guest_invitation(guests::between(requester, target, resend)).await.map(drop);
    let update = pb::UpdateGuestInvitationRequest {
        guest_invitation: Some(pb::GuestInvitation {
            name: name.to_owned(),
            parent_organization_name: "P".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let update = service.guests().update_guest_invitation(guests::between(requester, target, update)).await.map(drop);
    let outcome = |results: [Result<(), Status>; 2]| {
        let may = results.each_ref().map(Result::is_ok);
        assert_eq!(may[0], may[1], "the same of every call");
        for denied in results.into_iter().filter_map(Result::err) {
            let status = refused(Err::<(), _>(denied), Code::PermissionDenied, "ORGANIZATION_ACCESS_DENIED");
            let metadata = status.get_error_details().error_info().unwrap().metadata.clone();
            assert_eq!(metadata["requester_organization_id"], requester);
            assert_eq!(metadata["target_organization_id"], target);
        }
        may[0]
    };
    (outcome([get, list]), outcome([resend, update]))
}

async fn grant_allows_only_the_granted_permissions(database: TestDatabase) {
    let service = Service::start(&database).await;
    let guest = guests::create(&service, guests::guest("ann@example.org")).await.name;
    assert_eq!(may(&service, HOST, HOST, &guest).await, (true, true), "of its own");
    assert_eq!(may(&service, OTHER_HOST, HOST, &guest).await, (false, false));
    for (permissions, wanted) in
        [(vec![READ], (true, false)), (vec![WRITE], (false, true)), (vec![READ, WRITE], (true, true))]
    {
        let granted = grant(&service, OTHER_HOST, HOST, &permissions).await;
        assert_eq!(may(&service, OTHER_HOST, HOST, &guest).await, wanted, "{permissions:?}");
        assert_eq!(may(&service, GUEST, HOST, &guest).await, (false, false), "somebody else");
        let back = guests::between(HOST, OTHER_HOST, pb::ListGuestInvitationsRequest::default());
        let back = service.guests().list_guest_invitations(back).await;
        refused(back, Code::PermissionDenied, "ORGANIZATION_ACCESS_DENIED");
        service.access().delete_organization_grant(deletion(&granted.name)).await.unwrap();
        assert_eq!(may(&service, OTHER_HOST, HOST, &guest).await, (false, false), "from the next call on");
    }
    // An invitation that is created for the target is the target's, and another host's guests are not found.
    grant(&service, OTHER_HOST, HOST, &[READ, WRITE]).await;
    let request = guests::between(OTHER_HOST, HOST, guests::creation(guests::guest("bob@example.org")));
    let made = service.guests().create_guest_invitation(request).await.unwrap().into_inner();
    assert_eq!(made.host_organization_id, HOST);
    let own = guests::of(OTHER_HOST, pb::GetGuestInvitationRequest { name: made.name, ..Default::default() });
    refused(service.guests().get_guest_invitation(own).await, Code::NotFound, "INVITATION_NOT_FOUND");
    service.stop().await;
}

async fn organization_grant_is_hidden_from_other_accounts(database: TestDatabase) {
    let (service, key) = keys::start(&database, &[("ours", "*"), ("theirs", "*")]).await;
    let mut access = service.access();
    let request = keys::with(&key[0], creation(OTHER_HOST, HOST, &[READ]));
    let made = access.create_organization_grant(request).await.unwrap().into_inner();
    assert_eq!(made.creator, "apiKeys/key-0");
    let listed = access.list_organization_grants(keys::with(&key[1], List::default())).await.unwrap().into_inner();
    assert_eq!(listed.organization_grants, []);
    let foreign = access.delete_organization_grant(keys::with(&key[1], deletion(&made.name))).await;
    refused(foreign, Code::NotFound, "ORGANIZATION_GRANT_NOT_FOUND");
    let guests_of_host = |key: &str| {
        let mut request = keys::with(key, pb::ListGuestInvitationsRequest::default());
        guests::add(&mut request, OTHER_HOST, HOST);
        request
    };
    let mut client = service.guests();
    client.list_guest_invitations(guests_of_host(&key[0])).await.unwrap();
    let theirs = client.list_guest_invitations(guests_of_host(&key[1])).await;
    refused(theirs, Code::PermissionDenied, "ORGANIZATION_ACCESS_DENIED");
    let same = keys::with(&key[1], creation(OTHER_HOST, HOST, &[WRITE]));
    access.create_organization_grant(same).await.unwrap();
    service.stop().await;
}

async fn bound_credential_manages_no_organization_grants(database: TestDatabase) {
    let keys = [("ours", "*", None), ("ours", "*", Some(HOST))];
    let (service, key) = keys::start_bound(&database, &keys).await;
    let mut access = service.access();
    let denied = |status: Status| refused(Err::<(), _>(status), Code::PermissionDenied, "ORGANIZATION_ACCESS_DENIED");
    let made = access.create_organization_grant(keys::with(&key[0], creation(HOST, OTHER_HOST, &[READ]))).await;
    let made = made.unwrap().into_inner();
    for request in [creation(HOST, GUEST, &[READ]), creation("x", "y", &[])] {
        // Whatever is in it: what may not be done is not looked at.
        denied(access.create_organization_grant(keys::with(&key[1], request)).await.unwrap_err());
    }
    denied(access.list_organization_grants(keys::with(&key[1], List::default())).await.unwrap_err());
    denied(access.delete_organization_grant(keys::with(&key[1], deletion(&made.name))).await.unwrap_err());

    let list = |key: &str, requester: &str, target: &str| -> Request<pb::ListGuestInvitationsRequest> {
        let mut request = keys::with(key, pb::ListGuestInvitationsRequest::default());
        guests::add(&mut request, requester, target);
        request
    };
    let mut client = service.guests();
    for (bound, requester, target, allowed) in [
        (false, OTHER_HOST, OTHER_HOST, true),
        (true, HOST, HOST, true),
        (true, HOST, OTHER_HOST, true),
        (true, OTHER_HOST, OTHER_HOST, false),
        (true, OTHER_HOST, HOST, false),
        (true, HOST, GUEST, false),
    ] {
        let answer = client.list_guest_invitations(list(&key[usize::from(bound)], requester, target)).await;
        assert_eq!(answer.is_ok(), allowed, "{requester} {target}");
        answer.err().map(denied);
    }
    let mut bad = list(&key[1], HOST, GUEST);
    bad.get_mut().page_size = -1;
    denied(client.list_guest_invitations(bad).await.unwrap_err());
    service.stop().await;
}
