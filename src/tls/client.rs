//! The certificates of clients: the authorities that may have signed them, and the names that they show.

use std::fmt;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use sha2::{Digest as _, Sha256};
use x509_parser::extensions::GeneralName;

use super::{certificates, not_after};
use crate::domain::value::time::Timestamp;

/// The authorities that may have signed a client's certificate.
#[derive(Clone)]
pub struct ClientAuthorities {
    certificates: Vec<CertificateDer<'static>>,
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
}

impl ClientAuthorities {
    /// Parses the authorities; if a certificate is required, a client without one is not served.
    ///
    /// # Errors
    /// The reason why they cannot be used.
    pub(crate) fn parse(pem: &str, is_required: bool) -> Result<Self, String> {
        let certificates = certificates(pem)?;
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            let added = roots.add(certificate.clone());
            added.map_err(|error| format!("a certificate is not that of an authority: {error}"))?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider()));
        let builder = if is_required { builder } else { builder.allow_unauthenticated() };
        let verifier = builder.build().map_err(|error| error.to_string())?;
        Ok(Self { certificates, verifier })
    }

    /// Returns whether both are the same authorities.
    pub(crate) fn are_the_same(&self, other: &Self) -> bool {
        self.certificates == other.certificates
    }

    /// Returns the SHA-256 of each, in hexadecimal digits.
    pub(crate) fn fingerprints(&self) -> String {
        let fingerprints = self.certificates.iter().map(|certificate| HEXLOWER.encode(&Sha256::digest(certificate)));
        fingerprints.collect::<Vec<_>>().join(", ")
    }

    /// Returns whether the certificate of a client is one of theirs at a moment.
    pub(crate) fn have_signed(&self, client: &ClientCertificate, now: Timestamp) -> bool {
        let Some((own, intermediates)) = client.chain.split_first() else { return false };
        let seconds = u64::try_from(now.micros() / 1_000_000).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        self.verifier.verify_client_cert(own, intermediates, now).is_ok()
    }
}

impl fmt::Debug for ClientAuthorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAuthorities").field("fingerprints", &self.fingerprints()).finish()
    }
}

/// A name in a certificate (`subjectAltName`, RFC 5280).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SubjectName {
    /// A DNS name, in lower case.
    Dns(String),
    /// A URI.
    Uri(String),
}

impl SubjectName {
    /// Parses a name that an operator gives: a DNS name without wildcards, or a SPIFFE URI with a path.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_plain = |text: &str, more: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.as_bytes().contains(&byte))
        };
        if let Some(rest) = text.strip_prefix("spiffe://") {
            let (domain, path) = rest.split_once('/')?;
            let fits = is_plain(domain, "-._") && path.split('/').all(|part| is_plain(part, "-._"));
            return fits.then(|| Self::Uri(text.to_owned()));
        }
        let fits = text.len() <= 253 && text.split('.').all(|label| is_plain(label, "-_"));
        fits.then(|| Self::Dns(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for SubjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) | Self::Uri(name) => f.write_str(name),
        }
    }
}

/// The certificate of a client, which the handshake has verified.
#[derive(Debug)]
pub(crate) struct ClientCertificate {
    chain: Vec<CertificateDer<'static>>,
    /// Its DNS names and URIs.
    pub(crate) names: Vec<SubjectName>,
    /// The moment after which it, or one that it depends on, no longer holds.
    pub(crate) not_after: Timestamp,
}

impl ClientCertificate {
    /// Reads the certificates that a client has shown, its own first; `None` if they cannot be read.
    pub(crate) fn of(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let (_, own) = x509_parser::parse_x509_certificate(chain.first()?).ok()?;
        let extension = own.subject_alternative_name().ok()?;
        let names =
            extension.iter().flat_map(|extension| &extension.value.general_names).filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(SubjectName::Dns(name.to_ascii_lowercase())),
                GeneralName::URI(name) => Some(SubjectName::Uri((*name).to_owned())),
                _ => None,
            });
        let names = names.collect();
        let not_after = chain.iter().map(|certificate| not_after(certificate).ok()).min()??;
        Some(Self {
            chain: chain.iter().map(|certificate| certificate.clone().into_owned()).collect(),
            names,
            not_after,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_a_dns_name_or_a_spiffe_uri_with_a_path() {
        let dns = |text: &str| Some(SubjectName::Dns(text.to_owned()));
        for (text, parsed) in [
            ("billing.example.com", dns("billing.example.com")),
            ("Billing_1.Example", dns("billing_1.example")),
            (
                "spiffe://example.org/ns/shop/sa/cart",
                Some(SubjectName::Uri("spiffe://example.org/ns/shop/sa/cart".to_owned())),
            ),
            ("*.example.com", None),
            ("a..b", None),
            ("", None),
            ("a b", None),
            ("spiffe://example.org", None),
            ("spiffe://example.org/", None),
            ("spiffe:///a", None),
            ("spiffe://example.org/a//b", None),
            ("spiffe://example.org/a?b", None),
            ("https://example.org/a", None),
        ] {
            assert_eq!(SubjectName::parse(text), parsed, "{text}");
        }
        assert!(SubjectName::parse(&"a".repeat(254)).is_none());
    }
}
