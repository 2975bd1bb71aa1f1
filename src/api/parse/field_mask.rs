//! Update masks (AIP-134): without one, the fields that are set are updated; `*` means all fields that can be updated.

use super::violations::Violations;
use crate::domain::value::rule::FieldRule;

/// The fields of a resource that a call updates.
pub(in crate::api) struct FieldMask {
    updated: Vec<&'static str>,
    is_whole: bool,
}

impl FieldMask {
    /// Parses `update_mask`. Each of `fields` can be updated; its second part is whether it is set.
    pub(in crate::api) fn parse<const N: usize>(
        violations: &mut Violations,
        mask: Option<&prost_types::FieldMask>,
        fields: [(&'static str, bool); N],
    ) -> Self {
        let paths = mask.map(|mask| mask.paths.as_slice()).unwrap_or_default();
        for (index, path) in paths.iter().enumerate() {
            if path != "*" && !fields.iter().any(|(field, _)| field == path) {
                let known = fields.map(|(field, _)| field).join(", ");
                let description = format!("must be a field that can be updated, one of {known}, or *");
                violations.add(format!("update_mask.paths[{index}]"), FieldRule::UnknownValue, &description);
            }
        }
        let is_named = |field: &str| paths.iter().any(|path| path == field || path == "*");
        let changed = fields.into_iter().filter(|(field, filled)| is_named(field) || (paths.is_empty() && *filled));
        let is_whole = paths.is_empty() || paths.iter().any(|path| path == "*");
        Self { updated: changed.map(|(field, _)| field).collect(), is_whole }
    }

    /// Returns whether the call updates a field.
    pub(in crate::api) fn has(&self, field: &str) -> bool {
        self.updated.contains(&field)
    }

    /// Returns whether the resource as a whole is meant, so that what is set but cannot be updated has to be as it is.
    pub(in crate::api) fn is_whole(&self) -> bool {
        self.is_whole
    }
}
