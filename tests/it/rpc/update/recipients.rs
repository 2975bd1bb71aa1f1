//! The recipients that updates add and remove, with their links and their mail.

use invitation_service::pb;
use invitation_service::pb::{
    ConnectionInvitation, DeliveryState, GuestInvitation, Invitation, RecipientState, UserInvitation,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{of_connection, of_general, of_user, recipient};
use crate::support::build::generals::{email, internal, into, into_team};
use crate::support::build::messages::Expiring;
use crate::support::build::{generals, guests, messages, users};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    only_those_who_are_added_are_mailed,
    removed_recipient_loses_link_and_queued_mail,
    wrong_address_is_corrected_in_one_call,
    one_who_has_answered_cannot_be_removed,
    link_for_anyone_is_bound_by_its_first_address,
    entries_that_do_not_fit_are_refused,
    person_is_no_longer_listed_once_they_are_removed,
    removed_recipients_are_left_out_of_targets_and_counts,
);

async fn deliveries(service: &Service, name: &str) -> Vec<(String, DeliveryState, String)> {
    let request =
        pb::ListDeliveriesRequest { parent: name.to_owned(), order_by: "create_time".to_owned(), ..Default::default() };
    let listed = service.deliveries().list_deliveries(request).await.unwrap().into_inner().deliveries;
    let mut listed: Vec<_> =
        listed.into_iter().map(|one| (one.recipient.clone(), one.state(), one.last_error)).collect();
    listed.sort();
    listed
}

async fn recipients(service: &Service, name: &str) -> Vec<(String, RecipientState)> {
    let request = pb::ListRecipientsRequest { parent: name.to_owned(), ..Default::default() };
    let listed = service.invitations().list_recipients(request).await.unwrap().into_inner().recipients;
    listed.into_iter().map(|one| (one.value.clone(), one.state())).collect()
}

fn change(name: &str, added: &[pb::Target], removed: &[u16], mails: bool) -> pb::UpdateInvitationRequest {
    pb::UpdateInvitationRequest {
        add_targets: added.to_vec(),
        remove_recipients: removed.iter().map(|ordinal| recipient(name, *ordinal)).collect(),
        send_email: mails.then_some(true),
        ..of_general(Invitation { name: name.to_owned(), ..Default::default() }, &[])
    }
}

async fn update(service: &Service, request: pb::UpdateInvitationRequest) -> Result<Invitation, Status> {
    service.invitations().update_invitation(request).await.map(|answer| answer.into_inner().read())
}

/// A link for several people, two of whom are mailed.
async fn for_two(service: &Service) -> Invitation {
    let invitation_type = pb::InvitationType::MultiUse.into();
    let targets = [email("ann@b.org"), email("bob@b.org")];
    generals::create(service, Invitation { invitation_type, ..into_team(&targets) }).await
}

async fn only_those_who_are_added_are_mailed(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = for_two(&service).await;
    let silent = update(&service, change(&made.name, &[email("kim@b.org")], &[], false)).await.unwrap();
    assert_eq!((silent.recipient_count, silent.delivery_count), (3, 2));
    let loud = change(&made.name, &[email("lee@b.org"), internal("u-1"), email("KIM@b.org")], &[], true);
    let loud = update(&service, loud).await.unwrap();
    assert_eq!((loud.recipient_count, loud.delivery_count), (5, 3), "Kim was there before");
    let queued = |ordinal| (recipient(&made.name, ordinal), DeliveryState::Queued, String::new());
    assert_eq!(deliveries(&service, &made.name).await, [queued(1), queued(2), queued(4)]);
    assert_eq!(loud.invitation_token, made.invitation_token, "the link stays");
    let preview = messages::preview(&messages::mailed_token(&made.uid, 3));
    assert!(service.redemptions().preview_invitation(preview).await.is_ok(), "whoever is not mailed has a link too");
    let status = update(&service, change(&made.name, &[internal("u-2")], &[], true)).await;
    assert_eq!(violated(&refused(status, Code::InvalidArgument, "INVALID_FIELD")), ["send_email"]);
    service.stop().await;
}

async fn removed_recipient_loses_link_and_queued_mail(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = for_two(&service).await;
    let link = messages::mailed_token(&made.uid, 2);
    let accept = async |subject: &str| service.redemptions().accept_invitation(messages::accept(&link, subject)).await;
    let preview = async || service.redemptions().preview_invitation(messages::preview(&link)).await;
    assert!(preview().await.is_ok());
    let left = update(&service, change(&made.name, &[], &[2], false)).await.unwrap();
    assert_eq!((left.targets.len(), left.recipient_count), (1, 1));
    refused(preview().await, Code::NotFound, "INVITATION_NOT_FOUND");
    refused(accept("bob").await, Code::NotFound, "INVITATION_NOT_FOUND");
    let removed = "the recipient was removed".to_owned();
    let states = [
        (recipient(&made.name, 1), DeliveryState::Queued, String::new()),
        (recipient(&made.name, 2), DeliveryState::Cancelled, removed),
    ];
    assert_eq!(deliveries(&service, &made.name).await, states);
    let listed = [("ann@b.org".to_owned(), RecipientState::Open), (String::new(), RecipientState::Removed)];
    assert_eq!(recipients(&service, &made.name).await, listed, "nothing but the ordinal is left");
    let again = update(&service, change(&made.name, &[email("bob@b.org")], &[2], true)).await.unwrap();
    assert_eq!((again.recipient_count, recipients(&service, &made.name).await.len()), (2, 3));
    refused(preview().await, Code::NotFound, "INVITATION_NOT_FOUND");
    let anew = messages::preview(&messages::mailed_token(&made.uid, 3));
    assert!(service.redemptions().preview_invitation(anew).await.is_ok());
    service.stop().await;
}

async fn wrong_address_is_corrected_in_one_call(database: TestDatabase) {
    let service = Service::start(&database).await;
    let user = users::create(&service, users::user("wrong@b.org")).await;
    let correct = |added: &[&str], removed: &[u16]| pb::UpdateUserInvitationRequest {
        add_targets: added.iter().map(|address| email(address)).collect(),
        remove_recipients: removed.iter().map(|ordinal| recipient(&user.name, *ordinal)).collect(),
        send_email: (!added.is_empty()).then_some(true),
        ..of_user(UserInvitation { name: user.name.clone(), ..Default::default() }, &[])
    };
    let mut users = service.users();
    for (request, field) in [
        (correct(&["right@b.org"], &[]), "add_targets"),
        (correct(&[], &[1]), "remove_recipients"),
        (correct(&["right@b.org", "other@b.org"], &[1]), "add_targets"),
    ] {
        let status = refused(users.update_user_invitation(request).await, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(violated(&status), [field]);
    }
    let right = users.update_user_invitation(correct(&["right@b.org"], &[1])).await.unwrap().into_inner();
    assert_eq!((right.invited_email.as_str(), &right.invitation_token), ("right@b.org", &user.invitation_token));
    assert_eq!(users::get(&service, &user.name).await, right.read());
    let accept = |address: &str| messages::accept_as(&user.invitation_token, "ann", address, true);
    let answer = service.redemptions().accept_invitation(accept("wrong@b.org")).await;
    refused(answer, Code::PermissionDenied, "EMAIL_NOT_ALLOWED");
    let other = users::create(&service, users::user("wrong@b.org")).await;
    let taken = pb::UpdateUserInvitationRequest {
        add_targets: vec![email("right@b.org")],
        remove_recipients: vec![recipient(&other.name, 1)],
        ..of_user(UserInvitation { name: other.name.clone(), ..Default::default() }, &[])
    };
    let status = refused(users.update_user_invitation(taken).await, Code::AlreadyExists, "INVITATION_EXISTS");
    assert_eq!(status.get_details_error_info().unwrap().metadata["invitation"], user.name);
    assert!(service.redemptions().accept_invitation(accept("right@b.org")).await.is_ok());
    let guest = guests::create(&service, guests::guest("wrong@b.org")).await;
    let request = pb::UpdateGuestInvitationRequest {
        guest_invitation: Some(GuestInvitation { name: guest.name.clone(), ..Default::default() }),
        add_targets: vec![email("right@b.org")],
        remove_recipients: vec![recipient(&guest.name, 1)],
        ..Default::default()
    };
    let corrected = service.guests().update_guest_invitation(guests::of(guests::HOST, request)).await.unwrap();
    assert_eq!(corrected.into_inner().email, "right@b.org");
    service.stop().await;
}

async fn one_who_has_answered_cannot_be_removed(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation_for(&["ann@b.org", "bob@b.org", "cid@b.org"])).await;
    let accept = messages::accept_as(&made.invitation_token, "ann", "ann@b.org", true);
    service.redemptions().accept_invitation(accept).await.unwrap();
    service.redemptions().decline_invitation(messages::decline(&messages::mailed_token(&made.uid, 2))).await.unwrap();
    let remove = async |ordinals: &[u16]| {
        let request = pb::UpdateConnectionInvitationRequest {
            remove_recipients: ordinals.iter().map(|ordinal| recipient(&made.name, *ordinal)).collect(),
            ..of_connection(ConnectionInvitation { name: made.name.clone(), ..Default::default() }, &[])
        };
        service.connections().update_connection_invitation(request).await
    };
    for ordinal in [1, 2] {
        let status = refused(remove(&[3, ordinal]).await, Code::FailedPrecondition, "RECIPIENT_ANSWERED");
        let named = status.get_details_error_info().unwrap().metadata["recipient"].clone();
        assert_eq!(named, recipient(&made.name, ordinal));
    }
    let left = remove(&[3]).await.unwrap().into_inner();
    assert_eq!(left.allowed_emails, ["ann@b.org", "bob@b.org"], "somebody can still answer");
    service.stop().await;
}

async fn link_for_anyone_is_bound_by_its_first_address(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation()).await;
    let change = async |added: &[&str], removed: &[u16]| {
        let request = pb::UpdateConnectionInvitationRequest {
            add_targets: added.iter().map(|address| email(address)).collect(),
            remove_recipients: removed.iter().map(|ordinal| recipient(&made.name, *ordinal)).collect(),
            ..of_connection(ConnectionInvitation { name: made.name.clone(), ..Default::default() }, &[])
        };
        service.connections().update_connection_invitation(request).await.map(tonic::Response::into_inner)
    };
    assert_eq!(change(&["ann@b.org"], &[]).await.unwrap().allowed_emails, ["ann@b.org"]);
    let anybody = messages::accept(&made.invitation_token, "eve");
    refused(service.redemptions().accept_invitation(anybody).await, Code::PermissionDenied, "EMAIL_NOT_ALLOWED");
    let status = refused(change(&[], &[1]).await, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["remove_recipients"], "it would be open to anybody again, or to nobody");
    assert_eq!(change(&["bob@b.org"], &[1]).await.unwrap().allowed_emails, ["bob@b.org"]);
    service.stop().await;
}

async fn entries_that_do_not_fit_are_refused(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = for_two(&service).await;
    let other = generals::create(&service, into("blue", &[email("eve@b.org")])).await;
    let mut foreign = change(&made.name, &[], &[1], false);
    foreign.remove_recipients.push(recipient(&other.name, 1));
    let malformed = pb::Target { value: "nobody".to_owned(), ..email("x@b.org") };
    let many: Vec<_> = (0..101).map(|number| email(&format!("p{number}@b.org"))).collect();
    for (request, field) in [
        (foreign, "remove_recipients[1]"),
        (change(&made.name, &[], &[1, 3], false), "remove_recipients[1]"),
        (change(&made.name, &[email("kim@b.org"), malformed], &[], false), "add_targets[1].value"),
        (change(&made.name, &[pb::Target::default()], &[], false), "add_targets[0].type"),
        (change(&made.name, &many, &[], false), "add_targets"),
        (change(&made.name, &many[..99], &[], false), "add_targets"),
    ] {
        let status = refused(update(&service, request).await, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(violated(&status), [field]);
    }
    assert!(update(&service, change(&made.name, &many[..98], &[], false)).await.is_ok(), "100 fit");
    let user = users::create(&service, users::user("ann@b.org")).await;
    let request = pb::UpdateUserInvitationRequest {
        add_targets: vec![internal("u-1")],
        ..of_user(UserInvitation { name: user.name, ..Default::default() }, &[])
    };
    let status = refused(service.users().update_user_invitation(request).await, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["add_targets[0].type"]);
    service.stop().await;
}

async fn person_is_no_longer_listed_once_they_are_removed(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = generals::create(&service, into_team(&[email("ann@b.org"), email("bob@b.org")])).await;
    let open = async |address: &str| {
        let target = Some(messages::target_ref(email(address)));
        let request = pb::ListOpenInvitationsRequest { target, ..Default::default() };
        service.invitations().list_open_invitations(request).await.unwrap().into_inner().invitations.len()
    };
    assert_eq!([open("ann@b.org").await, open("kim@b.org").await], [1, 0]);
    update(&service, change(&made.name, &[email("kim@b.org")], &[1], false)).await.unwrap();
    assert_eq!([open("ann@b.org").await, open("bob@b.org").await, open("kim@b.org").await], [0, 1, 1]);
    service.stop().await;
}

async fn removed_recipients_are_left_out_of_targets_and_counts(database: TestDatabase) {
    let service = Service::start(&database).await;
    let many: Vec<_> = (0..15).map(|number| email(&format!("p{number}@b.org"))).collect();
    let invitation_type = pb::InvitationType::MultiUse.into();
    let made = generals::create(&service, Invitation { invitation_type, ..into_team(&many) }).await;
    update(&service, change(&made.name, &[], &[1, 2, 3], false)).await.unwrap();
    let request = pb::ListInvitationsRequest::default();
    let listed = service.invitations().list_invitations(request).await.unwrap().into_inner().invitations.remove(0);
    assert_eq!((listed.targets.len(), listed.recipient_count), (10, 12));
    assert_eq!(listed.targets[0].value, "p3@b.org");
    let whole = messages::get_general(&service, &made.name).await;
    assert_eq!((whole.targets.len(), whole.recipient_count), (12, 12));
    service.stop().await;
}
