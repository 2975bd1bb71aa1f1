//! The last look at a message: it holds its own link and no other, and loads nothing when it is opened.

use std::fmt;

use super::html::Document;

/// The end of a scheme: a text that a mail program turns into a link has one, or begins with `www.`.
const SCHEME: &str = "://";
/// The longest part of a message that an error quotes.
const MAX_QUOTED: usize = 40;

/// The reason why a message is not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentError {
    reason: &'static str,
    /// The part of the HTML.
    found: Option<String>,
}

impl ContentError {
    pub(super) fn new(reason: &'static str) -> Self {
        Self { reason, found: None }
    }

    /// Quotes the part of the HTML.
    pub(super) fn found(reason: &'static str, part: String) -> Self {
        let quoted = part.chars().filter(|c| !c.is_control()).take(MAX_QUOTED).collect();
        Self { reason, found: Some(quoted) }
    }

    /// Leaves out the part of the HTML, which may hold a name where a template shows it with `safe`.
    pub(super) fn without_quote(self) -> Self {
        Self::new(self.reason)
    }
}

impl fmt::Display for ContentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason)?;
        self.found.as_ref().map_or(Ok(()), |found| write!(f, ": {found}"))
    }
}

/// Checks that text and HTML hold exactly this link, or none.
pub(super) fn check_content(text: &str, html: &str, link: Option<&str>) -> Result<(), ContentError> {
    check_text(text, link).map_err(ContentError::new)?;
    let Document { targets, shown, .. } = Document::read(html)?;
    check_html(&targets, &shown, link).map_err(ContentError::new)
}

fn check_html(targets: &[String], shown: &str, link: Option<&str>) -> Result<(), &'static str> {
    if targets.iter().any(|target| Some(target.as_str()) != link) {
        return Err("the HTML links to something that is not the invitation");
    }
    if targets.is_empty() != link.is_none() {
        return Err("the HTML does not link to the invitation");
    }
    // The text may show the link again, for people whose button does not work.
    let others = link.map_or_else(|| shown.to_owned(), |link| shown.replace(link, ""));
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
        assert_eq!(check_content(&text, &html(""), Some(LINK)), Ok(()));
        assert_eq!(check_content(&text, &html(&html(&LINK.replace('&', "&amp;"))), Some(LINK)), Ok(()));
        let escaped = "&lt;img src=x&gt; &lt;a href=&quot;x&quot;&gt; url(x)";
        assert_eq!(check_content(&text, &html(escaped), Some(LINK)), Ok(()), "what is shown does nothing");
        assert_eq!(check_content("Your code is 123456.", "<p>123456</p>", None), Ok(()));
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
            (text.clone(), html("https&colon;&sol;&sol;evil.example")),
            (text.clone(), html("<IMG alt=x>")),
            (text.clone(), html("<style>@import url(x);</style>")),
            (text.clone(), html("<a title='>' href='https://evil.example'>x</a>")),
            (text.clone(), html("<!--[if mso]><a href='https://evil.example'>x</a><![endif]-->")),
        ] {
            assert!(check_content(&text, &html, Some(LINK)).is_err(), "{text}\n{html}");
        }
        assert!(check_content(&text, &html(""), None).is_err());
    }

    #[test]
    fn error_quotes_a_short_part_of_the_html_or_none() {
        let error = ContentError::found("the HTML has an element", format!("<\n{}>", "x".repeat(100)));
        assert_eq!(error.to_string(), format!("the HTML has an element: <{}", "x".repeat(MAX_QUOTED - 1)));
        assert_eq!(error.without_quote().to_string(), "the HTML has an element");
    }
}
