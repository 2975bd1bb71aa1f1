//! One event as one line of JSON, and the fields of a span as members of an object that are written once and then copied.
//!
//! The library's own format reads a span's fields back and writes them again for every event: a third of what a cheap call costs.

use std::fmt::{self, Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing::{Event, Subscriber};
use tracing_log::NormalizeEvent as _;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::is_own;

/// Writes an event as one flat object: `timestamp`, `level`, the fields of the event, those of its call, and `target`. The fields of a
/// library's event are in an object of their own, so that none can take the place of one of ours.
pub(super) struct JsonLine;

/// Writes the fields of a span as members of an object, each with a comma behind it.
pub(super) struct JsonMembers;

impl<S> FormatEvent<S, JsonMembers> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonMembers>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        line.write_str("{\"timestamp\":\"")?;
        SystemTime.format_time(&mut line)?;
        write!(line, "\",\"level\":\"{}\",", metadata.level())?;
        if is_own(metadata.target()) {
            write_members(&mut line, event)?;
        } else {
            write_foreign(&mut line, event)?;
        }
        let call = context.event_scope().into_iter().flatten().find(|span| is_own(span.metadata().target()));
        if let Some(members) = call.as_ref().map(|call| call.extensions())
            && let Some(members) = members.get::<FormattedFields<JsonMembers>>()
        {
            line.write_str(members)?;
        }
        line.write_str("\"target\":")?;
        quote(&mut line, &metadata.target())?;
        line.write_str("}\n")
    }
}

impl<'writer> FormatFields<'writer> for JsonMembers {
    fn format_fields<R: RecordFields>(&self, mut members: Writer<'writer>, fields: R) -> fmt::Result {
        write_members(&mut members, fields)
    }

    fn add_fields(&self, current: &'writer mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        let mut again = RepeatedField { current, is_known: false };
        fields.record(&mut again);
        if !again.is_known {
            return write_members(&mut current.fields, fields);
        }
        // A field that is recorded again has its last value.
        let mut added = String::new();
        write_members(&mut added, fields)?;
        let mut members = object(current)?;
        members.extend(object(&added)?);
        current.fields.clear();
        members.iter().try_for_each(|(name, value)| write!(current.fields, "\"{name}\":{value},"))
    }
}

/// Reads members, each with a comma behind it.
fn object(members: &str) -> Result<serde_json::Map<String, serde_json::Value>, fmt::Error> {
    serde_json::from_str(&format!("{{{}}}", members.trim_end_matches(','))).map_err(|_| fmt::Error)
}

/// Finds out whether a field was recorded before. A value cannot contain the searched text, because its quotes are escaped.
struct RepeatedField<'a> {
    current: &'a str,
    is_known: bool,
}

impl Visit for RepeatedField<'_> {
    fn record_debug(&mut self, field: &Field, _: &dyn Debug) {
        self.is_known |= self.current.contains(&format!("\"{}\":", name_of(field)));
    }
}

/// Returns the name of a field, which Rust writes in another way if it is a keyword.
fn name_of(field: &Field) -> &'static str {
    field.name().strip_prefix("r#").unwrap_or(field.name())
}

fn write_members(members: &mut impl fmt::Write, fields: impl RecordFields) -> fmt::Result {
    write_chosen(members, fields, |_| true)
}

/// Writes the message of a library's event, and its fields as one member.
fn write_foreign(line: &mut impl fmt::Write, event: &Event<'_>) -> fmt::Result {
    const MESSAGE: &str = "message";
    write_chosen(line, event, |name| name == MESSAGE)?;
    let mut fields = String::new();
    write_chosen(&mut fields, event, |name| name != MESSAGE)?;
    match fields.strip_suffix(',') {
        Some(fields) => write!(line, "\"fields\":{{{fields}}},"),
        None => Ok(()),
    }
}

fn write_chosen(members: &mut impl fmt::Write, fields: impl RecordFields, is_chosen: fn(&str) -> bool) -> fmt::Result {
    let mut visitor = Members { members, is_chosen, result: Ok(()) };
    fields.record(&mut visitor);
    visitor.result
}

/// Writes each chosen field as a member with a comma behind it.
struct Members<'a, W> {
    members: &'a mut W,
    is_chosen: fn(&str) -> bool,
    result: fmt::Result,
}

impl<W: fmt::Write> Members<'_, W> {
    fn member(&mut self, field: &Field, value: impl FnOnce(&mut W) -> fmt::Result) {
        let name = field.name();
        // The library adds fields of its own to the events of the `log` crate, which the metadata have as well.
        if self.result.is_err() || name.starts_with("log.") || !(self.is_chosen)(name) {
            return;
        }
        self.result = write!(self.members, "\"{}\":", name_of(field))
            .and_then(|()| value(self.members))
            .and_then(|()| self.members.write_char(','));
    }
}

impl<W: fmt::Write> Visit for Members<'_, W> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.member(
            field,
            |members| if value.is_finite() { write!(members, "{value}") } else { members.write_str("null") },
        );
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field, |members| write!(members, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field, |members| write!(members, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field, |members| write!(members, "{value}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field, |members| quote(members, &value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.member(field, |members| quote(members, &format_args!("{value:?}")));
    }
}

/// Writes a value as a JSON string.
fn quote(out: &mut impl fmt::Write, value: &dyn fmt::Display) -> fmt::Result {
    out.write_char('"')?;
    write!(Escaped(out), "{value}")?;
    out.write_char('"')
}

/// Escapes what a JSON string must not have in it (RFC 8259, section 7).
struct Escaped<'a, W>(&'a mut W);

impl<W: fmt::Write> fmt::Write for Escaped<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(|c: char| matches!(c, '"' | '\\' | '\0'..='\x1f')) {
            let (plain, special) = rest.split_at(at);
            self.0.write_str(plain)?;
            let mut chars = special.chars();
            match chars.next() {
                Some(c @ ('"' | '\\')) => write!(self.0, "\\{c}")?,
                Some('\n') => self.0.write_str("\\n")?,
                Some(c) => write!(self.0, "\\u{:04x}", u32::from(c))?,
                None => {}
            }
            rest = chars.as_str();
        }
        self.0.write_str(rest)
    }
}
