//! The files by which the server knows the driver, and what the driver presents.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::Outcome;
use crate::credential::Credential;
use crate::jwt::{self, Signer};
use crate::server::{BINARY, printed};

/// Headers that calls carry in turn, one each.
type Headers = Vec<(HeaderName, HeaderValue)>;

/// The account of callers without a credential: the invitations are the same for all.
pub(crate) const ACCOUNT: &str = "default";
/// The name in the client's certificate.
const CLIENT: &str = "load.example";

/// The files of all credentials, and the secrets of the driver.
pub(crate) struct Credentials {
    dir: TempDir,
    key: HeaderValue,
    /// Those of each credential that is one.
    tokens: Vec<(Credential, Headers)>,
    tls: Arc<ClientConfig>,
    mtls: Arc<ClientConfig>,
}

/// The headers and the TLS with which the driver calls.
#[derive(Clone, Default)]
pub(crate) struct Presented {
    pub(crate) headers: Headers,
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

impl Credentials {
    /// Creates the files and secrets that some credentials need.
    pub(crate) fn create(wanted: &[Credential]) -> Outcome<Self> {
        let dir = tempfile::Builder::new().prefix("invitation-load-").tempdir()?;
        let keys = dir.path().join("keys.toml");
        let mut entry = Command::new(BINARY);
        entry.args(["api-key", "entry", "--name", "load", "--account", ACCOUNT, "--permission", "*", "--entry-file"]);
        let key = printed(entry.arg(keys))?.trim().parse()?;
        let is_rs256 = |wanted: &Credential| matches!(wanted, Credential::JwtRs256 | Credential::NewJwtRs256);
        let mut signers = vec![Signer::es256()?];
        if wanted.iter().any(is_rs256) {
            signers.push(Signer::rs256()?);
        }
        let mut tokens = Vec::new();
        for credential in wanted.iter().copied().filter(|wanted| wanted.is_jwt()) {
            let signer = if is_rs256(&credential) { signers.last() } else { signers.first() };
            let count = if credential.is_new() { jwt::FORGOTTEN } else { 1 };
            tokens.push((credential, bearers(&signer.ok_or("there is no signer")?.tokens(count)?)?));
        }
        fs::write(dir.path().join("jwks.json"), jwt::jwks(&signers))?;
        fs::write(dir.path().join("issuers.toml"), jwt::issuers_file(&dir.path().join("jwks.json"), ACCOUNT))?;
        let clients = format!(
            "[[client_certificate]]\nname = \"load\"\nsan = \"{CLIENT}\"\naccount = \"{ACCOUNT}\"\npermissions = [\"*\"]\n"
        );
        fs::write(dir.path().join("clients.toml"), clients)?;
        let (tls, mtls) = certificates(&dir)?;
        Ok(Self { dir, key, tokens, tls, mtls })
    }

    /// Returns the settings of a server that accepts a credential.
    pub(crate) fn settings(&self, credential: Credential) -> Vec<(&'static str, PathBuf)> {
        let file = |name: &str| self.dir.path().join(name);
        let mut settings = Vec::new();
        if !credential.is_open() {
            settings.push(("INVITATION__AUTH__MODE", PathBuf::from("required")));
        }
        if credential.is_over_tls() {
            settings.push(("INVITATION__GRPC__TLS__CERT_FILE", file("server.crt")));
            settings.push(("INVITATION__GRPC__TLS__KEY_FILE", file("server.key")));
        }
        match credential {
            Credential::None | Credential::StoredKey | Credential::Tls => {}
            Credential::Key => settings.push(("INVITATION__AUTH__API_KEYS_FILE", file("keys.toml"))),
            Credential::JwtEs256 | Credential::JwtRs256 | Credential::NewJwtEs256 | Credential::NewJwtRs256 => {
                settings.push(("INVITATION__AUTH__JWT_ISSUERS_FILE", file("issuers.toml")));
            }
            Credential::Mtls => {
                settings.push(("INVITATION__GRPC__TLS__CLIENT_CA_FILE", file("ca.crt")));
                settings.push(("INVITATION__AUTH__CLIENT_CERTIFICATES_FILE", file("clients.toml")));
            }
        }
        settings
    }

    /// Returns what the driver presents. `stored` is the key of the database, if there is one.
    pub(crate) fn present(&self, credential: Credential, stored: Option<&str>) -> Outcome<Presented> {
        let api_key = |value: HeaderValue| vec![(HeaderName::from_static("x-api-key"), value)];
        let headers = match credential {
            Credential::None | Credential::Tls | Credential::Mtls => Vec::new(),
            Credential::Key => api_key(self.key.clone()),
            Credential::StoredKey => api_key(stored.ok_or("there is no key in the database")?.parse()?),
            Credential::JwtEs256 | Credential::JwtRs256 | Credential::NewJwtEs256 | Credential::NewJwtRs256 => {
                let tokens = self.tokens.iter().find(|(of, _)| *of == credential);
                tokens.ok_or("there are no tokens")?.1.clone()
            }
        };
        let tls = match credential {
            Credential::Tls => Some(&self.tls),
            Credential::Mtls => Some(&self.mtls),
            _ => None,
        };
        Ok(Presented { headers, tls: tls.cloned() })
    }
}

fn bearers(tokens: &[String]) -> Outcome<Headers> {
    let bearer = |token: &String| Ok((AUTHORIZATION, format!("Bearer {token}").parse()?));
    tokens.iter().map(bearer).collect()
}

/// Writes the server's certificate and the authority, and returns TLS without and with a certificate of the client.
fn certificates(dir: &TempDir) -> Outcome<(Arc<ClientConfig>, Arc<ClientConfig>)> {
    let mut parameters = CertificateParams::new(Vec::<String>::new())?;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(parameters, KeyPair::generate()?)?;
    let sign = |name: &str| {
        let key = KeyPair::generate()?;
        Outcome::Ok((CertificateParams::new(vec![name.to_owned()])?.signed_by(&key, &authority)?, key))
    };
    let (server, server_key) = sign("localhost")?;
    fs::write(dir.path().join("ca.crt"), authority.pem())?;
    fs::write(dir.path().join("server.crt"), server.pem())?;
    fs::write(dir.path().join("server.key"), server_key.serialize_pem())?;
    let (client, client_key) = sign(CLIENT)?;
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone())?;
    let builder = || {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        Outcome::Ok(builder.with_safe_default_protocol_versions()?.with_root_certificates(roots.clone()))
    };
    let key = PrivateKeyDer::try_from(client_key.serialize_der())?;
    let mut tls = builder()?.with_no_client_auth();
    let mut mtls = builder()?.with_client_auth_cert(vec![client.der().clone()], key)?;
    for config in [&mut tls, &mut mtls] {
        config.alpn_protocols = vec![b"h2".to_vec()];
    }
    Ok((Arc::new(tls), Arc::new(mtls)))
}
