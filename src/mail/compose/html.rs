//! The HTML of a message: it shows text and links, and loads, sends and runs nothing when it is opened.
//!
//! A tokenizer that follows the WHATWG standard reads the document as mail programs do. Elements, attributes and styles have to
//! be on a list, because a list of the dangerous ones is never complete.

use html5gum::{DefaultEmitter, Error, HtmlString, StartTag, Token, Tokenizer};

use super::check::ContentError;

/// The elements that do nothing but set text.
#[rustfmt::skip]
const ELEMENTS: &[&str] = &[
    "html", "head", "meta", "title", "style", "body", "main", "header", "footer", "section", "article", "aside", "nav", "div",
    "p", "br", "hr", "center", "blockquote", "pre", "address", "figure", "figcaption", "h1", "h2", "h3", "h4", "h5", "h6",
    "a", "span", "font", "b", "strong", "i", "em", "u", "s", "small", "big", "sub", "sup", "abbr", "bdi", "bdo", "cite", "code",
    "del", "ins", "kbd", "mark", "q", "samp", "time", "var", "wbr", "ul", "ol", "li", "dl", "dt", "dd",
    "table", "caption", "colgroup", "col", "thead", "tbody", "tfoot", "tr", "th", "td",
];

/// The attributes that do nothing but describe or set text, on whatever element. `aria-` and `xmlns:` begin others.
#[rustfmt::skip]
const ATTRIBUTES: &[&str] = &[
    "class", "id", "lang", "dir", "title", "role", "hidden", "name", "content", "charset", "media", "type", "xmlns", "target",
    "rel", "align", "valign", "width", "height", "bgcolor", "color", "face", "size", "border", "cellpadding", "cellspacing",
    "colspan", "rowspan", "span", "scope", "headers", "summary", "nowrap", "noshade", "start", "value", "datetime",
];

/// The headers that `<meta http-equiv>` may stand for; `refresh` would load another page.
const META_HEADERS: &[&str] = &["content-type", "content-language", "x-ua-compatible"];

/// The rules of a style sheet that load nothing.
const AT_RULES: &[&str] = &["media", "supports", "-ms-viewport"];

/// The functions and selectors of a style sheet that load nothing.
#[rustfmt::skip]
const FUNCTIONS: &[&str] = &[
    "rgb", "rgba", "hsl", "hsla", "linear-gradient", "radial-gradient", "calc", "clamp", "max", "min", "var", "rotate", "scale",
    "translate", "has", "is", "lang", "not", "nth-child", "nth-last-child", "nth-of-type", "where",
];

/// A document, taken apart.
#[derive(Default)]
pub(super) struct Document {
    /// The values of all `href`.
    pub(super) targets: Vec<String>,
    /// The text between the tags.
    pub(super) shown: String,
    styles: String,
}

impl Document {
    /// Reads a document.
    pub(super) fn read(html: &str) -> Result<Self, ContentError> {
        let mut document = Self::default();
        let mut parts = vec![html.to_owned()];
        while let Some(part) = parts.pop() {
            document.add(&part, &mut parts)?;
        }
        check_style(&document.styles).map(|()| document)
    }

    fn add(&mut self, html: &str, conditional: &mut Vec<String>) -> Result<(), ContentError> {
        let mut emitter = DefaultEmitter::default();
        // The content of a style sheet or of a title is text, whatever it spells.
        emitter.naively_switch_states(true);
        let mut in_style = false;
        for Ok(token) in Tokenizer::new_with_emitter(html, emitter) {
            match token {
                Token::StartTag(tag) => {
                    in_style = tag.name == b"style";
                    self.add_tag(&tag)?;
                }
                Token::EndTag(_) => {
                    in_style = false;
                    self.end_word();
                }
                Token::String(text) if in_style => self.styles.push_str(&lossy(&text)),
                Token::String(text) => self.shown.push_str(&lossy(&text)),
                Token::Comment(comment) => {
                    // Outlook shows the content of a conditional comment.
                    let comment = lossy(&comment);
                    if comment.trim_start().to_ascii_lowercase().starts_with("[if") {
                        conditional.push(comment);
                    }
                }
                Token::Error(error) if *error == Error::DuplicateAttribute => {
                    // Mail programs differ in whether the first or the last one counts.
                    return Err(ContentError::new("the HTML has an attribute twice on one element"));
                }
                Token::Doctype(_) | Token::Error(_) => {}
            }
        }
        self.end_word();
        Ok(())
    }

    fn add_tag(&mut self, tag: &StartTag<()>) -> Result<(), ContentError> {
        self.end_word();
        let element = lossy(&tag.name);
        if !ELEMENTS.contains(&element.as_str()) {
            return Err(ContentError::found("the HTML has an element that is not allowed", format!("<{element}>")));
        }
        for (name, value) in &tag.attributes {
            let (name, value) = (lossy(name), lossy(value));
            match (element.as_str(), name.as_str()) {
                ("a", "href") => self.targets.push(value),
                (_, "style") => self.styles.push_str(&value),
                ("meta", "http-equiv") if META_HEADERS.contains(&value.trim().to_ascii_lowercase().as_str()) => {}
                (_, name) if ATTRIBUTES.contains(&name) || ["aria-", "xmlns:"].iter().any(|p| name.starts_with(p)) => {}
                (element, name) => {
                    let found = format!("{name} of <{element}>");
                    return Err(ContentError::found("the HTML has an attribute that is not allowed", found));
                }
            }
        }
        Ok(())
    }

    /// Parts a text, or a style, from the one before it.
    fn end_word(&mut self) {
        self.shown.push(' ');
        self.styles.push('\n');
    }
}

fn lossy(text: &HtmlString) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// Checks style sheets and attributes: only functions and at-rules load something, and an escape can spell either.
fn check_style(style: &str) -> Result<(), ContentError> {
    if style.contains('\\') {
        return Err(ContentError::new("a style of the HTML has an escape, which is not allowed"));
    }
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_') || !c.is_ascii();
    for (index, c) in style.char_indices() {
        let (before, after) = (&style[..index], &style[index + c.len_utf8()..]);
        let (prefix, name, allowed) = match c {
            '@' => (before, after.split(|c| !is_name(c)).next().unwrap_or_default(), AT_RULES),
            '(' => {
                let name = before.rsplit(|c| !is_name(c)).next().unwrap_or_default();
                (&before[..before.len() - name.len()], name, FUNCTIONS)
            }
            _ => continue,
        };
        let is_at_rule = c == '(' && prefix.ends_with('@');
        let is_bare = c == '(' && name.is_empty();
        if !(is_at_rule || is_bare || allowed.contains(&name.to_ascii_lowercase().as_str())) {
            let found = if c == '@' { format!("@{name}") } else { format!("{name}()") };
            return Err(ContentError::found("a style of the HTML has a rule or function that is not allowed", found));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(html: &str) -> String {
        Document::read(html).err().map_or_else(|| panic!("{html} is allowed"), |error| error.to_string())
    }

    #[test]
    fn text_and_its_settings_are_allowed() {
        for html in [
            "<!DOCTYPE html><html lang=en xmlns:o='urn:x'><head><meta charset=utf-8><title>a</title></head><body>b</body></html>",
            "<meta http-equiv='Content-Type' content='text/html; charset=utf-8'>",
            "<style>@media (max-width: 480px) { .a:not(.b) { color: rgb(1, 2, 3) !important } }</style>",
            "<style>@media(max-width:480px){a{color:red}}</style>",
            "<table cellpadding=0 role=presentation><tr><td bgcolor=#fff style='width:calc(1px + 2px)'>a</td></tr></table>",
            "<!-- url(x) <img src=x> --><!--[if mso]><table><tr><td><![endif]-->a<!--[if mso]></td></tr></table><![endif]-->",
            "&lt;img src=x&gt; url(x) @import",
            "<title><img src=x></title>",
            "<p aria-hidden=true>a</p>",
        ] {
            assert!(Document::read(html).is_ok(), "{html}: {:?}", Document::read(html).err());
        }
    }

    #[test]
    fn element_that_could_load_or_run_something_is_refused() {
        for element in [
            "img", "script", "form", "link", "iframe", "object", "embed", "svg", "base", "video", "audio", "source",
            "picture", "track", "input", "button", "area", "math", "frame", "template", "noscript", "marquee", "blink",
            "v:image", "x-y",
        ] {
            for html in
                [format!("<{element}>"), format!("<p><{}/x>", element.to_uppercase()), format!("<{element}\n/>")]
            {
                let error = refused(&html);
                assert_eq!(error, format!("the HTML has an element that is not allowed: <{element}>"), "{html}");
            }
        }
        assert!(refused("<!--[if mso]><v:image src=x><![endif]-->").ends_with("<v:image>"));
        assert!(refused("<!--[IF gte mso 9]><!--[if x]><img>-->").ends_with("<img>"));
        assert!(refused("<style></style><img>").ends_with("<img>"));
        assert!(refused("<!-- a --!><img>").ends_with("<img>"), "a comment that ends by mistake");
    }

    #[test]
    fn attribute_that_could_load_or_run_something_is_refused() {
        for (html, attribute) in [
            ("<td background=x>", "background of <td>"),
            ("<body onload=x>", "onload of <body>"),
            ("<p/onclick='x'>", "onclick of <p>"),
            ("<p STYLE='' SrcSet=x>", "srcset of <p>"),
            ("<a href=x ping=y>", "ping of <a>"),
            ("<div href=x>", "href of <div>"),
            ("<meta http-equiv=refresh content='0;url=https://evil.example'>", "http-equiv of <meta>"),
            ("<meta http-equiv=' ReFresh'>", "http-equiv of <meta>"),
            ("<p poster=x>", "poster of <p>"),
            ("<p title='>' src=x>", "src of <p>"),
            ("<p xlink:href=x>", "xlink:href of <p>"),
            ("<html manifest=x>", "manifest of <html>"),
        ] {
            assert_eq!(refused(html), format!("the HTML has an attribute that is not allowed: {attribute}"), "{html}");
        }
        assert!(refused("<a href=x href=y>").contains("twice"));
    }

    #[test]
    fn style_that_could_load_something_is_refused() {
        for (style, found) in [
            ("@import 'x';", "@import"),
            ("@IMPORT url(x);", "@IMPORT"),
            ("@font-face{src:local(x)}", "@font-face"),
            ("a{background:url(x)}", "url()"),
            ("a{background:URL( x )}", "URL()"),
            ("a{background:image-set('x' 1x)}", "image-set()"),
            ("a{background:-webkit-image-set('x' 1x)}", "-webkit-image-set()"),
            ("a{width:expression(x)}", "expression()"),
            ("a{filter:progid:DXImageTransform.Microsoft.AlphaImageLoader(src='x')}", "AlphaImageLoader()"),
            ("a{--x:url(x)}", "url()"),
        ] {
            let wanted = format!("a style of the HTML has a rule or function that is not allowed: {found}");
            assert_eq!(refused(&format!("<style>{style}</style>")), wanted);
            assert_eq!(refused(&format!("<p style=\"{style}\">")), wanted);
            assert_eq!(refused(&format!("<style>{style}")), wanted, "a sheet that does not end");
        }
        assert!(refused("<p style='background:u\\72l(x)'>").contains("escape"));
        assert!(refused("<p style='background:&#117;rl(x)'>").ends_with("url()"), "a reference is read first");
    }

    #[test]
    fn links_and_text_are_read_as_a_browser_reads_them() {
        let document =
            Document::read("<A HREF = \"x?a=1&amp;b=2\">b</A>https&colon;&#x2f;/c <title>d</title>").unwrap();
        assert_eq!(document.targets, ["x?a=1&b=2"]);
        assert_eq!(document.shown.split_whitespace().collect::<Vec<_>>(), ["b", "https://c", "d"]);
    }
}
