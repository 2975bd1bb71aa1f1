//! What templates are tried with before there is anything to send.

use std::collections::BTreeMap;

use crate::mail::compose::facts::{MailContext, Moment};
use crate::mail::compose::name;

/// A link that nobody owns.
pub(crate) const LINK: &str = "https://invitation.invalid/inv_sample?a=1&b=2";

/// Everything that can be known, with names that would be markup and links.
pub(crate) fn everything() -> MailContext {
    let hostile = name::name("<b>\"O'Neil\"</b> & Co. {{ 1 }} https://example.com");
    MailContext {
        sender: hostile.clone(),
        recipient: hostile.clone(),
        inviter: hostile.clone(),
        scope: hostile.clone(),
        organization: hostile.clone(),
        groups: vec![hostile.clone(), hostile.clone()],
        roles: vec![hostile.clone()],
        acceptor: hostile.clone(),
        acceptor_email: name::name("jane@example.com"),
        connection: hostile,
        code: "012345".to_owned(),
        personal: true,
        expires: Some(Moment { year: 2026, month: 12, day: 31, hour: 9, minute: 5 }),
        variables: BTreeMap::from([("sample".to_owned(), "value".to_owned())]),
    }
}

/// No more than what is always known.
pub(crate) fn nothing() -> MailContext {
    MailContext { sender: "Example".to_owned(), code: "012345".to_owned(), ..MailContext::default() }
}
