//! The format of an endpoint: as it is created, changed and shown, and as its tests have it.

use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::WebhookEndpoint;

use super::endpoints::{URI, create, creation, endpoint, get, update};
use super::test_endpoint::{start, test};
use crate::support::database::TestDatabase;
use crate::support::expect::violated;
use crate::support::on_both;
use crate::support::service::Service;
use crate::webhook::http_sink::Sink;

on_both!(migrated: endpoint_has_the_format_that_it_was_given, test_has_the_format_of_its_endpoint);

async fn endpoint_has_the_format_that_it_was_given(database: TestDatabase) {
    let service = Service::start(&database).await;
    let binary = pb::EventFormat::CloudEventsBinary;
    let made = create(&service, WebhookEndpoint { event_format: binary.into(), ..endpoint(URI) }).await;
    let change = WebhookEndpoint { uri: "https://example.com/other".to_owned(), ..made.clone() };
    let unset = WebhookEndpoint { event_format: 0, ..change };
    let changed = service.webhooks().update_webhook_endpoint(update(unset.clone(), &[])).await.unwrap().into_inner();
    assert_eq!((made.event_format(), changed.event_format()), (binary, binary), "a field that is not set stays");
    assert_eq!(get(&service, &made.name).await.unwrap(), changed);
    let reset = WebhookEndpoint { etag: String::new(), ..unset };
    let reset = service.webhooks().update_webhook_endpoint(update(reset, &["event_format"])).await.unwrap();
    assert_eq!(reset.into_inner().event_format(), pb::EventFormat::ProtoJson);
    let changed = WebhookEndpoint { name: made.name, event_format: 99, ..Default::default() };
    let refused = service.webhooks().update_webhook_endpoint(update(changed, &[])).await.unwrap_err();
    assert_eq!(violated(&refused), ["webhook_endpoint.event_format"]);
    let unknown = WebhookEndpoint { event_format: 99, ..endpoint(URI) };
    let refused = service.webhooks().create_webhook_endpoint(creation(unknown, "")).await.unwrap_err();
    assert_eq!(violated(&refused), ["webhook_endpoint.event_format"]);
    service.stop().await;
}

async fn test_has_the_format_of_its_endpoint(database: TestDatabase) {
    let (service, sink) = (start(&database).await, Sink::start([]).await);
    let made = create(&service, endpoint(&sink.uri())).await;
    assert_eq!(made.event_format(), pb::EventFormat::ProtoJson);
    for (format, content_type) in [
        (pb::EventFormat::CloudEventsStructured, "application/cloudevents+json"),
        (pb::EventFormat::CloudEventsBinary, "application/json"),
    ] {
        let change = WebhookEndpoint { name: made.name.clone(), event_format: format.into(), ..Default::default() };
        let changed = service.webhooks().update_webhook_endpoint(update(change, &[])).await.unwrap().into_inner();
        assert_eq!(changed.event_format(), format);
        service.clock.advance(Duration::from_secs(5));
        let shown = test(&service, &made.name).await.unwrap();
        let received = sink.received().pop().unwrap();
        assert_eq!(received.header("content-type"), content_type);
        let body: serde_json::Value = serde_json::from_str(&received.body).unwrap();
        let (event_type, source) = ("invitation-service.webhook.test", "//invitation-service/accounts/default");
        match format {
            pb::EventFormat::CloudEventsStructured => {
                assert_eq!((&body["id"], &body["type"]), (&shown.webhook_id.clone().into(), &event_type.into()));
                assert_eq!((&body["source"], &body["data"]["type"]), (&source.into(), &"webhook.test".into()));
                assert!(body.get("subject").is_none() && body.get("partitionkey").is_none(), "{body}");
            }
            _ => {
                assert_eq!((received.header("ce-id"), received.header("ce-type")), (&*shown.webhook_id, event_type));
                assert_eq!((received.header("ce-source"), &body["type"]), (source, &"webhook.test".into()));
                assert!(received.headers.get("ce-subject").is_none());
            }
        }
        let at = received.header("webhook-timestamp").parse().unwrap();
        let verifier = standardwebhooks::Webhook::new(&made.secret).unwrap();
        let signed = verifier.sign(&shown.webhook_id, at, received.body.as_bytes()).unwrap();
        assert_eq!(received.header("webhook-signature"), signed);
    }
    service.stop().await;
}
