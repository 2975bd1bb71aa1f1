//! Events are posted again, or for the first time, when a caller asks for them.

use std::time::Duration;

use invitation_service::domain::command::Request;
use invitation_service::domain::invitation::event::{EventFamily, EventType, EventTypeFilter};
use invitation_service::domain::kind::Kind;
use invitation_service::domain::value::id::{IdSeed, InvitationId};
use invitation_service::domain::value::time::Timestamp;
use invitation_service::domain::webhook::Endpoint;
use invitation_service::entropy::Entropy;
use invitation_service::store::{EndpointRefusal, WantedEvents, WriteOnce};

use super::build::Desk;
use super::http_sink::{Received, Sink};
use crate::support::build::commands::*;
use crate::support::database::TestDatabase;
use crate::support::on_both;

on_both!(
    migrated:
    events_are_posted_again_under_the_ids_they_had,
    redelivery_is_narrowed_by_type_and_invitation,
);

fn span(start: Timestamp, end: Timestamp, most: usize) -> WantedEvents {
    WantedEvents { start, end, types: Vec::new(), invitations: Vec::new(), most }
}

async fn redeliver(
    desk: &Desk,
    endpoint: &Endpoint,
    once: &WriteOnce,
    wanted: &WantedEvents,
) -> Result<usize, EndpointRefusal> {
    let seed = IdSeed::new(desk.clock.now(), Entropy::system().bytes());
    desk.store.redeliver_webhook_events(&account(), endpoint.id, once, wanted, &seed, |_| Ok(())).await.unwrap()
}

async fn redelivery_is_narrowed_by_type_and_invitation(database: TestDatabase) {
    let (desk, sink) = (Desk::new(&database).await, Sink::start([]).await);
    let (endpoint, _) = desk.endpoint(&sink.uri(), &[EventType::Created, EventType::Accepted]).await;
    let (one, other) = (desk.execute(create(link())).await, desk.execute(create(link())).await);
    desk.execute(accept(&one, "ann")).await;
    desk.execute(accept(&other, "ann")).await;
    desk.execute(revoke(&other)).await;
    desk.sequence().await;
    let end = Timestamp::from_micros(desk.clock.now().micros() + 1);
    let all = span(Timestamp::from_micros(0), end, 10);
    let of = |types: &[EventType], invitations: &[(InvitationId, Option<Kind>)]| WantedEvents {
        types: types.iter().map(|chosen| EventTypeFilter::from(*chosen)).collect(),
        invitations: invitations.to_vec(),
        ..all.clone()
    };
    let of_family = |family| WantedEvents { types: vec![EventTypeFilter::Family(family)], ..all.clone() };
    let (accepted, revoked) = (EventType::Accepted, EventType::Revoked);
    let (created, guest) = (EventType::Created, Some(Kind::Guest));
    for (wanted, count) in [
        (all.clone(), 4),
        (of_family(EventFamily::Invitation), 4),
        (of_family(EventFamily::Delivery), 0),
        (of(&[accepted], &[]), 2),
        (of(&[accepted, revoked], &[]), 2),
        (of(&[], &[(one.id, None)]), 2),
        (of(&[created], &[(one.id, None), (other.id, Some(Kind::Connection))]), 2),
        (of(&[], &[(one.id, guest)]), 0),
    ] {
        let queued = redeliver(&desk, &endpoint, &WriteOnce::default(), &wanted).await;
        assert_eq!(queued, Ok(count), "{wanted:?}");
    }
}

async fn events_are_posted_again_under_the_ids_they_had(database: TestDatabase) {
    let (desk, sink) = (Desk::new(&database).await, Sink::start([]).await);
    let early = desk.execute(create(link())).await;
    desk.sequence().await;
    desk.clock.advance(Duration::from_secs(10));
    let begin = desk.clock.now();
    let (endpoint, _) = desk.endpoint(&sink.uri(), &[EventType::Created]).await;
    let made = desk.execute(create(link())).await;
    desk.execute(accept(&made, "ann")).await;
    desk.dispatch().await;
    desk.sender().drain().await.unwrap();
    desk.clock.advance(Duration::from_secs(10));
    let now = desk.clock.now();
    let again = async |since: i64, until: i64, most: usize| {
        let wanted = span(Timestamp::from_micros(since), Timestamp::from_micros(until), most);
        redeliver(&desk, &endpoint, &WriteOnce::default(), &wanted).await
    };
    let digests = desk.ring.body_digests(b"until now");
    let request = Request::new("RedeliverWebhookEvents", "r", digests);
    for most in [10, 1] {
        let once = WriteOnce { request: Some(request.clone()), ..WriteOnce::default() };
        let queued = redeliver(&desk, &endpoint, &once, &span(Timestamp::from_micros(0), now, most)).await;
        assert_eq!(queued, Ok(2), "what is done is done, even if it would be too many by now");
    }
    assert_eq!(again(begin.micros() + 1, now.micros(), 10).await, Ok(0), "from this moment on");
    assert_eq!(again(0, begin.micros(), 10).await, Ok(1), "and up to that one: what was before the endpoint");
    assert_eq!(again(begin.micros(), now.micros(), 10).await, Ok(1), "of its types alone");
    assert_eq!(again(0, now.micros(), 1).await, Err(EndpointRefusal::TooManyEvents), "more than may be");
    desk.sender().drain().await.unwrap();
    let received = sink.received();
    let ids: Vec<&str> = received.iter().map(|received| received.header("webhook-id")).collect();
    assert_eq!(ids.len(), 3);
    let again: Vec<&Received> = received.iter().filter(|it| it.body.contains(&made.id.0.to_string())).collect();
    assert_eq!(again.len(), 2);
    assert_eq!(again[0].header("webhook-id"), again[1].header("webhook-id"));
    assert!(received.iter().any(|received| received.body.contains(&early.id.0.to_string())));
}
