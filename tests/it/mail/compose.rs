//! Every message, word for word, beside a file that is checked in; `UPDATE_SNAPSHOTS=1` writes the files anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use invitation_service::domain::delivery::message_id::MessageId;
use invitation_service::domain::delivery::notice::NoticeContent;
use invitation_service::domain::delivery::{Delivery, Purpose};
use invitation_service::domain::invitation::Invitation;
use invitation_service::domain::kind::Details;
use invitation_service::domain::kind::shared::Inviter;
use invitation_service::domain::secret::token::Claims;
use invitation_service::mail::compose::{About, ComposeError, Composer};
use invitation_service::mail::message::Mail;

use super::build::{
    DELIVERY, composer, config, connection, delivery, delivery_to, email, general, guest, invitation, notice, ring,
    user,
};
use crate::support::database::NEW_YEAR;

fn kinds() -> [(&'static str, Details); 5] {
    [
        ("connection", connection(false)),
        ("reconnection", connection(true)),
        ("user", user("Ada Lovelace")),
        ("guest", guest(Some("Acme Energy GmbH"))),
        ("general", general("Platform team", "Ada Lovelace", &[("message", "Looking forward to working with you!")])),
    ]
}

fn speaking(locale: &str, details: Details) -> Invitation {
    let mut invitation = invitation(details);
    let shared = invitation.details.shared_mut();
    shared.locale = Some(locale.to_owned());
    shared.message = Some("See www.example.com!".to_owned());
    invitation
}

/// The same invitation by an inviter with an address.
fn by_ada(mut invitation: Invitation) -> Invitation {
    let inviter = invitation.details.shared_mut().inviter.get_or_insert_with(Inviter::default);
    inviter.email = Some(email("ada@example.com"));
    invitation
}

/// The purposes of notices.
const NOTICES: [Purpose; 4] =
    [Purpose::AcceptanceNotice, Purpose::DeclineNotice, Purpose::FailureNotice, Purpose::ExpiryNotice];

/// The contents of notices: Jane, more people than a notice names, and somebody unknown.
fn reports() -> [(&'static str, NoticeContent); 3] {
    let person = |name: &str, address: &str| {
        let known = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        (known(name), known(address))
    };
    let jane = || person("Jane Doe", "jane@example.org");
    let connection = Some("Stadtwerke Musterstadt".to_owned());
    let three = [jane(), person("", "bob@example.org"), person("Carol", "")];
    [
        ("", NoticeContent { connection, ..NoticeContent::of(1, [jane()]) }),
        (".many", NoticeContent::of(5, three)),
        (".unknown", NoticeContent::of(1, [])),
    ]
}

fn compose(composer: &Composer, delivery: &Delivery, invitation: &Invitation, about: About<'_>) -> Mail {
    composer.compose(delivery, invitation, about, NEW_YEAR).unwrap_or_else(|error| panic!("{error}"))
}

/// Every message in every language that is compiled in.
fn all() -> Vec<(String, Mail)> {
    let composer = composer(&[]);
    let mut mails = Vec::new();
    for locale in ["en", "de"] {
        for (kind, details) in kinds() {
            let mut invitation = speaking(locale, details);
            for purpose in [Purpose::Invitation, Purpose::Reminder] {
                let mail = compose(&composer, &delivery(purpose), &invitation, About::Nothing);
                mails.push((format!("{}.{kind}.{locale}", purpose.code()), mail));
            }
            invitation.recipients[0].existing_user = Some(true);
            let mail = compose(&composer, &delivery(Purpose::Invitation), &invitation, About::Nothing);
            mails.push((format!("invitation.{kind}.existing.{locale}"), mail));
        }
        // Names without a blank, as long as the API takes them, and the longest message.
        let long = general(&"Plattform".repeat(33), &"Ada-".repeat(75), &[]);
        let mut invitation = speaking(locale, long);
        invitation.details.shared_mut().message = Some("Looking forward to working with you! ".repeat(27));
        let mail = compose(&composer, &delivery(Purpose::Invitation), &invitation, About::Nothing);
        mails.push((format!("invitation.general.long.{locale}"), mail));
        let invitation = speaking(locale, kinds()[4].1.clone());
        let by_ada = by_ada(invitation.clone());
        for purpose in NOTICES {
            for (of, content) in reports() {
                let mail = compose(&composer, &notice(purpose), &by_ada, About::Notice(&content));
                mails.push((format!("{}{of}.{locale}", purpose.code()), mail));
            }
        }
        let code = delivery_to(Purpose::VerificationCode, "jane@example.org");
        let mail = compose(&composer, &code, &invitation, About::Code("012345"));
        mails.push((format!("verification_code.{locale}"), mail));
    }
    mails
}

#[test]
fn every_message_says_what_it_said_when_it_was_last_looked_at() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/mail/snapshots"));
    let update = std::env::var("UPDATE_SNAPSHOTS").is_ok_and(|value| value == "1");
    let mut different = Vec::new();
    let mut names = BTreeSet::new();
    for (name, mail) in all() {
        let Mail { subject, text, html, .. } = &mail;
        let shown = format!("Subject: {subject}\n\n---- text ----\n{text}\n---- html ----\n{html}");
        let path = folder.join(format!("{name}.txt"));
        if update {
            fs::write(&path, &shown).unwrap();
        }
        if fs::read_to_string(&path).unwrap_or_default() != shown {
            different.push(name.clone());
        }
        names.insert(format!("{name}.txt"));
    }
    assert!(different.is_empty(), "not as in tests/it/mail/snapshots: {different:?}");
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(files.collect::<BTreeSet<_>>(), names);
}

#[test]
fn link_is_the_recipients_own() {
    for (kind, details) in kinds() {
        let invitation = invitation(details);
        let mail = compose(&composer(&[]), &delivery(Purpose::Invitation), &invitation, About::Nothing);
        let (_, rest) = mail.text.split_once("https://app.example.com/i/").unwrap();
        let (token, _) = rest.split_once("?from=mail&v=2\n").unwrap();
        assert_eq!(Claims::verify(token, &ring(7)), Some(invitation.claims(1)), "{kind}");
    }
}

#[test]
fn compose_error_gives_the_reason_and_nothing_else() {
    let user = invitation(user("Ada"));
    let composer = composer(&[]);
    let fails = |delivery: &Delivery, invitation: &Invitation, about: About<'_>| {
        composer.compose(delivery, invitation, about, NEW_YEAR).unwrap_err()
    };
    let retired = Invitation { key_id: 8, ..user.clone() };
    assert_eq!(fails(&delivery(Purpose::Invitation), &retired, About::Nothing), ComposeError::KeyRetired);
    let nobody = Invitation { recipients: Vec::new(), ..user.clone() };
    assert_eq!(fails(&delivery(Purpose::Reminder), &nobody, About::Nothing), ComposeError::NoAddress);
    for purpose in NOTICES {
        assert_eq!(fails(&notice(purpose), &user, About::Nothing), ComposeError::NoAddress);
    }
    let user = by_ada(user);
    for purpose in NOTICES.into_iter().chain([Purpose::VerificationCode]) {
        assert_eq!(fails(&delivery(purpose), &user, About::Nothing), ComposeError::NotAbout);
    }
}

#[test]
fn message_and_what_it_is_about_are_not_printed() {
    let mail = compose(&composer(&[]), &delivery(Purpose::Invitation), &invitation(user("Ada")), About::Nothing);
    let shown = format!("{mail:?}{:?}{:?}", About::Code("012345"), composer(&[]));
    for secret in ["jane", "Jane", "inv_", "https://app.example.com/i/inv", "012345", "Ada"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    assert!(shown.contains(&DELIVERY.to_string()), "{shown}");
}

#[test]
fn message_id_leads_back_to_its_delivery() {
    let mail = compose(&composer(&[]), &delivery(Purpose::Invitation), &invitation(user("Ada")), About::Nothing);
    assert_eq!(mail.message_id, config(&[]).mail.message_id(DELIVERY));
    assert_eq!(MessageId::parse(&mail.message_id.to_string()), Some(DELIVERY));
}

#[test]
fn folder_of_templates_is_used() {
    let folder = tempfile::TempDir::new().unwrap();
    let source =
        "{% extends \"invitation.general.en\" %}{% block subject %}Come to {{ variables.place }}{% endblock %}";
    fs::write(folder.path().join("invitation.general.en.jinja"), source).unwrap();
    let config = config(&[("templates", &folder.path().display().to_string())]);
    // A template that extends itself would go round for ever.
    assert!(Composer::new(&config.mail, &config.links, ring(7)).is_err());
    fs::rename(folder.path().join("invitation.general.en.jinja"), folder.path().join("invitation.general.en-GB.jinja"))
        .unwrap();
    let composer = Composer::new(&config.mail, &config.links, ring(7)).unwrap();
    let details = general("Platform", "Ada", &[("place", "London")]);
    let mail = compose(&composer, &delivery(Purpose::Invitation), &speaking("en_GB", details), About::Nothing);
    assert_eq!(mail.subject, "Come to London");
}

#[test]
fn own_words_of_an_operator_are_for_everybody() {
    let folder = tempfile::TempDir::new().unwrap();
    let write = |name: &str, text: &str| {
        let block = format!(
            "{{% extends common %}}{{% block subject %}}{text}{{% endblock %}}{{% block heading %}}{{% endblock %}}"
        );
        let rest = "{% block body %}x{% endblock %}{% block button %}y{% endblock %}";
        fs::write(folder.path().join(format!("{name}.jinja")), format!("{block}{rest}")).unwrap();
    };
    let subjects = || {
        let config = config(&[("templates", &folder.path().display().to_string())]);
        let composer = Composer::new(&config.mail, &config.links, ring(7)).unwrap();
        [(Purpose::Invitation, None), (Purpose::Invitation, Some(true)), (Purpose::Reminder, Some(true))].map(
            |(purpose, existing_user)| {
                let mut invitation = speaking("en", user("Ada"));
                invitation.recipients[0].existing_user = existing_user;
                compose(&composer, &delivery(purpose), &invitation, About::Nothing).subject
            },
        )
    };
    write("invitation.user.en", "Ahoy");
    assert_eq!(subjects(), ["Ahoy", "Ahoy", "Reminder: Ahoy"]);
    write("invitation.user.existing.en", "Ahoy again");
    assert_eq!(subjects(), ["Ahoy", "Ahoy again", "Reminder: Ahoy again"]);
}

#[test]
fn reminder_repeats_the_words_for_people_with_an_account() {
    for locale in ["en", "de"] {
        for (kind, details) in kinds() {
            let texts = [None, Some(true), Some(false)].map(|existing_user| {
                let mut invitation = speaking(locale, details.clone());
                invitation.recipients[0].existing_user = existing_user;
                compose(&composer(&[]), &delivery(Purpose::Reminder), &invitation, About::Nothing).text
            });
            let account = if locale == "en" { "You already have an account" } else { "Sie haben bereits ein Konto" };
            assert_eq!(texts.map(|text| text.contains(account)), [false, true, false], "{kind} {locale}");
        }
    }
}

#[test]
fn mail_of_every_kind_names_inviter_scope_and_message() {
    for (kind, details) in kinds() {
        let mut invitation = speaking("en", details);
        let shared = invitation.details.shared_mut();
        shared.inviter = Some(Inviter { display_name: Some("Ada Lovelace".to_owned()), ..Inviter::default() });
        shared.scope_display_name = Some("Acme Energy".to_owned());
        let scope = invitation.details.scope(&invitation.account).and_then(|scope| scope.display_name);
        for existing_user in [None, Some(true)] {
            invitation.recipients[0].existing_user = existing_user;
            let text = compose(&composer(&[]), &delivery(Purpose::Invitation), &invitation, About::Nothing).text;
            for word in ["Ada Lovelace", scope.as_deref().unwrap(), "See www.\u{2060}example.\u{2060}com!"] {
                assert!(text.contains(word), "{kind}: {word} in {text}");
            }
        }
    }
}
