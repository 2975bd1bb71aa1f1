//! The templates of the pages: those compiled in, those of a folder in their place, and what is made of them.
//!
//! A layout has the structure of all pages, and a file for each language has its words. Every page there is gets tried at the start, with
//! everything known and with nothing known.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};
use sha2::{Digest as _, Sha256};

use super::view::{State, View};
use crate::input_file;

mod samples;

const LAYOUT: &str = "layout.jinja";
const STYLE: &str = "style.css";
const WORDS: &str = "page.";
const ENDING: &str = ".jinja";

const BUILTIN: [(&str, &str); 4] = [
    (LAYOUT, include_str!("templates/layout.jinja")),
    (STYLE, include_str!("templates/style.css")),
    ("page.en.jinja", include_str!("templates/page.en.jinja")),
    ("page.de.jinja", include_str!("templates/page.de.jinja")),
];

/// The reason why the templates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PagesError {
    /// The folder or a file in it cannot be read.
    #[error("pages.templates: {0}: {1}")]
    Read(PathBuf, std::io::Error),
    /// A file has no name that anything asks for.
    #[error("pages.templates: {0} is not the name of a template: see src/pages/templates/README.md")]
    Name(String),
    /// A template is no template, or cannot be rendered.
    #[error("pages.templates: {0}: {1}")]
    Broken(String, minijinja::Error),
    /// A page would not work.
    #[error("pages.templates: {name}: the page {state} {problem}")]
    Useless {
        /// The file.
        name: String,
        /// The page.
        state: &'static str,
        /// The problem in words.
        problem: &'static str,
    },
    /// The default language has no template.
    #[error("pages.locale: there is no template for {0:?}")]
    Locale(String),
}

/// Tries every template, as a start does.
///
/// # Errors
/// The first template that cannot be used.
pub fn check_templates(folder: Option<&Path>, locale: &str) -> Result<(), PagesError> {
    Templates::load(folder, locale).map(drop)
}

/// Every page, ready to be filled.
#[derive(Debug)]
pub(super) struct Templates {
    environment: Environment<'static>,
    style: String,
    style_hash: String,
    /// The language of last resort.
    locale: String,
}

impl Templates {
    /// Compiles and tries the templates, those of a folder in place of those compiled in.
    pub(super) fn load(folder: Option<&Path>, locale: &str) -> Result<Self, PagesError> {
        let mut sources: BTreeMap<String, String> =
            BUILTIN.iter().map(|(name, source)| ((*name).to_owned(), (*source).to_owned())).collect();
        if let Some(folder) = folder {
            sources.extend(read(folder)?);
        }
        let style = sources.remove(STYLE).unwrap_or_default();
        let mut environment = Environment::new();
        environment.set_debug(false);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| PagesError::Broken(LAYOUT.to_owned(), error))?);
        for (name, source) in &sources {
            let added = environment.add_template_owned(name.clone(), source.clone());
            added.map_err(|error| PagesError::Broken(name.clone(), error))?;
        }
        let style_hash = BASE64.encode(&Sha256::digest(style.as_bytes()));
        let templates = Self { environment, style, style_hash, locale: locale.to_owned() };
        if templates.nearest(locale).is_none() {
            return Err(PagesError::Locale(locale.to_owned()));
        }
        for name in sources.keys().filter(|name| *name != LAYOUT) {
            templates.try_out(name)?;
        }
        Ok(templates)
    }

    /// Returns the hash of the style, by which a browser knows it.
    pub(super) fn style_hash(&self) -> &str {
        &self.style_hash
    }

    /// Returns the language of a page: the first that is wanted and there, else the default.
    pub(super) fn choose<'a>(&self, wanted: impl IntoIterator<Item = &'a str>) -> String {
        wanted.into_iter().find_map(|wanted| self.nearest(wanted)).unwrap_or_else(|| self.locale.clone())
    }

    /// Returns a language itself, or without its region, if there is a template.
    fn nearest(&self, wanted: &str) -> Option<String> {
        let mut language = wanted.trim().replace('_', "-").to_ascii_lowercase();
        loop {
            if self.environment.get_template(&file_of(&language)).is_ok() {
                return Some(language);
            }
            language.truncate(language.rfind('-')?);
        }
    }

    /// Writes a page.
    pub(super) fn render(
        &self,
        state: State,
        view: &View,
        sender: &str,
        locale: &str,
    ) -> Result<String, minijinja::Error> {
        let mut values = view.values(state, sender, locale);
        values.insert("style", Value::from_safe_string(self.style.clone()));
        self.environment.get_template(&file_of(locale))?.render(Value::from_pairs(values))
    }

    /// Tries every page of a language.
    fn try_out(&self, name: &str) -> Result<(), PagesError> {
        let locale = locale_of(name).unwrap_or_default();
        for (state, view) in State::ALL.into_iter().flat_map(|state| samples::all().map(|view| (state, view))) {
            let html = self.render(state, &view, "Example", locale).map_err(|error| broken(name, error))?;
            if let Some(problem) = self.problem(state, &view, &html) {
                return Err(PagesError::Useless { name: name.to_owned(), state: state.into(), problem });
            }
        }
        Ok(())
    }

    /// Returns what keeps a page from its work: a form without its tie, or something that the browser will refuse.
    fn problem(&self, state: State, view: &View, html: &str) -> Option<&'static str> {
        let lower = html.to_ascii_lowercase();
        if state.has_form() && !html.contains(&format!("name=\"visit\" value=\"{}\"", view.visit)) {
            return Some("has no <input type=\"hidden\" name=\"visit\" value=\"{{ visit }}\"> in its form");
        }
        if !html.contains(&format!("<style>{}</style>", self.style)) {
            return Some("has no <style>{{ style }}</style>, the only style that a browser takes");
        }
        if ["<script", "<link", "<iframe", "<object", "<embed", " style=", "javascript:"]
            .iter()
            .any(|part| lower.contains(part))
        {
            return Some("has a script, a style or a part of another page, which no browser loads here");
        }
        let leads = matches!(state, State::Accepted | State::Declined | State::Intended) && !view.next.is_empty();
        (leads && !lower.contains("href=")).then_some("has no link to {{ next }}")
    }
}

fn file_of(locale: &str) -> String {
    format!("{WORDS}{locale}{ENDING}")
}

/// Returns the language of a file of words.
fn locale_of(name: &str) -> Option<&str> {
    let locale = name.strip_prefix(WORDS)?.strip_suffix(ENDING)?;
    let is_part = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    locale.split('-').all(is_part).then_some(locale)
}

fn broken(name: &str, error: minijinja::Error) -> PagesError {
    PagesError::Broken(error.name().unwrap_or(name).to_owned(), error)
}

/// Reads the templates in a folder. Hidden files are left alone, since Kubernetes keeps its own beside those it mounts, and so is a README.
fn read(folder: &Path) -> Result<BTreeMap<String, String>, PagesError> {
    let unreadable = |error| PagesError::Read(folder.to_owned(), error);
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if file.starts_with('.') || file == "README.md" {
            continue;
        }
        let name = file.to_ascii_lowercase();
        if name != LAYOUT && name != STYLE && locale_of(&name).is_none() {
            return Err(PagesError::Name(file));
        }
        let source = input_file::read_template(&path).map_err(|error| PagesError::Read(path, error))?;
        found.insert(name, source);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(files: &[(&str, &str)]) -> Result<Templates, PagesError> {
        let folder = tempfile::tempdir().unwrap();
        for (name, source) in files {
            std::fs::write(folder.path().join(name), source).unwrap();
        }
        Templates::load(Some(folder.path()), "en")
    }

    #[test]
    fn nearest_language_is_chosen_in_the_order_of_wishes() {
        let templates = Templates::load(None, "en").unwrap();
        for (wanted, chosen) in
            [(&["de-AT", "en"][..], "de"), (&["fr", "de"], "de"), (&["en_GB"], "en"), (&["fr"], "en"), (&[], "en")]
        {
            assert_eq!(templates.choose(wanted.iter().copied()), chosen, "{wanted:?}");
        }
        assert!(matches!(Templates::load(None, "fr"), Err(PagesError::Locale(_))));
    }

    #[test]
    fn folder_replaces_files_and_a_useless_one_is_refused() {
        let french = "{% extends \"page.en.jinja\" %}{% block footer %}Envoyé par {{ sender }}{% endblock %}";
        let templates = with(&[("page.fr.jinja", french), ("README.md", ""), (".hidden", "")]).unwrap();
        assert_eq!(templates.choose(["fr-CA"]), "fr");
        assert_ne!(with(&[("style.css", "p { color: red }")]).unwrap().style_hash(), templates.style_hash());
        for (name, source, wanted) in [
            ("page.english.language.jinja", "", "is not the name of a template"),
            ("mail.jinja", "", "is not the name of a template"),
            (
                "page.fr.jinja",
                "{% extends \"page.en.jinja\" %}{% block footer %}{{ nothing }}{% endblock %}",
                "undefined",
            ),
            ("page.fr.jinja", "{% if %}", "page.fr.jinja"),
            ("page.fr.jinja", "<style>{{ style }}</style>", "the page open has no <input type=\"hidden\""),
            ("layout.jinja", "<input name=\"visit\" value=\"{{ visit }}\">", "has no <style>"),
        ] {
            let error = with(&[(name, source)]).unwrap_err().to_string();
            assert!(error.contains(wanted), "{name}: {error}");
        }
        let script = "<style>{{ style }}</style><input name=\"visit\" value=\"{{ visit }}\"><SCRIPT>";
        assert!(with(&[("layout.jinja", script)]).unwrap_err().to_string().contains("has a script"));
    }
}
