//! Codes of stored rows that a newer release may have extended: kinds, types of events.

/// A code that this release knows, or the text of one that it does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word<T> {
    /// The meaning of the code.
    Known(T),
    /// A code of a newer release.
    Unknown(String),
}

/// The largest number of bytes of a code.
const MAX_LENGTH: usize = 100;

/// Returns the variants of an enum, which `strum` lists as a slice, as an array.
pub(crate) const fn array<T: Copy, const N: usize>(variants: &[T]) -> [T; N] {
    let mut array = [variants[0]; N];
    array.copy_from_slice(variants);
    array
}

impl<T: Copy> Word<T> {
    /// Parses a code with the function that knows them. Returns `None` for a text that no release writes.
    pub fn parse(text: &str, known: impl Fn(&str) -> Option<T>) -> Option<Self> {
        let is_word = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        let unknown = || {
            let is_written = text.len() <= MAX_LENGTH && text.split('.').all(is_word);
            is_written.then(|| Self::Unknown(text.to_owned()))
        };
        known(text).map(Self::Known).or_else(unknown)
    }

    /// Returns the meaning, if this release knows the code.
    pub fn known(&self) -> Option<T> {
        match self {
            Self::Known(known) => Some(*known),
            Self::Unknown(_) => None,
        }
    }

    /// Returns the text of the code with the function that formats known ones.
    pub fn text(&self, known: impl Fn(T) -> &'static str) -> &str {
        match self {
            Self::Known(word) => known(*word),
            Self::Unknown(text) => text,
        }
    }
}

impl<T> From<T> for Word<T> {
    fn from(known: T) -> Self {
        Self::Known(known)
    }
}

impl<T: PartialEq> PartialEq<T> for Word<T> {
    fn eq(&self, other: &T) -> bool {
        matches!(self, Self::Known(known) if known == other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::invitation::event::EventType;

    #[test]
    fn word_is_known_or_a_text_that_a_release_writes() {
        let parse = |text: &str| Word::parse(text, EventType::from_name);
        let created = parse("invitation.created").unwrap();
        assert_eq!(created, Word::from(EventType::Created));
        assert_eq!(created.known(), Some(EventType::Created));
        assert!(created == EventType::Created && created != EventType::Revoked);
        for unknown in ["invitation.transferred", "x", "quota_2.reached"] {
            let word = parse(unknown).unwrap();
            assert_eq!((word.known(), word.text(EventType::name)), (None, unknown));
            assert!(word != EventType::Created);
        }
        for broken in ["", ".", "a..b", "a b", "Invitation.created", "a.>", "a.*", "ä", &"a".repeat(101)] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }
}
