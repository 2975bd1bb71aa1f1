//! The command line: its commands and options. `commands` runs them.
//!
//! Small commands live below: `api-key` and `token-key` return the text to print, `health` and those of operators in [`client`] call a
//! running server, and `completions` and `man` are made of the definitions here.
//! No option has a default that the configuration has too: an absent flag leaves the lower layers alone.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use crate::config::{Config, ConfigError, parse_duration};
use crate::domain::value::time::Timestamp;

pub mod api_key;
pub mod client;
pub mod dev;
pub mod exit;
pub mod generate;
pub mod health;
pub mod token_key;

use client::{ClientCommand, ConnectionArgs};
use dev::DevArgs;

/// Invitations done once and right: a gRPC service with one lifecycle for every kind of invitation.
///
/// Without a command it serves.
#[derive(Debug, Parser)]
#[command(name = "invitation-service", version, args_conflicts_with_subcommands = true, after_help = EXIT_CODES)]
pub struct Cli {
    /// The command; `serve` when absent.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The flags of `serve`, for when the command is absent.
    #[command(flatten)]
    pub serve: ServeArgs,
}

const EXIT_CODES: &str = "Exit codes: 0 done; 1 failed, or not serving; 2 wrong arguments; 3 the configuration, or a file that it \
    names, cannot be used; 4 a database or server cannot be reached, or refuses the login; 5 the service ended before every call was \
    answered; 6 the schema lacks migrations (migrate --check); 130 and 143 a command was ended by SIGINT or SIGTERM.";

/// Everything the binary can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the API until SIGTERM or SIGINT.
    Serve(ServeArgs),
    /// Serve on this machine alone, to try the service: with a database that is gone afterwards, the mail caught on a page, and the
    /// invitations on another.
    Dev(DevArgs),
    /// Wait for the database, bring its schema up to date and exit.
    Migrate(MigrateArgs),
    /// Print the effective configuration, secrets redacted, or everything that serve would refuse in it and in its files.
    CheckConfig(ServeArgs),
    /// Check the configuration and everything that it leads to, and say what to do: database, schema, keys, mail, NATS, clock.
    Doctor(DoctorArgs),
    /// Copy a SQLite database into a new file while the service runs, with its keys beside it.
    Backup(BackupArgs),
    /// Ask a running server for its health; exit code 0 means SERVING, 1 that it does not serve, 4 that there is no answer.
    Health(HealthArgs),
    /// Create an API key, in the database or for a file: prints it, once.
    #[command(subcommand)]
    ApiKey(ApiKeyCommand),
    /// Create a key that signs invitation tokens, for token.keys.
    TokenKey(TokenKeyArgs),
    /// Print the tombstones of erased people, one a line: keep them apart from the backups of the database.
    Erasures(ConfigArgs),
    /// Erase people again whom a restored backup brought back, by the tombstones in the database and in a file.
    EraseAgain(EraseAgainArgs),
    /// Give up a key, so that token.keys may lack it: every link and webhook secret that depends on it is lost.
    RetireKey(RetireKeyArgs),
    /// The commands of operators, which call a running server.
    #[command(flatten)]
    Client(Box<ClientCommand>),
    /// Print a script that completes commands and flags in a shell.
    Completions(generate::CompletionsArgs),
    /// Print the man page, or write those of all commands to a folder.
    Man(generate::ManArgs),
}

/// The flags of every command that reads the configuration.
#[derive(Clone, Debug, Default, Args)]
pub struct ConfigArgs {
    /// TOML file that overrides the defaults.
    #[arg(long, value_name = "FILE", env = "INVITATION_CONFIG")]
    pub config: Option<PathBuf>,
    /// Database, sqlite://FILE or postgres://...; a password given here is visible to other users of the machine.
    #[arg(long, value_name = "URL")]
    pub store_url: Option<SecretString>,
    /// The log filter, such as info or info,delivery=debug; docs/logs.md has the targets.
    #[arg(long, value_name = "FILTER")]
    pub log_level: Option<String>,
    /// Form of the log: auto, text or json.
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
}

/// The flags of `migrate`.
#[derive(Clone, Debug, Args)]
pub struct MigrateArgs {
    /// The flags of every command that reads the configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Longest time to wait for a database that cannot be reached. A refused login ends the wait.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    pub wait: Duration,
    /// Change nothing: print the migrations that are pending, and exit with 6 if there are any.
    #[arg(long)]
    pub check: bool,
}

/// The flags of `doctor`.
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// The flags of `serve`.
    #[command(flatten)]
    pub serve: ServeArgs,
    /// Print one JSON object in place of a line for each check.
    #[arg(long)]
    pub json: bool,
}

/// The flags of `backup`.
#[derive(Clone, Debug, Args)]
pub struct BackupArgs {
    /// The flags of every command that reads the configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// New file for the copy. The keys are copied to the file of the same name that ends in .keys.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// The flags of `serve` and `check-config`.
#[derive(Clone, Debug, Default, Args)]
pub struct ServeArgs {
    /// The flags it shares with `migrate`.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// IP address and port to listen on.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// Whether calls need a credential: none or required.
    #[arg(long, value_name = "MODE")]
    pub auth_mode: Option<String>,
    /// TOML file of the accepted API keys.
    #[arg(long, value_name = "FILE")]
    pub api_keys_file: Option<String>,
}

/// The flags of `health`.
#[derive(Clone, Debug, Args)]
pub struct HealthArgs {
    /// The server to ask.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// Service to ask about; empty means the server as a whole.
    #[arg(long, value_name = "NAME", default_value = "")]
    pub service: String,
    /// Longest time to wait for the answer.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = parse_duration)]
    pub timeout: Duration,
}

/// The place where an API key is made.
#[derive(Clone, Debug, Subcommand)]
pub enum ApiKeyCommand {
    /// Make a key in the configured database and print it, once. A running service lets it in at once; a SQLite file has one
    /// process at a time, so there the service has to be stopped.
    Create(CreateApiKeyArgs),
    /// Make a key for the file that auth.api_keys_file names: print it, once, and its entry.
    Entry(ApiKeyEntryArgs),
}

/// The flags of `api-key create`.
#[derive(Clone, Debug, Args)]
pub struct CreateApiKeyArgs {
    /// The flags of every command that reads the configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The key.
    #[command(flatten)]
    pub key: ApiKeyArgs,
}

/// The flags of `api-key entry`.
#[derive(Clone, Debug, Args)]
pub struct ApiKeyEntryArgs {
    /// The key.
    #[command(flatten)]
    pub key: ApiKeyArgs,
    /// File that the key's entry is added to, for its owner alone; then the key alone is printed.
    #[arg(long, value_name = "FILE")]
    pub entry_file: Option<PathBuf>,
}

/// The flags that say what a key is.
#[derive(Clone, Debug, Args)]
pub struct ApiKeyArgs {
    /// Unique name of the key, for logs; in the database lower-case letters, digits and hyphens, never used before.
    #[arg(long)]
    pub name: String,
    /// Account the key acts in.
    #[arg(long)]
    pub account: String,
    /// A permission of the key, `*` or area.action; can be given several times.
    #[arg(long = "permission", value_name = "PERMISSION", required = true)]
    pub permissions: Vec<String>,
    /// The only organization the key may act for.
    #[arg(long, value_name = "UUID")]
    pub organization_id: Option<Uuid>,
    /// Moment from which the key is refused, such as 2027-01-01T00:00:00Z; never, if it is not given.
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    pub expires_at: Option<Timestamp>,
}

/// The flags of `token-key`.
#[derive(Clone, Debug, Args)]
pub struct TokenKeyArgs {
    /// Id of the key, 1-255, never used before.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    pub id: u8,
}

/// The flags of `retire-key`.
#[derive(Clone, Debug, Args)]
pub struct RetireKeyArgs {
    /// The flags of every command that reads the configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Id of the key.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..))]
    pub id: u8,
}

/// The flags of `erase-again`.
#[derive(Clone, Debug, Args)]
pub struct EraseAgainArgs {
    /// The flags of every command that reads the configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// File of tombstones, as `erasures` prints them or as the log has them; they are added to those in the database.
    #[arg(long, value_name = "FILE")]
    pub tombstones: Option<PathBuf>,
}

/// Parses the arguments of the process; on a mistake, `--help` or `--version` it prints and exits.
pub fn parse() -> Command {
    Cli::parse().into_command()
}

/// Parses arguments, the first of which is the program's name.
///
/// # Errors
/// A mistake, `--help` or `--version`, to be printed by the caller.
pub fn try_parse_from<T: Into<OsString> + Clone>(
    arguments: impl IntoIterator<Item = T>,
) -> Result<Command, clap::Error> {
    Cli::try_parse_from(arguments).map(Cli::into_command)
}

impl Cli {
    /// Settles what to do when no command is given.
    fn into_command(self) -> Command {
        let Cli { command, serve } = self;
        command.unwrap_or(Command::Serve(serve))
    }
}

impl ConfigArgs {
    /// Loads the configuration with the process environment and these flags.
    ///
    /// # Errors
    /// All problems of the configuration.
    pub fn load(self) -> Result<Config, ConfigError> {
        load(self, [])
    }
}

impl ServeArgs {
    /// Loads the configuration with the process environment and these flags.
    ///
    /// # Errors
    /// All problems of the configuration.
    pub fn load(self) -> Result<Config, ConfigError> {
        let ServeArgs { config, listen, auth_mode, api_keys_file } = self;
        load(config, [("grpc.listen", listen), ("auth.mode", auth_mode), ("auth.api_keys_file", api_keys_file)])
    }
}

fn load<const N: usize>(args: ConfigArgs, more: [(&'static str, Option<String>); N]) -> Result<Config, ConfigError> {
    let ConfigArgs { config, store_url, log_level, log_format } = args;
    let store_url = store_url.map(|url| url.expose_secret().to_owned());
    let flags = [("store.url", store_url), ("log.level", log_level), ("log.format", log_format)];
    let given = flags.into_iter().chain(more).filter_map(|(key, value)| Some((key, value?)));
    Config::load(config.as_deref(), std::env::vars_os(), given)
}

fn moment(text: &str) -> Result<Timestamp, &'static str> {
    Timestamp::from_rfc3339(text).ok_or("it must be a moment such as 2027-01-01T00:00:00Z")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(arguments: &[&str]) -> Result<Command, String> {
        try_parse_from([&["invitation-service"], arguments].concat()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_means_serve_with_the_same_flags() {
        for arguments in [&["--listen", "[::1]:1"][..], &["serve", "--listen", "[::1]:1"]] {
            let Ok(Command::Serve(args)) = parse(arguments) else { panic!("{arguments:?} is not serve") };
            assert_eq!(args.listen.as_deref(), Some("[::1]:1"));
        }
        assert!(parse(&["--listen", "[::1]:1", "migrate"]).is_err(), "a flag of serve before another command");
    }

    #[test]
    fn debug_does_not_show_the_password_of_the_database() {
        let command = parse(&["--store-url", "postgres://u:hunter2@h/d"]).unwrap();
        assert!(!format!("{command:?}").contains("hunter2"), "{command:?}");
    }

    #[test]
    fn health_asks_the_default_port_and_refuses_other_schemes() {
        let Ok(Command::Health(args)) = parse(&["health"]) else { panic!("not health") };
        assert_eq!((args.connection.endpoint.as_str(), args.service.as_str()), ("http://127.0.0.1:50051", ""));
        assert_eq!(args.timeout, Duration::from_secs(2));
        assert!(parse(&["health", "--endpoint", "https://127.0.0.1:1", "--tls-ca", "ca.pem"]).is_ok());
        assert!(parse(&["health", "--endpoint", "grpc://127.0.0.1:1"]).is_err());
        assert!(parse(&["health", "--timeout", "2"]).unwrap_err().contains("1500ms"));
    }

    #[test]
    fn keys_take_what_their_formats_allow() {
        assert!(parse(&["token-key", "--id", "0"]).is_err());
        assert!(parse(&["token-key", "--id", "256"]).is_err());
        assert!(matches!(parse(&["token-key"]), Ok(Command::TokenKey(TokenKeyArgs { id: 1 }))));
        assert!(parse(&["api-key", "entry", "--name", "ci", "--account", "acme"]).is_err(), "no permission");
        let several = ["--name", "ci", "--account", "acme", "--permission", "a.b", "--permission", "*"];
        let entry = [&["api-key", "entry"], &several[..]].concat();
        let Ok(Command::ApiKey(ApiKeyCommand::Entry(args))) = parse(&entry) else { panic!("not an entry") };
        assert_eq!(args.key.permissions, ["a.b", "*"]);
        let create = [&["api-key", "create", "--store-url", "sqlite://a"], &several[..]].concat();
        let Ok(Command::ApiKey(ApiKeyCommand::Create(args))) = parse(&create) else { panic!("not a creation") };
        assert_eq!(
            (args.key.permissions, args.config.store_url.is_some()),
            (vec!["a.b".to_owned(), "*".to_owned()], true)
        );
        assert!(parse(&[&["api-key"], &several[..]].concat()).is_err(), "neither");
    }
}
