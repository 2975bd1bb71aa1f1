//! Tokens that do not count: refused alike, and the forged ones without a query.

use std::net::{Ipv4Addr, SocketAddr};

use invitation_service::auth::permission::Permission;
use invitation_service::clock::Clock;
use invitation_service::pb;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use url::Url;

use super::keys;
use crate::contract::codes;
use crate::contract::raw::told;
use crate::support::build::messages;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::expect::refused;
use crate::support::on_both;
use crate::support::service::{Service, configuration};

on_both!(
    migrated:
    no_changed_byte_of_a_token_passes,
    every_token_that_does_not_count_gets_the_same_answer,
    rotated_link_is_dead_and_the_new_one_works,
);

const ANN: &str = "ann@example.org";

/// Asserts that a token counts, for each RPC that takes one.
async fn counts(service: &Service, key: &str, token: &str) {
    let [preview, engagement, sending, verification, acceptance, decline] = redeem(service, key, token).await;
    preview.unwrap();
    engagement.unwrap();
    sending.unwrap();
    refused(verification, Code::PermissionDenied, "VERIFICATION_CODE_INVALID");
    acceptance.unwrap();
    refused(decline, Code::FailedPrecondition, "NOT_DECLINABLE");
}

/// The answer of each RPC that takes a token to this one.
async fn redeem(service: &Service, key: &str, token: &str) -> [Result<(), Status>; 6] {
    let mut redemptions = service.redemptions();
    let preview = pb::PreviewInvitationRequest { token: token.to_owned() };
    [
        redemptions.preview_invitation(keys::with(key, preview)).await.map(drop),
        redemptions.record_engagement(keys::with(key, messages::view(token))).await.map(drop),
        redemptions.send_verification_code(keys::with(key, codes::asking(token, ANN))).await.map(drop),
        redemptions.verify_email(keys::with(key, codes::trying(token, ANN, "123456"))).await.map(drop),
        redemptions.accept_invitation(keys::with(key, messages::accept(token, "ann"))).await.map(drop),
        redemptions.decline_invitation(keys::with(key, messages::decline(token))).await.map(drop),
    ]
}

async fn no_changed_byte_of_a_token_passes(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation()).await;
    let token = made.invitation_token.as_bytes();
    assert_eq!(token.len(), 56, "inv_ and 52 characters");
    for at in 0..token.len() {
        // A neighbour in the alphabet, one far away, one beyond the alphabet, and padding.
        let others =
            [if token[at] == b'A' { b'B' } else { b'A' }, if token[at] == b'z' { b'y' } else { b'z' }, b'.', b'='];
        for other in others {
            let mut forged = token.to_vec();
            forged[at] = other;
            for answer in redeem(&service, "none", &String::from_utf8(forged).unwrap()).await {
                refused(answer, Code::NotFound, "INVITATION_NOT_FOUND");
            }
        }
    }
    assert_eq!(messages::event_types(&service, &made.name).await, ["invitation.created"]);
    counts(&service, "none", &made.invitation_token).await;
    service.stop().await;
}

async fn every_token_that_does_not_count_gets_the_same_answer(database: TestDatabase) {
    let (service, key) = keys::start(&database, &[("ours", "*"), ("theirs", "*")]).await;
    let mut connections = service.connections();
    let made =
        connections.create_connection_invitation(keys::with(&key[0], messages::creation(messages::invitation()))).await;
    let made = made.unwrap().into_inner();
    let theirs =
        connections.create_connection_invitation(keys::with(&key[1], messages::creation(messages::invitation()))).await;
    let resend =
        pb::ResendConnectionInvitationRequest { name: made.name.clone(), rotate_token: true, ..Default::default() };
    let rotated = connections.resend_connection_invitation(keys::with(&key[0], resend)).await.unwrap().into_inner();
    let good = rotated.invitation_token;
    let cases = [
        ("rotated away", made.invitation_token.clone()),
        ("of another account", theirs.unwrap().into_inner().invitation_token),
        ("of no invitation", messages::mailed_token("01920000-0000-7000-8000-000000000000", 0)),
        ("of a recipient that is none", messages::mailed_token(&made.uid, 1)),
        ("a typed name", made.name.clone()),
        ("a name", format!("invitations/{}", made.uid)),
        ("an id", made.uid.clone()),
        ("the link", rotated.invitation_uri),
        ("cut short", good[..55].to_owned()),
        ("the prefix", "inv_".to_owned()),
        ("without prefix", good[4..].to_owned()),
        ("with a tail", format!("{good}A")),
        ("padded", format!("{good}=")),
        ("with a space", format!("{good} ")),
        ("with a line end", format!("{good}\n")),
        ("in capitals", good.to_uppercase()),
        ("nonsense", "x".to_owned()),
        ("long", "A".repeat(100_000)),
        ("not ASCII", "inv_\u{e9}\u{1f512}".to_owned()),
    ];
    let [first, ..] = redeem(&service, &key[0], "x").await;
    let wanted = told(&refused(first, Code::NotFound, "INVITATION_NOT_FOUND"));
    for (case, token) in cases {
        for answer in redeem(&service, &key[0], &token).await {
            assert_eq!(told(&answer.expect_err(case)), wanted, "{case}");
        }
    }
    counts(&service, &key[0], &good).await;
    service.stop().await;
}

async fn rotated_link_is_dead_and_the_new_one_works(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation_for(&["ann@example.org", "bob@example.org"])).await;
    let mailed = messages::mailed_token(&made.uid, 1);
    let request = pb::PreviewInvitationRequest { token: mailed.clone() };
    let preview = service.redemptions().preview_invitation(request.clone()).await.unwrap().into_inner();
    assert_eq!(preview.recipient_email, "ann@example.org");
    let rotated = messages::rotate(&service, &made.name).await;
    assert_ne!(rotated.invitation_token, made.invitation_token);
    assert!(rotated.invitation_uri.ends_with(&rotated.invitation_token), "the link has the token");
    for dead in [&made.invitation_token, &mailed] {
        for answer in redeem(&service, "none", dead).await {
            refused(answer, Code::NotFound, "INVITATION_NOT_FOUND");
        }
    }
    let accept = messages::accept_as(&rotated.invitation_token, "ann", "ann@example.org", true);
    service.redemptions().accept_invitation(accept).await.unwrap();
    service.stop().await;
}

/// A way to a database that can be cut.
struct Wire {
    url: String,
    cut: CancellationToken,
}

impl Wire {
    async fn to(database: &TestDatabase) -> Self {
        let mut url = Url::parse(database.url()).unwrap();
        let target: SocketAddr = (Ipv4Addr::LOCALHOST, url.port().unwrap()).into();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let cut = CancellationToken::new();
        let end = cut.clone();
        tokio::spawn(async move {
            // The listener goes with this task: nobody gets through any more.
            while let Some(Ok((mut client, _))) = end.run_until_cancelled(listener.accept()).await {
                let mut server = TcpStream::connect(target).await.unwrap();
                let end = end.clone();
                tokio::spawn(async move {
                    end.run_until_cancelled(copy_bidirectional(&mut client, &mut server)).await;
                });
            }
        });
        Self { url: url.into(), cut }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn forged_token_is_refused_without_the_database() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let wire = Wire::to(&database).await;
    let more = [("INVITATION__STORE__URL", wire.url.as_str()), ("INVITATION__STORE__TIMEOUT", "500ms")];
    let service = Service::start_with(configuration(&database, &more), Clock::manual(NEW_YEAR)).await;
    let made = messages::create(&service, messages::invitation()).await;
    wire.cut.cancel();
    // The database cannot be reached from here on: whoever asks it has no answer.
    for answer in redeem(&service, "none", &made.invitation_token).await {
        refused(answer, Code::Unavailable, "UNAVAILABLE");
    }
    let token = made.invitation_token.as_bytes();
    for at in 0..token.len() {
        let mut forged = token.to_vec();
        forged[at] = if token[at] == b'A' { b'B' } else { b'A' };
        for answer in redeem(&service, "none", &String::from_utf8(forged).unwrap()).await {
            refused(answer, Code::NotFound, "INVITATION_NOT_FOUND");
        }
    }
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn tokens_and_links_are_hidden_without_the_permission() {
    let database = TestDatabase::sqlite();
    let all: Vec<&str> =
        Permission::ALL.iter().map(|permission| permission.name()).filter(|name| *name != "tokens.read").collect();
    let (service, key) = keys::start(&database, &[("ours", "*"), ("ours", &all.join(" "))]).await;
    let key_of_all = key[0].clone();
    let mut shown_by = Vec::new();
    let mut known = crate::contract::request::known(&service, Some(&key_of_all), messages::COMPANY).await;
    for rpc in crate::contract::raw::reads_first() {
        for (key, may_see) in [(&key[1], false), (&key[0], true)] {
            if !rpc.reads {
                known = crate::contract::request::known(&service, Some(&key_of_all), messages::COMPANY).await;
            }
            let (_, message) = crate::contract::request::valid(&rpc.path, &known);
            let answer = keys::call(&service, key, &rpc.path, message).await.unwrap();
            let shown = answer.windows(4).any(|window| window == b"inv_");
            // Whoever makes a link sees it.
            let makes = rpc.path.contains("Create") && rpc.path.trim_end_matches('s').ends_with("Invitation");
            assert_eq!(may_see && shown || makes, shown, "{} shows a token", rpc.path);
            shown_by.extend(shown.then(|| rpc.path.clone()));
        }
    }
    // Seven for connections, four for users, seven for guests, nine with the general face, an accept and a decline.
    assert!(shown_by.len() >= 29, "whoever has the permission sees tokens: {shown_by:?}");
    service.stop().await;
}
