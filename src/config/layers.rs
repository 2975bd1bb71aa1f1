//! Merging of the four layers into the raw sections, and refusal of every key that no section knows.
//!
//! Nothing is parsed here but TOML: all values stay texts, so that each field reports its own problems.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use config::{Config, Environment, File, FileFormat};
use serde::{Deserialize, Serialize};

use super::error::{ConfigError, Problems};
use super::section::{
    admin, auth, delivery, events, general, grpc, limits, links, log, mail, pages, policy, reminders, retention, store,
    token, webhooks,
};
use super::value;

/// The lowest layer, and the reference of all keys.
pub(super) const DEFAULT_TOML: &str = include_str!("../../config/default.toml");

const PREFIX: &str = "INVITATION";
const SEPARATOR: &str = "__";

/// All sections before parsing. It may hold secrets, hence no `Debug`.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    pub(super) grpc: grpc::RawGrpc,
    pub(super) admin: admin::RawAdmin,
    pub(super) store: store::RawStore,
    pub(super) token: token::RawToken,
    pub(super) auth: auth::RawAuth,
    pub(super) limits: limits::RawLimits,
    pub(super) policy: policy::RawPolicy,
    pub(super) links: links::RawLinks,
    pub(super) general: general::RawGeneral,
    pub(super) pages: pages::RawPages,
    pub(super) mail: mail::RawMail,
    pub(super) delivery: delivery::RawDelivery,
    pub(super) reminders: reminders::RawReminders,
    pub(super) notices: mail::RawNotices,
    pub(super) events: events::RawEvents,
    pub(super) webhooks: webhooks::RawWebhooks,
    pub(super) retention: retention::RawRetention,
    pub(super) log: log::RawLog,
}

pub(super) struct Merged {
    pub(super) raw: RawConfig,
    /// The layer that set a key, for keys that are not at their default.
    pub(super) origins: BTreeMap<String, String>,
}

/// The texts of one layer under their sections.
type Texts = BTreeMap<String, BTreeMap<String, String>>;

pub(super) fn merge(
    file: Option<&Path>,
    environment: Vec<(OsString, OsString)>,
    flags: impl IntoIterator<Item = (&'static str, String)>,
    problems: &mut Problems,
) -> Result<Merged, ConfigError> {
    let known = known_keys()?;
    let mut origins = BTreeMap::new();
    let mut builder = Config::builder().add_source(File::from_str(DEFAULT_TOML, FileFormat::Toml));

    if let Some(path) = file {
        let texts = read_file(path, &known, problems)?;
        for (section, key) in texts.iter().flat_map(|(section, keys)| keys.keys().map(move |key| (section, key))) {
            origins.insert(format!("{section}.{key}"), path.display().to_string());
        }
        let mut layer = Config::builder();
        for (section, keys) in texts {
            for (key, text) in keys {
                layer = layer.set_override(format!("{section}.{key}"), text).map_err(|error| internal(&error))?;
            }
        }
        builder = builder.add_source(layer.build().map_err(|error| internal(&error))?);
    }

    let variables = known_variables(environment, &known, problems);
    origins.extend(variables.iter().map(|(name, (field, _))| (field.clone(), name.clone())));
    let variables = variables.into_iter().map(|(name, (_, value))| (name, value)).collect();
    let environment = Environment::with_prefix(PREFIX).prefix_separator(SEPARATOR).separator(SEPARATOR);
    builder = builder.add_source(environment.source(Some(variables)));

    for (field, value) in flags {
        origins.insert(field.to_owned(), "the command line".to_owned());
        builder = builder.set_override(field, value).map_err(|error| internal(&error))?;
    }

    let merged = builder.build().map_err(|error| internal(&error))?;
    let raw = merged.try_deserialize().map_err(|error| internal(&error))?;
    Ok(Merged { raw, origins })
}

/// Returns the format of the log that the environment or the flags ask for, for problems that are found before the layers are merged.
pub(super) fn log_format<'a>(
    environment: &'a [(OsString, OsString)],
    flags: &'a [(&'static str, String)],
) -> Option<&'a str> {
    let flag = flags.iter().find(|(field, _)| *field == "log.format").map(|(_, value)| value.as_str());
    let variable = variable_name("log", "format");
    let set = environment.iter().find(|(name, _)| *name == *variable).and_then(|(_, value)| value.to_str());
    flag.or(set)
}

/// The keys of each section, as the raw structs know them. A section inside another has the name of both, such as `grpc.tls`.
pub(super) fn known_keys() -> Result<BTreeMap<String, BTreeMap<String, serde_json::Value>>, ConfigError> {
    // The serialised default is the one list of keys that cannot differ from the structs.
    let mut known: BTreeMap<String, BTreeMap<String, serde_json::Value>> = serde_json::to_value(RawConfig::default())
        .and_then(serde_json::from_value)
        .map_err(|error| ConfigError::one("configuration", error.to_string()))?;
    let mut inner = BTreeMap::new();
    for (section, keys) in &mut known {
        for (key, value) in keys.extract_if(.., |_, value| value.is_object()) {
            let keys = serde_json::from_value(value).map_err(|error| ConfigError::one(&key, error.to_string()))?;
            inner.insert(format!("{section}.{key}"), keys);
        }
    }
    known.append(&mut inner);
    Ok(known)
}

/// The environment variable that sets a key.
pub(super) fn variable_name(section: &str, key: &str) -> String {
    [PREFIX, &section.to_uppercase().replace('.', SEPARATOR), &key.to_uppercase()].join(SEPARATOR)
}

/// Reads a TOML file into texts, leaving out what is not understood after reporting it.
fn read_file<V>(
    path: &Path,
    known: &BTreeMap<String, BTreeMap<String, V>>,
    problems: &mut Problems,
) -> Result<Texts, ConfigError> {
    let name = path.display().to_string();
    let content = value::read_file(&name).map_err(|text| ConfigError::one("--config", text))?;
    let sections: toml::Table = toml::from_str(&content)
        .map_err(|error| ConfigError::one(&name, value::describe_toml_error(&content, &error)))?;

    let mut texts = Texts::new();
    for (section, keys) in flat(sections, known) {
        let (Some(known_section), toml::Value::Table(keys)) = (known.get(&section), keys) else {
            let sections = known.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            problems.add(section, format!("is not a section (in {name}); there are {sections}"));
            continue;
        };
        for (key, value) in keys {
            let field = format!("{section}.{key}");
            if !known_section.contains_key(&key) {
                problems.add(field, format!("is not a key (in {name}); there are {}", names(known_section)));
                continue;
            }
            match to_text(value) {
                Some(text) => {
                    texts.entry(section.clone()).or_default().insert(key, text);
                }
                None => problems.add(field, format!("must be a text, a number or true or false (in {name})")),
            }
        }
    }
    Ok(texts)
}

/// Takes the sections that are inside others out of them.
fn flat<V>(sections: toml::Table, known: &BTreeMap<String, V>) -> Vec<(String, toml::Value)> {
    let mut flat = Vec::new();
    for (section, mut value) in sections {
        if let toml::Value::Table(keys) = &mut value {
            for key in keys.keys().cloned().collect::<Vec<_>>() {
                let name = format!("{section}.{key}");
                if known.contains_key(&name)
                    && let Some(inner) = keys.remove(&key)
                {
                    flat.push((name, inner));
                }
            }
        }
        flat.push((section, value));
    }
    flat
}

fn to_text(value: toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => None,
    }
}

/// The variables that set a key, by name, with the key and the value; others with our prefix are reported.
fn known_variables<V>(
    environment: Vec<(OsString, OsString)>,
    known: &BTreeMap<String, BTreeMap<String, V>>,
    problems: &mut Problems,
) -> BTreeMap<String, (String, String)> {
    let fields: BTreeMap<String, String> = known
        .iter()
        .flat_map(|(section, keys)| {
            keys.keys().map(move |key| (variable_name(section, key), format!("{section}.{key}")))
        })
        .collect();
    let mut variables = BTreeMap::new();
    for (name, value) in environment {
        let name = name.to_string_lossy().into_owned();
        if !name.starts_with(&format!("{PREFIX}{SEPARATOR}")) {
            continue;
        }
        match (fields.get(&name), value.into_string()) {
            (Some(field), Ok(value)) => {
                variables.insert(name, (field.clone(), value));
            }
            (Some(_), Err(_)) => problems.add(name, "is not valid UTF-8"),
            (None, _) => {
                let near: Vec<&str> =
                    fields.keys().map(String::as_str).filter(|known| section_of(known) == section_of(&name)).collect();
                let hint = if near.is_empty() {
                    "see config/default.toml".to_owned()
                } else {
                    format!("there are {}", near.join(", "))
                };
                problems.add(name, format!("is not a known environment variable; {hint}"));
            }
        }
    }
    variables
}

/// The name of a variable up to its key.
fn section_of(name: &str) -> Option<&str> {
    name.rsplit_once(SEPARATOR).map(|(section, _)| section)
}

fn names<V>(keys: &BTreeMap<String, V>) -> String {
    keys.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// An error that cannot occur once unknown keys are refused, unless this code or the embedded defaults have a defect.
fn internal(error: &config::ConfigError) -> ConfigError {
    ConfigError::one("configuration", error.to_string())
}
