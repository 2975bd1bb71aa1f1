//! Answers by name: an id is no credential, and the permission to redeem is none to read.

use invitation_service::pb;
use invitation_service::pb::accept_invitations_result::Result as Accepted;
use invitation_service::pb::decline_invitations_result::Result as Declined;
use tonic::Code;

use crate::rpc::redemption::keys;
use crate::support::build::generals::{email, entries, internal, into, subject, verified};
use crate::support::build::messages;
use crate::support::database::TestDatabase;
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    name_leads_whoever_is_not_invited_nowhere,
    name_declines_only_for_a_target,
    answer_to_a_redeemer_shows_what_the_preview_does,
);

const REDEEM: &str = "invitations.redeem";

/// A service, and the keys of the whole account, of a redeemer, of one who may accept for anybody, and of one who may read.
async fn start(database: &TestDatabase) -> (Service, Vec<String>) {
    let (accept, read) = ("invitations.redeem invitations.accept", "invitations.redeem invitations.read");
    keys::start(database, &[("ours", "*"), ("ours", REDEEM), ("ours", accept), ("ours", read)]).await
}

async fn create(service: &Service, key: &str, invitation: pb::Invitation) -> pb::Invitation {
    service.invitations().create_invitation(keys::with(key, messages::general(invitation))).await.unwrap().into_inner()
}

/// Accepts one invitation by its name, or returns the error.
async fn accept(
    service: &Service,
    key: &str,
    name: &str,
    acceptor: pb::Acceptor,
) -> Result<pb::Invitation, Box<pb::BatchError>> {
    let (entries, acceptor) = (entries(&[name]), Some(acceptor));
    let request = pb::AcceptInvitationsRequest { entries, acceptor, ..Default::default() };
    let answer = service.invitations().accept_invitations(keys::with(key, request)).await.unwrap().into_inner();
    let result = answer.results.into_iter().next().unwrap();
    match result.result.unwrap() {
        Accepted::Acceptance(_) => Ok(result.invitation.unwrap()),
        Accepted::Error(error) => Err(Box::new(error)),
    }
}

async fn name_leads_whoever_is_not_invited_nowhere(database: TestDatabase) {
    let (service, key) = start(&database).await;
    let link = pb::ConnectionInvitation { company_id: messages::COMPANY.to_owned(), ..Default::default() };
    let link = keys::with(&key[0], messages::creation(link));
    let link = service.connections().create_connection_invitation(link).await.unwrap().into_inner().name;
    let sync = pb::SyncAutojoinRequest {
        scope: Some(messages::scope("team", "all")),
        domains: vec!["example.org".to_owned()],
        ..Default::default()
    };
    let autojoin = service.scopes().sync_autojoin(keys::with(&key[0], sync)).await.unwrap().into_inner();
    let general = async |team: &str, target: pb::Target, rule: pb::RecipientMatch| {
        let invitation = pb::Invitation { recipient_match: rule.into(), ..into(team, &[target]) };
        create(&service, &key[0], invitation).await.name
    };
    let (exact, any) = (pb::RecipientMatch::Exact, pb::RecipientMatch::Any);
    let share = general("a", messages::target(pb::TargetType::Share, "flyer"), exact).await;
    let phone = general("b", messages::target(pb::TargetType::Phone, "+4915112345678"), exact).await;
    let anybody = general("c", email("ann@example.org"), any).await;
    let her = general("f", email("ann@example.org"), any).await;
    let domain = general("d", email("ann@example.org"), pb::RecipientMatch::Domain).await;
    let ann = general("e", internal("ann"), exact).await;
    let eve = || verified("eve", "eve@else.example");
    for (name, acceptor, is_open) in [
        (&link, eve(), true),
        (&link, subject("mallory"), true),
        (&share, eve(), true),
        (&phone, eve(), true),
        (&anybody, eve(), true),
        (&her, verified("ann", "Ann@example.org"), false),
        (&domain, verified("bob", "bob@example.org"), false),
        (&autojoin.invitation.unwrap().name, verified("bob", "bob@example.org"), false),
        (&ann, subject("ann"), false),
    ] {
        let stranger = accept(&service, &key[1], name, acceptor.clone()).await;
        match stranger {
            Err(error) if is_open => {
                assert_eq!((error.code, error.reason.as_str()), (Code::PermissionDenied as i32, "PERMISSION_DENIED"));
                assert_eq!(error.metadata["permission"], "invitations.accept", "{name}");
                accept(&service, &key[2], name, acceptor).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
            }
            other => assert!(other.is_ok() && !is_open, "{name}: {other:?}"),
        }
    }
    service.stop().await;
}

async fn name_declines_only_for_a_target(database: TestDatabase) {
    let (service, key) = start(&database).await;
    let decline = async |key: &str, name: &str, target: Option<pb::Target>| {
        let (names, target) = (vec![name.to_owned()], target.map(messages::target_ref));
        let request = pb::DeclineInvitationsRequest { names, target, ..Default::default() };
        let answer = service.invitations().decline_invitations(keys::with(key, request)).await.unwrap().into_inner();
        match answer.results.into_iter().next().unwrap().result.unwrap() {
            Declined::Invitation(invitation) => Ok(invitation),
            Declined::Error(error) => Err(error.reason),
        }
    };
    for (team, by, target, declines) in [
        ("a", 1, None, false),
        ("b", 1, Some(internal("bob")), false),
        ("c", 1, Some(internal("ann")), true),
        ("d", 2, None, true),
    ] {
        let made = create(&service, &key[0], into(team, &[internal("ann")])).await;
        let answer = decline(&key[by], &made.name, target).await;
        assert_eq!(answer.is_ok(), declines, "{team}: {answer:?}");
    }
    service.stop().await;
}

async fn answer_to_a_redeemer_shows_what_the_preview_does(database: TestDatabase) {
    let (service, key) = start(&database).await;
    let whole = pb::Invitation {
        roles: vec!["viewer".to_owned()],
        labels: [("campaign".to_owned(), "secret".to_owned())].into(),
        inviter: Some(pb::Inviter {
            user_id: "u-1".to_owned(),
            email: "ben@example.org".to_owned(),
            display_name: "Ben".to_owned(),
            ..Default::default()
        }),
        message: "Hello".to_owned(),
        ..into("red", &[internal("ann"), email("carl@example.org"), internal("dora")])
    };
    let made = create(&service, &key[0], whole).await;
    let target = Some(messages::target_ref(internal("ann")));
    let open = |key: &str| {
        let view = pb::InvitationView::Full.into();
        keys::with(key, pb::ListOpenInvitationsRequest { target: target.clone(), view, ..Default::default() })
    };
    let mut answers = Vec::new();
    for by in [1, 3] {
        let listed = service.invitations().list_open_invitations(open(&key[by])).await.unwrap().into_inner();
        let link =
            pb::AcceptInvitationRequest { validate_only: true, ..messages::accept(&made.invitation_token, "ann") };
        let linked = service.redemptions().accept_invitation(keys::with(&key[by], link)).await.unwrap().into_inner();
        answers.push((by, listed.invitations[0].clone()));
        answers.push((by, linked.invitation.unwrap()));
    }
    answers.push((1, accept(&service, &key[1], &made.name, subject("ann")).await.unwrap()));
    answers.push((3, accept(&service, &key[3], &made.name, subject("ann")).await.unwrap()));
    for (by, shown) in answers {
        let inviter = shown.inviter.clone().unwrap();
        assert_eq!((shown.roles.as_slice(), shown.message.as_str()), (["viewer".to_owned()].as_slice(), "Hello"));
        assert_eq!((shown.scope, inviter.display_name.as_str()), (made.scope.clone(), "Ben"));
        let hidden = [
            shown.targets.is_empty(),
            shown.labels.is_empty(),
            shown.creator.is_empty(),
            inviter.email.is_empty(),
            inviter.user_id.is_empty(),
        ];
        assert_eq!(hidden, [by == 1; 5], "by {by}");
    }
    service.stop().await;
}
