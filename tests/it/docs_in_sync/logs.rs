//! The contract of the log: its table, the places that log, and `docs/logs.md`, whose tables are made of it. `UPDATE_DOCS=1` writes them anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use invitation_service::auth::refused_caller::RefusalReason;
use invitation_service::mail::transport::SendFailure;
use invitation_service::store::AttemptOutcome;
use invitation_service::telemetry::events::{CALL_FIELDS, CALLS, EVENTS, LogEvent, TARGETS};
use invitation_service::telemetry::fields::{FIELDS, Field, LINE_FIELDS};

use super::{files_under, read, root};

const PAGE: &str = "docs/logs.md";

/// The events that are never logged while a call is answered, so that their own fields may have the name of a call's.
const BESIDE_CALLS: [&str; 4] = ["callers.refused", "api_key.expires", "expiry.retried", "expiry.not_recorded"];

/// The macros of the library, which log what is in no table.
const BARE: [&str; 6] =
    ["tracing::trace!", "tracing::debug!", "tracing::info!", "tracing::warn!", "tracing::error!", "tracing::event!"];

/// The only files that may use them: the macro that asks for an event of the table, and tests of the log itself.
const MAY_BE_BARE: [&str; 2] = ["src/telemetry/events.rs", "src/telemetry/tests.rs"];

/// A place that logs.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    events: BTreeSet<String>,
    levels: BTreeSet<String>,
    fields: BTreeSet<String>,
}

#[test]
fn page_about_the_log_shows_its_tables() {
    let page = read(PAGE);
    let [fields, reasons, events] = [fields(), reasons(), events()];
    let written = replaced(&replaced(&replaced(&page, "fields", &fields), "reasons", &reasons), "events", &events);
    if std::env::var("UPDATE_DOCS").is_ok_and(|value| value == "1") {
        fs::write(root().join(PAGE), &written).unwrap();
        return;
    }
    assert!(page == written, "{PAGE} differs from src/telemetry/events.rs and fields.rs: write it with UPDATE_DOCS=1");
}

#[test]
fn every_place_that_logs_is_in_the_table() {
    let mut found: BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> = BTreeMap::new();
    let mut wrong = Vec::new();
    for path in
        files_under(&root().join("src")).into_iter().filter(|path| path.extension().is_some_and(|ext| ext == "rs"))
    {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        let text = fs::read_to_string(&path).unwrap();
        if !MAY_BE_BARE.contains(&name.as_str()) {
            wrong.extend(bare(&text).map(|bare| format!("{name}: {bare} logs what is in no table: use log_event!")));
        }
        if name == MAY_BE_BARE[0] {
            continue;
        }
        for Place { events, levels, fields } in places(&text) {
            for event in events {
                let (known_levels, known_fields) = found.entry(event).or_default();
                known_levels.extend(levels.iter().cloned());
                known_fields.extend(fields.iter().cloned());
            }
        }
    }
    for (name, event) in EVENTS {
        let Some((levels, fields)) = found.remove(*name) else {
            wrong.push(format!("{name}: nothing logs it"));
            continue;
        };
        if levels != set(event.levels) || fields != set(event.fields) {
            wrong.push(format!("{name}: the table and the code differ: {levels:?} {fields:?}"));
        }
    }
    wrong.extend(found.keys().map(|name| format!("{name}: it is not in the table")));
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn names_in_the_table_are_unique_and_known() {
    let ids: BTreeSet<_> = EVENTS.iter().map(|(_, event)| event.id).collect();
    assert_eq!(ids.len(), EVENTS.len(), "an id occurs twice");
    let known: BTreeSet<_> = FIELDS.iter().map(|(name, ..)| *name).collect();
    let sorted: Vec<_> = FIELDS.iter().map(|(name, ..)| *name).collect();
    assert!(sorted.is_sorted() && known.len() == FIELDS.len(), "the fields are not in order, or one occurs twice");
    let of_line: BTreeSet<_> = LINE_FIELDS.iter().map(|(name, ..)| *name).collect();
    let mut used: BTreeSet<&str> = CALL_FIELDS.into();
    for (_, LogEvent { id, target, levels, fields, .. }) in EVENTS {
        let is_id = |c: char| c.is_ascii_lowercase() || c == '.' || c == '_';
        assert!(id.contains('.') && id.chars().all(is_id), "{id}");
        assert!(TARGETS.iter().any(|(known, _)| known == target), "{id}: {target}");
        assert!(!levels.is_empty(), "{id}");
        assert!(fields.iter().all(|field| known.contains(field) && !of_line.contains(field)), "{id}: {fields:?}");
        let of_call = fields.iter().any(|field| CALL_FIELDS.contains(field));
        assert!(!of_call || BESIDE_CALLS.contains(id), "{id}: a line would have a field twice");
        used.extend(fields.iter().copied());
    }
    assert_eq!(known, used, "a field that no line has");
    assert_eq!(set(&CALL_FIELDS), fields_of_span(), "the fields of the span of a call");
    assert!(TARGETS.iter().all(|(target, _)| EVENTS.iter().any(|(_, event)| event.target == *target)));
    let names: BTreeSet<_> = RefusalReason::ALL.iter().map(|(reason, _)| reason.name()).collect();
    assert_eq!(names.len(), RefusalReason::ALL.len());
}

#[test]
fn fields_with_words_list_each_of_them() {
    let outcomes = [
        AttemptOutcome::Arrived,
        AttemptOutcome::Retry(Duration::ZERO),
        AttemptOutcome::GivenUp,
        AttemptOutcome::Gone,
        AttemptOutcome::Needless,
    ];
    let words = SendFailure::ALL.iter().map(|failure| ("failure", failure.word()));
    for (field, word) in words.chain(outcomes.iter().map(|outcome| ("outcome", outcome.word()))) {
        let (_, _, meaning) = FIELDS.iter().find(|(name, ..)| *name == field).unwrap();
        assert!(meaning.contains(&format!("`{word}`")), "{field}: {word}");
        assert!(word.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{word}");
    }
}

#[test]
fn place_that_logs_otherwise_is_found() {
    let text = "log_event!(warn, A_B, delivery = %x.id(1, 2), ?failure, error, \"text, (with) = signs\"); log_event!(info, C, \"x\")";
    let place = |events: &[&str], levels: &[&str], fields: &[&str]| Place {
        events: set(events),
        levels: set(levels),
        fields: set(fields),
    };
    assert_eq!(
        places(text),
        [place(&["A_B"], &["warn"], &["delivery", "error", "failure"]), place(&["C"], &["info"], &[])]
    );
    let nested = "macro_rules! log { ($level:ident) => { log_event!($level, A, code = x(name), \"t\") }; } log!(warn); log!(info, 2);";
    assert_eq!(places(nested), [place(&["A"], &["info", "warn"], &["code"])]);
    assert_eq!(bare("    tracing::warn!(\"x\");\n    tracing::warn_span!()").count(), 1);
    assert_eq!(
        replaced("a\n<!-- x -->\nold\n<!-- end of x -->\nb", "x", "new\n"),
        "a\n<!-- x -->\nnew\n<!-- end of x -->\nb"
    );
}

/// The places of a text that log events of the table.
fn places(text: &str) -> Vec<Place> {
    text.split("log_event!(").skip(1).map(|rest| place(text, &parts(rest))).collect()
}

fn place(text: &str, parts: &[String]) -> Place {
    // A macro within a function logs at several levels, or several events.
    let given = |part: &str| if part.starts_with('$') { log_macros(text) } else { set(&[part]) };
    let fields = parts[2..].iter().filter(|part| !part.starts_with('"')).map(|part| field(part)).collect();
    Place { levels: given(&parts[0]), events: given(&parts[1]), fields }
}

/// The first arguments of each `log!` of a text.
fn log_macros(text: &str) -> BTreeSet<String> {
    text.split("log!(").skip(1).map(|rest| parts(rest)[0].clone()).collect()
}

/// The name of a field as it is given to a macro of the library.
fn field(part: &str) -> String {
    let name = part.split('=').next().unwrap_or(part).trim();
    name.trim_start_matches(['%', '?']).to_owned()
}

/// The arguments of a macro, up to its closing parenthesis.
fn parts(text: &str) -> Vec<String> {
    let (mut parts, mut part, mut depth, mut in_text, mut is_escaped) = (Vec::new(), String::new(), 0, false, false);
    for c in text.chars() {
        match c {
            _ if in_text => {
                in_text = c != '"' || is_escaped;
                is_escaped = c == '\\' && !is_escaped;
            }
            '"' => in_text = true,
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(std::mem::take(&mut part).trim().to_owned());
                continue;
            }
            _ => {}
        }
        part.push(c);
    }
    parts.push(part.trim().to_owned());
    parts.retain(|part| !part.is_empty());
    parts
}

/// The macros of the library that a text uses.
fn bare(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| BARE.iter().any(|bare| line.contains(bare)))
}

/// The fields that the span of a call is created with.
fn fields_of_span() -> BTreeSet<String> {
    let text = read("src/server/call_log.rs");
    let (_, span) = text.split_once("error_span!(").unwrap();
    let parts = parts(span);
    assert_eq!((parts[0].as_str(), CALLS), ("target: CALLS", "calls"));
    parts[2..].iter().map(|part| field(part)).collect()
}

fn replaced(page: &str, name: &str, table: &str) -> String {
    let [begin, end] = [format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->")];
    let parts = page.split_once(&begin).and_then(|(head, rest)| Some((head, rest.split_once(&end)?.1)));
    let (head, tail) = parts.unwrap_or_else(|| panic!("{PAGE} has no place for the table {name}"));
    format!("{head}{begin}{table}{end}{tail}")
}

fn fields() -> String {
    let mut table = "| field | type | meaning |\n|---|---|---|\n".to_owned();
    let mut row = |(name, r#type, meaning): &Field| writeln!(table, "| `{name}` | {type} | {meaning} |").unwrap();
    LINE_FIELDS.iter().for_each(&mut row);
    FIELDS.iter().for_each(&mut row);
    table
}

fn reasons() -> String {
    let mut table = "| `reason` | meaning |\n|---|---|\n".to_owned();
    for (reason, meaning) in RefusalReason::ALL {
        writeln!(table, "| `{}` | {meaning} |", reason.name()).unwrap();
    }
    table
}

fn events() -> String {
    let mut page = String::new();
    for (target, meaning) in TARGETS {
        writeln!(page, "\n### `{target}`: {meaning}\n\n| `event` | level | fields | meaning |\n|---|---|---|---|")
            .unwrap();
        for (_, LogEvent { id, levels, fields, meaning, .. }) in
            EVENTS.iter().filter(|(_, event)| event.target == target)
        {
            let levels = levels.iter().map(|level| level.to_uppercase()).collect::<Vec<_>>().join(", ");
            let fields = fields.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(", ");
            writeln!(page, "| `{id}` | {levels} | {fields} | {meaning} |").unwrap();
        }
    }
    page + "\n"
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
