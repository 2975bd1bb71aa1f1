//! The documents agree with the code: the RPCs, the variables, the reasons and the files they name exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use invitation_service::pb;
use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet};

mod logs;

const DEFAULT_TOML: &str = "config/default.toml";

#[test]
fn readme_lists_exactly_the_rpcs_there_are() {
    let listed = rpcs_listed(&read("README.md"));
    assert_eq!(listed, rpcs());
}

#[test]
fn every_variable_that_a_document_or_the_chart_names_exists() {
    let known = variables(&read(DEFAULT_TOML));
    assert!(known.contains("INVITATION__GRPC__LISTEN"), "{known:?}");
    let mut unknown = Vec::new();
    for path in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| root().join(name)) {
        unknown.extend(unknown_variables(&path, &known));
    }
    // A manifest is made of these, and the service refuses to start with a variable it does not know.
    for folder in ["helm/invitation-service", "helm/snapshots"] {
        for path in files_under(&root().join(folder)) {
            unknown.extend(unknown_variables(&path, &known));
        }
    }
    assert!(unknown.is_empty(), "\n{}", unknown.join("\n"));
}

#[test]
fn every_error_reason_says_what_it_means() {
    let descriptors = descriptors();
    let file = descriptors.iter().find(|file| file.name().ends_with("/error_reason.proto")).unwrap();
    let index = file.enum_type.iter().position(|kind| kind.name() == "ErrorReason").unwrap();
    let reasons = &file.enum_type[index].value;
    assert!(reasons.len() > 10);
    let silent: Vec<&str> = (0_i32..)
        .zip(reasons)
        // 5 is enum_type in a file, 2 is value in an enum.
        .filter(|(number, _)| !has_comment(file, &[5, i32::try_from(index).unwrap(), 2, *number]))
        .map(|(_, reason)| reason.name())
        .collect();
    assert!(silent.is_empty(), "without a comment: {silent:?}");
}

#[test]
fn every_service_and_rpc_says_what_it_does() {
    let mut silent = Vec::new();
    for file in descriptors() {
        for (s, service) in (0_i32..).zip(&file.service) {
            // 6 is service in a file, 2 is method in a service.
            let methods = (0_i32..).zip(&service.method).filter(|(m, _)| !has_comment(&file, &[6, s, 2, *m]));
            silent.extend(methods.map(|(_, method)| format!("{}.{}", service.name(), method.name())));
            silent.extend((!has_comment(&file, &[6, s])).then(|| service.name().to_owned()));
        }
    }
    assert!(silent.is_empty(), "without a comment: {silent:?}");
}

#[test]
fn every_path_that_a_document_names_exists() {
    let mut gone = Vec::new();
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        for path in paths_named(&read(document)) {
            if !root().join(&path).exists() {
                gone.push(format!("{document}: {path}"));
            }
        }
    }
    assert!(gone.is_empty(), "\n{}", gone.join("\n"));
}

#[test]
fn code_map_names_files_at_all() {
    let named = paths_named(&read("ARCHITECTURE.md"));
    assert!(named.iter().any(|path| path.starts_with("src/")), "{named:?}");
}

#[test]
fn error_in_a_document_is_found() {
    let table = "text\n| RPC | What |\n|---|---|\n| `A.B` | x |\n| `C.D`, `E.F` | y |\n| `notone` | z |\n";
    assert_eq!(rpcs_listed(table), ["A.B"].map(str::to_owned).into());
    assert_eq!(variables("INVITATION__A__B=1 `INVITATION__C__D`"), set(&["INVITATION__A__B", "INVITATION__C__D"]));
    assert_eq!(variables("INVITATION__LINKS__* and INVITATION__SECTION__KEY, INVITATION__"), set(&[]));
    let named = paths_named("See `src/a.rs`, `src/b/`, `src/c/{d,e}.rs` and `Cargo.toml`; not `x` or src/f.rs.");
    assert_eq!(named, set(&["src/a.rs", "src/b/", "src/c/d.rs", "src/c/e.rs"]));
}

/// `Service.Method` at the beginning of the rows of a table.
fn rpcs_listed(markdown: &str) -> BTreeSet<String> {
    let rows = markdown.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    rows.map(|(name, _)| name.to_owned()).filter(|name| is_rpc(name)).collect()
}

fn is_rpc(name: &str) -> bool {
    let is_name =
        |part: &str| part.starts_with(|c: char| c.is_ascii_uppercase()) && part.chars().all(char::is_alphanumeric);
    name.split_once('.').is_some_and(|(service, method)| is_name(service) && is_name(method))
}

fn rpcs() -> BTreeSet<String> {
    let services = descriptors().into_iter().flat_map(|file| file.service);
    services
        .flat_map(|service| {
            let name = service.name().to_owned();
            service.method.into_iter().map(move |method| format!("{name}.{}", method.name()))
        })
        .collect()
}

/// The files of our own package.
fn descriptors() -> Vec<FileDescriptorProto> {
    let all = FileDescriptorSet::decode(pb::DESCRIPTORS).unwrap().file;
    all.into_iter().filter(|file| file.package() == "invitation.v1").collect()
}

fn has_comment(file: &FileDescriptorProto, path: &[i32]) -> bool {
    let locations = &file.source_code_info.as_ref().unwrap().location;
    let location = locations.iter().find(|location| location.path == path);
    location.is_some_and(|location| !location.leading_comments().trim().is_empty())
}

fn unknown_variables(path: &Path, known: &BTreeSet<String>) -> Vec<String> {
    let named = variables(&fs::read_to_string(path).unwrap());
    named.difference(known).map(|name| format!("{}: {name}", path.display())).collect()
}

/// The full names of variables; the beginnings that stand for several of them (`INVITATION__LINKS__*`) and the pattern
/// itself do not count.
fn variables(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let words = text.split(|c| !is_name(c)).filter(|word| word.starts_with("INVITATION__") && !word.ends_with('_'));
    let full = words.filter(|word| word.split("__").count() == 3 && *word != "INVITATION__SECTION__KEY");
    full.map(str::to_owned).collect()
}

/// The paths in backticks that lead to a place in this repository; `a/{b,c}.rs` are two.
fn paths_named(markdown: &str) -> BTreeSet<String> {
    let roots = ["src/", "tests/", "benches/", "proto/", "config/", "helm/", ".ci/"];
    let quoted = markdown.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let paths = quoted.filter(|text| roots.iter().any(|root| text.starts_with(root)));
    paths.filter(|path| !path.contains([' ', '*', '<'])).flat_map(alternatives).collect()
}

fn alternatives(path: &str) -> Vec<String> {
    let parts = path.split_once('{').and_then(|(head, rest)| Some((head, rest.split_once('}')?)));
    match parts {
        Some((head, (inner, tail))) => inner.split(',').map(|each| format!("{head}{}{tail}", each.trim())).collect(),
        None => vec![path.to_owned()],
    }
}

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let mut pending = vec![folder.to_owned()];
    let mut files = Vec::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            files.push(path);
        }
    }
    files
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
