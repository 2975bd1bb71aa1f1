//! The abilities of templates, and the templates that are refused at the start.

use std::fs;

use tempfile::TempDir;

use super::*;

const LINK: &str = "https://app.example.com/join/inv_x?a=1&b=2";

/// A folder with one template.
fn folder(name: &str, source: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join(name), source).unwrap();
    folder
}

fn refused(name: &str, source: &str) -> String {
    let folder = folder(name, source);
    Templates::load(Some(folder.path()), "en").unwrap_err().to_string()
}

fn write(templates: &Templates, locale: &str, context: &MailContext) -> Written {
    templates.write(Title::ALL[4], locale, context, Some(LINK)).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_message_is_compiled_in_in_english_and_german() {
    for locale in ["en", "de"] {
        let templates = Templates::load(None, locale).unwrap();
        for title in Title::ALL {
            assert_eq!(templates.nearest(title.as_str(), locale).as_deref(), Some(locale), "{title:?}");
        }
    }
}

#[test]
fn language_matches_exactly_or_without_region_or_by_default() {
    let folder = folder("invitation.user.de-AT.jinja", "{% extends \"invitation.user.de\" %}");
    let templates = Templates::load(Some(folder.path()), "en").unwrap();
    let choose = |title: usize, wanted: Option<&str>| templates.choose(Title::ALL[title], wanted);
    assert_eq!(choose(2, Some("de_AT")), "de-at");
    assert_eq!(choose(3, Some("de-AT")), "de", "the guest's has no Austrian form");
    assert_eq!(choose(2, Some("de-CH")), "de");
    for other in [None, Some("fr"), Some(""), Some("de/../en"), Some("{{ 1 }}")] {
        assert_eq!(choose(2, other), "en", "{other:?}");
    }
}

#[test]
fn a_file_takes_the_place_of_what_is_compiled_in() {
    let source = "{% extends common %}\n{% block subject %}Ahoy {{ variables.ship or \"sailor\" }}{% endblock %}\n\
                  {% block heading %}Ahoy{% endblock %}{% block body %}Come aboard.{% endblock %}{% block button %}Go{% endblock %}";
    let folder = folder("invitation.general.en.jinja", source);
    fs::write(folder.path().join("..data"), "kept by Kubernetes").unwrap();
    let templates = Templates::load(Some(folder.path()), "en").unwrap();
    let mut context = MailContext { sender: "Example".to_owned(), ..MailContext::default() };
    assert_eq!(write(&templates, "en", &context).subject, "Ahoy sailor");
    context.variables.insert("ship".to_owned(), "<Argo> {{ 7 * 7 }}".to_owned());
    let written = write(&templates, "en", &context);
    assert_eq!(written.subject, "Ahoy <Argo> {{ 7 * 7 }}");
    assert!(written.html.contains("Ahoy &lt;Argo&gt; {{ 7 * 7 }}"), "{}", written.html);
}

#[test]
fn what_is_broken_stops_the_start_and_says_where() {
    let block = |body: &str| {
        format!(
            "{{% extends common %}}{{% block subject %}}x{{% endblock %}}\n{{% block body %}}{body}{{% endblock %}}"
        )
    };
    for (source, text) in [
        (block("{% if %}"), "syntax error"),
        (block("{{ invter }}"), "undefined value"),
        (block("{{ expires.day }}"), "undefined value"),
        (block("{{ recipient | shout }}"), "filter shout is unknown"),
        (block("https://example.com"), "holds a link"),
        (block("{{ link }}"), "exactly once"),
        (block("{{ '<img src=x>' | safe }}"), "the HTML has an element that is not allowed: <img>"),
        (block("{{ '<b onclick=x>' | safe }}"), "the HTML has an attribute that is not allowed: onclick of <b>"),
        (block("{{ '<p style=\"background:url(x)\">' | safe }}"), "a rule or function that is not allowed: url()"),
        ("{% extends \"nowhere\" %}{% block subject %}x{% endblock %}".to_owned(), "template not found"),
        ("{% extends common %}".to_owned(), "unknown block"),
    ] {
        let error = refused("invitation.user.en.jinja", &source);
        assert!(error.contains(text) && error.contains("invitation.user.en"), "{source}: {error}");
    }
}

#[test]
fn a_file_that_nothing_asks_for_stops_the_start() {
    for name in ["invitation.usr.en.jinja", "invitation.user.en.txt", "layout.jinja", "common.jinja", "notes"] {
        assert!(refused(name, "").contains("is not the name of a template"), "{name}");
    }
    let error = refused("invitation.user.fr.jinja", "{% extends \"invitation.user.en\" %}");
    assert_eq!(error, "mail.templates: there is no common.fr");
    assert!(Templates::load(None, "fr").unwrap_err().to_string().contains("mail.locale"));
    let missing = Templates::load(Some(Path::new("/nowhere/templates")), "en").unwrap_err().to_string();
    assert!(missing.contains("/nowhere/templates"), "{missing}");
}

#[test]
fn a_subject_is_one_line_of_bounded_length() {
    let templates = Templates::load(None, "en").unwrap();
    let long = "n".repeat(100);
    let context = MailContext { inviter: long.clone(), scope: long, ..context::empty_sample() };
    let subject = write(&templates, "en", &context).subject;
    assert_eq!(subject.chars().count(), LONGEST_SUBJECT);
    assert!(subject.ends_with('…'));
    assert_eq!(one_line(" a\n  b\r\n"), "a b");
}

#[test]
fn text_is_tidied() {
    assert_eq!(tidy("\n\na  \n\n\n\nb\n \n"), "a\n\nb\n");
    assert_eq!(paragraphs("a\n b\n\n \n\n\nc", None).to_string(), "a b\n\nc");
    assert_eq!(paragraphs("a\n\nc", Some("m")).to_string(), "<p style=\"m\">a</p>\n<p style=\"m\">c</p>");
}
