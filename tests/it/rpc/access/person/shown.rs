//! The parts of an invitation that a person is shown: those of its preview, or those that its inviter may know.

use super::*;

/// The beginning of every text that no person may see.
const SECRET: &str = "secret-";

/// An invitation with a secret in every field that is a service's own.
fn secretive(team: &str) -> pb::Invitation {
    let secret = |name: &str| format!("{SECRET}{name}");
    let object = |name: &str| {
        let value = prost_types::Value { kind: Some(prost_types::value::Kind::StringValue(secret(name))) };
        Some(prost_types::Struct { fields: [("key".to_owned(), value)].into() })
    };
    pb::Invitation {
        labels: [("key".to_owned(), secret("label"))].into(),
        source: secret("source"),
        subtype: secret("subtype"),
        widget_configuration_id: secret("widget"),
        deployment_id: secret("deployment"),
        project_id: secret("project"),
        attributes: object("attribute"),
        configuration_attributes: object("configuration"),
        template_variables: [("key".to_owned(), secret("variable"))].into(),
        pass_through: secret("pass-through"),
        unfurl_config: Some(pb::UnfurlConfig { title: secret("title"), ..Default::default() }),
        message: "Welcome".to_owned(),
        inviter: Some(pb::Inviter {
            user_id: "zoe".to_owned(),
            email: "zoe@inviter.example".to_owned(),
            display_name: "Zoe".to_owned(),
            ..Default::default()
        }),
        ..generals::into(
            team,
            &[
                generals::email(ANN),
                pb::Target { display_name: "Robert".to_owned(), existing_user: Some(true), ..generals::email(BOB) },
            ],
        )
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn recipient_sees_what_the_preview_shows() {
    let database = TestDatabase::sqlite();
    let stage = Stage::new(&database).await;
    let (ann, made) = (stage.ann(), stage.made(secretive("one")).await);
    let listed = stage.open(&ann, None).await.unwrap();
    let second = stage.made(secretive("two")).await;
    let accepted = stage.accept(&ann, &[&made.name]).await;
    let declined = stage.decline(&ann, &[&second.name]).await;
    let third = stage.made(secretive("three")).await;
    let by_link = pb::AcceptInvitationRequest { token: third.invitation_token.clone(), ..Default::default() };
    let by_link = stage.service.redemptions().accept_invitation(jwt::with(&ann, by_link)).await.unwrap().into_inner();
    let fourth = stage.made(secretive("four")).await;
    let refused = jwt::with(&ann, messages::decline(&fourth.invitation_token));
    let refused = stage.service.redemptions().decline_invitation(refused).await.unwrap().into_inner();

    let pb::AcceptInvitationsResult { invitation: Some(by_name), .. } = &accepted[0] else { panic!("{accepted:?}") };
    let Some(pb::decline_invitations_result::Result::Invitation(no)) = &declined[0].result else {
        panic!("{declined:?}")
    };
    for shown in [&listed[0], by_name, no, by_link.invitation.as_ref().unwrap(), &refused] {
        assert_eq!(shown.message, "Welcome");
        for hidden in [SECRET, BOB, "Robert", "zoe@inviter.example", "zoe", "issuers/", "inv_", "users/"] {
            assert!(!holds(shown, hidden), "{hidden} in {shown:?}");
        }
        assert!(shown.etag.is_empty() && shown.invitation_uri.is_empty() && shown.targets.is_empty(), "{shown:?}");
        assert_eq!(shown.inviter.as_ref().unwrap().display_name, "Zoe");
        assert!(shown.acceptances.iter().all(|acceptance| acceptance.subject == "ann"));
    }
    stage.service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn inviter_sees_recipients_and_outcome_but_no_service_data() {
    let database = TestDatabase::sqlite();
    let stage = Stage::new(&database).await;
    let made = stage.made(secretive("five")).await;
    stage.accept(&stage.person("bob", BOB), &[&made.name]).await;
    let zoe = stage.person("zoe", "zoe@inviter.example");
    for view in [pb::InvitationView::Basic, pb::InvitationView::Full] {
        let request = jwt::with(&zoe, pb::ListInvitationsRequest { view: view.into(), ..Default::default() });
        let listed = stage.service.invitations().list_invitations(request).await.unwrap().into_inner().invitations;
        let [shown] = listed.as_slice() else { panic!("{listed:?}") };
        for hidden in [SECRET, "issuers/", "inv_", "users/"] {
            assert!(!holds(shown, hidden), "{hidden} in {shown:?}");
        }
        assert!(shown.etag.is_empty() && shown.invitation_uri.is_empty(), "{shown:?}");
        assert_eq!(shown.state(), pb::InvitationState::Fulfilled);
        let recipients: Vec<_> =
            shown.targets.iter().map(|target| (target.value.as_str(), target.existing_user)).collect();
        assert_eq!(recipients, [(ANN, None), (BOB, None)], "whether they have an account is not the inviter's to know");
    }
    stage.service.stop().await;
}
