//! Free text of callers, without the parts that an event must not contain.

/// The mark in place of a part that was removed.
const REMOVED: &str = "[removed]";
/// The parts of a word that show that it is, or holds, an address, a link or a token.
const SIGNS: [&str; 4] = ["@", "%40", "://", "inv_"];

/// Returns a text without the e-mail addresses, links and tokens in it. Everything else stays as it is.
pub fn scrubbed(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    for piece in text.split_inclusive(ends_word) {
        let end = piece.chars().next_back().filter(|last| ends_word(*last));
        let word = &piece[..piece.len() - end.map_or(0, char::len_utf8)];
        let lower = word.to_ascii_lowercase();
        kept.push_str(if SIGNS.iter().any(|sign| lower.contains(sign)) { REMOVED } else { word });
        kept.extend(end);
    }
    kept
}

/// Returns whether a character ends a word. An apostrophe does not, since an address may contain one.
fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '<' | '>' | '(' | ')' | ',')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_links_and_tokens_are_taken_out_and_nothing_else() {
        for (text, kept) in [
            ("", ""),
            ("no time,  sorry (really)", "no time,  sorry (really)"),
            ("550 5.1.1 <ann@example.org>: unknown", "550 5.1.1 <[removed]>: unknown"),
            ("\"ann@example.org\",'o'bob@example.org'", "\"[removed]\",[removed]"),
            ("for ann@example.org\tand bob%40example.org\u{a0}too", "for [removed]\tand [removed]\u{a0}too"),
            ("see https://app.example.com/i/inv_AbC-_1?a=b now", "see [removed] now"),
            ("token=inv_AbC-_1.", "[removed]"),
            ("(inv_AbC)", "([removed])"),
            ("Inv_AbC or INV_AbC", "[removed] or [removed]"),
            ("größer als 40 % – invited", "größer als 40 % – invited"),
            ("@", "[removed]"),
        ] {
            assert_eq!(scrubbed(text), kept, "{text:?}");
        }
    }
}
