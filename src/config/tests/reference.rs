//! `default.toml` is the reference: it and the raw structs know the same keys.

use super::*;

#[test]
fn default_toml_documents_exactly_the_existing_keys() {
    let mut documented = BTreeSet::new();
    let mut section = "";
    let mut comment: Vec<&str> = Vec::new();
    for line in layers::DEFAULT_TOML.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
            comment.clear();
        } else if line.is_empty() {
            comment.clear();
        } else if let Some(key) = documented_key(line, &comment) {
            let variable = layers::variable_name(section, key);
            assert_eq!(comment.last(), Some(&format!("# Environment: {variable}").as_str()), "above {section}.{key}");
            assert!(comment.len() >= 2, "{section}.{key} has no text");
            assert!(documented.insert(format!("{section}.{key}")), "{section}.{key} is there twice");
            comment.clear();
        } else {
            assert!(line.starts_with('#'), "neither key nor comment: {line}");
            comment.push(line);
        }
    }
    let existing = layers::known_keys().unwrap().into_iter();
    let existing = existing.flat_map(|(section, keys)| keys.into_keys().map(move |key| format!("{section}.{key}")));
    assert_eq!(documented, existing.collect::<BTreeSet<_>>());
    assert!(layers::DEFAULT_TOML.contains(&format!("# url = {:?}\n", section::store::DEFAULT_URL)));
}

/// The key of a live line, or of one that is commented out, which directly follows the line with the variable.
fn documented_key<'a>(line: &'a str, comment: &[&str]) -> Option<&'a str> {
    let after_variable = comment.last().is_some_and(|last| last.starts_with("# Environment: "));
    let live = if after_variable { line.strip_prefix("# ").unwrap_or(line) } else { line };
    (!live.starts_with('#')).then(|| live.split_once(" = ")).flatten().map(|(key, _)| key)
}

#[test]
fn redacted_configuration_without_secrets_loads_again() {
    let config = load(&[]).unwrap();
    assert_eq!(load_file(&config.redacted(), &[]).unwrap().redacted(), config.redacted());
}
