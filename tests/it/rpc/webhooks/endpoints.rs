//! Webhook endpoints: made, shown, changed, rotated, deleted, and what is posted to them.

use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::pb;
use invitation_service::pb::WebhookEndpoint;
use prost_types::FieldMask;
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt;

use crate::rpc::redemption::keys;
use crate::support::build::guests::HOST;
use crate::support::build::messages;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::{Service, configuration};
use crate::webhook::http_sink::{Reply, Sink};

on_both!(
    migrated:
    endpoint_shows_its_secret_when_it_is_made_and_never_again,
    rotation_gives_a_new_secret_once_per_request_id,
    update_sets_what_its_mask_says,
    deleted_endpoint_is_gone_with_its_attempts,
    lists_page_both_ways,
    all_that_is_wrong_is_told_at_once,
    account_has_fifty_endpoints_at_most,
    endpoint_is_hidden_from_other_accounts_and_bound_keys,
    event_is_posted_listed_and_redelivered,
);

pub(crate) const URI: &str = "https://example.com/hook";

pub(crate) fn endpoint(uri: &str) -> WebhookEndpoint {
    WebhookEndpoint { uri: uri.to_owned(), ..Default::default() }
}

pub(crate) fn creation(endpoint: WebhookEndpoint, request_id: &str) -> pb::CreateWebhookEndpointRequest {
    pb::CreateWebhookEndpointRequest {
        webhook_endpoint: Some(endpoint),
        request_id: request_id.to_owned(),
        ..Default::default()
    }
}

pub(crate) async fn create(service: &Service, endpoint: WebhookEndpoint) -> WebhookEndpoint {
    service.webhooks().create_webhook_endpoint(creation(endpoint, "")).await.unwrap().into_inner()
}

pub(crate) async fn get(service: &Service, name: &str) -> Result<WebhookEndpoint, Status> {
    let request = pb::GetWebhookEndpointRequest { name: name.to_owned() };
    service.webhooks().get_webhook_endpoint(request).await.map(Response::into_inner)
}

pub(crate) fn update(endpoint: WebhookEndpoint, paths: &[&str]) -> pb::UpdateWebhookEndpointRequest {
    let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
    let update_mask = (!paths.is_empty()).then_some(FieldMask { paths });
    pb::UpdateWebhookEndpointRequest { webhook_endpoint: Some(endpoint), update_mask, ..Default::default() }
}

pub(crate) fn rotation(name: &str, etag: &str, request_id: &str) -> pb::RotateWebhookSecretRequest {
    let (name, etag, request_id) = (name.to_owned(), etag.to_owned(), request_id.to_owned());
    pb::RotateWebhookSecretRequest { name, etag, request_id, ..Default::default() }
}

pub(crate) fn deletion(name: &str, etag: &str) -> pb::DeleteWebhookEndpointRequest {
    pb::DeleteWebhookEndpointRequest { name: name.to_owned(), etag: etag.to_owned(), ..Default::default() }
}

fn attempts(name: &str) -> pb::ListWebhookAttemptsRequest {
    pb::ListWebhookAttemptsRequest { parent: name.to_owned(), ..Default::default() }
}

fn redelivery(name: &str, start: i64, end: Option<i64>) -> pb::RedeliverWebhookEventsRequest {
    let (start_time, end_time) = (messages::at(start), end.and_then(messages::at));
    let time = Some(pb::TimeRange { start_time, end_time });
    pb::RedeliverWebhookEventsRequest { name: name.to_owned(), time, ..Default::default() }
}

async fn endpoint_shows_its_secret_when_it_is_made_and_never_again(database: TestDatabase) {
    let service = Service::start(&database).await;
    let types = vec!["invitation.accepted".to_owned(), "delivery.*".to_owned(), "invitation.accepted".to_owned()];
    let made = create(&service, WebhookEndpoint { event_types: types.clone(), ..endpoint(URI) }).await;
    assert_eq!(made.name, format!("webhookEndpoints/{}", made.uid));
    assert_eq!((made.uri.as_str(), made.event_types.as_slice()), (URI, &types[..2]));
    assert!(made.secret.starts_with("whsec_") && made.secret.len() == 50, "32 bytes in base64");
    assert!(standardwebhooks::Webhook::new(&made.secret).is_ok());
    assert_eq!((made.creator.as_str(), made.create_time, made.disabled), ("anonymous", messages::at(0), Some(false)));
    let shown = get(&service, &made.name).await.unwrap();
    assert_eq!(shown, WebhookEndpoint { secret: String::new(), ..made.clone() });
    let other = create(&service, endpoint(URI)).await;
    assert!(other.name != made.name && other.secret != made.secret, "the same address may be there twice");
    // The database does not hold the secret itself.
    let raw = database.connect().await;
    let sql = "SELECT secret FROM webhook_endpoint";
    let statement = sea_orm::Statement::from_string(sea_orm::ConnectionTrait::get_database_backend(&raw), sql);
    for row in sea_orm::ConnectionTrait::query_all_raw(&raw, statement).await.unwrap() {
        let sealed: String = row.try_get("", "secret").unwrap();
        assert!(!sealed.contains(&made.secret[6..]) && sealed.len() > 80);
    }
    service.stop().await;
}

async fn rotation_gives_a_new_secret_once_per_request_id(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut webhooks = service.webhooks();
    let made = create(&service, endpoint(URI)).await;
    let rotated = webhooks.rotate_webhook_secret(rotation(&made.name, &made.etag, "r1")).await.unwrap().into_inner();
    assert!(rotated.secret.starts_with("whsec_") && rotated.secret != made.secret && rotated.etag != made.etag);
    assert_eq!(rotated.previous_secret_expire_time, messages::at(86_400));
    let again = webhooks.rotate_webhook_secret(rotation(&made.name, &made.etag, "r1")).await.unwrap().into_inner();
    assert_eq!(again, rotated, "a retry needs no new etag");
    let stale = webhooks.rotate_webhook_secret(rotation(&made.name, &made.etag, "r2")).await;
    refused(stale, Code::Aborted, "ETAG_MISMATCH");
    let next = webhooks.rotate_webhook_secret(rotation(&made.name, "", "")).await.unwrap().into_inner();
    assert_ne!(next.secret, rotated.secret);
    service.clock.advance(Duration::from_secs(86_400));
    let shown = get(&service, &made.name).await.unwrap();
    assert_eq!((shown.previous_secret_expire_time, shown.secret.as_str()), (None, ""));
    service.stop().await;
}

async fn update_sets_what_its_mask_says(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut webhooks = service.webhooks();
    let made = create(&service, endpoint(URI)).await;
    let named = WebhookEndpoint { name: made.name.clone(), ..Default::default() };
    let (other, types) = ("https://example.org/".to_owned(), vec!["invitation.created".to_owned()]);
    let given =
        WebhookEndpoint { uri: other.clone(), event_types: types.clone(), disabled: Some(true), ..named.clone() };
    service.clock.advance(Duration::from_secs(1));
    let one = webhooks.update_webhook_endpoint(update(given.clone(), &["uri"])).await.unwrap().into_inner();
    let expected = WebhookEndpoint {
        uri: other,
        etag: one.etag.clone(),
        update_time: messages::at(1),
        secret: String::new(),
        ..made.clone()
    };
    assert!(one == expected && one.etag != made.etag, "{one:?}");
    let all = webhooks.update_webhook_endpoint(update(given.clone(), &[])).await.unwrap().into_inner();
    assert_eq!((all.event_types.clone(), all.disabled, all.disable_time), (types, Some(true), messages::at(1)));
    let same = webhooks.update_webhook_endpoint(update(given, &["*"])).await.unwrap().into_inner();
    assert_eq!(same.etag, all.etag, "nothing has changed");
    let enabled = webhooks.update_webhook_endpoint(update(named.clone(), &["disabled", "event_types"])).await.unwrap();
    let enabled = enabled.into_inner();
    assert!(enabled.disabled == Some(false) && enabled.event_types.is_empty(), "what the mask names is emptied");
    assert_eq!((enabled.disable_time, enabled.disabled_reason()), (None, pb::WebhookDisabledReason::Unspecified));
    for disabled in [true, false] {
        // Without a mask, what is set is changed: false is not the same as unset.
        let set = WebhookEndpoint { disabled: Some(disabled), ..named.clone() };
        let shown = webhooks.update_webhook_endpoint(update(set, &[])).await.unwrap().into_inner();
        assert_eq!(shown.disabled, Some(disabled));
    }
    let stale = WebhookEndpoint { etag: made.etag.clone(), disabled: Some(true), ..named.clone() };
    let refusal = webhooks.update_webhook_endpoint(update(stale, &["disabled"])).await;
    refused(refusal, Code::Aborted, "ETAG_MISMATCH");
    service.stop().await;
}

async fn deleted_endpoint_is_gone_with_its_attempts(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut webhooks = service.webhooks();
    let made = create(&service, endpoint(URI)).await;
    let kept = create(&service, endpoint(URI)).await;
    refused(webhooks.delete_webhook_endpoint(deletion(&made.name, "\"7\"")).await, Code::Aborted, "ETAG_MISMATCH");
    webhooks.delete_webhook_endpoint(deletion(&made.name, &made.etag)).await.unwrap();
    for gone in [
        webhooks.delete_webhook_endpoint(deletion(&made.name, "")).await.map(drop),
        get(&service, &made.name).await.map(drop),
        webhooks.list_webhook_attempts(attempts(&made.name)).await.map(drop),
        webhooks.redeliver_webhook_events(redelivery(&made.name, -1, None)).await.map(drop),
        webhooks.rotate_webhook_secret(rotation(&made.name, "", "")).await.map(drop),
        webhooks.update_webhook_endpoint(update(made, &["uri"])).await.map(drop),
    ] {
        refused(gone, Code::NotFound, "WEBHOOK_ENDPOINT_NOT_FOUND");
    }
    get(&service, &kept.name).await.unwrap();
    service.stop().await;
}

async fn lists_page_both_ways(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut oldest_first = Vec::new();
    for _ in 0..5 {
        service.clock.advance(Duration::from_secs(1));
        oldest_first.push(WebhookEndpoint { secret: String::new(), ..create(&service, endpoint(URI)).await });
    }
    for (order_by, reverse) in [("create_time", false), ("", true)] {
        let order_by = order_by.to_owned();
        let mut request = pb::ListWebhookEndpointsRequest { page_size: 2, order_by, ..Default::default() };
        let mut seen = Vec::new();
        loop {
            let page = service.webhooks().list_webhook_endpoints(request.clone()).await.unwrap().into_inner();
            seen.extend(page.webhook_endpoints);
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        if reverse {
            seen.reverse();
        }
        assert_eq!(seen, oldest_first);
    }
    service.stop().await;
}

async fn all_that_is_wrong_is_told_at_once(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut webhooks = service.webhooks();
    let wrong = |status: Result<(), Status>| violated(&refused(status, Code::InvalidArgument, "INVALID_FIELD"));
    let (uri, types) = ("webhook_endpoint.uri", "webhook_endpoint.event_types");
    for (given, request_id, fields) in [
        (WebhookEndpoint::default(), "", vec![uri.to_owned()]),
        (
            WebhookEndpoint {
                event_types: vec!["invitation.created".to_owned(), "accepted".to_owned()],
                ..endpoint("http://example.com/")
            },
            "a b",
            vec!["request_id".to_owned(), uri.to_owned(), format!("{types}[1]")],
        ),
        (endpoint("https://127.0.0.1/"), "", vec![uri.to_owned()]),
        (endpoint("https://user@example.com/"), "", vec![uri.to_owned()]),
        (
            WebhookEndpoint { event_types: vec!["invitation.created".to_owned(); 201], ..endpoint(URI) },
            "",
            vec![types.to_owned()],
        ),
    ] {
        assert_eq!(wrong(webhooks.create_webhook_endpoint(creation(given, request_id)).await.map(drop)), fields);
    }
    let status = webhooks.update_webhook_endpoint(update(endpoint("x"), &["uri", "secret", "name"])).await;
    assert_eq!(
        wrong(status.map(drop)),
        ["webhook_endpoint.name", "update_mask.paths[1]", "update_mask.paths[2]", "webhook_endpoint.uri"]
    );
    for name in ["", "x", "webhookEndpoints/", "webhookEndpoints/x", "invitations/01920000-0000-7000-8000-00000000c0de"]
    {
        let request = pb::GetWebhookEndpointRequest { name: name.to_owned() };
        assert_eq!(wrong(webhooks.get_webhook_endpoint(request).await.map(drop)), ["name"]);
        assert_eq!(wrong(webhooks.delete_webhook_endpoint(deletion(name, "")).await.map(drop)), ["name"]);
        assert_eq!(wrong(webhooks.rotate_webhook_secret(rotation(name, "", "")).await.map(drop)), ["name"]);
        assert_eq!(wrong(webhooks.list_webhook_attempts(attempts(name)).await.map(drop)), ["parent"]);
    }
    let status = webhooks.redeliver_webhook_events(pb::RedeliverWebhookEventsRequest::default()).await;
    assert_eq!(wrong(status.map(drop)), ["name", "time"]);
    let made = create(&service, endpoint(URI)).await;
    for (since, until, field) in
        [(10, Some(10), "time.end_time"), (10, Some(5), "time.end_time"), (10, None, "time.start_time")]
    {
        let status = webhooks.redeliver_webhook_events(redelivery(&made.name, since, until)).await;
        assert_eq!(wrong(status.map(drop)), [field]);
    }
    service.stop().await;
}

async fn account_has_fifty_endpoints_at_most(database: TestDatabase) {
    let service = Service::start(&database).await;
    for _ in 0..48 {
        create(&service, endpoint(URI)).await;
    }
    let attempts = (0..6).map(|_| {
        let mut webhooks = service.webhooks();
        tokio::spawn(async move { webhooks.create_webhook_endpoint(creation(endpoint(URI), "")).await })
    });
    let mut made = Vec::new();
    for attempt in attempts.collect::<Vec<_>>() {
        match attempt.await.unwrap() {
            Ok(endpoint) => made.push(endpoint.into_inner()),
            Err(status) => {
                let status = refused(Err::<(), _>(status), Code::ResourceExhausted, "QUOTA_EXCEEDED");
                let details = status.get_error_details();
                assert_eq!(details.error_info().unwrap().metadata["limit"], "webhook_endpoints");
                let subjects = details.quota_failure().unwrap().violations.iter().map(|failure| &failure.subject);
                assert_eq!(subjects.collect::<Vec<_>>(), ["webhook_endpoints"]);
            }
        }
    }
    assert_eq!(made.len(), 2, "also when they come at once");
    service.webhooks().delete_webhook_endpoint(deletion(&made[0].name, "")).await.unwrap();
    create(&service, endpoint(URI)).await;
    service.stop().await;
}

async fn endpoint_is_hidden_from_other_accounts_and_bound_keys(database: TestDatabase) {
    let credentials = [("ours", "*", None), ("theirs", "*", None), ("ours", "*", Some(HOST))];
    let (service, key) = keys::start_bound(&database, &credentials).await;
    let mut webhooks = service.webhooks();
    let made = webhooks.create_webhook_endpoint(keys::with(&key[0], creation(endpoint(URI), "id"))).await.unwrap();
    let made = made.into_inner();
    let own = webhooks.create_webhook_endpoint(keys::with(&key[1], creation(endpoint(URI), "id"))).await.unwrap();
    assert_ne!(own.into_inner().name, made.name, "a request_id is an account's own");
    let listed = webhooks.list_webhook_endpoints(keys::with(&key[1], Default::default())).await.unwrap().into_inner();
    assert_eq!(listed.webhook_endpoints.len(), 1);
    let name = made.name.as_str();
    for (key, code, reason) in [
        (&key[1], Code::NotFound, "WEBHOOK_ENDPOINT_NOT_FOUND"),
        (&key[2], Code::PermissionDenied, "ORGANIZATION_ACCESS_DENIED"),
    ] {
        let get = keys::with(key, pb::GetWebhookEndpointRequest { name: name.to_owned() });
        let since = redelivery(name, -1, None);
        for result in [
            webhooks.get_webhook_endpoint(get).await.map(drop),
            webhooks.update_webhook_endpoint(keys::with(key, update(made.clone(), &["uri"]))).await.map(drop),
            webhooks.rotate_webhook_secret(keys::with(key, rotation(name, "", ""))).await.map(drop),
            webhooks.list_webhook_attempts(keys::with(key, attempts(name))).await.map(drop),
            webhooks.redeliver_webhook_events(keys::with(key, since)).await.map(drop),
            webhooks.delete_webhook_endpoint(keys::with(key, deletion(name, ""))).await.map(drop),
        ] {
            refused(result, code, reason);
        }
    }
    let bound: Request<pb::CreateWebhookEndpointRequest> = keys::with(&key[2], Default::default());
    let denied = webhooks.create_webhook_endpoint(bound).await.map(drop);
    refused(denied, Code::PermissionDenied, "ORGANIZATION_ACCESS_DENIED");
    let denied = webhooks.list_webhook_endpoints(keys::with(&key[2], Default::default())).await.map(drop);
    refused(denied, Code::PermissionDenied, "ORGANIZATION_ACCESS_DENIED");
    service.stop().await;
}

async fn event_is_posted_listed_and_redelivered(database: TestDatabase) {
    let sink = Sink::start([Reply::Status(500, "")]).await;
    let more = [("INVITATION__WEBHOOKS__ENABLED", "true"), ("INVITATION__WEBHOOKS__ALLOWED_NETWORKS", "127.0.0.0/8")];
    let service = Service::start_with(configuration(&database, &more), Clock::manual(NEW_YEAR)).await;
    let mut webhooks = service.webhooks();
    let made = create(&service, endpoint(&sink.uri())).await;
    let invitation = messages::create(&service, messages::invitation()).await;
    sink.wait_for(1).await;
    // The sender's commit follows the answer; nothing tells when.
    let listed = loop {
        let page = webhooks.list_webhook_attempts(attempts(&made.name)).await.unwrap().into_inner();
        if let [attempt] = page.webhook_attempts.as_slice() {
            break attempt.clone();
        }
    };
    let name = listed.name.clone();
    let got = webhooks.get_webhook_attempt(pb::GetWebhookAttemptRequest { name }).await.unwrap().into_inner();
    assert_eq!(got, listed);
    let narrowed = async |states: &[pb::WebhookAttemptState], event: &str| {
        let states = states.iter().map(|state| (*state).into()).collect();
        let request = pb::ListWebhookAttemptsRequest { states, event: event.to_owned(), ..attempts(&made.name) };
        let mut webhooks = service.webhooks();
        webhooks.list_webhook_attempts(request).await.unwrap().into_inner().webhook_attempts.len()
    };
    use pb::WebhookAttemptState::{Failed, Succeeded};
    assert_eq!((narrowed(&[Failed], &listed.event).await, narrowed(&[Succeeded], "").await), (1, 0));
    let other = format!("invitations/{}/events/2", invitation.uid);
    assert_eq!((narrowed(&[Failed, Succeeded], "").await, narrowed(&[], &other).await), (1, 0));
    let received = sink.received().remove(0);
    assert_eq!(listed.webhook_id, received.header("webhook-id"));
    assert_eq!((listed.http_status, listed.error.as_str()), (500, "answered 500"));
    assert_eq!(
        (listed.event, listed.attempt_time),
        (format!("invitations/{}/events/1", invitation.uid), messages::at(0))
    );
    assert!(listed.name.starts_with(&format!("{}/attempts/", made.name)));
    assert_eq!(get(&service, &made.name).await.unwrap().failing_since_time, messages::at(0));
    let stale = pb::RedeliverWebhookEventsRequest { etag: "\"7\"".to_owned(), ..redelivery(&made.name, -60, None) };
    refused(webhooks.redeliver_webhook_events(stale).await, Code::Aborted, "ETAG_MISMATCH");
    let once = pb::RedeliverWebhookEventsRequest { request_id: "r".to_owned(), ..redelivery(&made.name, -60, None) };
    let answer = webhooks.redeliver_webhook_events(once.clone()).await.unwrap().into_inner();
    assert_eq!(answer.redelivered_count, 1);
    let received = sink.wait_for(2).await;
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
    assert!(!received[1].body.contains("inv_"), "no token in what is posted");
    let answer = webhooks.redeliver_webhook_events(once.clone()).await.unwrap().into_inner();
    assert_eq!(answer.redelivered_count, 1, "a retry counts again");
    messages::create(&service, messages::invitation()).await;
    let next = sink.wait_for(3).await.remove(2);
    assert_ne!(next.header("webhook-id"), received[1].header("webhook-id"), "and has nothing posted again");
    let disabled = WebhookEndpoint { disabled: Some(true), ..made.clone() };
    let disabled = WebhookEndpoint { etag: String::new(), ..disabled };
    webhooks.update_webhook_endpoint(update(disabled, &["disabled"])).await.unwrap();
    webhooks.redeliver_webhook_events(once.clone()).await.unwrap();
    let other = pb::RedeliverWebhookEventsRequest {
        time: Some(pb::TimeRange { start_time: messages::at(-61), end_time: None }),
        ..once
    };
    refused(webhooks.redeliver_webhook_events(other).await, Code::FailedPrecondition, "REQUEST_ID_REUSED");
    let refusal = webhooks.redeliver_webhook_events(redelivery(&made.name, -60, None)).await.map(drop);
    refused(refusal, Code::FailedPrecondition, "WEBHOOK_ENDPOINT_DISABLED");
    webhooks.delete_webhook_endpoint(deletion(&made.name, "")).await.unwrap();
    service.stop().await;
}
