//! The sizes of what comes and goes: pages, answers, statuses, metadata, and the calls that are no gRPC.

use bytes::Bytes;
use http::{Request, StatusCode};
use invitation_service::clock::Clock;
use invitation_service::pb;
use prost::Message as _;
use tonic::Code;

use crate::contract::raw;
use crate::support::build::generals::{email, into_team};
use crate::support::build::{generals, messages};
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::expect::{reason, refused};
use crate::support::on_both;
use crate::support::service::{Service, configuration};

on_both!(
    migrated:
    page_of_large_rows_is_short_and_the_list_goes_on,
    answer_about_several_is_no_larger_than_clients_take,
);

const MIB: usize = 1024 * 1024;

/// Makes invitations of about 200 KB each.
async fn make_large(service: &Service, count: usize) -> Vec<String> {
    let mut names = Vec::new();
    for _ in 0..count {
        let address = |at: usize| format!("{}{at}@{}.example.org", "a".repeat(50), "b".repeat(50));
        let allowed: Vec<_> = (0..1_000).map(address).collect();
        let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
        let made = messages::create(service, messages::invitation_for(&allowed)).await;
        names.push(made.name);
    }
    names
}

async fn page_of_large_rows_is_short_and_the_list_goes_on(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut names = make_large(&service, 20).await;
    let (mut seen, mut page_token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let list = pb::ListConnectionInvitationsRequest { page_size: 1_000, page_token, ..Default::default() };
        let answer = service.connections().list_connection_invitations(list).await.unwrap().into_inner();
        assert!(answer.encoded_len() < MIB + MIB / 4, "{}", answer.encoded_len());
        seen.extend(answer.connection_invitations.into_iter().map(|shown| shown.name));
        pages += 1;
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    seen.reverse();
    names.sort();
    assert_eq!(seen, names, "every one once, by its age");
    assert!(pages >= 3, "{pages}");
    service.stop().await;
}

async fn answer_about_several_is_no_larger_than_clients_take(database: TestDatabase) {
    // The texts are long, and a build without optimisation is slow.
    let patient = [
        ("INVITATION__STORE__TIMEOUT", "50s"),
        ("INVITATION__GRPC__REQUEST_TIMEOUT", "60s"),
        ("INVITATION__GRPC__MAX_CONNECTION_AGE", "off"),
    ];
    let service = Service::start_with(configuration(&database, &patient), Clock::manual(NEW_YEAR)).await;
    let names = make_large(&service, 25).await;
    let batch = |names: &[String]| pb::BatchGetInvitationsRequest { names: names.to_vec() };
    let few = service.invitations().batch_get_invitations(batch(&names[..5])).await.unwrap().into_inner();
    assert_eq!(few.invitations.len(), 5);
    let all = service.invitations().batch_get_invitations(batch(&names)).await;
    refused(all, Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
    let acceptor = generals::verified("ann", &format!("{}0@{}.example.org", "a".repeat(50), "b".repeat(50)));
    let (entries, acceptor) = (generals::entries(&names), Some(acceptor));
    let accept = pb::AcceptInvitationsRequest { entries, acceptor, ..Default::default() };
    let answer = service.invitations().accept_invitations(accept).await.unwrap().into_inner();
    assert!(answer.encoded_len() < 4 * MIB, "{}", answer.encoded_len());
    let shown = answer.results.iter().map(|result| result.invitation.as_ref().ok_or(&result.result));
    let shown: Vec<_> = shown.collect::<Result<_, _>>().unwrap();
    assert!(shown.iter().zip(&names).all(|(shown, name)| shown.typed_name == *name));
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn status_of_many_violations_is_small_and_tells_their_number() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let targets: Vec<_> = (0..100).map(|_| email(&"x".repeat(250))).collect();
    let requests: Vec<_> = (0..10).map(|_| messages::general(into_team(&targets))).collect();
    let one = service.invitations().create_invitation(requests[0].clone()).await.map(drop);
    let batch = pb::BatchCreateInvitationsRequest { requests, atomic: true, ..Default::default() };
    let many = service.invitations().batch_create_invitations(batch).await.map(drop);
    for (answer, more) in [(one, 99), (many, 999)] {
        let status = refused(answer, Code::InvalidArgument, "INVALID_FIELD");
        assert!(status.message().ends_with(&format!(" (and {more} more)")), "{}", status.message());
        let size = status.message().len() + status.details().len();
        assert!(size <= 6 * 1024, "{size}");
    }
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn metadata_beyond_their_limit_are_refused_in_words() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    for (size, is_small) in [(15_000, true), (17_000, false)] {
        let mut request = tonic::Request::new(Bytes::new());
        request.metadata_mut().insert("x-trace", "t".repeat(size).parse().unwrap());
        let answer = raw::call(&service, "/invitation.v1.InvitationService/ListInvitations", request).await;
        match answer {
            Ok(_) => assert!(is_small),
            Err(status) => assert_eq!(reason(&status), (Code::ResourceExhausted, "MESSAGE_TOO_LARGE".to_owned())),
        }
    }
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn other_content_types_are_unsupported_media() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let stream = tokio::net::TcpStream::connect(service.address).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    tokio::spawn(connection);
    for (content_type, status) in [
        (Some("application/grpc"), StatusCode::OK),
        (Some("application/grpc+proto"), StatusCode::OK),
        (Some("application/grpc; charset=utf-8"), StatusCode::OK),
        (Some("application/grpc+json"), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (Some("text/plain"), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (None, StatusCode::UNSUPPORTED_MEDIA_TYPE),
    ] {
        let mut call = Request::post("http://localhost/invitation.v1.InvitationService/ListInvitations");
        if let Some(content_type) = content_type {
            call = call.header("content-type", content_type);
        }
        let body = http_body_util::Full::new(Bytes::from_static(&[0; 5]));
        let answer = sender.send_request(call.body(body).unwrap()).await.unwrap();
        assert_eq!(answer.status(), status, "{content_type:?}");
    }
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn messages_are_compressed_both_ways_for_clients_that_compress() {
    use tonic::codec::CompressionEncoding::Gzip;
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let text = "x".repeat(900);
    let create = || messages::general(pb::Invitation { message: text.clone(), ..into_team(&[]) });
    let (plain, takes) = (service.invitations(), service.invitations().accept_compressed(Gzip));
    let both = service.invitations().accept_compressed(Gzip).send_compressed(Gzip);
    for (mut client, encoding) in [(plain, None), (takes, None), (both, Some("gzip"))] {
        let answer = client.create_invitation(create()).await.unwrap();
        let shown = answer.metadata().get("grpc-encoding").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!((shown.as_deref(), &answer.into_inner().message), (encoding, &text));
        let list = client.list_invitations(pb::ListInvitationsRequest::default()).await.unwrap();
        assert!(!list.into_inner().invitations.is_empty());
    }
    let mut takes = service.invitations().accept_compressed(Gzip);
    let list = takes.list_invitations(pb::ListInvitationsRequest::default()).await.unwrap();
    assert_eq!(list.metadata().get("grpc-encoding").unwrap(), "gzip", "a list is worth it");
    // A message that grows beyond the largest one is refused.
    let bomb = pb::Invitation { message: "x".repeat(2 * MIB), ..into_team(&[]) };
    let bomb = service.invitations().send_compressed(Gzip).create_invitation(messages::general(bomb)).await.map(drop);
    refused(bomb, Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
    let mut zstd = tonic::Request::new(Bytes::new());
    zstd.metadata_mut().insert("grpc-encoding", "zstd".parse().unwrap());
    let unknown = raw::call(&service, "/invitation.v1.InvitationService/ListInvitations", zstd).await;
    assert_eq!(reason(&unknown.unwrap_err()), (Code::Unimplemented, "UNIMPLEMENTED".to_owned()));
    service.stop().await;
}
