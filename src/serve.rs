//! The composition root: from a configuration and a listener to a running service, and to its end.

mod accounts;
mod api_keys;
pub mod check;
mod client_certificates;
mod database;
mod entry_file;
pub mod erasures;
mod error;
mod jwt;
mod keys;
mod listeners;
mod logins;
mod metrics;
mod options;
mod tls;
mod token_keys;

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::api::execute::rates::Rates;
use crate::api::execute::{Api, WebhookRules};
use crate::api::requests::{answer_size, paths, required_by, services};
use crate::api::{Watches, routes};
use crate::auth::accounts::Accounts;
use crate::auth::authenticator::Authenticator;
use crate::auth::client_certificate::ClientCertificates;
use crate::auth::key_directory::KeyDirectory;
use crate::background::api_keys as api_keys_of_database;
use crate::background::event_feed::EventFeed;
use crate::background::{Background, event_feed, expiry, prune, sequencer, standby};
use crate::clock::Clock;
use crate::config::{AuthConfig, Config, DeliveryConfig, EntryFile};
use crate::domain::decide::Context;
use crate::domain::group::Group;
use crate::domain::secret::key_ring::KeyRing;
use crate::domain::suppression::SuppressionRule;
use crate::domain::value::time::Ttl;
use crate::entropy::Entropy;
use crate::mail::compose::Composer;
use crate::mail::mailer::TemplateMailer;
use crate::mail::transport::{SharedTransport, Transport};
use crate::mail::worker::{MailWorker, MailWorkerOptions};
use crate::pages::{Pages, listener as pages_listener};
use crate::pb::health::health_server::HealthServer;
use crate::server::boundary::{Boundary, CallRules, Rpcs};
use crate::server::faces::{Faces, Openness};
use crate::server::health::ReadinessCheck;
use crate::server::health::service::HealthService;
use crate::server::in_flight::InFlight;
use crate::server::listener::Tls;
use crate::server::open_services::{OpenServices, Switches};
use crate::server::{health, listener};
use crate::shutdown::Shutdown;
use crate::store::events::listener as notifications;
use crate::store::{ExecutorOptions, Store};
use crate::telemetry::metrics::exporter::Exporter;
use crate::tls::ServerTls;
use crate::webhook::client::WebhookClient;
use crate::webhook::tester::WebhookTester;
use crate::webhook::worker::{WebhookWorker, WebhookWorkerOptions};
use crate::{nats, webhook};
use keys::{check_keys, key_ring};
use metrics::Observed;
use options::{networks, quotas, retention, schedules};

pub use database::{open, wait_for};
pub use error::ServeError;
pub(crate) use keys::{generated as generated_keys, read_generated};
pub use listeners::Listeners;

/// The end of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every call was answered, and the database was closed.
    InOrder,
    /// Calls were cut off, or the database was not closed: the drain took too long, or a second SIGINT came.
    Cut,
}

/// Runs the service on its sockets until it is told to end. Calls `listening` when everything has been checked and calls are taken.
pub async fn run(
    config: Config,
    listeners: Listeners,
    clock: Clock,
    shutdown: Shutdown,
    listening: impl FnOnce(&Listeners),
) -> Result<Ended, ServeError> {
    install_crypto_provider();
    // Nothing is noted where nobody can ask for it.
    let exporter = listeners.admin.is_some().then(Exporter::install);
    let jwt = config.jwt.clone().map(|jwt| (jwt::verifier(&jwt.entries, clock.clone()), jwt));
    let verifier = jwt.as_ref().map(|(verifier, _)| verifier.clone());
    let (directory, asks) = KeyDirectory::new();
    let (observed_jwt, observed_clock) = (verifier.clone(), clock.clone());
    let authenticator = Authenticator::new(&config.auth, directory.clone(), clock.clone())?.with_jwt(verifier);
    let OpenStore { store, ring, readiness, is_known } = Box::pin(build_store(&config, &clock)).await?;
    let drain = &shutdown.drain;
    let feed = EventFeed::new();
    let background = Background::new(shutdown.files.clone());
    start_background(&background, &config, &store, &ring, &feed, &clock, drain)?;
    logins::follow(&background, &config, &store, &ring);
    follow_api_keys(&config, &authenticator, &background);
    if let Some((verifier, jwt)) = jwt {
        background.spawn_at_once(jwt::run(verifier, jwt, background.follow()));
    }
    if let AuthConfig::Required { .. } = &config.auth {
        let (clock, stop, has_others) = (clock.clone(), background.stop(), config.names_callers());
        background.spawn(api_keys_of_database::run(store.clone(), directory, asks, clock, has_others, stop));
    }
    let tls = build_tls(&config, &clock, &background)?;
    let (patience, checkpoint_interval) = (config.events.watch_patience, config.events.checkpoint_interval);
    let watches = Watches::new(feed, patience, checkpoint_interval, drain.clone());
    let (readiness_sender, health_service) = HealthService::new(services());
    let accounts = follow_accounts(&config, &background);
    let rules = CallRules::new(&config, &clock);
    let of_pages = (ring.clone(), clock.clone(), accounts.clone());
    let routes = build_services(&config, &store, ring, clock, watches, accounts)?;
    let routes = routes.add_service(HealthServer::new(health_service.clone()));
    listening(&listeners);
    // Probes are answered until everything else has ended.
    let end_of_probes = CancellationToken::new();
    let _end_of_probes = end_of_probes.clone().drop_guard();
    let in_flight = InFlight::default();
    if let (Some(admin), Some(exporter)) = (listeners.admin, &exporter) {
        let observed = Observed {
            store: store.clone(),
            authenticator: authenticator.clone(),
            jwt: observed_jwt,
            clock: observed_clock,
            health: health_service.clone(),
            in_flight: in_flight.clone(),
            publishes: config.events.nats.is_some(),
        };
        metrics::observe(exporter, &background, observed);
        tokio::spawn(listener::admin::serve(admin, health_service.clone(), exporter.clone(), end_of_probes));
    }
    let open = if is_known { CancellationToken::new() } else { background.begin() };
    if is_known {
        open.cancel();
    }
    let rpcs = Rpcs { required_by, answer_size, paths };
    let (health, reflection) = (config.grpc.health, config.grpc.reflection);
    let needs_credential = authenticator.needs_credential();
    let open_services = OpenServices::new(Switches { health, reflection, needs_credential });
    let boundary = Boundary::new(routes, authenticator, rpcs, rules, in_flight.clone(), open_services, open);
    // Like probes, pages are cut off with the end of everything else.
    let end_of_pages = CancellationToken::new();
    let _end_of_pages = end_of_pages.clone().drop_guard();
    if let Some(pages) = listeners.pages {
        let end = pages_listener::End { drain: drain.clone(), delay: config.grpc.drain_delay, cut: end_of_pages };
        let answering = Pages::new(&config, of_pages, boundary.clone(), in_flight.clone())?;
        tokio::spawn(pages_listener::serve(pages, Arc::new(answering), end));
    }
    let probes = health.then_some(health_service);
    let openness = Openness { is_open: matches!(config.auth, AuthConfig::None), is_described: reflection };
    let faces = Faces::new(boundary, config.grpc.cors_origins.clone(), probes, openness);
    let watch = tokio::spawn(health::watch(readiness_sender, readiness, background.begin(), drain.clone()));
    let (deadline, drained) = listener::serve(listeners.grpc, faces, in_flight, tls, &config.grpc, &shutdown).await;

    let finish = async {
        // A look at a database that does not answer would be waited for. A migration that is cut off goes on at the next start.
        watch.abort();
        drop(watch.await);
        background.end().await;
        exporter.iter().for_each(Exporter::clear_on_scrape);
        store.close().await;
    };
    tokio::select! {
        finished = timeout_at(deadline, finish) => match finished {
            Ok(()) if drained => {
                log_event!(info, ENDED, "ended");
                return Ok(Ended::InOrder);
            }
            Ok(()) => log_event!(warn, ENDED, "ended after cutting calls off"),
            Err(_) => log_event!(warn, ENDED, "ended before the database was closed: the drain took too long"),
        },
        () = shutdown.now.cancelled() => log_event!(warn, ENDED, "ended at once"),
    }
    Ok(Ended::Cut)
}

/// The store with its keys.
struct OpenStore {
    store: Store,
    ring: KeyRing,
    readiness: ReadinessCheck,
    /// Whether the time and the keys of the database are known, so that calls can be answered at once.
    is_known: bool,
}

/// Opens the database, brings an embedded one up to date, and compares the keys with it.
async fn build_store(config: &Config, clock: &Clock) -> Result<OpenStore, ServeError> {
    let database = open(&config.store, clock.clone()).await?;
    let maintenance = database.maintenance();
    // An embedded database is a file of this process alone: nothing has to be waited for.
    let is_known = database.is_embedded();
    if config.store.migrate_on_start && is_known {
        maintenance.migrate().await?;
    }
    let ring = key_ring(&config.token, &config.store.url, &maintenance).await?;
    let readiness = ReadinessCheck {
        keys_fit: check_keys(&maintenance, &ring).await?,
        ring: ring.clone(),
        migrate: config.store.migrate_on_start && !is_known,
        maintenance,
    };
    let options = ExecutorOptions {
        lanes: config.store.lanes,
        queue: config.store.queue,
        timeout: config.store.timeout,
        context: Context {
            signing_key: ring.signing_key(),
            reminders: schedules(&config.reminders),
            notices: config.notices,
            quotas: quotas(config, &ring),
        },
        decide: Group::run,
    };
    Ok(OpenStore { store: Store::start(database, &options), ring, readiness, is_known })
}

/// Starts the tasks beside the calls. Mail and webhooks begin nothing more once the service drains, and finish what they are
/// sending meanwhile; the others go on until the last call has ended.
fn start_background(
    background: &Background,
    config: &Config,
    store: &Store,
    ring: &KeyRing,
    feed: &EventFeed,
    clock: &Clock,
    drain: &CancellationToken,
) -> Result<(), ServeError> {
    let composer = Composer::new(&config.mail, &config.links, ring.clone())?;
    let transport = SharedTransport::new(Transport::new(&config.mail)?);
    let DeliveryConfig { enabled, lease, per_second, attempts } = config.delivery;
    if enabled {
        let options = MailWorkerOptions { lease, concurrency: config.mail.smtp.connections, per_second, attempts };
        let mailer =
            TemplateMailer { store: store.clone(), ring: ring.clone(), composer, transport: transport.clone() };
        let worker = MailWorker::new(store.clone(), Arc::new(mailer), clock.clone(), options);
        let worker = worker.following(transport.clone()).obeying(SuppressionRule { ring: ring.clone() });
        background.spawn(worker.run(drain.clone()));
        let settings = (config.mail.clone(), config.delivery, config.links.clone());
        let url_file = config.files.mail_url.clone();
        background.spawn_at_once(logins::follow_mail(transport, settings, url_file, ring.clone(), background.follow()));
    }
    if config.webhooks.enabled {
        background.spawn(post_webhooks(config, store, ring, clock, drain));
    }
    background.spawn(webhook::reseal::run(store.clone(), ring.clone(), drain.clone()));
    let stop = background.stop();
    background.spawn(notifications::run(store.clone(), stop.clone()));
    background.spawn(sequencer::run(store.clone(), stop.clone()));
    background.spawn(event_feed::run(store.clone(), feed.clone(), stop.clone()));
    background.spawn(expiry::run(store.clone(), config.events.expiry_interval, stop.clone()));
    background.spawn(prune::run(store.clone(), retention(config), stop.clone()));
    background.spawn(standby::run(store.clone(), stop.clone()));
    if let Some(nats) = &config.events.nats {
        let urls = watch::Sender::new(nats.url.clone());
        background.spawn(nats::run(store.clone(), nats.clone(), urls.subscribe(), stop));
        if let Some(path) = &config.files.nats_url {
            background.spawn_at_once(logins::follow_nats(urls, path.clone(), ring.clone(), background.follow()));
        }
    }
    Ok(())
}

/// Starts the task that puts a changed file of API keys to work.
fn follow_api_keys(config: &Config, authenticator: &Authenticator, background: &Background) {
    let AuthConfig::Required { api_keys } = &config.auth else { return };
    let Some(file) = &config.files.api_keys else { return };
    let file = EntryFile { path: file.to_owned(), entries: api_keys.clone() };
    background.spawn_at_once(api_keys::run(authenticator.clone(), file, background.follow()));
}

/// Returns the rules of accounts, and starts the task that puts a changed file of them to work.
fn follow_accounts(config: &Config, background: &Background) -> Accounts {
    let accounts = Accounts::default();
    if let Some(file) = &config.accounts {
        accounts.replace(&file.entries);
        background.spawn_at_once(accounts::run(accounts.clone(), file.clone(), background.follow()));
    }
    accounts
}

/// Returns the TLS of connections, if they have one, and starts the task that puts a changed certificate to work.
fn build_tls(config: &Config, clock: &Clock, background: &Background) -> Result<Option<Tls>, ServeError> {
    let Some(tls) = &config.grpc.tls else { return Ok(None) };
    let server = ServerTls::new(&tls.identity, tls.client_authorities.as_ref()).map_err(ServeError::Tls)?;
    let clients = match (&config.client_certificates, &tls.client_authorities) {
        (Some(table), Some(authorities)) => {
            let clients = ClientCertificates::new(&table.entries, authorities.clone(), clock.clone())?;
            background.spawn_at_once(client_certificates::run(clients.clone(), table.clone(), background.follow()));
            Some(clients)
        }
        _ => None,
    };
    background.spawn_at_once(tls::run(
        server.clone(),
        clients.clone(),
        tls.clone(),
        clock.clone(),
        background.follow(),
    ));
    Ok(Some(Tls { server, clients }))
}

/// Returns the task that posts events to endpoints until the service drains.
fn post_webhooks(
    config: &Config,
    store: &Store,
    ring: &KeyRing,
    clock: &Clock,
    drain: &CancellationToken,
) -> impl Future<Output = ()> + Send + use<> {
    let timeout = config.webhooks.timeout;
    let options = WebhookWorkerOptions::new(config.webhooks.concurrency, timeout);
    let client = WebhookClient::new(networks(config), timeout);
    let (store, ring, clock, drain) = (store.clone(), ring.clone(), clock.clone(), drain.clone());
    async move {
        match client {
            Ok(client) => {
                let worker = WebhookWorker::new(store.clone(), ring, client, clock.clone(), options);
                webhook::run(worker, store, clock, drain).await;
            }
            // Everything else works without; messages to endpoints wait for a process that can post them.
            Err(error) => log_event!(error, WEBHOOKS_OFF, %error, "webhooks are not posted: no usable certificates"),
        }
    }
}

/// Puts the services together.
fn build_services(
    config: &Config,
    store: &Store,
    ring: KeyRing,
    clock: Clock,
    watches: Watches,
    accounts: Accounts,
) -> Result<Routes, ServeError> {
    // A client that cannot be made is logged by the task that posts events.
    let client = WebhookClient::new(networks(config), config.webhooks.timeout);
    let api = Api {
        store: store.clone(),
        links: config.links.clone(),
        mail_domain: config.mail.from.domain.clone(),
        general_ttl: Ttl::parse(config.general.ttl).map_err(ServeError::GeneralTtl)?,
        rates: Rates::new(&config.limits, &clock),
        quotas: quotas(config, &ring),
        max_api_keys: config.limits.api_keys_per_account,
        clock,
        entropy: Entropy::system(),
        read_timeout: config.store.timeout,
        webhooks: WebhookRules {
            networks: networks(config),
            rotation_overlap: config.webhooks.rotation_overlap,
            tester: WebhookTester::new(client.ok(), ring.clone()),
        },
        ring,
        accounts,
        policy: config.policy.clone(),
    };
    Ok(routes(Arc::new(api), watches)?)
}

/// Makes ring the process's one provider of cryptography, before anything speaks TLS: libraries that are given the choice
/// between several refuse to choose.
fn install_crypto_provider() {
    // An error says that a provider is installed already, as in tests that serve several times.
    drop(rustls::crypto::ring::default_provider().install_default());
}
