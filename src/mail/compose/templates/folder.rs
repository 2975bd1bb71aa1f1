//! A folder of templates that take the place of those compiled in.

use std::collections::BTreeMap;
use std::path::Path;

use crate::mail::compose::TemplatesError;
use crate::mail::compose::title::Title;

const ENDING: &str = ".jinja";
/// Far more than any message needs; a larger file is there by mistake.
const LARGEST: u64 = 1_000_000;

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
            std::fs::read_to_string(path)
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
