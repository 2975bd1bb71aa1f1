//! PreviewInvitation: what the holder of a link may see, for each kind.

use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::{InvitationKind, InvitationState};

use crate::support::build::guests::{HOST, guest};
use crate::support::build::messages::Expiring;
use crate::support::build::users::user;
use crate::support::build::{generals, guests, messages, users};
use crate::support::database::TestDatabase;
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    each_kind_shows_who_invites_and_into_what,
    preview_consumes_nothing_and_is_given_in_every_state,
    account_of_a_person_shows_by_their_own_link_alone,
);

async fn preview(service: &Service, token: &str) -> pb::InvitationPreview {
    service.redemptions().preview_invitation(messages::preview(token)).await.unwrap().into_inner()
}

/// The part of the inviter that a recipient sees.
fn bob() -> Option<pb::Inviter> {
    Some(pb::Inviter { display_name: "Bob".to_owned(), ..Default::default() })
}

async fn each_kind_shows_who_invites_and_into_what(database: TestDatabase) {
    let service = Service::start(&database).await;
    let roles = vec!["owner".to_owned(), "reader".to_owned()];
    let wanted = pb::UserInvitation {
        inviter: Some(pb::Inviter { display_name: "Bob".to_owned(), ..Default::default() }),
        roles: roles.clone(),
        ..user("jane@example.org")
    };
    let made = users::create(&service, wanted).await;
    let plain = preview(&service, &made.invitation_token).await;
    let shown = pb::InvitationPreview {
        invitation: format!("invitations/{}", made.uid),
        declinable: true,
        kind: InvitationKind::User.into(),
        state: InvitationState::Active.into(),
        expire_time: made.expire_time(),
        remaining_uses: Some(1),
        email_required: true,
        masked_emails: vec!["j***@example.org".to_owned()],
        inviter: bob(),
        scope: Some(messages::scope("account", "default")),
        roles,
        ..Default::default()
    };
    assert_eq!(plain, shown);
    let mailed = preview(&service, &messages::mailed_token(&made.uid, 1)).await;
    let recipient_email = "jane@example.org".to_owned();
    assert_eq!(mailed, pb::InvitationPreview { email_required: false, recipient_email, ..shown });

    let made = guests::create(&service, guest("Kim@example.org")).await;
    let plain = preview(&service, &made.invitation_token).await;
    let shown = pb::InvitationPreview {
        invitation: format!("invitations/{}", made.uid),
        declinable: true,
        kind: InvitationKind::Guest.into(),
        state: InvitationState::Active.into(),
        scope: Some(messages::scope("organization", HOST)),
        expire_time: made.expire_time(),
        remaining_uses: Some(1),
        email_required: true,
        masked_emails: vec!["K***@example.org".to_owned()],
        ..Default::default()
    };
    assert_eq!(plain, shown);

    let scope = pb::Scope { display_name: "The team".to_owned(), ..messages::scope("team", "t-1") };
    let text = |text: &str| prost_types::Value::from(text.to_owned());
    let metadata = Some(prost_types::Struct { fields: [("color".to_owned(), text("red"))].into() });
    let wanted = pb::Invitation {
        targets: vec![messages::target(pb::TargetType::Phone, "+4930123456")],
        scope: Some(scope.clone()),
        inviter: Some(pb::Inviter {
            user_id: "u-1".to_owned(),
            email: "bob@example.org".to_owned(),
            display_name: "Bob".to_owned(),
            ..Default::default()
        }),
        roles: vec!["owner".to_owned()],
        attributes: metadata.clone(),
        metadata: metadata.clone(),
        pass_through: "secret of the caller".to_owned(),
        ..Default::default()
    };
    let made = service.invitations().create_invitation(messages::general(wanted)).await.unwrap().into_inner();
    let shown = pb::InvitationPreview {
        invitation: format!("invitations/{}", made.uid),
        declinable: true,
        kind: InvitationKind::General.into(),
        state: InvitationState::Active.into(),
        scope: Some(scope),
        expire_time: made.expire_time(),
        remaining_uses: Some(1),
        inviter: bob(),
        roles: vec!["owner".to_owned()],
        metadata,
        ..Default::default()
    };
    assert_eq!(preview(&service, &made.invitation_token).await, shown);

    let made = messages::create(&service, messages::invitation()).await;
    let shown = preview(&service, &made.invitation_token).await;
    assert_eq!(shown.scope, Some(messages::scope("company", messages::COMPANY)));
    assert!(!shown.declinable, "it is for many");
    assert_eq!((shown.kind(), shown.remaining_uses, shown.email_required), (InvitationKind::Connection, None, false));
    service.stop().await;
}

async fn preview_consumes_nothing_and_is_given_in_every_state(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = users::create(&service, user("ann@example.org")).await;
    for _ in 0..3 {
        preview(&service, &made.invitation_token).await;
    }
    assert_eq!(users::get(&service, &made.name).await, made);
    assert_eq!(messages::get_general(&service, &made.name).await.view_count, 0);
    service.clock.advance(Duration::from_secs(7 * 24 * 3_600));
    assert_eq!(preview(&service, &made.invitation_token).await.state(), InvitationState::Expired);
    service.users().delete_user_invitation(users::deletion(&made.name)).await.unwrap();
    let forgotten = preview(&service, &made.invitation_token).await;
    assert_eq!((forgotten.state(), forgotten.remaining_uses), (InvitationState::Revoked, Some(1)));
    let made = users::create(&service, user("ann@example.org")).await;
    let accept = messages::accept(&messages::mailed_token(&made.uid, 1), "ann");
    service.redemptions().accept_invitation(accept).await.unwrap();
    let used = preview(&service, &made.invitation_token).await;
    assert_eq!((used.state(), used.remaining_uses), (InvitationState::Fulfilled, Some(0)));
    service.stop().await;
}

async fn account_of_a_person_shows_by_their_own_link_alone(database: TestDatabase) {
    let service = Service::start(&database).await;
    let target = |r#type, value: &str, existing_user| pb::Target { existing_user, ..messages::target(r#type, value) };
    use pb::TargetType::{Email, Internal, Phone, Share};
    let ann = || target(Email, "ann@example.org", Some(true));
    for (case, targets, r#type, plain, mailed) in [
        ("one person", vec![ann()], pb::InvitationType::SingleUse, Some(true), Some(true)),
        (
            "a newcomer",
            vec![target(Email, "ann@example.org", Some(false))],
            pb::InvitationType::SingleUse,
            Some(false),
            Some(false),
        ),
        ("unknown", vec![target(Email, "ann@example.org", None)], pb::InvitationType::SingleUse, None, None),
        ("a phone", vec![target(Phone, "+4930123456", Some(true))], pb::InvitationType::SingleUse, Some(true), None),
        ("an id", vec![target(Internal, "u-1", Some(true))], pb::InvitationType::SingleUse, Some(true), None),
        ("a shared link", vec![target(Share, "chat", Some(true))], pb::InvitationType::SingleUse, None, None),
        (
            "two addresses",
            vec![ann(), target(Internal, "u-1", Some(true))],
            pb::InvitationType::SingleUse,
            None,
            Some(true),
        ),
        ("a link for many", vec![ann()], pb::InvitationType::MultiUse, None, Some(true)),
    ] {
        let invitation = pb::Invitation { targets, invitation_type: r#type.into(), ..generals::into_team(&[]) };
        let made = generals::create(&service, invitation).await;
        let by_plain = preview(&service, &made.invitation_token).await.existing_user;
        let by_mailed = preview(&service, &messages::mailed_token(&made.uid, 1)).await.existing_user;
        assert_eq!((by_plain, by_mailed), (plain, mailed), "{case}");
    }
    for others in [pb::RecipientMatch::Any, pb::RecipientMatch::Domain] {
        let invitation =
            pb::Invitation { recipient_match: others.into(), ..generals::into(&format!("{others:?}"), &[ann()]) };
        let made = generals::create(&service, invitation).await;
        assert_eq!(
            preview(&service, &made.invitation_token).await.existing_user,
            None,
            "others may accept: {others:?}"
        );
    }
    let user =
        pb::CreateUserInvitationRequest { existing_user: Some(true), ..users::creation(user("jane@example.org")) };
    let user = service.users().create_user_invitation(user).await.unwrap().into_inner();
    let guest =
        pb::CreateGuestInvitationRequest { existing_user: Some(true), ..guests::creation(guest("Kim@example.org")) };
    let guest = service.guests().create_guest_invitation(guests::of(HOST, guest)).await.unwrap().into_inner();
    for token in [user.invitation_token, messages::mailed_token(&guest.uid, 1)] {
        assert_eq!(preview(&service, &token).await.existing_user, Some(true));
    }
    service.stop().await;
}
