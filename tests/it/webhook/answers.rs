//! The fate of a message by the answer of its endpoint, or the lack of one.

use std::time::Duration;

use invitation_service::domain::webhook::networks::Networks;
use invitation_service::domain::webhook::retry::BACKOFF;
use invitation_service::domain::webhook::{DisabledReason, Endpoint};
use tokio::net::TcpListener;

use super::build::Desk;
use super::http_sink::{Reply, Sink};
use crate::mail::authority::Authority;
use crate::support::build::commands::*;
use crate::support::database::TestDatabase;
use crate::support::on_both;

on_both!(
    migrated:
    redirect_is_no_success_and_is_not_followed,
    gone_disables_the_endpoint_and_cancels_what_waits,
    endpoint_that_asks_for_time_is_given_it,
    failed_message_is_retried_later_and_later_for_three_days,
    endpoint_that_fails_for_five_days_is_disabled,
    success_ends_a_row_of_failures,
    endless_answer_is_cut_off_and_counts_by_its_status,
    silence_is_cut_off_and_an_end_without_an_answer_fails,
    nobody_listening_is_a_failure,
    endpoint_without_a_valid_certificate_gets_nothing,
    closed_addresses_are_not_connected_to,
);

const HOUR: Duration = Duration::from_secs(3_600);

/// An endpoint with one event that is to be posted to it.
async fn one_event(desk: &Desk, uri: &str) -> Endpoint {
    let (endpoint, _) = desk.endpoint(uri, &[]).await;
    created(&desk.store, link()).await;
    desk.dispatch().await;
    endpoint
}

/// Posts what is due, and returns the status and the error of the last attempt.
async fn post(desk: &Desk, endpoint: &Endpoint) -> (Option<i32>, String) {
    assert_eq!(desk.sender().drain().await.unwrap(), 1);
    let last = desk.attempts(endpoint).await.pop().unwrap();
    (last.http_status, last.error.unwrap_or_default())
}

async fn redirect_is_no_success_and_is_not_followed(database: TestDatabase) {
    let (desk, elsewhere) = (Desk::new(&database).await, Sink::start([]).await);
    let location: &'static str = format!("location: {}\r\n", elsewhere.uri()).leak();
    for status in [301, 302, 307, 308] {
        let sink = Sink::start([Reply::Status(status, location)]).await;
        let endpoint = one_event(&desk, &sink.uri()).await;
        // The endpoints before this one get the event too, and take it.
        desk.sender().drain().await.unwrap();
        let attempts = desk.attempts(&endpoint).await;
        assert_eq!(attempts[0].http_status, Some(i32::from(status)));
        assert_eq!(attempts[0].error, Some(format!("answered {status}; redirects are not followed")));
        assert_eq!((sink.received().len(), elsewhere.received().len()), (1, 0));
        assert_eq!(desk.states(&endpoint).await, ["queued"]);
    }
}

async fn gone_disables_the_endpoint_and_cancels_what_waits(database: TestDatabase) {
    let (desk, sink) = (Desk::new(&database).await, Sink::start([Reply::Status(410, "")]).await);
    let (endpoint, _) = desk.endpoint(&sink.uri(), &[]).await;
    for _ in 0..3 {
        created(&desk.store, link()).await;
    }
    desk.dispatch().await;
    let mut one_at_a_time = desk.sender_to(Networks::new(["127.0.0.0/8".parse().unwrap()]), 1);
    one_at_a_time.drain().await.unwrap();
    let found = desk.get(&endpoint).await;
    assert_eq!(found.disabled_reason, Some(DisabledReason::Gone.into()));
    assert_eq!(found.disabled_at, Some(desk.clock.now()));
    assert_ne!(found.etag(), endpoint.etag());
    assert_eq!(desk.states(&endpoint).await, ["cancelled", "cancelled", "cancelled"]);
    assert_eq!(sink.received().len(), 1);
    created(&desk.store, link()).await;
    desk.dispatch().await;
    assert_eq!(desk.states(&endpoint).await.len(), 3, "and nothing more comes in");
}

async fn endpoint_that_asks_for_time_is_given_it(database: TestDatabase) {
    let desk = Desk::new(&database).await;
    for (status, asked, wanted) in [(429, "retry-after: 3600\r\n", HOUR), (503, "retry-after: 99999999\r\n", 24 * HOUR)]
    {
        let sink = Sink::start([Reply::Status(status, asked)]).await;
        let endpoint = one_event(&desk, &sink.uri()).await;
        desk.sender().drain().await.unwrap();
        assert_eq!(desk.delay(&endpoint).await, wanted, "{status}");
        assert_eq!(desk.attempts(&endpoint).await[0].error, Some(format!("answered {status}")));
    }
    let sink = Sink::start([Reply::Status(500, "retry-after: 3600\r\n")]).await;
    let endpoint = one_event(&desk, &sink.uri()).await;
    desk.sender().drain().await.unwrap();
    assert!(desk.delay(&endpoint).await <= BACKOFF.bound(1), "a failure of its own asks for nothing");
}

async fn failed_message_is_retried_later_and_later_for_three_days(database: TestDatabase) {
    let (desk, sink) = (Desk::new(&database).await, Sink::start(vec![Reply::Status(500, ""); 1_000]).await);
    let endpoint = one_event(&desk, &sink.uri()).await;
    let begun = desk.clock.now();
    let mut attempts = 0;
    let mut longest = Duration::ZERO;
    loop {
        attempts += 1;
        assert_eq!(post(&desk, &endpoint).await, (Some(500), "answered 500".to_owned()));
        if desk.states(&endpoint).await == ["failed"] {
            break;
        }
        let delay = desk.delay(&endpoint).await;
        assert!(delay <= BACKOFF.bound(attempts), "attempt {attempts}: {delay:?}");
        longest = longest.max(delay);
        assert_eq!(desk.sender().drain().await.unwrap(), 0, "not before its time");
        desk.clock.advance(delay);
    }
    let tried_for = u64::try_from(desk.clock.now().micros() - begun.micros()).unwrap();
    assert!(Duration::from_micros(tried_for) >= 72 * HOUR);
    assert!(longest > HOUR && attempts > 15, "{longest:?} {attempts}");
    let ids: std::collections::BTreeSet<_> =
        sink.received().iter().map(|received| received.header("webhook-id").to_owned()).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(desk.attempts(&endpoint).await.len(), attempts as usize);
    assert_eq!(desk.get(&endpoint).await.failing_since, Some(begun));
}

async fn endpoint_that_fails_for_five_days_is_disabled(database: TestDatabase) {
    let (desk, sink) = (Desk::new(&database).await, Sink::start(vec![Reply::Status(500, ""); 100]).await);
    let endpoint = one_event(&desk, &sink.uri()).await;
    post(&desk, &endpoint).await;
    let (since, second) = (desk.clock.now(), Duration::from_secs(1));
    desk.clock.advance(120 * HOUR - second);
    post(&desk, &endpoint).await;
    let found = desk.get(&endpoint).await;
    assert_eq!((found.failing_since, found.disabled_at, found.etag()), (Some(since), None, endpoint.etag()));
    for _ in 0..2 {
        created(&desk.store, link()).await;
    }
    desk.dispatch().await;
    desk.clock.advance(second);
    desk.sender_to(Networks::new(["127.0.0.0/8".parse().unwrap()]), 1).drain().await.unwrap();
    let found = desk.get(&endpoint).await;
    assert_eq!(found.disabled_reason, Some(DisabledReason::Failing.into()));
    let mut states = desk.states(&endpoint).await;
    states.sort();
    assert!(!states.contains(&"queued".to_owned()) || states.iter().filter(|state| *state == "queued").count() == 1);
    desk.clock.advance(24 * HOUR);
    desk.sender().drain().await.unwrap();
    assert!(!desk.states(&endpoint).await.contains(&"queued".to_owned()), "nothing is left to be posted");
    assert_eq!(sink.received().len(), 3);
}

async fn success_ends_a_row_of_failures(database: TestDatabase) {
    let (desk, sink) = (Desk::new(&database).await, Sink::start([Reply::Status(404, "")]).await);
    let endpoint = one_event(&desk, &sink.uri()).await;
    assert_eq!(post(&desk, &endpoint).await, (Some(404), "answered 404".to_owned()));
    assert_eq!(desk.get(&endpoint).await.failing_since, Some(desk.clock.now()));
    desk.clock.advance(desk.delay(&endpoint).await);
    assert_eq!(post(&desk, &endpoint).await, (Some(200), String::new()));
    let found = desk.get(&endpoint).await;
    assert_eq!((found.failing_since, found.etag()), (None, endpoint.etag()), "its health is no change of it");
}

async fn endless_answer_is_cut_off_and_counts_by_its_status(database: TestDatabase) {
    let (desk, sink) = (Desk::new(&database).await, Sink::start([Reply::Endless]).await);
    let endpoint = one_event(&desk, &sink.uri()).await;
    assert_eq!(post(&desk, &endpoint).await, (Some(200), String::new()));
    assert_eq!(desk.states(&endpoint).await, ["sent"]);
}

async fn silence_is_cut_off_and_an_end_without_an_answer_fails(database: TestDatabase) {
    let (desk, sink) = (Desk::new(&database).await, Sink::start([Reply::Silence, Reply::Close]).await);
    let endpoint = one_event(&desk, &sink.uri()).await;
    assert_eq!(post(&desk, &endpoint).await, (None, "no answer in time".to_owned()));
    desk.clock.advance(desk.delay(&endpoint).await);
    let (status, error) = post(&desk, &endpoint).await;
    assert_eq!(status, None);
    assert!(["no HTTP answer", "the connection broke"].contains(&error.as_str()), "{error}");
    assert_eq!(desk.states(&endpoint).await, ["queued"]);
}

async fn nobody_listening_is_a_failure(database: TestDatabase) {
    let desk = Desk::new(&database).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://127.0.0.1:{}/?key=private", listener.local_addr().unwrap().port());
    drop(listener);
    let endpoint = one_event(&desk, &uri).await;
    assert_eq!(post(&desk, &endpoint).await, (None, "connection refused".to_owned()));
}

async fn endpoint_without_a_valid_certificate_gets_nothing(database: TestDatabase) {
    let (desk, acceptor) = (Desk::new(&database).await, Authority::vouching_for("localhost").acceptor);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let uri = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    let shaken = tokio::spawn(async move { acceptor.accept(listener.accept().await.unwrap().0).await.map(drop) });
    let endpoint = one_event(&desk, &uri).await;
    assert_eq!(post(&desk, &endpoint).await, (None, "the certificate is not valid for us".to_owned()));
    shaken.await.unwrap().unwrap_err();
}

async fn closed_addresses_are_not_connected_to(database: TestDatabase) {
    let (desk, sink) = (Desk::new(&database).await, Sink::start([]).await);
    let port = sink.port;
    let uris = [
        // By the resolver.
        format!("https://localhost:{port}/"),
        format!("http://localhost:{port}/"),
        // Without it.
        format!("https://127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{port}/"),
        format!("https://0x7f.1:{port}/"),
        format!("https://[::ffff:127.0.0.1]:{port}/"),
        format!("https://[::1]:{port}/"),
        "https://10.0.0.1/".to_owned(),
        "https://192.168.0.1/".to_owned(),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "http://8.8.8.8/".to_owned(),
    ];
    let mut endpoints = Vec::new();
    for uri in &uris {
        endpoints.push(desk.endpoint(uri, &[]).await.0);
    }
    created(&desk.store, link()).await;
    desk.dispatch().await;
    assert_eq!(desk.sender_to(Networks::default(), 32).drain().await.unwrap(), uris.len());
    for endpoint in &endpoints {
        let attempt = desk.attempts(endpoint).await.remove(0);
        assert_eq!(
            (attempt.http_status, attempt.error.as_deref()),
            (None, Some("no address that may be posted to")),
            "{}",
            endpoint.uri
        );
    }
    assert_eq!(sink.received().len(), 0);
    desk.clock.advance(Duration::from_secs(10));
    desk.sender().drain().await.unwrap();
    let arrived = sink.received().len();
    assert_eq!(arrived, 2, "what the configuration adds is connected to, by name and by address");
}
