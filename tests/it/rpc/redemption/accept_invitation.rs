//! AcceptInvitation: the only way to consume a use.

use std::time::Duration;

use invitation_service::pb;
use tokio::task::JoinSet;
use tonic::Code;

use crate::support::build::messages;
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    last_use_fulfils_and_the_same_subject_stays_in,
    expired_link_is_refused_until_it_is_renewed,
    only_a_proven_allowed_address_accepts_a_bound_invitation,
    address_that_is_not_plain_is_taken_where_none_is_compared,
    mailed_link_proves_its_own_recipient_and_no_other,
    uses_are_never_exceeded_however_many_ask_at_once,
    one_subject_at_once_many_times_is_one_acceptance,
);

async fn last_use_fulfils_and_the_same_subject_stays_in(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made =
        messages::create(&service, pb::ConnectionInvitation { max_uses: Some(1), ..messages::invitation() }).await;
    let mut redemptions = service.redemptions();
    let first =
        redemptions.accept_invitation(messages::accept(&made.invitation_token, "ann")).await.unwrap().into_inner();
    assert!(!first.already_accepted);
    assert_eq!(first.invitation.unwrap().state(), pb::InvitationState::Fulfilled);
    let other = redemptions.accept_invitation(messages::accept(&made.invitation_token, "bob")).await;
    refused(other, Code::FailedPrecondition, "INVITATION_FULFILLED");
    let again =
        redemptions.accept_invitation(messages::accept(&made.invitation_token, "ann")).await.unwrap().into_inner();
    assert!(again.already_accepted);
    assert_eq!(again.acceptance, first.acceptance);
    service.stop().await;
}

async fn expired_link_is_refused_until_it_is_renewed(database: TestDatabase) {
    let service = Service::start(&database).await;
    let ttl = Some(prost_types::Duration { seconds: 61, nanos: 0 });
    let made = messages::create(
        &service,
        pb::ConnectionInvitation {
            expiration: ttl.map(pb::connection_invitation::Expiration::Ttl),
            ..messages::invitation()
        },
    )
    .await;
    service.clock.advance(Duration::from_secs(61));
    let mut redemptions = service.redemptions();
    let late = redemptions.accept_invitation(messages::accept(&made.invitation_token, "ann")).await;
    refused(late, Code::FailedPrecondition, "INVITATION_EXPIRED");
    let resend = pb::ResendConnectionInvitationRequest {
        name: made.name,
        expiration: ttl.map(pb::resend_connection_invitation_request::Expiration::Ttl),
        ..Default::default()
    };
    let renewed = service.connections().resend_connection_invitation(resend).await.unwrap().into_inner();
    assert_eq!(renewed.state(), pb::InvitationState::Active);
    assert_eq!(renewed.invitation_token, made.invitation_token, "without rotation the link stays");
    redemptions.accept_invitation(messages::accept(&made.invitation_token, "ann")).await.unwrap();
    service.stop().await;
}

async fn only_a_proven_allowed_address_accepts_a_bound_invitation(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation_for(&["J\u{f6}rg@ex\u{e4}mple.org"])).await;
    let token = made.invitation_token.as_str();
    let mut redemptions = service.redemptions();
    let nobody = redemptions.accept_invitation(messages::accept(token, "ann")).await;
    refused(nobody, Code::PermissionDenied, "EMAIL_NOT_ALLOWED");
    for email in
        ["eve@example.org", "j\u{f6}rg+x@ex\u{e4}mple.org", "j\u{f6}rg@sub.ex\u{e4}mple.org", "jorg@ex\u{e4}mple.org"]
    {
        for verified in [true, false] {
            let other = redemptions.accept_invitation(messages::accept_as(token, "eve", email, verified)).await;
            let status = refused(other, Code::PermissionDenied, "EMAIL_NOT_ALLOWED");
            assert!(!status.message().contains('@'), "an address is not repeated");
        }
    }
    let unproven = messages::accept_as(token, "j", "j\u{f6}rg@ex\u{e4}mple.org", false);
    refused(redemptions.accept_invitation(unproven).await, Code::PermissionDenied, "EMAIL_NOT_VERIFIED");
    assert_eq!(messages::get(&service, &made.name).await, made, "a refused accept changes nothing");
    // Decomposed, in capitals, and with the domain in ASCII.
    let proven = messages::accept_as(token, "j", " JO\u{308}RG@XN--EXMPLE-CUA.ORG ", true);
    let accepted = redemptions.accept_invitation(proven).await.unwrap().into_inner();
    let acceptance = accepted.acceptance.unwrap();
    assert_eq!(acceptance.email, "JO\u{308}RG@XN--EXMPLE-CUA.ORG", "as it was given");
    assert!(acceptance.name.starts_with(&format!("invitations/{}/acceptances/", made.uid)));
    assert_eq!(acceptance.accepted_by(), pb::AcceptedBy::User);
    assert_eq!(acceptance.state(), pb::AcceptanceState::Active);
    service.stop().await;
}

async fn address_that_is_not_plain_is_taken_where_none_is_compared(database: TestDatabase) {
    let service = Service::start(&database).await;
    let open = messages::create(&service, messages::invitation()).await;
    let bound = messages::create(&service, messages::invitation_for(&["ann@docomo.example"])).await;
    let mut redemptions = service.redemptions();
    for (subject, email) in [("ann", "a..b@docomo.example"), ("bob", "\"a..b\"@docomo.example")] {
        for verified in [false, true] {
            let refusal = messages::accept_as(&bound.invitation_token, subject, email, verified);
            refused(redemptions.accept_invitation(refusal).await, Code::PermissionDenied, "EMAIL_NOT_ALLOWED");
        }
        let accept = messages::accept_as(&open.invitation_token, subject, email, true);
        let accepted = redemptions.accept_invitation(accept).await.unwrap().into_inner().acceptance.unwrap();
        assert_eq!(accepted.email, email);
        let request = pb::GetAcceptanceRequest { name: accepted.name.clone() };
        let read = service.invitations().get_acceptance(request).await.unwrap().into_inner();
        assert_eq!(pb::Acceptance { etag: String::new(), ..read }, accepted);
    }
    for email in ["ann", "@docomo.example", "a..b@docomo.example\r\nBcc: x@x.org"] {
        let malformed = messages::accept_as(&open.invitation_token, "eve", email, true);
        let malformed = redemptions.accept_invitation(malformed).await;
        assert_eq!(violated(&refused(malformed, Code::InvalidArgument, "INVALID_FIELD")), ["acceptor.email"]);
    }
    service.stop().await;
}

async fn mailed_link_proves_its_own_recipient_and_no_other(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation_for(&["ann@example.org", "bob@example.org"])).await;
    let mailed = messages::mailed_token(&made.uid, 1);
    let mut redemptions = service.redemptions();
    let request = pb::PreviewInvitationRequest { token: mailed.clone() };
    let shown = redemptions.preview_invitation(request).await.unwrap().into_inner();
    assert_eq!((shown.recipient_email.as_str(), shown.email_required), ("ann@example.org", false));
    let other = redemptions.accept_invitation(messages::accept_as(&mailed, "bob", "bob@example.org", false)).await;
    refused(other, Code::PermissionDenied, "EMAIL_NOT_VERIFIED");
    let accepted = redemptions.accept_invitation(messages::accept(&mailed, "ann")).await.unwrap().into_inner();
    assert_eq!(accepted.acceptance.unwrap().email, "ann@example.org", "without an address it means the recipient's");
    let vouched = redemptions.accept_invitation(messages::accept_as(&mailed, "bob", "bob@example.org", true)).await;
    assert_eq!(vouched.unwrap().into_inner().invitation.unwrap().use_count, 2);
    service.stop().await;
}

async fn uses_are_never_exceeded_however_many_ask_at_once(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made =
        messages::create(&service, pb::ConnectionInvitation { max_uses: Some(7), ..messages::invitation() }).await;
    let mut calls = JoinSet::new();
    for number in 0..60 {
        let (mut redemptions, token) = (service.redemptions(), made.invitation_token.clone());
        calls.spawn(async move {
            match redemptions.accept_invitation(messages::accept(&token, &format!("person {number}"))).await {
                Ok(_) => true,
                Err(status) => {
                    refused::<()>(Err(status), Code::FailedPrecondition, "INVITATION_FULFILLED");
                    false
                }
            }
        });
    }
    let won = calls.join_all().await.into_iter().filter(|won| *won).count();
    assert_eq!((won, messages::get(&service, &made.name).await.use_count), (7, 7));
    let events = messages::event_types(&service, &made.name).await;
    assert_eq!(events.iter().filter(|name| *name == "invitation.accepted").count(), 7);
    assert_eq!(events.last().unwrap(), "invitation.fulfilled");
    assert_eq!(events.len(), 9);
    service.stop().await;
}

async fn one_subject_at_once_many_times_is_one_acceptance(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made =
        messages::create(&service, pb::ConnectionInvitation { max_uses: Some(2), ..messages::invitation() }).await;
    let mut calls = JoinSet::new();
    for _ in 0..50 {
        let (mut redemptions, token) = (service.redemptions(), made.invitation_token.clone());
        calls.spawn(async move {
            redemptions.accept_invitation(messages::accept(&token, "ann")).await.unwrap().into_inner()
        });
    }
    let answers = calls.join_all().await;
    assert!(answers.iter().all(|answer| answer.acceptance == answers[0].acceptance));
    assert_eq!(answers.iter().filter(|answer| !answer.already_accepted).count(), 1);
    assert_eq!(messages::event_types(&service, &made.name).await, ["invitation.created", "invitation.accepted"]);
    service.stop().await;
}
