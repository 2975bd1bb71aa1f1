//! No JWT, and not the token that the keys are fetched with, is in anything that the service writes.

use invitation_service::clock::Clock;
use invitation_service::pb;
use invitation_service::pb::access_service_client::AccessServiceClient;
use serde_json::json;

use super::{contains, files};
use crate::cli::server::Server;
use crate::support::folder::folder;
use crate::support::jwt::{JwksServer, Signer, issuers_file, jwks, with};

const BEARER: &str = "bearer-of-the-cluster";

#[tokio::test(crate = "crate::support::limit")]
async fn output_holds_no_jwt_and_no_word_of_a_refused_one() {
    let (folder, signer, keys) = (folder(), Signer::new("one"), JwksServer::start().await);
    keys.set(&jwks(&[&signer]));
    std::fs::write(folder.path().join("bearer"), BEARER).unwrap();
    issuers_file(folder.path(), &format!("jwks_url = \"{}?key=hunter2\"\nbearer_file = \"bearer\"", keys.url));
    let environment = [("INVITATION__AUTH__MODE", "required"), ("INVITATION__AUTH__JWT_ISSUERS_FILE", "issuers.toml")];
    let server = Server::ready(folder.path(), &["--log-level", "trace"], &environment).await;
    let now = Clock::system().now().micros() / 1_000_000;
    let mut access = AccessServiceClient::new(server.channel().await);
    let good = signer.token(now, "billing", json!({"more": "private-claim"}));
    while access.get_caller(with(&good, pb::GetCallerRequest {})).await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let forged = Signer::new("one").token(now, "mallory\nforged", json!({"iss": "https://mallory.example/\nforged"}));
    let refused = [
        signer.token(now - 1_000, "expired", json!({})),
        signer.token(now, "elsewhere", json!({"aud": "private-audience"})),
        Signer::new("private-kid").token(now, "billing", json!({})),
        forged,
        format!("{good}x"),
    ];
    for token in &refused {
        access.get_caller(with(token, pb::GetCallerRequest {})).await.unwrap_err();
    }
    let mut written = files(&folder.path().join("data"));
    server.logged("\"reason\":\"JWT\",\"detail\":\"none of its audiences").await;
    server.logged("issuers/main/subjects/billing").await;
    let log = server.log();
    written.push(("the log".to_owned(), log.into_bytes()));
    server.stop().await;
    let mut secrets: Vec<&str> = vec![BEARER, "hunter2", "mallory", "private-claim", "private-audience", "private-kid"];
    secrets.extend(refused.iter().chain([&good]).flat_map(|token| token.split('.').skip(1)));
    for (place, bytes) in &written {
        for secret in &secrets {
            assert!(!contains(bytes, secret.trim_end_matches('x').as_bytes()), "{secret} is in {place}");
        }
    }
}
