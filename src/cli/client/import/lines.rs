//! The lines of a CSV file as requests: each is parsed like the flags of `create`, so it has the same names and the same rules.

use std::collections::BTreeMap;
use std::io::Read;

use clap::{ArgAction, ArgMatches, Args as _, Command, FromArgMatches as _};
use csv::{ReaderBuilder, StringRecord, Trim};
use data_encoding::HEXLOWER;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::{Kind, Request};
use crate::cli::client::create::fields::{
    ConnectionFields, Fields, GeneralFields, GuestFields, NewInvitation, UserFields,
};
use crate::cli::client::failure::Failure;

/// The character between the values of a column that may have several.
const SEPARATOR: char = ';';
/// The bytes of the hash of a line that its request_id has.
const ID_BYTES: usize = 16;

/// A line of a file: its number, and its request or what is wrong with it.
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) request: Result<Request, String>,
}

/// Makes requests of the fields of lines.
pub(super) struct LineParser {
    /// The method that the requests are for.
    pub(super) method: &'static str,
    command: Command,
    to_request: fn(&ArgMatches) -> Result<Map<String, Value>, clap::Error>,
    defaults: Vec<String>,
    id_column: Option<String>,
    ignored: Vec<String>,
    columns: Vec<Column>,
}

/// A column of the file.
struct Column {
    name: String,
    /// Whether its values are those of a flag.
    is_flag: bool,
    /// Whether there may be several in one field.
    is_list: bool,
}

impl LineParser {
    /// Prepares the flags of a kind.
    pub(super) fn new(
        kind: Kind,
        defaults: Vec<String>,
        id_column: Option<String>,
        ignored: Vec<String>,
    ) -> Result<Self, Failure> {
        let (command, method, to_request) = match kind {
            Kind::Connection => flags::<ConnectionFields>(),
            Kind::User => flags::<UserFields>(),
            Kind::Guest => flags::<GuestFields>(),
            Kind::General => flags::<GeneralFields>(),
        };
        let id_column = id_column.map(|name| normalized(&name));
        let ignored = ignored.iter().map(|name| normalized(name)).collect();
        let mut parser = Self { method, command, to_request, defaults, id_column, ignored, columns: Vec::new() };
        let defaults = parser.defaults.clone();
        parser.matches(defaults).map_err(|problem| Failure::usage(format!("the flags after --: {problem}")))?;
        Ok(parser)
    }

    /// Reads the first line, which has to name flags.
    fn read_header(&mut self, header: &StringRecord) -> Result<(), Failure> {
        let names: Vec<_> = header.iter().map(normalized).collect();
        for (index, name) in names.iter().enumerate() {
            if names[..index].contains(name) {
                return Err(Failure::failed(format!("there are two columns {name}")));
            }
            let flag = self.command.get_arguments().find(|flag| flag.get_long() == Some(name.as_str()));
            let flag = flag.filter(|flag| flag.get_action().takes_values());
            let is_flag = flag.is_some() && !self.ignored.contains(name);
            if !is_flag && !self.ignored.contains(name) && self.id_column.as_ref() != Some(name) {
                return Err(Failure::failed(format!(
                    "there is no field {name}: rename the column to one of {}, or leave it out with --ignore {name}",
                    self.known().join(", ")
                )));
            }
            let is_list = flag.is_some_and(|flag| matches!(flag.get_action(), ArgAction::Append));
            self.columns.push(Column { name: name.clone(), is_flag, is_list });
        }
        match &self.id_column {
            Some(column) if !names.contains(column) => Err(Failure::failed(format!("there is no column {column}"))),
            _ => Ok(()),
        }
    }

    fn known(&self) -> Vec<&str> {
        let flags = self.command.get_arguments().filter(|flag| flag.get_action().takes_values());
        flags.filter_map(clap::Arg::get_long).collect()
    }

    /// Makes the request of a line.
    fn request(&mut self, record: &StringRecord) -> Result<Request, String> {
        let fields = self.columns.iter().zip(record).filter(|(_, field)| !field.is_empty());
        let mut arguments = self.defaults.clone();
        for (column, field) in fields.filter(|(column, _)| column.is_flag) {
            let values = if column.is_list { field.split(SEPARATOR).map(str::trim).collect() } else { vec![field] };
            // The name and the value are one argument, so no value can be taken for a flag.
            arguments.extend(values.iter().map(|value| format!("--{}={value}", column.name)));
        }
        let id = self.id(record)?;
        let matches = self.matches(arguments)?;
        let request = (self.to_request)(&matches).map_err(|error| first_line(&error))?;
        Ok((id, Value::Object(request)))
    }

    /// Returns the request_id of a line. It depends on nothing that another run of the same lines may change.
    fn id(&self, record: &StringRecord) -> Result<String, String> {
        let all = self.columns.iter().map(|column| column.name.as_str()).zip(record);
        let identifying: BTreeMap<&str, &str> = match &self.id_column {
            Some(column) => all.filter(|(name, field)| name == column && !field.is_empty()).collect(),
            None => all
                .filter(|(name, field)| !field.is_empty() && !self.ignored.iter().any(|other| other == name))
                .collect(),
        };
        if identifying.is_empty() {
            return Err("it is empty, or has no value that identifies it".to_owned());
        }
        let mut hash = Sha256::new();
        for text in identifying.iter().flat_map(|(name, field)| [self.method, name, field]) {
            hash.update(text.len().to_be_bytes());
            hash.update(text);
        }
        Ok(format!("import-{}", HEXLOWER.encode(&hash.finalize()[..ID_BYTES])))
    }

    fn matches(&mut self, arguments: Vec<String>) -> Result<ArgMatches, String> {
        self.command.try_get_matches_from_mut(arguments).map_err(|error| first_line(&error))
    }
}

type Flags = (Command, &'static str, fn(&ArgMatches) -> Result<Map<String, Value>, clap::Error>);

fn flags<T: Fields>() -> Flags {
    let command = Command::new("line").no_binary_name(true).args_override_self(true).disable_help_flag(true);
    let command = NewInvitation::<T>::augment_args(command);
    (command, T::METHOD, |matches| Ok(NewInvitation::<T>::from_arg_matches(matches)?.request(Map::new())))
}

/// Returns the name of a column as its flag has it.
fn normalized(name: &str) -> String {
    name.trim().trim_start_matches("--").to_lowercase().replace([' ', '_'], "-")
}

/// Returns what is wrong, without how the command is used.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    text.split("\n\n").next().unwrap_or_default().split('\n').map(str::trim).collect::<Vec<_>>().join(" ")
}

/// Reads all lines. What is wrong with one of them stops none of the others; a header that cannot be used stops all.
pub(super) fn read(mut reader: impl Read, delimiter: char, parser: &mut LineParser) -> Result<Vec<Line>, Failure> {
    let delimiter = u8::try_from(delimiter).map_err(|_| Failure::usage("--delimiter must be an ASCII character"))?;
    let mut text = Vec::new();
    let unreadable = |error: &dyn std::fmt::Display| Failure::failed(format!("the file cannot be read: {error}"));
    reader.read_to_end(&mut text).map_err(|error| unreadable(&error))?;
    let mut reader = ReaderBuilder::new().delimiter(delimiter).trim(Trim::All).from_reader(text.as_slice());
    let header = reader.headers().map_err(|error| unreadable(&error))?.clone();
    if header.is_empty() {
        return Err(Failure::failed("the file is empty: its first line has to name the columns"));
    }
    parser.read_header(&header)?;
    let mut lines = Vec::new();
    let mut record = StringRecord::new();
    loop {
        let before = reader.position().clone();
        let request = match reader.read_record(&mut record) {
            Ok(false) => return Ok(lines),
            Ok(true) if !quotes_fit(&text[begin(&before)..begin(reader.position())], delimiter) => Err(format!(
                "a quote does not begin or end a field, up to line {}: quote the whole field, and double each quote in it",
                line_number(&text, reader.position()).saturating_sub(1)
            )),
            Ok(true) => parser.request(&record),
            Err(error) => Err(problem(&error)),
        };
        lines.push(Line { number: line_number(&text, &before), request });
    }
}

fn begin(position: &csv::Position) -> usize {
    usize::try_from(position.byte()).unwrap_or(usize::MAX)
}

/// Returns whether each quote of a record begins or ends a field, or is doubled in one (RFC 4180). The library takes any other as it
/// comes, and one that is not closed with all lines that follow.
fn quotes_fit(record: &[u8], delimiter: u8) -> bool {
    let mut rest = record.iter().copied().peekable();
    let (mut is_quoted, mut is_begin) = (false, true);
    while let Some(byte) = rest.next() {
        match byte {
            b'"' if is_quoted && rest.next_if_eq(&b'"').is_some() => {}
            b'"' if is_quoted => {
                let ends = |next: u8| next == delimiter || next.is_ascii_whitespace();
                if !rest.peek().copied().is_none_or(ends) {
                    return false;
                }
                is_quoted = false;
            }
            b'"' if is_begin => is_quoted = true,
            b'"' => return false,
            _ => {}
        }
        is_begin = !is_quoted && (byte == delimiter || (is_begin && byte.is_ascii_whitespace()));
    }
    !is_quoted
}

/// Returns the number of the line at which a record begins: the end of the line before it, and empty lines, may still be ahead.
fn line_number(text: &[u8], position: &csv::Position) -> u64 {
    let ahead = text.iter().skip(begin(position)).take_while(|byte| matches!(byte, b'\r' | b'\n'));
    ahead.filter(|byte| **byte == b'\n').fold(position.line(), |number, _| number + 1)
}

fn problem(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("fields: {len} instead of {expected_len}")
        }
        csv::ErrorKind::Utf8 { .. } => "it is not UTF-8".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::exit::Exit;

    fn parser(kind: Kind, defaults: &[&str], id_column: Option<&str>) -> LineParser {
        let defaults = defaults.iter().map(|&flag| flag.to_owned()).collect();
        LineParser::new(kind, defaults, id_column.map(str::to_owned), vec!["note".to_owned()]).unwrap()
    }

    fn parser_of_users() -> LineParser {
        parser(Kind::User, &[], None)
    }

    fn lines(text: &[u8], parser: &mut LineParser) -> Vec<Line> {
        read(text, ',', parser).unwrap()
    }

    fn ids(text: &str, id_column: Option<&str>) -> Vec<String> {
        let lines = lines(text.as_bytes(), &mut parser(Kind::User, &[], id_column));
        lines.into_iter().map(|line| line.request.unwrap().0).collect()
    }

    #[test]
    fn columns_are_flags_and_take_the_place_of_defaults() {
        let text =
            "\u{feff}Email,Role,ttl,Note\r\n\"a@b.example\",viewer; editor,7d,x\r\nc@d.example,,,\"two\r\nlines\"\r\n";
        let mut parser = parser(Kind::User, &["--ttl=1d", "--no-email"], None);
        let lines = lines(text.as_bytes(), &mut parser);
        let requests: Vec<_> = lines.into_iter().map(|line| (line.number, line.request.unwrap().1)).collect();
        let first = json!({
            "user_invitation": {"invited_email": "a@b.example", "roles": ["viewer", "editor"], "ttl": "604800.000s"},
            "send_email": false,
        });
        let second =
            json!({"user_invitation": {"invited_email": "c@d.example", "ttl": "86400.000s"}, "send_email": false});
        assert_eq!(requests, [(2, first), (3, second)]);

        let text = b"email\n\n\na@b.example\n\r\nc@d.example";
        let numbers = read(&text[..], ',', &mut parser_of_users()).unwrap().into_iter().map(|line| line.number);
        assert_eq!(numbers.collect::<Vec<_>>(), [4, 6], "as an editor counts them");
    }

    #[test]
    fn broken_line_says_what_is_wrong_and_stops_no_other() {
        let text =
            b"email,ttl\na@b.example,7d\nx@y.example\nx@y.example,soon\n\xff\xfe,7d\n,\n--from-json=/etc/passwd,7d\n";
        let lines = lines(text, &mut parser(Kind::User, &[], None));
        let told: Vec<_> = lines.iter().map(|line| (line.number, line.request.as_ref().err().cloned())).collect();
        assert_eq!(told.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7]);
        let has = |index: usize, part: &str| told[index].1.as_ref().is_some_and(|text| text.contains(part));
        assert!(told[0].1.is_none() && has(1, "fields: 1 instead of 2") && has(2, "'soon'"), "{told:?}");
        assert!(has(3, "UTF-8") && has(4, "is empty"), "{told:?}");
        let harmless = lines[5].request.as_ref().unwrap();
        assert_eq!(harmless.1["user_invitation"]["invited_email"], "--from-json=/etc/passwd", "a value is no flag");
    }

    #[test]
    fn stray_quote_is_refused_with_the_lines_that_it_swallows() {
        for (text, broken) in [
            ("email,role,note\na@b,x,\"oops\nc@d,y,\ne@f,z,\n", &[2][..]),
            ("email,role,note\na@b,x,\"oops\nc@d,y,\"oops\ne@f,z,\n", &[2]),
            ("email,role,note\na@b,x,5\" pipe\ne@f,z,\n", &[2]),
            ("email,role,note\na@b,x,\"5\"\" pipe\"\ne@f, \"z\" ,\"\"\n", &[]),
            ("email,role,note\r\n\"a@b\",\"x\",\"two\r\nlines, one field\"\r\n\r\ne@f,\"z\",x", &[]),
        ] {
            let lines = lines(text.as_bytes(), &mut parser_of_users());
            let refused = lines.iter().filter(|line| line.request.is_err()).map(|line| line.number);
            assert_eq!(refused.collect::<Vec<_>>(), broken, "{text}");
        }
        let lines = lines(b"email,role,note\na@b,x,\"oops\nc@d,y,\ne@f,z,\n", &mut parser_of_users());
        assert!(lines[0].request.as_ref().unwrap_err().contains("up to line 4"), "{:?}", lines[0].request);
    }

    #[test]
    fn request_id_depends_on_the_content_of_the_line_alone() {
        let [first, second] = &ids("email,role\na@b,x\nc@d,y\n", None)[..] else { panic!("not two") };
        assert_ne!(first, second);
        assert_eq!(ids("role,note,email\ny,new,c@d\n\nx,,a@b\n", None), [second.clone(), first.clone()]);
        assert_ne!(ids("email,role\na@b,z\n", None)[0], *first);
        let by_column = |text| ids(text, Some("email"));
        assert_eq!(by_column("email,role\na@b,x\n"), by_column("email,role\na@b,z\n"));
        assert_ne!(ids("email,role\na,b;c\n", None), ids("email,role\na;b,c\n", None));
    }

    #[test]
    fn header_that_cannot_be_used_is_refused() {
        for (text, part) in [
            ("", "is empty"),
            ("email,nickname\n", "no field nickname"),
            ("email,no-email\n", "no field no-email"),
            ("email,email\n", "two columns"),
            ("role\n", "no column email"),
        ] {
            let refused = read(text.as_bytes(), ',', &mut parser(Kind::User, &[], Some("email"))).err().unwrap();
            assert!(refused.to_string().contains(part), "{refused}");
        }
        let refused = LineParser::new(Kind::User, vec!["--nothing".to_owned()], None, Vec::new()).err().unwrap();
        assert!(refused.exit() == Exit::Usage && refused.to_string().contains("--nothing"), "{refused}");
    }
}
