//! Lists and gets.

pub(crate) mod acceptances;
pub(crate) mod build;
pub(crate) mod groups;
pub(crate) mod guests;
pub(crate) mod lists;
pub(crate) mod open;
pub(crate) mod persons;
pub(crate) mod plans;
pub(crate) mod points;
pub(crate) mod scan;
