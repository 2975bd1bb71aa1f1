//! ReassignInvitations: another inviter for all that a person has open.

use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::ReassignInvitationsRequest as Request;
use tonic::Code;

use crate::rpc::redemption::keys;
use crate::support::build::generals::into_team;
use crate::support::build::guests::{HOST, OTHER_HOST};
use crate::support::build::messages::Expiring as _;
use crate::support::build::{generals, guests, messages, users};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    open_invitations_of_every_kind_get_the_new_inviter,
    more_than_a_chunk_is_reassigned_once_per_request_id,
    key_of_one_organization_reassigns_its_guests_alone,
    new_inviter_is_another_person_with_a_name,
);

fn person(user_id: &str) -> Option<pb::Inviter> {
    let email = format!("{user_id}@example.org");
    Some(pb::Inviter { user_id: user_id.to_owned(), display_name: user_id.to_uppercase(), email, ..Default::default() })
}

fn request(from: &str, to: &str) -> Request {
    Request { from_user_id: from.to_owned(), to: person(to), ..Default::default() }
}

async fn run(service: &Service, request: Request) -> pb::ReassignInvitationsResponse {
    service.invitations().reassign_invitations(request).await.unwrap().into_inner()
}

fn by(user_id: &str) -> pb::Invitation {
    pb::Invitation { inviter: person(user_id), ..into_team(&[]) }
}

async fn inviter_of(service: &Service, name: &str) -> Option<pb::Inviter> {
    messages::get_general(service, name).await.inviter
}

async fn open_invitations_of_every_kind_get_the_new_inviter(database: TestDatabase) {
    let service = Service::start(&database).await;
    let general = generals::create(&service, by("ann")).await.name;
    let connection = pb::ConnectionInvitation { inviter: person("ann"), ..messages::invitation() };
    let connection = messages::create(&service, connection).await.name;
    let user = pb::UserInvitation { inviter: person("ann"), ..users::user("u@example.org") };
    let user = users::create(&service, user).await.name;
    let guest = pb::GuestInvitation { inviter: person("ann"), ..guests::guest("g@example.org") };
    let guest = guests::create(&service, guest).await.name;
    let expiration = messages::seconds(60).map(pb::invitation::Expiration::Ttl);
    let expired = generals::create(&service, pb::Invitation { expiration, ..by("ann") }).await.name;
    let open = [general, connection, user, guest, expired];
    let revoked = generals::create(&service, by("ann")).await.name;
    generals::revoke(&service, &revoked).await;
    let declined = generals::create(&service, by("ann")).await.name;
    generals::decline(&service, &[&declined], None).await.remove(0).unwrap();
    let used = generals::create(&service, by("ann")).await.name;
    generals::accept(&service, &[&used], generals::subject("x")).await;
    let of_another = generals::create(&service, by("cid")).await.name;
    let of_nobody = generals::create(&service, into_team(&[])).await.name;
    service.clock.advance(Duration::from_secs(60));
    let kept = [(revoked, "ann"), (declined, "ann"), (used, "ann"), (of_another, "cid"), (of_nobody, "")];

    let dry = run(&service, Request { validate_only: true, ..request("ann", "bob") }).await;
    assert_eq!((dry.reassigned_count, dry.more), (5, false));
    for name in &open {
        assert_eq!(inviter_of(&service, name).await, person("ann"), "a dry run changes nothing");
    }
    let before = messages::get_general(&service, &open[0]).await;
    let done = run(&service, request("ann", "bob")).await;
    assert_eq!((done.reassigned_count, &done.sample_names), (5, &dry.sample_names));
    for name in &open {
        assert_eq!(inviter_of(&service, name).await, person("bob"), "{name}");
        let events = messages::events(&service, name).await;
        let Some(pb::event::Payload::Updated(updated)) = &events.last().unwrap().payload else { panic!("{events:?}") };
        assert_eq!(updated.fields, ["inviter"]);
        assert_eq!(updated.changes[0].field, "inviter.user_id");
    }
    let after = messages::get_general(&service, &open[0]).await;
    assert_eq!((after.creator.as_str(), after.expire_time()), (before.creator.as_str(), before.expire_time()));
    assert_ne!(after.etag, before.etag);
    for (name, user_id) in &kept {
        assert_eq!(inviter_of(&service, name).await, person(user_id).filter(|_| !user_id.is_empty()), "{name}");
    }
    let filter = pb::InvitationFilter { inviter_user_id: "bob".to_owned(), ..Default::default() };
    let list = pb::ListInvitationsRequest { filter: Some(filter), ..Default::default() };
    assert_eq!(service.invitations().list_invitations(list).await.unwrap().into_inner().invitations.len(), 5);
    assert_eq!(run(&service, request("ann", "bob")).await.reassigned_count, 0, "nothing is left");
    service.stop().await;
}

async fn more_than_a_chunk_is_reassigned_once_per_request_id(database: TestDatabase) {
    let service = Service::start(&database).await;
    let requests = vec![messages::general(by("ann")); 250];
    let batch = pb::BatchCreateInvitationsRequest { requests, ..Default::default() };
    service.invitations().batch_create_invitations(batch).await.unwrap();
    let sent = Request { request_id: "r".to_owned(), ..request("ann", "bob") };
    for _ in 0..2 {
        let mut answer = run(&service, sent.clone()).await;
        while answer.more {
            answer = run(&service, sent.clone()).await;
        }
        assert_eq!((answer.reassigned_count, answer.sample_names.len()), (250, 20));
        // An invitation that comes later belongs to another call.
        generals::create(&service, by("ann")).await;
    }
    let other = service.invitations().reassign_invitations(Request { to: person("cid"), ..sent }).await;
    refused(other, Code::FailedPrecondition, "REQUEST_ID_REUSED");
    assert_eq!(run(&service, request("ann", "cid")).await.reassigned_count, 2);
    service.stop().await;
}

async fn key_of_one_organization_reassigns_its_guests_alone(database: TestDatabase) {
    let (service, key) =
        keys::start_bound(&database, &[("ours", "*", None), ("ours", "*", Some(HOST)), ("theirs", "*", None)]).await;
    let guest = |email: &str| pb::GuestInvitation { inviter: person("ann"), ..guests::guest(email) };
    let mut names = Vec::new();
    for (host, email) in [(HOST, "a@example.org"), (OTHER_HOST, "b@example.org")] {
        let mut create = keys::with(&key[0], guests::creation(guest(email)));
        guests::add(&mut create, host, host);
        names.push(service.guests().create_guest_invitation(create).await.unwrap().into_inner().name);
    }
    let run = async |key: &str| {
        let sent = keys::with(key, request("ann", "bob"));
        service.invitations().reassign_invitations(sent).await.unwrap().into_inner()
    };
    assert_eq!(run(&key[2]).await.reassigned_count, 0, "another account");
    let own = run(&key[1]).await;
    assert_eq!((own.reassigned_count, own.sample_names[0].rsplit('/').next()), (1, names[0].rsplit('/').next()));
    assert_eq!(run(&key[0]).await.reassigned_count, 1, "the other host's");
    service.stop().await;
}

async fn new_inviter_is_another_person_with_a_name(database: TestDatabase) {
    let service = Service::start(&database).await;
    let unnamed = pb::Inviter { user_id: "bob".to_owned(), email: "no".to_owned(), ..Default::default() };
    for (sent, fields) in [
        (Request::default(), vec!["from_user_id", "to"]),
        (request("ann", "ann"), vec!["to.user_id"]),
        (Request { to: Some(pb::Inviter::default()), ..request("ann", "") }, vec!["to.user_id", "to.display_name"]),
        (Request { to: Some(unnamed), ..request("ann", "") }, vec!["to.email", "to.display_name"]),
    ] {
        let status = service.invitations().reassign_invitations(sent).await;
        assert_eq!(violated(&refused(status, Code::InvalidArgument, "INVALID_FIELD")), fields);
    }
    service.stop().await;
}
