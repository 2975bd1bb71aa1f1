//! The fields that no update changes. An update of the whole invitation repeats them, and one that differs is refused: a caller
//! would otherwise be told that it has changed.

use uuid::Uuid;

use crate::domain::invitation::Invitation;
use crate::domain::invitation::recipient::Address;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::kind::general::{CallerData, GeneralDetails, RecipientMatch, Usage};
use crate::domain::kind::{Details, Scope};
use crate::domain::value::rule::{FieldRule, Invalid};

/// The source of an invitation whose creator names none.
pub const DEFAULT_SOURCE: &str = "api";

/// A field that no update changes, as it was sent.
#[derive(Clone, Debug)]
pub struct FixedField {
    /// The path in the request.
    pub path: &'static str,
    /// The value.
    pub value: Fixed,
}

/// The value of a field that no update changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fixed {
    /// The addresses that it is meant for.
    Recipients(Vec<Address>),
    /// The company of a connection invitation.
    Company(Uuid),
    /// The connection to repair.
    Connection(Uuid),
    /// The scope of a general invitation.
    Scope(Scope),
    /// The usage of a general invitation.
    Usage(Usage),
    /// The addresses that count as a target's.
    RecipientMatch(RecipientMatch),
    /// A text that the creator of a general invitation keeps in it.
    Kept(KeptText, String),
}

/// A text that the creator of a general invitation keeps in it, and that no update changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptText {
    /// The channel through which it was created.
    Source,
    /// The creator's own type.
    Subtype,
    /// The widget that it was created with.
    WidgetConfigurationId,
    /// The deployment that it was created in.
    DeploymentId,
    /// The project that it was created in.
    ProjectId,
    /// The text that every event returns.
    PassThrough,
}

/// Refuses a field that is not as it is in the invitation.
pub(super) fn check(fields: &[FixedField], invitation: &Invitation) -> Result<(), Refusal> {
    let differs = |field: &&FixedField| !is_kept(&field.value, invitation);
    let Some(FixedField { path, value }) = fields.iter().find(differs) else { return Ok(()) };
    let description = match value {
        Fixed::Recipients(_) => "must be unset or as it is: add_targets and remove_recipients change the recipients",
        _ => "must be unset or as it is: it cannot be updated",
    };
    Err(Refusal::InvalidField { field: path, invalid: Invalid::new(FieldRule::NotAllowed, description) })
}

fn is_kept(value: &Fixed, invitation: &Invitation) -> bool {
    match (value, &invitation.details) {
        (Fixed::Recipients(given), _) => {
            // An address that was erased is shown without its value, and cannot be sent back.
            let present = invitation.present_recipients().filter(|recipient| !recipient.is_erased());
            let present: Vec<_> = present.map(|recipient| &recipient.address).collect();
            given.len() == present.len() && given.iter().all(|given| present.iter().any(|known| known.is(given)))
        }
        (Fixed::Company(id), Details::Connection(details)) => *id == details.company_id,
        (Fixed::Connection(id), details) => details.resource_id() == Some(*id),
        (value, Details::General(details)) => is_kept_in(value, details),
        (_, Details::Connection(_) | Details::User(_) | Details::Guest(_)) => false,
    }
}

fn is_kept_in(value: &Fixed, details: &GeneralDetails) -> bool {
    match value {
        Fixed::Scope(given) => details.scope.as_ref().is_some_and(|scope| scope.is(given)),
        Fixed::Usage(given) => *given == details.usage,
        Fixed::RecipientMatch(given) => *given == details.recipient_match,
        Fixed::Kept(text, given) => {
            let kept = text.of(&details.caller_data);
            kept.unwrap_or_default() == given || *text == KeptText::Source && kept.is_none() && given == DEFAULT_SOURCE
        }
        Fixed::Recipients(_) | Fixed::Company(_) | Fixed::Connection(_) => false,
    }
}

impl KeptText {
    fn of(self, data: &CallerData) -> Option<&str> {
        match self {
            Self::Source => data.source.as_deref(),
            Self::Subtype => data.subtype.as_deref(),
            Self::WidgetConfigurationId => data.widget_configuration_id.as_deref(),
            Self::DeploymentId => data.deployment_id.as_deref(),
            Self::ProjectId => data.project_id.as_deref(),
            Self::PassThrough => data.pass_through.as_deref(),
        }
    }
}
