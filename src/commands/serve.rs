//! `serve`: runs the service until a signal ends it.

use std::net::SocketAddr;

use super::console::Console;
use super::{Exit, Failure, Outcome};
use crate::cli::ServeArgs;
use crate::clock::Clock;
use crate::config::{AuthConfig, Config};
use crate::entropy::Entropy;
use crate::serve::check::check;
use crate::serve::{self, Ended, Listeners};
use crate::shutdown::Shutdown;
use crate::telemetry::traces;

/// Runs the service.
pub(super) async fn run(args: ServeArgs, console: &mut Console) -> Outcome {
    let shutdown = on_signals()?;
    let config = args.load()?;
    let hint = hint(&config);
    serve(config, shutdown, console, move |address| hint.map(|hint| hint.replace("ADDRESS", &address.to_string())))
        .await
}

/// Receives signals: first of all, since one that comes before would end the process.
pub(super) fn on_signals() -> Result<Shutdown, Failure> {
    Shutdown::on_signals().map_err(|error| Failure::new(Exit::Failed, format!("signals cannot be received: {error}")))
}

/// Runs the service of a configuration. Prints what `hint` says of the address of the service once calls are taken.
pub(super) async fn serve(
    config: Config,
    shutdown: Shutdown,
    console: &mut Console,
    hint: impl FnOnce(SocketAddr) -> Option<String>,
) -> Outcome {
    console.start_log(&config.log)?;
    // One line like any other; the message of a panic may quote a value, so only the place is logged.
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        log_event!(error, PANICKED, location, "panicked");
    }));
    check(&config)?;
    let _traces = traces::init().map_err(|error| Failure::new(Exit::Configuration, error.to_string()))?;
    let listeners = Listeners::bind(&config).await.map_err(|text| Failure::new(Exit::Configuration, text))?;
    if config.grpc.tls.is_none() && !config.grpc.is_on_loopback() {
        warn_of_clear_text();
    }
    let listening = |listeners: &Listeners| {
        let address = |listener: &tokio::net::TcpListener| {
            listener.local_addr().map_or_else(|error| error.to_string(), |address| address.to_string())
        };
        if let Some(admin) = &listeners.admin {
            log_event!(info, LISTENING_FOR_PROBES, address = address(admin), "listening for probes");
        }
        if let Some(pages) = &listeners.pages {
            log_event!(info, LISTENING_FOR_PAGES, address = address(pages), "listening for requests for pages");
        }
        let address = address(&listeners.grpc);
        log_event!(info, LISTENING, address, version = env!("CARGO_PKG_VERSION"), "listening");
        if let Some(hint) = listeners.grpc.local_addr().ok().and_then(hint) {
            // The service needs nobody who reads it.
            drop(console.say(&hint));
        }
    };
    match serve::run(config, listeners, Clock::system(), shutdown, listening).await? {
        Ended::InOrder => Ok(Exit::Success),
        Ended::Cut => Ok(Exit::Cut),
    }
}

/// Says so where credentials and links may be read on their way.
fn warn_of_clear_text() {
    log_event!(
        warn,
        CLEAR_TEXT,
        "calls are served in clear text, with their credentials and links: set grpc.tls.cert_file and grpc.tls.key_file, or let \
         nothing but a proxy that speaks TLS reach this port"
    );
}

/// Returns a call to try, for people who start the service by hand.
fn hint(config: &Config) -> Option<String> {
    let AuthConfig::None = config.auth else { return None };
    let company_id = uuid::Uuid::from_bytes(Entropy::system().bytes());
    let security = if config.grpc.tls.is_some() { "-cacert CA.pem" } else { "-plaintext" };
    Some(format!(
        "Try: grpcurl {security} -d '{{\"connection_invitation\": {{\"company_id\": \"{company_id}\"}}}}' ADDRESS \
         invitation.v1.ConnectionInvitationService/CreateConnectionInvitation"
    ))
}
