//! TLS on the port of the calls: who is served, with which certificate, and how a certificate is replaced.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use invitation_service::pb::GetCallerRequest;
use invitation_service::pb::access_service_client::AccessServiceClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ALL_VERSIONS, ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use super::keys::{WITH_KEYS, api_key};
use super::server::{PATIENCE, Server, printed, refusal, run};
use super::tools;
use crate::support::certificates::{Authority, Pair, publish};
use crate::support::folder::folder;
use crate::support::pace::paced;

/// The variables of a server with the pair in the folder `tls`.
const WITH_TLS: [(&str, &str); 2] =
    [("INVITATION__GRPC__TLS__CERT_FILE", "tls/tls.crt"), ("INVITATION__GRPC__TLS__KEY_FILE", "tls/tls.key")];

/// Replaces the pair as Kubernetes does.
fn publish_pair(folder: &Path, version: &str, pair: &Pair) {
    publish(&folder.join("tls"), version, &[("tls.crt", &pair.certificate), ("tls.key", &pair.key)]);
}

/// Starts a server with a pair that the authority has signed.
async fn start(folder: &Path, authority: &Authority) -> Server {
    publish_pair(folder, "..1", &authority.server());
    fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    let server = Server::start(folder, &[], &WITH_TLS).await;
    server.logged("readiness changed").await;
    server
}

async fn connect(address: SocketAddr, authority: &Authority) -> Result<Channel, tonic::transport::Error> {
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem())).domain_name("localhost");
    let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap().timeout(PATIENCE);
    endpoint.tls_config(tls).unwrap().connect().await
}

async fn call(channel: Channel) {
    AccessServiceClient::new(channel).get_caller(GetCallerRequest {}).await.unwrap();
}

/// Shakes hands as a client that offers these versions and protocols.
async fn shake_hands(
    address: SocketAddr,
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&[u8]],
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(versions).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let stream = TcpStream::connect(address).await?;
    let handshake = TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream);
    timeout(PATIENCE, handshake).await.expect("the handshake ends")
}

/// Returns the certificate that new connections are served with.
async fn certificate(address: SocketAddr, authority: &Authority) -> Vec<u8> {
    let stream = shake_hands(address, authority, ALL_VERSIONS, &[b"h2"]).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test(crate = "crate::support::limit")]
async fn clients_that_trust_the_authority_are_served() {
    let (folder, authority) = (folder(), Authority::new());
    let server = start(folder.path(), &authority).await;
    call(connect(server.address, &authority).await.unwrap()).await;
    connect(server.address, &Authority::new()).await.unwrap_err();

    let endpoint = format!("https://{}", server.address);
    let ask = |more: &'static [&'static str]| {
        let arguments = [&["health", "--endpoint", endpoint.as_str()], more].concat();
        let folder = folder.path().to_owned();
        async move { run(&folder, &arguments, &[]).await }
    };
    assert_eq!(printed(&ask(&["--tls-ca", "ca.pem"]).await), "SERVING\n");
    let text = refusal(&ask(&[]).await);
    assert!(text.contains("cannot be reached") && text.contains("certificate"), "{text}");
    let text = refusal(&ask(&["--tls-ca", "nowhere.pem"]).await);
    assert!(text.contains("cannot read nowhere.pem"), "{text}");
    let plain = format!("http://{}", server.address);
    refusal(&run(folder.path(), &["health", "--endpoint", &plain], &[]).await);
    let with_ca = ["health", "--endpoint", &plain, "--tls-ca", "ca.pem"];
    assert!(refusal(&run(folder.path(), &with_ca, &[]).await).contains("https://"));
    if tools::grpcurl() {
        let ca = folder.path().join("ca.pem").display().to_string();
        let line = format!("grpcurl -cacert {ca} {} invitation.v1.AccessService/GetCaller", server.address);
        let output = tools::shell(&line).await;
        assert!(output.status.success(), "{output:?}");
    }
    server.stop().await;
}

/// The start of a handshake of TLS 1.1, with one cipher and one signature algorithm.
fn hello_of_tls_1_1() -> Vec<u8> {
    let extensions = [0x00, 0x0d, 0x00, 0x04, 0x00, 0x02, 0x04, 0x01];
    let mut body = vec![0x03, 0x02];
    body.extend([7; 32]);
    body.extend([0x00, 0x00, 0x02, 0xc0, 0x13, 0x01, 0x00, 0x00, 0x08]);
    body.extend(extensions);
    let length = u8::try_from(body.len()).unwrap();
    [&[0x16, 0x03, 0x01, 0x00, length + 4, 0x01, 0x00, 0x00, length], &body[..]].concat()
}

#[tokio::test(crate = "crate::support::limit")]
async fn tls_1_2_and_1_3_are_spoken_for_http() {
    let (folder, authority) = (folder(), Authority::new());
    let server = start(folder.path(), &authority).await;
    for (version, spoken) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let stream = shake_hands(server.address, &authority, &[version], &[b"http/1.1", b"h2"]).await.unwrap();
        let connection = stream.get_ref().1;
        assert_eq!((connection.protocol_version(), connection.alpn_protocol()), (Some(spoken), Some(&b"h2"[..])));
    }
    let mut old = shake_hands(server.address, &authority, ALL_VERSIONS, &[b"http/1.1"]).await.unwrap();
    assert_eq!(old.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    old.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, old.read_to_end(&mut answer)).await.expect("it is closed").ok();
    assert!(answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(b"SERVING"), "{answer:?}");
    let refused = shake_hands(server.address, &authority, ALL_VERSIONS, &[b"spdy/3"]).await.map(drop).unwrap_err();
    assert!(refused.to_string().contains("NoApplicationProtocol"), "{refused}");

    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&hello_of_tls_1_1()).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it is closed").ok();
    // A fatal alert of 2 bytes: protocol_version.
    assert_eq!((answer[0], &answer[3..]), (0x15, &[0, 2, 2, 70][..]), "{answer:?}");
    server.logged("TLS handshakes failed").await;
    server.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn connection_without_a_handshake_ends_soon() {
    let (folder, authority) = (folder(), Authority::new());
    let server = start(folder.path(), &authority).await;
    let began = Instant::now();
    let ended = async |bytes: &[u8]| {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await.expect("it is closed").ok();
        began.elapsed()
    };
    for plain in [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"[..], b"GET /livez HTTP/1.1\r\n\r\n"] {
        let took = ended(plain).await;
        assert!(took < Duration::from_secs(2), "plain text: {took:?}");
    }
    let hello = hello_of_tls_1_1();
    let (silent, half, ()) = tokio::join!(ended(b""), ended(&hello[..20]), async {
        call(connect(server.address, &authority).await.unwrap()).await;
    });
    for took in [silent, half] {
        assert!((Duration::from_secs(4)..paced(Duration::from_secs(9))).contains(&took), "slow handshake: {took:?}");
    }
    let stays = TcpStream::connect(server.address).await.unwrap();
    let told = Instant::now();
    server.stop().await;
    assert!(
        told.elapsed() < paced(Duration::from_secs(2)),
        "a handshake does not hold the end up: {:?}",
        told.elapsed()
    );
    drop(stays);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn rotated_pair_is_served_without_a_dropped_call() {
    let (folder, authority) = (folder(), Authority::new());
    let server = start(folder.path(), &authority).await;
    let (address, first) = (server.address, certificate(server.address, &authority).await);
    let stop = Arc::new(AtomicBool::new(false));
    let authority = Arc::new(authority);
    let open = connect(address, &authority).await.unwrap();
    let load: Vec<_> = (0..4)
        .map(|number| {
            let (stop, authority, open) = (Arc::clone(&stop), Arc::clone(&authority), open.clone());
            tokio::spawn(async move {
                let mut calls = 0;
                while !stop.load(Ordering::Relaxed) {
                    let channel = if number == 0 { open.clone() } else { connect(address, &authority).await.unwrap() };
                    call(channel).await;
                    calls += 1;
                }
                calls
            })
        })
        .collect();
    let mut served = first;
    for version in ["..2", "..3"] {
        let next = authority.server();
        publish_pair(folder.path(), version, &next);
        let began = Instant::now();
        while certificate(address, &authority).await == served {
            assert!(began.elapsed() < PATIENCE, "{}", server.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(began.elapsed() < paced(Duration::from_secs(3)), "{:?}", began.elapsed());
        served = certificate(address, &authority).await;
        assert_eq!(served, next.der);
    }
    stop.store(true, Ordering::Relaxed);
    for worker in load {
        assert!(worker.await.unwrap() > 0);
    }
    let lines = server.log().lines().filter(|line| line.contains("was read again")).count();
    assert_eq!(lines, 2, "{}", server.log());
    let line: serde_json::Value =
        serde_json::from_str(&server.logged("the certificate of this server was read again").await).unwrap();
    assert_eq!(line["fingerprint"].as_str().unwrap().len(), 64, "{line}");
    assert!(line["not_after"].as_str().unwrap().ends_with('Z'), "{line}");
    server.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn pair_that_cannot_be_used_keeps_the_one_before() {
    let (folder, authority) = (folder(), Authority::new());
    let server = start(folder.path(), &authority).await;
    let first = certificate(server.address, &authority).await;
    let (other, next) = (authority.server(), authority.server());
    let mut expired = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    expired.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let mismatch = Pair { key: other.key.clone(), ..next.clone() };
    let broken = Pair { certificate: "-----BEGIN CERTIFICATE-----\n".to_owned(), ..next.clone() };
    for (number, (pair, problem)) in [
        (mismatch, "the key is not that of the certificate"),
        (broken, "no certificate in PEM"),
        (authority.sign(expired), "has expired at 2001-01-01"),
    ]
    .into_iter()
    .enumerate()
    {
        publish_pair(folder.path(), &format!("..bad{number}"), &pair);
        let line = server.logged(problem).await;
        assert!(line.contains("WARN") && line.contains("what it had before stays in use"), "{line}");
        assert_eq!(certificate(server.address, &authority).await, first, "{problem}");
    }
    publish_pair(folder.path(), "..good", &next);
    server.logged("was read again").await;
    assert_eq!(certificate(server.address, &authority).await, next.der);
    let log = server.log();
    assert!(!log.contains("PRIVATE") && !log.contains("BEGIN"), "{log}");
    server.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn pair_that_does_not_fit_is_refused_at_the_start() {
    let (folder, authority) = (folder(), Authority::new());
    let (one, other) = (authority.server(), authority.server());
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("cert.pem", &one.certificate);
    write("key.pem", &one.key);
    write("other.pem", &other.key);
    let (cert, key) = ("INVITATION__GRPC__TLS__CERT_FILE", "INVITATION__GRPC__TLS__KEY_FILE");
    for (environment, problem) in [
        (&[(cert, "cert.pem")][..], "grpc.tls.key_file: is required beside grpc.tls.cert_file"),
        (&[(key, "key.pem")], "grpc.tls.cert_file: is required beside grpc.tls.key_file"),
        (&[(cert, "cert.pem"), (key, "other.pem")], "the key is not that of the certificate"),
        (&[(cert, "nowhere.pem"), (key, "key.pem")], "cannot read nowhere.pem"),
        (&[(cert, "key.pem"), (key, "cert.pem")], "no certificate in PEM"),
    ] {
        for arguments in [&["check-config"][..], &["serve", "--listen", "127.0.0.1:0"]] {
            let text = refusal(&run(folder.path(), arguments, environment).await);
            assert!(text.contains(problem) && !text.contains("BEGIN"), "{arguments:?}: {text}");
        }
    }
    fs::write(
        folder.path().join("service.toml"),
        "[grpc]\nreflection = false\n[grpc.tls]\ncert_file = \"cert.pem\"\nkey_file = \"key.pem\"\n",
    )
    .unwrap();
    let shown = printed(&run(folder.path(), &["check-config", "--config", "service.toml"], &[]).await);
    assert!(shown.contains("[grpc.tls]\ncert_file = \"cert.pem\"\n# which has "), "{shown}");
}

#[tokio::test(crate = "crate::support::limit")]
async fn clear_text_off_loopback_is_warned_of() {
    const WARNING: &str = "calls are served in clear text";
    let (folder, authority) = (folder(), Authority::new());
    api_key(folder.path(), "acme", "*").await;
    publish_pair(folder.path(), "..1", &authority.server());
    let open = [&WITH_KEYS[..], &["--listen", "0.0.0.0:0"]].concat();
    for (listen, tls, warned) in [
        (&open[..], &[][..], true),
        (&open, &WITH_TLS, false),
        (&WITH_KEYS, &[], false),
        (&WITH_KEYS, &WITH_TLS, false),
    ] {
        let mut arguments = vec!["serve", "--log-format", "json"];
        arguments.extend(listen);
        if !listen.contains(&"--listen") {
            arguments.extend(["--listen", "127.0.0.1:0"]);
        }
        let server = Server::start_exactly(folder.path(), &arguments, tls).await;
        server.logged("readiness changed").await;
        assert_eq!(server.log().contains(WARNING), warned, "{}", server.log());
        server.stop().await;
    }
}
