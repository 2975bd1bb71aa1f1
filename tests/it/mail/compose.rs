//! Every message, word for word, beside a file that is checked in; `UPDATE_SNAPSHOTS=1` writes the files anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use invitation_service::domain::delivery::message_id::MessageId;
use invitation_service::domain::delivery::{Delivery, Purpose};
use invitation_service::domain::invitation::Invitation;
use invitation_service::domain::invitation::acceptance::{Acceptance, Acceptor};
use invitation_service::domain::kind::Details;
use invitation_service::domain::kind::connection::NewConnection;
use invitation_service::domain::secret::token::Claims;
use invitation_service::domain::value::id::AcceptanceId;
use invitation_service::mail::compose::{About, ComposeError, Composer};
use invitation_service::mail::message::Mail;
use uuid::Uuid;

use super::build::{
    DELIVERY, composer, config, connection, delivery, delivery_to, email, general, guest, invitation, ring, user,
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

fn acceptance(invitation: &Invitation) -> Acceptance {
    let acceptor = Acceptor {
        email: Some(email("jane@example.org").into()),
        display_name: Some("Jane Doe".to_owned()),
        ..Acceptor::known_as("jane".to_owned())
    };
    let made = NewConnection {
        id: Uuid::from_u128(0xc2),
        datasource_name: "Stadtwerke Musterstadt".to_owned(),
        status: "ACTIVE".to_owned(),
    };
    let matched = (Some(1), acceptor.email.clone());
    let id = AcceptanceId(Uuid::from_u128(0xacc));
    Acceptance::new(id, invitation.id, &acceptor, matched, Some(made), NEW_YEAR)
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
            let invitation = speaking(locale, details);
            for purpose in [Purpose::Invitation, Purpose::Reminder] {
                let mail = compose(&composer, &delivery(purpose), &invitation, About::Nothing);
                mails.push((format!("{}.{kind}.{locale}", purpose.code()), mail));
            }
        }
        let invitation = speaking(locale, kinds()[4].1.clone());
        let accepted = acceptance(&invitation);
        let notice = delivery_to(Purpose::AcceptanceNotice, "ada@example.com");
        let mail = compose(&composer, &notice, &invitation, About::Acceptance(&accepted));
        mails.push((format!("acceptance_notice.{locale}"), mail));
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
    for purpose in [Purpose::AcceptanceNotice, Purpose::VerificationCode] {
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
