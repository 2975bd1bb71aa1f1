//! `webhooks`: the endpoints to which events are posted, and what was posted to them.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::failure::Failure;
use super::flags::{SpanArgs, endpoint, put, words};
use super::output::Columns;
use super::{Run, Session};

const ENDPOINTS: &Columns = &[
    ("ID", "uid"),
    ("URI", "uri"),
    ("EVENTS", "event_types"),
    ("FORMAT", "event_format"),
    ("DISABLED", "disabled"),
    ("REASON", "disabled_reason"),
    ("FAILING SINCE", "failing_since_time"),
    ("CREATED", "create_time"),
];
const ATTEMPTS: &Columns = &[
    ("TIME", "attempt_time"),
    ("STATE", "state"),
    ("HTTP", "http_status"),
    ("DURATION", "duration"),
    ("EVENT", "event"),
    ("ERROR", "error"),
];

/// The flags of `webhooks`.
#[derive(Clone, Debug, Args)]
pub struct WebhooksArgs {
    #[command(subcommand)]
    command: WebhooksCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum WebhooksCommand {
    /// List the endpoints, the newest first.
    List(ListArgs),
    /// Create an endpoint, and print it with its secret, once.
    Create(CreateArgs),
    /// Change the URL or the events of an endpoint, or disable it.
    Update(UpdateArgs),
    /// Delete an endpoint, with everything that is still to be posted to it.
    Delete(NameArgs),
    /// Post a signed test event now and print the answer; exit code 0 means that the endpoint took it.
    Test(NameArgs),
    /// Give an endpoint a new secret, and print it, once.
    RotateSecret(NameArgs),
    /// List the requests to an endpoint and their answers, the newest first.
    Attempts(AttemptsArgs),
    /// Post the events of a span of time again, and print their number.
    Redeliver(RedeliverArgs),
}

#[derive(Clone, Debug, Args)]
struct ListArgs {
    /// Number of endpoints to list; all of them, if it is not given.
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
}

#[derive(Clone, Debug, Args)]
struct NameArgs {
    /// Id or name of the endpoint.
    #[arg(value_name = "ENDPOINT", value_parser = endpoint)]
    name: String,
}

#[derive(Clone, Debug, Args)]
struct CreateArgs {
    /// URL to which events are posted.
    #[arg(value_name = "URL")]
    uri: String,
    /// Type of the events, such as invitation.accepted or invitation.*; can be given several times. All, if it is not given.
    #[arg(long = "event", value_name = "TYPE")]
    event_types: Vec<String>,
    /// Form in which they are posted; proto_json, if it is not given.
    #[arg(long = "format", value_name = "FORMAT", value_parser = words("EventFormat"))]
    format: Option<String>,
    /// Create it disabled.
    #[arg(long)]
    disabled: bool,
}

#[derive(Clone, Debug, Args)]
struct UpdateArgs {
    #[command(flatten)]
    name: NameArgs,
    /// URL to which events are posted.
    #[arg(long, value_name = "URL")]
    uri: Option<String>,
    /// Type of the events, in place of the present ones; can be given several times.
    #[arg(long = "event", value_name = "TYPE")]
    event_types: Vec<String>,
    /// Form in which they are posted.
    #[arg(long = "format", value_name = "FORMAT", value_parser = words("EventFormat"))]
    format: Option<String>,
    /// Post nothing more, or begin to post again.
    #[arg(long, value_name = "BOOL")]
    disabled: Option<bool>,
}

#[derive(Clone, Debug, Args)]
struct AttemptsArgs {
    #[command(flatten)]
    name: NameArgs,
    /// Only attempts that ended like this; can be given several times.
    #[arg(long = "state", value_name = "STATE", value_parser = words("WebhookAttemptState"))]
    states: Vec<String>,
    /// Number of attempts to list; all of them, if it is not given.
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
}

#[derive(Clone, Debug, Args)]
struct RedeliverArgs {
    #[command(flatten)]
    name: NameArgs,
    #[command(flatten)]
    span: SpanArgs,
    /// Type of the events; can be given several times. All of the endpoint, if it is not given.
    #[arg(long = "event", value_name = "TYPE")]
    event_types: Vec<String>,
    /// Decide and answer, but post nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Run for WebhooksArgs {
    async fn run(self, session: &mut Session) -> Result<(), Failure> {
        match self.command {
            WebhooksCommand::List(ListArgs { limit }) => {
                session.list("WebhookService.ListWebhookEndpoints", json!({}), limit, ENDPOINTS).await
            }
            WebhooksCommand::Create(CreateArgs { uri, event_types, format, disabled }) => {
                let mut endpoint = Map::new();
                put(&mut endpoint, "uri", Some(uri));
                put(&mut endpoint, "event_types", Some(event_types));
                put(&mut endpoint, "event_format", format);
                put(&mut endpoint, "disabled", Some(disabled));
                let request = json!({"webhook_endpoint": Value::Object(endpoint)});
                let created = session.client.call("WebhookService.CreateWebhookEndpoint", request).await?;
                session.output.record(created, true)
            }
            WebhooksCommand::Update(args) => update(args, session).await,
            WebhooksCommand::Delete(NameArgs { name }) => {
                session.client.call("WebhookService.DeleteWebhookEndpoint", json!({"name": name})).await.map(drop)
            }
            WebhooksCommand::Test(args) => test(args, session).await,
            WebhooksCommand::RotateSecret(NameArgs { name }) => {
                let rotated = session.client.call("WebhookService.RotateWebhookSecret", json!({"name": name})).await?;
                session.output.record(rotated, true)
            }
            WebhooksCommand::Attempts(AttemptsArgs { name: NameArgs { name }, states, limit }) => {
                let request = json!({"parent": name, "states": states});
                session.list("WebhookService.ListWebhookAttempts", request, limit, ATTEMPTS).await
            }
            WebhooksCommand::Redeliver(args) => redeliver(args, session).await,
        }
    }
}

async fn update(args: UpdateArgs, session: &mut Session) -> Result<(), Failure> {
    let UpdateArgs { name: NameArgs { name }, uri, event_types, format, disabled } = args;
    let mut endpoint = Map::new();
    put(&mut endpoint, "uri", uri);
    put(&mut endpoint, "event_types", Some(event_types));
    put(&mut endpoint, "event_format", format);
    put(&mut endpoint, "disabled", disabled);
    if endpoint.is_empty() {
        return Err(Failure::usage("nothing to change: give --uri, --event, --format or --disabled"));
    }
    put(&mut endpoint, "name", Some(name));
    session.record("WebhookService.UpdateWebhookEndpoint", json!({"webhook_endpoint": Value::Object(endpoint)})).await
}

/// Tests an endpoint. An answer that is no success is a failure of the command.
async fn test(args: NameArgs, session: &mut Session) -> Result<(), Failure> {
    let attempt = session.client.call("WebhookService.TestWebhookEndpoint", json!({"name": args.name})).await?;
    let state = attempt.get_field_by_name("state").and_then(|state| state.as_enum_number());
    let is_taken = state == Some(crate::pb::WebhookAttemptState::Succeeded.into());
    session.output.record(attempt, false)?;
    if is_taken { Ok(()) } else { Err(Failure::failed("the endpoint did not take the test")) }
}

async fn redeliver(args: RedeliverArgs, session: &mut Session) -> Result<(), Failure> {
    let RedeliverArgs { name: NameArgs { name }, span, event_types, dry_run } = args;
    let request = json!({
        "name": name,
        "time": span.into_json(),
        "types": event_types,
        "validate_only": dry_run,
    });
    let answer = session.client.call("WebhookService.RedeliverWebhookEvents", request).await?;
    if session.output.is_json() {
        return session.output.record(answer, false);
    }
    let count = answer.get_field_by_name("redelivered_count").and_then(|count| count.as_i32()).unwrap_or_default();
    session.output.line(&format!("{count} {}posted again", if dry_run { "would be " } else { "" }))
}
