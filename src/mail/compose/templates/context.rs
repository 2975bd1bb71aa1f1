//! The facts as templates see them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use minijinja::value::{Object, Value};

use crate::mail::compose::facts::{MailContext, Moment};

/// Returns everything but the link.
pub(crate) fn of(facts: &MailContext, locale: &str, common: &str) -> BTreeMap<&'static str, Value> {
    let MailContext { sender, recipient, inviter, scope, organization, groups, roles, .. } = facts;
    let MailContext { acceptor, acceptor_email, connection, code, personal, expires, variables, .. } = facts;
    let list = |names: &Vec<String>| Value::from(names.iter().map(Value::from).collect::<Vec<_>>());
    BTreeMap::from([
        ("locale", Value::from(locale)),
        ("common", Value::from(common)),
        ("sender", Value::from(sender)),
        ("recipient", Value::from(recipient)),
        ("inviter", Value::from(inviter)),
        ("scope", Value::from(scope)),
        ("organization", Value::from(organization)),
        ("groups", list(groups)),
        ("roles", list(roles)),
        ("acceptor", Value::from(acceptor)),
        ("acceptor_email", Value::from(acceptor_email)),
        ("connection", Value::from(connection)),
        ("code", Value::from(code)),
        ("personal", Value::from(*personal)),
        ("expires", expires.as_ref().map_or(Value::from(()), moment)),
        ("variables", Value::from_object(Variables(variables.clone()))),
    ])
}

/// Adds the link, which its HTML form escapes as little as an attribute needs: scanners on the way read it, too.
pub(crate) fn with_link(context: &BTreeMap<&'static str, Value>, link: Option<&str>, html: bool) -> Value {
    let link = match link {
        Some(link) if html => Value::from_safe_string(attribute(link)),
        link => Value::from(link.unwrap_or_default()),
    };
    let pairs = context.iter().map(|(key, value)| (*key, value.clone())).chain([("link", link)]);
    Value::from_pairs(pairs)
}

fn attribute(text: &str) -> String {
    let escapes = [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&quot;"), ('\'', "&#x27;")];
    escapes.into_iter().fold(text.to_owned(), |text, (c, reference)| text.replace(c, reference))
}

fn moment(moment: &Moment) -> Value {
    let Moment { year, month, day, hour, minute } = moment;
    Value::from_pairs([
        ("year", Value::from(*year)),
        ("month", Value::from(*month)),
        ("day", Value::from(*day)),
        ("time", Value::from(format!("{hour:02}:{minute:02}"))),
    ])
}

/// The template variables of one invitation. Which there are is up to its maker, so one that is missing is an empty text
/// and not a mistake of the template's.
struct Variables(BTreeMap<String, String>);

impl Object for Variables {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let value = key.as_str().and_then(|key| self.0.get(key));
        Some(Value::from(value.map(String::as_str).unwrap_or_default()))
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Variables([redacted])")
    }
}
