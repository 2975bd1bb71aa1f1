//! Backups and their restores, as docs/operations.md describes them, on both databases.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use invitation_service::pb;
use invitation_service::pb::privacy_service_client::PrivacyServiceClient;
use invitation_service::pb::user_invitation_service_client::UserInvitationServiceClient;

use super::load::{Load, kept};
use super::server::{Server, printed, refusal, run};
use crate::support::database::TestDatabase;
use crate::support::folder::folder;
use crate::support::postgres;
use crate::support::service::KEYS;

const EMAIL: &str = "erased@example.org";

async fn invite(server: &Server) {
    let invitation = pb::UserInvitation {
        invited_email: EMAIL.to_owned(),
        inviter: Some(pb::Inviter { display_name: "Ada".to_owned(), ..Default::default() }),
        ..Default::default()
    };
    let request = pb::CreateUserInvitationRequest { user_invitation: Some(invitation), ..Default::default() };
    UserInvitationServiceClient::new(server.channel().await).create_user_invitation(request).await.unwrap();
}

async fn erase(server: &Server) {
    let request = pb::EraseRecipientRequest { email: EMAIL.to_owned(), ..Default::default() };
    PrivacyServiceClient::new(server.channel().await).erase_recipient(request).await.unwrap();
}

/// Lists the tombstones, and applies them to what was restored: the person is found again, and erased again.
async fn erase_again(folder: &Path, tombstones: &str, environment: &[(&str, &str)]) {
    fs::write(folder.join("tombstones"), tombstones).unwrap();
    let said = printed(&run(folder, &["erase-again", "--tombstones", "tombstones"], environment).await);
    assert!(said.contains("erased 1 people again"), "{said}");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn copy_of_a_file_under_load_is_whole_and_can_be_restored() {
    let folder = folder();
    let server = Server::ready(folder.path(), &[], &[]).await;
    invite(&server).await;
    let mut load = Load::start(&server, 8).await;
    load.go_on_for(100).await;
    let before = kept(&server).await;
    let said = printed(&run(folder.path(), &["backup", "copy.db"], &[]).await);
    assert!(said.contains("copied data/invitations.db to copy.db") && said.contains("copy.keys"), "{said}");
    load.go_on_for(100).await;
    let book = load.stop().await;
    book.none_lost(&kept(&server).await);
    erase(&server).await;
    let tombstones = printed(&run(folder.path(), &["erasures"], &[]).await);
    server.stop().await;
    let (copy, keys) = (folder.path().join("copy.db"), folder.path().join("copy.keys"));
    assert_eq!((mode(&copy), mode(&keys)), (0o600, 0o600));
    assert_eq!(fs::read(&keys).unwrap(), fs::read(folder.path().join("data/invitations.keys")).unwrap());
    assert!(!folder.path().join("copy.db.partial").exists());
    for name in ["copy.db", "copy.keys"] {
        let text = refusal(&run(folder.path(), &["backup", "copy.db"], &[]).await);
        assert!(text.contains("a backup overwrites nothing"), "{text}");
        fs::rename(folder.path().join(name), folder.path().join("aside")).unwrap();
        if name == "copy.keys" {
            continue;
        }
        let text = refusal(&run(folder.path(), &["backup", "copy.db"], &[]).await);
        assert!(text.contains("copy.keys is there already"), "{text}");
        fs::rename(folder.path().join("aside"), folder.path().join(name)).unwrap();
    }
    fs::rename(folder.path().join("aside"), &keys).unwrap();
    let checked = printed(&run(folder.path(), &["doctor", "--store-url", "sqlite://copy.db"], &[]).await);
    assert!(checked.contains("quick_check finds no damage") && checked.contains("fits the database"), "{checked}");

    // The machine is lost. What is restored has the person again who was erased since.
    fs::remove_dir_all(folder.path().join("data")).unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::copy(&copy, folder.path().join("data/invitations.db")).unwrap();
    fs::copy(&keys, folder.path().join("data/invitations.keys")).unwrap();
    erase_again(folder.path(), &tombstones, &[]).await;
    let server = Server::ready(folder.path(), &[], &[]).await;
    assert!(before.is_subset(&kept(&server).await), "what the copy had is there");
    server.create().await.one().await.unwrap();
    server.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn backup_says_what_it_cannot_do() {
    let folder = folder();
    let text = refusal(&run(folder.path(), &["backup", "copy.db"], &[]).await);
    assert!(text.contains("data/invitations.db cannot be copied"), "{text}");
    let postgres = [("INVITATION__STORE__URL", "postgres://u:p@127.0.0.1:9/d"), ("INVITATION__TOKEN__KEYS", KEYS)];
    let output = run(folder.path(), &["backup", "copy.db"], &postgres).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(refusal(&output).contains("pg_dump"));
    Server::ready(folder.path(), &[], &[("INVITATION__TOKEN__KEYS", KEYS)]).await.stop().await;
    let said = printed(&run(folder.path(), &["backup", "copy.db"], &[("INVITATION__TOKEN__KEYS", KEYS)]).await);
    assert!(said.contains("its keys are those of token.keys") && !folder.path().join("copy.keys").exists(), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn dump_of_postgresql_is_restored_with_its_tombstones() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let folder = folder();
    let of = |url: &str| [("INVITATION__STORE__URL", url.to_owned()), ("INVITATION__TOKEN__KEYS", KEYS.to_owned())];
    let own = of(database.url());
    let environment: Vec<_> = own.iter().map(|(name, value)| (*name, value.as_str())).collect();
    printed(&run(folder.path(), &["migrate"], &environment).await);
    let server = Server::ready(folder.path(), &[], &environment).await;
    invite(&server).await;
    server.create().await.one().await.unwrap();
    let before = kept(&server).await;
    let tool = |name: &str, arguments: &[&str]| {
        let output = Command::new(postgres::program(name)).args(arguments).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let dbname = format!("--dbname={}", database.direct());
    tool("pg_dump", &["--format=custom", "--no-owner", "--file=copy.dump", &dbname]);
    erase(&server).await;
    server.stop().await;
    let tombstones = printed(&run(folder.path(), &["erasures"], &environment).await);
    let restored = TestDatabase::postgres().await.unwrap();
    let dbname = format!("--dbname={}", restored.direct());
    tool("pg_restore", &["--no-owner", "--exit-on-error", "--single-transaction", &dbname, "copy.dump"]);
    let own = of(restored.url());
    let environment: Vec<_> = own.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let checked = printed(&run(folder.path(), &["doctor"], &environment).await);
    assert!(checked.contains("fits the database"), "{checked}");
    erase_again(folder.path(), &tombstones, &environment).await;
    let server = Server::ready(folder.path(), &[], &environment).await;
    assert_eq!(kept(&server).await, before);
    server.stop().await;
}
