//! RevokeUserInvitation ends an invitation and shows it; DeleteUserInvitation hides it from this service as well.

use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::InvitationState;
use tonic::Code;

use crate::contract::raw::told;
use crate::support::build::users::{create, deletion, resending, try_get, user};
use crate::support::build::{messages, users};
use crate::support::database::TestDatabase;
use crate::support::expect::refused;
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    deleted_invitation_is_revoked_in_the_general_service,
    accepted_one_stays_fulfilled_and_a_declined_one_declined,
    deletion_is_done_once_and_its_retry_is_told_so,
    revoked_invitation_stays_visible,
);

/// Asserts that the user service knows nothing of an invitation, as of one that never was.
async fn gone(service: &Service, name: &str) {
    let mut users = service.users();
    let nobody = "userInvitations/01920000-0000-7000-8000-000000000000";
    let missing = told(&try_get(service, nobody).await.unwrap_err());
    assert_eq!(told(&try_get(service, name).await.unwrap_err()), missing);
    assert_eq!(told(&users.resend_user_invitation(resending(name)).await.unwrap_err()), missing);
    assert_eq!(told(&users.delete_user_invitation(deletion(name)).await.unwrap_err()), missing);
    let listed = users.list_user_invitations(pb::ListUserInvitationsRequest::default()).await.unwrap().into_inner();
    assert!(listed.user_invitations.iter().all(|read| read.name != name));
}

async fn deleted_invitation_is_revoked_in_the_general_service(database: TestDatabase) {
    let service = Service::start(&database).await;
    let active = create(&service, user("ann@example.org")).await;
    let short = create(
        &service,
        pb::UserInvitation {
            expiration: messages::seconds(60).map(pb::user_invitation::Expiration::Ttl),
            ..user("bob@example.org")
        },
    )
    .await;
    let kept = create(&service, user("kim@example.org")).await;
    service.clock.advance(Duration::from_secs(60));
    for made in [&active, &short] {
        service.users().delete_user_invitation(deletion(&made.name)).await.unwrap();
        gone(&service, &made.name).await;
        let any = format!("invitations/{}", made.uid);
        let general = messages::get_general(&service, &any).await;
        assert_eq!((general.state(), general.deactivated), (InvitationState::Revoked, true));
        assert_eq!((&general.typed_name, general.revoke_time), (&made.name, messages::at(60)));
        let request = pb::ListInvitationsRequest::default();
        let listed = service.invitations().list_invitations(request).await.unwrap().into_inner().invitations;
        assert!(listed.iter().any(|read| read.uid == made.uid), "it is in the general list");
        let happened = messages::event_types(&service, &any).await;
        assert_eq!(happened, ["invitation.created", "invitation.revoked"], "its events stay");
        let accept = messages::accept(&messages::mailed_token(&made.uid, 1), "ann");
        let dead = service.redemptions().accept_invitation(accept).await;
        refused(dead, Code::FailedPrecondition, "INVITATION_REVOKED");
    }
    assert_eq!(users::get(&service, &kept.name).await, kept);
    service.stop().await;
}

async fn accepted_one_stays_fulfilled_and_a_declined_one_declined(database: TestDatabase) {
    let service = Service::start(&database).await;
    let accepted = create(&service, user("ann@example.org")).await;
    let accept = messages::accept(&messages::mailed_token(&accepted.uid, 1), "ann");
    service.redemptions().accept_invitation(accept.clone()).await.unwrap();
    let declined = create(&service, user("bob@example.org")).await;
    service.redemptions().decline_invitation(messages::decline(&declined.invitation_token)).await.unwrap();
    for (made, state) in [(&accepted, InvitationState::Fulfilled), (&declined, InvitationState::Declined)] {
        service.users().delete_user_invitation(deletion(&made.name)).await.unwrap();
        gone(&service, &made.name).await;
        let general = messages::get_general(&service, &format!("invitations/{}", made.uid)).await;
        assert_eq!((general.state(), general.revoke_time), (state, None));
    }
    let again = service.redemptions().accept_invitation(accept).await.unwrap().into_inner();
    assert!(again.already_accepted, "whoever is in is in");
    service.stop().await;
}

async fn deletion_is_done_once_and_its_retry_is_told_so(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = create(&service, user("ann@example.org")).await;
    let mut users = service.users();
    let stale = pb::DeleteUserInvitationRequest { etag: "\"999\"".to_owned(), ..deletion(&made.name) };
    refused(users.delete_user_invitation(stale).await, Code::Aborted, "ETAG_MISMATCH");
    let delete = pb::DeleteUserInvitationRequest {
        etag: made.etag.clone(),
        request_id: "delete-1".to_owned(),
        ..deletion(&made.name)
    };
    users.delete_user_invitation(delete.clone()).await.unwrap();
    users.delete_user_invitation(delete).await.unwrap();
    let any = format!("invitations/{}", made.uid);
    assert_eq!(messages::event_types(&service, &any).await, ["invitation.created", "invitation.revoked"]);
    service.stop().await;
}

async fn revoked_invitation_stays_visible(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = create(&service, user("ann@example.org")).await;
    let revoke = |etag: &str| pb::RevokeUserInvitationRequest {
        name: made.name.clone(),
        etag: etag.to_owned(),
        ..Default::default()
    };
    let mut client = service.users();
    refused(client.revoke_user_invitation(revoke("\"999\"")).await, Code::Aborted, "ETAG_MISMATCH");
    let revoked = client.revoke_user_invitation(revoke(&made.etag)).await.unwrap().into_inner();
    assert_eq!((revoked.state(), &revoked.name), (InvitationState::Revoked, &made.name));
    assert_eq!(users::get(&service, &made.name).await, revoked);
    assert_eq!(client.revoke_user_invitation(revoke("")).await.unwrap().into_inner(), revoked, "again changes nothing");
    create(&service, user("ann@example.org")).await;
    service.users().delete_user_invitation(deletion(&made.name)).await.unwrap();
    gone(&service, &made.name).await;
    refused(service.users().revoke_user_invitation(revoke("")).await, Code::NotFound, "INVITATION_NOT_FOUND");
    service.stop().await;
}
