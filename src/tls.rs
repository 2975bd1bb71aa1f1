//! The certificates of this server and its clients, and the TLS that calls are served with: PEM texts to values that fit together. No file is read here.

pub mod client;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use client::ClientAuthorities;
use data_encoding::HEXLOWER;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use sha2::{Digest as _, Sha256};

use crate::domain::value::time::Timestamp;

/// The protocols of connections, as clients are told them (RFC 7301), the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A certificate with its chain and its key.
#[derive(Clone)]
pub struct ServerIdentity {
    certified: Arc<CertifiedKey>,
    /// The SHA-256 of the certificate, in hexadecimal digits, as `openssl x509 -fingerprint -sha256` shows it.
    pub(crate) fingerprint: String,
    /// The moment after which clients refuse the certificate.
    pub(crate) not_after: Timestamp,
}

impl ServerIdentity {
    /// Parses a chain of certificates, the server's own first, and its private key.
    ///
    /// # Errors
    /// The reason why the two cannot be used; it quotes neither.
    pub(crate) fn parse(chain: &str, key: &str) -> Result<Self, String> {
        let chain = certificates(chain)?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|_| "there is no private key in PEM (PKCS#8, PKCS#1 or SEC1, not encrypted)".to_owned())?;
        let Some(own) = chain.first() else { return Err("there is no certificate".to_owned()) };
        let (fingerprint, not_after) = (HEXLOWER.encode(&Sha256::digest(own)), not_after(own)?);
        let certified = CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => "the key is not that of the certificate".to_owned(),
            other => format!("the key or the certificate cannot be used: {other}"),
        })?;
        Ok(Self { certified: Arc::new(certified), fingerprint, not_after })
    }

    /// Returns whether both have the same chain of certificates.
    pub(crate) fn has_same_chain(&self, other: &Self) -> bool {
        self.certified.cert == other.certified.cert
    }
}

impl fmt::Debug for ServerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { certified: _, fingerprint, not_after } = self;
        f.debug_struct("ServerIdentity").field("fingerprint", fingerprint).field("not_after", not_after).finish()
    }
}

/// Returns the certificates in a PEM text, of which there is at least one.
fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) | Err(_) => Err("there is no certificate in PEM".to_owned()),
    }
}

fn not_after(certificate: &CertificateDer<'_>) -> Result<Timestamp, String> {
    let parsed = x509_parser::parse_x509_certificate(certificate);
    let (_, parsed) = parsed.map_err(|_| "the certificate is not one of X.509".to_owned())?;
    Ok(Timestamp::from_micros(parsed.validity().not_after.timestamp().saturating_mul(1_000_000)))
}

/// The TLS of connections that are accepted from now on. Clones share it.
#[derive(Clone)]
pub(crate) struct ServerTls(Arc<RwLock<Arc<ServerConfig>>>);

impl ServerTls {
    /// Creates the TLS of a server.
    ///
    /// # Errors
    /// The reason why the library refuses it.
    pub(crate) fn new(identity: &ServerIdentity, clients: Option<&ClientAuthorities>) -> Result<Self, String> {
        Ok(Self(Arc::new(RwLock::new(config_of(identity, clients)?))))
    }

    /// Has later connections served with another identity, and their clients verified by other authorities. Connections that are
    /// open stay as they are.
    ///
    /// # Errors
    /// The reason why the library refuses it; then nothing has changed.
    pub(crate) fn replace(&self, identity: &ServerIdentity, clients: Option<&ClientAuthorities>) -> Result<(), String> {
        let config = config_of(identity, clients)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// Returns the present configuration of a handshake.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn config_of(identity: &ServerIdentity, clients: Option<&ClientAuthorities>) -> Result<Arc<ServerConfig>, String> {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(&[&TLS13, &TLS12]).map_err(|error| error.to_string())?;
    let resolver = SingleCertAndKey::from(Arc::clone(&identity.certified));
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(Arc::clone(&clients.verifier)),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(resolver));
    if clients.is_some() {
        // A session that is resumed brings its certificate along, unverified, also after it has expired.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn pair() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        parameters.not_after = rcgen::date_time_ymd(2027, 1, 2);
        (parameters.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn pair_is_known_by_its_fingerprint_and_its_end() {
        let (certificate, key) = pair();
        let identity = ServerIdentity::parse(&certificate, &key).unwrap();
        assert_eq!(identity.fingerprint.len(), 64);
        assert_eq!(identity.not_after, Timestamp::from_rfc3339("2027-01-02T00:00:00Z").unwrap());
        assert!(identity.has_same_chain(&ServerIdentity::parse(&certificate, &key).unwrap()));
        let (other, other_key) = pair();
        assert!(!identity.has_same_chain(&ServerIdentity::parse(&other, &other_key).unwrap()));
        assert_eq!(ServerTls::new(&identity, None).unwrap().config().alpn_protocols, PROTOCOLS);
    }

    #[test]
    fn pair_that_does_not_fit_together_is_refused() {
        let ((certificate, key), (other, _)) = (pair(), pair());
        let half = &certificate[..certificate.len() / 2];
        let no_x509 = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (certificate, key, problem) in [
            (other.as_str(), key.as_str(), "the key is not that of the certificate"),
            ("", &key, "no certificate in PEM"),
            (half, &key, "no certificate in PEM"),
            (&key, &key, "no certificate in PEM"),
            (no_x509, &key, "not one of X.509"),
            (&certificate, "", "no private key in PEM"),
            (&certificate, &certificate, "no private key in PEM"),
            (&certificate, &key[..key.len() / 2], "no private key in PEM"),
        ] {
            let refused = ServerIdentity::parse(certificate, key).unwrap_err();
            assert!(refused.contains(problem), "{refused} instead of {problem}");
        }
    }
}
