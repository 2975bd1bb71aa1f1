//! The layers of the modules.

use super::{module, uses_of_ours};

/// The modules of the crate, and which of the others each may use. What is not here has no place yet.
const LAYERS: [(&str, &[&str]); 23] = [
    ("domain", &[]),
    ("clock", &["domain"]),
    ("entropy", &[]),
    ("input_file", &[]),
    ("private_file", &[]),
    ("pb", &[]),
    ("openapi", &["pb"]),
    ("shutdown", &[]),
    ("tls", &["domain"]),
    ("config", &["auth", "domain", "input_file", "tls"]),
    ("auth", &["domain", "clock", "config", "entropy", "telemetry", "tls"]),
    ("telemetry", &["config"]),
    ("cli", &["auth", "clock", "config", "domain", "entropy", "input_file", "pb", "private_file"]),
    ("dev", &["domain", "pb", "server"]),
    ("store", &["domain", "clock", "entropy", "private_file", "telemetry"]),
    ("event_json", &["api", "domain", "pb"]),
    ("mail", &["domain", "store", "config", "clock", "entropy", "input_file", "private_file", "telemetry"]),
    ("webhook", &["domain", "store", "config", "clock", "entropy", "telemetry", "event_json", "background"]),
    ("nats", &["domain", "store", "config", "entropy", "telemetry", "event_json", "background"]),
    ("background", &["auth", "clock", "domain", "input_file", "store", "entropy", "telemetry"]),
    (
        "server",
        &["auth", "clock", "config", "domain", "entropy", "openapi", "pb", "shutdown", "store", "telemetry", "tls"],
    ),
    ("pages", &["auth", "clock", "config", "domain", "entropy", "input_file", "mail", "pb", "server", "telemetry"]),
    ("api", &["auth", "background", "server", "store", "domain", "pb", "config", "clock", "entropy", "webhook"]),
];

/// The composition root and the commands know everybody; `lib.rs` only names the modules and `main.rs` is another crate.
const ROOT_MODULES: [&str; 4] = ["serve", "commands", "lib", "main"];

/// A module uses only those below it.
pub(super) fn layers(path: &str, text: &str) -> Vec<String> {
    let Some(module) = module(path).filter(|module| !ROOT_MODULES.contains(module)) else { return Vec::new() };
    let Some((_, below)) = LAYERS.iter().find(|(name, _)| *name == module) else {
        return vec![format!("{path}: say in tests/it/tidy/layers.rs what {module} may use")];
    };
    let used = uses_of_ours(text);
    let above = used.iter().filter(|used| **used != module && !below.contains(&used.as_str()));
    above.map(|used| format!("{path}: {module} may not use {used}, only {below:?}")).collect()
}
