//! The connection to a server: its address and its TLS, the same for every command that calls one.

use std::error::Error;
use std::path::{Path, PathBuf};

use clap::Args;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use url::Url;

use crate::input_file;

/// The flags that say which server is called.
#[derive(Clone, Debug, Args)]
pub struct ConnectionArgs {
    /// Server to call, an http:// URL, or an https:// one where it serves TLS.
    #[arg(long, global = true, help_heading = "Connection and output", value_name = "URL", value_parser = parse_endpoint)]
    #[arg(env = "INVITATION_ENDPOINT", hide_env_values = true, default_value = "http://127.0.0.1:50051")]
    pub endpoint: String,
    /// PEM file of the authorities that may have signed the certificate of an https:// server; the system's, if it is not given.
    #[arg(long, global = true, help_heading = "Connection and output", value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// PEM file of a certificate to show to an https:// server.
    #[arg(long, global = true, help_heading = "Connection and output", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// PEM file of its private key.
    #[arg(long, global = true, help_heading = "Connection and output", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
}

impl ConnectionArgs {
    /// Returns the server to call, which is checked against the authorities in a file, or else against the system's.
    ///
    /// # Errors
    /// The reason why the files cannot be used.
    pub(in crate::cli) fn endpoint(&self) -> Result<Endpoint, String> {
        let Self { endpoint, tls_ca, tls_cert, tls_key } = self;
        let endpoint = Endpoint::from_shared(endpoint.clone()).map_err(|error| error.to_string())?;
        if !self.is_encrypted() {
            return if tls_ca.is_some() || tls_cert.is_some() {
                Err("--tls-ca and --tls-cert are for an https:// endpoint".to_owned())
            } else {
                Ok(endpoint)
            };
        }
        let mut tls = match tls_ca {
            None => ClientTlsConfig::new().with_native_roots(),
            Some(file) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(file)?)),
        };
        if let (Some(certificate), Some(key)) = (tls_cert, tls_key) {
            tls = tls.identity(Identity::from_pem(read(certificate)?, read(key)?));
        }
        endpoint.tls_config(tls).map_err(|error| with_causes(&error))
    }

    fn is_encrypted(&self) -> bool {
        self.endpoint.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
    }

    /// Returns whether others on the way could read what is sent.
    pub(super) fn is_exposed(&self) -> bool {
        let host = Url::parse(&self.endpoint).ok().and_then(|url| url.host().map(|host| host.to_owned()));
        let is_local = match host {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        !self.is_encrypted() && !is_local
    }
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    input_file::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))
}

/// Returns the text of an error with those of its causes: that of a connection alone tells nothing.
pub(in crate::cli) fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.ends_with(&cause) { text } else { format!("{text}: {cause}") }
    })
}

fn parse_endpoint(text: &str) -> Result<String, String> {
    match Url::parse(text) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            Err("must have no user and no password: the credential is an API key, see --api-key-file".to_owned())
        }
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(text.to_owned()),
        Ok(_) | Err(_) => Err("must be an http:// or https:// URL such as http://127.0.0.1:50051".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(endpoint: &str) -> ConnectionArgs {
        ConnectionArgs { endpoint: endpoint.to_owned(), tls_ca: None, tls_cert: None, tls_key: None }
    }

    #[test]
    fn endpoint_is_a_url_without_a_credential() {
        for refused in ["", "127.0.0.1:50051", "ftp://h", "http://ann:secret@h:1", "https://key@h"] {
            let problem = parse_endpoint(refused).unwrap_err();
            assert!(!problem.contains("secret") && problem.starts_with("must "), "{problem}");
        }
        assert_eq!(parse_endpoint("http://h:1/").unwrap(), "http://h:1/");
    }

    #[test]
    fn only_clear_text_to_another_machine_is_exposed() {
        for (endpoint, is_exposed) in [
            ("http://127.0.0.1:50051/", false),
            ("http://[::1]:50051/", false),
            ("http://localhost:50051/", false),
            ("http://invitations.example:50051/", true),
            ("http://10.0.0.7/", true),
            ("https://invitations.example/", false),
        ] {
            assert_eq!(to(endpoint).is_exposed(), is_exposed, "{endpoint}");
        }
    }

    #[test]
    fn endpoint_is_a_url_of_http() {
        assert!(to(&parse_endpoint("HTTPS://Invitations.Example").unwrap()).is_encrypted());
        for refused in ["grpc://127.0.0.1:1", "127.0.0.1:50051", "localhost:50051", ""] {
            assert!(parse_endpoint(refused).is_err(), "{refused}");
        }
    }
}
