//! The log is not the caller's to fill.

use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

use super::keys::{WITH_KEYS, api_key};
use super::server::Server;
use crate::support::folder::folder;

/// Calls a path, with a key or without, and returns the code of the refusal.
async fn refused(client: &mut Grpc<tonic::transport::Channel>, path: &str, key: Option<&str>) -> Code {
    let mut request = Request::new(());
    if let Some(key) = key {
        request.metadata_mut().insert("x-api-key", key.parse().unwrap());
    }
    client.ready().await.unwrap();
    let path = PathAndQuery::try_from(path).unwrap();
    client.unary::<(), (), _>(request, path, ProstCodec::default()).await.unwrap_err().code()
}

#[tokio::test(crate = "crate::support::limit")]
async fn unknown_paths_and_refused_callers_do_not_fill_the_log() {
    let folder = folder();
    let key = api_key(folder.path(), "acme", "*").await;
    let server = Server::ready(folder.path(), &WITH_KEYS, &[]).await;
    let mut client = Grpc::new(server.channel().await);
    let before = server.log().len();
    let invented = "An".repeat(1_900);
    let paths = [
        format!("/invitation.v1.{invented}/{invented}"),
        format!("/invitation.v1.InvitationService/{invented}"),
        format!("/{invented}/GetInvitation"),
    ];
    for path in paths.iter().cycle().take(150) {
        let code = refused(&mut client, path, None).await;
        assert!([Code::Unauthenticated, Code::Unimplemented].contains(&code), "{code:?}");
    }
    let without = server.log().len() - before;
    assert!(without < 4_096, "150 calls without a credential wrote {without} bytes:\n{}", &server.log()[before..]);
    for path in &paths {
        assert_eq!(refused(&mut client, path, Some(&key)).await, Code::Unimplemented);
    }
    server.logged("unknown").await;
    let log = server.log();
    assert!(!log.contains("AnAnAn"), "{log}");
    assert!(log.contains("refused calls without a valid credential"), "{log}");
    server.stop().await;
}
