//! WatchEvents: the places at which a watch begins, what it is about, and its checkpoints.

use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::pb;
use invitation_service::pb::WatchEventsRequest as Watch;
use invitation_service::pb::event_service_client::EventServiceClient;
use invitation_service::pb::watch_events_request::Start;
use invitation_service::pb::watch_events_response::Item;
use sea_orm::{ConnectionTrait as _, DatabaseConnection};
use tokio::time::timeout;
use tonic::transport::Endpoint;
use tonic::{Code, Streaming};
use tonic_types::StatusExt as _;

use crate::support::build::{generals, messages};
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::{KEYS, Service, configuration};

on_both!(
    migrated:
    watch_begins_at_a_time_or_at_the_beginning,
    watch_is_about_the_chosen_kinds_families_and_scope,
    checkpoints_move_a_watch_on_that_sees_no_event,
    checkpoint_on_the_way_has_the_time_of_what_was_sent,
    resume_token_ends_when_events_behind_it_are_deleted,
    watch_ends_when_its_next_events_are_deleted,
    running_service_deletes_events_of_the_age_that_is_set,
    resume_token_outlives_the_keys_of_the_ring,
    start_that_cannot_be_is_refused,
);

/// The time that a test waits for an event before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

async fn open(service: &Service, request: Watch) -> Streaming<pb::WatchEventsResponse> {
    service.events().watch_events(request).await.unwrap().into_inner()
}

async fn next(stream: &mut Streaming<pb::WatchEventsResponse>) -> pb::Event {
    timeout(PATIENCE, messages::next_event(stream)).await.expect("something happens").unwrap()
}

/// The invitations of the events up to the first checkpoint: what was there at the beginning.
async fn invitations(service: &Service, request: Watch) -> Vec<String> {
    let (mut stream, mut seen) = (open(service, request).await, Vec::new());
    loop {
        match timeout(PATIENCE, stream.message()).await.unwrap().unwrap().unwrap().item {
            Some(Item::Event(event)) => seen.push(event.invitation),
            Some(Item::CheckpointTime(_)) => return seen,
            None => panic!("a response without content"),
        }
    }
}

/// Makes an invitation and waits until its event has its place. Returns its general name and where a watch goes on behind it.
async fn placed(service: &Service) -> (String, String) {
    let made = messages::create(service, messages::invitation()).await;
    loop {
        let event = messages::events(service, &made.name).await.remove(0);
        if !event.resume_token.is_empty() {
            return (event.invitation, event.resume_token);
        }
        tokio::task::yield_now().await;
    }
}

fn from(start: Start) -> Watch {
    Watch { start: Some(start), ..Default::default() }
}

async fn watch_begins_at_a_time_or_at_the_beginning(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut names = Vec::new();
    for _ in 0..4 {
        names.push(placed(&service).await.0);
        service.clock.advance(Duration::from_secs(600));
    }
    for (start, wanted) in [
        (None, &names[4..]),
        (Some(Start::FromBeginning(false)), &names[4..]),
        (Some(Start::FromBeginning(true)), &names[..]),
        (messages::at(0).map(Start::StartTime), &names[..]),
        (messages::at(1).map(Start::StartTime), &names[1..]),
        (messages::at(600).map(Start::StartTime), &names[1..]),
        (messages::at(1_201).map(Start::StartTime), &names[3..]),
        (messages::at(1_801).map(Start::StartTime), &names[4..]),
        (messages::at(1_000_000).map(Start::StartTime), &names[4..]),
    ] {
        let seen = invitations(&service, Watch { start: start.clone(), ..Default::default() }).await;
        assert_eq!(seen, wanted, "{start:?}");
    }
    service.stop().await;
}

async fn watch_is_about_the_chosen_kinds_families_and_scope(database: TestDatabase) {
    let service = Service::start(&database).await;
    let team = |id: &str| pb::Invitation { scope: Some(messages::scope("team", id)), ..Default::default() };
    let red = generals::create(&service, team("red")).await.name;
    let blue = generals::create(&service, team("blue")).await.name;
    let connection = placed(&service).await.0;
    let all = || Watch { types: vec!["invitation.*".to_owned()], ..from(Start::FromBeginning(true)) };
    let scope = |r#type: &str, id: &str| Some(pb::ScopeRef { r#type: r#type.to_owned(), id: id.to_owned() });
    let kinds = |kind: pb::InvitationKind| vec![kind.into()];
    for (request, wanted) in [
        (all(), vec![&red, &blue, &connection]),
        (Watch { types: vec!["delivery.*".to_owned()], ..all() }, vec![]),
        (Watch { kinds: kinds(pb::InvitationKind::General), ..all() }, vec![&red, &blue]),
        (Watch { kinds: kinds(pb::InvitationKind::Connection), ..all() }, vec![&connection]),
        (Watch { scope: scope("team", "blue"), ..all() }, vec![&blue]),
        (Watch { scope: scope("company", messages::COMPANY), ..all() }, vec![&connection]),
        (Watch { scope: scope("company", "blue"), ..all() }, vec![]),
    ] {
        let (text, mut seen) = (format!("{request:?}"), invitations(&service, request).await);
        let mut wanted: Vec<String> = wanted.into_iter().cloned().collect();
        // At one moment those of different invitations come in any order.
        seen.sort();
        wanted.sort();
        assert_eq!(seen, wanted, "{text}");
    }
    service.stop().await;
}

async fn checkpoints_move_a_watch_on_that_sees_no_event(database: TestDatabase) {
    let often = [("INVITATION__EVENTS__CHECKPOINT_INTERVAL", "100ms")];
    let service = Service::start_with(configuration(&database, &often), Clock::manual(NEW_YEAR)).await;
    let types = vec!["delivery.bounced".to_owned()];
    let mut quiet = open(&service, Watch { types, ..Default::default() }).await;
    let before = timeout(PATIENCE, quiet.message()).await.unwrap().unwrap().unwrap();
    assert_eq!(before.item, messages::at(0).map(Item::CheckpointTime), "at once, and by the clock of the service");
    service.clock.advance(Duration::from_secs(60));
    let (passed, _) = placed(&service).await;
    // A checkpoint that was under way before the event may still come first.
    let behind = async {
        loop {
            let checkpoint = quiet.message().await.unwrap().unwrap();
            assert!(matches!(checkpoint.item, Some(Item::CheckpointTime(_))));
            if invitations(&service, messages::watch(&checkpoint.resume_token)).await.is_empty() {
                return checkpoint;
            }
        }
    };
    let behind = timeout(PATIENCE, behind).await.expect("a checkpoint comes again and again");
    assert_eq!(behind.item, messages::at(60).map(Item::CheckpointTime));
    assert_eq!(invitations(&service, messages::watch(&before.resume_token)).await, [passed]);
    let mut all = open(&service, messages::watch(&behind.resume_token)).await;
    let later = placed(&service).await.0;
    assert_eq!(next(&mut all).await.invitation, later);
    service.stop().await;
}

async fn checkpoint_on_the_way_has_the_time_of_what_was_sent(database: TestDatabase) {
    let often = [("INVITATION__EVENTS__CHECKPOINT_INTERVAL", "100ms")];
    let service = Service::start_with(configuration(&database, &often), Clock::manual(NEW_YEAR)).await;
    // Events of which the connection of the client below holds less than a page.
    let large = pb::Invitation { pass_through: "x".repeat(1_000), ..generals::into_team(&[]) };
    let requests = vec![generals::with_conflict(large, pb::OnConflict::Allow); 400];
    let batch = pb::BatchCreateInvitationsRequest { requests, ..Default::default() };
    service.invitations().batch_create_invitations(batch).await.unwrap();
    placed(&service).await;
    service.clock.advance(Duration::from_secs(60));

    let endpoint = Endpoint::from_shared(format!("http://{}", service.address)).unwrap();
    let narrow = endpoint.initial_stream_window_size(65_535).initial_connection_window_size(65_535);
    let mut client = EventServiceClient::new(narrow.connect().await.unwrap());
    let mut stream = client.watch_events(from(Start::FromBeginning(true))).await.unwrap().into_inner();
    let (mut events, mut checkpoints) = (0, Vec::new());
    while checkpoints.last() != Some(&messages::at(60).unwrap()) {
        match timeout(PATIENCE, stream.message()).await.unwrap().unwrap().unwrap().item.unwrap() {
            Item::Event(_) => events += 1,
            Item::CheckpointTime(time) => checkpoints.push(time),
        }
        if events == 1 {
            // A client that is slower than the interval: a page of events is under way when the checkpoint is due.
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
    assert_eq!(events, 401, "the watch has caught up only when everything has been sent");
    let (last, on_the_way) = checkpoints.split_last().unwrap();
    assert_eq!(*last, messages::at(60).unwrap());
    assert!(!on_the_way.is_empty() && on_the_way.iter().all(|time| *time == messages::at(0).unwrap()));
    service.stop().await;
}

/// Deletes the events up to a position, as the service does with old ones.
async fn delete_events(raw: &DatabaseConnection, position: i64) {
    for sql in [
        "INSERT INTO pruned_events (account_id, position) SELECT account_id, max(position) FROM event WHERE position <= $
        GROUP BY account_id ON CONFLICT (account_id) DO UPDATE SET position = excluded.position",
        "DELETE FROM event WHERE position <= $",
    ] {
        raw.execute_unprepared(&sql.replace('$', &position.to_string())).await.unwrap();
    }
}

async fn watch_ends_when_its_next_events_are_deleted(database: TestDatabase) {
    let service = Service::start(&database).await;
    let large = pb::Invitation { pass_through: "x".repeat(1_000), ..generals::into_team(&[]) };
    let requests = vec![generals::with_conflict(large, pb::OnConflict::Allow); 400];
    for _ in 0..2 {
        let batch = pb::BatchCreateInvitationsRequest { requests: requests.clone(), ..Default::default() };
        service.invitations().batch_create_invitations(batch).await.unwrap();
    }
    placed(&service).await;
    let raw = database.connect().await;
    delete_events(&raw, 1).await;
    let endpoint = Endpoint::from_shared(format!("http://{}", service.address)).unwrap();
    let narrow = endpoint.initial_stream_window_size(65_535).initial_connection_window_size(65_535);
    let mut client = EventServiceClient::new(narrow.connect().await.unwrap());
    let mut stream = client.watch_events(from(Start::FromBeginning(true))).await.unwrap().into_inner();
    next(&mut stream).await;
    delete_events(&raw, 799).await;
    let ended = loop {
        match timeout(PATIENCE, stream.message()).await.unwrap() {
            Ok(response) => {
                assert!(matches!(response.unwrap().item, Some(Item::Event(_))), "no checkpoint hides a gap");
            }
            Err(status) => break status,
        }
    };
    refused::<()>(Err(ended), Code::OutOfRange, "RESUME_TOKEN_EXPIRED");
    assert_eq!(invitations(&service, from(Start::FromBeginning(true))).await.len(), 2);
    service.stop().await;
}

async fn running_service_deletes_events_of_the_age_that_is_set(database: TestDatabase) {
    let service = Service::start(&database).await;
    let (name, token) = placed(&service).await;
    let (_, last) = placed(&service).await;
    service.stop().await;
    let ages = [("INVITATION__RETENTION__EVENTS", "1d")];
    let later = Clock::manual(NEW_YEAR.later(Duration::from_secs(2 * 86_400)));
    let service = Service::start_with(configuration(&database, &ages), later).await;
    let gone = async {
        while !messages::events(&service, &name).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, gone).await.expect("they are deleted soon after the start");
    let resumed = service.events().watch_events(messages::watch(&token)).await;
    let status = refused(resumed, Code::OutOfRange, "RESUME_TOKEN_EXPIRED");
    let oldest = status.get_details_error_info().unwrap().metadata["oldest_time"].clone();
    assert_eq!(oldest, "2026-01-03T00:00:00.000000Z", "none is left");
    assert_eq!(invitations(&service, messages::watch(&last)).await.len(), 0, "it has missed nothing");
    service.stop().await;
}

async fn resume_token_ends_when_events_behind_it_are_deleted(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut placed_ = Vec::new();
    for _ in 0..4 {
        placed_.push(placed(&service).await);
        service.clock.advance(Duration::from_secs(60));
    }
    let raw = database.connect().await;
    let delete = async |count: i64| delete_events(&raw, count).await;
    let resume = |index: usize| messages::watch(&placed_[index].1);
    assert_eq!(invitations(&service, resume(0)).await.len(), 3);
    delete(1).await;
    assert_eq!(invitations(&service, resume(0)).await.len(), 3, "what is behind it is all there");
    delete(2).await;
    let status = refused(service.events().watch_events(resume(0)).await, Code::OutOfRange, "RESUME_TOKEN_EXPIRED");
    let oldest = status.get_details_error_info().unwrap().metadata["oldest_time"].clone();
    assert_eq!(oldest, "2026-01-01T00:02:00.000000Z");
    assert_eq!(invitations(&service, from(Start::StartTime(messages::at(120).unwrap()))).await.len(), 2);
    assert_eq!(invitations(&service, from(Start::FromBeginning(true))).await.len(), 2);
    delete(4).await;
    refused(service.events().watch_events(resume(2)).await, Code::OutOfRange, "RESUME_TOKEN_EXPIRED");
    assert_eq!(invitations(&service, resume(3)).await.len(), 0, "nothing came after it");
    service.stop().await;
}

async fn resume_token_outlives_the_keys_of_the_ring(database: TestDatabase) {
    let service = Service::start(&database).await;
    let (_, token) = placed(&service).await;
    let (later, _) = placed(&service).await;
    service.stop().await;
    let opened = database.open_unmigrated(&Clock::manual(NEW_YEAR)).await;
    for key_id in [1, 2] {
        opened.maintenance().retire_key(key_id).await.unwrap();
    }
    opened.close().await;
    let new = "3:AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=";
    assert!(!KEYS.contains(new));
    let config = configuration(&database, &[("INVITATION__TOKEN__KEYS", new)]);
    let service = Service::start_with(config, Clock::manual(NEW_YEAR)).await;
    assert_eq!(invitations(&service, messages::watch(&token)).await, [later]);
    service.stop().await;
}

async fn start_that_cannot_be_is_refused(database: TestDatabase) {
    let service = Service::start(&database).await;
    let late = prost_types::Timestamp { seconds: i64::MAX, nanos: 0 };
    for (request, field) in [
        (from(Start::ResumeToken(String::new())), "resume_token"),
        (from(Start::ResumeToken("x".to_owned())), "resume_token"),
        (from(Start::StartTime(late)), "start_time"),
        (Watch { kinds: vec![99], ..Default::default() }, "kinds[0]"),
        (Watch { types: vec!["invitation".to_owned()], ..Default::default() }, "types[0]"),
        (
            Watch {
                scope: Some(pb::ScopeRef { r#type: "team".to_owned(), ..Default::default() }),
                ..Default::default()
            },
            "scope.id",
        ),
    ] {
        let status = refused(service.events().watch_events(request).await, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(violated(&status), [field]);
    }
    service.stop().await;
}
