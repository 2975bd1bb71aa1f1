//! The context of a message: the values that its templates may show. Names are made safe, and the link alone gives access.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Datelike, Timelike, Utc};
use minijinja::Value;
use minijinja::value::Object;

use super::{ComposeError, name};
use crate::domain::delivery::notice::{NamedPerson, NoticeContent};
use crate::domain::delivery::{Delivery, Purpose};
use crate::domain::invitation::Invitation;
use crate::domain::kind::{Details, Scope};
use crate::domain::value::time::Timestamp;

/// The subject of a message beyond its invitation.
#[derive(Clone, Copy)]
pub enum About<'a> {
    /// An invitation or a reminder needs no other subject.
    Nothing,
    /// The content of a notice to the inviter.
    Notice(&'a NoticeContent),
    /// The code that proves an address.
    Code(&'a str),
}

/// Never shows the code.
impl fmt::Debug for About<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("Nothing"),
            Self::Notice(content) => f.debug_tuple("Notice").field(content).finish(),
            Self::Code(_) => f.write_str("Code([redacted])"),
        }
    }
}

/// The values that a template may show. A text is empty if it is not known.
#[derive(Clone, Default)]
pub(crate) struct MailContext {
    pub(crate) sender: String,
    pub(crate) recipient: String,
    pub(crate) inviter: String,
    /// The inviter's message to the recipient.
    pub(crate) message: String,
    pub(crate) scope: String,
    /// The parent organization of a guest.
    pub(crate) organization: String,
    pub(crate) groups: Vec<String>,
    pub(crate) roles: Vec<String>,
    /// The number of people that a notice reports.
    pub(crate) count: u64,
    /// The first of them, each by name and address.
    pub(crate) people: Vec<String>,
    /// The first of them, by name or address.
    pub(crate) person: String,
    /// The data source of the connection that the acceptor created.
    pub(crate) connection: String,
    /// The code that proves an address.
    pub(crate) code: String,
    /// Whether the link belongs to one recipient, so that it must not be passed on.
    pub(crate) personal: bool,
    /// Whether the recipient has an account with the caller.
    pub(crate) existing_user: bool,
    pub(crate) expires: Option<Moment>,
    /// The template variables of a general invitation.
    pub(crate) variables: BTreeMap<String, String>,
}

/// A moment in UTC, in parts that every language can put in its own order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) year: i32,
    pub(crate) month: u32,
    pub(crate) day: u32,
    pub(crate) hour: u32,
    pub(crate) minute: u32,
}

impl Moment {
    fn of(time: Timestamp) -> Option<Self> {
        let time: DateTime<Utc> = DateTime::from_timestamp_micros(time.micros())?;
        let (year, month, day) = (time.year(), time.month(), time.day());
        Some(Self { year, month, day, hour: time.hour(), minute: time.minute() })
    }
}

impl MailContext {
    /// Collects the values from the invitation and its subject, and makes names safe.
    pub(crate) fn of(
        delivery: &Delivery,
        invitation: &Invitation,
        about: About<'_>,
        sender: &str,
    ) -> Result<Self, ComposeError> {
        let shared = invitation.details.shared();
        let ordinal = delivery.message.recipient;
        let recipient = invitation.recipient(ordinal);
        let own = recipient.and_then(|recipient| recipient.display_name.as_deref());
        let scope = invitation.details.scope(&invitation.account).and_then(|scope| scope.display_name);
        let mut context = Self {
            sender: name::name(sender),
            recipient: name::name(own.unwrap_or_default()),
            inviter: name::name(shared.inviter_name()),
            message: name::message(shared.message.as_deref().unwrap_or_default()),
            scope: name::name(&scope.unwrap_or_default()),
            organization: name::name(invitation.details.organization_name()),
            groups: names(invitation.details.groups().iter().filter_map(display_name)),
            roles: names(invitation.details.roles().iter().map(String::as_str)),
            personal: ordinal > 0,
            existing_user: recipient.and_then(|recipient| recipient.existing_user).unwrap_or_default(),
            expires: invitation.facts.expire_at.and_then(Moment::of),
            variables: variables(&invitation.details),
            ..Self::default()
        };
        match (delivery.message.purpose, about) {
            (Purpose::Invitation | Purpose::Reminder, _) => {}
            (
                Purpose::AcceptanceNotice | Purpose::DeclineNotice | Purpose::FailureNotice | Purpose::ExpiryNotice,
                About::Notice(content),
            ) => context.report(content),
            (Purpose::VerificationCode, About::Code(code)) => code.clone_into(&mut context.code),
            (
                Purpose::AcceptanceNotice
                | Purpose::DeclineNotice
                | Purpose::FailureNotice
                | Purpose::ExpiryNotice
                | Purpose::VerificationCode,
                _,
            ) => return Err(ComposeError::NotAbout),
        }
        Ok(context)
    }

    /// Adds what a notice reports to its inviter.
    fn report(&mut self, content: &NoticeContent) {
        let shown = |text: &Option<String>| name::name(text.as_deref().unwrap_or_default());
        let both = |person: &NamedPerson| match (shown(&person.display_name), shown(&person.address)) {
            (name, address) if address.is_empty() => name,
            (name, address) if name.is_empty() => address,
            (name, address) => format!("{name} ({address})"),
        };
        self.recipient.clone_from(&self.inviter);
        self.count = content.count;
        self.people = content.people.iter().map(both).filter(|person| !person.is_empty()).collect();
        let first = content.people.first();
        let names = first.into_iter().flat_map(|first| [shown(&first.display_name), shown(&first.address)]);
        self.person = names.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
        self.connection = shown(&content.connection);
    }
}

/// Shows nothing: the context holds people's names, and a code.
impl fmt::Debug for MailContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MailContext([redacted])")
    }
}

/// Returns the language that an invitation asks for.
pub(crate) fn locale(invitation: &Invitation) -> Option<&str> {
    invitation.details.shared().locale.as_deref()
}

fn variables(details: &Details) -> BTreeMap<String, String> {
    let kept = details.general().map(|details| &details.caller_data.template_variables);
    let kept = kept.into_iter().flatten();
    kept.map(|(key, value)| (key.clone(), name::variable(value))).collect()
}

fn display_name(scope: &Scope) -> Option<&str> {
    scope.display_name.as_deref()
}

fn names<'a>(all: impl Iterator<Item = &'a str>) -> Vec<String> {
    all.map(name::name).filter(|name| !name.is_empty()).collect()
}

/// Returns everything but the link.
pub(crate) fn values(context: &MailContext, locale: &str, common: &str) -> BTreeMap<&'static str, Value> {
    let MailContext { sender, recipient, inviter, message, scope, organization, groups, roles, .. } = context;
    let MailContext { count, people, person, connection, code, personal, existing_user, expires, variables, .. } =
        context;
    let list = |names: &Vec<String>| Value::from(names.iter().map(Value::from).collect::<Vec<_>>());
    BTreeMap::from([
        ("locale", Value::from(locale)),
        ("common", Value::from(common)),
        ("sender", Value::from(sender)),
        ("recipient", Value::from(recipient)),
        ("inviter", Value::from(inviter)),
        ("message", Value::from(message)),
        ("scope", Value::from(scope)),
        ("organization", Value::from(organization)),
        ("groups", list(groups)),
        ("roles", list(roles)),
        ("count", Value::from(*count)),
        ("people", list(people)),
        ("person", Value::from(person)),
        ("connection", Value::from(connection)),
        ("code", Value::from(code)),
        ("personal", Value::from(*personal)),
        ("existing_user", Value::from(*existing_user)),
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

/// A link that nobody owns.
pub(crate) const SAMPLE_LINK: &str = "https://invitation.invalid/inv_sample?a=1&b=2";

/// All values, with names that would be markup and links.
pub(crate) fn full_sample() -> MailContext {
    let hostile = name::name("<b>\"O'Neil\"</b> & Co. {{ 1 }} https://example.com");
    MailContext {
        sender: hostile.clone(),
        recipient: hostile.clone(),
        inviter: hostile.clone(),
        message: hostile.clone(),
        scope: hostile.clone(),
        organization: hostile.clone(),
        groups: vec![hostile.clone(), hostile.clone()],
        roles: vec![hostile.clone()],
        count: 5,
        people: vec![hostile.clone(), hostile.clone()],
        person: hostile.clone(),
        connection: hostile,
        code: "K7QM-4T2X".to_owned(),
        personal: true,
        existing_user: true,
        expires: Some(Moment { year: 2026, month: 12, day: 31, hour: 9, minute: 5 }),
        variables: BTreeMap::from([("sample".to_owned(), "value".to_owned())]),
    }
}

/// Little is known of the only person that a notice reports.
pub(crate) fn single_sample() -> MailContext {
    MailContext { count: 1, ..empty_sample() }
}

/// The values that are always known.
pub(crate) fn empty_sample() -> MailContext {
    MailContext { sender: "Example".to_owned(), code: "012345".to_owned(), ..MailContext::default() }
}
