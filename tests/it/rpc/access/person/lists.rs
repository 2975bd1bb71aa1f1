//! The lists of persons: what is open to them, and what they sent.

use super::*;
use crate::support::on_both;

on_both!(
    migrated:
    open_invitations_are_those_to_the_person_alone,
    sent_invitations_are_those_of_the_inviter_alone,
);

async fn open_invitations_are_those_to_the_person_alone(database: TestDatabase) {
    let stage = Stage::new(&database).await;
    let both = stage.general(&[generals::email(ANN), generals::internal("ann"), generals::email(BOB)]).await.name;
    let by_subject = stage.general(&[generals::internal("ann")]).await.name;
    let (user, guest) = (stage.user("Ann@Example.org").await, stage.guest(ANN).await.name);
    let connection = stage.connection(&[BOB, ANN]).await.name;
    let sync = pb::SyncAutojoinRequest {
        scope: Some(messages::scope("team", "all")),
        domains: vec!["example.org".to_owned()],
        ..Default::default()
    };
    let joined = stage.service.scopes().sync_autojoin(stage.by_service(sync)).await.unwrap().into_inner();
    let autojoin = joined.invitation.unwrap().name;
    let bobs = stage.user(BOB).await;
    stage.general(&[]).await;
    stage.general(&[generals::internal("an")]).await;

    let names = |names: &[&String]| names.iter().map(|name| (*name).clone()).collect::<BTreeSet<_>>();
    let all = names(&[&both, &by_subject, &user, &guest, &connection, &autojoin]);
    assert_eq!(stage.open_names(&stage.ann()).await, all);
    assert_eq!(stage.open_names(&stage.person("ann", "ANN@example.org")).await, all);
    assert_eq!(stage.open_names(&stage.token("ann", json!({"email": ANN}))).await, names(&[&both, &by_subject]));
    let bob = stage.open_names(&stage.person("bob", BOB)).await;
    assert_eq!(bob, names(&[&both, &connection, &autojoin, &bobs]));
    let plus = stage.open_names(&stage.person("eve", "ann+x@example.org")).await;
    assert_eq!(plus, names(&[&autojoin]), "the domain is theirs too");
    let elsewhere = stage.token("ann", json!({"email": ANN, "email_verified": true, "account": "other"}));
    assert_eq!(stage.open_names(&elsewhere).await, BTreeSet::new());

    // One of their addresses, in pages that mean nothing to another person.
    let by = async |value| stage.open(&stage.ann(), target(TargetType::Internal, value)).await.unwrap().len();
    assert_eq!(by("ann").await, 2);
    let by_email = stage.open(&stage.ann(), target(TargetType::Email, "ANN@Example.org")).await.unwrap();
    assert_eq!(by_email.len(), all.len() - 1);
    let page = |token: &str, page_token: String| {
        let request = pb::ListOpenInvitationsRequest { page_size: 2, page_token, ..Default::default() };
        let request = jwt::with(token, request);
        let mut client = stage.service.invitations();
        async move { client.list_open_invitations(request).await.map(tonic::Response::into_inner) }
    };
    let (mut seen, mut next) = (Vec::new(), String::new());
    loop {
        let found = page(&stage.ann(), next.clone()).await.unwrap();
        seen.extend(found.invitations.into_iter().map(|open| open.typed_name));
        next = found.next_page_token;
        if next.is_empty() {
            break;
        }
        let stolen = page(&stage.person("bob", BOB), next.clone()).await;
        refused(stolen, Code::InvalidArgument, "INVALID_FIELD");
    }
    assert_eq!((seen.len(), seen.into_iter().collect::<BTreeSet<_>>()), (all.len(), all));
    stage.service.stop().await;
}

async fn sent_invitations_are_those_of_the_inviter_alone(database: TestDatabase) {
    let stage = Stage::new(&database).await;
    let by = |user_id: &str, invitation: pb::Invitation| {
        let inviter = pb::Inviter { user_id: user_id.to_owned(), display_name: "Ann".to_owned(), ..Default::default() };
        pb::Invitation { inviter: Some(inviter), ..invitation }
    };
    let mut anns = BTreeSet::new();
    for number in 0..5 {
        let team = generals::into(&format!("team-{number}"), &[generals::email(BOB)]);
        anns.insert(stage.made(by("ann", team)).await.name);
    }
    let bobs = stage.made(by("bob", generals::into_team(&[generals::email(ANN)]))).await;
    stage.general(&[generals::email(ANN)]).await;
    let list = async |token: &str, request: pb::ListInvitationsRequest| {
        let listed = stage.service.invitations().list_invitations(jwt::with(token, request)).await;
        listed.map(tonic::Response::into_inner)
    };
    let ann = stage.ann();
    let (mut seen, mut next) = (Vec::new(), String::new());
    loop {
        let request = pb::ListInvitationsRequest {
            page_size: 2,
            show_total: true,
            page_token: next.clone(),
            ..Default::default()
        };
        let found = list(&ann, request.clone()).await.unwrap();
        assert_eq!(found.total_size, 5);
        seen.extend(found.invitations);
        next = found.next_page_token;
        if next.is_empty() {
            break;
        }
        let stolen = pb::ListInvitationsRequest { page_token: next.clone(), ..request };
        refused(list(&stage.person("bob", BOB), stolen).await, Code::InvalidArgument, "INVALID_FIELD");
    }
    assert_eq!(seen.iter().map(|sent| sent.name.clone()).collect::<BTreeSet<_>>(), anns);
    assert!(seen.iter().all(|sent| sent.targets[0].value == BOB && sent.etag.is_empty()));
    let of = async |token: &str| list(token, pb::ListInvitationsRequest::default()).await.unwrap().invitations;
    assert_eq!(of(&stage.person("bob", BOB)).await.iter().map(|sent| &sent.name).collect::<Vec<_>>(), [&bobs.name]);
    assert_eq!(of(&stage.person("zed", ANN)).await, []);
    assert_eq!(of(&stage.token("ann", json!({"account": "other"}))).await, []);

    let filter = pb::InvitationFilter::default();
    let labels = [("a".to_owned(), "b".to_owned())].into();
    for (field, filter) in [
        ("filter.inviter_user_id", pb::InvitationFilter { inviter_user_id: "bob".to_owned(), ..filter.clone() }),
        ("filter.creator", pb::InvitationFilter { creator: "users/ann".to_owned(), ..filter.clone() }),
        ("filter.labels", pb::InvitationFilter { labels, ..filter.clone() }),
        (
            "filter.widget_configuration_id",
            pb::InvitationFilter { widget_configuration_id: "w".to_owned(), ..filter.clone() },
        ),
        ("filter.subtype", pb::InvitationFilter { subtype: "s".to_owned(), ..filter.clone() }),
    ] {
        let request = pb::ListInvitationsRequest { filter: Some(filter), ..Default::default() };
        assert_eq!(denied_field(list(&ann, request).await), field);
    }
    for (found, filter) in [
        (5, pb::InvitationFilter { inviter_user_id: "ann".to_owned(), ..filter.clone() }),
        (5, pb::InvitationFilter { target: target(TargetType::Email, BOB), ..filter.clone() }),
        (0, pb::InvitationFilter { target: target(TargetType::Email, ANN), ..filter.clone() }),
        (0, pb::InvitationFilter { states: vec![pb::InvitationState::Revoked.into()], ..filter }),
    ] {
        let request = pb::ListInvitationsRequest { filter: Some(filter), ..Default::default() };
        assert_eq!(list(&ann, request).await.unwrap().invitations.len(), found);
    }
    stage.service.stop().await;
}
