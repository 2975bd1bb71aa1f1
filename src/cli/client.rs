//! The commands of operators: each calls a running server over gRPC and prints what it answers.
//!
//! One idea is behind all of them: the flags of a command are written as the JSON of a request, `call` sends it to the method of that
//! name, and `output` prints the answer by the names of its fields. A command is a file with its flags, a name and its columns.

mod call;
mod change;
pub(super) mod connection;
mod create;
mod deliveries;
mod failure;
mod flags;
mod import;
mod keys;
mod list;
mod output;
mod schema;
mod show;
mod watch;
mod webhooks;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use prost_reflect::{DynamicMessage, Value as Reflected};
use serde_json::{Value, json};
use tonic::metadata::AsciiMetadataValue;

use crate::config::parse_duration;
use crate::input_file;
use call::Client;
pub use connection::ConnectionArgs;
pub use failure::Failure;
use output::{Columns, Output};

/// The variable that holds the credential, if no file does.
const API_KEY: &str = "INVITATION_API_KEY";
/// The largest page, which the API also has as a limit.
const MAX_PAGE: usize = 1_000;

/// The commands that call a running server.
#[derive(Clone, Debug, Subcommand)]
pub enum ClientCommand {
    /// List invitations of every kind, the newest first.
    List(Remote<list::ListArgs>),
    /// Show an invitation with its recipients, acceptances, events and deliveries.
    Show(Remote<show::ShowArgs>),
    /// Create an invitation and print it with its link.
    Create(Remote<create::CreateArgs>),
    /// Create an invitation for each line of a CSV file; a second run sends none of them twice.
    Import(Remote<import::ImportArgs>),
    /// Revoke invitations for good.
    Revoke(Remote<change::RevokeArgs>),
    /// Send the link of an invitation again, with another expiry or another link if asked to.
    Resend(Remote<change::ResendArgs>),
    /// Follow the events of all invitations as they happen.
    Watch(Remote<watch::WatchArgs>),
    /// List the messages to people, or queue failed ones again.
    Deliveries(Remote<deliveries::DeliveriesArgs>),
    /// Manage the webhook endpoints, and see what was posted to them.
    Webhooks(Remote<webhooks::WebhooksArgs>),
    /// Manage the API keys of the account on a running server.
    Keys(Remote<keys::KeysArgs>),
    /// Print the account, the name and the permissions of the credential.
    Whoami(Remote<Whoami>),
}

/// A command with the flags that all commands of this kind have.
#[derive(Clone, Debug, Args)]
pub struct Remote<T: Args> {
    /// The command's own flags.
    #[command(flatten)]
    command: T,
    /// The server and the form of the output.
    #[command(flatten)]
    client: ClientArgs,
}

/// The flags of every command that calls a server. The credential is never among them, since other users see arguments.
#[derive(Clone, Debug, Args)]
pub struct ClientArgs {
    /// The server.
    #[command(flatten)]
    connection: ConnectionArgs,
    /// File that holds an API key or a JWT; without it, the variable INVITATION_API_KEY is the credential, if it is set.
    #[arg(long, global = true, help_heading = "Connection and output", value_name = "FILE")]
    #[arg(env = "INVITATION_API_KEY_FILE", hide_env_values = true)]
    api_key_file: Option<PathBuf>,
    /// Longest time to wait for the answer of a call.
    #[arg(long, global = true, help_heading = "Connection and output", value_name = "DURATION", default_value = "30s")]
    #[arg(value_parser = parse_duration)]
    timeout: Duration,
    /// Print JSON, one document a line, with the names of the API.
    #[arg(long, global = true, help_heading = "Connection and output")]
    json: bool,
}

impl ClientArgs {
    /// Returns the metadata that carries the credential, if there is one.
    fn credential(&self) -> Result<Option<AsciiMetadataValue>, Failure> {
        let (text, place) = match &self.api_key_file {
            Some(file) => {
                let text = input_file::read_text(file);
                let text = text.map_err(|error| Failure::failed(format!("cannot read {}: {error}", file.display())))?;
                (text, file.display().to_string())
            }
            None => match std::env::var(API_KEY) {
                Ok(text) => (text, API_KEY.to_owned()),
                Err(std::env::VarError::NotPresent) => return Ok(None),
                Err(std::env::VarError::NotUnicode(_)) => (String::new(), API_KEY.to_owned()),
            },
        };
        let text = text.trim();
        let is_one_word = !text.is_empty() && text.chars().all(|character| character.is_ascii_graphic());
        let value = is_one_word.then(|| format!("Bearer {text}").parse::<AsciiMetadataValue>().ok()).flatten();
        let mut value =
            value.ok_or_else(|| Failure::failed(format!("{place} holds no API key: one word is expected")))?;
        value.set_sensitive(true);
        if self.connection.is_exposed() {
            warn("the credential is sent in clear text: use an https:// endpoint");
        }
        Ok(Some(value))
    }
}

/// The server and the output of a command that runs.
struct Session {
    client: Client,
    output: Output,
}

/// A command that calls a server.
trait Run: Args {
    async fn run(self, session: &mut Session) -> Result<(), Failure>;
}

/// Runs a command.
///
/// # Errors
/// The reason why it failed, with the exit code.
pub async fn run(command: ClientCommand) -> Result<(), Failure> {
    match command {
        ClientCommand::List(remote) => with_session(remote).await,
        ClientCommand::Show(remote) => with_session(remote).await,
        ClientCommand::Create(remote) => with_session(remote).await,
        ClientCommand::Import(remote) => with_session(remote).await,
        ClientCommand::Revoke(remote) => with_session(remote).await,
        ClientCommand::Resend(remote) => with_session(remote).await,
        ClientCommand::Watch(remote) => with_session(remote).await,
        ClientCommand::Deliveries(remote) => with_session(remote).await,
        ClientCommand::Webhooks(remote) => with_session(remote).await,
        ClientCommand::Keys(remote) => with_session(remote).await,
        ClientCommand::Whoami(remote) => with_session(remote).await,
    }
}

async fn with_session<T: Run>(remote: Remote<T>) -> Result<(), Failure> {
    let Remote { command, client } = remote;
    let mut session = Session { client: Client::new(&client)?, output: Output::new(client.json) };
    command.run(&mut session).await?;
    session.output.flush()
}

impl Session {
    /// Calls a method and prints its answer as a record.
    async fn record(&mut self, method: &str, request: Value) -> Result<(), Failure> {
        let answer = self.client.call(method, request).await?;
        self.output.record(answer, false)
    }

    /// Lists page by page and prints each page as it comes.
    async fn list(
        &mut self,
        method: &str,
        request: Value,
        limit: Option<usize>,
        columns: &Columns,
    ) -> Result<(), Failure> {
        let mut pages = Pages::new(method, request, limit);
        while let Some(page) = pages.next(&self.client).await? {
            // An empty list has its headings, but those of one whose first page is empty wait for the rows.
            if !page.is_empty() || pages.is_at_end {
                self.output.rows(columns, page)?;
            }
        }
        Ok(())
    }

    /// Lists at most so many messages.
    async fn collect(&self, method: &str, request: Value, limit: usize) -> Result<Vec<DynamicMessage>, Failure> {
        let mut pages = Pages::new(method, request, Some(limit));
        let mut all = Vec::new();
        while let Some(page) = pages.next(&self.client).await? {
            all.extend(page);
        }
        Ok(all)
    }
}

/// The pages of a list.
struct Pages {
    method: String,
    request: Value,
    /// The number of messages that are still wanted.
    left: usize,
    is_at_end: bool,
}

impl Pages {
    fn new(method: &str, request: Value, limit: Option<usize>) -> Self {
        Self { method: method.to_owned(), request, left: limit.unwrap_or(usize::MAX), is_at_end: false }
    }

    /// Returns the next page, which may be empty; `None` after the last one.
    async fn next(&mut self, client: &Client) -> Result<Option<Vec<DynamicMessage>>, Failure> {
        if self.is_at_end || self.left == 0 {
            return Ok(None);
        }
        self.request["page_size"] = json!(self.left.min(MAX_PAGE));
        let answer = client.call(&self.method, self.request.clone()).await?;
        let token = answer.get_field_by_name("next_page_token");
        let token = token.and_then(|token| token.as_str().map(str::to_owned)).unwrap_or_default();
        self.is_at_end = token.is_empty();
        self.request["page_token"] = json!(token);
        let list = answer.fields().find_map(|(_, value)| value.as_list().map(<[Reflected]>::to_vec));
        let messages = list.unwrap_or_default().into_iter().filter_map(|value| match value {
            Reflected::Message(message) => Some(message),
            _ => None,
        });
        let mut page: Vec<_> = messages.collect();
        page.truncate(self.left);
        self.left -= page.len();
        Ok(Some(page))
    }
}

/// The flags of `whoami`, of which there are none.
#[derive(Clone, Debug, Args)]
pub struct Whoami {}

impl Run for Whoami {
    async fn run(self, session: &mut Session) -> Result<(), Failure> {
        session.record("AccessService.GetCaller", json!({})).await
    }
}

/// Tells something that does not stop a command.
#[expect(clippy::print_stderr, reason = "the output is for what was asked for")]
fn warn(text: &str) {
    eprintln!("warning: {}", output::printable::printable(text));
}
