//! The templates: those compiled in, those of a folder in their place, and what is made of them.
//!
//! A message is written once per language, in blocks; two layouts make its text and its HTML of them, in two environments
//! of which one escapes. Every template there is gets tried at the start, with everything known and with nothing known.

use std::collections::BTreeMap;
use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};

use super::check::check_content;
use super::context::{self, MailContext};
use super::{ComposeError, TemplatesError};

mod source;

pub(crate) use source::Title;

/// The longest subject: what most mail programs show.
const LONGEST_SUBJECT: usize = 150;

/// Every template, ready to be filled.
#[derive(Debug)]
pub(crate) struct Templates {
    text: Environment<'static>,
    html: Environment<'static>,
    /// The language of last resort.
    locale: String,
}

/// A message that a template has written.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

impl Templates {
    /// Compiles and tries the templates, those of a folder in place of those compiled in.
    pub(crate) fn load(folder: Option<&Path>, locale: &str) -> Result<Self, TemplatesError> {
        let mut sources: BTreeMap<String, String> =
            source::BUILTIN.iter().map(|(name, source)| ((*name).to_owned(), (*source).to_owned())).collect();
        if let Some(folder) = folder {
            source::replace(&mut sources, source::read(folder)?);
        }
        let layouts = [sources.remove("layout.text"), sources.remove("layout.html")];
        let [Some(text), Some(html)] = layouts else { return Err(TemplatesError::Missing("layout".to_owned())) };
        let templates = Self {
            text: environment(AutoEscape::None, text, &sources).map_err(|error| broken("layout.text", error))?,
            html: environment(AutoEscape::Html, html, &sources).map_err(|error| broken("layout.html", error))?,
            locale: locale.to_owned(),
        };
        let mut required = Title::ALL.iter().filter(|title| !title.is_optional());
        let complete = required.all(|title| templates.nearest(title.as_str(), locale).is_some());
        if !complete {
            return Err(TemplatesError::Locale(locale.to_owned()));
        }
        templates.try_all(sources.keys())?;
        Ok(templates)
    }

    /// Tries every message in every language it is written in.
    fn try_all<'a>(&self, names: impl Iterator<Item = &'a String>) -> Result<(), TemplatesError> {
        for name in names {
            let Some((title, locale)) = source::parts(name) else { continue };
            // A language of some messages has to be one of all that they share.
            if self.nearest("common", locale).is_none() {
                return Err(TemplatesError::Missing(format!("common.{locale}")));
            }
            for context in [context::full_sample(), context::single_sample(), context::empty_sample()] {
                let link = title.has_link().then_some(context::SAMPLE_LINK);
                // Samples belong to nobody, so the error may quote them.
                let written = self.render(name, locale, &context, link).map_err(|error| broken(name, error))?;
                check(name, &written, link).map_err(TemplatesError::Sample)?;
            }
        }
        Ok(())
    }

    /// Returns the language of a message for a recipient's wish.
    pub(crate) fn choose(&self, title: Title, wanted: Option<&str>) -> String {
        let nearest = |wanted: &str| self.nearest(title.as_str(), wanted);
        wanted.and_then(nearest).or_else(|| nearest(&self.locale)).unwrap_or_else(|| self.locale.clone())
    }

    /// Returns the template of a message in a language that it has. People who have an account get words of their own, where the
    /// language has them.
    fn name(&self, title: Title, locale: &str, existing_user: bool) -> String {
        let name = |title: Title| format!("{}.{locale}", title.as_str());
        let existing = title.existing().filter(|_| existing_user).map(name);
        existing.filter(|name| self.text.get_template(name).is_ok()).unwrap_or_else(|| name(title))
    }

    fn nearest(&self, name: &str, wanted: &str) -> Option<String> {
        source::locale_candidates(wanted).find(|locale| self.text.get_template(&format!("{name}.{locale}")).is_ok())
    }

    /// Writes a message in a language.
    pub(crate) fn write(
        &self,
        title: Title,
        locale: &str,
        context: &MailContext,
        link: Option<&str>,
    ) -> Result<Written, ComposeError> {
        let name = self.name(title, locale, context.existing_user);
        let written = self.render(&name, locale, context, link).map_err(|error| failure(&name, &error))?;
        match check(&name, &written, link) {
            Ok(()) => Ok(written),
            Err(ComposeError::Content(name, error)) => Err(ComposeError::Content(name, error.without_quote())),
            Err(error) => Err(error),
        }
    }

    fn render(
        &self,
        name: &str,
        locale: &str,
        context: &MailContext,
        link: Option<&str>,
    ) -> Result<Written, minijinja::Error> {
        let common = self.nearest("common", locale).unwrap_or_else(|| self.locale.clone());
        let mut values = context::values(context, locale, &format!("common.{common}"));
        if let Some((reminder, _)) = source::parts(name).filter(|(title, _)| title.invitation() != *title) {
            let wanted = self.nearest(reminder.invitation().as_str(), locale).unwrap_or_else(|| self.locale.clone());
            let repeated = self.name(reminder.invitation(), &wanted, context.existing_user);
            values.insert("invitation", repeated.into());
        }
        let mut text = self.text.get_template(name)?.render_captured(context::with_link(&values, link, false))?;
        let subject = text.with_state_mut(|state| state.render_block("subject"))?;
        let html = self.html.get_template(name)?.render(context::with_link(&values, link, true))?;
        Ok(Written { subject: one_line(&subject), text: tidy(text.output()), html: tidy(&html) })
    }
}

/// Checks the written message once more.
fn check(name: &str, written: &Written, link: Option<&str>) -> Result<(), ComposeError> {
    let Written { subject, text, html } = written;
    if subject.is_empty() {
        return Err(ComposeError::Template { name: name.to_owned(), reason: "the subject is empty".to_owned() });
    }
    let checked = check_content(&format!("{subject}\n{text}"), html, link);
    checked.map_err(|error| ComposeError::Content(name.to_owned(), error))
}

/// Names the template with the error: the message's own, or one that it builds on.
fn broken(name: &str, error: minijinja::Error) -> TemplatesError {
    let place = error.name().filter(|place| *place != "layout").unwrap_or(name).to_owned();
    TemplatesError::Broken(place, error)
}

/// Names the template and the line, without the text of the library, which may be a value.
fn failure(name: &str, error: &minijinja::Error) -> ComposeError {
    let name = error.name().unwrap_or(name).to_owned();
    let line = error.line().map(|line| format!(" in line {line}")).unwrap_or_default();
    ComposeError::Template { name, reason: format!("{}{line}", error.kind()) }
}

fn environment(
    escape: AutoEscape,
    layout: String,
    sources: &BTreeMap<String, String>,
) -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_debug(false);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    let escaped = !matches!(escape, AutoEscape::None);
    environment.set_auto_escape_callback(move |_| if escaped { AutoEscape::Html } else { AutoEscape::None });
    environment.add_filter("paragraphs", move |text: String, style: Option<String>| {
        paragraphs(&text, style.as_deref().filter(|_| escaped))
    });
    environment.add_template_owned("layout", layout)?;
    for (name, source) in sources {
        environment.add_template_owned(name.clone(), source.clone())?;
    }
    Ok(environment)
}

/// Sets paragraphs, which an empty line parts: as they are, or as HTML in a style. What comes in is escaped already.
fn paragraphs(text: &str, style: Option<&str>) -> minijinja::Value {
    let joined = |block: &str| block.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines = text.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    let blocks = lines.split("\n\n").map(joined).filter(|block| !block.is_empty());
    match style {
        Some(style) => {
            let set = blocks.map(|block| format!("<p style=\"{style}\">{block}</p>"));
            minijinja::Value::from_safe_string(set.collect::<Vec<_>>().join("\n"))
        }
        None => minijinja::Value::from_safe_string(blocks.collect::<Vec<_>>().join("\n\n")),
    }
}

/// Joins a subject to one line, and cuts it where mail programs would.
fn one_line(subject: &str) -> String {
    let line = subject.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= LONGEST_SUBJECT {
        return line;
    }
    let kept: String = line.chars().take(LONGEST_SUBJECT - 1).collect();
    format!("{}…", kept.trim_end())
}

/// Takes away what templates leave behind: blanks at the ends of lines, and more than one empty line.
fn tidy(text: &str) -> String {
    let mut tidied = String::with_capacity(text.len());
    let mut empty = true;
    for line in text.lines().map(str::trim_end) {
        if line.is_empty() && empty {
            continue;
        }
        empty = line.is_empty();
        tidied.push_str(line);
        tidied.push('\n');
    }
    format!("{}\n", tidied.trim_end())
}

#[cfg(test)]
mod tests;
