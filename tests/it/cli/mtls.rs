//! Clients that prove who they are by a certificate: who is let in, as whom, and until when.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use invitation_service::pb::access_service_client::AccessServiceClient;
use invitation_service::pb::event_service_client::EventServiceClient;
use invitation_service::pb::{AuthMode, GetCallerRequest, WatchEventsRequest};
use rcgen::{CertificateParams, SanType};
use tokio::time::{sleep, timeout};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};

use super::keys::api_key;
use super::server::{PATIENCE, Server, refusal, run};
use crate::support::certificates::{Authority, Pair, publish};
use crate::support::folder::folder;

/// The SPIFFE identity of the client that most tests have.
const BILLING: &str = "spiffe://example.org/ns/shop/sa/billing";

/// The table in the file `clients.toml`: one client by SPIFFE, one by DNS, with other permissions.
const TABLE: &str = r#"
[[client_certificate]]
name = "billing"
san = "spiffe://example.org/ns/shop/sa/billing"
account = "acme"
permissions = ["events.read", "invitations.read"]

[[client_certificate]]
name = "portal"
san = "Portal.example.org"
account = "acme"
permissions = ["*"]
organization_id = "01920000-0000-7000-8000-00000000000a"
"#;

const WITH_CLIENTS: [(&str, &str); 6] = [
    ("INVITATION__AUTH__MODE", "required"),
    ("INVITATION__AUTH__API_KEYS_FILE", "keys.toml"),
    ("INVITATION__AUTH__CLIENT_CERTIFICATES_FILE", "clients.toml"),
    ("INVITATION__GRPC__TLS__CERT_FILE", "tls/tls.crt"),
    ("INVITATION__GRPC__TLS__KEY_FILE", "tls/tls.key"),
    ("INVITATION__GRPC__TLS__CLIENT_CA_FILE", "tls/ca.crt"),
];

/// A server, and the authority of its certificate and its clients.
struct Setting {
    server: Server,
    authority: Authority,
    own: Pair,
    key: String,
}

async fn start(folder: &Path, more: &[(&str, &str)]) -> Setting {
    let authority = Authority::new();
    let own = authority.server();
    let key = api_key(folder, "acme", "*").await;
    fs::write(folder.join("clients.toml"), TABLE).unwrap();
    publish_files(folder, "..1", &own, &authority.pem());
    let server = Server::start(folder, &[], &[&WITH_CLIENTS[..], more].concat()).await;
    server.logged("readiness changed").await;
    Setting { server, authority, own, key }
}

fn publish_files(folder: &Path, version: &str, own: &Pair, client_ca: &str) {
    let files = [("tls.crt", own.certificate.as_str()), ("tls.key", own.key.as_str()), ("ca.crt", client_ca)];
    publish(&folder.join("tls"), version, &files);
}

/// The parameters of a certificate with these names.
fn named(names: &[&str]) -> CertificateParams {
    let mut parameters = CertificateParams::new(Vec::<String>::new()).unwrap();
    let name = |name: &&str| match name.contains("://") {
        true => SanType::URI((*name).try_into().unwrap()),
        false => SanType::DnsName((*name).try_into().unwrap()),
    };
    parameters.subject_alt_names = names.iter().map(name).collect();
    parameters
}

impl Setting {
    /// Connects with a certificate, or without one.
    async fn connect(&self, pair: Option<&Pair>) -> Result<Channel, tonic::transport::Error> {
        let ca = Certificate::from_pem(self.authority.pem());
        let tls = ClientTlsConfig::new().ca_certificate(ca).domain_name("localhost");
        let tls = match pair {
            Some(pair) => tls.identity(Identity::from_pem(&pair.certificate, &pair.key)),
            None => tls,
        };
        let endpoint = Endpoint::from_shared(format!("https://{}", self.server.address)).unwrap().timeout(PATIENCE);
        endpoint.tls_config(tls).unwrap().connect().await
    }

    /// Returns the name of the caller that a client is, by its certificate and its key.
    async fn caller(&self, pair: Option<&Pair>, key: Option<&str>) -> Result<String, Code> {
        let channel = self.connect(pair).await.map_err(|_| Code::Unavailable)?;
        caller(channel, key).await.map_err(|refused| refused.code())
    }
}

async fn caller(channel: Channel, key: Option<&str>) -> Result<String, Status> {
    let mut request = Request::new(GetCallerRequest {});
    if let Some(key) = key {
        request.metadata_mut().insert("x-api-key", key.parse().unwrap());
    }
    AccessServiceClient::new(channel).get_caller(request).await.map(|answer| answer.into_inner().name)
}

#[tokio::test(crate = "crate::support::limit")]
async fn certificate_is_the_caller_where_there_is_no_other_credential() {
    let folder = folder();
    let setting = start(folder.path(), &[]).await;
    let sign = |names: &[&str]| setting.authority.sign(named(names));
    let (billing, portal) = (sign(&[BILLING]), sign(&["portal.example.org"]));
    let refused = || Err(Code::Unauthenticated);
    let name = |name: &str| Ok(name.to_owned());
    let wrong = format!("{}x", setting.key);
    for (pair, key, expected) in [
        (Some(&billing), None, name("clientCertificates/billing")),
        (Some(&portal), None, name("clientCertificates/portal")),
        (Some(&sign(&["x.example.org", "portal.example.org"])), None, name("clientCertificates/portal")),
        (Some(&billing), Some(setting.key.as_str()), name("apiKeys/acme")),
        (None, Some(&setting.key), name("apiKeys/acme")),
        // The explicit credential is the one that counts.
        (Some(&billing), Some(&wrong), refused()),
        (None, None, refused()),
        (Some(&sign(&["other.example.org"])), None, refused()),
        (Some(&sign(&["sub.portal.example.org"])), None, refused()),
        (Some(&sign(&["spiffe://example.org/ns/shop/sa/billing/"])), None, refused()),
        (Some(&sign(&[])), None, refused()),
        // Names that stand for two callers stand for none.
        (Some(&sign(&[BILLING, "portal.example.org"])), None, refused()),
        (Some(&sign(&[BILLING, "spiffe://example.org/other"])), None, refused()),
    ] {
        assert_eq!(setting.caller(pair, key).await, expected);
    }
    let mut access = AccessServiceClient::new(setting.connect(Some(&portal)).await.unwrap());
    let caller = access.get_caller(GetCallerRequest {}).await.unwrap().into_inner();
    assert_eq!(caller.auth_mode(), AuthMode::ClientCertificate);
    assert_eq!((caller.account.as_str(), caller.organization_id.len()), ("acme", 36));
    let channel = setting.connect(Some(&billing)).await.unwrap();
    let denied = super::load::Create::new(channel).one().await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied, "{denied}");
    assert!(denied.message().contains("clientCertificates/billing"), "{denied}");
    setting.server.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn certificate_that_does_not_hold_is_not_served() {
    let folder = folder();
    let setting = start(folder.path(), &[("INVITATION__GRPC__TLS__CLIENT_AUTH", "required")]).await;
    let good = setting.authority.sign(named(&[BILLING]));
    assert_eq!(setting.caller(Some(&good), None).await.unwrap(), "clientCertificates/billing");
    let foreign = Authority::new().sign(named(&[BILLING]));
    let (mut expired, mut early) = (named(&[BILLING]), named(&[BILLING]));
    expired.not_after = rcgen::date_time_ymd(2001, 1, 1);
    early.not_before = rcgen::date_time_ymd(2999, 1, 1);
    let (expired, early) = (setting.authority.sign(expired), setting.authority.sign(early));
    for (pair, what) in
        [(Some(&foreign), "foreign"), (Some(&expired), "expired"), (Some(&early), "early"), (None, "none")]
    {
        // No call reaches the service, not even one with a key.
        let refused = setting.caller(pair, Some(&setting.key)).await.unwrap_err();
        assert_ne!(refused, Code::Unauthenticated, "{what}");
    }
    setting.server.logged("TLS handshakes failed").await;
    setting.server.stop().await;
}

/// Asks again until the answer is the expected one.
async fn until(channel: &Channel, expected: Result<&str, Code>) {
    let began = Instant::now();
    loop {
        let answer = caller(channel.clone(), None).await.map_err(|refused| refused.code());
        if answer.as_deref().map_err(|code| *code) == expected {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{answer:?} instead of {expected:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn changed_table_counts_for_open_connections_and_streams() {
    let folder = folder();
    let setting = start(folder.path(), &[]).await;
    let channel = setting.connect(Some(&setting.authority.sign(named(&[BILLING])))).await.unwrap();
    let mut events = EventServiceClient::new(channel.clone());
    let mut watch = events.watch_events(WatchEventsRequest::default()).await.unwrap().into_inner();
    let table = folder.path().join("clients.toml");
    fs::write(&table, TABLE.replace(BILLING, "spiffe://example.org/other")).unwrap();
    let ended = timeout(PATIENCE, async {
        while watch.message().await?.is_some() {}
        Ok::<_, Status>(())
    });
    assert_eq!(ended.await.unwrap().unwrap_err().code(), Code::Unauthenticated);
    until(&channel, Err(Code::Unauthenticated)).await;
    let line = setting.server.logged("client certificates were read again").await;
    assert!(line.contains("\"entries\":2") && line.contains("fingerprint"), "{line}");
    fs::write(&table, TABLE.replace("\"billing\"", "\"renamed\"")).unwrap();
    until(&channel, Ok("clientCertificates/renamed")).await;
    fs::write(&table, TABLE.replace("Portal.example.org", "*.example.org")).unwrap();
    let line = setting.server.logged("a file that changed cannot be used").await;
    assert!(line.contains("a DNS name without wildcards"), "{line}");
    until(&channel, Ok("clientCertificates/renamed")).await;
    setting.server.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn clients_of_an_authority_that_is_taken_out_lose_access() {
    let folder = folder();
    let setting = start(folder.path(), &[]).await;
    let next = Authority::new();
    let (old_client, new_client) = (setting.authority.sign(named(&[BILLING])), next.sign(named(&[BILLING])));
    let open = setting.connect(Some(&old_client)).await.unwrap();
    until(&open, Ok("clientCertificates/billing")).await;
    // Both, as in a rotation, and then the new one alone.
    publish_files(folder.path(), "..2", &setting.own, &format!("{}{}", setting.authority.pem(), next.pem()));
    setting.server.logged("the authorities of clients were read again").await;
    let both = setting.connect(Some(&new_client)).await.unwrap();
    until(&both, Ok("clientCertificates/billing")).await;
    until(&open, Ok("clientCertificates/billing")).await;
    publish_files(folder.path(), "..3", &setting.own, &next.pem());
    until(&open, Err(Code::Unauthenticated)).await;
    until(&both, Ok("clientCertificates/billing")).await;
    assert_ne!(setting.caller(Some(&old_client), Some(&setting.key)).await, Ok("apiKeys/acme".to_owned()));
    publish_files(folder.path(), "..4", &setting.own, "nothing");
    setting.server.logged("client_ca_file: there is no certificate in PEM").await;
    until(&both, Ok("clientCertificates/billing")).await;
    setting.server.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn settings_that_let_nobody_in_are_refused() {
    let folder = folder();
    let authority = Authority::new();
    let own = authority.server();
    api_key(folder.path(), "acme", "*").await;
    publish_files(folder.path(), "..1", &own, &authority.pem());
    let write = |text: &str| fs::write(folder.path().join("clients.toml"), text).unwrap();
    let check = async |environment: &[(&str, &str)]| run(folder.path(), &["check-config"], environment).await;
    let [mode, keys, clients, cert, key, ca] = WITH_CLIENTS;
    let required = ("INVITATION__GRPC__TLS__CLIENT_AUTH", "required");
    write(TABLE);
    for (environment, problem) in [
        (&[ca][..], "grpc.tls.client_ca_file: has no effect without grpc.tls.cert_file"),
        (&[cert, key, required], "grpc.tls.client_auth: needs grpc.tls.client_ca_file"),
        (&[mode, keys, clients], "auth.client_certificates_file: has no effect without grpc.tls.client_ca_file"),
        (
            &[mode, keys, clients, cert, key],
            "auth.client_certificates_file: has no effect without grpc.tls.client_ca_file",
        ),
        (&[clients, cert, key, ca], "has no effect while auth.mode is \"none\""),
        (&[cert, key, (ca.0, "tls/tls.key")], "no certificate in PEM"),
    ] {
        let text = refusal(&check(environment).await);
        assert!(text.contains(problem), "{problem}: {text}");
    }
    let entry = |name: &str, san: &str| {
        format!("[[client_certificate]]\nname = {name:?}\nsan = {san:?}\naccount = \"a\"\npermissions = [\"*\"]\n")
    };
    for (table, problem) in [
        (String::new(), "has no [[client_certificate]] entry"),
        (entry("a", "*.example.org"), "san must be a DNS name without wildcards"),
        (entry("a", "https://example.org/a"), "san must be"),
        (entry("two words", "a.example"), "name must be"),
        (entry("a", "a.example") + &entry("a", "b.example"), "another entry has the same name"),
        (entry("a", "a.example") + &entry("b", "A.example"), "another entry has the same san"),
        (entry("a", "a.example") + "organization_id = \"x\"\n", "organization_id must be a UUID"),
        (entry("a", "a.example").replace('*', "everything"), "there is no permission"),
        (entry("a", "a.example") + "expires = 1\n", "unknown field"),
    ] {
        write(&table);
        let text = refusal(&check(&[mode, clients, cert, key, ca]).await);
        assert!(text.contains(problem), "{problem}: {text}");
    }
    write(TABLE);
    let shown = super::server::printed(&check(&[mode, clients, cert, key, ca, required]).await);
    for part in ["client_auth = \"required\"", "# certificate portal of portal.example.org acts in \"acme\" with *"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}
