//! Calls from pages of other origins.

use http::Method;
use invitation_service::clock::Clock;

use super::http::{Client, JSON};
use crate::rpc::redemption::keys;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::service::{Service, configuration};

const PATH: &str = "/invitation.v1.InvitationService/ListInvitations";
const ORIGIN: &str = "https://app.example";

#[tokio::test(crate = "crate::support::limit")]
async fn page_of_an_allowed_origin_may_call_and_no_other() {
    let database = TestDatabase::sqlite();
    let origins = [("INVITATION__GRPC__CORS_ORIGINS", "https://app.example, http://localhost:3000")];
    let (service, _) = keys::start_configured(&database, &[("acme", "*", None)], &origins).await;
    for client in Client::both(&service) {
        let asks = [("access-control-request-method", "POST"), ("access-control-request-headers", "authorization,x-y")];
        let preflight = async |origin: &str| {
            client.send(Method::OPTIONS, PATH, &[&[("origin", origin)], &asks[..]].concat(), "").await
        };
        let allowed = preflight(ORIGIN).await;
        assert_eq!((allowed.status, allowed.header("access-control-allow-origin")), (204, ORIGIN));
        assert_eq!(allowed.header("access-control-allow-headers"), "authorization,x-y");
        assert_eq!(allowed.header("access-control-allow-methods"), "GET, POST");
        for origin in ["https://evil.example", "http://app.example", "https://app.example:444", "null"] {
            let refused = preflight(origin).await;
            assert_eq!((refused.status, refused.header("access-control-allow-origin")), (405, ""), "{origin}");
        }
        let refused = client.send(Method::POST, PATH, &[JSON, ("origin", ORIGIN)], "{}").await;
        assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, ORIGIN));
        assert!(refused.header("access-control-expose-headers").contains("grpc-status-details-bin"));
        assert_eq!(refused.header("vary"), "origin");
        let other = client.send(Method::POST, PATH, &[JSON], "{}").await;
        assert_eq!(
            (other.status, other.header("access-control-allow-origin"), other.header("vary")),
            (401, "", "origin")
        );
    }
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn pages_of_every_origin_may_call_where_it_says_so() {
    let database = TestDatabase::sqlite();
    let any = [("INVITATION__GRPC__CORS_ORIGINS", "*")];
    let service = Service::start_with(configuration(&database, &any), Clock::manual(NEW_YEAR)).await;
    let client = Client::http_1(&service);
    let answer = client.send(Method::POST, PATH, &[JSON, ("origin", "null")], "{}").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin"), answer.header("vary")), (200, "*", ""));
    service.stop().await;
}
