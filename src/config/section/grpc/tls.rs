//! Section `[grpc.tls]`: the certificate that connections are served with, and those that clients show. The files are read at start, and again when they change.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::error::{Checked, Problems};
use crate::config::value;
use crate::tls::ServerIdentity;
use crate::tls::client::ClientAuthorities;

/// The TLS of the listening socket.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// The file of the certificate and its chain.
    pub cert_file: PathBuf,
    /// The file of the private key.
    pub key_file: PathBuf,
    /// The certificate and the key that were read at the start; they fit together.
    pub identity: ServerIdentity,
    /// The file of the authorities of clients, if clients may show certificates.
    pub client_ca_file: Option<PathBuf>,
    /// The authorities that were read at the start.
    pub client_authorities: Option<ClientAuthorities>,
    /// Whether clients have to show a certificate.
    pub client_auth: ClientAuth,
}

/// Whether the clients of a server with authorities have to show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// A client without one may send another credential.
    Optional,
    /// A client without one is not served.
    Required,
}

impl ClientAuth {
    /// Returns whether a client without a certificate is not served.
    pub(crate) fn is_required(self) -> bool {
        self == Self::Required
    }
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawTls {
    cert_file: Option<String>,
    key_file: Option<String>,
    client_ca_file: Option<String>,
    client_auth: String,
}

const CERT_FIELD: &str = "grpc.tls.cert_file";
const KEY_FIELD: &str = "grpc.tls.key_file";
const CA_FIELD: &str = "grpc.tls.client_ca_file";
const AUTH_FIELD: &str = "grpc.tls.client_auth";
const CLIENT_AUTH: [(&str, ClientAuth); 2] = [("optional", ClientAuth::Optional), ("required", ClientAuth::Required)];

impl RawTls {
    pub(super) fn validate(self, problems: &mut Problems) -> Checked<Option<TlsConfig>> {
        let RawTls { cert_file, key_file, client_ca_file, client_auth } = self;
        let client_auth = value::choice(problems, AUTH_FIELD, &client_auth, &CLIENT_AUTH)?;
        if client_auth.is_required() && client_ca_file.is_none() {
            return problems.check(AUTH_FIELD, Err(format!("needs {CA_FIELD}: by what are certificates verified?")));
        }
        if client_ca_file.is_some() && cert_file.is_none() {
            return problems.check(CA_FIELD, Err(format!("has no effect without {CERT_FIELD}: set both")));
        }
        let (cert_file, key_file) = match (cert_file, key_file) {
            (None, None) => return Ok(None),
            (Some(cert_file), Some(key_file)) => (cert_file, key_file),
            (Some(_), None) => return problems.check(KEY_FIELD, Err(format!("is required beside {CERT_FIELD}"))),
            (None, Some(_)) => return problems.check(CERT_FIELD, Err(format!("is required beside {KEY_FIELD}"))),
        };
        let certificate = problems.check(CERT_FIELD, value::read_file(&cert_file));
        let key = problems.check(KEY_FIELD, value::read_file(&key_file));
        let identity = ServerIdentity::parse(&certificate?, &key?);
        let identity =
            problems.check(CERT_FIELD, identity.map_err(|text| format!("{cert_file}, {key_file}: {text}")))?;
        let client_authorities = client_ca_file.as_ref().map(|file| {
            let parse = |pem: String| ClientAuthorities::parse(&pem, client_auth.is_required());
            let parsed = value::read_file(file).and_then(|pem| parse(pem).map_err(|text| format!("{file}: {text}")));
            problems.check(CA_FIELD, parsed)
        });
        Ok(Some(TlsConfig {
            cert_file: cert_file.into(),
            key_file: key_file.into(),
            identity,
            client_ca_file: client_ca_file.map(PathBuf::from),
            client_authorities: client_authorities.transpose()?,
            client_auth,
        }))
    }
}
