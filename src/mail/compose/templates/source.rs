//! The sources of templates: those compiled in, those of a folder, and the names that both go by.

use std::collections::BTreeMap;
use std::path::Path;

use crate::domain::delivery::Purpose;
use crate::domain::kind::Details;
use crate::input_file;
use crate::mail::compose::TemplatesError;

const ENDING: &str = ".jinja";
/// Far more than any message needs; a larger file is there by mistake.
const LARGEST: u64 = 1_000_000;

/// A message as templates know it: its purpose, and the kind where that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Title(&'static str);

impl Title {
    /// Every message there is.
    pub(crate) const ALL: [Self; 12] = [
        Self("invitation.connection"),
        Self("invitation.reconnection"),
        Self("invitation.user"),
        Self("invitation.guest"),
        Self("invitation.general"),
        Self("reminder.connection"),
        Self("reminder.reconnection"),
        Self("reminder.user"),
        Self("reminder.guest"),
        Self("reminder.general"),
        Self("acceptance_notice"),
        Self("verification_code"),
    ];

    /// Returns the message that serves a purpose for an invitation.
    pub(crate) fn of(purpose: Purpose, details: &Details) -> Self {
        let of_kind = |purpose: &str, general: &'static str| {
            let is_it = |title: &Self| title.0.strip_prefix(purpose) == Some(details.mail_name());
            Self::ALL.into_iter().find(is_it).unwrap_or(Self(general))
        };
        match purpose {
            Purpose::Invitation => of_kind("invitation.", "invitation.general"),
            Purpose::Reminder => of_kind("reminder.", "reminder.general"),
            Purpose::AcceptanceNotice => Self("acceptance_notice"),
            Purpose::VerificationCode => Self("verification_code"),
        }
    }

    /// Returns the first part of the names of its templates.
    pub(crate) fn as_str(self) -> &'static str {
        self.0
    }

    /// Returns whether it brings a link.
    pub(crate) fn has_link(self) -> bool {
        self.0.starts_with("invitation.") || self.0.starts_with("reminder.")
    }
}

/// File names without `.jinja`, and what is in them.
pub(crate) const BUILTIN: &[(&str, &str)] = &[
    ("layout.text", include_str!("../../templates/layout.text.jinja")),
    ("layout.html", include_str!("../../templates/layout.html.jinja")),
    ("common.en", include_str!("../../templates/common.en.jinja")),
    ("invitation.connection.en", include_str!("../../templates/invitation.connection.en.jinja")),
    ("invitation.reconnection.en", include_str!("../../templates/invitation.reconnection.en.jinja")),
    ("invitation.user.en", include_str!("../../templates/invitation.user.en.jinja")),
    ("invitation.guest.en", include_str!("../../templates/invitation.guest.en.jinja")),
    ("invitation.general.en", include_str!("../../templates/invitation.general.en.jinja")),
    ("reminder.connection.en", include_str!("../../templates/reminder.connection.en.jinja")),
    ("reminder.reconnection.en", include_str!("../../templates/reminder.reconnection.en.jinja")),
    ("reminder.user.en", include_str!("../../templates/reminder.user.en.jinja")),
    ("reminder.guest.en", include_str!("../../templates/reminder.guest.en.jinja")),
    ("reminder.general.en", include_str!("../../templates/reminder.general.en.jinja")),
    ("acceptance_notice.en", include_str!("../../templates/acceptance_notice.en.jinja")),
    ("verification_code.en", include_str!("../../templates/verification_code.en.jinja")),
    ("common.de", include_str!("../../templates/common.de.jinja")),
    ("invitation.connection.de", include_str!("../../templates/invitation.connection.de.jinja")),
    ("invitation.reconnection.de", include_str!("../../templates/invitation.reconnection.de.jinja")),
    ("invitation.user.de", include_str!("../../templates/invitation.user.de.jinja")),
    ("invitation.guest.de", include_str!("../../templates/invitation.guest.de.jinja")),
    ("invitation.general.de", include_str!("../../templates/invitation.general.de.jinja")),
    ("reminder.connection.de", include_str!("../../templates/reminder.connection.de.jinja")),
    ("reminder.reconnection.de", include_str!("../../templates/reminder.reconnection.de.jinja")),
    ("reminder.user.de", include_str!("../../templates/reminder.user.de.jinja")),
    ("reminder.guest.de", include_str!("../../templates/reminder.guest.de.jinja")),
    ("reminder.general.de", include_str!("../../templates/reminder.general.de.jinja")),
    ("acceptance_notice.de", include_str!("../../templates/acceptance_notice.de.jinja")),
    ("verification_code.de", include_str!("../../templates/verification_code.de.jinja")),
];

/// Reads every template in a folder, by its name without the ending.
///
/// Hidden files are left alone, since Kubernetes keeps its own beside those it mounts, and so is a README.
pub(crate) fn read(folder: &Path) -> Result<BTreeMap<String, String>, TemplatesError> {
    let unreadable = |error| TemplatesError::Read(folder.to_owned(), error);
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if file.starts_with('.') || file == "README.md" {
            continue;
        }
        let name = file.strip_suffix(ENDING).map(str::to_ascii_lowercase).filter(|name| is_known(name));
        let name = name.ok_or(TemplatesError::Name(file))?;
        let read = |path: &Path| {
            if std::fs::metadata(path)?.len() > LARGEST {
                return Err(std::io::Error::other("is larger than 1 MB"));
            }
            input_file::read_text(path)
        };
        let source = read(&path).map_err(|error| TemplatesError::Read(path, error))?;
        found.insert(name, source);
    }
    Ok(found)
}

fn is_known(name: &str) -> bool {
    let is_common = name.strip_prefix("common.").is_some_and(is_locale);
    matches!(name, "layout.text" | "layout.html") || is_common || parts(name).is_some()
}

fn is_locale(text: &str) -> bool {
    text.split('-').all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Returns which message, and in which language, a template is.
pub(crate) fn parts(name: &str) -> Option<(Title, &str)> {
    let (title, locale) = name.rsplit_once('.')?;
    let title = Title::ALL.into_iter().find(|known| known.as_str() == title)?;
    is_locale(locale).then_some((title, locale))
}

/// Returns what to try for a language, the nearest first: itself, then the language without the region.
pub(crate) fn locale_candidates(wanted: &str) -> impl Iterator<Item = String> {
    let exact = wanted.trim().replace('_', "-").to_ascii_lowercase();
    let mut ends: Vec<usize> = exact.match_indices('-').map(|(index, _)| index).collect();
    ends.push(exact.len());
    ends.into_iter().rev().map(move |end| exact[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_language_comes_first() {
        let all = |wanted: &str| locale_candidates(wanted).collect::<Vec<_>>();
        assert_eq!(all("de_AT"), ["de-at", "de"]);
        assert_eq!(all("zh-Hant-TW"), ["zh-hant-tw", "zh-hant", "zh"]);
        assert_eq!(all("en"), ["en"]);
        assert_eq!(all(""), [""]);
    }
}
