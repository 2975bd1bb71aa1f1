//! `create`: an invitation of one kind, by flags, by a JSON document, or by both. `import` makes the same requests of lines.

pub(super) mod fields;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::failure::Failure;
use super::flags::put;
use super::{Run, Session};
use fields::{ConnectionFields, Fields, GeneralFields, GuestFields, NewInvitation, UserFields};

use crate::input_file;

/// The flags of `create`.
#[derive(Clone, Debug, Args)]
pub struct CreateArgs {
    #[command(subcommand)]
    kind: CreateCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum CreateCommand {
    /// Invite a contributor to connect a utility account.
    Connection(Create<ConnectionFields>),
    /// Invite a person to join the account with roles.
    User(Create<UserFields>),
    /// Invite a guest organization.
    Guest(Create<GuestFields>),
    /// Invite people by e-mail, phone or id into a scope, or by a link to share.
    General(Create<GeneralFields>),
}

#[derive(Clone, Debug, Args)]
struct Create<T: Fields> {
    #[command(flatten)]
    new: NewInvitation<T>,
    /// File with the invitation as JSON, as --json prints one; - reads the standard input. Flags take the place of its fields.
    #[arg(long, value_name = "FILE")]
    from_json: Option<PathBuf>,
    /// Id of this request: the same id with the same fields creates nothing twice.
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Decide and answer, but create nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Run for CreateArgs {
    async fn run(self, session: &mut Session) -> Result<(), Failure> {
        let (method, request) = match self.kind {
            CreateCommand::Connection(create) => create.request()?,
            CreateCommand::User(create) => create.request()?,
            CreateCommand::Guest(create) => create.request()?,
            CreateCommand::General(create) => create.request()?,
        };
        let created = session.client.call(method, request).await?;
        session.output.record(created, true)
    }
}

impl<T: Fields> Create<T> {
    fn request(self) -> Result<(&'static str, Value), Failure> {
        let Self { new, from_json, request_id, dry_run } = self;
        let mut document = from_json.as_deref().map(read).transpose()?.unwrap_or_default();
        // The output of a command may be the input of the next.
        OUTPUT_ONLY.iter().for_each(|field| drop(document.remove(*field)));
        let mut request = new.request(document);
        put(&mut request, "request_id", request_id);
        put(&mut request, "validate_only", Some(dry_run));
        Ok((T::METHOD, Value::Object(request)))
    }
}

/// The fields of an answer that would name the invitation that it showed.
const OUTPUT_ONLY: [&str; 6] = ["name", "uid", "etag", "typedName", "invitationToken", "invitationUri"];

fn read(file: &Path) -> Result<Map<String, Value>, Failure> {
    let is_input = file.as_os_str() == "-";
    let text = if is_input { input_file::text_from(std::io::stdin()) } else { input_file::read_text(file) };
    let text = text.map_err(|error| Failure::failed(format!("cannot read {}: {error}", file.display())))?;
    let refuse =
        |problem: String| Failure::usage(format!("{} is not the JSON of an invitation: {problem}", file.display()));
    match serde_json::from_str(&text).map_err(|error| refuse(error.to_string()))? {
        Value::Object(fields) => Ok(fields),
        other => Err(refuse(format!("it is {}", json_type(&other)))),
    }
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
        Value::String(_) => "a text",
        Value::Null | Value::Bool(_) | Value::Number(_) => "a single value",
    }
}

/// Returns the JSON of a message of people, or nothing if all of it is missing.
fn object<const N: usize>(fields: [(&str, Option<String>); N]) -> Option<Value> {
    let given: Map<String, Value> =
        fields.into_iter().filter_map(|(field, value)| Some((field.to_owned(), json!(value?)))).collect();
    (!given.is_empty()).then_some(Value::Object(given))
}
