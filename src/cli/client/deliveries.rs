//! `deliveries`: the messages to people.

use clap::{Args, Subcommand};
use serde_json::json;

use super::failure::Failure;
use super::flags::{SpanArgs, invitation, words};
use super::output::Columns;
use super::{Run, Session};

const DELIVERIES: &Columns = &[
    ("CREATED", "create_time"),
    ("ADDRESS", "address"),
    ("PURPOSE", "purpose"),
    ("STATE", "state"),
    ("ATTEMPTS", "attempts"),
    ("NEXT ATTEMPT", "next_attempt_time"),
    ("SENT", "send_time"),
    ("LAST ERROR", "last_error"),
];
/// The columns of the messages of several invitations.
const OF_ALL: &Columns = &[
    ("CREATED", "create_time"),
    ("ADDRESS", "address"),
    ("PURPOSE", "purpose"),
    ("STATE", "state"),
    ("NAME", "name"),
    ("LAST ERROR", "last_error"),
];
/// The number of messages after which a server has more to queue.
const CHUNK: i32 = 1_000;

/// The flags of `deliveries`.
#[derive(Clone, Debug, Args)]
pub struct DeliveriesArgs {
    #[command(subcommand)]
    command: DeliveriesCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum DeliveriesCommand {
    /// List the messages of an invitation or of all, the newest first.
    List(ListArgs),
    /// Queue messages again that failed, and print their number.
    Redeliver(RedeliverArgs),
}

#[derive(Clone, Debug, Args)]
struct ListArgs {
    /// Id or name of the invitation.
    #[arg(value_name = "INVITATION", value_parser = invitation, required_unless_present = "all")]
    name: Option<String>,
    /// The messages of all invitations of the account.
    #[arg(long, conflicts_with = "name")]
    all: bool,
    /// Only messages in this state, such as bounced; can be given several times.
    #[arg(long = "state", value_name = "STATE", value_parser = words("DeliveryState"))]
    states: Vec<String>,
    #[command(flatten)]
    span: SpanArgs,
    /// Number of messages to list; all of them, if it is not given.
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
}

#[derive(Clone, Debug, Args)]
struct RedeliverArgs {
    /// Id or name of the invitation.
    #[arg(value_name = "INVITATION", value_parser = invitation, required_unless_present = "all")]
    name: Option<String>,
    /// The messages of all invitations of the account.
    #[arg(long, conflicts_with = "name")]
    all: bool,
    #[command(flatten)]
    span: SpanArgs,
    /// Decide and answer, but change nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Run for DeliveriesArgs {
    async fn run(self, session: &mut Session) -> Result<(), Failure> {
        match self.command {
            DeliveriesCommand::List(ListArgs { name, all, states, span, limit }) => {
                let request = json!({"parent": parent(name), "states": states, "create_time": span.into_json()});
                let columns = if all { OF_ALL } else { DELIVERIES };
                session.list("DeliveryService.ListDeliveries", request, limit, columns).await
            }
            DeliveriesCommand::Redeliver(args) => redeliver(args, session).await,
        }
    }
}

/// Returns the parent of the messages: an invitation, or all of them.
fn parent(name: Option<String>) -> String {
    name.unwrap_or_else(|| "invitations/-".to_owned())
}

async fn redeliver(args: RedeliverArgs, session: &mut Session) -> Result<(), Failure> {
    let RedeliverArgs { name, all: _, span, dry_run } = args;
    let request = json!({"parent": parent(name), "create_time": span.into_json(), "validate_only": dry_run});
    let mut total = 0;
    loop {
        let mut answer = session.client.call("DeliveryService.RedeliverDeliveries", request.clone()).await?;
        let count = answer.get_field_by_name("redelivered_count").and_then(|count| count.as_i32()).unwrap_or_default();
        total += count;
        if dry_run || count < CHUNK {
            answer.set_field_by_name("redelivered_count", prost_reflect::Value::I32(total));
            return if session.output.is_json() {
                session.output.record(answer, false)
            } else {
                session.output.line(&format!("{total} {}queued again", if dry_run { "would be " } else { "" }))
            };
        }
    }
}
