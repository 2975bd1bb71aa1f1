//! Servers of keys that answer as they should, and as they should not.

use std::path::Path;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::*;

const KEYS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"}]}"#;
const SOON: Duration = Duration::from_secs(5);

/// The answer of a server, after the head of a request.
#[derive(Clone)]
enum Reply {
    Text(String),
    Endless,
    Silence,
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin, reply: Reply) -> Vec<String> {
    let mut stream = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        head.push(line.trim_end().to_lowercase());
    }
    match reply {
        Reply::Text(text) => {
            stream.write_all(text.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
        Reply::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            while stream.write_all(&[b' '; 4_096]).await.is_ok() {}
        }
        Reply::Silence => std::future::pending().await,
    }
    head
}

fn ok(body: &str) -> Reply {
    Reply::Text(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
}

/// Serves one answer without TLS, and returns its address.
async fn plain(reply: Reply) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { answer(listener.accept().await.unwrap().0, reply).await });
    format!("http://{address}/keys?key=hunter2").parse().unwrap()
}

fn source(url: Url) -> Source {
    drop(rustls::crypto::ring::default_provider().install_default());
    Source { url, ca_file: None, bearer_file: None }
}

#[tokio::test(crate = "crate::limit")]
async fn bad_answers_are_refused_in_words_without_the_address() {
    let other = plain(ok(KEYS)).await;
    let redirect = format!("HTTP/1.1 302 Found\r\nlocation: {other}\r\ncontent-length: 0\r\n\r\n");
    let large = format!("{KEYS}{}", " ".repeat(MAX_BYTES));
    for (reply, text) in [
        (Reply::Text(redirect), "status 302"),
        (Reply::Text("HTTP/1.1 500 Broken\r\ncontent-length: 0\r\n\r\n".to_owned()), "status 500"),
        (Reply::Text("HTTP/1.1 204 Nothing\r\n\r\n".to_owned()), "status 204"),
        (Reply::Text("SSH-2.0-x\r\n".to_owned()), "error"),
        (Reply::Text(String::new()), "error"),
        (Reply::Text("HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{".to_owned()), "error"),
        (ok("<html>"), "is not a JSON object"),
        (ok("{\"keys\":[]}"), "has no key"),
        (ok(&large), "larger than 256 KiB"),
        (Reply::Endless, "larger than 256 KiB"),
    ] {
        let problem = fetch(source(plain(reply).await), SOON).await.unwrap_err();
        assert!(problem.contains(text), "{problem}");
        assert!(!problem.contains("hunter2") && !problem.contains("127.0.0.1"), "{problem}");
    }
    let began = std::time::Instant::now();
    let silent = fetch(source(plain(Reply::Silence).await), Duration::from_millis(300)).await.unwrap_err();
    assert!(silent.contains("in time") && began.elapsed() < SOON, "{silent}");
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    fetch(source(format!("http://{away}/").parse().unwrap()), SOON).await.unwrap_err();
    let (keys, fingerprint) = fetch(source(plain(ok(KEYS)).await), SOON).await.unwrap();
    assert_eq!((keys.len(), fingerprint.len()), (1, 16));
}

/// Writes the certificate of an authority to a file, and returns what a server of it needs.
fn authority(file: &Path) -> TlsAcceptor {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    std::fs::write(file, parameters.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = rcgen::Issuer::new(parameters, key);
    let own = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&own, &issuer).unwrap();
    let own = PrivateKeyDer::Pkcs8(own.serialize_der().into());
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.into()], own).unwrap();
    TlsAcceptor::from(std::sync::Arc::new(config))
}

#[tokio::test(crate = "crate::limit")]
async fn keys_of_a_cluster_need_its_authority_and_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url =
        format!("https://localhost:{}/openid/v1/jwks", listener.local_addr().unwrap().port()).parse().unwrap();
    let mut cluster = source(url);
    let acceptor = authority(&at("ca.crt"));
    drop(authority(&at("other.crt")));
    std::fs::write(at("token"), "first\n").unwrap();
    let asked = async |source: &Source| {
        let served = async {
            let stream = acceptor.accept(listener.accept().await.unwrap().0).await.ok()?;
            Some(answer(stream, ok(KEYS)).await)
        };
        tokio::join!(fetch(source.clone(), SOON), served)
    };
    for (ca_file, text) in [(None, "invalid peer certificate"), (Some(at("other.crt")), "invalid peer certificate")] {
        let (fetched, seen) = asked(&Source { ca_file, bearer_file: Some(at("token")), ..cluster.clone() }).await;
        let problem = fetched.unwrap_err();
        assert!(problem.contains(text) && seen.is_none(), "{problem}");
    }
    (cluster.ca_file, cluster.bearer_file) = (Some(at("ca.crt")), Some(at("token")));
    // Kubernetes replaces the token: the next fetch reads it anew.
    for token in ["first", "second"] {
        std::fs::write(at("token"), format!("{token}\n")).unwrap();
        let (fetched, seen) = asked(&cluster).await;
        fetched.unwrap();
        assert!(seen.unwrap().contains(&format!("authorization: bearer {token}")), "{token}");
    }
    std::fs::remove_file(at("token")).unwrap();
    let problem = fetch(cluster, SOON).await.unwrap_err();
    assert!(problem.contains("cannot read") && !problem.contains("second"), "{problem}");
}
