//! The rules that a field of a request can break. Clients act on the rule; the sentence beside it is for people.

/// A rule of a field. `pb::FieldRule` documents them for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FieldRule {
    /// The field is missing or empty.
    Required,
    /// The text is too short.
    TooShort,
    /// The text is too long.
    TooLong,
    /// The list or the map has too many entries.
    TooMany,
    /// The number, the duration or the moment is too small or too large.
    OutOfRange,
    /// The text is no UUID in its hyphenated form.
    NotAUuid,
    /// The text is not written as the field needs it.
    InvalidFormat,
    /// The value is none of the known ones.
    UnknownValue,
    /// The value occurs more than once.
    Duplicate,
    /// The field, or its value, is not allowed here.
    NotAllowed,
    /// The field does not go together with another one, or needs it.
    Conflicts,
    /// The domain may not be invited, or not join, by the policy of the server or of the account.
    DomainNotAllowed,
    /// People may not be sent to the address, by the policy of the server or of the account.
    RedirectNotAllowed,
}

/// The reason why a value is refused: the rule, and a text that fits behind the field's name and never repeats the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Invalid {
    /// The rule that the value breaks.
    pub rule: FieldRule,
    /// The problem.
    pub description: &'static str,
}

impl Invalid {
    /// Creates the reason.
    pub const fn new(rule: FieldRule, description: &'static str) -> Self {
        Self { rule, description }
    }

    /// The value is not written as the field needs it, which is the most frequent reason.
    pub const fn format(description: &'static str) -> Self {
        Self::new(FieldRule::InvalidFormat, description)
    }
}
