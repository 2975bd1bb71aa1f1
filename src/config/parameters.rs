//! The parameters in the query of a URL that may hold secrets: an unknown one is refused by its name, and no value is ever shown.
//!
//! A library that meets a parameter that it does not know ignores it: a misspelt `sslmode` would be an open connection, and the log would
//! have the value.

use url::Url;

/// The longest name that an error shows.
const LONGEST_NAME: usize = 40;

/// The characters that end the part of a URL that a password is in.
const ENDS: [char; 3] = ['#', '/', '?'];

/// Returns the text for a URL that cannot be parsed. It names the likeliest reason, which is a password that was put in as it is.
pub(super) fn not_a_url(text: &str, error: &url::ParseError) -> String {
    if has_raw_password(text) {
        "is not a URL: percent-encode special characters of the password, such as # as %23, / as %2F, ? as %3F, @ as %40, % as %25"
            .to_owned()
    } else {
        format!("is not a URL: {error}")
    }
}

/// Returns whether a password in a URL has characters that end it.
pub(super) fn has_raw_password(text: &str) -> bool {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    rest.rsplit_once('@').is_some_and(|(login, _)| login.contains(ENDS))
}

/// Refuses parameters other than the known ones. A known one may have a key in brackets, as in `options[name]`.
pub(super) fn refuse_unknown(url: &Url, known: &[&str]) -> Result<(), String> {
    let query = url.query().unwrap_or_default();
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let name = parameter.split('=').next().unwrap_or_default();
        let plain = name.strip_suffix(']').and_then(|name| name.split_once('[')).map_or(name, |(name, _)| name);
        if known.contains(&plain) {
            continue;
        }
        let shown = shown(parameter)
            .map_or_else(|| "an unknown parameter".to_owned(), |name| format!("the parameter {name:?}"));
        return Err(match known {
            [] => format!("must not have a query, and has {shown}: percent-encode a `?` that belongs to a password"),
            known => format!("must not have {shown}: known are {}", known.join(", ")),
        });
    }
    Ok(())
}

/// Returns the name of a parameter, unless it may be a part of a secret that was not percent-encoded.
fn shown(parameter: &str) -> Option<&str> {
    let (name, value) = parameter.split_once('=')?;
    let is_word = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    let is_name = name.len() <= LONGEST_NAME && name.starts_with(|c: char| c.is_ascii_alphabetic()) && is_word;
    (is_name && !value.contains('@')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_parameters_are_named_and_their_values_are_not() {
        let refused = |query: &str, known: &[&str]| {
            refuse_unknown(&Url::parse(&format!("x://h/d?{query}")).unwrap(), known).unwrap_err()
        };
        let known = ["sslmode", "options"];
        for query in ["", "sslmode=require", "options=-c%20a=b&sslmode=hunter2", "options[hunter2]=x", "&&"] {
            refuse_unknown(&Url::parse(&format!("x://h/d?{query}")).unwrap(), &known).unwrap();
        }
        for (query, named) in [
            ("sslpassword=hunter2", "\"sslpassword\""),
            ("sslmode=require&sslmod=hunter2", "\"sslmod\""),
            ("hunter2", "an unknown parameter"),
            ("hunter2%20=x", "an unknown parameter"),
            ("hunter2=x@host", "an unknown parameter"),
            ("=hunter2", "an unknown parameter"),
        ] {
            let error = refused(query, &known);
            assert!(error.contains(named) && !error.contains("hunter2"), "{error}");
            let error = refused(query.trim_start_matches("sslmode=require&"), &[]);
            assert!(error.contains(named) && !error.contains("hunter2"), "{error}");
        }
    }
}
