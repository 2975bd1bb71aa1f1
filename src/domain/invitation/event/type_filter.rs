//! The types of events that a follower chooses: single ones, or families, which also have the types of newer releases.

use strum::{EnumString, IntoStaticStr, VariantArray};

use super::EventType;
use crate::domain::value::word::Word;

/// A type of event, or a family of types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventTypeFilter {
    /// One type.
    Type(EventType),
    /// All types that begin with the same word.
    Family(EventFamily),
}

/// The types that begin with the same word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray)]
pub enum EventFamily {
    /// Invitations themselves.
    #[strum(serialize = "invitation.*")]
    Invitation,
    /// Acceptances, once they are made.
    #[strum(serialize = "acceptance.*")]
    Acceptance,
    /// Messages to people.
    #[strum(serialize = "delivery.*")]
    Delivery,
    /// Domains that join a scope.
    #[strum(serialize = "autojoin.*")]
    Autojoin,
    /// Addresses that nothing is sent to.
    #[strum(serialize = "suppression.*")]
    Suppression,
}

impl EventFamily {
    /// Returns the text that the names of its types begin with, for example `delivery.`.
    pub fn prefix(self) -> &'static str {
        let name: &'static str = self.into();
        name.trim_end_matches('*')
    }
}

impl EventTypeFilter {
    /// Returns the name by which followers choose it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Type(event_type) => event_type.name(),
            Self::Family(family) => family.into(),
        }
    }

    /// Reverses [`EventTypeFilter::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        EventType::from_name(name).map(Self::Type).or_else(|| name.parse().ok().map(Self::Family))
    }

    /// Parses a stored name, which a newer release may have written.
    pub fn parse_stored(name: &str) -> Option<Word<Self>> {
        let first = name.strip_suffix(".*").unwrap_or(name);
        let unknown = || Word::<Self>::parse(first, |_| None).map(|_| Word::Unknown(name.to_owned()));
        Self::from_name(name).map(Word::Known).or_else(unknown)
    }

    /// Returns whether an event of a type is chosen.
    pub fn matches(self, event_type: &Word<EventType>) -> bool {
        match self {
            Self::Type(wanted) => *event_type == wanted,
            Self::Family(family) => event_type.text(EventType::name).starts_with(family.prefix()),
        }
    }
}

impl From<EventType> for EventTypeFilter {
    fn from(event_type: EventType) -> Self {
        Self::Type(event_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_belongs_to_one_family_and_each_family_has_types() {
        let families = EventFamily::VARIANTS.iter().map(|family| EventTypeFilter::Family(*family));
        for event_type in EventType::ALL {
            let word = Word::from(event_type);
            assert_eq!(families.clone().filter(|family| family.matches(&word)).count(), 1, "{event_type:?}");
        }
        for family in families {
            assert!(EventType::ALL.iter().any(|event_type| family.matches(&(*event_type).into())), "{family:?}");
            assert_eq!(EventTypeFilter::from_name(family.name()), Some(family));
        }
    }

    #[test]
    fn family_has_types_of_newer_releases_a_type_only_itself() {
        let newer = Word::Unknown("invitation.transferred".to_owned());
        let chosen = |name: &str| EventTypeFilter::from_name(name).unwrap().matches(&newer);
        assert!(chosen("invitation.*") && !chosen("delivery.*") && !chosen("invitation.created"));
        for name in ["*", "invitation.", "invitation", "invitation*", "inv.*", "", "Invitation.*"] {
            assert_eq!(EventTypeFilter::from_name(name), None, "{name}");
        }
    }

    #[test]
    fn stored_name_may_be_of_a_newer_release() {
        for name in ["membership.released", "membership.*"] {
            assert_eq!(EventTypeFilter::parse_stored(name), Some(Word::Unknown(name.to_owned())));
        }
        for name in ["invitation.created", "invitation.*"] {
            assert_eq!(EventTypeFilter::parse_stored(name).unwrap().text(EventTypeFilter::name), name);
        }
        for name in ["", "*", ".*", "a.*.b", "a.*.*", "A.*", "a b"] {
            assert_eq!(EventTypeFilter::parse_stored(name), None, "{name}");
        }
    }
}
