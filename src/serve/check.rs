//! Everything that a start refuses without a connection: one function for `serve`, `migrate`, `check-config` and `doctor`.
//!
//! It reads files and changes nothing. What a database or another server has to be asked for is not here.

use std::path::Path;

use super::{install_crypto_provider, keys};
use crate::auth::authenticator::Authenticator;
use crate::auth::client_certificate::ClientCertificates;
use crate::auth::key_directory::KeyDirectory;
use crate::clock::Clock;
use crate::config::{AuthConfig, Config, ConfigError, MailTransport, Problem, StoreUrl};
use crate::domain::value::time::Ttl;
use crate::mail::compose::check_templates;
use crate::mail::transport::Transport;
use crate::pages;
use crate::telemetry::traces;
use crate::tls::ServerTls;

/// Checks the values of a configuration that are used at a start.
///
/// # Errors
/// All problems, each with its key and the layer that set it.
pub fn check(config: &Config) -> Result<(), ConfigError> {
    install_crypto_provider();
    let mut problems = Vec::new();
    let mut note = |field: &str, text: String| {
        // The texts of some errors begin with the key.
        let text = text.strip_prefix(&format!("{field}: ")).map_or_else(|| text.clone(), str::to_owned);
        problems.push(Problem { field: field.to_owned(), text });
    };
    if let Err(text) = check_generated_keys(config) {
        note("token.keys", text);
    }
    for text in check_credentials(config) {
        note("auth.api_keys_file", text);
    }
    if let Err(error) = Ttl::parse(config.general.ttl) {
        note("general.ttl", error.description.to_string());
    }
    if let Err(error) = check_templates(&config.mail) {
        let text = error.to_string();
        note(if text.starts_with("mail.locale") { "mail.locale" } else { "mail.templates" }, text);
    }
    if config.pages.listen.is_some()
        && let Err(error) = pages::check_templates(config.pages.templates.as_deref(), &config.pages.locale)
    {
        let text = error.to_string();
        note(if text.starts_with("pages.locale") { "pages.locale" } else { "pages.templates" }, text);
    }
    if let MailTransport::Directory(path) = &config.mail.transport
        && let Some(file) = file_above(path)
    {
        note("mail.url", file);
    }
    if let StoreUrl::Sqlite(path) = &config.store.url
        && let Some(file) = path.parent().and_then(file_above)
    {
        note("store.url", file);
    }
    // A folder of messages is made when the service starts.
    if let (MailTransport::Smtp(_), Err(error)) = (&config.mail.transport, smtp(config)) {
        let field = if error.starts_with("mail.ca_file") { "mail.ca_file" } else { "mail.url" };
        note(field, error);
    }
    if let Err((field, text)) = check_tls(config) {
        note(field, text);
    }
    for (name, rule) in traces::check() {
        note(name, rule.to_owned());
    }
    if problems.is_empty() { Ok(()) } else { Err(config.refuse(problems)) }
}

/// Returns a text about what is in the place of a folder that the start would make.
fn file_above(folder: &Path) -> Option<String> {
    let existing = folder.ancestors().find(|path| path.exists())?;
    (!existing.is_dir()).then(|| format!("{} is no folder", existing.display()))
}

/// Refuses a file of generated keys that cannot be used. A configured ring has been parsed with the configuration.
fn check_generated_keys(config: &Config) -> Result<(), String> {
    let (None, StoreUrl::Sqlite(_), Some(path)) = (&config.token.keys, &config.store.url, keys::file(config)) else {
        return Ok(());
    };
    // One that is not there is created at the start, or lost: the database knows which.
    keys::read_generated(&path).map(drop)
}

fn check_credentials(config: &Config) -> Vec<String> {
    let AuthConfig::Required { api_keys } = &config.auth else { return Vec::new() };
    let refused = |entry| {
        let one = AuthConfig::Required { api_keys: vec![entry] };
        Authenticator::new(&one, KeyDirectory::new().0, Clock::system()).err().map(|error| error.to_string())
    };
    api_keys.iter().cloned().filter_map(refused).collect()
}

fn smtp(config: &Config) -> Result<(), String> {
    Transport::new(&config.mail).map(drop).map_err(|error| error.to_string())
}

fn check_tls(config: &Config) -> Result<(), (&'static str, String)> {
    let Some(tls) = &config.grpc.tls else { return Ok(()) };
    ServerTls::new(&tls.identity, tls.client_authorities.as_ref()).map_err(|text| ("grpc.tls.cert_file", text))?;
    if let (Some(table), Some(authorities)) = (&config.client_certificates, &tls.client_authorities) {
        ClientCertificates::new(&table.entries, authorities.clone(), Clock::system())
            .map_err(|error| ("auth.client_certificates_file", error.to_string()))?;
    }
    Ok(())
}
