//! A file that lists credentials, or who issues them: API keys, issuers of JWTs, client certificates. It is read at start, and again when
//! it changes.

use std::collections::{BTreeMap, HashSet};
use std::hash::Hash;
use std::path::PathBuf;

use serde::de::DeserializeOwned;

use crate::auth::api_key::ApiKey;
use crate::config::error::{Checked, Problems, Reported};
use crate::config::value;

/// A file, and the entries that were read from it.
#[derive(Clone, Debug)]
pub struct EntryFile<E> {
    /// The file.
    pub path: PathBuf,
    /// The entries; their names are unique, and there is at least one.
    pub entries: Vec<E>,
}

/// An entry of a file, which is a TOML table of its own.
pub(crate) trait FileEntry: Sized + PartialEq {
    /// The key of the configuration that names the file.
    const FIELD: &'static str;
    /// The name of the tables.
    const TABLE: &'static str;
    /// The most entries.
    const MAX: usize = usize::MAX;
    /// The name of the part that no two entries share, beside the name.
    const UNIQUE: &'static str;

    /// The whole file, as it is written.
    type File: DeserializeOwned;
    /// The entry, as it is written.
    type Raw;
    /// The part that no two entries share.
    type Unique: Clone + Eq + Hash;

    /// Returns the entries of the file.
    fn raw_entries(file: Self::File) -> Vec<Self::Raw>;
    /// Returns the name of the entry.
    fn name(raw: &Self::Raw) -> &str;
    /// Parses the entry; the errors are the texts of everything that is refused in it.
    fn parse(raw: Self::Raw) -> Result<Self, Vec<String>>;
    /// Returns the part that no two entries share.
    fn unique(&self) -> &Self::Unique;
}

/// Parses the content of a file, as a start does that reads it.
///
/// # Errors
/// The texts of everything that is refused in it, on one line.
pub(crate) fn parse_entries<E: FileEntry>(path: &str, text: &str) -> Result<Vec<E>, String> {
    let mut problems = Problems::default();
    parse(&mut problems, path, text).map_err(|Reported| {
        let error = problems.into_error(&BTreeMap::new());
        error.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    })
}

/// Reads a file that is set. An operator who lists entries expects that they are checked, so none may be set in vain.
pub(super) fn read<E: FileEntry>(
    problems: &mut Problems,
    path: Option<&String>,
    is_in_vain: bool,
) -> Checked<Option<EntryFile<E>>> {
    let Some(path) = path else { return Ok(None) };
    if is_in_vain {
        let text = "has no effect while auth.mode is \"none\": set one of the two";
        return problems.check(E::FIELD, Err(text));
    }
    let text = problems.check(E::FIELD, value::read_file(path))?;
    Ok(Some(EntryFile { path: path.into(), entries: parse(problems, path, &text)? }))
}

/// Describes the error of a file. The key itself may be in it: `api-key entry` prints it above the entry.
fn describe(path: &str, text: &str, error: &toml::de::Error) -> String {
    let is_key = |line: &str| {
        let words = line.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '=')).map(str::trim);
        words.filter(|word| !word.is_empty()).any(|word| ApiKey::parse(word).is_ok())
    };
    match text.lines().position(is_key) {
        Some(before) => format!(
            "{path}, line {} is an API key itself: give it to its caller, and leave only its [[api_key]] entry here",
            before + 1
        ),
        None => format!("{path}, {}", value::describe_toml_error(text, error)),
    }
}

fn parse<E: FileEntry>(problems: &mut Problems, path: &str, text: &str) -> Checked<Vec<E>> {
    let parsed = toml::from_str::<E::File>(text).map_err(|error| describe(path, text, &error));
    let (table, max) = (E::TABLE, E::MAX);
    let raw = E::raw_entries(problems.check(E::FIELD, parsed)?);
    let count = raw.len();
    if count == 0 {
        return problems.check(E::FIELD, Err(format!("{path} has no [[{table}]] entry")));
    }
    if count > max {
        return problems.check(E::FIELD, Err(format!("{path} has more than {max} [[{table}]] entries")));
    }
    let (mut entries, mut names, mut others) = (Vec::new(), HashSet::new(), HashSet::new());
    for (index, raw) in raw.into_iter().enumerate() {
        let name = E::name(&raw).to_owned();
        let place = format!("{path}, {table} number {} ({name:?})", index + 1);
        match E::parse(raw) {
            Ok(_) if !names.insert(name) => {
                problems.add(E::FIELD, format!("{place}: another entry has the same name"));
            }
            Ok(entry) if !others.insert(entry.unique().clone()) => {
                problems.add(E::FIELD, format!("{place}: another entry has the same {}", E::UNIQUE));
            }
            Ok(entry) => entries.push(entry),
            Err(refused) => refused.iter().for_each(|text| problems.add(E::FIELD, format!("{place}: {text}"))),
        }
    }
    if entries.len() == count { Ok(entries) } else { Err(Reported) }
}
