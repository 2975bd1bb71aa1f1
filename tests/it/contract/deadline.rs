//! Deadlines: `grpc-timeout` as it comes over the wire, without a client that gives up by itself.

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use invitation_service::pb;
use prost::Message as _;
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use tokio::net::TcpStream;
use tonic::{Code, Status};

use super::{raw, request};
use crate::support::build::guests::HOST;
use crate::support::build::messages;
use crate::support::database::TestDatabase;
use crate::support::expect::refused;
use crate::support::on_both;
use crate::support::service::Service;

on_both!(migrated: passed_deadline_is_reported_by_every_rpc_and_nothing_is_done);

/// Calls over a bare HTTP/2 connection, where nobody but the service looks at the deadline.
async fn call(service: &Service, path: &str, timeout: &str, message: &[u8]) -> Result<Bytes, Status> {
    let stream = TcpStream::connect(service.address).await.unwrap();
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let length = u32::try_from(message.len()).unwrap();
    let frame = [&[0], length.to_be_bytes().as_slice(), message].concat();
    let request = Request::post(format!("http://{}{path}", service.address))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header("grpc-timeout", timeout)
        .header("requester-organization-id", HOST)
        .header("target-organization-id", HOST)
        .body(Full::new(Bytes::from(frame)))
        .unwrap();
    let answer = client.send_request(request).await.unwrap();
    let headers = answer.headers().clone();
    let body = answer.into_body().collect().await.unwrap();
    let trailers = body.trailers().cloned().unwrap_or_default();
    connection.abort();
    let status = Status::from_header_map(&headers).or_else(|| Status::from_header_map(&trailers));
    match status.expect("a status") {
        status if status.code() == Code::Ok => Ok(body.to_bytes().slice(5..)),
        status => Err(status),
    }
}

async fn passed_deadline_is_reported_by_every_rpc_and_nothing_is_done(database: TestDatabase) {
    let service = Service::start(&database).await;
    let known = request::known(&service, None, messages::COMPANY).await;
    let name = format!("invitations/{}", known.id);
    let before = messages::get_general(&service, &name).await;
    for rpc in raw::rpcs() {
        let (_, message) = request::valid(&rpc.path, &known);
        refused(call(&service, &rpc.path, "0n", &message).await, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    }
    assert_eq!(messages::get_general(&service, &name).await, before);
    // Whoever waits long enough, or says nothing that can be read, has an answer.
    let message = pb::GetInvitationRequest { name };
    for timeout in ["1M", "99999999H", "", "soon", "-1S"] {
        let path = "/invitation.v1.InvitationService/GetInvitation";
        let answer = call(&service, path, timeout, &message.encode_to_vec()).await.unwrap();
        assert_eq!(pb::Invitation::decode(answer).unwrap().uid, known.id);
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn deadline_ends_every_rpc_while_the_database_is_silent() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let service = Service::start(&database).await;
    let known = request::known(&service, None, messages::COMPANY).await;
    let other = database.connect().await;
    let lock = other.begin().await.unwrap();
    let tables = "invitation, acceptance, organization_grant, api_key, outbox, webhook_endpoint, webhook_attempt, event, suppression, \
                  scope_settings";
    lock.execute_unprepared(&format!("LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE")).await.unwrap();
    // GetCaller and VerifyReceipt answer without the database, and so does GetQuota while nothing is limited.
    let asks = |path: &str| !["/GetCaller", "/VerifyReceipt", "/GetQuota"].iter().any(|rpc| path.ends_with(rpc));
    for rpc in raw::rpcs().iter().filter(|rpc| asks(&rpc.path)) {
        let (_, message) = request::valid(&rpc.path, &known);
        refused(call(&service, &rpc.path, "50m", &message).await, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    }
    lock.rollback().await.unwrap();
    other.close().await.unwrap();
    messages::get(&service, &format!("connectionInvitations/{}", known.id)).await;
    service.stop().await;
}
