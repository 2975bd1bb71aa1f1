//! The texts of a statement that is composed of the parts that are needed.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use sea_orm::DbBackend;

use super::rows_param::Columns;

/// A part of a statement, with a set of rows as its parameters.
pub(in crate::store) trait StatementPart: Copy + Ord {
    /// Returns the columns of the rows; `None` if the part has no rows of its own.
    fn columns(self) -> Option<Columns>;
}

/// The parts of one statement, in the order of their parameters.
pub(in crate::store) struct Layout<'a, P> {
    pub(in crate::store) backend: DbBackend,
    pub(in crate::store) parts: &'a [P],
}

impl<P: StatementPart> Layout<'_, P> {
    pub(in crate::store) fn has(&self, part: P) -> bool {
        self.parts.contains(&part)
    }

    /// Returns a table expression, called `alias`, over the rows of a part.
    pub(in crate::store) fn rows(&self, part: P, alias: &str) -> String {
        let columns = part.columns().map(|columns| columns.rows_of(self.backend, self.first(Some(part)), alias));
        columns.unwrap_or_default()
    }

    /// Returns such an expression for rows that are looked up one by one.
    pub(in crate::store) fn keys(&self, part: P, alias: &str) -> String {
        let columns = part.columns().map(|columns| columns.keys_of(self.backend, self.first(Some(part)), alias));
        columns.unwrap_or_default()
    }

    /// Returns the number of the first parameter of a part, or of the one behind all parts.
    pub(in crate::store) fn first(&self, part: Option<P>) -> usize {
        let before = self.parts.iter().take_while(|other| Some(**other) != part);
        1 + before.filter_map(|part| Some(part.columns()?.width(self.backend))).sum::<usize>()
    }
}

/// The most texts of one statement. Connections keep their plans, which take memory and the time to be made.
const MOST_TEXTS: usize = 24;

/// The texts that were composed, by their parts.
pub(in crate::store) struct StatementTexts<P: 'static> {
    all: &'static [P],
    compose: fn(&[P]) -> String,
    known: RwLock<BTreeMap<Vec<P>, Arc<str>>>,
}

impl<P: Copy + Ord> StatementTexts<P> {
    /// Composes texts of these parts, which are in the order of their parameters.
    pub(in crate::store) fn new(all: &'static [P], compose: fn(&[P]) -> String) -> Self {
        Self { all, compose, known: RwLock::default() }
    }

    /// Returns the text of some parts, which are given in order. Where there are too many texts already it has more parts.
    pub(in crate::store) fn text(&self, needed: Vec<P>) -> (Vec<P>, Arc<str>) {
        if let Some(known) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&needed) {
            return (needed, Arc::clone(known));
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        // One place is kept for the text of all parts.
        let parts = if known.len() + 1 < MOST_TEXTS { needed } else { self.all.to_vec() };
        let text = known.entry(parts.clone()).or_insert_with(|| (self.compose)(&parts).into());
        (parts, Arc::clone(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statement_has_the_parts_it_needs_or_all() {
        const ALL: &[u8] = &[1, 2, 3, 4, 5, 6, 7];
        let texts = StatementTexts::new(ALL, |parts| format!("{parts:?}"));
        let mut composed = 0;
        for mask in 1_u8..128 {
            let needed: Vec<u8> = ALL.iter().copied().filter(|part| mask & (1 << (part - 1)) != 0).collect();
            let (parts, text) = texts.text(needed.clone());
            assert_eq!(*text, *format!("{parts:?}"));
            composed += u32::from(parts == needed);
            assert!(parts == needed || parts == ALL, "{needed:?}: {parts:?}");
        }
        assert_eq!(composed as usize, MOST_TEXTS);
        assert_eq!(texts.known.read().unwrap().len(), MOST_TEXTS);
        assert_eq!(texts.text(vec![1]).0, [1], "a text that is known is found");
    }
}
