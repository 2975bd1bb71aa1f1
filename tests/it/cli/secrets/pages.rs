//! The pages: no token, code, cookie, receipt or address of a visit is in the log.

use invitation_service::pb;
use invitation_service::pb::user_invitation_service_client::UserInvitationServiceClient;

use super::{EMAIL, with};
use crate::cli::keys::{WITH_KEYS, api_key};
use crate::cli::server::Server;
use crate::pages::person::{Person, WELCOME};
use crate::support::codes::code_of;
use crate::support::folder::folder;

#[tokio::test(crate = "crate::support::limit")]
async fn log_of_a_visit_holds_nothing_of_it() {
    let folder = folder();
    let key = api_key(folder.path(), "acme", "*").await;
    let arguments = [&WITH_KEYS[..], &["--log-level", "trace"]].concat();
    let environment = [
        ("INVITATION__PAGES__LISTEN", "127.0.0.1:0"),
        ("INVITATION__PAGES__API_KEY", key.as_str()),
        ("INVITATION__LINKS__REDIRECTS", "https://app.example"),
    ];
    let server = Server::ready(folder.path(), &arguments, &environment).await;
    let line = server.logged("listening for requests for pages").await;
    let (_, port) = line.split_once("127.0.0.1:").unwrap();
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    let user = pb::UserInvitation {
        invited_email: EMAIL.to_owned(),
        inviter: Some(pb::Inviter { display_name: "Bob".to_owned(), ..Default::default() }),
        redirect_uri: WELCOME.to_owned(),
        ..Default::default()
    };
    let create = pb::CreateUserInvitationRequest { user_invitation: Some(user), ..Default::default() };
    let mut users = UserInvitationServiceClient::new(server.channel().await);
    let made = users.create_user_invitation(with(&key, create)).await.unwrap().into_inner();

    let mut jane = Person::at(&format!("127.0.0.1:{port}"));
    jane.get(&format!("/i/{}x", made.invitation_token)).await;
    let page = jane.open(&made.invitation_token).await;
    let opened = jane.cookie.clone().unwrap();
    let page = jane.answer(&page, "/i/code", &[("email", EMAIL)]).await;
    let ring = std::fs::read_to_string(folder.path().join("data/invitations.keys")).unwrap();
    let database = format!("sqlite://{}", folder.path().join("data/invitations.db").display());
    let database = sea_orm::Database::connect(database).await.unwrap();
    let code = code_of(&database, ring.trim(), EMAIL).await.unwrap();
    jane.submit(&page, "/i/verify", &[("code", "000000")]).await;
    let page = jane.answer(&page, "/i/verify", &[("code", &code)]).await;
    let done = jane.answer(&page, "/i/accept", &[]).await;
    let (token, receipt, visit) = (&made.invitation_token["inv_".len()..], done.receipt(), page.visit());
    let cookie = jane.cookie.clone().unwrap();
    server.logged("\"page\":\"accept\"").await;
    let log = server.log();
    for page in ["link", "page", "code", "verify", "accept"] {
        assert!(log.contains(&format!("\"page\":\"{page}\"")), "{page} is not in the log:\n{log}");
    }
    let value = |cookie: &str| cookie.split_once('=').unwrap().1.to_owned();
    let words = log.split(|c: char| !c.is_alphanumeric() && c != '.');
    assert_eq!(words.filter(|word| *word == code).count(), 0, "the code is in the log:\n{log}");
    let secrets = [
        token,
        &token[token.len() - 22..],
        &receipt,
        &visit,
        &value(&opened),
        &value(&cookie),
        &key,
        EMAIL,
        "jane.doe",
    ];
    for secret in secrets {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
    server.stop().await;
}
