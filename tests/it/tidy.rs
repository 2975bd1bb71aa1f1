//! The rules of ARCHITECTURE.md that a compiler does not check, checked on the sources themselves.
//!
//! Each rule is a function over a path and a text; `tidy/broken.rs` shows of every one that it can fail.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

mod broken;
mod layers;
mod planted;

const LONGEST: usize = 400;
const LONGEST_NAME: usize = 60;

/// The words with which a comment begins that has no subject.
const OPENINGS: [&str; 7] = ["What", "Which", "Whose", "Who", "How", "None", "Why"];

/// The sources that are read: all Rust that is written by hand.
const ROOTS: [&str; 4] = ["src", "tests", "benches", "build.rs"];

/// Crates by the beginning of their names, and the only files (or folders, ending in `/`) that may use them.
const CRATES: [(&str, &[&str]); 7] = [
    ("sea_orm", &["src/store.rs", "src/store/"]),
    ("sqlx", &["src/store.rs", "src/store/"]),
    (
        "tonic",
        &[
            "src/api.rs",
            "src/api/",
            "src/cli/",
            "src/dev.rs",
            "src/dev/",
            "src/pages/",
            "src/pb.rs",
            "src/pb/",
            "src/serve.rs",
            "src/serve/",
            "src/server.rs",
            "src/server/",
        ],
    ),
    (
        "prost",
        &[
            "src/api.rs",
            "src/api/",
            "src/cli/",
            "src/dev.rs",
            "src/dev/",
            "src/event_json.rs",
            "src/openapi.rs",
            "src/openapi/",
            "src/pages/",
            "src/pb.rs",
            "src/pb/",
            "src/serve.rs",
            "src/serve/",
            "src/server.rs",
            "src/server/",
        ],
    ),
    ("lettre", &["src/mail/smtp.rs", "src/mail/smtp/"]),
    ("html5gum", &["src/mail/compose/html.rs"]),
    (
        "tokio",
        &[
            "src/main.rs",
            "src/commands.rs",
            "src/commands/",
            "src/auth/key_directory.rs",
            "src/auth/key_directory/",
            "src/background.rs",
            "src/background/",
            "src/cli/",
            "src/dev.rs",
            "src/dev/",
            "src/serve.rs",
            "src/serve/",
            "src/shutdown.rs",
            "src/telemetry.rs",
            "src/telemetry/",
            "src/api.rs",
            "src/api/",
            "src/server.rs",
            "src/server/",
            "src/store.rs",
            "src/store/",
            "src/mail.rs",
            "src/mail/",
            "src/pages/",
            "src/webhook.rs",
            "src/webhook/",
            "src/nats.rs",
            "src/nats/",
        ],
    ),
];

/// The only files that read the clock and randomness.
const SOURCES_OF_CHANCE: [&str; 2] = ["src/clock.rs", "src/entropy.rs"];
const CHANCE: [&str; 8] = [
    "Utc::now",
    "Local::now",
    "SystemTime::now",
    "Uuid::now_v7",
    "Uuid::new_v7",
    "Uuid::new_v4",
    "rand::",
    "getrandom::",
];

/// The files that read for the service itself, of all accounts. All others read for callers, behind the second wall.
const OWN_READS: [&str; 24] = [
    "src/store/api_keys/followed.rs",
    "src/store/erasures.rs",
    "src/store/events/listener.rs",
    "src/store/events/resume.rs",
    "src/store/events/sequencer.rs",
    "src/store/executor/guards.rs",
    "src/store/executor/lane.rs",
    "src/store/expiry.rs",
    "src/store/maintenance/events.rs",
    "src/store/maintenance/key_checks.rs",
    "src/store/maintenance/quotas.rs",
    "src/store/maintenance/tables.rs",
    "src/store/maintenance/walk.rs",
    "src/store/queue.rs",
    "src/store/queue/notices.rs",
    "src/store/queue/backlog.rs",
    "src/store/queue/outbox.rs",
    "src/store/read/positions.rs",
    "src/store/sql/database/read_scope.rs",
    "src/store/statements.rs",
    "src/store/verifications.rs",
    "src/store/webhooks/claim.rs",
    "src/store/webhooks/dispatch.rs",
    "src/store/webhooks/reseal.rs",
];

const READS: [&str; 5] = ["database.read.", "database.read)", "database.read,", "self.0.read.", "self.0.read)"];

/// Written in two halves, so that this file keeps its own rule.
const UNFINISHED: [&str; 5] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), "todo!", "unimplemented!"];
const EVASIONS: [&str; 4] = [concat!("#[ig", "nore"), concat!("#[al", "low("), concat!("#![al", "low("), "unsafe {"];

/// The time limit of asynchronous tests, and the runtime of the commands of the binary.
const RUNTIMES: [&str; 2] = ["tests/it/support/limit.rs", "src/commands/runtime.rs"];

type Rule = fn(&str, &str) -> Vec<String>;

const RULES: [Rule; 11] = [
    foreign_crates,
    layers::layers,
    own_reads,
    time_and_chance,
    too_long,
    head,
    module_file,
    unfinished,
    without_limit,
    without_subject,
    long_test_name,
];

#[test]
fn sources_keep_the_rules() {
    let sources = sources(&ROOTS, "rs");
    assert!(sources.len() > 100, "only {} files were found", sources.len());
    let broken: Vec<String> =
        sources.iter().flat_map(|(path, text)| RULES.iter().flat_map(move |rule| rule(path, text))).collect();
    println!("{}", lengths(&sources));
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn comments_of_the_protos_have_subjects() {
    let protos = sources(&["proto"], "proto");
    assert!(protos.len() > 5, "only {} files were found", protos.len());
    let broken: Vec<String> = protos.iter().flat_map(|(path, text)| without_subject(path, text)).collect();
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

/// A crate is used only by the files that are there to use it.
fn foreign_crates(path: &str, text: &str) -> Vec<String> {
    if !path.starts_with("src/") {
        return Vec::new();
    }
    let used: BTreeSet<String> = code(text).flat_map(|line| roots(&line)).collect();
    let forbidden = CRATES.iter().filter(|(_, places)| !is_in(path, places));
    forbidden
        .flat_map(|(name, places)| {
            let of_family =
                move |used: &&String| used == name || used.strip_prefix(name).is_some_and(|rest| rest.starts_with('_'));
            used.iter().filter(of_family).map(move |used| format!("{path}: {used} may be used only in {places:?}"))
        })
        .collect()
}

/// Time and randomness come through `Clock` and `Entropy`.
fn time_and_chance(path: &str, text: &str) -> Vec<String> {
    if !path.starts_with("src/") || SOURCES_OF_CHANCE.contains(&path) {
        return Vec::new();
    }
    let found = CHANCE.iter().filter(|call| code(text).any(|line| has_word(&line, call)));
    found.map(|call| format!("{path}: {call} belongs to clock.rs or entropy.rs")).collect()
}

/// The bare pool shows the rows of all accounts.
fn own_reads(path: &str, text: &str) -> Vec<String> {
    if !path.starts_with("src/store/") || OWN_READS.contains(&path) {
        return Vec::new();
    }
    let reads = |line: &str| READS.iter().any(|read| line.contains(read));
    let found = code(text).filter(|line| reads(line));
    found.map(|_| format!("{path}: reads of calls go through Database::reading_for")).collect()
}

fn too_long(path: &str, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    (lines > LONGEST).then(|| format!("{path}: {lines} lines, more than {LONGEST}")).into_iter().collect()
}

/// Every file says at its head what it is for.
fn head(path: &str, text: &str) -> Vec<String> {
    (!text.starts_with("//! ")).then(|| format!("{path}: does not begin with `//!`")).into_iter().collect()
}

fn module_file(path: &str, _: &str) -> Vec<String> {
    path.ends_with("/mod.rs").then(|| format!("{path}: name the file after its module")).into_iter().collect()
}

/// Nothing is left for later, no test is left out, and a lint is met or `expect`ed with a reason.
fn unfinished(path: &str, text: &str) -> Vec<String> {
    let marks =
        UNFINISHED.iter().filter(|mark| **mark == mark.to_uppercase() && text.lines().any(|line| has_word(line, mark)));
    let calls = UNFINISHED.iter().filter(|mark| mark.ends_with('!') && code(text).any(|line| calls(&line, mark)));
    let evasions = EVASIONS.iter().filter(|evasion| code(text).any(|line| line.trim_start().starts_with(**evasion)));
    marks.chain(calls).chain(evasions).map(|found| format!("{path}: {found}")).collect()
}

/// Every asynchronous test ends within the time limit of `support/limit.rs`, which a runtime of its own would evade.
fn without_limit(path: &str, text: &str) -> Vec<String> {
    let place = if path.starts_with("src/") { "crate::limit" } else { "crate::support::limit" };
    let limited = format!("crate = \"{place}\")]");
    let mut lines = text.lines().map(str::trim_start);
    let unlimited = lines.any(|line| line.starts_with("#[tokio::test") && !line.ends_with(&limited));
    let evaded = !RUNTIMES.contains(&path) && code(text).any(|line| line.contains(".block_on("));
    let found = [(unlimited, "`#[tokio::test]`"), (evaded, "`block_on`")].into_iter().filter(|(found, _)| *found);
    found.map(|(_, what)| format!("{path}: {what} has no time limit: write #[tokio::test({limited}")).collect()
}

/// A comment names the thing it is about before it says something of it.
fn without_subject(path: &str, text: &str) -> Vec<String> {
    let comments = text.lines().filter_map(|line| line.trim_start().strip_prefix("//"));
    let comments = comments.map(|comment| comment.trim_start_matches(['/', '!', ' ']));
    let broken = comments.filter(|comment| comment.split(' ').next().is_some_and(|first| OPENINGS.contains(&first)));
    broken.map(|comment| format!("{path}: begin with a subject: {comment}")).collect()
}

fn long_test_name(path: &str, text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim_start);
    let names = lines.filter_map(|line| line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn "));
    let names = names.map(|name| name.split(|c| !is_word(c)).next().unwrap_or_default());
    let long = names.filter(|name| name.len() > LONGEST_NAME);
    long.map(|name| format!("{path}: {name} has more than {LONGEST_NAME} characters")).collect()
}

/// The lines of a text without comments and without what is quoted in them.
fn code(text: &str) -> impl Iterator<Item = String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let lines = lines.map(|line| line.split_once(" // ").map_or(line, |(code, _)| code));
    lines.map(|line| line.replace("\\\"", "").split('"').step_by(2).collect::<Vec<_>>().join("\"\""))
}

/// The first segments of the paths in a line of code: `a` in `use a;`, `a::b` and `x<a::b>`, but not in `b::a::c`.
fn roots(line: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (end, _) in line.match_indices("::") {
        let start = line[..end].rfind(|c: char| !is_word(c)).map_or(0, |index| index + 1);
        if !line[..start].ends_with("::") {
            found.insert(line[start..end].to_owned());
        }
    }
    let plain = line.trim_start().trim_start_matches("pub ").strip_prefix("use ");
    let name = plain.and_then(|rest| rest.split([';', ' ']).next()).filter(|name| name.chars().all(is_word));
    found.extend(name.map(str::to_owned));
    found
}

/// The modules of this crate that a text names: `a` in `crate::a::b`, `a` and `b` in `crate::{a::c, b}`.
fn uses_of_ours(text: &str) -> BTreeSet<String> {
    let text = code(text).collect::<Vec<_>>().join("\n");
    let mut found = BTreeSet::new();
    for (index, _) in text.match_indices("crate::") {
        let rest = &text[index + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let (mut depth, mut first) = (0_usize, true);
            for word in group.split_inclusive(|c: char| !is_word(c)) {
                let (name, separator) = word.split_at(word.trim_end_matches(|c| !is_word(c)).len());
                if depth == 0 && first && !name.is_empty() {
                    found.insert(name.to_owned());
                    first = false;
                }
                match separator {
                    "{" => depth += 1,
                    "}" if depth == 0 => break,
                    "}" => depth -= 1,
                    "," if depth == 0 => first = true,
                    _ => {}
                }
            }
        } else {
            let name: String = rest.chars().take_while(|c| is_word(*c)).collect();
            found.insert(name);
        }
    }
    // The root's own macros and the like begin with no module.
    found.retain(|name| name.chars().next().is_some_and(char::is_lowercase));
    found
}

/// The module a file of `src` belongs to.
fn module(path: &str) -> Option<&str> {
    let inner = path.strip_prefix("src/")?;
    let first = inner.split('/').next()?;
    Some(first.strip_suffix(".rs").unwrap_or(first))
}

fn is_in(path: &str, places: &[&str]) -> bool {
    places.iter().any(|place| path == *place || (place.ends_with('/') && path.starts_with(place)))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether a text occurs in a line and is not the end of a longer word.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(index, _)| {
        let after = line[index + word.len()..].chars().next().filter(|_| word.ends_with(is_word));
        !line[..index].ends_with(is_word) && !after.is_some_and(is_word)
    })
}

/// Whether a macro is called, and not only named in a string.
fn calls(line: &str, call: &str) -> bool {
    line.match_indices(call).any(|(index, _)| {
        line[index + call.len()..].starts_with(['(', '{', '[']) && !line[..index].ends_with(|c| is_word(c) || c == '"')
    })
}

/// The files with an extension in some places, by their paths from the root of the repository.
fn sources(places: &[&str], wanted: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut pending: Vec<PathBuf> = places.iter().map(|name| root.join(name)).filter(|path| path.exists()).collect();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == wanted) {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
    found.sort();
    found
}

/// One line about the lengths of the files of `src`.
fn lengths(sources: &[(String, String)]) -> String {
    let ours = sources.iter().filter(|(path, _)| path.starts_with("src/"));
    let mut lengths: Vec<(usize, &str)> = ours.map(|(path, text)| (text.lines().count(), path.as_str())).collect();
    lengths.sort_unstable();
    let (median, (longest, path)) = (lengths[lengths.len() / 2].0, lengths[lengths.len() - 1]);
    format!("{} files in src: median {median} lines, longest {longest} ({path})", lengths.len())
}
