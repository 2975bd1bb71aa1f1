//! Update masks (AIP-134): without one, the fields that are set are updated; `*` means all fields that can be updated. A path may
//! also name one entry of a map (AIP-161).

use std::collections::{BTreeMap, BTreeSet};

use super::violations::Violations;
use crate::domain::value::rule::FieldRule;

/// The fields of a resource that a call updates.
pub(in crate::api) struct FieldMask {
    updated: Vec<&'static str>,
    /// The keys of single entries, by map.
    keys: BTreeMap<&'static str, BTreeSet<String>>,
    is_whole: bool,
}

/// The fields of a resource that can be updated.
pub(in crate::api) struct Fields<'a> {
    /// Their paths, each with whether the field is set.
    pub(in crate::api) fields: &'a [(&'static str, bool)],
    /// Those of them whose entries have paths of their own.
    pub(in crate::api) maps: &'a [&'static str],
    /// Other names of fields: each stands for the second.
    pub(in crate::api) aliases: &'a [(&'static str, &'static str)],
}

impl FieldMask {
    /// Parses `update_mask`. Each of `fields` can be updated; its second part is whether it is set.
    pub(in crate::api) fn parse<const N: usize>(
        violations: &mut Violations,
        mask: Option<&prost_types::FieldMask>,
        fields: [(&'static str, bool); N],
    ) -> Self {
        Self::parse_with(violations, mask, &Fields { fields: &fields, maps: &[], aliases: &[] })
    }

    /// Parses `update_mask` of a resource with maps.
    pub(in crate::api) fn parse_with(
        violations: &mut Violations,
        mask: Option<&prost_types::FieldMask>,
        all: &Fields<'_>,
    ) -> Self {
        let paths = mask.map(|mask| mask.paths.as_slice()).unwrap_or_default();
        let is_whole = paths.is_empty() || paths.iter().any(|path| path == "*");
        let mut parsed = Self { updated: Vec::new(), keys: BTreeMap::new(), is_whole };
        for (index, path) in paths.iter().enumerate().filter(|(_, path)| *path != "*") {
            let path = all.aliases.iter().find(|(alias, _)| alias == path).map_or(path.as_str(), |(_, field)| field);
            if let Some((field, _)) = all.fields.iter().find(|(field, _)| *field == path) {
                parsed.updated.push(field);
            } else if let Some((map, key)) = entry(path, all.maps) {
                parsed.keys.entry(map).or_default().insert(key);
            } else {
                let known = all.fields.iter().map(|(field, _)| *field).collect::<Vec<_>>().join(", ");
                let description = format!("must be a field that can be updated, one of {known}, or *");
                violations.add(format!("update_mask.paths[{index}]"), FieldRule::UnknownValue, &description);
            }
        }
        if is_whole {
            let takes_all = !paths.is_empty();
            parsed.updated =
                all.fields.iter().filter(|(_, filled)| takes_all || *filled).map(|(field, _)| *field).collect();
        }
        parsed
    }

    /// Returns whether the call updates a field.
    pub(in crate::api) fn has(&self, field: &str) -> bool {
        self.updated.contains(&field)
    }

    /// Returns the keys of the only entries of a map that the call updates; `None` if it updates the map as a whole, or not at all.
    pub(in crate::api) fn entries(&self, map: &str) -> Option<&BTreeSet<String>> {
        self.keys.get(map).filter(|_| !self.has(map))
    }

    /// Returns whether the resource as a whole is meant, so that what is set but cannot be updated has to be as it is.
    pub(in crate::api) fn is_whole(&self) -> bool {
        self.is_whole
    }
}

/// Splits the path of an entry into its map and its key. A key with a dot or a backtick in it is in backticks, and a backtick in such
/// a key is written twice. No path leads into the value of an entry.
fn entry(path: &str, maps: &[&'static str]) -> Option<(&'static str, String)> {
    let (map, key) = path.split_once('.')?;
    let map = maps.iter().copied().find(|known| *known == map)?;
    let key = match key.strip_prefix('`') {
        Some(quoted) => unquoted(quoted.strip_suffix('`')?)?,
        None => Some(key).filter(|key| !key.contains(['.', '`']))?.to_owned(),
    };
    Some((map, key)).filter(|(_, key)| !key.is_empty())
}

/// Returns a key without the second of each two backticks; `None` if one stands alone.
fn unquoted(quoted: &str) -> Option<String> {
    let pairless = quoted.split("``").any(|part| part.contains('`'));
    (!pairless).then(|| quoted.replace("``", "`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(paths: &[&str]) -> (FieldMask, bool) {
        let mut violations = Violations::default();
        let mask = prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() };
        let fields = [("labels", true), ("expire_time", false)];
        let all = Fields { fields: &fields, maps: &["labels"], aliases: &[("ttl", "expire_time")] };
        let parsed = FieldMask::parse_with(&mut violations, Some(&mask), &all);
        (parsed, violations.finish(Some(())).is_ok())
    }

    #[test]
    fn path_names_a_field_or_an_entry_of_a_map() {
        for (paths, updated, keys) in [
            (&[][..], &["labels"][..], &[][..]),
            (&["*"], &["labels", "expire_time"], &[]),
            (&["ttl"], &["expire_time"], &[]),
            (&["labels.a", "labels.b c", "labels.`b c`", "labels.`d.e`"], &[], &["a", "b c", "d.e"]),
            (&["labels.`a``b`", "labels.```a`"], &[], &["`a", "a`b"]),
            (&["labels", "labels.a"], &["labels"], &[]),
        ] {
            let (mask, is_valid) = parse(paths);
            assert!(is_valid, "{paths:?}");
            assert_eq!(mask.updated, updated, "{paths:?}");
            let found: Vec<_> = mask.entries("labels").into_iter().flatten().map(String::as_str).collect();
            assert_eq!(found, keys, "{paths:?}");
            assert_eq!(mask.is_whole(), paths.is_empty() || paths.contains(&"*"));
        }
        for paths in [
            ["labels."],
            ["labels.``"],
            ["labels.`"],
            ["labels.```"],
            ["labels.`a"],
            ["labels.a`"],
            ["labels.`a`b`"],
            ["labels.`a`.b"],
            ["labels.a.b"],
            ["labels.."],
            ["expire_time.a"],
            ["never"],
            [""],
        ] {
            assert!(!parse(&paths).1, "{paths:?}");
        }
    }
}
