//! The file of client certificates: the names in them that stand for callers. It is read at start, and again when it changes.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use serde::Deserialize;
use uuid::Uuid;

use super::grant_problems;
use crate::config::error::{Checked, ConfigError, Problems, Reported};
use crate::config::value;
use crate::tls::client::SubjectName;

/// The callers that prove who they are by a certificate.
#[derive(Clone, Debug)]
pub struct ClientCertificatesConfig {
    /// The file that names them.
    pub file: PathBuf,
    /// The entries of the file; names and subjects are unique, and there is at least one.
    pub entries: Vec<ClientCertificateEntry>,
}

/// A caller, by the name in its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificateEntry {
    /// The unique name, for logs; 1-100 visible ASCII characters.
    pub name: String,
    /// The name in the certificate.
    pub san: SubjectName,
    /// The account the caller acts in; 1-200 characters.
    pub account: String,
    /// The permissions of the caller: `*` or `area.action`, at least one.
    pub permissions: Vec<String>,
    /// The only organization the caller may act for, if it is bound to one.
    pub organization_id: Option<Uuid>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificateFile {
    #[serde(default)]
    client_certificate: Vec<RawEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    name: String,
    san: String,
    account: String,
    permissions: Vec<String>,
    organization_id: Option<String>,
}

pub(super) const FILE_FIELD: &str = "auth.client_certificates_file";

/// Parses the content of a file of client certificates, as a start does that reads it.
///
/// # Errors
/// The texts of everything that is refused in it.
pub(crate) fn parse_client_certificates(path: &str, text: &str) -> Result<Vec<ClientCertificateEntry>, ConfigError> {
    let mut problems = Problems::default();
    parse(&mut problems, path, text).map_err(|Reported| problems.into_error(&BTreeMap::new()))
}

pub(super) fn read(problems: &mut Problems, path: &str) -> Checked<ClientCertificatesConfig> {
    let text = problems.check(FILE_FIELD, value::read_file(path))?;
    Ok(ClientCertificatesConfig { file: path.into(), entries: parse(problems, path, &text)? })
}

fn parse(problems: &mut Problems, path: &str, text: &str) -> Checked<Vec<ClientCertificateEntry>> {
    let parsed = toml::from_str::<CertificateFile>(text)
        .map_err(|error| format!("{path}, {}", value::describe_toml_error(text, &error)));
    let CertificateFile { client_certificate } = problems.check(FILE_FIELD, parsed)?;
    if client_certificate.is_empty() {
        return problems.check(FILE_FIELD, Err(format!("{path} has no [[client_certificate]] entry")));
    }
    let count = client_certificate.len();
    let (mut entries, mut names, mut sans) = (Vec::new(), HashSet::new(), HashSet::new());
    for (index, raw) in client_certificate.into_iter().enumerate() {
        let place = format!("{path}, client_certificate number {} ({:?})", index + 1, raw.name);
        match parse_entry(raw) {
            Ok(entry) if !names.insert(entry.name.clone()) => {
                problems.add(FILE_FIELD, format!("{place}: another entry has the same name"));
            }
            Ok(entry) if !sans.insert(entry.san.clone()) => {
                problems.add(FILE_FIELD, format!("{place}: another entry has the same san"));
            }
            Ok(entry) => entries.push(entry),
            Err(refused) => refused.iter().for_each(|text| problems.add(FILE_FIELD, format!("{place}: {text}"))),
        }
    }
    if entries.len() == count { Ok(entries) } else { Err(Reported) }
}

fn parse_entry(raw: RawEntry) -> Result<ClientCertificateEntry, Vec<String>> {
    let RawEntry { name, san, account, permissions, organization_id } = raw;
    let mut refused = grant_problems(&name, &account, &permissions);
    let san = SubjectName::parse(&san);
    if san.is_none() {
        let forms = "a DNS name without wildcards, or a SPIFFE URI such as spiffe://example.org/billing";
        refused.push(format!("san must be {forms}"));
    }
    let organization_id = organization_id.map(|text| Uuid::parse_str(&text)).transpose().unwrap_or_else(|_| {
        refused.push("organization_id must be a UUID".to_owned());
        None
    });
    match san {
        Some(san) if refused.is_empty() => {
            Ok(ClientCertificateEntry { name, san, account, permissions, organization_id })
        }
        _ => Err(refused),
    }
}
