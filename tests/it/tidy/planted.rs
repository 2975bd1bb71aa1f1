//! The list of planted bugs fits the sources: each can be planted, and the tests that must find it exist.

use std::fs;
use std::path::Path;

use serde::Deserialize;

#[derive(Deserialize)]
struct List {
    bug: Vec<Bug>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bug {
    name: String,
    guarantee: String,
    file: String,
    old: String,
    new: String,
    #[serde(default = "it")]
    target: String,
    tests: Vec<String>,
    #[serde(default)]
    also: Vec<Change>,
}

/// A further change that belongs to the same bug.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    file: String,
    old: String,
    new: String,
}

fn it() -> String {
    "it".to_owned()
}

#[test]
fn planted_bugs_fit_the_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let bugs = toml::from_str::<List>(&read("tests/planted.toml")).unwrap().bug;
    for (index, bug) in bugs.iter().enumerate() {
        let Bug { name, guarantee, file, old, new, target, tests, also } = bug;
        let also = also.iter().map(|Change { file, old, new }| (file, old, new));
        for (file, old, new) in [(file, old, new)].into_iter().chain(also) {
            assert!(file.starts_with("src/"), "{name}: bugs are planted in the service, not in its tests");
            assert_eq!(read(file).matches(old.as_str()).count(), 1, "{name}: how often its old text occurs in {file}");
            assert_ne!(old, new, "{name}: it changes nothing");
        }
        assert!(guarantee.ends_with('.'), "{name}: the guarantee is a sentence");
        assert!(["it", "lib"].contains(&target.as_str()), "{name}: {target} is no test target");
        assert!(!tests.is_empty(), "{name}: it names no test");
        assert!(!bugs[..index].iter().any(|other| other.name == *name), "{name}: the name occurs twice");
    }
}
