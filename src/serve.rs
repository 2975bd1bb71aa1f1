//! The composition root: from a configuration and a listener to a running service, and to its end.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio::time::{timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use super::{pb, webhook};
use crate::api::execute::{Api, WebhookRules};
use crate::api::requests::permission_of;
use crate::api::{
    Access, ConnectionInvitations, Deliveries, Events, GuestInvitations, Invitations, Redemptions, UserInvitations,
    Watches, Webhooks,
};
use crate::auth::authenticator::{Authenticator, AuthenticatorError};
use crate::background::Background;
use crate::clock::Clock;
use crate::config::{
    Config, DeliveryConfig, ReminderTimes, RemindersConfig, StoreConfig, StoreUrl, TokenConfig, WebhooksConfig,
};
use crate::domain::decide::Context;
use crate::domain::delivery::reminder::{Schedule, Schedules};
use crate::domain::group::Group;
use crate::domain::secret::key_check::RingRefused;
use crate::domain::secret::key_ring::{KeyRing, KeyRingError};
use crate::domain::value::text::Invalid;
use crate::domain::value::time::Ttl;
use crate::domain::webhook::networks::Networks;
use crate::entropy::Entropy;
use crate::mail::compose::{Composer, TemplatesError};
use crate::mail::mailer::TemplateMailer;
use crate::mail::transport::{Transport, TransportError};
use crate::mail::worker::{MailWorker, MailWorkerOptions};
use crate::server::boundary::{Boundary, MAX_MESSAGE};
use crate::server::health::ReadinessCheck;
use crate::server::in_flight::InFlight;
use crate::server::{health, listener};
use crate::shutdown::Shutdown;
use crate::store::events::feed::EventFeed;
use crate::store::{Database, ExecutorOptions, Maintenance, OpenError, Store, StoreError};
use crate::webhook::client::WebhookClient;
use crate::webhook::worker::{SenderOptions, WebhookWorker};

/// The time that the start waits for the comparison of the keys with the database.
const KEY_CHECK_LIMIT: Duration = Duration::from_secs(10);

/// Why the service cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The credentials do not fit.
    #[error(transparent)]
    Auth(#[from] AuthenticatorError),
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The embedded database cannot be brought up to date.
    #[error("the schema cannot be brought up to date: {0}")]
    Migrate(#[from] StoreError),
    /// The keys do not fit.
    #[error("token.keys: {0}")]
    Keys(#[from] KeyRingError),
    /// PostgreSQL is shared between replicas, and so must the keys be.
    #[error("token.keys: required with PostgreSQL; make a key with `invitation-service token-key`")]
    NoKeys,
    /// The keys do not fit what the database has seen.
    #[error(transparent)]
    KeyRing(#[from] RingRefused),
    /// The file with the generated keys is gone, and a new key would make every link worthless.
    #[error(
        "{0} is missing, but the database beside it has been used: restore that file from a backup. To give up every link and \
         webhook secret instead, set token.keys to a new key with an id that was never used"
    )]
    KeyFileMissing(String),
    /// The file with the generated keys cannot be read or written.
    #[error("{0}: {1}")]
    KeyFile(String, io::Error),
    /// The default time of general invitations is none that an invitation can have.
    #[error("general.ttl: {}", .0.0)]
    GeneralTtl(Invalid),
    /// The templates of mail cannot be used.
    #[error(transparent)]
    Templates(#[from] TemplatesError),
    /// Mail cannot be sent the configured way.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The compiled protobuf files cannot be read.
    #[error("reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Runs the service on a listener until it is told to end.
pub async fn run(config: Config, listener: TcpListener, clock: Clock, shutdown: Shutdown) -> Result<(), ServeError> {
    let Config {
        grpc,
        store: store_config,
        token,
        auth,
        links,
        general,
        mail,
        delivery,
        reminders,
        events,
        webhooks,
        log: _,
        ..
    } = config;
    use_ring();
    let authenticator = Authenticator::new(&auth)?;
    let database = open(&store_config, clock.clone()).await?;
    let mut migrate = store_config.migrate_on_start;
    if migrate && database.is_embedded() {
        // The file is ours alone, so there is nothing to wait for: serve with the schema in place.
        database.maintenance().migrate().await?;
        migrate = false;
    }
    let ring = key_ring(&token, &store_config.url, &database.maintenance()).await?;
    let keys_fit = check_keys(&database.maintenance(), &ring).await?;
    let options = ExecutorOptions {
        lanes: store_config.lanes,
        queue: store_config.queue,
        timeout: store_config.timeout,
        context: Context {
            signing_key: ring.signing_key(),
            reminders: schedules(reminders),
            acceptance_notice: mail.acceptance_notice,
        },
        decide: Group::run,
    };
    let maintenance = database.maintenance();
    // The keys of an embedded database were compared above, and its time is the process's.
    let is_known = database.is_embedded();
    let keys = ring.fingerprints();
    let composer = Composer::new(&mail, &links, ring.clone())?;
    let transport = Transport::new(&mail)?;
    let store = Store::start(database, &options);
    let read_timeout = store_config.timeout;
    let background = Background::default();
    if delivery.enabled {
        let DeliveryConfig { enabled: _, lease, per_second, attempts } = delivery;
        let options = MailWorkerOptions { lease, concurrency: mail.smtp.connections, per_second, attempts };
        let post = TemplateMailer { store: store.clone(), ring: ring.clone(), composer, transport };
        let worker = MailWorker::new(store.clone(), Arc::new(post), clock.clone(), options);
        background.send_mail(worker, shutdown.drain.clone());
    }
    let networks = Networks::new(webhooks.allowed_networks.iter().copied());
    if webhooks.enabled {
        let posting = post_webhooks(&webhooks, &networks, store.clone(), &ring, &clock, &shutdown.drain);
        background.spawn(posting);
    }
    background.spawn(webhook::reseal::run(store.clone(), ring.clone(), shutdown.drain.clone()));
    let api = Api {
        store: store.clone(),
        ring,
        links,
        mail_domain: mail.from.domain.clone(),
        general_ttl: Ttl::parse(general.ttl).map_err(ServeError::GeneralTtl)?,
        clock,
        entropy: Entropy::system(),
        read_timeout,
        webhooks: WebhookRules { networks, rotation_overlap: webhooks.rotation_overlap },
    };

    let (reporter, health_service) = tonic_health::server::health_reporter();
    health::register(&reporter).await;
    let watches = Watches { tail: EventFeed::new(), patience: events.watch_patience, drain: shutdown.drain.clone() };
    background.follow(&store, &events, &watches.tail);
    let routes = routes(Arc::new(api), watches)?.add_service(health_service);
    let in_flight = InFlight::default();
    let open = if is_known { CancellationToken::new() } else { background.begin() };
    if is_known {
        open.cancel();
    }
    let boundary = Boundary::new(routes, authenticator, permission_of, grpc.request_timeout, in_flight.clone(), open);
    let look = ReadinessCheck { maintenance, migrate, keys, keys_fit };
    let watch = tokio::spawn(health::watch(reporter, look, background.begin(), shutdown.drain.clone()));
    let deadline = listener::serve(listener, boundary, in_flight, &grpc, &shutdown).await;

    let finish = async {
        // Its result is that of a task that was not cancelled and does not panic.
        drop(watch.await);
        background.end().await;
        store.close().await;
    };
    tokio::select! {
        finished = timeout_at(deadline, finish) => match finished {
            Ok(()) => tracing::info!("ended"),
            Err(_) => tracing::warn!("ended before the database was closed: the drain took too long"),
        },
        () = shutdown.now.cancelled() => tracing::warn!("ended at once"),
    }
    Ok(())
}

/// Makes ring the process's one provider of cryptography, before anything speaks TLS: libraries that are given the choice
/// between several refuse to choose.
fn use_ring() {
    // An error says that a provider is installed already, as in tests that serve several times.
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// Returns what posts events to endpoints until the service drains.
fn post_webhooks(
    config: &WebhooksConfig,
    networks: &Networks,
    store: Store,
    ring: &KeyRing,
    clock: &Clock,
    drain: &CancellationToken,
) -> impl Future<Output = ()> + Send + use<> {
    let options = SenderOptions::new(config.concurrency, config.timeout);
    let poster = WebhookClient::new(networks.clone(), config.timeout);
    let (ring, clock, drain) = (ring.clone(), clock.clone(), drain.clone());
    async move {
        match poster {
            Ok(poster) => {
                let sender = WebhookWorker::new(store.clone(), ring, poster, clock.clone(), options);
                webhook::run(sender, store, clock, drain).await;
            }
            // Everything else works without; what is to be posted waits for a process that can.
            Err(error) => tracing::error!(%error, "webhooks are not posted: the machine has no usable certificates"),
        }
    }
}

/// Puts the services together, with reflection in both versions: older clients know only the first.
fn routes(api: Arc<Api>, watches: Watches) -> Result<Routes, ServeError> {
    use pb::access_service_server::AccessServiceServer as AccessServer;
    use pb::connection_invitation_service_server::ConnectionInvitationServiceServer as ConnectionServer;
    use pb::delivery_service_server::DeliveryServiceServer as DeliveryServer;
    use pb::event_service_server::EventServiceServer as EventServer;
    use pb::guest_invitation_service_server::GuestInvitationServiceServer as GuestServer;
    use pb::invitation_service_server::InvitationServiceServer as InvitationServer;
    use pb::redemption_service_server::RedemptionServiceServer as RedemptionServer;
    use pb::user_invitation_service_server::UserInvitationServiceServer as UserServer;
    use pb::webhook_service_server::WebhookServiceServer as WebhookServer;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // So that grpcurl can show the details of errors.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let connections = ConnectionServer::new(ConnectionInvitations(Arc::clone(&api)));
    let redemptions = RedemptionServer::new(Redemptions(Arc::clone(&api)));
    let invitations = InvitationServer::new(Invitations(Arc::clone(&api)));
    let users = UserServer::new(UserInvitations(Arc::clone(&api)));
    let guests = GuestServer::new(GuestInvitations(Arc::clone(&api)));
    let access = AccessServer::new(Access(Arc::clone(&api)));
    let deliveries = DeliveryServer::new(Deliveries(Arc::clone(&api)));
    let webhooks = WebhookServer::new(Webhooks(Arc::clone(&api)));
    let events = EventServer::new(Events(api, watches));
    Ok(Routes::new(connections.max_decoding_message_size(MAX_MESSAGE))
        .add_service(users.max_decoding_message_size(MAX_MESSAGE))
        .add_service(access.max_decoding_message_size(MAX_MESSAGE))
        .add_service(guests.max_decoding_message_size(MAX_MESSAGE))
        .add_service(redemptions.max_decoding_message_size(MAX_MESSAGE))
        .add_service(invitations.max_decoding_message_size(MAX_MESSAGE))
        .add_service(deliveries.max_decoding_message_size(MAX_MESSAGE))
        .add_service(webhooks.max_decoding_message_size(MAX_MESSAGE))
        .add_service(events.max_decoding_message_size(MAX_MESSAGE))
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?))
}

fn schedules(reminders: RemindersConfig) -> Schedules {
    reminders.map(|ReminderTimes { after, before_expiry }| Schedule { after, before_expiry })
}

/// Opens the configured database; PostgreSQL need not be there yet.
pub async fn open(config: &StoreConfig, clock: Clock) -> Result<Database, OpenError> {
    let StoreConfig { url, migrate_on_start: _, max_connections, lanes: _, queue: _, timeout } = config;
    match url {
        StoreUrl::Sqlite(path) => Database::sqlite(path, *max_connections, *timeout, clock).await,
        StoreUrl::Postgres(url) => Database::postgres(url.expose_secret(), *max_connections, *timeout, clock),
    }
}

/// Compares the keys with those that the database knows. Returns false if the database is not there yet, or has no schema:
/// then readiness waits for the comparison.
async fn check_keys(maintenance: &Maintenance, ring: &KeyRing) -> Result<bool, ServeError> {
    let checking = async {
        if maintenance.is_ready().await? {
            maintenance.check_keys(&ring.fingerprints()).await.map(Some)
        } else {
            Ok(None)
        }
    };
    match timeout(KEY_CHECK_LIMIT, checking).await {
        Ok(Ok(Some(fits))) => Ok(fits.map(|()| true)?),
        Ok(Ok(None)) | Err(_) => Ok(false),
        Ok(Err(error)) => {
            tracing::warn!(%error, "token.keys is compared with the database when that answers");
            Ok(false)
        }
    }
}

/// Returns the configured keys; on SQLite, those in the file beside the database, made now if neither has been used.
async fn key_ring(config: &TokenConfig, url: &StoreUrl, maintenance: &Maintenance) -> Result<KeyRing, ServeError> {
    match (&config.keys, url) {
        (Some(keys), _) => Ok(KeyRing::parse(keys.expose_secret())?),
        (None, StoreUrl::Postgres(_)) => Err(ServeError::NoKeys),
        (None, StoreUrl::Sqlite(database)) => {
            let path = database.with_extension("keys");
            let failed = |error| ServeError::KeyFile(path.display().to_string(), error);
            let keys = match std::fs::read_to_string(&path) {
                Ok(keys) => keys,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if maintenance.is_used().await? {
                        return Err(ServeError::KeyFileMissing(path.display().to_string()));
                    }
                    make_keys(&path).map_err(failed)?
                }
                Err(error) => return Err(failed(error)),
            };
            Ok(KeyRing::parse(keys.trim())?)
        }
    }
}

/// Writes a new key to a file that only its owner can read.
fn make_keys(path: &Path) -> io::Result<String> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let keys = KeyRing::format_key(1, Entropy::system().bytes());
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    writeln!(file, "{keys}")?;
    file.sync_all()?;
    Ok(keys)
}
