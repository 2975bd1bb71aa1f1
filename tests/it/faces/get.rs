//! Calls with GET, of RPCs that change nothing.

use data_encoding::BASE64URL_NOPAD;
use invitation_service::pb;
use prost::Message as _;

use super::http::Client;
use crate::contract::raw;
use crate::support::build::messages;
use crate::support::database::TestDatabase;
use crate::support::service::Service;

#[tokio::test(crate = "crate::support::limit")]
async fn message_of_a_query_is_that_of_a_body() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation()).await;
    let request = pb::GetConnectionInvitationRequest { name: made.name.clone() };
    let base64 = BASE64URL_NOPAD.encode(&request.encode_to_vec());
    let path = "/invitation.v1.ConnectionInvitationService/GetConnectionInvitation";
    let name = made.name.replace('/', "%2F");
    for client in Client::both(&service) {
        let json = client.get(&format!("{path}?connect=v1&encoding=json&message=%7B%22name%22:%22{name}%22%7D")).await;
        assert_eq!((json.status, json.json()["name"].as_str()), (200, Some(made.name.as_str())));
        assert_eq!(json.header("cache-control"), "no-store");
        let proto = client.get(&format!("{path}?encoding=proto&base64=1&message={base64}")).await;
        assert_eq!(pb::ConnectionInvitation::decode(proto.body).unwrap().name, made.name);
        for (query, status, reason) in [
            ("encoding=json&message=%7B%22name%22:7%7D", 400, "INVALID_FIELD"),
            ("encoding=json&message=%7B%22x%22:7%7D", 400, "UNKNOWN_FIELD"),
            ("encoding=json", 400, "MALFORMED_MESSAGE"),
            ("encoding=json&message=%7B%7D&connect=v2", 400, "MALFORMED_MESSAGE"),
            ("encoding=proto&message=***&base64=1", 400, "MALFORMED_MESSAGE"),
            ("encoding=json&message=%7B%7D&compression=br", 501, "UNIMPLEMENTED"),
        ] {
            let answer = client.get(&format!("{path}?{query}")).await;
            let (code, _, shown) = answer.error();
            assert_eq!((code, shown.as_str()), (status, reason), "{query}");
        }
        assert_eq!(client.get(&format!("{path}?encoding=xml&message=a")).await.status, 415);
    }
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn rpc_that_changes_something_is_not_called_with_get() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let client = Client::http_1(&service);
    for rpc in raw::rpcs() {
        let answer = client.get(&format!("{}?encoding=json&message=%7B%7D", rpc.path)).await;
        assert_eq!(answer.status == 405, !rpc.reads || rpc.streams, "{}: {answer:?}", rpc.path);
    }
    service.stop().await;
}
