//! Redeeming a link.

use std::time::Duration;

use invitation_service::pb;
use tonic::Code;

use super::make;
use crate::harness::database::TestDatabase;
use crate::harness::expect::refused;
use crate::harness::on_both;
use crate::harness::service::Service;

on_both!(the_last_use_fulfils_and_the_same_subject_stays_in, an_expired_link_is_refused_until_it_is_renewed);

async fn the_last_use_fulfils_and_the_same_subject_stays_in(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = make::create(&service, pb::ConnectionInvitation { max_uses: Some(1), ..make::invitation() }).await;
    let mut redemptions = service.redemptions();
    let first = redemptions.accept_invitation(make::accept(&made.invitation_token, "ann")).await.unwrap().into_inner();
    assert!(!first.already_accepted);
    assert_eq!(first.invitation.unwrap().state(), pb::InvitationState::Fulfilled);
    let other = redemptions.accept_invitation(make::accept(&made.invitation_token, "bob")).await;
    refused(other, Code::FailedPrecondition, "INVITATION_FULFILLED");
    let again = redemptions.accept_invitation(make::accept(&made.invitation_token, "ann")).await.unwrap().into_inner();
    assert!(again.already_accepted);
    assert_eq!(again.acceptance, first.acceptance);
    service.stop().await;
}

async fn an_expired_link_is_refused_until_it_is_renewed(database: TestDatabase) {
    let service = Service::start(&database).await;
    let ttl = Some(prost_types::Duration { seconds: 61, nanos: 0 });
    let made = make::create(&service, pb::ConnectionInvitation { ttl, ..make::invitation() }).await;
    service.clock.advance(Duration::from_secs(61));
    let mut redemptions = service.redemptions();
    let late = redemptions.accept_invitation(make::accept(&made.invitation_token, "ann")).await;
    refused(late, Code::FailedPrecondition, "INVITATION_EXPIRED");
    let resend = pb::ResendConnectionInvitationRequest { name: made.name, ttl, ..Default::default() };
    let renewed = service.connections().resend_connection_invitation(resend).await.unwrap().into_inner();
    assert_eq!(renewed.state(), pb::InvitationState::Active);
    assert_eq!(renewed.invitation_token, made.invitation_token, "without rotation the link stays");
    redemptions.accept_invitation(make::accept(&made.invitation_token, "ann")).await.unwrap();
    service.stop().await;
}
