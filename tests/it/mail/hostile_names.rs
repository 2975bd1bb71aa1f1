//! Names that try to be more than names.

use invitation_service::domain::delivery::Purpose;
use invitation_service::domain::delivery::notice::NoticeContent;
use invitation_service::domain::kind::Details;
use invitation_service::domain::kind::shared::Inviter;
use invitation_service::mail::compose::About;
use invitation_service::mail::message::Mail;

use super::build::{composer, connection, delivery, delivery_to, email, general, guest, invitation, notice, user};
use crate::support::database::NEW_YEAR;

const HOSTILE: [&str; 12] = [
    "<script>alert(1)</script><a href=\"https://evil.example\">x</a>",
    "https://evil.example/login",
    "evil.example",
    "www.evil.example",
    "mailto:evil@evil.example",
    "{{ 7 * 7 }}{% for x in range(9) %}{{ link }}{% endfor %}",
    "Ada\u{202e}gpj.exe\u{2066}\u{200b}\u{200f}",
    "Ada\" onmouseover=\"x' style='background:url(https://evil.example)",
    "evil\u{ff0e}example\u{3002}com \u{2024}evil",
    "\\\\evil.example\\share //evil.example",
    "Ada & Söhne <ada@evil.example>",
    "evil.example evil.example evil.example evil.example evil.example evil.example evil.example evil.example",
];

/// Every message there is, with a name wherever one can be.
fn messages(name: &str) -> Vec<Mail> {
    let composer = composer(&[]);
    let all: [Details; 5] = [
        connection(false),
        connection(true),
        user(name),
        guest(Some(name)),
        general(name, name, &[("message", name), ("locale", "de")]),
    ];
    let mut mails = Vec::new();
    for details in all {
        let mut invitation = invitation(details);
        invitation.recipients[0].display_name = Some(name.to_owned());
        for purpose in [Purpose::Invitation, Purpose::Reminder] {
            mails.push(composer.compose(&delivery(purpose), &invitation, About::Nothing, NEW_YEAR).unwrap());
        }
        let inviter = invitation.details.shared_mut().inviter.get_or_insert_with(Inviter::default);
        inviter.email = Some(email("ada@example.com"));
        let person = || (Some(name.to_owned()), Some(format!("{name}@evil.example")));
        for people in [vec![person()], vec![person(), person()]] {
            let count = u64::try_from(people.len()).unwrap();
            let content = NoticeContent { connection: Some(name.to_owned()), ..NoticeContent::of(count, people) };
            for purpose in [Purpose::AcceptanceNotice, Purpose::DeclineNotice, Purpose::FailureNotice] {
                let mail = composer.compose(&notice(purpose), &invitation, About::Notice(&content), NEW_YEAR);
                mails.push(mail.unwrap());
            }
        }
        let code = delivery_to(Purpose::VerificationCode, "jane@example.org");
        mails.push(composer.compose(&code, &invitation, About::Code("012345"), NEW_YEAR).unwrap());
    }
    mails
}

/// Text that a mail program might show as a link: anything with a scheme, and any two words with a dot or an `@` between them.
fn linked(text: &str) -> Vec<String> {
    let is_word = |c: char| c.is_alphanumeric() || "-_%&=?/:.@#+~\u{3002}\u{ff0e}\u{ff61}\u{2024}".contains(c);
    let dots = ['.', '@', '\u{3002}', '\u{ff0e}', '\u{ff61}', '\u{2024}'];
    let ends = |c: char| dots.contains(&c) || ":?/&".contains(c);
    let words = text.split(|c: char| !is_word(c)).map(|word| word.trim_matches(ends));
    words.filter(|word| word.contains("://") || word.contains(dots)).map(str::to_owned).collect()
}

#[test]
fn no_name_becomes_a_link_and_the_only_one_is_the_invitations() {
    for name in HOSTILE {
        for mail in messages(name) {
            let links = linked(&mail.text);
            let wanted = usize::from(mail.text.contains("https://app.example.com/i/inv_"));
            assert_eq!(links.len(), wanted, "{name}: {links:?}\n{}", mail.text);
            assert!(linked(&mail.subject).is_empty(), "{name}: {}", mail.subject);
            let hrefs: Vec<&str> =
                mail.html.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
            assert!(hrefs.iter().all(|href| href.starts_with("https://app.example.com/i/inv_")), "{hrefs:?}");
            assert_eq!(hrefs.is_empty(), wanted == 0);
            assert!(hrefs.windows(2).all(|pair| pair[0] == pair[1]), "{hrefs:?}");
        }
    }
}

#[test]
fn no_name_becomes_markup_or_template_or_steers_the_text() {
    let plain: Vec<Vec<String>> = messages("Ada").iter().map(|mail| tags(&mail.html)).collect();
    for name in HOSTILE {
        for (mail, plain) in messages(name).iter().zip(&plain) {
            assert_eq!(&tags(&mail.html), plain, "{name}");
            assert!(!mail.text.contains(" 49"), "{}", mail.text);
            let steers = |c: char| {
                matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'..='\u{200f}')
                    || (c.is_control() && c != '\n')
            };
            assert!(!mail.subject.contains(|c| steers(c) || c == '\n'), "{:?}", mail.subject);
            assert!(!mail.text.contains(steers) && !mail.html.contains(steers), "{name}");
        }
    }
}

/// The tags of a document, in order.
fn tags(html: &str) -> Vec<String> {
    let (_, body) = html.split_once("</head>").unwrap();
    body.split('<').skip(1).map(|rest| rest.split('>').next().unwrap().to_owned()).collect()
}
