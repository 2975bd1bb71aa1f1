//! Broken samples: every rule of the parent is shown to fail, and not to fail on what only looks broken.

use super::layers::layers;
use super::*;

/// Asserts how many complaints a rule has about a text.
#[track_caller]
fn complains(rule: Rule, path: &str, text: &str, wanted: usize) {
    let found = rule(path, text);
    assert_eq!(found.len(), wanted, "{path}: {text:?}: {found:?}");
}

#[test]
fn crate_outside_of_its_place_is_found() {
    for text in [
        "use sea_orm::DbErr;",
        "use sea_orm;",
        "    fn of(error: sea_orm_migration::DbErr) {}",
        "pub use tonic::Status;",
        "use prost_types::Timestamp;",
        "fn f() -> Result<(), tonic::Status> {",
        "use lettre::Message;",
        "    tokio::spawn(async {});",
    ] {
        complains(foreign_crates, "src/domain/decide.rs", text, 1);
        complains(foreign_crates, "tests/it/rpc.rs", text, 0);
    }
    complains(foreign_crates, "src/store/executor/save.rs", "use sea_orm::DbErr;\nuse tonic::Status;", 1);
    complains(foreign_crates, "src/api/page.rs", "use tonic::Status;\nuse tonic_types::StatusExt;\nuse sqlx::Row;", 1);
    complains(foreign_crates, "src/storefront.rs", "use sea_orm::DbErr;", 1);
    complains(
        foreign_crates,
        "src/domain/a.rs",
        "// tonic::Status\nlet tonic = 1; // sea_orm::X\nlet x = \"prost\";",
        0,
    );
    complains(foreign_crates, "src/domain/a.rs", "use ours::tonic::Thing;\nuse tonicity::X;", 0);
}

#[test]
fn read_past_the_second_wall_is_found() {
    for text in
        ["self.database.read.query_one_raw(sql)", "rows_with_id(&self.database.read, select)", ".all(&self.0.read)"]
    {
        complains(own_reads, "src/store/organization_grants.rs", text, 1);
        complains(own_reads, "src/store/expiry.rs", text, 0);
    }
    complains(own_reads, "src/store/requests.rs", "self.database.read_turns.short(account)", 0);
}

#[test]
fn module_that_uses_one_above_it_is_found() {
    complains(layers, "src/domain/invitation/state.rs", "use crate::clock::Clock;", 1);
    complains(layers, "src/domain.rs", "fn f(store: &crate::store::Store) {}", 1);
    complains(
        layers,
        "src/domain/invitation/state.rs",
        "use crate::domain::value::time::Timestamp;\n// crate::store",
        0,
    );
    complains(layers, "src/store/executor/save.rs", "use crate::{domain::value, api::{page, call}};", 1);
    complains(
        layers,
        "src/store/executor/save.rs",
        "use crate::{\n    domain::{value, api},\n    clock::Clock,\n};",
        0,
    );
    complains(layers, "src/api/execute.rs", "use crate::mail::Relay;\nuse crate::serve::run;", 2);
    complains(layers, "src/auth/caller.rs", "use crate::store::Store;", 1);
    complains(layers, "src/serve.rs", "use crate::store::Store;", 0);
    complains(layers, "src/novelty.rs", "", 1);
}

#[test]
fn time_and_chance_outside_of_their_files_are_found() {
    for text in ["chrono::Utc::now()", "SystemTime::now()", "Uuid::now_v7()", "Uuid::new_v4()", "rand::random()"] {
        complains(time_and_chance, "src/api/execute.rs", text, 1);
        complains(time_and_chance, "src/clock.rs", text, 0);
    }
    complains(time_and_chance, "src/store/sql/row.rs", "getrandom::fill(&mut bytes)", 1);
    complains(time_and_chance, "src/store/sql/row.rs", "operand::new(); Instant::now(); // rand::random()", 0);
}

#[test]
fn long_file_a_missing_head_and_a_mod_file_are_found() {
    complains(too_long, "src/a.rs", &"\n".repeat(400), 0);
    complains(too_long, "src/a.rs", &"\n".repeat(401), 1);
    complains(head, "src/a.rs", "use std::fmt;\n//! Late.", 1);
    complains(head, "src/a.rs", "//! What it is for.", 0);
    complains(module_file, "src/store/mod.rs", "", 1);
    complains(module_file, "src/store.rs", "", 0);
}

#[test]
fn unfinished_code_and_evasions_are_found() {
    for mark in UNFINISHED.iter().filter(|mark| !mark.ends_with('!')) {
        complains(unfinished, "src/a.rs", &format!("// {mark}: later"), 1);
        complains(unfinished, "src/a.rs", &format!("// a{mark}a"), 0);
    }
    for mark in UNFINISHED.iter().filter(|mark| mark.ends_with('!')) {
        complains(unfinished, "src/a.rs", &format!("    _ => {mark}(),"), 1);
        complains(unfinished, "src/a.rs", &format!("    {mark}(\"later\")"), 1);
    }
    for evasion in EVASIONS {
        complains(unfinished, "src/a.rs", &format!("    {evasion}]"), 1);
    }
    complains(unfinished, "src/a.rs", "let unimplemented = status(Code::Unimplemented);", 0);
}

#[test]
fn comment_without_subject_and_a_long_name_are_found() {
    for opening in OPENINGS {
        for mark in ["//", "    ///", "//!", "  //"] {
            complains(without_subject, "src/a.rs", &format!("{mark} {opening} it is."), 1);
        }
        complains(
            without_subject,
            "src/a.rs",
            &format!("let a = 1; // {opening}\n// It says {opening}\n// {opening}ever"),
            0,
        );
    }
    let name = |length| "a".repeat(length);
    complains(long_test_name, "src/a.rs", &format!("    fn {}() {{", name(61)), 1);
    complains(long_test_name, "src/a.rs", &format!("async fn {}() {{\nfn {}<T>(", name(61), name(61)), 2);
    complains(long_test_name, "src/a.rs", &format!("    fn {}(\nlet fn_{} = 1;", name(60), name(60)), 0);
}

#[test]
fn asynchronous_test_without_a_limit_is_found() {
    let limited = |place: &str| format!("#[tokio::test(flavor = \"multi_thread\", crate = \"crate::{place}\")]");
    for (path, place, other) in
        [("tests/it/a.rs", "support::limit", "limit"), ("src/domain/a.rs", "limit", "support::limit")]
    {
        complains(without_limit, path, "    #[tokio::test]", 1);
        complains(without_limit, path, "#[tokio::test(start_paused = true)]", 1);
        complains(without_limit, path, &limited(other), 1);
        complains(without_limit, path, &limited(place), 0);
        complains(without_limit, path, "    runtime.block_on(test)", 1);
        complains(without_limit, path, "// `#[tokio::test]` is named here", 0);
    }
    complains(without_limit, RUNTIMES[0], "    runtime.block_on(test)", 0);
}

#[test]
fn broken_file_fails_the_whole() {
    let text = "use sea_orm::DbErr;\nuse crate::api::execute::Api;\nlet now = Utc::now();";
    let found: Vec<String> = RULES.iter().flat_map(|rule| rule("src/domain/mod.rs", text)).collect();
    assert_eq!(found.len(), 5, "{found:?}");
}
