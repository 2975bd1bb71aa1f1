//! CreateGuestInvitation: what is made, what is refused, and that a host invites an address once at a time.

use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::{GuestInvitationStatus, InvitationState, InvitationStatus};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::support::build::guests::{HOST, OTHER_HOST, create, creation, guest, of, revocation, update};
use crate::support::build::messages::Expiring;
use crate::support::build::{guests, messages};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    guest_is_mailed_at_once_and_shown_as_sent,
    host_has_one_active_unarchived_invitation_of_an_address,
    renewed_invitation_needs_its_address_to_be_free,
);

async fn guest_is_mailed_at_once_and_shown_as_sent(database: TestDatabase) {
    let service = Service::start(&database).await;
    let wanted = pb::GuestInvitation {
        parent_organization_id: OTHER_HOST.to_owned(),
        parent_organization_name: "Parent & <Sons>".to_owned(),
        ..guest("Ann@Ex\u{e4}mple.org")
    };
    let made = create(&service, wanted.clone()).await;
    assert_eq!(made.name, format!("guestInvitations/{}", made.uid));
    assert_eq!((made.host_organization_id.as_str(), &made.email), (HOST, &wanted.email));
    assert_eq!(made.parent_organization_id, wanted.parent_organization_id);
    assert_eq!(made.parent_organization_name, wanted.parent_organization_name);
    assert_eq!((made.state(), made.status()), (InvitationState::Active, GuestInvitationStatus::Sent));
    assert_eq!((made.expire_time(), made.expired, made.archived), (wanted.expire_time(), false, Some(false)));
    assert_eq!((made.first_sent_time, made.last_sent_time), (messages::at(0), messages::at(0)));
    assert_eq!((made.accept_time, made.archive_time, made.guest_organization_id.as_str()), (None, None, ""));
    assert_eq!(made.invitation_uri, format!("http://localhost:8080/guest/{}", made.invitation_token));
    assert_eq!(guests::get(&service, &made.name).await, made);
    let general = messages::get_general(&service, &made.name).await;
    assert_eq!((general.status(), general.delivery_count), (InvitationStatus::Queued, 1));
    service.clock.advance(Duration::from_secs(3_600));
    let later = guests::get(&service, &made.name).await;
    assert_eq!((later.state(), later.expired), (InvitationState::Expired, true));
    assert_eq!(later.status(), GuestInvitationStatus::Sent);
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn value_beyond_a_limit_is_refused_at_its_field() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    // Labels of a domain have at most 63 characters.
    let email = |length: usize| format!("a@{}.{}.org", "b".repeat(60), "c".repeat(length - 67));
    assert_eq!((email(100).len(), email(101).len()), (100, 101));
    let until = |expire_time: Option<prost_types::Timestamp>| pb::GuestInvitation {
        expiration: expire_time.map(pb::guest_invitation::Expiration::ExpireTime),
        ..guest("ann@example.org")
    };
    let stamp = |seconds, nanos| Some(prost_types::Timestamp { seconds, nanos });
    let century = 100 * 31_557_600;
    let cases = [
        (pb::GuestInvitation { email: String::new(), ..guest("") }, "email"),
        (guest("ann"), "email"),
        (guest(&email(101)), "email"),
        (until(None), "expire_time"),
        (until(messages::at(0)), "expire_time"),
        (until(messages::at(-1)), "expire_time"),
        (until(messages::at(century + 1)), "expire_time"),
        (until(stamp(0, -1)), "expire_time"),
        (until(stamp(i64::MAX, 0)), "expire_time"),
        (until(stamp(253_402_300_800, 0)), "expire_time"),
        (pb::GuestInvitation { archived: Some(true), ..guest("ann@example.org") }, "archived"),
        (
            pb::GuestInvitation { parent_organization_id: "x".to_owned(), ..guest("ann@example.org") },
            "parent_organization_id",
        ),
        (
            pb::GuestInvitation { parent_organization_name: "a".repeat(301), ..guest("ann@example.org") },
            "parent_organization_name",
        ),
    ];
    for (invitation, field) in cases {
        let answer = service.guests().create_guest_invitation(of(HOST, creation(invitation))).await;
        let status = refused(answer, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(violated(&status), [format!("guest_invitation.{field}")]);
    }
    let listed = service
        .guests()
        .list_guest_invitations(of(HOST, pb::ListGuestInvitationsRequest { show_total: true, ..Default::default() }))
        .await;
    assert_eq!(listed.unwrap().into_inner().total_size, 0, "nothing was made");
    create(&service, guest(&email(100))).await;
    let made = create(&service, until(messages::at(century))).await;
    assert_eq!(made.expire_time(), messages::at(century));
    service.stop().await;
}

async fn host_has_one_active_unarchived_invitation_of_an_address(database: TestDatabase) {
    let service = Service::start(&database).await;
    let email = "ann@example.org";
    let try_create = || async { service.guests().create_guest_invitation(of(HOST, creation(guest(email)))).await };
    let taken = |name: String| async move {
        let status = refused(try_create().await, Code::AlreadyExists, "INVITATION_EXISTS");
        let details = status.get_error_details();
        let resource = details.resource_info().unwrap();
        assert_eq!(
            (resource.resource_name.as_str(), resource.resource_type.as_str()),
            (name.as_str(), "invitation.v1/GuestInvitation")
        );
    };
    let first = create(&service, guest("Ann@Example.org")).await;
    taken(first.name.clone()).await;
    let other = service.guests().create_guest_invitation(of(OTHER_HOST, creation(guest(email)))).await;
    assert_eq!(other.unwrap().into_inner().host_organization_id, OTHER_HOST, "another host invites for itself");

    let archive = |name: &str, archived| {
        update(pb::GuestInvitation { name: name.to_owned(), archived, ..Default::default() }, &["archived"])
    };
    let mut client = service.guests();
    client.update_guest_invitation(archive(&first.name, Some(true))).await.unwrap();
    let second = create(&service, guest(email)).await;
    taken(second.name.clone()).await;
    let back = client.update_guest_invitation(archive(&first.name, Some(false))).await;
    let status = refused(back, Code::AlreadyExists, "INVITATION_EXISTS");
    assert_eq!(status.get_error_details().resource_info().unwrap().resource_name, second.name);
    assert_eq!(guests::get(&service, &first.name).await.archived, Some(true), "what is refused changes nothing");

    client.revoke_guest_invitation(revocation(&second.name)).await.unwrap();
    client.update_guest_invitation(archive(&first.name, Some(false))).await.unwrap();
    taken(first.name.clone()).await;
    service.stop().await;
}

async fn renewed_invitation_needs_its_address_to_be_free(database: TestDatabase) {
    let service = Service::start(&database).await;
    let first = create(&service, guest("ann@example.org")).await;
    service.clock.advance(Duration::from_secs(3_600));
    let until = |name: &str, seconds| pb::GuestInvitation {
        name: name.to_owned(),
        expiration: messages::at(seconds).map(pb::guest_invitation::Expiration::ExpireTime),
        ..Default::default()
    };
    let rival = create(
        &service,
        pb::GuestInvitation {
            expiration: messages::at(7_200).map(pb::guest_invitation::Expiration::ExpireTime),
            ..guest("ANN@example.org")
        },
    )
    .await;
    let mut client = service.guests();
    let later = client.update_guest_invitation(update(until(&first.name, 9_000), &[])).await;
    refused(later, Code::AlreadyExists, "INVITATION_EXISTS");
    let resend = |name: &str, seconds| {
        let (name, expire_time) = (name.to_owned(), messages::at(seconds));
        of(
            HOST,
            pb::ResendGuestInvitationRequest {
                name,
                expiration: expire_time.map(pb::resend_guest_invitation_request::Expiration::ExpireTime),
                ..Default::default()
            },
        )
    };
    let again = client.resend_guest_invitation(resend(&first.name, 9_000)).await;
    let status = refused(again, Code::AlreadyExists, "INVITATION_EXISTS");
    assert_eq!(status.get_error_details().resource_info().unwrap().resource_name, rival.name);

    client.revoke_guest_invitation(revocation(&rival.name)).await.unwrap();
    let renewed = client.update_guest_invitation(update(until(&first.name, 9_000), &[])).await.unwrap().into_inner();
    assert_eq!((renewed.state(), renewed.expire_time()), (InvitationState::Active, messages::at(9_000)));
    let rivals = service.guests().create_guest_invitation(of(HOST, creation(guest("ann@example.org")))).await;
    // An hour after New Year is now, so the request itself is late as well: fields come first.
    refused(rivals, Code::InvalidArgument, "INVALID_FIELD");
    let long = pb::GuestInvitation {
        expiration: messages::at(9_999).map(pb::guest_invitation::Expiration::ExpireTime),
        ..guest("ann@example.org")
    };
    let rivals = service.guests().create_guest_invitation(of(HOST, creation(long))).await;
    refused(rivals, Code::AlreadyExists, "INVITATION_EXISTS");
    service.stop().await;
}
