//! A value for each kind.

use super::Kind;

/// A value for each kind, such as a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerKind<T>([T; Kind::ALL.len()]);

impl<T> PerKind<T> {
    /// Creates the values from an array in the order of [`Kind::ALL`].
    pub const fn new(values: [T; Kind::ALL.len()]) -> Self {
        Self(values)
    }

    /// Creates the values one by one.
    pub fn from_fn(make: impl FnMut(Kind) -> T) -> Self {
        Self(Kind::ALL.map(make))
    }

    /// Returns the value of a kind.
    pub fn get(&self, kind: Kind) -> &T {
        &self.0[kind as usize]
    }

    /// Returns the values with their kinds.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, &T)> {
        Kind::ALL.into_iter().zip(&self.0)
    }

    /// Converts each value.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> PerKind<U> {
        PerKind(self.0.map(change))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_the_value_that_was_made_for_it() {
        let codes = PerKind::from_fn(Kind::code);
        for kind in Kind::ALL {
            assert_eq!(*codes.get(kind), kind.code());
            assert_eq!(codes.clone().map(str::len).get(kind), &kind.code().len());
        }
        assert!(codes.iter().all(|(kind, code)| kind.code() == *code));
    }
}
