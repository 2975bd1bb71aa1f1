//! The resends of every kind to some of the recipients alone.

use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::ResendInvitationRequest as Request;
use tonic::Code;
use tonic_types::StatusExt;

use crate::support::build::generals::{email, internal, into_team};
use crate::support::build::{generals, guests, messages, users};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    only_the_named_recipients_are_mailed,
    every_kind_is_resent_to_its_recipient,
    who_cannot_be_mailed_is_refused,
);

fn recipient(name: &str, ordinal: u16) -> String {
    let uid = name.rsplit('/').next().unwrap();
    format!("invitations/{uid}/recipients/{ordinal}")
}

fn to(name: &str, ordinals: &[u16]) -> Request {
    let recipients = ordinals.iter().map(|ordinal| recipient(name, *ordinal)).collect();
    Request { name: name.to_owned(), recipients, ..Default::default() }
}

/// The recipients who were mailed their link, the latest first.
async fn mailed(service: &Service, name: &str) -> Vec<String> {
    let request = pb::ListDeliveriesRequest { parent: name.to_owned(), ..Default::default() };
    let listed = service.deliveries().list_deliveries(request).await.unwrap().into_inner().deliveries;
    let links = listed.into_iter().filter(|one| one.purpose() == pb::DeliveryPurpose::Invitation);
    links.map(|one| one.recipient).collect()
}

async fn only_the_named_recipients_are_mailed(database: TestDatabase) {
    let service = Service::start(&database).await;
    let invitation = into_team(&[email("a@b.org"), email("c@b.org"), email("d@b.org")]);
    let create = pb::CreateInvitationRequest { send_email: Some(false), ..messages::general(invitation) };
    let made = generals::try_create(&service, create).await.unwrap();
    assert!(mailed(&service, &made.name).await.is_empty());
    let resent = service.invitations().resend_invitation(to(&made.name, &[2, 2])).await.unwrap().into_inner();
    assert_eq!(mailed(&service, &made.name).await, [recipient(&made.name, 2)], "once, and nobody else");
    assert_eq!((resent.mailed, resent.delivery_count), (false, 1), "the others are still left to the inviter");
    let all = Request { name: made.name.clone(), ..Default::default() };
    let resent = service.invitations().resend_invitation(all).await.unwrap().into_inner();
    assert_eq!(resent.delivery_count, 1, "a plain resend of it mails nobody");
    service.clock.advance(Duration::from_secs(60));
    let insisting = Request { send_email: Some(true), ..to(&made.name, &[3]) };
    let resent = service.invitations().resend_invitation(insisting).await.unwrap().into_inner();
    assert_eq!((resent.mailed, resent.delivery_count), (true, 2));
    service.clock.advance(Duration::from_secs(60));
    let dry = Request { validate_only: true, ..to(&made.name, &[1]) };
    service.invitations().resend_invitation(dry).await.unwrap();
    let mut seen = mailed(&service, &made.name).await;
    seen.sort();
    assert_eq!(seen, [2, 3].map(|ordinal| recipient(&made.name, ordinal)));
    service.stop().await;
}

async fn every_kind_is_resent_to_its_recipient(database: TestDatabase) {
    let service = Service::start(&database).await;
    let connection = messages::create(&service, messages::invitation_for(&["a@b.org", "c@b.org"])).await.name;
    let user = users::create(&service, users::user("a@b.org")).await.name;
    let guest = guests::create(&service, guests::guest("a@b.org")).await.name;
    let names = [connection.clone(), user.clone(), guest.clone()];
    let before = futures_util::future::join_all(names.iter().map(|name| mailed(&service, name))).await;
    let recipients = |name: &str| vec![recipient(name, 1)];
    let request = pb::ResendConnectionInvitationRequest {
        recipients: recipients(&connection),
        name: connection,
        ..Default::default()
    };
    service.connections().resend_connection_invitation(request).await.unwrap();
    let request = pb::ResendUserInvitationRequest { recipients: recipients(&user), name: user, ..Default::default() };
    service.users().resend_user_invitation(request).await.unwrap();
    let request =
        pb::ResendGuestInvitationRequest { recipients: recipients(&guest), name: guest, ..Default::default() };
    service.guests().resend_guest_invitation(guests::of(guests::HOST, request)).await.unwrap();
    for (name, before) in names.iter().zip(before) {
        let mut after = mailed(&service, name).await;
        after.sort();
        let mut wanted = [before, recipients(name)].concat();
        wanted.sort();
        assert_eq!(after, wanted, "{name}");
    }
    service.stop().await;
}

async fn who_cannot_be_mailed_is_refused(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = generals::create(&service, into_team(&[email("a@b.org"), email("c@b.org"), internal("u-3")])).await;
    let other = generals::create(&service, into_team(&[email("e@b.org")])).await;
    let resend = async |request: Request| service.invitations().resend_invitation(request).await;
    let mut foreign = to(&made.name, &[1]);
    foreign.recipients.push(recipient(&other.name, 1));
    let silent = Request { send_email: Some(false), ..to(&made.name, &[1]) };
    let malformed = Request { recipients: vec![made.name.clone()], ..to(&made.name, &[]) };
    let many = to(&made.name, &[1; 101]);
    for (request, field) in [
        (foreign, "recipients[1]"),
        (to(&made.name, &[1, 2, 9]), "recipients[2]"),
        (to(&made.name, &[1, 3]), "recipients[1]"),
        (silent, "recipients"),
        (malformed, "recipients[0]"),
        (many, "recipients"),
    ] {
        let status = refused(resend(request).await, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(violated(&status), [field], "{}", status.message());
    }
    let theirs = messages::decline(&messages::mailed_token(&made.uid, 2));
    service.redemptions().decline_invitation(theirs).await.unwrap();
    let before = mailed(&service, &made.name).await;
    let status = refused(resend(to(&made.name, &[1, 2])).await, Code::FailedPrecondition, "RECIPIENT_ANSWERED");
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().metadata["recipient"], recipient(&made.name, 2));
    assert_eq!(mailed(&service, &made.name).await, before, "a refused resend mails nobody");
    service.stop().await;
}
