//! UpdateGuestInvitation: the fields of a mask, and nothing else.

use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::{GuestInvitation, InvitationState, guest_invitation};
use tonic::Code;

use crate::support::build::guests::{GUEST, HOST, OTHER_HOST, by_system, create, get, guest, revocation, update};
use crate::support::build::messages;
use crate::support::build::messages::Expiring;
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    each_field_of_the_mask_is_set_and_no_other,
    without_a_mask_what_is_not_empty_is_set_and_a_star_sets_all,
    field_that_cannot_change_is_refused_unless_it_is_as_it_is,
    archiving_is_a_flag_of_its_own_in_every_state,
    etag_in_the_message_has_to_be_the_present_one,
    call_without_effect_leaves_no_trace,
);

/// All that can be changed, changed.
fn changed(name: &str) -> GuestInvitation {
    GuestInvitation {
        name: name.to_owned(),
        expiration: messages::at(7_200).map(guest_invitation::Expiration::ExpireTime),
        archived: Some(true),
        parent_organization_id: OTHER_HOST.to_owned(),
        parent_organization_name: "Parent".to_owned(),
        // Output only.
        host_organization_id: GUEST.to_owned(),
        creator: "eve".to_owned(),
        ..Default::default()
    }
}

/// The fields that can be changed.
fn face(guest: &GuestInvitation) -> (Option<prost_types::Timestamp>, bool, &str, &str) {
    let GuestInvitation { archived, parent_organization_id, parent_organization_name, .. } = guest;
    (guest.expire_time(), archived.unwrap_or_default(), parent_organization_id, parent_organization_name)
}

async fn each_field_of_the_mask_is_set_and_no_other(database: TestDatabase) {
    let service = Service::start(&database).await;
    let old = messages::at(3_600);
    for (number, (field, wanted)) in [
        ("expire_time", (messages::at(7_200), false, "", "")),
        ("archived", (old, true, "", "")),
        ("parent_organization_id", (old, false, OTHER_HOST, "")),
        ("parent_organization_name", (old, false, "", "Parent")),
    ]
    .into_iter()
    .enumerate()
    {
        let made = create(&service, guest(&format!("p{number}@example.org"))).await;
        service.clock.advance(Duration::from_secs(1));
        // A mask that names fields says that the others do not matter.
        let eve = GuestInvitation { email: "eve@example.org".to_owned(), ..changed(&made.name) };
        let request = update(eve, &[field]);
        let updated = service.guests().update_guest_invitation(request).await.unwrap().into_inner();
        assert_eq!(face(&updated), wanted, "{field}");
        assert_eq!((&updated.email, &updated.host_organization_id), (&made.email, &made.host_organization_id));
        assert_eq!((&updated.creator, updated.create_time), (&made.creator, made.create_time));
        assert_ne!((&updated.etag, updated.update_time), (&made.etag, made.update_time));
        assert_eq!(get(&service, &made.name).await, updated);
        let event = if field == "archived" { "invitation.archived" } else { "invitation.updated" };
        assert_eq!(messages::event_types(&service, &made.name).await, ["invitation.created", event]);
    }
    let made = create(&service, guest("ann@example.org")).await;
    for (mask, wrong) in [
        (vec!["email"], 0),
        (vec!["archived", "state"], 1),
        (vec![""], 0),
        (vec!["guest_invitation.archived"], 0),
        (vec!["archived", "*", "Archived"], 2),
    ] {
        let answer = service.guests().update_guest_invitation(update(changed(&made.name), &mask)).await;
        let status = refused(answer, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(violated(&status), [format!("update_mask.paths[{wrong}]")], "{mask:?}");
    }
    assert_eq!(get(&service, &made.name).await, made, "what is refused changes nothing");
    service.stop().await;
}

async fn without_a_mask_what_is_not_empty_is_set_and_a_star_sets_all(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = create(&service, guest("ann@example.org")).await;
    let mut guests = service.guests();
    let all = guests.update_guest_invitation(update(changed(&made.name), &[])).await.unwrap().into_inner();
    assert_eq!(face(&all), (messages::at(7_200), true, OTHER_HOST, "Parent"));
    let nothing = GuestInvitation { name: made.name.clone(), ..Default::default() };
    let same = guests.update_guest_invitation(update(nothing.clone(), &[])).await.unwrap().into_inner();
    assert_eq!(same, all);
    let cleared = guests.update_guest_invitation(update(nothing.clone(), &["parent_organization_id"])).await;
    assert_eq!(face(&cleared.unwrap().into_inner()), (messages::at(7_200), true, "", "Parent"));
    for mask in ["*", "expire_time"] {
        let timeless = guests.update_guest_invitation(update(nothing.clone(), &[mask])).await;
        let status = refused(timeless, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(violated(&status), ["guest_invitation.expire_time"], "it cannot be cleared");
    }
    let timed =
        GuestInvitation { expiration: messages::at(9_000).map(guest_invitation::Expiration::ExpireTime), ..nothing };
    let star = guests.update_guest_invitation(update(timed, &["*"])).await.unwrap().into_inner();
    assert_eq!(face(&star), (messages::at(9_000), false, "", ""));
    let past = GuestInvitation {
        name: made.name.clone(),
        expiration: messages::at(0).map(guest_invitation::Expiration::ExpireTime),
        ..Default::default()
    };
    let status =
        refused(guests.update_guest_invitation(update(past, &[])).await, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["guest_invitation.expire_time"]);
    service.stop().await;
}

async fn field_that_cannot_change_is_refused_unless_it_is_as_it_is(database: TestDatabase) {
    let service = Service::start(&database).await;
    let text = |value: &str| value.to_owned();
    let labels = |value: &str| [(text("campaign"), text(value))].into_iter().collect();
    let data = |value: &str| {
        let kind = Some(prost_types::value::Kind::StringValue(text(value)));
        prost_types::Struct { fields: [(text("a"), prost_types::Value { kind })].into() }
    };
    let inviter = |name: &str| Some(pb::Inviter { display_name: text(name), ..Default::default() });
    let wordy = GuestInvitation {
        inviter: inviter("Bob"),
        scope_display_name: text("Acme"),
        message: text("Hello"),
        locale: text("de"),
        redirect_uri: text("https://app.example/welcome"),
        labels: labels("spring"),
        metadata: Some(data("b")),
        ..guest("ann@example.org")
    };
    let made = create(&service, wordy).await;
    let mut guests = service.guests();
    let whole = GuestInvitation {
        expiration: messages::at(3_600).map(guest_invitation::Expiration::ExpireTime),
        ..made.clone()
    };
    for mask in [&[][..], &["*"]] {
        let same = guests.update_guest_invitation(update(whole.clone(), mask)).await.unwrap().into_inner();
        assert_eq!(same.read(), made, "what was read can be sent back: {mask:?}");
        for (field, other) in [("email", GuestInvitation { email: text("eve@example.org"), ..whole.clone() })] {
            let other = GuestInvitation { archived: Some(true), ..other };
            let answer = guests.update_guest_invitation(update(other, mask)).await;
            let status = refused(answer, Code::InvalidArgument, "INVALID_FIELD");
            assert_eq!(violated(&status), [format!("guest_invitation.{field}")], "{mask:?}");
        }
    }
    assert_eq!(get(&service, &made.name).await, made, "what is refused changes nothing");
    for (field, other) in [
        ("inviter", GuestInvitation { inviter: inviter("Eve"), ..whole.clone() }),
        ("inviter", GuestInvitation { inviter: Some(pb::Inviter::default()), ..whole.clone() }),
        ("scope_display_name", GuestInvitation { scope_display_name: text("Other"), ..whole.clone() }),
        ("message", GuestInvitation { message: text("Bye"), ..whole.clone() }),
        ("locale", GuestInvitation { locale: text("fr"), ..whole.clone() }),
        ("redirect_uri", GuestInvitation { redirect_uri: text("https://other.example"), ..whole.clone() }),
        ("labels", GuestInvitation { labels: labels("winter"), ..whole.clone() }),
        ("metadata", GuestInvitation { metadata: Some(data("c")), ..whole.clone() }),
    ] {
        let other = GuestInvitation { etag: String::new(), ..other };
        guests.update_guest_invitation(update(other, &[field])).await.unwrap();
        let events = messages::events(&service, &made.name).await;
        let Some(pb::event::Payload::Updated(told)) = &events.last().unwrap().payload else { panic!("{field}") };
        assert_eq!(told.fields, [field]);
    }
    service.clock.advance(Duration::from_secs(3_601));
    let archived = GuestInvitation { archived: Some(true), etag: String::new(), ..whole };
    let archived = guests.update_guest_invitation(update(archived, &[])).await.unwrap().into_inner();
    assert_eq!(archived.archived, Some(true), "an expiry that has passed can be sent back too");
    service.stop().await;
}

async fn archiving_is_a_flag_of_its_own_in_every_state(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut guests = service.guests();
    let mut made = Vec::new();
    for number in 0..4 {
        made.push(create(&service, guest(&format!("p{number}@example.org"))).await.name);
    }
    guests.revoke_guest_invitation(revocation(&made[0])).await.unwrap();
    guests.accept_guest_invitation(by_system(&made[1], GUEST)).await.unwrap();
    let token = get(&service, &made[2]).await.invitation_token;
    service.redemptions().decline_invitation(messages::decline(&token)).await.unwrap();
    service.clock.advance(Duration::from_secs(3_600));
    use InvitationState::{Declined, Expired, Fulfilled, Revoked};
    for (name, state) in made.iter().zip([Revoked, Fulfilled, Declined, Expired]) {
        for archived in [true, false] {
            let flag = GuestInvitation { name: name.clone(), archived: Some(archived), ..Default::default() };
            let after = guests.update_guest_invitation(update(flag, &["archived"])).await.unwrap().into_inner();
            assert_eq!((after.state(), after.archived), (state, Some(archived)));
            assert_eq!(after.archive_time, messages::at(3_600).filter(|_| archived));
            let general = messages::get_general(&service, name).await;
            assert_eq!((general.archived, general.archive_time), (Some(archived), after.archive_time));
        }
        let happened = messages::event_types(&service, name).await;
        assert_eq!(happened[happened.len() - 2..], ["invitation.archived", "invitation.unarchived"]);
    }
    for (name, reason) in made.iter().zip(["INVITATION_REVOKED", "INVITATION_FULFILLED", "INVITATION_DECLINED"]) {
        let later = GuestInvitation {
            name: name.clone(),
            expiration: messages::at(9_000).map(guest_invitation::Expiration::ExpireTime),
            ..Default::default()
        };
        let answer = guests.update_guest_invitation(update(later, &[])).await;
        refused(answer, Code::FailedPrecondition, reason);
    }
    // An archived invitation can be accepted all the same.
    let active = create(
        &service,
        GuestInvitation {
            expiration: messages::at(9_000).map(guest_invitation::Expiration::ExpireTime),
            ..guest("kim@example.org")
        },
    )
    .await;
    let flag = GuestInvitation { name: active.name.clone(), archived: Some(true), ..Default::default() };
    guests.update_guest_invitation(update(flag, &[])).await.unwrap();
    guests.accept_guest_invitation(by_system(&active.name, GUEST)).await.unwrap();
    service.stop().await;
}

async fn etag_in_the_message_has_to_be_the_present_one(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = create(&service, guest("ann@example.org")).await;
    let with_etag = |etag: &str, request_id: &str| {
        let guest = GuestInvitation { etag: etag.to_owned(), ..changed(&made.name) };
        let mut request = update(guest, &["archived"]);
        request.get_mut().request_id = request_id.to_owned();
        request
    };
    let mut guests = service.guests();
    for etag in ["\"999\"", "*", "W/\"1\""] {
        refused(guests.update_guest_invitation(with_etag(etag, "")).await, Code::Aborted, "ETAG_MISMATCH");
    }
    let first = guests.update_guest_invitation(with_etag(&made.etag, "update-1")).await.unwrap().into_inner();
    assert_ne!(first.etag, made.etag);
    refused(guests.update_guest_invitation(with_etag(&made.etag, "")).await, Code::Aborted, "ETAG_MISMATCH");
    let again = guests.update_guest_invitation(with_etag(&made.etag, "update-1")).await.unwrap().into_inner();
    assert_eq!(again, first, "a retry goes before the etag");
    let bad = with_etag(&"a".repeat(201), "");
    let status = refused(guests.update_guest_invitation(bad).await, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["guest_invitation.etag"]);
    service.stop().await;
}

async fn call_without_effect_leaves_no_trace(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = create(&service, guest("ann@example.org")).await;
    for mask in [&["*"][..], &[], &["archived"], &["expire_time", "expire_time"]] {
        let same = update(made.clone(), mask);
        let answer = service.guests().update_guest_invitation(same).await.unwrap().into_inner();
        assert_eq!(answer, made, "{mask:?}");
    }
    assert_eq!(messages::event_types(&service, &made.name).await, ["invitation.created"]);
    assert_eq!(made.host_organization_id, HOST);
    service.stop().await;
}
