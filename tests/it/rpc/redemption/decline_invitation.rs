//! DeclineInvitation: who can decline through which link.

use invitation_service::pb;
use invitation_service::pb::InvitationState;
use invitation_service::pb::event::Payload;
use tonic::Code;

use crate::support::build::messages;
use crate::support::database::TestDatabase;
use crate::support::expect::refused;
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    invitation_is_declined_with_its_last_recipient,
    plain_link_declines_for_the_only_recipient,
    acceptor_cannot_decline_and_others_still_can,
);

async fn invitation_is_declined_with_its_last_recipient(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation_for(&["ann@example.org", "bob@example.org"])).await;
    let mut redemptions = service.redemptions();
    let plain = redemptions.decline_invitation(messages::decline(&made.invitation_token)).await;
    refused(plain, Code::FailedPrecondition, "RECIPIENT_UNKNOWN");
    let reason = "wrong person".to_owned();
    let ann = pb::DeclineInvitationRequest { reason, ..messages::decline(&messages::mailed_token(&made.uid, 1)) };
    let first = redemptions.decline_invitation(ann.clone()).await.unwrap().into_inner();
    assert_eq!((first.state(), first.deactivated), (InvitationState::Active, false));
    let again = redemptions.decline_invitation(ann).await.unwrap().into_inner();
    assert_eq!(again, first, "declining again changes nothing");
    let too_late = messages::accept_as(&made.invitation_token, "ann", "ann@example.org", true);
    refused(redemptions.accept_invitation(too_late).await, Code::FailedPrecondition, "INVITATION_DECLINED");
    let bob = messages::decline(&messages::mailed_token(&made.uid, 2));
    let second = redemptions.decline_invitation(bob).await.unwrap().into_inner();
    assert_eq!((second.state(), second.deactivated), (InvitationState::Declined, true));
    assert!(second.decline_time.is_some());
    let events = messages::events(&service, &made.name).await;
    let told = events.iter().skip(1).map(|event| match &event.payload {
        Some(Payload::Declined(payload)) => (event.state(), payload.clone()),
        other => panic!("{other:?}"),
    });
    let declined = |ordinal: u16, reason: &str| pb::InvitationDeclinedEvent {
        recipient: format!("invitations/{}/recipients/{ordinal}", made.uid),
        reason: reason.to_owned(),
    };
    let wanted = [(InvitationState::Active, declined(1, "wrong person")), (InvitationState::Declined, declined(2, ""))];
    assert_eq!(told.collect::<Vec<_>>(), wanted);
    service.stop().await;
}

async fn plain_link_declines_for_the_only_recipient(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::once_for("ann@example.org")).await;
    let declined = service.redemptions().decline_invitation(messages::decline(&made.invitation_token)).await;
    assert_eq!(declined.unwrap().into_inner().state(), InvitationState::Declined);
    // The holder of the plain link of one for many cannot decline it for all.
    let many = messages::create(&service, messages::invitation_for(&["ann@example.org"])).await;
    let plain = service.redemptions().decline_invitation(messages::decline(&many.invitation_token)).await;
    refused(plain, Code::FailedPrecondition, "NOT_DECLINABLE");
    let mailed = messages::decline(&messages::mailed_token(&many.uid, 1));
    let declined = service.redemptions().decline_invitation(mailed).await;
    assert_eq!(declined.unwrap().into_inner().state(), InvitationState::Declined);
    service.stop().await;
}

async fn acceptor_cannot_decline_and_others_still_can(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation_for(&["ann@example.org", "bob@example.org"])).await;
    let (ann, bob) = (messages::mailed_token(&made.uid, 1), messages::mailed_token(&made.uid, 2));
    let mut redemptions = service.redemptions();
    redemptions.accept_invitation(messages::accept(&ann, "ann")).await.unwrap();
    let after = redemptions.decline_invitation(messages::decline(&ann)).await;
    refused(after, Code::FailedPrecondition, "INVITATION_FULFILLED");
    let bob = redemptions.decline_invitation(messages::decline(&bob)).await.unwrap().into_inner();
    assert_eq!(bob.state(), InvitationState::Active, "ann has not declined");
    service.stop().await;
}
