//! The entries of the file of client certificates: the names in them that stand for callers.

use serde::Deserialize;
use uuid::Uuid;

use super::entry_file::FileEntry;
use super::grant_problems;
use crate::tls::client::SubjectName;

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
pub(crate) struct CertificateFile {
    #[serde(default)]
    client_certificate: Vec<RawClientCertificate>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawClientCertificate {
    name: String,
    san: String,
    account: String,
    permissions: Vec<String>,
    organization_id: Option<String>,
}

impl FileEntry for ClientCertificateEntry {
    const FIELD: &'static str = "auth.client_certificates_file";
    const TABLE: &'static str = "client_certificate";
    const UNIQUE: &'static str = "san";

    type File = CertificateFile;
    type Raw = RawClientCertificate;
    type Unique = SubjectName;

    fn raw_entries(file: CertificateFile) -> Vec<RawClientCertificate> {
        file.client_certificate
    }

    fn name(raw: &RawClientCertificate) -> &str {
        &raw.name
    }

    fn unique(&self) -> &SubjectName {
        &self.san
    }

    fn parse(raw: RawClientCertificate) -> Result<Self, Vec<String>> {
        let RawClientCertificate { name, san, account, permissions, organization_id } = raw;
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
}
