//! Updates as calls: the kinds that a service updates, etags, retries and dry runs.

use invitation_service::pb;
use invitation_service::pb::{Invitation, UserInvitation};
use tonic::Code;
use tonic_types::StatusExt as _;

use super::{of_general, of_user};
use crate::support::build::generals::{email, into, into_team};
use crate::support::build::{generals, messages, users};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    wrong_kind_names_the_right_rpc,
    etag_of_the_request_or_of_the_resource_holds,
    retry_changes_nothing_and_a_dry_run_neither,
);

fn text(value: &str) -> String {
    value.to_owned()
}

async fn wrong_kind_names_the_right_rpc(database: TestDatabase) {
    let service = Service::start(&database).await;
    let user = users::create(&service, users::user("ann@b.org")).await;
    let connection = messages::create(&service, messages::invitation()).await;
    for (made, uid, rpc) in [
        (&user.name, &user.uid, "invitation.v1.UserInvitationService/UpdateUserInvitation"),
        (&connection.name, &connection.uid, "invitation.v1.ConnectionInvitationService/UpdateConnectionInvitation"),
    ] {
        for name in [made.clone(), format!("invitations/{uid}")] {
            let given = Invitation { name, message: text("Hello"), ..Default::default() };
            let status = refused(
                service.invitations().update_invitation(of_general(given, &[])).await,
                Code::FailedPrecondition,
                "WRONG_KIND",
            );
            assert_eq!(status.get_details_error_info().unwrap().metadata["rpc"], rpc);
        }
    }
    let general = generals::create(&service, into_team(&[])).await;
    for name in [general.name.clone(), connection.name] {
        let given = UserInvitation { name, message: text("Hello"), ..Default::default() };
        let answer = service.users().update_user_invitation(of_user(given, &[])).await;
        refused(answer, Code::NotFound, "INVITATION_NOT_FOUND");
    }
    let named = UserInvitation { name: format!("invitations/{}", user.uid), message: text("Hi"), ..Default::default() };
    assert!(service.users().update_user_invitation(of_user(named, &[])).await.is_ok(), "either name will do");
    service.stop().await;
}

async fn etag_of_the_request_or_of_the_resource_holds(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = generals::create(&service, into_team(&[])).await;
    let update = async |of_request: &str, of_resource: &str, message: &str| {
        let given = Invitation {
            name: made.name.clone(),
            etag: text(of_resource),
            message: text(message),
            ..Default::default()
        };
        let request = pb::UpdateInvitationRequest { etag: text(of_request), ..of_general(given, &[]) };
        service.invitations().update_invitation(request).await.map(tonic::Response::into_inner)
    };
    let first = update(&made.etag, "", "a").await.unwrap();
    refused(update(&made.etag, "", "b").await, Code::Aborted, "ETAG_MISMATCH");
    refused(update("", &made.etag, "b").await, Code::Aborted, "ETAG_MISMATCH");
    let second = update(&first.etag, &first.etag, "b").await.unwrap();
    let status = refused(update(&second.etag, &first.etag, "c").await, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["etag"]);
    assert_ne!(second.etag, first.etag);
    service.stop().await;
}

async fn retry_changes_nothing_and_a_dry_run_neither(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = generals::create(&service, into("blue", &[])).await;
    let request = |message: &str, validate_only| {
        let given = Invitation { name: made.name.clone(), message: text(message), ..Default::default() };
        let add_targets = vec![email("kim@b.org")];
        let (send_email, request_id) = (Some(true), text("r-1"));
        pb::UpdateInvitationRequest { add_targets, send_email, request_id, validate_only, ..of_general(given, &[]) }
    };
    let update =
        async |request| service.invitations().update_invitation(request).await.map(tonic::Response::into_inner);
    let dry = update(request("Hello", true)).await.unwrap();
    assert_eq!((dry.message.as_str(), dry.recipient_count, dry.etag.as_str()), ("Hello", 1, ""));
    assert_eq!(messages::get_general(&service, &made.name).await, made);
    let first = update(request("Hello", false)).await.unwrap();
    assert_eq!(update(request("Hello", false)).await.unwrap(), first);
    refused(update(request("Bye", false)).await, Code::FailedPrecondition, "REQUEST_ID_REUSED");
    assert_eq!(generals::happened(&service, &made.name).await, ["created", "updated"]);
    service.stop().await;
}
