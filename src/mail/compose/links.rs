//! The last look at a message: it holds its own link and no other, and fetches nothing when it is opened.

/// What stands for the end of a scheme; whatever a mail program shows as a link by itself has one, or begins with `www.`.
const SCHEME: &str = "://";
/// What would load something, run something or send something from within a mail.
const ACTIVE: [&str; 12] = [
    "<img",
    "<script",
    "<form",
    "<link",
    "<iframe",
    "<object",
    "<embed",
    "<svg",
    "<base",
    "src=",
    "background=",
    "url(",
];

/// Checks that text and HTML hold exactly this link, or none.
///
/// # Errors
/// What is wrong, without the link.
pub(crate) fn check(text: &str, html: &str, link: Option<&str>) -> Result<(), &'static str> {
    check_text(text, link)?;
    let Parts { markup, shown } = Parts::of(html);
    let lower = markup.to_ascii_lowercase();
    if ACTIVE.iter().any(|active| lower.contains(active)) {
        return Err("the HTML loads or runs something");
    }
    let targets = hrefs(&markup);
    if targets.iter().any(|target| Some(target.as_str()) != link) {
        return Err("the HTML links to something that is not the invitation");
    }
    if targets.is_empty() != link.is_none() {
        return Err("the HTML does not link to the invitation");
    }
    // What is shown as text may hold the link again, for those whose button does not work.
    let shown = unescape(&shown);
    let others = link.map_or_else(|| shown.clone(), |link| shown.replace(link, ""));
    if has_link(&others) { Err("the HTML shows a link that is not the invitation's") } else { Ok(()) }
}

fn check_text(text: &str, link: Option<&str>) -> Result<(), &'static str> {
    let (found, others) = match link {
        Some(link) => (text.matches(link).count(), text.replace(link, "")),
        None => (0, text.to_owned()),
    };
    if found != usize::from(link.is_some()) {
        return Err("the text does not hold the invitation's link exactly once");
    }
    if has_link(&others) { Err("the text holds a link that is not the invitation's") } else { Ok(()) }
}

fn has_link(text: &str) -> bool {
    let lower = text.to_lowercase();
    let goes_on = |rest: &str| rest.starts_with(char::is_alphanumeric);
    let begins = |word: &str| lower.match_indices(word).any(|(index, _)| goes_on(&lower[index + word.len()..]));
    lower.contains(SCHEME) || begins("www.") || begins("mailto:")
}

/// The values of all `href`, as a browser reads them.
fn hrefs(html: &str) -> Vec<String> {
    let lower = html.to_ascii_lowercase();
    let mut found = Vec::new();
    for (index, word) in lower.match_indices("href") {
        let rest = html[index + word.len()..].trim_start();
        let Some(value) = rest.strip_prefix('=').map(str::trim_start) else { continue };
        let value = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => value[1..].split(quote).next(),
            _ => value.split([' ', '\t', '\n', '>']).next(),
        };
        found.push(unescape(value.unwrap_or_default()));
    }
    found
}

/// A document, taken apart. What is escaped in it is shown and does nothing, whatever it spells.
#[derive(Default)]
struct Parts {
    /// The tags, and what is in a style sheet.
    markup: String,
    /// What is between them.
    shown: String,
}

impl Parts {
    fn of(html: &str) -> Self {
        let mut parts = Self::default();
        let mut rest = html;
        while let Some((shown, tag)) = rest.split_once('<') {
            parts.shown.push_str(shown);
            // A tag ends a word.
            parts.shown.push(' ');
            let (tag, after) = tag.split_at(end_of_tag(tag));
            parts.markup.push('<');
            parts.markup.push_str(tag);
            rest = after;
            if tag.to_ascii_lowercase().starts_with("style") {
                let (sheet, after) = rest.split_at(rest.find("</").unwrap_or(rest.len()));
                parts.markup.push_str(sheet);
                rest = after;
            }
        }
        parts.shown.push_str(rest);
        parts
    }
}

/// Where a tag ends; a `>` in quotes does not end it.
fn end_of_tag(tag: &str) -> usize {
    let mut quote = None;
    for (index, c) in tag.char_indices() {
        match (c, quote) {
            ('>', None) => return index + 1,
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            _ => {}
        }
    }
    tag.len()
}

/// Undoes the character references that escaping writes, and numeric ones.
fn unescape(html: &str) -> String {
    let mut parts = html.split('&');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let reference = part.split_once(';').and_then(|(name, rest)| Some((character(name)?, rest)));
        match reference {
            Some((c, rest)) => {
                text.push(c);
                text.push_str(rest);
            }
            None => {
                text.push('&');
                text.push_str(part);
            }
        }
    }
    text
}

fn character(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "colon" => Some(':'),
        "sol" => Some('/'),
        "period" => Some('.'),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "https://app.example.com/join/inv_x?a=1&b=2";

    fn html(inner: &str) -> String {
        format!("<p>Hello</p><a href=\"https://app.example.com/join/inv_x?a=1&amp;b=2\">Join</a>{inner}")
    }

    #[test]
    fn one_link_once_in_the_text_and_as_often_as_wanted_in_html() {
        let text = format!("Hello\n{LINK}\n");
        assert_eq!(check(&text, &html(""), Some(LINK)), Ok(()));
        assert_eq!(check(&text, &html(&html(&LINK.replace('&', "&amp;"))), Some(LINK)), Ok(()));
        let escaped = "&lt;img src=x&gt; &lt;a href=&quot;x&quot;&gt; url(x)";
        assert_eq!(check(&text, &html(escaped), Some(LINK)), Ok(()), "what is shown does nothing");
        assert_eq!(check("Your code is 123456.", "<p>123456</p>", None), Ok(()));
    }

    #[test]
    fn every_other_number_of_links_is_refused() {
        let text = format!("Hello\n{LINK}\n");
        for (text, html) in [
            ("Hello".to_owned(), html("")),
            (format!("{LINK} {LINK}"), html("")),
            (format!("{LINK} http://evil.example"), html("")),
            (format!("{LINK} HTTPS://evil.example"), html("")),
            (format!("{LINK} www.evil.example"), html("")),
            (text.clone(), "<p>no link</p>".to_owned()),
            (text.clone(), html("<a href='https://evil.example'>x</a>")),
            (text.clone(), html("<a HREF = https://evil.example>x</a>")),
            (text.clone(), html("<a href=\"\">x</a>")),
            (text.clone(), html("https://evil.example")),
            (text.clone(), html("https:&#x2f;&#47;evil.example")),
            (text.clone(), html("www.evil.example")),
            (text.clone(), html("<IMG alt=x>")),
            (text.clone(), html("<p style=\"background-image:url(x)\">")),
            (text.clone(), html("<style>@import url(x);</style>")),
            (text.clone(), html("<a title='>' href='https://evil.example'>x</a>")),
        ] {
            assert!(check(&text, &html, Some(LINK)).is_err(), "{text}\n{html}");
        }
        assert!(check(&text, &html(""), None).is_err());
    }
}
