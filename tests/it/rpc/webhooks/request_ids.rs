//! Changes of webhook endpoints happen once per request_id, whatever comes between.

use std::collections::BTreeSet;

use invitation_service::pb;
use invitation_service::pb::WebhookEndpoint;
use tonic::Code;

use super::endpoints::{URI, create, creation, deletion, endpoint, get, rotation, update};
use crate::support::database::TestDatabase;
use crate::support::expect::refused;
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    retry_makes_no_second_endpoint_and_gets_the_secret,
    request_id_is_executed_once,
    of_many_at_once_with_one_request_id_one_rotates,
    concurrent_deletes_with_one_request_id_delete_one_endpoint,
);

async fn retry_makes_no_second_endpoint_and_gets_the_secret(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut webhooks = service.webhooks();
    let made = webhooks.create_webhook_endpoint(creation(endpoint(URI), "once")).await.unwrap().into_inner();
    let again = webhooks.create_webhook_endpoint(creation(endpoint(URI), "once")).await.unwrap().into_inner();
    assert_eq!(again, made);
    let other = webhooks.create_webhook_endpoint(creation(endpoint("https://example.org/"), "once")).await;
    refused(other, Code::FailedPrecondition, "REQUEST_ID_REUSED");
    let attempts = (0..8).map(|_| {
        let mut webhooks = service.webhooks();
        tokio::spawn(async move { webhooks.create_webhook_endpoint(creation(endpoint(URI), "at-once")).await })
    });
    let mut names = BTreeSet::new();
    for attempt in attempts.collect::<Vec<_>>() {
        let made = attempt.await.unwrap().unwrap().into_inner();
        names.insert((made.name, made.secret));
    }
    assert_eq!(names.len(), 1);
    service.stop().await;
}

async fn request_id_is_executed_once(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut webhooks = service.webhooks();
    let made = create(&service, endpoint(URI)).await;
    let set = |disabled: bool| {
        let disabled = Some(disabled);
        let changed =
            WebhookEndpoint { name: made.name.clone(), etag: made.etag.clone(), disabled, ..Default::default() };
        pb::UpdateWebhookEndpointRequest { request_id: "r".to_owned(), ..update(changed, &["disabled"]) }
    };
    let disabled = webhooks.update_webhook_endpoint(set(true)).await.unwrap().into_inner();
    let back = WebhookEndpoint { name: made.name.clone(), ..Default::default() };
    let enabled = webhooks.update_webhook_endpoint(update(back, &["disabled"])).await.unwrap().into_inner();
    assert!(disabled.disabled == Some(true) && enabled.disabled == Some(false));
    let again = webhooks.update_webhook_endpoint(set(true)).await.unwrap().into_inner();
    assert_eq!(again, enabled, "as it now is, whatever the etag was");
    refused(webhooks.update_webhook_endpoint(set(false)).await, Code::FailedPrecondition, "REQUEST_ID_REUSED");

    // The endpoint is enabled already: the call changes nothing, and so does its retry.
    let enable = |request_id: &str| {
        let changed = WebhookEndpoint { name: made.name.clone(), ..Default::default() };
        pb::UpdateWebhookEndpointRequest { request_id: request_id.to_owned(), ..update(changed, &["disabled"]) }
    };
    webhooks.update_webhook_endpoint(enable("same")).await.unwrap();
    let off = WebhookEndpoint { name: made.name.clone(), disabled: Some(true), ..Default::default() };
    webhooks.update_webhook_endpoint(update(off, &["disabled"])).await.unwrap();
    assert!(webhooks.update_webhook_endpoint(enable("same")).await.unwrap().into_inner().disabled());
    webhooks.update_webhook_endpoint(enable("")).await.unwrap();

    let rotated = webhooks.rotate_webhook_secret(rotation(&made.name, "", "r")).await.unwrap().into_inner();
    webhooks.rotate_webhook_secret(rotation(&made.name, "", "")).await.unwrap();
    let again = webhooks.rotate_webhook_secret(rotation(&made.name, "", "r")).await.unwrap().into_inner();
    assert_ne!(again.secret, rotated.secret, "as it now is, with the present secret");
    let other = webhooks.rotate_webhook_secret(rotation(&made.name, &again.etag, "r")).await;
    refused(other, Code::FailedPrecondition, "REQUEST_ID_REUSED");

    let delete = |name: &str| pb::DeleteWebhookEndpointRequest { request_id: "r".to_owned(), ..deletion(name, "") };
    let kept = webhooks.create_webhook_endpoint(creation(endpoint(URI), "r")).await.unwrap().into_inner();
    webhooks.delete_webhook_endpoint(delete(&made.name)).await.unwrap();
    webhooks.delete_webhook_endpoint(delete(&made.name)).await.unwrap();
    let other = webhooks.delete_webhook_endpoint(delete(&kept.name)).await;
    refused(other, Code::FailedPrecondition, "REQUEST_ID_REUSED");
    let lost = webhooks.update_webhook_endpoint(set(true)).await;
    refused(lost, Code::NotFound, "WEBHOOK_ENDPOINT_NOT_FOUND");
    webhooks.delete_webhook_endpoint(deletion(&kept.name, "")).await.unwrap();
    let lost = webhooks.create_webhook_endpoint(creation(endpoint(URI), "r")).await;
    refused(lost, Code::NotFound, "WEBHOOK_ENDPOINT_NOT_FOUND");
    service.stop().await;
}

async fn of_many_at_once_with_one_request_id_one_rotates(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = create(&service, endpoint(URI)).await;
    let attempts = (0..16).map(|_| {
        let (mut webhooks, made) = (service.webhooks(), made.clone());
        tokio::spawn(async move { webhooks.rotate_webhook_secret(rotation(&made.name, &made.etag, "at-once")).await })
    });
    let mut answers = Vec::new();
    for attempt in attempts.collect::<Vec<_>>() {
        answers.push(attempt.await.unwrap().unwrap().into_inner());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    assert_eq!(get(&service, &made.name).await.unwrap().etag, answers[0].etag, "rotated once");
    service.stop().await;
}

async fn concurrent_deletes_with_one_request_id_delete_one_endpoint(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = [create(&service, endpoint(URI)).await, create(&service, endpoint(URI)).await];
    let attempts = made.iter().cycle().take(16).map(|made| {
        let (mut webhooks, name, etag) = (service.webhooks(), made.name.clone(), made.etag.clone());
        let delete =
            pb::DeleteWebhookEndpointRequest { name, etag, request_id: "at-once".to_owned(), ..Default::default() };
        tokio::spawn(async move { webhooks.delete_webhook_endpoint(delete).await })
    });
    let mut answers = Vec::new();
    for attempt in attempts.collect::<Vec<_>>() {
        answers.push(attempt.await.unwrap().map(drop));
    }
    let (deleted, kept) = if answers[0].is_ok() { (0, 1) } else { (1, 0) };
    for (index, answer) in answers.into_iter().enumerate() {
        if index % 2 == deleted {
            answer.unwrap();
        } else {
            refused(answer, Code::FailedPrecondition, "REQUEST_ID_REUSED");
        }
    }
    refused(get(&service, &made[deleted].name).await, Code::NotFound, "WEBHOOK_ENDPOINT_NOT_FOUND");
    assert!(!get(&service, &made[kept].name).await.unwrap().disabled());
    service.stop().await;
}
