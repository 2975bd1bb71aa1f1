//! ListEvents: the audit trail.

use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::event::Payload;
use invitation_service::pb::{EngagementType, ListEventsRequest as Request};
use tonic::Code;

use crate::support::build::messages;
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    every_change_has_one_event_without_token_and_address,
    types_orders_and_pages_of_events,
    nothing_happens_when_nothing_changes,
);

/// Makes an invitation and does with it all that there is an event for.
pub(crate) async fn eventful(service: &Service) -> pb::ConnectionInvitation {
    let wanted = pb::ConnectionInvitation {
        max_uses: Some(1),
        expiration: messages::seconds(3_600).map(pb::connection_invitation::Expiration::Ttl),
        ..messages::invitation_for(&["ann@example.org", "bob@example.org"])
    };
    let request = pb::CreateConnectionInvitationRequest { send_email: Some(true), ..messages::creation(wanted) };
    let made = service.connections().create_connection_invitation(request).await.unwrap().into_inner();
    let mut redemptions = service.redemptions();
    let mailed = messages::mailed_token(&made.uid, 1);
    for (r#type, token) in [
        (EngagementType::Unfurl, &made.invitation_token),
        (EngagementType::Click, &mailed),
        (EngagementType::View, &mailed),
    ] {
        let source = "app".to_owned();
        let record = pb::RecordEngagementRequest { r#type: r#type.into(), source, ..messages::view(token) };
        redemptions.record_engagement(record).await.unwrap();
    }
    let reason = "no longer here".to_owned();
    let decline = pb::DeclineInvitationRequest { reason, ..messages::decline(&messages::mailed_token(&made.uid, 2)) };
    redemptions.decline_invitation(decline).await.unwrap();
    service.clock.advance(Duration::from_secs(1));
    let rotated = messages::rotate(service, &made.name).await;
    let accept = pb::AcceptInvitationRequest {
        kind_input: messages::created(messages::CONNECTION),
        request_id: "accept-1".to_owned(),
        ..messages::accept_as(&rotated.invitation_token, "subject-1", "ann@example.org", true)
    };
    redemptions.accept_invitation(accept).await.unwrap();
    let update = pb::RecordCreatedConnectionRequest {
        name: made.name.clone(),
        connection_id: messages::CONNECTION.to_owned(),
        status: Some("live".to_owned()),
        ..Default::default()
    };
    service.connections().record_created_connection(update).await.unwrap();
    made
}

const HAPPENED: [&str; 9] = [
    "invitation.created",
    "invitation.unfurled",
    "invitation.clicked",
    "invitation.viewed",
    "invitation.declined",
    "invitation.resent",
    "invitation.accepted",
    "invitation.fulfilled",
    "invitation.updated",
];

async fn every_change_has_one_event_without_token_and_address(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = eventful(&service).await;
    let events = messages::events(&service, &made.name).await;
    assert_eq!(events.iter().map(|event| event.r#type.as_str()).collect::<Vec<_>>(), HAPPENED);
    for (sequence, event) in (1..).zip(&events) {
        assert_eq!(event.sequence, sequence);
        assert_eq!(event.name, format!("invitations/{}/events/{sequence}", made.uid));
        assert_eq!(event.invitation, format!("invitations/{}", made.uid));
        assert_eq!((event.kind(), event.actor.as_str()), (pb::InvitationKind::Connection, "anonymous"));
        assert_eq!(event.request_id, if sequence == 7 || sequence == 8 { "accept-1" } else { "" });
        let text = format!("{event:?}");
        assert!(!text.contains("inv_") && !text.contains('@'), "{text}");
    }
    let recipient = |ordinal: u16| format!("invitations/{}/recipients/{ordinal}", made.uid);
    let payload = |index: usize| events[index].payload.clone().unwrap();
    let engagement = |recipient: &str| {
        let (recipient, source) = (recipient.to_owned(), "app".to_owned());
        Payload::Engagement(pb::InvitationEngagementEvent { recipient, source })
    };
    let accepted = pb::InvitationAcceptedEvent {
        acceptance: messages::get_general(&service, &events[0].invitation).await.acceptances[0].name.clone(),
        subject: "subject-1".to_owned(),
        use_count: 1,
        recipient: recipient(1),
        connection_id: messages::CONNECTION.to_owned(),
        ..Default::default()
    };
    let (recipient_count, mailed_count, expire_time) = (2, 2, messages::at(3_600));
    let created = pb::InvitationCreatedEvent { recipient_count, mailed_count, expire_time };
    assert_eq!(payload(0), Payload::Created(created));
    assert_eq!((payload(1), payload(2)), (engagement(""), engagement(&recipient(1))));
    let (recipient, reason) = (recipient(2), "no longer here".to_owned());
    assert_eq!(payload(4), Payload::Declined(pb::InvitationDeclinedEvent { recipient, reason }));
    let resent = pb::InvitationResentEvent { rotated: true, mailed_count: 1, expire_time };
    assert_eq!(payload(5), Payload::Resent(resent));
    assert_eq!(payload(6), Payload::Accepted(accepted.clone()));
    assert_eq!(payload(7), Payload::Fulfilled(pb::InvitationFulfilledEvent { use_count: 1 }));
    let (created_connection, acceptance) = (messages::CONNECTION.to_owned(), accepted.acceptance);
    let updated = pb::InvitationUpdatedEvent { created_connection, acceptance, ..Default::default() };
    assert_eq!(payload(8), Payload::Updated(updated));
    let states = events.iter().map(pb::Event::state);
    assert_eq!(states.filter(|state| *state == pb::InvitationState::Fulfilled).count(), 3);
    let company = messages::scope("company", messages::COMPANY);
    assert!(events.iter().all(|event| event.scope.as_ref() == Some(&company) && event.account == "default"));
    assert_eq!(events[0].time, made.create_time);
    assert_eq!(events[5].time.unwrap().seconds, made.create_time.unwrap().seconds + 1);
    service.stop().await;
}

async fn types_orders_and_pages_of_events(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = eventful(&service).await;
    let other = messages::create(&service, messages::invitation()).await;
    let mut client = service.events();
    let parent = || made.name.clone();
    let newest_first: Vec<&str> = HAPPENED.iter().rev().copied().collect();
    for (order_by, wanted) in
        [("", &newest_first[..]), ("sequence desc", &newest_first[..]), ("sequence", &HAPPENED[..])]
    {
        for page_size in [1, 2, 4, 8, 9, 10] {
            let mut request =
                Request { parent: parent(), page_size, order_by: order_by.to_owned(), ..Default::default() };
            let mut seen = Vec::new();
            loop {
                let page = client.list_events(request.clone()).await.unwrap().into_inner();
                seen.extend(page.events.into_iter().map(|event| event.r#type));
                request.page_token = page.next_page_token;
                if request.page_token.is_empty() {
                    break;
                }
            }
            assert_eq!(seen, wanted, "{order_by:?} {page_size}");
        }
    }
    for (types, wanted) in [
        (vec!["invitation.accepted"], vec![7]),
        (vec!["invitation.accepted", "invitation.created", "invitation.accepted"], vec![7, 1]),
        (vec!["invitation.revoked"], vec![]),
        (vec!["invitation.*"], vec![9, 8, 7, 6, 5, 4, 3, 2, 1]),
        (vec!["delivery.*", "invitation.accepted"], vec![7]),
        (vec!["invitation.created"; 200], vec![1]),
    ] {
        let types = types.into_iter().map(str::to_owned).collect();
        let page = client.list_events(Request { parent: parent(), types, ..Default::default() }).await.unwrap();
        let page = page.into_inner();
        assert_eq!(page.events.iter().map(|event| event.sequence).collect::<Vec<_>>(), wanted);
        assert_eq!(page.next_page_token, "");
    }
    let of_other = client.list_events(Request { parent: other.name, ..Default::default() }).await.unwrap().into_inner();
    assert_eq!(of_other.events.len(), 1, "another invitation's events are its own");
    for (request, field) in [
        (Request { types: vec!["invitation.nothing".to_owned()], ..Default::default() }, "types[0]"),
        (Request { types: vec!["invitations.*".to_owned()], ..Default::default() }, "types[0]"),
        (Request { types: vec![String::new()], ..Default::default() }, "types[0]"),
        (Request { types: vec!["invitation.created".to_owned(); 201], ..Default::default() }, "types"),
        (Request { page_size: -1, ..Default::default() }, "page_size"),
        (Request { order_by: "time".to_owned(), ..Default::default() }, "order_by"),
    ] {
        let answer = client.list_events(Request { parent: parent(), ..request }).await;
        assert_eq!(violated(&refused(answer, Code::InvalidArgument, "INVALID_FIELD")), [field]);
    }
    service.stop().await;
}

async fn nothing_happens_when_nothing_changes(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation()).await;
    let mut redemptions = service.redemptions();
    redemptions.accept_invitation(messages::accept(&made.invitation_token, "ann")).await.unwrap();
    redemptions.accept_invitation(messages::accept(&made.invitation_token, "ann")).await.unwrap();
    let preview = pb::PreviewInvitationRequest { token: made.invitation_token.clone() };
    redemptions.preview_invitation(preview).await.unwrap();
    messages::revoke(&service, &made.name).await.unwrap();
    messages::revoke(&service, &made.name).await.unwrap();
    let refused_accept = redemptions.accept_invitation(messages::accept(&made.invitation_token, "bob")).await;
    refused(refused_accept, Code::FailedPrecondition, "INVITATION_REVOKED");
    let happened = messages::event_types(&service, &made.name).await;
    assert_eq!(happened, ["invitation.created", "invitation.accepted", "invitation.revoked"]);
    service.stop().await;
}
