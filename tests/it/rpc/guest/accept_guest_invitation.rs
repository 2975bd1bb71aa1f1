//! AcceptGuestInvitation, by the system, and the acceptance of a guest who holds the link.

use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::event::Payload;
use invitation_service::pb::{AcceptedBy, GuestInvitationStatus as Status, InvitationState};
use tonic::Code;

use crate::support::build::guests::{GUEST, HOST, OTHER_HOST, by_system, create, get, guest, of, revocation};
use crate::support::build::messages;
use crate::support::build::messages::Expiring;
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    system_accepts_once_for_one_organization,
    guest_with_the_link_accepts_with_or_without_organization,
    guest_and_system_for_one_organization_accept_once,
    ended_or_expired_invitation_cannot_be_accepted,
    resend_mails_the_link_again_and_renews_what_has_expired,
);

async fn system_accepts_once_for_one_organization(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = create(&service, guest("ann@example.org")).await;
    service.clock.advance(Duration::from_secs(5));
    let mut guests = service.guests();
    let accepted = guests.accept_guest_invitation(by_system(&made.name, GUEST)).await.unwrap().into_inner();
    assert_eq!((accepted.status(), accepted.state()), (Status::AcceptedBySystem, InvitationState::Fulfilled));
    assert_eq!((accepted.guest_organization_id.as_str(), accepted.accept_time), (GUEST, messages::at(5)));
    let again = guests.accept_guest_invitation(by_system(&made.name, &GUEST.to_uppercase())).await.unwrap();
    assert_eq!(again.into_inner(), accepted, "the same organization again changes nothing");
    let other = guests.accept_guest_invitation(by_system(&made.name, OTHER_HOST)).await;
    refused(other, Code::FailedPrecondition, "INVITATION_FULFILLED");
    let system = messages::accept_as(&made.invitation_token, &format!("system:{GUEST}"), "ann@example.org", true);
    let system = service.redemptions().accept_invitation(system).await;
    assert_eq!(violated(&refused(system, Code::InvalidArgument, "INVALID_FIELD")), ["acceptor.subject"]);
    let person = messages::accept_as(&made.invitation_token, "ann", "ann@example.org", true);
    let person = service.redemptions().accept_invitation(person).await;
    refused(person, Code::FailedPrecondition, "INVITATION_FULFILLED");

    let general = messages::get_general(&service, &made.name).await;
    assert_eq!(general.acceptances.len(), 1);
    let acceptance = &general.acceptances[0];
    assert_eq!(
        (acceptance.subject.as_str(), acceptance.accepted_by()),
        (format!("system:{GUEST}").as_str(), AcceptedBy::System)
    );
    assert_eq!((acceptance.guest_organization_id.as_str(), acceptance.email.as_str()), (GUEST, ""));
    let happened = messages::event_types(&service, &made.name).await;
    assert_eq!(happened, ["invitation.created", "invitation.accepted", "invitation.fulfilled"]);
    for (organization, code) in [("", Code::InvalidArgument), ("x", Code::InvalidArgument)] {
        let answer = guests.accept_guest_invitation(by_system(&made.name, organization)).await;
        assert_eq!(violated(&refused(answer, code, "INVALID_FIELD")), ["guest_organization_id"]);
    }
    service.stop().await;
}

async fn guest_with_the_link_accepts_with_or_without_organization(database: TestDatabase) {
    let service = Service::start(&database).await;
    for (number, organization) in [Some(GUEST), None].into_iter().enumerate() {
        let email = format!("p{number}@example.org");
        let made = create(&service, guest(&email)).await;
        let mut redemptions = service.redemptions();
        let eve = messages::accept_as(&made.invitation_token, "eve", "eve@example.org", true);
        refused(redemptions.accept_invitation(eve).await, Code::PermissionDenied, "EMAIL_NOT_ALLOWED");
        let accept = |organization: Option<&str>| pb::AcceptInvitationRequest {
            kind_input: organization.and_then(messages::as_guest),
            ..messages::accept_as(&made.invitation_token, "ann", &email, true)
        };
        let status =
            refused(redemptions.accept_invitation(accept(Some("x"))).await, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(violated(&status), ["guest_organization_id"]);
        let accepted = redemptions.accept_invitation(accept(organization)).await.unwrap().into_inner();
        let acceptance = accepted.acceptance.unwrap();
        let wanted = organization.unwrap_or_default();
        assert_eq!((acceptance.accepted_by(), acceptance.guest_organization_id.as_str()), (AcceptedBy::Guest, wanted));
        assert_eq!((&acceptance.email, acceptance.roles.len()), (&email, 0));
        let read = get(&service, &made.name).await;
        assert_eq!((read.status(), read.state()), (Status::AcceptedByGuest, InvitationState::Fulfilled));
        assert_eq!(read.guest_organization_id, wanted);
        let events = messages::events(&service, &made.name).await;
        let Some(Payload::Accepted(payload)) = &events[1].payload else { panic!("{:?}", events[1]) };
        assert_eq!(payload.guest_organization_id, wanted);
    }
    service.stop().await;
}

async fn guest_and_system_for_one_organization_accept_once(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = create(&service, guest("ann@example.org")).await;
    let accept = pb::AcceptInvitationRequest {
        kind_input: messages::as_guest(GUEST),
        ..messages::accept(&messages::mailed_token(&made.uid, 1), "ann")
    };
    service.redemptions().accept_invitation(accept).await.unwrap();
    let before = get(&service, &made.name).await;
    let system = service.guests().accept_guest_invitation(by_system(&made.name, GUEST)).await.unwrap().into_inner();
    assert_eq!((system.status(), &system), (Status::AcceptedByGuest, &before));
    let other = service.guests().accept_guest_invitation(by_system(&made.name, OTHER_HOST)).await;
    refused(other, Code::FailedPrecondition, "INVITATION_FULFILLED");

    let made = create(&service, guest("bob@example.org")).await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (mut guests, name) = (service.guests(), made.name.clone());
        calls.spawn(async move { guests.accept_guest_invitation(by_system(&name, GUEST)).await.unwrap().into_inner() });
    }
    let answers = calls.join_all().await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(messages::get_general(&service, &made.name).await.use_count, 1);
    service.stop().await;
}

async fn ended_or_expired_invitation_cannot_be_accepted(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut guests = service.guests();
    let revoked = create(&service, guest("ann@example.org")).await;
    let ended = guests.revoke_guest_invitation(revocation(&revoked.name)).await.unwrap().into_inner();
    assert_eq!((ended.state(), ended.status()), (InvitationState::Revoked, Status::Sent));
    let again = guests.revoke_guest_invitation(revocation(&revoked.name)).await.unwrap().into_inner();
    assert_eq!(again, ended);
    let declined = create(&service, guest("bob@example.org")).await;
    service.redemptions().decline_invitation(messages::decline(&declined.invitation_token)).await.unwrap();
    let expired = create(&service, guest("kim@example.org")).await;
    service.clock.advance(Duration::from_secs(3_600));
    for (made, reason) in
        [(&revoked, "INVITATION_REVOKED"), (&declined, "INVITATION_DECLINED"), (&expired, "INVITATION_EXPIRED")]
    {
        let answer = guests.accept_guest_invitation(by_system(&made.name, GUEST)).await;
        refused(answer, Code::FailedPrecondition, reason);
        let read = get(&service, &made.name).await;
        assert_eq!((read.status(), read.guest_organization_id.as_str()), (Status::Sent, ""));
    }
    service.stop().await;
}

async fn resend_mails_the_link_again_and_renews_what_has_expired(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = create(&service, guest("ann@example.org")).await;
    let mut guests = service.guests();
    let resend = |rotate_token, expire_time: Option<prost_types::Timestamp>| {
        let name = made.name.clone();
        of(
            HOST,
            pb::ResendGuestInvitationRequest {
                name,
                rotate_token,
                expiration: expire_time.map(pb::resend_guest_invitation_request::Expiration::ExpireTime),
                ..Default::default()
            },
        )
    };
    service.clock.advance(Duration::from_secs(10));
    let again = guests.resend_guest_invitation(resend(false, None)).await.unwrap().into_inner();
    assert_eq!(again.invitation_token, made.invitation_token);
    assert_eq!((again.first_sent_time, again.last_sent_time), (messages::at(0), messages::at(10)));
    service.clock.advance(Duration::from_secs(60));
    let rotated = guests.resend_guest_invitation(resend(true, None)).await.unwrap().into_inner();
    assert_ne!(rotated.invitation_token, made.invitation_token);
    for dead in [made.invitation_token.clone(), messages::mailed_token(&made.uid, 1)] {
        let answer = service.redemptions().preview_invitation(messages::preview(&dead)).await;
        refused(answer, Code::NotFound, "INVITATION_NOT_FOUND");
    }
    assert_eq!(messages::get_general(&service, &made.name).await.delivery_count, 3);
    service.clock.advance(Duration::from_secs(3_530));
    let late = guests.resend_guest_invitation(resend(false, None)).await;
    refused(late, Code::FailedPrecondition, "INVITATION_EXPIRED");
    for past in [3_600, 0] {
        let answer = guests.resend_guest_invitation(resend(false, messages::at(past))).await;
        assert_eq!(violated(&refused(answer, Code::InvalidArgument, "INVALID_FIELD")), ["expire_time"]);
    }
    let renewed = guests.resend_guest_invitation(resend(false, messages::at(7_200))).await.unwrap().into_inner();
    assert_eq!((renewed.state(), renewed.expired), (InvitationState::Active, false));
    assert_eq!((renewed.expire_time(), renewed.last_sent_time), (messages::at(7_200), messages::at(3_600)));
    service.stop().await;
}
