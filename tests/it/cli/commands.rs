//! The refusals of the command line, in words that help, and the secrets that it never shows.

use std::fs;

use super::server::{Server, printed, refusal, run};
use crate::support::folder::folder;

const PASSWORD: &str = "hunter2-of-the-database";
const KEY: &str = "7:c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IDEyMzQ=";

#[tokio::test(crate = "crate::support::limit")]
async fn check_config_shows_what_counts_and_no_secret() {
    let folder = folder();
    let url = format!(
        "postgres://app:{PASSWORD}@db.example:5433/invitations?sslmode=verify-full&application_name={PASSWORD}"
    );
    let file = folder.path().join("service.toml");
    fs::write(&file, "[grpc]\nlisten = \"127.0.0.1:1\"\nrequest_timeout = \"9s\"\n").unwrap();
    let environment = [
        ("INVITATION__STORE__URL", url.as_str()),
        ("INVITATION__TOKEN__KEYS", KEY),
        ("INVITATION__GRPC__LISTEN", "127.0.0.1:2"),
    ];
    let arguments = ["check-config", "--config", "service.toml", "--listen", "127.0.0.1:3"];
    let text = printed(&run(folder.path(), &arguments, &environment).await);
    for secret in [PASSWORD, KEY, &KEY[2..]] {
        assert!(!text.contains(secret), "{text}");
    }
    for wanted in ["listen = \"127.0.0.1:3\"", "request_timeout = \"9s\"", "db.example:5433/invitations", "[redacted]"]
    {
        assert!(text.contains(wanted), "{wanted} is not in:\n{text}");
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn wrong_configuration_is_refused_without_its_secrets() {
    let folder = folder();
    fs::write(folder.path().join("service.toml"), "[grpc]\nlistne = \"127.0.0.1:1\"\n").unwrap();
    let environment = [
        ("INVITATION__STORE__URL", "mysql://app:hunter2-of-the-database@db/x"),
        ("INVITATION__STROE__URL", "x"),
        ("INVITATION__TOKEN__KEYS", KEY),
        ("INVITATION__GRPC__REQUEST_TIMEOUT", "soon"),
    ];
    for command in ["serve", "check-config"] {
        let text = refusal(&run(folder.path(), &[command, "--config", "service.toml"], &environment).await);
        for wanted in ["grpc.listne", "INVITATION__STROE__URL", "store.url", "grpc.request_timeout"] {
            assert!(text.contains(wanted), "{wanted} is not in:\n{text}");
        }
        assert!(!text.contains(PASSWORD) && !text.contains(&KEY[2..]), "{text}");
    }
    assert!(!folder.path().join("data").exists(), "nothing is made before the configuration is right");
}

#[tokio::test(crate = "crate::support::limit")]
async fn open_access_from_other_machines_is_refused() {
    let folder = folder();
    for address in ["0.0.0.0:0", "[::]:0"] {
        let text = refusal(&run(folder.path(), &["serve", "--listen", address], &[]).await);
        assert!(text.contains("auth.mode") && text.contains("loopback") && text.contains("required"), "{text}");
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn postgresql_without_keys_of_its_own_is_refused() {
    let folder = folder();
    let text = refusal(&run(folder.path(), &["serve", "--store-url", "postgres://a:b@127.0.0.1:1/c"], &[]).await);
    assert!(text.contains("token.keys") && text.contains("invitation-service token-key"), "{text}");
}

#[tokio::test(crate = "crate::support::limit")]
async fn second_process_on_a_sqlite_file_is_refused() {
    let folder = folder();
    let server = Server::ready(folder.path(), &[], &[]).await;
    for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["migrate"]] {
        let text = refusal(&run(folder.path(), arguments, &[]).await);
        assert!(text.contains("data/invitations.db is in use by another process of this service"), "{text}");
    }
    server.create().await.one().await.unwrap();
    server.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn port_that_is_taken_is_named() {
    let folder = folder();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = refusal(&run(folder.path(), &["serve", "--listen", &address], &[]).await);
    assert!(text.contains(&address) && text.contains("grpc.listen"), "{text}");
}
