//! SIGTERM, whatever clients are doing at that moment.

use std::future::poll_fn;
use std::net::TcpStream;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use invitation_service::pb;
use invitation_service::pb::health::HealthCheckRequest;
use invitation_service::pb::health::health_check_response::ServingStatus;
use invitation_service::pb::health::health_client::HealthClient;
use invitation_service::pb::user_invitation_service_client::UserInvitationServiceClient;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use tonic::Request;
use tonic::client::Grpc;

use super::load::{COMPANY, Load, kept};
use super::server::{BY_NAME, PATIENCE, Server, refusal, run};
use crate::mail::sink::{Act, Sink};
use crate::support::folder::folder;
use crate::support::pace::paced;

/// The time limit of an end that has nothing to wait for.
const AT_ONCE: Duration = Duration::from_secs(1);

/// The time that a call or a message is held beyond the signal: longer than an end takes that waits for nothing.
const HELD: Duration = Duration::from_millis(1_500);

/// Far longer than any test waits: only SIGINT ends this.
const LONG_DRAIN: [(&str, &str); 2] =
    [("INVITATION__GRPC__DRAIN_DELAY", "120s"), ("INVITATION__GRPC__DRAIN_TIMEOUT", "120s")];

/// Sends a signal, waits for an orderly end, and returns how long that took.
async fn end(mut server: Server, signal: &str) -> Duration {
    let told = Instant::now();
    server.signal(signal).await;
    let status = server.ended().await;
    let took = told.elapsed();
    assert_eq!(status.code(), Some(0), "{}", server.log());
    took
}

#[tokio::test(crate = "crate::support::limit")]
async fn idle_service_ends_at_once_on_either_signal() {
    let folder = folder();
    for signal in ["TERM", "INT"] {
        let server = Server::ready(folder.path(), &[], &[]).await;
        let idle = server.channel().await;
        let took = end(server, signal).await;
        assert!(took < paced(AT_ONCE), "{took:?} after {signal}");
        drop(idle);
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn open_watch_and_a_silent_client_do_not_hold_it_up() {
    let folder = folder();
    let server = Server::ready(folder.path(), &[], &[]).await;
    let silent = TcpStream::connect(server.address).unwrap();
    let request = HealthCheckRequest { service: BY_NAME.to_owned() };
    let mut watch = HealthClient::new(server.channel().await).watch(request).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let took = end(server, "TERM").await;
    assert!(took < paced(AT_ONCE), "{took:?}");
    let told = watch.message().await.unwrap().unwrap();
    assert_eq!(told.status(), ServingStatus::NotServing, "whoever watches is told first");
    drop(silent);
}

#[tokio::test(crate = "crate::support::limit")]
async fn while_it_drains_it_serves_but_says_that_it_is_going() {
    let folder = folder();
    let mut server = Server::ready(folder.path(), &[], &LONG_DRAIN).await;
    server.signal("TERM").await;
    server.until(ServingStatus::NotServing).await;
    assert_eq!(server.health("").await, ServingStatus::Serving, "it is alive");
    server.create().await.one().await.unwrap();
    let told = Instant::now();
    server.signal("INT").await;
    assert_eq!(server.ended().await.code(), Some(5), "it says that it was cut short");
    assert!(told.elapsed() < paced(AT_ONCE), "the second signal took {:?}", told.elapsed());
    let endpoint = format!("http://{}", server.address);
    refusal(&run(folder.path(), &["health", "--endpoint", &endpoint], &[]).await);
}

/// Kubelets repeat SIGTERM when they are restarted, and operators send SIGUSR1 to find out what a process does.
#[tokio::test(crate = "crate::support::limit")]
async fn repeated_sigterm_and_sigusr1_change_nothing() {
    let folder = folder();
    let mut server = Server::ready(folder.path(), &[], &LONG_DRAIN).await;
    for name in ["USR1", "USR2"] {
        server.signal(name).await;
    }
    assert!(timeout(AT_ONCE, server.exit()).await.is_err(), "it ended:\n{}", server.log());
    server.create().await.one().await.unwrap();
    for name in ["TERM", "TERM", "USR1", "HUP", "TERM"] {
        server.signal(name).await;
    }
    server.until(ServingStatus::NotServing).await;
    server.create().await.one().await.unwrap();
    assert!(timeout(AT_ONCE, server.exit()).await.is_err(), "it ended:\n{}", server.log());
    for name in ["INT", "TERM"] {
        server.signal(name).await;
    }
    assert_eq!(server.ended().await.code(), Some(5));
}

#[tokio::test(crate = "crate::support::limit")]
async fn call_that_outlives_the_drain_is_cut_and_the_exit_says_so() {
    let folder = folder();
    let limits = [("INVITATION__GRPC__DRAIN_TIMEOUT", "1s")];
    let mut server = Server::ready(folder.path(), &[], &limits).await;
    // A call whose message never comes is under way for as long as its client likes.
    let channel = server.channel().await;
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<pb::CreateConnectionInvitationRequest, pb::ConnectionInvitation>::default();
    let path = "/invitation.v1.ConnectionInvitationService/CreateConnectionInvitation".parse().unwrap();
    let body = futures_util::stream::pending();
    let call = tokio::spawn(async move { grpc.client_streaming(Request::new(body), path, codec).await });
    HealthClient::new(channel).check(HealthCheckRequest::default()).await.unwrap();
    tokio::time::sleep(AT_ONCE / 4).await;
    server.signal("TERM").await;
    assert_eq!(server.ended().await.code(), Some(5), "{}", server.log());
    server.logged("the drain timeout has passed").await;
    assert!(call.await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn shutdown_under_load_loses_no_acknowledged_write() {
    let folder = folder();
    let mut server = Server::ready(folder.path(), &[], &[]).await;
    let mut load = Load::start(&server, 64).await;
    load.go_on_for(500).await;
    let told = Instant::now();
    server.signal("TERM").await;
    assert_eq!(server.ended().await.code(), Some(0));
    assert!(told.elapsed() < paced(Duration::from_secs(3)), "{:?}", told.elapsed());
    server.logged("\"message\":\"ended\"").await;
    let answered = server.log().lines().filter(|line| line.contains("\"answered\"")).count();
    let book = load.stop().await;
    book.only_unavailable();
    assert_eq!(book.acknowledged.len(), answered, "every answer reached its caller");

    let server = Server::ready(folder.path(), &[], &[]).await;
    book.none_lost(&kept(&server).await);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn call_in_flight_is_answered_before_the_exit() {
    const CREATE: &str = "/invitation.v1.ConnectionInvitationService/CreateConnectionInvitation";
    let folder = folder();
    let mut server = Server::ready(folder.path(), &[], &[]).await;
    let channel = server.channel().await;
    let invitation = pb::ConnectionInvitation { company_id: COMPANY.to_owned(), ..Default::default() };
    let message =
        pb::CreateConnectionInvitationRequest { connection_invitation: Some(invitation), ..Default::default() };
    // The call has begun with its headers; its message comes when it is released.
    let (release, released) = oneshot::channel::<()>();
    let body = futures_util::stream::once(async move {
        released.await.unwrap();
        message
    });
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<_, pb::ConnectionInvitation>::default();
    let mut call =
        Box::pin(async move { grpc.client_streaming(Request::new(body), CREATE.parse().unwrap(), codec).await });
    poll_fn(|context| {
        assert!(call.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
    let mut call = tokio::spawn(call);
    // A ping that is answered on the same connection was read behind the headers of the call.
    HealthClient::new(channel).check(HealthCheckRequest::default()).await.unwrap();
    server.signal("TERM").await;
    server.logged("\"message\":\"draining\"").await;
    assert!(timeout(HELD, &mut call).await.is_err(), "the call is cut off:\n{}", server.log());
    release.send(()).unwrap();
    let made = call.await.unwrap().unwrap().into_inner();
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.log());
    let server = Server::ready(folder.path(), &[], &[]).await;
    assert!(kept(&server).await.contains(&made.name));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn message_being_sent_is_settled_before_the_exit() {
    let folder = folder();
    let released = Arc::new(Semaphore::new(0));
    let sink = Sink::that(&[("MESSAGE", Act::Hold(Arc::clone(&released)))]).await;
    let url = sink.url();
    let environment = [
        ("INVITATION__MAIL__URL", url.as_str()),
        ("INVITATION__MAIL__STARTTLS", "none"),
        ("INVITATION__LINKS__ALLOW_LOCALHOST", "true"),
    ];
    let mut server = Server::ready(folder.path(), &[], &environment).await;
    let invitation = pb::UserInvitation {
        invited_email: "jane@example.org".to_owned(),
        inviter: Some(pb::Inviter { display_name: "Ada".to_owned(), ..Default::default() }),
        ..Default::default()
    };
    let request = pb::CreateUserInvitationRequest { user_invitation: Some(invitation), ..Default::default() };
    let mut users = UserInvitationServiceClient::new(server.channel().await);
    users.create_user_invitation(request).await.unwrap();
    let sent = timeout(PATIENCE, async {
        while !sink.said().iter().any(|said| said == "DATA") {
            tokio::task::yield_now().await;
        }
    });
    sent.await.expect("the message is on its way");
    server.signal("TERM").await;
    assert!(timeout(HELD, server.exit()).await.is_err(), "it ended without its message:\n{}", server.log());
    released.close();
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.log());
    assert_eq!(sink.taken().0.len(), 1, "one copy");
    let file = format!("sqlite://{}", folder.path().join("data/invitations.db").display());
    let database = sea_orm::Database::connect(file).await.unwrap();
    let query = Statement::from_string(DbBackend::Sqlite, "SELECT state, due_at FROM outbox");
    let rows = database.query_all_raw(query).await.unwrap();
    let state = |row: &sea_orm::QueryResult| {
        (row.try_get::<String>("", "state").unwrap(), row.try_get::<Option<i64>>("", "due_at").unwrap())
    };
    assert_eq!(rows.iter().map(state).collect::<Vec<_>>(), [("sent".to_owned(), None)]);
}
