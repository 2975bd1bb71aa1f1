//! The sources of templates: those compiled in, those of a folder, and the names that both go by.

use std::collections::BTreeMap;
use std::path::Path;

use crate::domain::delivery::Purpose;
use crate::domain::kind::Details;
use crate::input_file;
use crate::mail::compose::TemplatesError;

const ENDING: &str = ".jinja";
/// The end of the titles for people who have an account.
const EXISTING: &str = ".existing";

/// A message as templates know it: its purpose, and the kind where that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Title(&'static str);

impl Title {
    /// Every message there is.
    pub(crate) const ALL: [Self; 20] = [
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
        Self("decline_notice"),
        Self("failure_notice"),
        Self("expiry_notice"),
        Self("verification_code"),
        Self("invitation.connection.existing"),
        Self("invitation.reconnection.existing"),
        Self("invitation.user.existing"),
        Self("invitation.guest.existing"),
        Self("invitation.general.existing"),
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
            Purpose::DeclineNotice => Self("decline_notice"),
            Purpose::FailureNotice => Self("failure_notice"),
            Purpose::ExpiryNotice => Self("expiry_notice"),
            Purpose::VerificationCode => Self("verification_code"),
        }
    }

    /// Returns the invitation in place of a reminder of it; other messages stay as they are.
    pub(crate) fn invitation(self) -> Self {
        let Some(kind) = self.0.strip_prefix("reminder.") else { return self };
        let is_it = |title: &Self| title.0.strip_prefix("invitation.") == Some(kind);
        Self::ALL.into_iter().find(is_it).unwrap_or(self)
    }

    /// Returns the form of an invitation for people who have an account.
    pub(crate) fn existing(self) -> Option<Self> {
        let is_it = |title: &Self| title.0.strip_suffix(EXISTING) == Some(self.0);
        Self::ALL.into_iter().find(is_it)
    }

    /// Returns whether a language is complete without it: another message takes its place.
    pub(crate) fn is_optional(self) -> bool {
        self.0.ends_with(EXISTING)
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
    ("decline_notice.en", include_str!("../../templates/decline_notice.en.jinja")),
    ("failure_notice.en", include_str!("../../templates/failure_notice.en.jinja")),
    ("expiry_notice.en", include_str!("../../templates/expiry_notice.en.jinja")),
    ("invitation.connection.existing.en", include_str!("../../templates/invitation.connection.existing.en.jinja")),
    ("invitation.reconnection.existing.en", include_str!("../../templates/invitation.reconnection.existing.en.jinja")),
    ("invitation.user.existing.en", include_str!("../../templates/invitation.user.existing.en.jinja")),
    ("invitation.guest.existing.en", include_str!("../../templates/invitation.guest.existing.en.jinja")),
    ("invitation.general.existing.en", include_str!("../../templates/invitation.general.existing.en.jinja")),
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
    ("decline_notice.de", include_str!("../../templates/decline_notice.de.jinja")),
    ("failure_notice.de", include_str!("../../templates/failure_notice.de.jinja")),
    ("expiry_notice.de", include_str!("../../templates/expiry_notice.de.jinja")),
    ("invitation.connection.existing.de", include_str!("../../templates/invitation.connection.existing.de.jinja")),
    ("invitation.reconnection.existing.de", include_str!("../../templates/invitation.reconnection.existing.de.jinja")),
    ("invitation.user.existing.de", include_str!("../../templates/invitation.user.existing.de.jinja")),
    ("invitation.guest.existing.de", include_str!("../../templates/invitation.guest.existing.de.jinja")),
    ("invitation.general.existing.de", include_str!("../../templates/invitation.general.existing.de.jinja")),
];

/// Lets the templates of a folder take the place of those that are compiled in. Where the folder has other words for an invitation,
/// these are for everybody, unless it also has those for people who have an account.
pub(crate) fn replace(sources: &mut BTreeMap<String, String>, folder: BTreeMap<String, String>) {
    for (title, locale) in folder.keys().filter_map(|name| parts(name)) {
        if let Some(existing) = title.existing() {
            sources.remove(&format!("{}.{locale}", existing.as_str()));
        }
    }
    sources.extend(folder);
}

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
        let source = input_file::read_template(&path).map_err(|error| TemplatesError::Read(path, error))?;
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
