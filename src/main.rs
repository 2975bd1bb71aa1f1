//! Parses the arguments, runs the command, and exits with a code.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command line is talked to by print")]

use std::error::Error;
use std::process::ExitCode;

use invitation_service::auth::audit::{KeyEvent, audit};
use invitation_service::cli::api_key::NewApiKey;
use invitation_service::cli::{
    self, ApiKeyCommand, Command, CreateApiKeyArgs, EraseAgainArgs, RetireKeyArgs, ServeArgs,
};
use invitation_service::clock::Clock;
use invitation_service::config::{AuthConfig, Config};
use invitation_service::entropy::Entropy;
use invitation_service::serve::Listeners;
use invitation_service::shutdown::Shutdown;
use invitation_service::store::{ApiKeyCreated, WriteOnce};
use invitation_service::{serve, telemetry};

/// The service makes and drops many small values on several threads, where the system's allocator is slow.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome = Result<(), Box<dyn Error>>;

#[tokio::main]
async fn main() -> ExitCode {
    // Boxed, since the compiler gives up on the layout of futures that are nested this deep.
    match Box::pin(execute(cli::parse())).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let (text, code) = cli::end_of(&*error);
            if let Some(text) = text {
                eprintln!("{text}");
            }
            ExitCode::from(code)
        }
    }
}

async fn execute(command: Command) -> Outcome {
    match command {
        Command::Serve(args) => Box::pin(run(args)).await,
        Command::Migrate(args) => {
            let config = args.load()?;
            let _logging = telemetry::init(&config.log)?;
            let database = serve::open(&config.store, Clock::system()).await?;
            database.maintenance().migrate().await?;
            database.maintenance().warn_of_newer_schema().await?;
            database.close().await;
            println!("the schema is up to date");
            Ok(())
        }
        Command::Erasures(args) => {
            let config = args.load()?;
            let _logging = telemetry::init(&config.log)?;
            let print = |line: String| println!("{line}");
            serve::erasures::list(&config.store, Clock::system(), print).await?;
            Ok(())
        }
        Command::EraseAgain(args) => Box::pin(erase_again(args)).await,
        Command::RetireKey(args) => retire_key(args).await,
        Command::CheckConfig(args) => {
            println!("{}", cli::check_config::run(args)?);
            Ok(())
        }
        Command::Health(args) => {
            cli::health::run(args).await?;
            println!("SERVING");
            Ok(())
        }
        Command::ApiKey(ApiKeyCommand::Entry(args)) => {
            println!("{}", cli::api_key::entry(args, &Entropy::system())?);
            Ok(())
        }
        Command::ApiKey(ApiKeyCommand::Create(args)) => create_api_key(args).await,
        Command::TokenKey(args) => {
            println!("{}", cli::token_key::run(&args, &Entropy::system()));
            Ok(())
        }
        Command::Client(command) => Ok(Box::pin(cli::client::run(*command)).await?),
        Command::Completions(args) => Ok(cli::generate::completions(&args)?),
        Command::Man(args) => Ok(cli::generate::man(&args)?),
    }
}

/// Creates an API key in the database, whose schema is brought up to date first where a start would do so too.
async fn create_api_key(args: CreateApiKeyArgs) -> Outcome {
    let config = args.config.load()?;
    let NewApiKey { secret, account, record } =
        cli::api_key::record(args.key, &Entropy::system(), Clock::system().now())?;
    let _logging = telemetry::init(&config.log)?;
    let database = serve::open(&config.store, Clock::system()).await?;
    if config.store.migrate_on_start {
        database.maintenance().migrate().await?;
    }
    // The limit is on those who make keys with a key. The operator makes one also where all are used up.
    let created = database.create_api_key(&account, &record, &WriteOnce::default(), None).await;
    database.close().await;
    if created? != ApiKeyCreated::Created {
        return Err(format!("the account has, or had, an API key {}: choose another name", record.key_id).into());
    }
    let span = tracing::info_span!("cli", account = account.as_str(), caller = record.creator);
    span.in_scope(|| audit(KeyEvent::Created, &record));
    println!("{}", secret.expose());
    Ok(())
}

/// Erases people again after a restore. On SQLite the service has to be stopped, since the file has one process at a time.
async fn erase_again(args: EraseAgainArgs) -> Outcome {
    let EraseAgainArgs { config, tombstones } = args;
    let config = config.load()?;
    let _logging = telemetry::init(&config.log)?;
    let text = tombstones.map(std::fs::read_to_string).transpose()?.unwrap_or_default();
    let report = serve::erasures::again(&config, &Clock::system(), &text).await?;
    println!("{report}");
    if report.is_complete() { Ok(()) } else { Err("some tombstones could not be applied".into()) }
}

/// Gives up a key. On SQLite the service has to be stopped, since the file has one process at a time.
async fn retire_key(args: RetireKeyArgs) -> Outcome {
    let RetireKeyArgs { config, id } = args;
    let config = config.load()?;
    let _logging = telemetry::init(&config.log)?;
    let database = serve::open(&config.store, Clock::system()).await?;
    let is_known = database.maintenance().retire_key(id).await?;
    database.close().await;
    if !is_known {
        return Err(format!("the database knows no key {id}").into());
    }
    println!("key {id} is retired: take it out of token.keys");
    Ok(())
}

async fn run(args: ServeArgs) -> Outcome {
    let config = args.load()?;
    let _logging = telemetry::init(&config.log)?;
    // One line like any other; the message of a panic may quote a value, so only the place is logged.
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        tracing::error!(location, "panicked");
    }));
    let shutdown = Shutdown::on_signals()?;
    let listeners = Listeners::bind(&config).await?;
    let address = listeners.grpc.local_addr()?;
    if let Some(admin) = &listeners.admin {
        tracing::info!(address = %admin.local_addr()?, "listening for probes");
    }
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "listening");
    warn_of_clear_text(&config);
    print_hint(&config, &address.to_string());
    serve::run(config, listeners, Clock::system(), shutdown).await?;
    Ok(())
}

/// Says so where credentials and links may be read on their way.
fn warn_of_clear_text(config: &Config) {
    if config.grpc.tls.is_none() && !config.grpc.is_on_loopback() {
        tracing::warn!(
            "calls are served in clear text, with their credentials and links: set grpc.tls.cert_file and grpc.tls.key_file, or let \
             nothing but a proxy that speaks TLS reach this port"
        );
    }
}

/// Prints a call to try, for people who start the service by hand.
fn print_hint(config: &Config, address: &str) {
    if let AuthConfig::None = config.auth {
        let company_id = uuid::Uuid::from_bytes(Entropy::system().bytes());
        let security = if config.grpc.tls.is_some() { "-cacert CA.pem" } else { "-plaintext" };
        println!(
            "Try: grpcurl {security} -d '{{\"connection_invitation\": {{\"company_id\": \"{company_id}\"}}}}' \
             {address} invitation.v1.ConnectionInvitationService/CreateConnectionInvitation"
        );
    }
}
