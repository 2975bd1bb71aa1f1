//! Parsing of the value forms that several sections share: durations, numbers, choices, secrets with a `*_file` twin.
//!
//! This module knows neither the names nor the defaults of keys.

use std::fmt::Display;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::error::{Checked, Problems};

use crate::input_file;

/// Parses a duration as it is written in the configuration: a whole number and `ms`, `s`, `m`, `h` or `d`.
///
/// # Errors
/// A text that names the expected form.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let expected = || "must be a duration such as \"1500ms\", \"10s\", \"1m\" or \"30d\"".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let millis_per_unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(expected()),
    };
    let number: u64 = number.parse().map_err(|_| expected())?;
    number.checked_mul(millis_per_unit).map(Duration::from_millis).ok_or_else(expected)
}

/// Writes a duration in the form that `parse_duration` reads.
pub(super) fn format_duration(duration: Duration) -> String {
    match duration.as_millis() {
        millis if millis > 0 && millis % 86_400_000 == 0 => format!("{}d", millis / 86_400_000),
        millis if millis % 1_000 == 0 => format!("{}s", millis / 1_000),
        millis => format!("{millis}ms"),
    }
}

pub(super) fn duration(
    problems: &mut Problems,
    field: &str,
    text: &str,
    range: RangeInclusive<Duration>,
) -> Checked<Duration> {
    let parsed = parse_duration(text).and_then(|duration| {
        let (least, most) = (format_duration(*range.start()), format_duration(*range.end()));
        if range.contains(&duration) { Ok(duration) } else { Err(format!("must be from {least} to {most}")) }
    });
    problems.check(field, parsed)
}

pub(super) fn number<T>(problems: &mut Problems, field: &str, text: &str, range: RangeInclusive<T>) -> Checked<T>
where
    T: FromStr + PartialOrd + Display,
{
    let parsed = text.parse::<T>().ok().filter(|number| range.contains(number));
    problems
        .check(field, parsed.ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end())))
}

pub(super) fn address(problems: &mut Problems, field: &str, text: &str) -> Checked<SocketAddr> {
    let expected = "must be an IP address and a port, such as 127.0.0.1:50051 or [::1]:50051";
    problems.check(field, text.parse().map_err(|_| expected))
}

/// Returns the value that goes with a word. The error names all words.
pub(super) fn choice<T: Clone>(problems: &mut Problems, field: &str, text: &str, choices: &[(&str, T)]) -> Checked<T> {
    let found = choices.iter().find(|(word, _)| *word == text).map(|(_, value)| value.clone());
    problems.check(
        field,
        found.ok_or_else(|| {
            let words: Vec<String> = choices.iter().map(|(word, _)| format!("{word:?}")).collect();
            format!("must be one of {}", words.join(", "))
        }),
    )
}

/// A secret and, when it came from a `*_file` twin, the file.
pub(super) struct Secret {
    pub(super) value: SecretString,
    pub(super) file: Option<PathBuf>,
}

/// Resolves a secret that may be given directly or as a file, but not as both; surrounding white space is dropped.
pub(super) fn secret(
    problems: &mut Problems,
    field: &str,
    value: Option<String>,
    file: Option<String>,
) -> Checked<Option<Secret>> {
    secret_or(problems, field, value, file, "is empty: leave the key out if it is not wanted")
}

/// Resolves a secret like `secret`, with another text for one that is empty.
pub(super) fn secret_or(
    problems: &mut Problems,
    field: &str,
    value: Option<String>,
    file: Option<String>,
    empty: &'static str,
) -> Checked<Option<Secret>> {
    let file_field = format!("{field}_file");
    let secret = match (value, file) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return problems.check(&file_field, Err(format!("is set, and so is {field}: set one of the two")));
        }
        (Some(value), None) => Secret { value: value.trim().into(), file: None },
        (None, Some(file)) => {
            let content = problems.check(&file_field, read_file(&file))?;
            Secret { value: content.trim().into(), file: Some(PathBuf::from(file)) }
        }
    };
    if secret.value.expose_secret().is_empty() {
        let field = if secret.file.is_some() { &file_field } else { field };
        return problems.check(field, Err(empty));
    }
    Ok(Some(secret))
}

pub(super) fn read_file(path: &str) -> Result<String, String> {
    input_file::read_text(Path::new(path)).map_err(|error| {
        let ownership = (error.kind() == ErrorKind::PermissionDenied).then(|| ownership(Path::new(path))).flatten();
        format!("cannot read {path}: {error}{}", ownership.unwrap_or_default())
    })
}

/// Returns whose a file is, and who this process is, for one that may not read it.
fn ownership(path: &Path) -> Option<String> {
    let file = std::fs::metadata(path).ok()?;
    let process =
        std::fs::metadata("/proc/self").map(|process| format!(", and this process is user {}", process.uid()));
    let (user, group, mode) = (file.uid(), file.gid(), file.mode() & 0o7777);
    let process = process.unwrap_or_default();
    Some(format!("; it belongs to user {user} and group {group}, with mode {mode:04o}{process}"))
}

/// Returns whether a text holds characters that break a line or a terminal: control characters and the Unicode line breaks.
pub(super) fn has_control(text: &str) -> bool {
    text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
}

/// Describes a TOML error by line and reason; the library's own text quotes the line, which may hold a secret.
pub(super) fn describe_toml_error(text: &str, error: &toml::de::Error) -> String {
    let offset = error.span().map_or(0, |span| span.start);
    let line = 1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
    format!("line {line}: {}", error.message())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ownership_names_users_and_mode() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = ownership(file.path()).unwrap();
        assert!(text.contains("belongs to user ") && text.contains("mode 0600"), "{text}");
        assert_eq!(ownership(Path::new("/nowhere/file")), None);
    }
}
