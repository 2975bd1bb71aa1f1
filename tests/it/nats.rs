//! Events in NATS JetStream: all of them, once each, in the order of their invitations.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::jetstream::stream::Config as StreamConfig;
use async_nats::jetstream::{self, Context};
use futures_util::StreamExt as _;
use invitation_service::background::sequencer;
use invitation_service::clock::Clock;
use invitation_service::config::{NatsBegin, NatsConfig};
use invitation_service::domain::invitation::event::EventFormat;
use invitation_service::domain::invitation::{EngagementType, Invitation};
use invitation_service::event_json::event_json;
use invitation_service::nats;
use invitation_service::store::Store;
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::support::build::commands::*;
use crate::support::build::messages as calls;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::nats::Nats;
use crate::support::on_both;
use crate::support::service::{Service, configuration};

on_both!(
    migrated:
    service_publishes_events_under_their_ids,
    event_published_again_after_a_crash_is_there_once,
    while_the_server_is_away_events_wait_and_then_come_in_order,
    first_start_begins_as_configured_on_an_existing_stream,
    unknown_events_are_published_and_unreadable_ones_skipped,
);

/// The time that a test waits for an event before it fails.
const PATIENCE: Duration = Duration::from_secs(30);

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it happens in time")
}

/// The background tasks of one store.
struct Tasks(TaskTracker, CancellationToken);

impl Tasks {
    fn start(store: &Store, server: &Nats, begin: NatsBegin) -> Self {
        Self::start_in(store, server, begin, EventFormat::ProtoJson)
    }

    fn start_in(store: &Store, server: &Nats, begin: NatsBegin, format: EventFormat) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let (stream, subject) = ("INVITATIONS".to_owned(), "invitations".to_owned());
        let config = NatsConfig { url: server.url().into(), stream, subject, begin, format };
        tasks.spawn(sequencer::run(store.clone(), stop.clone()));
        let urls = watch::Sender::new(config.url.clone()).subscribe();
        tasks.spawn(nats::run(store.clone(), config, urls, stop.clone()));
        tasks.close();
        Self(tasks, stop)
    }

    async fn end(self) {
        self.1.cancel();
        in_time(self.0.wait()).await;
    }
}

async fn jetstream(server: &Nats) -> Context {
    jetstream::new(in_time(async_nats::connect(server.url())).await.unwrap())
}

/// One message as it was kept: subject, id, content.
type Message = (String, String, Value);

/// Waits for so many messages and checks that there are no more.
async fn taken(server: &Nats, count: usize) -> Vec<jetstream::Message> {
    let context = jetstream(server).await;
    // A stream is found a moment before the server lets it have consumers.
    let (mut stream, consumer) = in_time(async {
        loop {
            if let Ok(stream) = context.get_stream("INVITATIONS").await
                && let Ok(consumer) = stream.create_consumer(OrderedConfig::default()).await
            {
                return (stream, consumer);
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut kept = consumer.messages().await.unwrap();
    let mut messages = Vec::new();
    for _ in 0..count {
        messages.push(in_time(kept.next()).await.unwrap().unwrap());
    }
    assert_eq!(stream.info().await.unwrap().state.messages, count as u64);
    messages
}

/// Returns the values of a header of so many messages.
pub(crate) async fn headers(server: &Nats, count: usize, name: &str) -> Vec<Option<String>> {
    let taken = taken(server, count).await.into_iter();
    taken.map(|message| Some(message.headers.as_ref()?.get(name)?.to_string())).collect()
}

async fn kept(server: &Nats, count: usize) -> Vec<(String, String, String)> {
    let taken = taken(server, count).await.into_iter();
    let kept = taken.map(|message| {
        let id = message.headers.as_ref().unwrap().get("Nats-Msg-Id").unwrap().to_string();
        (message.subject.to_string(), id, String::from_utf8(message.payload.to_vec()).unwrap())
    });
    kept.collect()
}

async fn messages(server: &Nats, count: usize) -> Vec<Message> {
    let kept = kept(server, count).await.into_iter();
    kept.map(|(subject, id, body)| (subject, id, serde_json::from_str(&body).unwrap())).collect()
}

/// Waits for so many messages, checks that there are no more and that their ids are those of their events, and returns the bodies.
pub(crate) async fn bodies(server: &Nats, count: usize) -> Vec<String> {
    let kept = kept(server, count).await.into_iter();
    kept.map(|(_, id, body)| {
        assert!(body.contains(&format!("\"uid\":\"{id}\"")), "{id} {body}");
        body
    })
    .collect()
}

/// Publishes the events of a database from the first one on, in a format, and returns the headers and the body of each message.
pub(crate) async fn published_again(database: &TestDatabase, format: EventFormat, count: usize) -> Value {
    let Some(server) = Nats::started() else { return Value::Null };
    database
        .connect()
        .await
        .execute_unprepared("UPDATE follower SET position = 0, lease = NULL WHERE name = 'nats'")
        .await
        .unwrap();
    let (store, _) = store(database).await;
    let tasks = Tasks::start_in(&store, &server, NatsBegin::First, format);
    let published = taken(&server, count).await.into_iter().map(|message| {
        let headers = message.headers.clone().unwrap_or_default();
        let texts = headers.iter().map(|(name, values)| (name.to_string(), json!(values[0].as_str())));
        let headers: serde_json::Map<_, _> = texts.collect();
        assert_eq!(headers.get("ce-id").unwrap_or(&headers["Nats-Msg-Id"]), &headers["Nats-Msg-Id"]);
        json!({"headers": headers, "body": String::from_utf8(message.payload.to_vec()).unwrap()})
    });
    let published = published.collect();
    settled(database, &store).await;
    tasks.end().await;
    store.close().await;
    published
}

/// The sequences of each invitation, in the order of the messages.
fn sequences(messages: &[Message]) -> BTreeMap<String, Vec<i64>> {
    let mut sequences = BTreeMap::<String, Vec<i64>>::new();
    for (_, _, event) in messages {
        let invitation = event["invitation"].as_str().unwrap().to_owned();
        sequences.entry(invitation).or_default().push(event["sequence"].as_str().unwrap().parse().unwrap());
    }
    sequences
}

async fn views(store: &Store, made: &Arc<Invitation>, count: usize) {
    for _ in 0..count {
        store.executor().execute(command(record(made, EngagementType::View)), None).await.unwrap();
    }
}

/// Waits until the publisher has come to its work, from where on it answers for what happens.
async fn leased(database: &TestDatabase) {
    let connection = database.connect().await;
    let sql = "SELECT 1 FROM follower WHERE name = 'nats' AND leased_until > 0";
    let look = || connection.query_one_raw(Statement::from_string(connection.get_database_backend(), sql));
    in_time(async { while look().await.unwrap().is_none() {} }).await;
}

/// Waits until the publisher knows that all there is was taken. Whoever is stopped before publishes the last again.
async fn settled(database: &TestDatabase, store: &Store) {
    let connection = database.connect().await;
    let sql =
        format!("SELECT 1 FROM follower WHERE name = 'nats' AND position = {}", store.last_position().await.unwrap());
    let look = || connection.query_one_raw(Statement::from_string(connection.get_database_backend(), sql.as_str()));
    in_time(async { while look().await.unwrap().is_none() {} }).await;
}

async fn service_publishes_events_under_their_ids(database: TestDatabase) {
    let Some(server) = Nats::started() else { return };
    let url = server.url();
    let more = [("INVITATION__EVENTS__NATS_URL", url.as_str()), ("INVITATION__EVENTS__NATS_BEGIN", "first")];
    let service = Service::start_with(configuration(&database, &more), Clock::manual(NEW_YEAR)).await;
    let made = calls::create(&service, calls::invitation()).await;
    for n in 0..40 {
        let accept = calls::accept(&made.invitation_token, &format!("subject {n}"));
        service.redemptions().accept_invitation(accept).await.unwrap();
    }
    calls::revoke(&service, &made.name).await.unwrap();
    let published = messages(&server, 42).await;
    service.stop().await;
    let clock = Clock::manual(NEW_YEAR);
    let store = store_with(&database, &clock, &options(invitation_service::domain::group::Group::run)).await;
    let ordered = store.all_events_behind(0, 100).await.unwrap().events;
    let wanted: Vec<Message> = ordered
        .iter()
        .map(|one| {
            let event = &one.event.event;
            (
                format!("invitations.{}", event.type_name()),
                event.id.to_string(),
                serde_json::from_str(&event_json(&one.event).unwrap()).unwrap(),
            )
        })
        .collect();
    assert_eq!(published, wanted);
    assert!(published.iter().all(|(_, _, event)| !event.to_string().contains("inv_")));
}

async fn event_published_again_after_a_crash_is_there_once(database: TestDatabase) {
    let Some(server) = Nats::started() else { return };
    let (store, _) = store(&database).await;
    let made = created(&store, link()).await;
    views(&store, &made, 20).await;
    let tasks = Tasks::start(&store, &server, NatsBegin::First);
    messages(&server, 21).await;
    tasks.end().await;
    // As it is when the process dies with everything acknowledged and the cursor not moved.
    let connection = database.connect().await;
    let sql = "UPDATE follower SET position = 4 WHERE name = 'nats' AND lease IS NULL";
    assert_eq!(connection.execute_unprepared(sql).await.unwrap().rows_affected(), 1);
    let tasks = Tasks::start(&store, &server, NatsBegin::First);
    views(&store, &made, 1).await;
    let published = messages(&server, 22).await;
    assert_eq!(sequences(&published).into_values().collect::<Vec<_>>(), [(1..=22).collect::<Vec<_>>()]);
    tasks.end().await;
}

async fn while_the_server_is_away_events_wait_and_then_come_in_order(database: TestDatabase) {
    let Some(mut server) = Nats::new() else { return };
    let (store, _) = store(&database).await;
    let tasks = Tasks::start(&store, &server, NatsBegin::Now);
    leased(&database).await;
    let made = [created(&store, link()).await, created(&store, link()).await];
    for made in &made {
        views(&store, made, 9).await;
    }
    server.start();
    messages(&server, 20).await;
    for _ in 0..2 {
        // In the middle of the work.
        let writer = tokio::spawn({
            let (store, made) = (store.clone(), made.clone());
            async move {
                for _ in 0..50 {
                    views(&store, &made[0], 1).await;
                    views(&store, &made[1], 1).await;
                }
            }
        });
        server.stop();
        writer.await.unwrap();
        server.start();
    }
    let published = messages(&server, 220).await;
    let sequences = sequences(&published);
    assert_eq!(sequences.len(), 2);
    assert!(sequences.values().all(|one| one.iter().copied().eq(1..=110)), "{sequences:?}");
    tasks.end().await;
}

async fn first_start_begins_as_configured_on_an_existing_stream(database: TestDatabase) {
    let Some(server) = Nats::started() else { return };
    let (store, _) = store(&database).await;
    let made = created(&store, link()).await;
    assert_eq!(store.sequence().await.unwrap(), Some(1));
    let tasks = Tasks::start(&store, &server, NatsBegin::Now);
    leased(&database).await;
    views(&store, &made, 1).await;
    let published = messages(&server, 1).await;
    assert_eq!(published[0].2["sequence"], "2", "what came before is not published");
    tasks.end().await;
    let mut stream = jetstream(&server).await.get_stream("INVITATIONS").await.unwrap();
    let config = stream.info().await.unwrap().config.clone();
    assert_eq!(
        (config.subjects, config.duplicate_window),
        (vec!["invitations.>".to_owned()], Duration::from_secs(120))
    );

    // Later starts go on, whatever is said about the first.
    views(&store, &made, 1).await;
    let tasks = Tasks::start(&store, &server, NatsBegin::First);
    assert_eq!(sequences(&messages(&server, 2).await).into_values().collect::<Vec<_>>(), [vec![2, 3]]);
    settled(&database, &store).await;
    tasks.end().await;

    let Some(other) = Nats::started() else { return };
    let subjects = vec!["invitations.>".to_owned(), "more".to_owned()];
    let own = StreamConfig { name: "INVITATIONS".to_owned(), subjects, max_messages: 1_000, ..Default::default() };
    jetstream(&other).await.create_stream(own.clone()).await.unwrap();
    let tasks = Tasks::start(&store, &other, NatsBegin::First);
    views(&store, &made, 1).await;
    messages(&other, 1).await;
    tasks.end().await;
    let mut stream = jetstream(&other).await.get_stream("INVITATIONS").await.unwrap();
    let config = stream.info().await.unwrap().config.clone();
    assert_eq!((config.subjects, config.max_messages), (own.subjects, own.max_messages));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn one_replica_publishes_and_the_other_takes_over() {
    let (Some(database), Some(server)) = (TestDatabase::postgres().await, Nats::started()) else { return };
    let (one, clock) = store(&database).await;
    let other = store_with(&database, &clock, &options(invitation_service::domain::group::Group::run)).await;
    let made = created(&one, link()).await;
    let both = [&one, &other].map(|store| Tasks::start(store, &server, NatsBegin::First));
    views(&one, &made, 50).await;
    messages(&server, 51).await;
    let [first, second] = both;
    first.end().await;
    views(&other, &made, 9).await;
    let published = messages(&server, 60).await;
    assert_eq!(sequences(&published).into_values().collect::<Vec<_>>(), [(1..=60).collect::<Vec<_>>()]);
    second.end().await;
}

async fn unknown_events_are_published_and_unreadable_ones_skipped(database: TestDatabase) {
    let Some(server) = Nats::started() else { return };
    let (store, _) = store(&database).await;
    let (unknown, unreadable) = (created(&store, link()).await, created(&store, link()).await);
    let connection = database.connect().await;
    for (set, id) in
        [("event_type = 'invitation.transferred', kind = 'unheard_of'", unknown.id.0), ("data = '[]'", unreadable.id.0)]
    {
        let sql = format!("UPDATE event SET {set} WHERE invitation_id = $1");
        let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, [id.into()]);
        connection.execute_raw(statement).await.unwrap();
    }
    let tasks = Tasks::start(&store, &server, NatsBegin::First);
    created(&store, link()).await;
    let mut subjects: Vec<_> = messages(&server, 2).await.into_iter().map(|(subject, _, _)| subject).collect();
    subjects.sort_unstable();
    assert_eq!(subjects, ["invitations.invitation.created", "invitations.invitation.transferred"]);
    settled(&database, &store).await;
    tasks.end().await;
}
