//! Traces of a running service, as a collector gets them, and a collector that is away.

use std::sync::{Arc, Mutex};

use invitation_service::pb;
use invitation_service::pb::connection_invitation_service_client::ConnectionInvitationServiceClient;
use invitation_service::pb::webhook_service_client::WebhookServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tokio::time::{Duration, Instant, sleep};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use super::load::COMPANY;
use super::server::{PATIENCE, Server, refusal, run};
use crate::nats::headers;
use crate::support::database::TestDatabase;
use crate::support::folder::folder;
use crate::support::nats::Nats;
use crate::support::on_both;
use crate::support::pace::paced;
use crate::support::service::KEYS;
use crate::webhook::http_sink::Sink;

on_both!(trace_leads_from_the_call_to_the_statement_and_the_mail, trace_leads_from_the_event_to_webhooks_and_nats,);

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A collector that keeps what it gets.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Starts it and returns its address.
    async fn start() -> (Self, String) {
        let (collector, listener) = (Self::default(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let address = format!("http://{}", listener.local_addr().unwrap());
        let service = TraceServiceServer::new(collector.clone());
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        (collector, address)
    }

    fn spans(&self) -> Vec<Span> {
        let requests = self.0.lock().unwrap();
        let resources = requests.iter().flat_map(|request| &request.resource_spans);
        resources.flat_map(|resource| &resource.scope_spans).flat_map(|scope| scope.spans.clone()).collect()
    }

    /// Waits for a span.
    async fn span(&self, what: &str, is_it: impl Fn(&Span) -> bool) -> Span {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(span) = self.spans().into_iter().find(&is_it) {
                return span;
            }
            assert!(Instant::now() < until, "no {what} among {:#?}", self.spans());
            sleep(Duration::from_millis(20)).await;
        }
    }
}

fn hex(id: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(id)
}

fn attribute(span: &Span, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.clone()?.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{key} is {other:?}"),
    }
}

fn environment<'a>(database: &'a TestDatabase, endpoint: &'a str) -> [(&'a str, &'a str); 5] {
    [
        ("INVITATION__STORE__URL", database.url()),
        ("INVITATION__STORE__MIGRATE_ON_START", "true"),
        ("INVITATION__TOKEN__KEYS", KEYS),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ]
}

async fn trace_leads_from_the_call_to_the_statement_and_the_mail(database: TestDatabase) {
    let (collector, address) = Collector::start().await;
    let folder = folder();
    let server = Server::ready(folder.path(), &[], &environment(&database, &address)).await;
    let mut client = ConnectionInvitationServiceClient::new(server.channel().await);
    let invitation = pb::ConnectionInvitation {
        company_id: COMPANY.to_owned(),
        allowed_emails: vec!["ann@example.org".to_owned()],
        ..Default::default()
    };
    let create = pb::CreateConnectionInvitationRequest {
        connection_invitation: Some(invitation),
        send_email: Some(true),
        ..Default::default()
    };
    let mut request = Request::new(create);
    request.metadata_mut().insert("traceparent", format!("00-{TRACE}-{PARENT}-01").parse().unwrap());
    client.create_connection_invitation(request).await.unwrap();

    let call = collector.span("call", |span| hex(&span.parent_span_id) == PARENT).await;
    assert_eq!((hex(&call.trace_id).as_str(), call.kind), (TRACE, 2), "a server's");
    assert_eq!(call.name, "invitation.v1.ConnectionInvitationService/CreateConnectionInvitation");
    assert_eq!(attribute(&call, "rpc.response.status_code"), "OK");
    let group = collector.span("group", |span| span.parent_span_id == call.span_id && span.name == "group").await;
    assert_eq!((hex(&group.trace_id).as_str(), attribute(&group, "invitation.group.size").as_str()), (TRACE, "1"));
    let statement = collector.span("statement", |span| span.parent_span_id == group.span_id).await;
    assert!(!attribute(&statement, "db.query.text").is_empty() && hex(&statement.trace_id) == TRACE);
    let mail = collector.span("mail", |span| span.name == "mail").await;
    assert_ne!(hex(&mail.trace_id), TRACE, "it is a trace of its own");
    let links: Vec<_> = mail.links.iter().map(|link| (hex(&link.trace_id), link.span_id.clone())).collect();
    assert_eq!(links, [(TRACE.to_owned(), group.span_id.clone())]);

    // A caller that does not record its trace has none recorded here.
    let mut request = Request::new(pb::CreateConnectionInvitationRequest::default());
    let other = TRACE.replace('4', "5");
    request.metadata_mut().insert("traceparent", format!("00-{other}-{PARENT}-00").parse().unwrap());
    client.create_connection_invitation(request).await.unwrap_err();
    let get = pb::GetConnectionInvitationRequest { name: "connectionInvitations/x".to_owned() };
    client.get_connection_invitation(get).await.unwrap_err();
    let refused = collector.span("get", |span| span.name.ends_with("/GetConnectionInvitation")).await;
    assert!(refused.parent_span_id.is_empty(), "without a header a trace begins here");
    assert_eq!(attribute(&refused, "rpc.response.status_code"), "INVALID_ARGUMENT");
    server.stop().await;
    assert!(collector.spans().iter().all(|span| hex(&span.trace_id) != other));
    let text = format!("{:?}", collector.0.lock().unwrap());
    assert!(text.contains("invitation-service"), "the service's name");
    assert!(!text.contains("ann@example") && !text.contains(COMPANY), "spans name nobody: {text}");
}

async fn trace_leads_from_the_event_to_webhooks_and_nats(database: TestDatabase) {
    let Some(nats) = Nats::started() else { return };
    let (collector, address) = Collector::start().await;
    let (folder, sink, url) = (folder(), Sink::start([]).await, nats.url());
    let mut environment = environment(&database, &address).to_vec();
    environment.extend([
        ("INVITATION__WEBHOOKS__ENABLED", "true"),
        ("INVITATION__WEBHOOKS__ALLOWED_NETWORKS", "127.0.0.0/8"),
        ("INVITATION__EVENTS__NATS_URL", &url),
    ]);
    let server = Server::ready(folder.path(), &[], &environment).await;
    let (uri, event_types) = (sink.uri(), vec!["invitation.*".to_owned()]);
    let webhook_endpoint = Some(pb::WebhookEndpoint { uri, event_types, ..Default::default() });
    let endpoint = pb::CreateWebhookEndpointRequest { webhook_endpoint, ..Default::default() };
    let mut request = Request::new(endpoint);
    request.metadata_mut().insert("traceparent", format!("00-{TRACE}-{PARENT}-00").parse().unwrap());
    WebhookServiceClient::new(server.channel().await).create_webhook_endpoint(request).await.unwrap();
    server.create().await.one().await.unwrap();

    let group = collector.span("group", |span| span.name == "group").await;
    let mut told = Vec::new();
    for name in ["webhook", "nats"] {
        let span = collector.span(name, |span| span.name == name).await;
        let links: Vec<_> = span.links.iter().map(|link| (&link.trace_id, &link.span_id)).collect();
        assert_eq!(links, [(&group.trace_id, &group.span_id)], "{name}");
        assert_ne!(span.trace_id, group.trace_id, "{name} is a trace of its own");
        told.push(format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.span_id)));
    }
    let received = sink.received();
    let event: serde_json::Value = serde_json::from_str(&received[0].body).unwrap();
    let webhook = collector.span("webhook", |span| span.name == "webhook").await;
    assert_eq!(event["uid"], attribute(&webhook, "invitation.event"));
    assert!(!received[0].body.contains(&hex(&group.span_id)), "{}", received[0].body);
    assert_eq!(received[0].header("traceparent"), told[0]);
    assert_eq!(headers(&nats, 1, "traceparent").await, [Some(told[1].clone())]);
    server.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn collector_that_is_away_delays_nobody() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    for endpoint in ["http://127.0.0.1:9", &silent] {
        let (folder, database) = (folder(), TestDatabase::sqlite());
        let server = Server::ready(folder.path(), &[], &environment(&database, endpoint)).await;
        let mut create = server.create().await;
        create.one().await.unwrap();
        let began = Instant::now();
        for _ in 0..100 {
            create.one().await.unwrap();
        }
        assert!(began.elapsed() < paced(Duration::from_secs(5)), "{:?}", began.elapsed());
        let began = Instant::now();
        server.stop().await;
        assert!(began.elapsed() < paced(Duration::from_secs(3)), "{:?}", began.elapsed());
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn variables_of_traces_that_cannot_be_used_are_refused() {
    let (folder, database) = (folder(), TestDatabase::sqlite());
    for (variable, value, part) in [
        ("OTEL_TRACES_EXPORTER", "zipkin", "must be otlp or none"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "must be grpc"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "not a url", "OTEL_EXPORTER_OTLP"),
    ] {
        let mut environment = environment(&database, "http://127.0.0.1:9").to_vec();
        environment.retain(|(name, _)| *name != variable);
        environment.push((variable, value));
        let output = run(folder.path(), &["serve", "--listen", "127.0.0.1:0"], &environment).await;
        let text = refusal(&output);
        assert!(text.contains(part) && text.contains(variable.trim_end_matches("ENDPOINT")), "{variable}: {text}");
    }
}
