//! Text of others that is safe on a terminal: what would move the cursor, change colours, reorder or hide text is written out.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Returns a text of one line in which each character is seen as what it is.
pub(in crate::cli::client) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let escape = |character: char| {
        if is_hidden(character) { character.escape_unicode().to_string() } else { character.to_string() }
    };
    Cow::Owned(text.chars().map(escape).collect())
}

/// Returns a JSON document in which the same characters are escaped, so that it stands for the same values.
pub(super) fn safe_json(document: String) -> String {
    if !document.contains(is_hidden) {
        return document;
    }
    let mut safe = String::with_capacity(document.len() * 2);
    for character in document.chars() {
        if is_hidden(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // A String takes whatever is written to it.
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(character);
        }
    }
    safe
}

/// Returns whether a character is a control, ends a line, has no width, or changes the direction of those that follow.
fn is_hidden(character: char) -> bool {
    let is_format = matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}');
    character.is_control() || is_format
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "\u{1b}]0;x\u{7} a\r\nb\u{9b}31m \u{202e}gpj\u{200b}.\u{2028}\u{feff}\u{7f}\u{e0041}";

    #[test]
    fn text_is_one_line_that_moves_nothing() {
        let shown = printable(HOSTILE);
        let expected =
            "\\u{1b}]0;x\\u{7} a\\u{d}\\u{a}b\\u{9b}31m \\u{202e}gpj\\u{200b}.\\u{2028}\\u{feff}\\u{7f}\\u{e0041}";
        assert_eq!(shown, expected);
        for plain in ["Zoë Müller", "株式会社", "a\\b \"c\"", "🎉"] {
            assert!(matches!(printable(plain), Cow::Borrowed(same) if same == plain), "{plain}");
        }
    }

    #[test]
    fn json_keeps_its_values() {
        let document = serde_json::to_string(&[HOSTILE, "Zoë"]).unwrap();
        let safe = safe_json(document);
        assert!(!safe.contains(is_hidden), "{safe}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&safe).unwrap(), [HOSTILE, "Zoë"]);
    }
}
