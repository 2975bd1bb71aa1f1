//! Names that others chose, made safe to stand in a message.
//!
//! A name may try to look like more than it is: reverse the text around it, hide characters, or be a link, since mail
//! programs turn every text that looks like an address or a host into one. So invisible characters are dropped, and a WORD JOINER
//! (U+2060),
//! which has no width, goes behind each dot, `@` and colon that is followed by more of the word: `example.com` still reads
//! `example.com`, but no program takes it for a host.

/// The length of a name, in characters.
const LONGEST_NAME: usize = 100;
/// The length of an inviter's name before that of the sender, in characters: the sender's stays in sight.
const LONGEST_SENDER_NAME: usize = 40;
/// The length of a variable, in characters: all that the API accepts.
const LONGEST_VARIABLE: usize = 300;
/// The length of an inviter's message, in characters: all that the API accepts.
const LONGEST_MESSAGE: usize = 1_000;
const WORD_JOINER: char = '\u{2060}';

/// Returns a name as it may be shown: on one line, at most 100 characters, and no link.
pub(crate) fn name(text: &str) -> String {
    shown(text, LONGEST_NAME)
}

/// Returns an inviter's name as it may stand before the sender's own in the header From, where people take it for the sender's. Returns
/// `None` for a name that looks like an address or a host: no word joiner helps where it is read alone.
pub(crate) fn sender_name(text: &str) -> Option<String> {
    let looks_like_address = |c: char| matches!(c, '@' | '\u{ff20}' | '\u{fe6b}' | '/' | ':' | '\\' | '<' | '>');
    let name = shown(text, LONGEST_SENDER_NAME);
    let plain: String = name.chars().filter(|c| !matches!(c, '"' | ',' | ';' | '(' | ')' | '[' | ']')).collect();
    let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    // Behind the dots within a word stands a word joiner: initials have single letters there, hosts have more.
    let is_long = |rest: &str| rest.chars().take_while(|c| c.is_alphanumeric()).nth(1).is_some();
    let has_host = plain.split(WORD_JOINER).skip(1).any(is_long);
    let has_letter = plain.chars().any(char::is_alphanumeric);
    (has_letter && !has_host && !text.contains(looks_like_address)).then(|| plain.replace(WORD_JOINER, ""))
}

/// Returns a name as a page shows it, where no program makes links of text: like a name in mail, but whole.
pub(crate) fn visible_name(text: &str) -> String {
    cap(&visible(text), LONGEST_NAME)
}

/// Returns a message as a page shows it: like a name, but longer.
pub(crate) fn visible_message(text: &str) -> String {
    cap(&visible(text), LONGEST_MESSAGE)
}

/// Returns the value of a template variable as it may be shown: like a name, but longer.
pub(crate) fn variable(text: &str) -> String {
    shown(text, LONGEST_VARIABLE)
}

/// Returns an inviter's message as it may be shown: like a name, but longer.
pub(crate) fn message(text: &str) -> String {
    shown(text, LONGEST_MESSAGE)
}

fn shown(text: &str, longest: usize) -> String {
    defuse(&cap(&visible(text), longest))
}

/// Sets a text on one line, without characters that cannot be seen or change how others are seen.
fn visible(text: &str) -> String {
    let visible: String =
        text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| !hides(*c)).collect();
    visible.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Cuts a text that is too long, and marks the cut by an ellipsis.
fn cap(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    let kept: String = text.chars().take(longest - 1).collect();
    format!("{}…", kept.trim_end())
}

/// Returns whether a character cannot be seen, or changes how others are seen.
fn hides(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffc}' | '\u{e0000}'..='\u{e0fff}')
}

/// Takes away what makes a link of a text.
fn defuse(text: &str) -> String {
    // Without the scheme's slashes, and without those of a Windows share, which some programs link as well.
    let mut rest = text.to_owned();
    for (slashes, one) in [("//", "/"), ("\\\\", "\\")] {
        while rest.contains(slashes) {
            rest = rest.replace(slashes, one);
        }
    }
    let rest = rest.replace(":/", ": ");
    let mut defused = String::with_capacity(rest.len());
    let mut chars = rest.chars().peekable();
    while let Some(c) = chars.next() {
        defused.push(c);
        // The dots of other scripts are dots to a browser, too.
        let joins =
            matches!(c, '.' | '@' | ':' | '\u{2024}' | '\u{3002}' | '\u{fe52}' | '\u{ff0e}' | '\u{ff20}' | '\u{ff61}');
        if joins && chars.peek().is_some_and(|next| !next.is_whitespace()) {
            defused.push(WORD_JOINER);
        }
    }
    defused
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_names_stay_as_they_are() {
        for plain in
            ["Ada", "Zoë Müller-Łęcka", "Dr. Who", "山田太郎", "Ünal & Söhne <KG>", "{{ 7 * 7 }}", "O'Neil", "🙂"]
        {
            assert_eq!(name(plain), plain);
        }
    }

    #[test]
    fn links_are_defused_and_stay_readable() {
        for (given, wanted) in [
            ("example.com", "example.~com"),
            ("https://evil.example/login", "https: evil.~example/login"),
            ("HTTP:////evil.example", "HTTP: evil.~example"),
            ("//evil.example", "/evil.~example"),
            ("www.evil.example", "www.~evil.~example"),
            ("jane@evil.example", "jane@~evil.~example"),
            ("mailto:jane", "mailto:~jane"),
            ("\\\\host\\share", "\\host\\share"),
            ("evil\u{200b}.\u{200d}example", "evil.~example"),
            ("evil\u{ff0e}example", "evil\u{ff0e}~example"),
        ] {
            assert_eq!(name(given), wanted.replace('~', "\u{2060}"), "{given}");
        }
    }

    #[test]
    fn what_hides_or_turns_text_is_gone() {
        assert_eq!(name("  A\u{202e}d\u{2066}a\u{200f}\r\nBcc:\u{2028}x\0\u{85} "), "Ada Bcc: x");
        assert_eq!(name("\u{e0041}\u{feff}\u{ad}"), "");
    }

    #[test]
    fn long_names_end_in_an_ellipsis() {
        assert_eq!(name(&"ä".repeat(100)), "ä".repeat(100));
        assert_eq!(name(&"ä".repeat(101)), format!("{}…", "ä".repeat(99)));
        assert_eq!(variable(&"v".repeat(300)).len(), 300);
    }

    #[test]
    fn sender_name_is_plain_or_none() {
        for (given, wanted) in [
            ("Ann", Some("Ann")),
            ("  Zoë\u{202e} Müller-Łęcka\r\nBcc: x", None),
            ("Zoë\u{202e}\r\n Müller-Łęcka", Some("Zoë Müller-Łęcka")),
            ("Dr. Who", Some("Dr. Who")),
            ("J.R.R. Tolkien", Some("J.R.R. Tolkien")),
            ("山田太郎", Some("山田太郎")),
            ("Ann \"The Boss\" O'Neil, PhD (Acme)", Some("Ann The Boss O'Neil PhD Acme")),
            ("ceo@bank.example", None),
            ("ceo\u{ff20}bank", None),
            ("bank.example", None),
            ("bank\u{3002}example", None),
            ("Support <ceo", None),
            ("https:", None),
            ("\u{200b}\u{feff}", None),
            ("\"\"", None),
            ("...", None),
            ("", None),
        ] {
            assert_eq!(sender_name(given).as_deref(), wanted, "{given:?}");
        }
        let long = sender_name(&"Ann ".repeat(50)).unwrap();
        assert!(long.chars().count() <= LONGEST_SENDER_NAME && long.ends_with('…'), "{long}");
    }

    proptest! {
        #[test]
        fn no_name_spells_a_link(text in "[a-z:/.@\\\\ \u{200b}\u{202e}\u{ff0e}]{0,40}") {
            let shown = name(&text);
            prop_assert!(!shown.contains("//") && !shown.contains("\\\\"));
            let pairs: Vec<char> = shown.chars().collect();
            for pair in pairs.windows(2).filter(|pair| matches!(pair[0], '.' | '@' | ':')) {
                prop_assert!(pair[1].is_whitespace() || pair[1] == WORD_JOINER, "{:?}", shown);
            }
        }
    }
}
