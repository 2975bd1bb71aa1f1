//! Connections that grow old: clients move to others without a failed call, and streams go on from a token.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use invitation_service::pb;
use invitation_service::pb::access_service_client::AccessServiceClient;
use invitation_service::pb::event_service_client::EventServiceClient;
use invitation_service::pb::watch_events_response::Item;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::transport::Endpoint;
use tonic::{Code, Status};

use super::server::{PATIENCE, Server};
use super::tools;
use crate::support::build::messages;
use crate::support::expect::reason;
use crate::support::folder::folder;

/// Connections grow old within about a second.
const YOUNG: [(&str, &str); 3] = [
    ("INVITATION__GRPC__MAX_CONNECTION_AGE", "1s"),
    ("INVITATION__GRPC__MAX_CONNECTION_AGE_GRACE", "5s"),
    ("INVITATION__GRPC__REQUEST_TIMEOUT", "5s"),
];

/// The time that clients are at work.
const LOAD_TIME: Duration = Duration::from_secs(6);

/// Calls a method for a while on one connection of grpcio, from several threads, and prints the number of calls and each error.
const GRPCIO: &str = r#"
import sys, threading, time, grpc
channel = grpc.insecure_channel(sys.argv[1])
call = channel.unary_unary("/invitation.v1.AccessService/GetCaller", lambda m: m, lambda m: m)
end, counts, errors = time.monotonic() + float(sys.argv[2]), [0] * 8, []
def work(number):
    while time.monotonic() < end:
        try:
            call(b"", timeout=10)
            counts[number] += 1
        except grpc.RpcError as error:
            errors.append(f"{error.code().name}: {error.details()}")
threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(sum(counts), errors)
"#;

/// Stands before a server, and counts the connections that are made to it.
async fn counted(server: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut server = TcpStream::connect(server).await.unwrap();
                drop(copy_bidirectional(&mut client, &mut server).await);
            });
        }
    });
    (address, count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn no_call_fails_because_its_connection_grows_old() {
    let folder = folder();
    let mut server = Server::ready(folder.path(), &[], &YOUNG).await;
    let (address, connections) = counted(server.address).await;
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let (mut clients, until) = (JoinSet::new(), Instant::now() + LOAD_TIME);
    for _ in 0..16 {
        let mut access = AccessServiceClient::new(channel.clone());
        clients.spawn(async move {
            let (mut calls, mut failed) = (0, Vec::new());
            while Instant::now() < until {
                match access.get_caller(pb::GetCallerRequest {}).await {
                    Ok(_) => calls += 1,
                    Err(status) if was_never_sent(&status) => {}
                    Err(status) => failed.push(format!("{status:?}")),
                }
            }
            (calls, failed)
        });
    }
    let (calls, failed): (Vec<usize>, Vec<Vec<String>>) = clients.join_all().await.into_iter().unzip();
    let (calls, failed) = (calls.iter().sum::<usize>(), failed.concat());
    assert!(failed.is_empty(), "{} of {calls}: {:#?}", failed.len(), failed.first());
    let connections = connections.load(Ordering::Relaxed);
    assert!(calls > 100 && (4..=10).contains(&connections), "{calls} calls on {connections} connections");
    server.signal("TERM").await;
    assert_eq!(server.ended().await.code(), Some(0));
    server.logged("server.ended").await;
    let answered = server.log().matches("call.answered").count();
    assert_eq!(answered, calls, "the server has seen no call that its client takes for one that was never sent");
}

/// Returns whether a call never left the client, or was refused unseen by GOAWAY. Clients of gRPC repeat such a call by themselves ("transparent retry");
/// tonic hands it back, because hyper does (hyperium/hyper#2500).
fn was_never_sent(status: &Status) -> bool {
    let text = format!("{status:?}");
    text.contains("GoAway(b\"\", NO_ERROR, Remote)") || text.contains("hyper::Error(Canceled, ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn no_call_of_grpcio_fails_because_its_connection_grows_old() {
    if !tools::python() {
        return;
    }
    let folder = folder();
    let server = Server::ready(folder.path(), &[], &YOUNG).await;
    let (address, connections) = counted(server.address).await;
    let mut command = Command::new("python3");
    command.args(["-c", GRPCIO, &address.to_string(), &LOAD_TIME.as_secs().to_string()]);
    let output = command.stderr(Stdio::inherit()).kill_on_drop(true).output();
    let output = timeout(PATIENCE + LOAD_TIME, output).await.expect("the client ends").unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let (calls, errors) = output.trim().split_once(' ').unwrap();
    assert_eq!(errors, "[]", "{calls} calls");
    let connections = connections.load(Ordering::Relaxed);
    assert!(
        calls.parse::<usize>().unwrap() > 100 && (4..=10).contains(&connections),
        "{calls} on {connections} connections"
    );
    server.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn watch_ends_behind_a_token_when_its_connection_grows_old() {
    let folder = folder();
    let server = Server::ready(folder.path(), &[], &YOUNG).await;
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    let mut create = server.create().await;
    let (mut token, mut seen, mut made) = (None, Vec::new(), Vec::new());
    for _ in 0..3 {
        let mut client = EventServiceClient::new(endpoint.connect().await.unwrap());
        let request = token.as_deref().map(messages::watch).unwrap_or_default();
        let mut stream = client.watch_events(request).await.unwrap().into_inner();
        made.push(format!("invitations/{}", create.one().await.unwrap().uid));
        let mut is_checkpoint = false;
        let ended: Status = loop {
            match timeout(PATIENCE, stream.message()).await.expect("something happens") {
                Ok(Some(answer)) => {
                    token = Some(answer.resume_token);
                    is_checkpoint = matches!(answer.item, Some(Item::CheckpointTime(_)));
                    if let Some(Item::Event(event)) = answer.item {
                        seen.push(event.invitation);
                    }
                }
                Ok(None) => panic!("a stream of events does not end in order"),
                Err(ended) => break ended,
            }
        };
        assert_eq!(reason(&ended), (Code::Unavailable, "UNAVAILABLE".to_owned()));
        assert!(is_checkpoint, "the last message has the token of all that came before the end");
    }
    assert_eq!(seen, made, "each event once");
    server.stop().await;
}
