//! The output of commands: tables and records for people, or the JSON of the API, one document a line.
//!
//! Nothing secret is printed, unless a command says that it has just created it.

mod cell;
pub(super) mod printable;
pub(super) mod progress;
mod table;

use std::io::{self, BufWriter, ErrorKind, Stdout, Write};

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, Value};
use unicode_width::UnicodeWidthStr as _;

use super::failure::Failure;
use cell::{cell, text};
use printable::safe_json;
use table::Table;

/// The columns of a table: a heading, and the path of the fields below it.
pub(super) type Columns = [(&'static str, &'static str)];

/// The columns of an invitation.
pub(super) const INVITATION: &Columns = &[
    ("ID", "uid"),
    ("KIND", "kind"),
    ("STATE", "state"),
    ("STATUS", "status"),
    ("TARGETS", "targets.value"),
    ("SCOPE", "scope.type:scope.id"),
    ("USES", "use_count/max_uses"),
    ("EXPIRES", "expire_time"),
    ("CREATED", "create_time"),
];

/// The number of the option `debug_redact` (descriptor.proto).
const DEBUG_REDACT: u32 = 16;

/// Prints what commands have to show.
pub(super) struct Output {
    is_json: bool,
    out: BufWriter<Printer>,
    table: Table,
}

impl Output {
    /// Creates the output of a command.
    pub(super) fn new(is_json: bool) -> Self {
        Self {
            is_json,
            out: BufWriter::new(Printer { stdout: io::stdout(), needs_reader: true }),
            table: Table::default(),
        }
    }

    /// Goes on without output when its reader goes away: what the command changes is not half done because of that.
    pub(super) fn outlive_reader(&mut self) {
        self.out.get_mut().needs_reader = false;
    }

    /// Returns whether the output is JSON.
    pub(super) fn is_json(&self) -> bool {
        self.is_json
    }

    /// Prints messages as the next rows of a table, or as documents.
    pub(super) fn rows(&mut self, columns: &Columns, messages: Vec<DynamicMessage>) -> Result<(), Failure> {
        if self.is_json {
            for message in messages {
                self.document(message, false)?;
            }
        } else {
            let cells = |message: &DynamicMessage| columns.iter().map(|(_, path)| cell(message, path)).collect();
            self.cells(columns, messages.iter().map(cells).collect())?;
        }
        self.flush()
    }

    /// Prints texts that are safe already as the next rows of a table.
    pub(super) fn cells(&mut self, columns: &Columns, rows: Vec<Vec<String>>) -> Result<(), Failure> {
        let headings: Vec<_> = columns.iter().map(|(heading, _)| *heading).collect();
        for line in self.table.lines(&headings, rows) {
            self.line(&line)?;
        }
        Ok(())
    }

    /// Begins a table whose rows come one at a time.
    pub(super) fn reserve(&mut self, widths: &[usize]) {
        self.table.reserve(widths);
    }

    /// Prints a table of its own with a title, unless it is empty.
    pub(super) fn section(&mut self, title: &str, columns: &Columns, rows: Vec<DynamicMessage>) -> Result<(), Failure> {
        if rows.is_empty() {
            return Ok(());
        }
        self.line(&format!("\n{title}"))?;
        self.table = Table::default();
        self.rows(columns, rows)
    }

    /// Prints one message: each field that is set in a line, or a document. `is_created` shows the secrets in it.
    pub(super) fn record(&mut self, message: DynamicMessage, is_created: bool) -> Result<(), Failure> {
        if self.is_json {
            self.document(message, is_created)?;
            return self.flush();
        }
        let mut fields: Vec<_> = message.fields().filter(|(field, _)| is_told(field, is_created)).collect();
        fields.sort_by_key(|(field, _)| field.number());
        let width = fields.iter().map(|(field, _)| field.name().width()).max().unwrap_or_default();
        for (field, value) in &fields {
            writeln!(self.out, "{:width$}  {}", field.name(), text(value, field))?;
        }
        self.flush()
    }

    /// Prints the JSON of a message in a line.
    pub(super) fn document(&mut self, mut message: DynamicMessage, is_created: bool) -> Result<(), Failure> {
        if !is_created {
            redact(&mut message);
        }
        self.json(&message)
    }

    /// Prints a JSON document in a line. Whoever calls it has taken the secrets out.
    pub(super) fn json(&mut self, document: &impl serde::Serialize) -> Result<(), Failure> {
        let json = serde_json::to_string(document).map_err(|error| Failure::failed(error.to_string()))?;
        self.line(&safe_json(json))
    }

    /// Prints a line that is safe already.
    pub(super) fn line(&mut self, line: &str) -> Result<(), Failure> {
        Ok(writeln!(self.out, "{line}")?)
    }

    /// Hands over what was printed to the terminal, or to whoever reads it.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }
}

/// The standard output, which may be a pipe whose reader goes away.
struct Printer {
    stdout: Stdout,
    needs_reader: bool,
}

impl Printer {
    fn unless_closed<T>(&self, result: io::Result<T>, otherwise: T) -> io::Result<T> {
        match result {
            Err(error) if error.kind() == ErrorKind::BrokenPipe && !self.needs_reader => Ok(otherwise),
            result => result,
        }
    }
}

impl Write for Printer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.stdout.write(bytes);
        self.unless_closed(result, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.stdout.flush();
        self.unless_closed(result, ())
    }
}

/// The link holds the token, and the two numbers that a program compares tell people nothing.
fn is_told(field: &FieldDescriptor, is_created: bool) -> bool {
    let is_noise = ["uid", "etag", "invitation_token", "token_visibility", "typed_name"].contains(&field.name());
    !is_noise && (is_created || !is_secret(field))
}

/// The proto files mark what is secret. The library's own `FieldOptions` may be older than the option, which is unknown then.
fn is_secret(field: &FieldDescriptor) -> bool {
    let options = field.options();
    let known = options.get_field_by_number(DEBUG_REDACT).and_then(|value| value.as_bool());
    known.unwrap_or_else(|| options.unknown_fields().any(|option| option.number() == DEBUG_REDACT))
}

/// Takes every secret out of a message.
pub(super) fn redact(message: &mut DynamicMessage) {
    let secret: Vec<_> = message.fields().map(|(field, _)| field).filter(is_secret).collect();
    secret.iter().for_each(|field| message.clear_field(field));
    for (field, value) in message.fields_mut().filter(|(field, _)| matches!(field.kind(), Kind::Message(_))) {
        match value {
            Value::Message(inner) => redact(inner),
            Value::List(values) => values.iter_mut().filter_map(Value::as_message_mut).for_each(redact),
            Value::Map(entries) if field.is_map() => {
                entries.values_mut().filter_map(Value::as_message_mut).for_each(redact);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::client::schema;

    #[test]
    fn every_secret_is_taken_out_wherever_it_is() {
        let of = |name: &str, json| {
            let mut message = schema::message(schema::method(name).unwrap().output(), json).unwrap();
            redact(&mut message);
            serde_json::to_value(&message).unwrap()
        };
        let secret = json!({"name": "invitations/1", "invitationToken": "inv_1", "invitationUri": "https://x/inv_1"});
        let plain = json!({"name": "invitations/1"});
        assert_eq!(of("InvitationService.GetInvitation", secret.clone()), plain);
        let page = of("InvitationService.ListInvitations", json!({"invitations": [secret.clone(), secret.clone()]}));
        assert_eq!(page, json!({"invitations": [plain, plain]}));
        assert_eq!(
            of("InvitationService.ListRecipients", json!({"recipients": [secret]}))["recipients"],
            json!([plain])
        );
        assert_eq!(of("AccessService.GetApiKey", json!({"keyString": "ivk_1"})), json!({}));
        assert_eq!(of("WebhookService.GetWebhookEndpoint", json!({"secret": "whsec_1"})), json!({}));
    }

    #[test]
    fn invitation_has_all_fields_of_its_columns() {
        let descriptor = schema::method("InvitationService.GetInvitation").unwrap().output();
        let first = |path: &'static str| path.split(['.', ':', '/']).next().unwrap();
        assert!(INVITATION.iter().all(|(_, path)| descriptor.get_field_by_name(first(path)).is_some()));
    }
}
