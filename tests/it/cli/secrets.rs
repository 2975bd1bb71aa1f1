//! Nothing that opens a door, and nobody's address, is in what the service writes, with everything logged that can be.

mod jwt;
mod pages;

use std::fs;
use std::path::Path;

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use invitation_service::pb;
use invitation_service::pb::access_service_client::AccessServiceClient;
use invitation_service::pb::connection_invitation_service_client::ConnectionInvitationServiceClient;
use invitation_service::pb::guest_invitation_service_client::GuestInvitationServiceClient;
use invitation_service::pb::invitation_service_client::InvitationServiceClient;
use invitation_service::pb::redemption_service_client::RedemptionServiceClient;
use invitation_service::pb::user_invitation_service_client::UserInvitationServiceClient;
use tonic::Request;
use tonic::transport::Channel;

use super::keys::{WITH_KEYS, api_key};
use super::load::COMPANY;
use super::server::Server;
use crate::contract::codes;
use crate::rpc::redemption::keys::altered;
use crate::support::codes::code_of;
use crate::support::folder::folder;

const EMAIL: &str = "jane.doe@private.example";

/// A client of links.
pub(super) async fn redemptions(server: &Server) -> RedemptionServiceClient<Channel> {
    RedemptionServiceClient::new(server.channel().await)
}

pub(super) fn preview(token: &str) -> pb::PreviewInvitationRequest {
    pb::PreviewInvitationRequest { token: token.to_owned() }
}

#[tokio::test(crate = "crate::support::limit")]
async fn output_holds_no_secret_and_the_log_no_address() {
    let folder = folder();
    let key = api_key(folder.path(), "acme", "*").await;
    let arguments = [&WITH_KEYS[..], &["--log-level", "trace"]].concat();
    let server = Server::ready(folder.path(), &arguments, &[]).await;
    let tokens = live(&server, &key).await;
    let made = made_key(&server, &key).await;
    let (code, proof) = verify(folder.path(), &server, &key, tokens.last().unwrap()).await;
    let log = server.log();
    assert!(log.lines().filter(|line| line.contains("answered")).count() >= 9, "the calls are not in the log:\n{log}");
    let explains =
        |line: &&str| ["answered", "INVITATION_NOT_FOUND", "apiKeys/"].iter().all(|part| line.contains(part));
    assert!(
        log.lines().filter(explains).count() >= 2,
        "the log does not say why a call was refused, and whose:\n{log}"
    );
    // Before the end, which folds the write-ahead log into the file.
    let mut written = files(&folder.path().join("data"));
    server.stop().await;
    written.extend(files(&folder.path().join("data")));
    assert!(written.iter().any(|(name, bytes)| name.ends_with("-wal") && !bytes.is_empty()), "no write-ahead log");
    assert!(written.iter().any(|(_, bytes)| contains(bytes, EMAIL.as_bytes())), "the search finds what is there");
    written.push(("the log".to_owned(), log.clone().into_bytes()));

    let ring = fs::read_to_string(folder.path().join("data/invitations.keys")).unwrap();
    let (_, token_key) = ring.trim().split_once(':').unwrap();
    let mut secrets = forms("the API key", &key, key.as_bytes());
    secrets.extend(forms("the API key without its prefix", &key["ivk_".len()..], key.as_bytes()));
    secrets.extend(forms(
        "a key that was made",
        &made[4..47],
        &BASE64URL_NOPAD.decode(&made.as_bytes()[4..47]).unwrap(),
    ));
    secrets.extend(forms("the token key", token_key, &BASE64.decode(token_key.as_bytes()).unwrap()));
    secrets.extend(forms("a proof", &proof, &BASE64URL_NOPAD.decode(proof.as_bytes()).unwrap()));
    let words = log.split(|c: char| !c.is_alphanumeric() && c != '.');
    assert_eq!(words.filter(|word| *word == code).count(), 0, "the code is in the log:\n{log}");
    for token in &tokens {
        let payload = token.strip_prefix("inv_").unwrap();
        let bytes = BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap();
        secrets.extend(forms("a token", payload, &bytes));
        // The rest of it is the id of the invitation, which is everywhere.
        secrets.extend(forms("the signature of a token", &payload[payload.len() - 22..], &bytes[bytes.len() - 17..]));
    }
    for (place, bytes) in &written {
        for (what, secret) in &secrets {
            assert!(!contains(bytes, secret), "{what} is in {place}");
        }
    }
    // Masked, an address keeps its first letter and its domain.
    for address in [EMAIL, "jane.doe", "ane.doe", "Jane Doe"] {
        assert!(!log.to_lowercase().contains(&address.to_lowercase()), "{address} is in the log:\n{log}");
    }
}

/// Calls everything that sees a token or an address, rightly and wrongly, and returns the tokens.
async fn live(server: &Server, key: &str) -> Vec<String> {
    let channel = server.channel().await;
    let mut connections = ConnectionInvitationServiceClient::new(channel.clone());
    let mut redemptions = RedemptionServiceClient::new(channel);
    let invitation = pb::ConnectionInvitation {
        company_id: COMPANY.to_owned(),
        allowed_emails: vec![EMAIL.to_owned()],
        ..Default::default()
    };
    let create = |email: &str| pb::CreateConnectionInvitationRequest {
        connection_invitation: Some(pb::ConnectionInvitation {
            allowed_emails: vec![email.to_owned()],
            ..invitation.clone()
        }),
        request_id: "order-1".to_owned(),
        ..Default::default()
    };
    let made = connections.create_connection_invitation(with(key, create(EMAIL))).await.unwrap().into_inner();
    connections.create_connection_invitation(with(key, create(EMAIL))).await.unwrap();
    connections.create_connection_invitation(with(key, create(&format!("{EMAIL}\r\n{EMAIL}")))).await.unwrap_err();
    connections.create_connection_invitation(with(&format!("{key}x"), create(EMAIL))).await.unwrap_err();
    let first = made.invitation_token;
    let resend = pb::ResendConnectionInvitationRequest { name: made.name, rotate_token: true, ..Default::default() };
    let resent = connections.resend_connection_invitation(with(key, resend)).await.unwrap().into_inner();
    let second = resent.invitation_token;
    assert_ne!(first, second);

    redemptions.preview_invitation(with(key, preview(&first))).await.unwrap_err();
    redemptions.preview_invitation(with(key, preview(&format!("{second}x")))).await.unwrap_err();
    redemptions.preview_invitation(with(key, preview(&second))).await.unwrap();
    for email_verified in [false, true] {
        let acceptor = pb::Acceptor {
            subject: "jane".to_owned(),
            email: EMAIL.to_owned(),
            email_verified,
            display_name: "Jane Doe".to_owned(),
            ..Default::default()
        };
        let accept =
            pb::AcceptInvitationRequest { token: second.clone(), acceptor: Some(acceptor), ..Default::default() };
        assert_eq!(redemptions.accept_invitation(with(key, accept)).await.is_ok(), email_verified);
    }
    let mut tokens = vec![first, second];
    tokens.extend(live_of_the_other_kinds(server, key).await);
    tokens
}

/// Makes an API key, calls with it rightly and wrongly, revokes it, and returns it.
async fn made_key(server: &Server, key: &str) -> String {
    let mut access = AccessServiceClient::new(server.channel().await);
    let api_key = Some(pb::ApiKey { permissions: vec!["events.read".to_owned()], ..Default::default() });
    let create = pb::CreateApiKeyRequest { api_key_id: "made".to_owned(), api_key, ..Default::default() };
    let made = access.create_api_key(with(key, create)).await.unwrap().into_inner();
    let ask = pb::GetCallerRequest {};
    access.get_caller(with(&made.key_string, ask)).await.unwrap();
    access.get_caller(with(&altered(&made.key_string, 52), ask)).await.unwrap_err();
    access.list_api_keys(with(&made.key_string, pb::ListApiKeysRequest::default())).await.unwrap_err();
    let revoke = pb::RevokeApiKeyRequest { name: made.name, ..Default::default() };
    access.revoke_api_key(with(key, revoke)).await.unwrap();
    made.key_string
}

/// Proves the address by a code, wrongly and rightly, accepts with the proof, and returns the code and the proof.
async fn verify(folder: &Path, server: &Server, key: &str, token: &str) -> (String, String) {
    let mut redemptions = redemptions(server).await;
    let send = codes::asking(token, EMAIL);
    redemptions.send_verification_code(with(key, send.clone())).await.unwrap();
    redemptions.send_verification_code(with(key, send)).await.unwrap_err();
    let database = format!("sqlite://{}", folder.join("data/invitations.db").display());
    let database = sea_orm::Database::connect(database).await.unwrap();
    let keys = fs::read_to_string(folder.join("data/invitations.keys")).unwrap();
    let code = code_of(&database, keys.trim(), EMAIL).await.unwrap();
    database.close().await.unwrap();
    let verify = |code: &str| with(key, codes::trying(token, EMAIL, code));
    let wrong: String = code.chars().rev().map(|digit| if digit == '9' { '0' } else { '9' }).collect();
    redemptions.verify_email(verify(&wrong)).await.unwrap_err();
    let proof = redemptions.verify_email(verify(&code)).await.unwrap().into_inner().email_proof;
    let acceptor = Some(pb::Acceptor { subject: "jane".to_owned(), ..Default::default() });
    let (token, email_proof) = (token.to_owned(), proof.clone());
    let accept = pb::AcceptInvitationRequest { token, acceptor, email_proof, ..Default::default() };
    redemptions.accept_invitation(with(key, accept)).await.unwrap();
    (code, proof)
}

/// The same for a user, a guest and a general invitation.
async fn live_of_the_other_kinds(server: &Server, key: &str) -> Vec<String> {
    let channel = server.channel().await;
    let user = pb::UserInvitation {
        invited_email: EMAIL.to_owned(),
        inviter: Some(pb::Inviter { display_name: "Jane Doe".to_owned(), ..Default::default() }),
        ..Default::default()
    };
    let user = pb::CreateUserInvitationRequest { user_invitation: Some(user), ..Default::default() };
    let mut users = UserInvitationServiceClient::new(channel.clone());
    let made = users.create_user_invitation(with(key, user.clone())).await.unwrap().into_inner();
    users.create_user_invitation(with(key, user)).await.unwrap_err();
    let mut tokens = vec![made.invitation_token];

    let expire_time = Some(prost_types::Timestamp { seconds: 4_000_000_000, nanos: 0 });
    let guest = pb::GuestInvitation {
        email: EMAIL.to_owned(),
        expiration: expire_time.map(pb::guest_invitation::Expiration::ExpireTime),
        ..Default::default()
    };
    let guest = pb::CreateGuestInvitationRequest { guest_invitation: Some(guest), ..Default::default() };
    let mut guest = with(key, guest);
    for name in ["requester-organization-id", "target-organization-id"] {
        guest.metadata_mut().insert(name, COMPANY.parse().unwrap());
    }
    let mut guests = GuestInvitationServiceClient::new(channel.clone());
    tokens.push(guests.create_guest_invitation(guest).await.unwrap().into_inner().invitation_token);

    let target = pb::Target {
        r#type: pb::TargetType::Email.into(),
        value: EMAIL.to_owned(),
        display_name: "Jane Doe".to_owned(),
        ..Default::default()
    };
    let general = pb::Invitation { targets: vec![target.clone()], ..Default::default() };
    let general = pb::CreateInvitationRequest { invitation: Some(general), ..Default::default() };
    let mut invitations = InvitationServiceClient::new(channel);
    let made = invitations.create_invitation(with(key, general)).await.unwrap().into_inner();
    let open = pb::TargetRef { r#type: target.r#type, value: target.value };
    let open = pb::ListOpenInvitationsRequest { target: Some(open), ..Default::default() };
    let open = invitations.list_open_invitations(with(key, open)).await.unwrap().into_inner();
    assert_eq!(open.invitations.len(), 3, "the connection invitation was answered by this address");
    tokens.push(made.invitation_token);
    tokens
}

fn with<T>(key: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-api-key", key.parse().unwrap());
    request
}

/// A secret as it is carried about, as the bytes it stands for, and as the usual texts of those bytes.
fn forms(what: &str, text: &str, bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let hex = HEXLOWER.encode(bytes);
    let numbers = format!("{bytes:?}");
    let texts = [text.to_owned(), BASE64.encode(bytes), hex.to_uppercase(), hex, numbers];
    let forms = texts.into_iter().map(String::into_bytes).chain([bytes.to_vec()]);
    forms.map(|form| (what.to_owned(), form)).collect()
}

/// Everything in the folder but the file that is there to hold the key.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let paths = paths.filter(|path| path.extension().is_none_or(|extension| extension != "keys"));
    paths.map(|path| (path.display().to_string(), fs::read(&path).unwrap())).collect()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
