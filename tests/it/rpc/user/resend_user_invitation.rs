//! ResendUserInvitation: the link again, a new one, or a new time to live.

use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::InvitationState;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::support::build::messages::Expiring;
use crate::support::build::users::{create, resending, user};
use crate::support::build::{messages, users};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    resend_mails_the_same_link_again_unless_it_is_rotated,
    expired_invitation_comes_back_with_a_new_ttl,
    expired_invitation_stays_expired_if_its_slot_is_taken,
    ended_invitation_is_not_sent_again,
);

async fn resend_mails_the_same_link_again_unless_it_is_rotated(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = create(&service, user("ann@example.org")).await;
    let mut users = service.users();
    let again = users.resend_user_invitation(resending(&made.name)).await.unwrap().into_inner();
    assert_eq!(again.invitation_token, made.invitation_token, "the same link");
    assert_eq!(again.expire_time(), made.expire_time(), "and the same expiry");
    assert_ne!(again.etag, made.etag);
    assert_eq!(messages::get_general(&service, &made.name).await.delivery_count, 2);

    let rotate = pb::ResendUserInvitationRequest { rotate_token: true, etag: again.etag, ..resending(&made.name) };
    service.clock.advance(Duration::from_secs(60));
    let rotated = users.resend_user_invitation(rotate.clone()).await.unwrap().into_inner();
    assert_ne!(rotated.invitation_token, made.invitation_token);
    refused(users.resend_user_invitation(rotate).await, Code::Aborted, "ETAG_MISMATCH");
    for dead in [made.invitation_token.clone(), messages::mailed_token(&made.uid, 1)] {
        let answer = service.redemptions().preview_invitation(messages::preview(&dead)).await;
        refused(answer, Code::NotFound, "INVITATION_NOT_FOUND");
    }
    service.redemptions().preview_invitation(messages::preview(&rotated.invitation_token)).await.unwrap();
    let happened = messages::event_types(&service, &made.name).await;
    assert_eq!(happened, ["invitation.created", "invitation.resent", "invitation.resent"]);
    service.stop().await;
}

async fn expired_invitation_comes_back_with_a_new_ttl(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = create(
        &service,
        pb::UserInvitation {
            expiration: messages::seconds(60).map(pb::user_invitation::Expiration::Ttl),
            ..user("ann@example.org")
        },
    )
    .await;
    service.clock.advance(Duration::from_secs(60));
    assert_eq!(users::get(&service, &made.name).await.state(), InvitationState::Expired);
    let mut users = service.users();
    let late = users.resend_user_invitation(resending(&made.name)).await;
    refused(late, Code::FailedPrecondition, "INVITATION_EXPIRED");
    let year = 365 * 24 * 3_600;
    let renewal = |seconds| pb::ResendUserInvitationRequest {
        expiration: messages::seconds(seconds).map(pb::resend_user_invitation_request::Expiration::Ttl),
        ..resending(&made.name)
    };
    for seconds in [0, 59, year + 1] {
        let status =
            refused(users.resend_user_invitation(renewal(seconds)).await, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(violated(&status), ["ttl"]);
    }
    let renewed = users.resend_user_invitation(renewal(year)).await.unwrap().into_inner();
    assert_eq!((renewed.state(), renewed.expire_time()), (InvitationState::Active, messages::at(60 + year)));
    assert_eq!(renewed.invitation_token, made.invitation_token);
    service
        .redemptions()
        .accept_invitation(messages::accept(&messages::mailed_token(&made.uid, 1), "ann"))
        .await
        .unwrap();
    service.stop().await;
}

async fn expired_invitation_stays_expired_if_its_slot_is_taken(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = create(
        &service,
        pb::UserInvitation {
            expiration: messages::seconds(60).map(pb::user_invitation::Expiration::Ttl),
            ..user("ann@example.org")
        },
    )
    .await;
    service.clock.advance(Duration::from_secs(60));
    let rival = create(
        &service,
        pb::UserInvitation {
            expiration: messages::seconds(60).map(pb::user_invitation::Expiration::Ttl),
            ..user("ANN@example.org")
        },
    )
    .await;
    let before = users::get(&service, &made.name).await;
    let mut users = service.users();
    let renewal = || pb::ResendUserInvitationRequest {
        expiration: messages::seconds(3_600).map(pb::resend_user_invitation_request::Expiration::Ttl),
        ..resending(&made.name)
    };
    let status = refused(users.resend_user_invitation(renewal()).await, Code::AlreadyExists, "INVITATION_EXISTS");
    assert_eq!(status.get_error_details().resource_info().unwrap().resource_name, rival.name);
    let general = pb::ResendInvitationRequest {
        name: made.name.clone(),
        expiration: messages::seconds(3_600).map(pb::resend_invitation_request::Expiration::Ttl),
        ..Default::default()
    };
    let answer = service.invitations().resend_invitation(general).await;
    refused(answer, Code::AlreadyExists, "INVITATION_EXISTS");
    assert_eq!(users::get(&service, &made.name).await, before, "what is refused changes nothing");

    // The rival expires too: now either may come back, and then the other may not.
    service.clock.advance(Duration::from_secs(60));
    users.resend_user_invitation(renewal()).await.unwrap();
    let other = pb::ResendUserInvitationRequest {
        expiration: messages::seconds(60).map(pb::resend_user_invitation_request::Expiration::Ttl),
        ..resending(&rival.name)
    };
    let status = refused(users.resend_user_invitation(other).await, Code::AlreadyExists, "INVITATION_EXISTS");
    assert_eq!(status.get_error_details().resource_info().unwrap().resource_name, made.name);
    service.stop().await;
}

async fn ended_invitation_is_not_sent_again(database: TestDatabase) {
    let service = Service::start(&database).await;
    let revoked = create(&service, user("ann@example.org")).await;
    let revoke = pb::RevokeInvitationRequest { name: revoked.name.clone(), ..Default::default() };
    service.invitations().revoke_invitation(revoke).await.unwrap();
    let declined = create(&service, user("bob@example.org")).await;
    service.redemptions().decline_invitation(messages::decline(&declined.invitation_token)).await.unwrap();
    let accepted = create(&service, user("kim@example.org")).await;
    let accept = messages::accept(&messages::mailed_token(&accepted.uid, 1), "kim");
    service.redemptions().accept_invitation(accept).await.unwrap();
    for (made, reason) in
        [(revoked, "INVITATION_REVOKED"), (declined, "INVITATION_DECLINED"), (accepted, "INVITATION_FULFILLED")]
    {
        let renewal = pb::ResendUserInvitationRequest {
            expiration: messages::seconds(60).map(pb::resend_user_invitation_request::Expiration::Ttl),
            ..resending(&made.name)
        };
        let answer = service.users().resend_user_invitation(renewal).await;
        refused(answer, Code::FailedPrecondition, reason);
    }
    service.stop().await;
}
