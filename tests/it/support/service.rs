//! The service in this process, and clients that speak to it over a real connection.

use std::net::SocketAddr;

use invitation_service::clock::Clock;
use invitation_service::config::{Config, StoreUrl};
use invitation_service::pb::access_service_client::AccessServiceClient;
use invitation_service::pb::connection_invitation_service_client::ConnectionInvitationServiceClient;
use invitation_service::pb::delivery_service_client::DeliveryServiceClient;
use invitation_service::pb::event_service_client::EventServiceClient;
use invitation_service::pb::guest_invitation_service_client::GuestInvitationServiceClient;
use invitation_service::pb::invitation_service_client::InvitationServiceClient;
use invitation_service::pb::privacy_service_client::PrivacyServiceClient;
use invitation_service::pb::redemption_service_client::RedemptionServiceClient;
use invitation_service::pb::scope_service_client::ScopeServiceClient;
use invitation_service::pb::suppression_service_client::SuppressionServiceClient;
use invitation_service::pb::user_invitation_service_client::UserInvitationServiceClient;
use invitation_service::pb::webhook_service_client::WebhookServiceClient;
use invitation_service::serve::{Ended, Listeners, ServeError, run};
use invitation_service::shutdown::Shutdown;
use sea_orm::DatabaseConnection;
use secrecy::ExposeSecret;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};

use super::database::{NEW_YEAR, TestDatabase};
use super::{pooler, postgres};

/// Two keys; the first signs.
pub(crate) const KEYS: &str =
    "2:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=,1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// A running service.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    /// The address of the pages, if the configuration has them.
    pub(crate) pages: Option<SocketAddr>,
    pub(crate) clock: Clock,
    pub(crate) channel: Channel,
    pub(crate) shutdown: Shutdown,
    pub(crate) task: JoinHandle<Result<Ended, ServeError>>,
    store: StoreUrl,
    kept: OnceCell<DatabaseConnection>,
}

/// The configuration of a test's service: that of a user, but for the address, the database and the keys.
pub(crate) fn configuration(database: &TestDatabase, more: &[(&'static str, &str)]) -> Config {
    let mut environment = vec![
        ("INVITATION__GRPC__LISTEN", "127.0.0.1:0"),
        ("INVITATION__STORE__URL", database.url()),
        ("INVITATION__STORE__MIGRATE_ON_START", "true"),
        ("INVITATION__STORE__TIMEOUT", "8s"),
        ("INVITATION__TOKEN__KEYS", KEYS),
        ("INVITATION__LINKS__REDIRECTS", "https://app.example, https://other.example"),
        // Whoever tests what is sent says so.
        ("INVITATION__DELIVERY__ENABLED", "false"),
        ("INVITATION__WEBHOOKS__ENABLED", "false"),
        // Time passes by hand, so what it brings about does too, but where a test asks for it.
        ("INVITATION__EVENTS__EXPIRY_INTERVAL", "1h"),
    ];
    if pooler::is_pooled() && database.url().starts_with("postgres") {
        environment.push(("INVITATION__STORE__POOLER", "transaction"));
        environment.push(("INVITATION__STORE__LISTEN_URL", database.direct()));
    }
    if let Some(role) = postgres::reader_role().filter(|_| database.url().starts_with("postgres")) {
        environment.push(("INVITATION__STORE__READER_ROLE", role));
    }
    environment.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    environment.extend(more);
    Config::load(None, environment, []).unwrap()
}

impl Service {
    /// Starts a service without credentials on a database, at New Year.
    pub(crate) async fn start(database: &TestDatabase) -> Self {
        Self::start_with(configuration(database, &[]), Clock::manual(NEW_YEAR)).await
    }

    /// Starts a service and waits until it is ready.
    pub(crate) async fn start_with(config: Config, clock: Clock) -> Self {
        let listeners = Listeners::bind(&config).await.unwrap();
        let address = listeners.grpc.local_addr().unwrap();
        let pages = listeners.pages.as_ref().map(|listener| listener.local_addr().unwrap());
        let (shutdown, store) = (Shutdown::default(), config.store.url.clone());
        let mut task = tokio::spawn(run(config, listeners, clock.clone(), shutdown.clone(), |_| {}));
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let channel = tokio::select! {
            connected = endpoint.connect() => connected,
            ended = &mut task => panic!("the service ended at its start: {ended:?}"),
        }
        .unwrap();
        let service = Self { address, pages, clock, channel, shutdown, task, store, kept: OnceCell::new() };
        service.until_ready().await;
        service
    }

    /// Waits, on the health service's own stream, until the service says that it serves.
    async fn until_ready(&self) {
        use invitation_service::pb::health::HealthCheckRequest;
        use invitation_service::pb::health::health_client::HealthClient;
        let service = invitation_service::pb::invitation_service_server::SERVICE_NAME.to_owned();
        let mut health = HealthClient::new(self.channel.clone());
        let mut watch = health.watch(HealthCheckRequest { service }).await.unwrap().into_inner();
        while let Some(answer) = watch.message().await.unwrap() {
            if answer.status() == invitation_service::pb::health::health_check_response::ServingStatus::Serving {
                return;
            }
        }
        panic!("the service ended before it was ready");
    }

    /// Ends the service as SIGTERM does and waits for its end.
    pub(crate) async fn stop(self) {
        if let Some(kept) = self.kept.into_inner() {
            kept.close().await.unwrap();
        }
        self.shutdown.drain.cancel();
        self.task.await.unwrap().unwrap();
    }

    /// Connects to its database past it, to look at rows.
    pub(crate) async fn connect(&self) -> DatabaseConnection {
        let url = match &self.store {
            StoreUrl::Sqlite(path) => format!("sqlite://{}", path.display()),
            StoreUrl::Postgres(url) => postgres::past_pooler(url.expose_secret()),
        };
        sea_orm::Database::connect(url).await.unwrap()
    }

    /// Connects the first time, and keeps the connection until the service is stopped: for tests that look often.
    pub(crate) async fn connected(&self) -> &DatabaseConnection {
        self.kept.get_or_init(|| self.connect()).await
    }

    pub(crate) fn connections(&self) -> ConnectionInvitationServiceClient<Channel> {
        ConnectionInvitationServiceClient::new(self.channel.clone())
    }

    pub(crate) fn users(&self) -> UserInvitationServiceClient<Channel> {
        UserInvitationServiceClient::new(self.channel.clone())
    }

    pub(crate) fn guests(&self) -> GuestInvitationServiceClient<Channel> {
        GuestInvitationServiceClient::new(self.channel.clone())
    }

    pub(crate) fn access(&self) -> AccessServiceClient<Channel> {
        AccessServiceClient::new(self.channel.clone())
    }

    pub(crate) fn redemptions(&self) -> RedemptionServiceClient<Channel> {
        RedemptionServiceClient::new(self.channel.clone())
    }

    pub(crate) fn invitations(&self) -> InvitationServiceClient<Channel> {
        InvitationServiceClient::new(self.channel.clone())
    }

    pub(crate) fn scopes(&self) -> ScopeServiceClient<Channel> {
        ScopeServiceClient::new(self.channel.clone())
    }

    pub(crate) fn deliveries(&self) -> DeliveryServiceClient<Channel> {
        DeliveryServiceClient::new(self.channel.clone())
    }

    pub(crate) fn privacy(&self) -> PrivacyServiceClient<Channel> {
        PrivacyServiceClient::new(self.channel.clone())
    }

    pub(crate) fn suppressions(&self) -> SuppressionServiceClient<Channel> {
        SuppressionServiceClient::new(self.channel.clone())
    }

    pub(crate) fn events(&self) -> EventServiceClient<Channel> {
        EventServiceClient::new(self.channel.clone())
    }

    pub(crate) fn webhooks(&self) -> WebhookServiceClient<Channel> {
        WebhookServiceClient::new(self.channel.clone())
    }
}
