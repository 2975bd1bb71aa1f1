//! One field that breaks a rule, as a status tells it. There is none without its rule, by which programs know it.

use tonic::Status;
use tonic_types::{FieldViolation, StatusExt};

use crate::domain::value::rule::FieldRule;
use crate::pb;

/// The most bytes of the violations of one status.
const MAX_BYTES: usize = 3 * 1024;

/// A field, the rule it breaks, and a sentence that follows the field's path.
#[derive(Clone, Debug)]
pub(crate) struct Violation(FieldViolation);

impl Violation {
    /// Creates a violation.
    pub(crate) fn new(field: impl Into<String>, rule: FieldRule, description: &str) -> Self {
        let reason = wire_name(rule).to_owned();
        Self(FieldViolation { reason, ..FieldViolation::new(field, description) })
    }

    /// Returns the violations that a status tells.
    pub(crate) fn all_of(status: &Status) -> Vec<Self> {
        let bad = status.get_details_bad_request();
        bad.map(|bad| bad.field_violations).unwrap_or_default().into_iter().map(Self).collect()
    }

    /// Returns the first violations of a status, as many as answers have room for.
    pub(crate) fn first_of(status: &Status) -> Vec<Self> {
        let mut room = MAX_BYTES;
        let fits = |violation: &Self| {
            let Self(FieldViolation { field, description, reason, localized_message: _ }) = violation;
            match room.checked_sub(field.len() + description.len() + reason.len()) {
                Some(left) => {
                    room = left;
                    true
                }
                None => false,
            }
        };
        Self::all_of(status).into_iter().take_while(fits).collect()
    }

    /// Returns the violation of a field inside of another one.
    pub(crate) fn inside(mut self, outer: &str) -> Self {
        self.0.field = format!("{outer}.{}", self.0.field);
        self
    }

    /// Returns the field and the sentence in one, for a message.
    pub(super) fn sentence(&self) -> String {
        format!("{} {}", self.0.field, self.0.description)
    }

    /// Returns whether it breaks a rule.
    pub(super) fn breaks(&self, rule: FieldRule) -> bool {
        self.0.reason == wire_name(rule)
    }

    /// Returns the violation as the details of a status hold it.
    pub(super) fn into_detail(self) -> FieldViolation {
        self.0
    }
}

impl From<Violation> for pb::FieldViolation {
    fn from(Violation(violation): Violation) -> Self {
        Self { field: violation.field, description: violation.description, reason: violation.reason }
    }
}

/// Returns the name of a rule without its prefix.
fn wire_name(rule: FieldRule) -> &'static str {
    let documented = match rule {
        FieldRule::Required => pb::FieldRule::Required,
        FieldRule::TooShort => pb::FieldRule::TooShort,
        FieldRule::TooLong => pb::FieldRule::TooLong,
        FieldRule::TooMany => pb::FieldRule::TooMany,
        FieldRule::OutOfRange => pb::FieldRule::OutOfRange,
        FieldRule::NotAUuid => pb::FieldRule::NotAUuid,
        FieldRule::InvalidFormat => pb::FieldRule::InvalidFormat,
        FieldRule::UnknownValue => pb::FieldRule::UnknownValue,
        FieldRule::Duplicate => pb::FieldRule::Duplicate,
        FieldRule::NotAllowed => pb::FieldRule::NotAllowed,
        FieldRule::Conflicts => pb::FieldRule::Conflicts,
        FieldRule::DomainNotAllowed => pb::FieldRule::DomainNotAllowed,
        FieldRule::RedirectNotAllowed => pb::FieldRule::RedirectNotAllowed,
    };
    documented.as_str_name().trim_start_matches("FIELD_RULE_")
}
