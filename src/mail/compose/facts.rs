//! What templates are told of an invitation: names made safe, and nothing that opens a door but the link.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Datelike, Timelike, Utc};

use super::{About, ComposeError, name};
use crate::domain::delivery::{Delivery, Purpose};
use crate::domain::invitation::Invitation;
use crate::domain::kind::{Details, Scope};
use crate::domain::value::time::Timestamp;

/// The variable of a general invitation, and the label of any, that names the language of its mail.
const LOCALE: &str = "locale";

/// What a template may speak of. A text that is empty stands for what is not known.
#[derive(Clone, Default)]
pub(crate) struct MailContext {
    /// Who sends the mail.
    pub(crate) sender: String,
    /// Whom the message is to.
    pub(crate) recipient: String,
    /// Who invites.
    pub(crate) inviter: String,
    /// Into what.
    pub(crate) scope: String,
    /// For which organization the guest is invited.
    pub(crate) organization: String,
    /// Into which groups besides.
    pub(crate) groups: Vec<String>,
    /// With which roles.
    pub(crate) roles: Vec<String>,
    /// Who accepted.
    pub(crate) acceptor: String,
    /// With which address.
    pub(crate) acceptor_email: String,
    /// Where the data of the connection comes from that was made.
    pub(crate) connection: String,
    /// The code that proves an address.
    pub(crate) code: String,
    /// Whether only the recipient's own link brought them here, so that it is not to be passed on.
    pub(crate) personal: bool,
    /// When the invitation expires.
    pub(crate) expires: Option<Moment>,
    /// What the maker of a general invitation gave for its texts.
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
    /// Gathers what a message can speak of.
    pub(crate) fn of(
        delivery: &Delivery,
        invitation: &Invitation,
        about: About<'_>,
        sender: &str,
    ) -> Result<Self, ComposeError> {
        let inviter = invitation.details.inviter_name();
        let ordinal = delivery.message.recipient;
        let own = invitation.recipient(ordinal).and_then(|recipient| recipient.display_name.as_deref());
        let scope = invitation.details.scope().and_then(|scope| scope.display_name);
        let mut facts = Self {
            sender: name::name(sender),
            recipient: name::name(own.unwrap_or_default()),
            inviter: name::name(inviter),
            scope: name::name(&scope.unwrap_or_default()),
            organization: name::name(invitation.details.organization_name()),
            groups: names(invitation.details.groups().iter().filter_map(display_name)),
            roles: names(invitation.details.roles().iter().map(String::as_str)),
            personal: ordinal > 0,
            expires: invitation.facts.expire_at.and_then(Moment::of),
            variables: variables(&invitation.details),
            ..Self::default()
        };
        match (delivery.message.purpose, about) {
            (Purpose::Invitation | Purpose::Reminder, _) => {}
            (Purpose::AcceptanceNotice, About::Acceptance(acceptance)) => {
                let made = acceptance.created_connection.as_ref();
                facts.recipient.clone_from(&facts.inviter);
                facts.acceptor = name::name(acceptance.display_name.as_deref().unwrap_or_default());
                facts.acceptor_email =
                    acceptance.email.as_ref().map(|email| name::name(email.original())).unwrap_or_default();
                facts.connection =
                    name::name(made.map(|made| made.connection.datasource_name.as_str()).unwrap_or_default());
            }
            (Purpose::VerificationCode, About::Code(code)) => code.clone_into(&mut facts.code),
            (Purpose::AcceptanceNotice | Purpose::VerificationCode, _) => return Err(ComposeError::NotAbout),
        }
        Ok(facts)
    }
}

/// Says nothing: the facts are people's names, and a code.
impl fmt::Debug for MailContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Facts([redacted])")
    }
}

/// Returns the language an invitation asks for: by its template variable, else by its label.
pub(crate) fn locale(invitation: &Invitation) -> Option<&str> {
    let variables = invitation.details.general().map(|details| &details.kept.template_variables);
    let variable = variables.and_then(|variables| variables.get(LOCALE));
    variable.or_else(|| invitation.labels.get(LOCALE)).map(String::as_str)
}

fn variables(details: &Details) -> BTreeMap<String, String> {
    let kept = details.general().map(|details| &details.kept.template_variables);
    let kept = kept.into_iter().flatten();
    kept.map(|(key, value)| (key.clone(), name::variable(value))).collect()
}

fn display_name(scope: &Scope) -> Option<&str> {
    scope.display_name.as_deref()
}

fn names<'a>(all: impl Iterator<Item = &'a str>) -> Vec<String> {
    all.map(name::name).filter(|name| !name.is_empty()).collect()
}
