//! An issuer of JWTs, and services that accept its tokens.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use data_encoding::BASE64URL_NOPAD;
use invitation_service::clock::Clock;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tonic::Request;

use super::database::{NEW_YEAR, TestDatabase};
use super::service::{Service, configuration};

pub(crate) const ISSUER: &str = "https://issuer.example";
/// The issuer whose tokens are of persons.
pub(crate) const LOGIN: &str = "https://login.example";

/// A key of the issuer.
pub(crate) struct Signer {
    kid: &'static str,
    pair: Ed25519KeyPair,
}

impl Signer {
    pub(crate) fn new(kid: &'static str) -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self { kid, pair: Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap() }
    }

    /// Signs claims of a subject of account `acme` that ends ten minutes after `now`, in seconds, with some changes.
    pub(crate) fn token(&self, now: i64, subject: &str, changes: Value) -> String {
        let mut claims = json!({
            "iss": ISSUER, "aud": "invitation-service", "sub": subject, "account": "acme", "scope": [
                "connection_invitations.write", "connection_invitations.read", "events.read",
            ], "iat": now, "exp": now + 600,
        });
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let encode = |value: Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", encode(json!({"alg": "EdDSA", "kid": self.kid})), encode(claims));
        let signature = BASE64URL_NOPAD.encode(self.pair.sign(signed.as_bytes()).as_ref());
        format!("{signed}.{signature}")
    }
}

/// The set of the public keys of some signers.
pub(crate) fn jwks(signers: &[&Signer]) -> String {
    let jwk = |signer: &&Signer| {
        let x = BASE64URL_NOPAD.encode(signer.pair.public_key().as_ref());
        json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": signer.kid, "x": x})
    };
    json!({"keys": signers.iter().map(jwk).collect::<Vec<_>>()}).to_string()
}

/// Writes the file of issuers into a folder, with one that takes everything from claims, and returns its path.
pub(crate) fn issuers_file(folder: &Path, keys: &str) -> PathBuf {
    let path = folder.join("issuers.toml");
    let claims = "account_claim = \"account\"\npermissions_claim = \"scope\"";
    let head = format!("[[issuer]]\nname = \"main\"\nissuer = \"{ISSUER}\"\naudiences = [\"invitation-service\"]");
    std::fs::write(&path, format!("{head}\n{keys}\n{claims}\n")).unwrap();
    path
}

/// Adds an issuer of persons, whose account is a claim too, to the file of issuers.
pub(crate) fn add_persons(issuers: &Path, keys: &str) {
    let before = std::fs::read_to_string(issuers).unwrap();
    let head = format!("[[issuer]]\nname = \"login\"\nissuer = \"{LOGIN}\"\naudiences = [\"invitation-service\"]");
    std::fs::write(issuers, format!("{before}\n{head}\n{keys}\naccount_claim = \"account\"\npersons = true\n"))
        .unwrap();
}

/// Starts a service that accepts the tokens of a file of issuers, at New Year.
pub(crate) async fn start(database: &TestDatabase, issuers: &Path) -> Service {
    let path = issuers.to_str().unwrap();
    let more = [("INVITATION__AUTH__MODE", "required"), ("INVITATION__AUTH__JWT_ISSUERS_FILE", path)];
    Service::start_with(configuration(database, &more), Clock::manual(NEW_YEAR)).await
}

/// A request with a token.
pub(crate) fn with<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

/// A server of keys, whose answer to the next request is the text that a test has set: with none it closes the connection.
#[derive(Clone)]
pub(crate) struct JwksServer {
    pub(crate) url: String,
    answer: Arc<Mutex<Option<String>>>,
    requests: Arc<Mutex<usize>>,
}

impl JwksServer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let server = Self { url, answer: Arc::default(), requests: Arc::default() };
        let served = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                while stream.read_line(&mut line).await.is_ok_and(|read| read > 2) {
                    line.clear();
                }
                *served.requests.lock().unwrap() += 1;
                let answer = served.answer.lock().unwrap().clone().unwrap_or_default();
                // A client that has gone is no matter of the test's.
                drop(stream.write_all(answer.as_bytes()).await);
            }
        });
        server
    }

    pub(crate) fn requests(&self) -> usize {
        *self.requests.lock().unwrap()
    }

    pub(crate) fn set(&self, keys: &str) {
        let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", keys.len());
        *self.answer.lock().unwrap() = Some(head + keys);
    }
}
