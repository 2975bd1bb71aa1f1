//! Watches of the built service: when it ends, and when their clients do not read.

use std::time::{Duration, Instant};

use invitation_service::pb;
use invitation_service::pb::event_service_client::EventServiceClient;
use tokio::time::timeout;
use tonic::transport::Endpoint;
use tonic::{Code, Status, Streaming};

use super::server::{PATIENCE, Server};
use crate::support::build::messages;
use crate::support::expect::reason;
use crate::support::folder::folder;
use crate::support::pace::paced;

async fn next(stream: &mut Streaming<pb::WatchEventsResponse>) -> Result<pb::Event, Status> {
    timeout(PATIENCE, messages::next_event(stream)).await.expect("something happens")
}

#[tokio::test(crate = "crate::support::limit")]
async fn open_watch_ends_unavailable_and_does_not_delay_shutdown() {
    let folder = folder();
    let mut server = Server::ready(folder.path(), &[], &[]).await;
    // A connection without a limit on its calls, which would be the client's own deadline.
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    let mut client = EventServiceClient::new(endpoint.connect().await.unwrap());
    let mut stream = client.watch_events(pb::WatchEventsRequest::default()).await.unwrap().into_inner();
    server.create().await.one().await.unwrap();
    let token = next(&mut stream).await.unwrap().resume_token;
    let told = Instant::now();
    server.signal("TERM").await;
    let ended = next(&mut stream).await.unwrap_err();
    assert_eq!(reason(&ended), (Code::Unavailable, "UNAVAILABLE".to_owned()));
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.log());
    assert!(told.elapsed() < paced(Duration::from_secs(1)), "{:?}", told.elapsed());

    let server = Server::ready(folder.path(), &[], &[]).await;
    let made = server.create().await.one().await.unwrap();
    let mut client = EventServiceClient::new(server.channel().await);
    let request = messages::watch(&token);
    let mut stream = client.watch_events(request).await.unwrap().into_inner();
    let event = next(&mut stream).await.unwrap();
    assert_eq!(event.invitation, format!("invitations/{}", made.uid), "it goes on after the restart");
    drop(stream);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn watcher_that_does_not_read_is_dropped_and_others_are_not() {
    let folder = folder();
    let impatient = [("INVITATION__EVENTS__WATCH_PATIENCE", "1s")];
    let mut server = Server::ready(folder.path(), &[], &impatient).await;
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    // As little as the protocol allows without a word is on the way.
    let narrow = endpoint.clone().initial_stream_window_size(65_535).initial_connection_window_size(65_535);
    let mut lazy = EventServiceClient::new(narrow.connect().await.unwrap());
    let mut unread = lazy.watch_events(pb::WatchEventsRequest::default()).await.unwrap().into_inner();
    let mut eager = EventServiceClient::new(endpoint.connect().await.unwrap());
    let mut read = eager.watch_events(pb::WatchEventsRequest::default()).await.unwrap().into_inner();
    let create = server.create().await;
    let mut writers = tokio::task::JoinSet::new();
    const EVENTS: usize = 3_000;
    for _ in 0..20 {
        let mut create = create.clone();
        writers.spawn(async move {
            for _ in 0..EVENTS / 20 {
                create.one().await.unwrap();
            }
        });
    }
    let mut last = String::new();
    for _ in 0..EVENTS {
        last = next(&mut read).await.unwrap().resume_token;
    }
    assert!(!last.is_empty());
    writers.join_all().await;
    server.logged("its client reads nothing").await;

    // Events on the way still arrive, and then the reason; a client that goes on from there misses nothing.
    let (mut seen, mut token) = (0, String::new());
    let ended = loop {
        match next(&mut unread).await {
            Ok(event) => (seen, token) = (seen + 1, event.resume_token),
            Err(ended) => break ended,
        }
    };
    assert_eq!(reason(&ended), (Code::Unavailable, "UNAVAILABLE".to_owned()));
    assert!((1..EVENTS).contains(&seen), "{seen} events were on the way");
    let request = messages::watch(&token);
    let mut rest = lazy.watch_events(request).await.unwrap().into_inner();
    for _ in seen..EVENTS {
        next(&mut rest).await.unwrap();
    }
    let told = Instant::now();
    server.signal("TERM").await;
    assert_eq!(server.ended().await.code(), Some(0));
    assert!(told.elapsed() < paced(Duration::from_secs(1)), "{:?}", told.elapsed());
}
