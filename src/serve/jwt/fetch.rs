//! One fetch of an issuer's keys: in bounded time, of bounded size, from the very address that is configured.

use std::error::Error as _;
use std::path::PathBuf;
use std::time::Duration;

use data_encoding::HEXLOWER;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response, StatusCode};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use url::Url;

use crate::auth::jwt::jwks::{KeySet, MAX_BYTES};
use crate::config::{read_authorities, read_bearer};

/// The time that a fetch may take, the look-up of the name and the body included.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// The place of the keys, and the files that are needed to get there. They are read at each fetch, so that changed ones are used.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) url: Url,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) bearer_file: Option<PathBuf>,
}

/// Fetches the keys, and returns them with the start of their digest.
///
/// # Errors
/// The reason for the log. It holds no address, since a URL may hold a secret.
pub(super) async fn fetch(source: Source, limit: Duration) -> Result<(KeySet, String), String> {
    let fetched = timeout(limit, fetch_bytes(source)).await;
    let bytes = fetched.map_err(|_| "no answer in time".to_owned())??;
    let keys = KeySet::parse(&bytes).map_err(|problem| format!("the answer {problem}"))?;
    Ok((keys, HEXLOWER.encode(&Sha256::digest(&bytes)[..8])))
}

async fn fetch_bytes(source: Source) -> Result<Vec<u8>, String> {
    let url = source.url.clone();
    // Files may be on a mount that hangs.
    let client = spawn_blocking(move || client(&source)).await.map_err(|error| error.to_string())??;
    let response = client.get(url).send().await.map_err(words)?;
    match response.status() {
        StatusCode::OK => read(response).await,
        status => Err(format!("the answer has the status {}; redirects are not followed", status.as_u16())),
    }
}

fn client(source: &Source) -> Result<Client, String> {
    let mut headers = HeaderMap::new();
    if let Some(path) = &source.bearer_file {
        let bearer = format!("Bearer {}", read_bearer(path)?.expose_secret());
        let mut bearer = HeaderValue::try_from(bearer).map_err(|error| error.to_string())?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
    }
    let mut builder = Client::builder()
        .https_only(source.url.scheme() == "https")
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        .default_headers(headers)
        .user_agent(concat!("invitation-service/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = &source.ca_file {
        let authorities: Result<Vec<_>, _> =
            read_authorities(path)?.iter().map(|authority| Certificate::from_der(authority)).collect();
        builder = builder.tls_certs_only(authorities.map_err(words)?);
    }
    builder.build().map_err(words)
}

async fn read(mut response: Response) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(words)? {
        if bytes.len() + chunk.len() > MAX_BYTES {
            return Err("the answer is larger than 256 KiB".to_owned());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Returns an error with its causes, without the address.
fn words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests;
