//! ResendInvitation: sends an invitation of any kind again, renews it, and replaces its link.

use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::{InvitationState, ResendInvitationRequest as Request};
use tonic::Code;

use crate::support::build::generals::{email, internal, into_team};
use crate::support::build::messages::Expiring;
use crate::support::build::{generals, guests, messages, users};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    every_kind_is_sent_again_and_its_new_link_kills_the_old_ones,
    every_kind_is_renewed_after_it_has_expired,
    only_recipients_who_are_still_open_are_mailed,
    retry_rotates_once,
);

fn request(name: &str) -> Request {
    Request { name: name.to_owned(), ..Default::default() }
}

async fn resend(service: &Service, request: Request) -> pb::Invitation {
    service.invitations().resend_invitation(request).await.unwrap().into_inner()
}

/// One of each kind, for one hour.
async fn one_of_each(service: &Service) -> Vec<String> {
    let hour = messages::seconds(3_600);
    let connection = pb::ConnectionInvitation {
        expiration: hour.map(pb::connection_invitation::Expiration::Ttl),
        ..messages::invitation_for(&["ann@example.org"])
    };
    let general = pb::Invitation {
        expiration: hour.map(pb::invitation::Expiration::Ttl),
        ..into_team(&[email("ann@example.org")])
    };
    vec![
        messages::create(service, connection).await.name,
        users::create(
            service,
            pb::UserInvitation {
                expiration: hour.map(pb::user_invitation::Expiration::Ttl),
                ..users::user("ann@example.org")
            },
        )
        .await
        .name,
        guests::create(service, guests::guest("ann@example.org")).await.name,
        generals::create(service, general).await.name,
    ]
}

async fn every_kind_is_sent_again_and_its_new_link_kills_the_old_ones(database: TestDatabase) {
    let service = Service::start(&database).await;
    for name in one_of_each(&service).await {
        let before = messages::get_general(&service, &name).await;
        let again = resend(&service, request(&name)).await;
        let mailed = i32::from(!before.delivery_channels.is_empty());
        assert_eq!(again.delivery_count, before.delivery_count + mailed, "{name}");
        assert_eq!((&again.invitation_token, again.expire_time()), (&before.invitation_token, before.expire_time()));
        service.clock.advance(Duration::from_secs(60));
        let rotated = resend(&service, Request { rotate_token: true, ..request(&before.name) }).await;
        assert_ne!(rotated.invitation_token, before.invitation_token);
        let old = [before.invitation_token.clone(), messages::mailed_token(&before.uid, 1)];
        for old in old {
            let dead = service.redemptions().preview_invitation(messages::preview(&old)).await;
            refused(dead, Code::NotFound, "INVITATION_NOT_FOUND");
        }
        service.redemptions().preview_invitation(messages::preview(&rotated.invitation_token)).await.unwrap();
        assert_eq!(generals::happened(&service, &name).await, ["created", "resent", "resent"]);
        generals::revoke(&service, &name).await;
        let revoked = service.invitations().resend_invitation(request(&name)).await;
        refused(revoked, Code::FailedPrecondition, "INVITATION_REVOKED");
    }
    service.stop().await;
}

async fn every_kind_is_renewed_after_it_has_expired(database: TestDatabase) {
    let service = Service::start(&database).await;
    let names = one_of_each(&service).await;
    service.clock.advance(Duration::from_secs(3_600));
    for name in names {
        let expired = service.invitations().resend_invitation(request(&name)).await;
        refused(expired, Code::FailedPrecondition, "INVITATION_EXPIRED");
        let renewed = resend(
            &service,
            Request {
                expiration: messages::seconds(60).map(pb::resend_invitation_request::Expiration::Ttl),
                ..request(&name)
            },
        )
        .await;
        assert_eq!((renewed.state(), renewed.expire_time()), (InvitationState::Active, messages::at(3_660)));
        for ttl in [59, -1, 100 * 31_557_600 + 1] {
            let status = service
                .invitations()
                .resend_invitation(Request {
                    expiration: messages::seconds(ttl).map(pb::resend_invitation_request::Expiration::Ttl),
                    ..request(&name)
                })
                .await;
            assert_eq!(violated(&refused(status, Code::InvalidArgument, "INVALID_FIELD")), ["ttl"]);
        }
        let two_years = Request {
            expiration: messages::seconds(2 * 365 * 86_400).map(pb::resend_invitation_request::Expiration::Ttl),
            send_email: Some(false),
            ..request(&name)
        };
        let two_years = service.invitations().resend_invitation(two_years).await;
        if name.starts_with("user") {
            let status = refused(two_years, Code::InvalidArgument, "INVALID_FIELD");
            assert_eq!(violated(&status), ["ttl"], "a user invitation is for a year at most");
        } else {
            two_years.unwrap();
        }
    }
    service.stop().await;
}

async fn only_recipients_who_are_still_open_are_mailed(database: TestDatabase) {
    let service = Service::start(&database).await;
    let targets = [email("a@x.org"), email("b@x.org"), internal("ann"), email("c@x.org")];
    let made = generals::create(&service, into_team(&targets)).await;
    assert_eq!((made.delivery_count, made.status()), (3, pb::InvitationStatus::Queued));
    service.redemptions().decline_invitation(messages::decline(&messages::mailed_token(&made.uid, 2))).await.unwrap();
    assert_eq!(resend(&service, request(&made.name)).await.delivery_count, 5);

    let silent = pb::CreateInvitationRequest { send_email: Some(false), ..messages::general(into_team(&targets)) };
    let silent = generals::try_create(&service, silent).await.unwrap();
    assert_eq!((silent.delivery_count, silent.status()), (0, pb::InvitationStatus::Shared));
    assert_eq!(resend(&service, request(&silent.name)).await.delivery_count, 0, "mailing was off");
    service.stop().await;
}

async fn retry_rotates_once(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = generals::create(&service, into_team(&[])).await;
    let sent =
        Request { rotate_token: true, request_id: "r".to_owned(), etag: made.etag.clone(), ..request(&made.name) };
    let first = resend(&service, sent.clone()).await;
    assert_eq!(resend(&service, sent.clone()).await, first);
    let other = Request { rotate_token: false, ..sent.clone() };
    let other = service.invitations().resend_invitation(other).await;
    refused(other, Code::FailedPrecondition, "REQUEST_ID_REUSED");
    let stale = service.invitations().resend_invitation(Request { request_id: String::new(), ..sent }).await;
    refused(stale, Code::Aborted, "ETAG_MISMATCH");
    service.stop().await;
}
