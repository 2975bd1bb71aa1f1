//! Section `[grpc.tls]`: the certificate that connections are served with. The files are read at start, and again when they change.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::error::{Checked, Problems};
use crate::config::value;
use crate::tls::ServerIdentity;

/// The TLS of the listening socket.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// The file of the certificate and its chain.
    pub cert_file: PathBuf,
    /// The file of the private key.
    pub key_file: PathBuf,
    /// The certificate and the key that were read at the start; they fit together.
    pub identity: ServerIdentity,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawTls {
    cert_file: Option<String>,
    key_file: Option<String>,
}

const CERT_FIELD: &str = "grpc.tls.cert_file";
const KEY_FIELD: &str = "grpc.tls.key_file";

impl RawTls {
    pub(super) fn validate(self, problems: &mut Problems) -> Checked<Option<TlsConfig>> {
        let RawTls { cert_file, key_file } = self;
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
        Ok(Some(TlsConfig { cert_file: cert_file.into(), key_file: key_file.into(), identity }))
    }
}
