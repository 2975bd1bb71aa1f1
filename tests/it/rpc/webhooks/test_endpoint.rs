//! TestWebhookEndpoint: one signed request now, its answer, and how often; and attempts by their names.

use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::pb;
use invitation_service::pb::{WebhookAttempt, WebhookEndpoint};
use tonic::{Code, Response, Status};
use tonic_types::StatusExt;

use super::endpoints::{URI, create, endpoint, get, update};
use crate::rpc::redemption::keys;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::{Service, configuration};
use crate::webhook::http_sink::{Reply, Sink};

on_both!(
    migrated:
    test_posts_one_signed_request_and_shows_the_answer,
    second_test_of_an_endpoint_has_to_wait,
    test_reaches_no_network_that_is_not_allowed,
    missing_attempt_is_not_found,
);

pub(super) async fn start(database: &TestDatabase) -> Service {
    let more = [("INVITATION__WEBHOOKS__ALLOWED_NETWORKS", "127.0.0.0/8")];
    Service::start_with(configuration(database, &more), Clock::manual(NEW_YEAR)).await
}

pub(super) async fn test(service: &Service, name: &str) -> Result<WebhookAttempt, Status> {
    let request = pb::TestWebhookEndpointRequest { name: name.to_owned() };
    service.webhooks().test_webhook_endpoint(request).await.map(Response::into_inner)
}

async fn test_posts_one_signed_request_and_shows_the_answer(database: TestDatabase) {
    let (service, sink) = (start(&database).await, Sink::start([Reply::Status(204, ""), Reply::Status(410, "")]).await);
    let made = create(&service, WebhookEndpoint { disabled: Some(true), ..endpoint(&sink.uri()) }).await;
    let before = get(&service, &made.name).await.unwrap();
    let shown = test(&service, &made.name).await.unwrap();
    assert_eq!((shown.http_status, shown.state()), (204, pb::WebhookAttemptState::Succeeded));
    assert_eq!((shown.name.as_str(), shown.event.as_str(), shown.error.as_str()), ("", "", ""));
    assert!(shown.duration.is_some() && shown.attempt_time.is_some());
    let received = sink.received().remove(0);
    assert_eq!(received.header("webhook-id"), shown.webhook_id);
    let verifier = standardwebhooks::Webhook::new(&made.secret).unwrap();
    let signed = verifier.sign(
        &shown.webhook_id,
        received.header("webhook-timestamp").parse().unwrap(),
        received.body.as_bytes(),
    );
    assert_eq!(received.header("webhook-signature"), signed.unwrap());
    let body: serde_json::Value = serde_json::from_str(&received.body).unwrap();
    let expected = serde_json::json!({
        "uid": shown.webhook_id, "type": "webhook.test", "time": "2026-01-01T00:00:00.000000Z", "account": "default",
    });
    assert_eq!(body, expected);
    service.clock.advance(Duration::from_secs(5));
    let gone = test(&service, &made.name).await.unwrap();
    assert_eq!((gone.http_status, gone.error.as_str()), (410, "answered 410"));
    assert_eq!(gone.state(), pb::WebhookAttemptState::Failed);
    assert_eq!(get(&service, &made.name).await.unwrap(), before, "a test changes nothing of its endpoint");
    let list = pb::ListWebhookAttemptsRequest { parent: made.name.clone(), ..Default::default() };
    let listed = service.webhooks().list_webhook_attempts(list).await.unwrap().into_inner();
    assert_eq!(listed.webhook_attempts, [], "and is not kept");
    service.stop().await;
}

async fn second_test_of_an_endpoint_has_to_wait(database: TestDatabase) {
    let (service, sink) = (start(&database).await, Sink::start([]).await);
    let (one, other) = (create(&service, endpoint(&sink.uri())).await, create(&service, endpoint(&sink.uri())).await);
    let at_once = futures_util::future::join_all((0..4).map(|_| test(&service, &one.name))).await;
    assert_eq!(at_once.iter().filter(|answer| answer.is_ok()).count(), 1, "one of those that come at once");
    test(&service, &other.name).await.unwrap();
    service.clock.advance(Duration::from_secs(2));
    let status = refused(test(&service, &one.name).await, Code::ResourceExhausted, "RATE_LIMITED");
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().metadata["limit"], "webhook_tests");
    assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::from_secs(3)));
    // Another update of the row does not forget the test.
    let changed =
        WebhookEndpoint { name: one.name.clone(), uri: sink.uri(), disabled: Some(true), ..Default::default() };
    service.webhooks().update_webhook_endpoint(update(changed, &[])).await.unwrap();
    refused(test(&service, &one.name).await, Code::ResourceExhausted, "RATE_LIMITED");
    service.clock.advance(Duration::from_secs(3));
    test(&service, &one.name).await.unwrap();
    assert_eq!(sink.received().len(), 3);
    service.stop().await;
}

async fn test_reaches_no_network_that_is_not_allowed(database: TestDatabase) {
    let (service, sink) = (start(&database).await, Sink::start([]).await);
    let made = create(&service, endpoint(&sink.uri())).await;
    service.stop().await;
    // The network was allowed when the endpoint was created.
    let service = Service::start(&database).await;
    let refused = test(&service, &made.name).await.unwrap();
    assert_eq!((refused.http_status, refused.error.as_str()), (0, "no address that may be posted to"));
    assert_eq!(sink.received().len(), 0);
    service.stop().await;
}

async fn missing_attempt_is_not_found(database: TestDatabase) {
    let (service, key) = keys::start(&database, &[("ours", "*"), ("theirs", "*")]).await;
    let mut webhooks = service.webhooks();
    let create = super::endpoints::creation(endpoint(URI), "");
    let made = webhooks.create_webhook_endpoint(keys::with(&key[0], create)).await.unwrap().into_inner();
    let name = format!("{}/attempts/01920000-0000-7000-8000-000000000000", made.name);
    for key in &key {
        let get = pb::GetWebhookAttemptRequest { name: name.clone() };
        let status = webhooks.get_webhook_attempt(keys::with(key, get)).await;
        refused(status, Code::NotFound, "WEBHOOK_ATTEMPT_NOT_FOUND");
    }
    let foreign = pb::TestWebhookEndpointRequest { name: made.name.clone() };
    let foreign = webhooks.test_webhook_endpoint(keys::with(&key[1], foreign)).await;
    refused(foreign, Code::NotFound, "WEBHOOK_ENDPOINT_NOT_FOUND");
    for bad in ["", "x", made.name.as_str(), &format!("{}/attempts/x", made.name)] {
        let get = pb::GetWebhookAttemptRequest { name: bad.to_owned() };
        let status = webhooks.get_webhook_attempt(keys::with(&key[0], get)).await;
        assert_eq!(violated(&refused(status, Code::InvalidArgument, "INVALID_FIELD")), ["name"], "{bad}");
    }
    service.stop().await;
}
