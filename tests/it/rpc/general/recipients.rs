//! GetRecipient and ListRecipients: the people of an invitation, their answers, and their own links.

use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::{DeliveryState, ListRecipientsRequest as Request, Recipient, RecipientState, TargetType};
use tonic::{Code, Response, Status};

use crate::rpc::redemption::keys;
use crate::support::build::generals::{email, internal, into_team};
use crate::support::build::guests::{HOST, OTHER_HOST};
use crate::support::build::{generals, guests, messages};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    recipients_show_answers_messages_and_what_the_caller_said,
    pages_go_both_ways_and_only_with_these_states,
    links_need_tokens_read_and_are_the_persons_own,
    links_without_an_email_address_prove_none,
    recipient_is_found_by_its_name_alone,
    bound_key_sees_recipients_of_its_hosts_alone,
);

fn listing(parent: &str) -> Request {
    Request { parent: parent.to_owned(), ..Default::default() }
}

async fn list(service: &Service, request: Request) -> Vec<Recipient> {
    service.invitations().list_recipients(request).await.unwrap().into_inner().recipients
}

async fn get(service: &Service, name: &str) -> Result<Recipient, Status> {
    let request = pb::GetRecipientRequest { name: name.to_owned() };
    service.invitations().get_recipient(request).await.map(Response::into_inner)
}

/// An invitation for up to ten uses, mailed to these people.
async fn for_many(service: &Service, people: &[&str]) -> pb::Invitation {
    let targets: Vec<_> = people.iter().map(|person| email(person)).collect();
    generals::create(service, pb::Invitation { max_uses: Some(10), ..multi(into_team(&targets)) }).await
}

fn multi(invitation: pb::Invitation) -> pb::Invitation {
    pb::Invitation { invitation_type: pb::InvitationType::MultiUse.into(), ..invitation }
}

async fn recipients_show_answers_messages_and_what_the_caller_said(database: TestDatabase) {
    let service = Service::start(&database).await;
    let ann = pb::Target {
        display_name: "Ann Lee".to_owned(),
        avatar_uri: "https://example.org/ann.png".to_owned(),
        existing_user: Some(true),
        ..email("Ann@Example.org")
    };
    let bob = pb::Target { existing_user: Some(false), ..email("bob@example.org") };
    let made = generals::create(&service, into_team(&[ann.clone(), bob.clone(), internal("u-3")])).await;
    assert_eq!(made.targets, [ann.clone(), bob, internal("u-3")]);
    service.clock.advance(Duration::from_secs(60));
    service.redemptions().decline_invitation(messages::decline(&messages::mailed_token(&made.uid, 2))).await.unwrap();
    let shown = list(&service, listing(&made.name)).await;
    let token = messages::mailed_token(&made.uid, 1);
    let wanted = Recipient {
        name: format!("{}/recipients/1", made.name),
        r#type: TargetType::Email.into(),
        value: ann.value,
        display_name: ann.display_name,
        avatar_uri: ann.avatar_uri,
        state: RecipientState::Open.into(),
        answer_time: None,
        last_delivery_state: DeliveryState::Queued.into(),
        existing_user: Some(true),
        invitation_uri: made.invitation_uri.replace(&made.invitation_token, &token),
        invitation_token: token,
        token_visibility: pb::TokenVisibility::Shown.into(),
    };
    assert_eq!(shown[0], wanted);
    let states: Vec<_> = shown.iter().map(|one| (one.state(), one.answer_time, one.existing_user)).collect();
    let declined = (RecipientState::Declined, messages::at(60), Some(false));
    assert_eq!(states[1..], [declined, (RecipientState::Open, None, None)]);
    assert_eq!((shown[2].r#type(), shown[2].value.as_str()), (TargetType::Internal, "u-3"));
    assert_eq!(shown[2].last_delivery_state(), DeliveryState::Unspecified, "nothing was sent to them");

    let deliveries =
        pb::ListDeliveriesRequest { recipient: wanted.name.clone(), parent: made.name, ..Default::default() };
    let sent = service.deliveries().list_deliveries(deliveries).await.unwrap().into_inner().deliveries;
    let sent = sent.into_iter().find(|one| one.purpose() == pb::DeliveryPurpose::Invitation).unwrap();
    // A bounce that suppresses nobody.
    let (report, detail) = (pb::DeliveryReport::Bounced.into(), "552 5.2.2 mailbox full".to_owned());
    let report = pb::ReportDeliveryStatusRequest { message_id: sent.message_id, report, detail, ..Default::default() };
    service.deliveries().report_delivery_status(report).await.unwrap();
    let ann = get(&service, &wanted.name).await.unwrap();
    assert_eq!(ann, Recipient { last_delivery_state: DeliveryState::Bounced.into(), ..wanted });
    service.clock.advance(Duration::from_secs(60));
    let resend = pb::ResendInvitationRequest { name: messages_parent(&ann.name), ..Default::default() };
    service.invitations().resend_invitation(resend).await.unwrap();
    assert_eq!(
        get(&service, &ann.name).await.unwrap().last_delivery_state(),
        DeliveryState::Queued,
        "the latest counts"
    );
    service.stop().await;
}

fn messages_parent(recipient: &str) -> String {
    recipient.split("/recipients/").next().unwrap().to_owned()
}

async fn pages_go_both_ways_and_only_with_these_states(database: TestDatabase) {
    let service = Service::start(&database).await;
    let people: Vec<_> = (1..=23).map(|n| format!("p{n}@example.org")).collect();
    let people: Vec<&str> = people.iter().map(String::as_str).collect();
    let made = for_many(&service, &people).await;
    for person in [2_u16, 5, 21] {
        let accept = messages::accept(&messages::mailed_token(&made.uid, person), &format!("person-{person}"));
        service.redemptions().accept_invitation(accept).await.unwrap();
    }
    let ordinals = async |request: Request| {
        let (mut request, mut seen) = (Request { page_size: 7, ..request }, Vec::new());
        loop {
            let page = service.invitations().list_recipients(request.clone()).await.unwrap().into_inner();
            assert!(page.recipients.len() <= 7);
            seen.extend(page.recipients.iter().map(|one| one.name.rsplit('/').next().unwrap().parse::<u16>().unwrap()));
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                return seen;
            }
        }
    };
    let all: Vec<u16> = (1..=23).collect();
    for (order_by, reverse) in [("", false), ("ordinal", false), ("ordinal asc", false), ("ordinal desc", true)] {
        let mut seen = ordinals(Request { order_by: order_by.to_owned(), ..listing(&made.name) }).await;
        if reverse {
            seen.reverse();
        }
        assert_eq!(seen, all, "{order_by}");
    }
    let open: Vec<u16> = all.iter().copied().filter(|ordinal| ![2, 5, 21].contains(ordinal)).collect();
    for (states, wanted) in [
        (vec![RecipientState::Accepted], vec![2, 5, 21]),
        (vec![RecipientState::Open], open),
        (vec![RecipientState::Open, RecipientState::Accepted], all),
        (vec![RecipientState::Declined], vec![]),
        (vec![RecipientState::Removed], vec![]),
        (vec![RecipientState::Removed, RecipientState::Accepted], vec![2, 5, 21]),
    ] {
        let states = states.into_iter().map(Into::into).collect();
        assert_eq!(ordinals(Request { states, ..listing(&made.name) }).await, wanted);
    }
    let bad = Request { states: vec![0, 99], order_by: "name".to_owned(), page_size: -1, ..listing("x") };
    let status = refused(service.invitations().list_recipients(bad).await, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["parent", "states[0]", "states[1]", "page_size", "order_by"]);
    service.stop().await;
}

async fn links_need_tokens_read_and_are_the_persons_own(database: TestDatabase) {
    let (service, key) = keys::start(&database, &[("ours", "*"), ("ours", "invitations.read"), ("theirs", "*")]).await;
    let create = keys::with(&key[0], messages::general(multi(into_team(&[email("a@b.org"), email("c@b.org")]))));
    let made = service.invitations().create_invitation(create).await.unwrap().into_inner();
    let mut invitations = service.invitations();
    let shown = invitations.list_recipients(keys::with(&key[0], listing(&made.name))).await.unwrap().into_inner();
    let hidden = invitations.list_recipients(keys::with(&key[1], listing(&made.name))).await.unwrap().into_inner();
    for (shown, hidden) in shown.recipients.iter().zip(&hidden.recipients) {
        let wanted = Recipient {
            invitation_token: String::new(),
            invitation_uri: String::new(),
            token_visibility: pb::TokenVisibility::PermissionMissing.into(),
            ..shown.clone()
        };
        assert_eq!(*hidden, wanted);
        let got = pb::GetRecipientRequest { name: shown.name.clone() };
        assert_eq!(invitations.get_recipient(keys::with(&key[1], got.clone())).await.unwrap().into_inner(), wanted);
        refused(invitations.get_recipient(keys::with(&key[2], got)).await, Code::NotFound, "RECIPIENT_NOT_FOUND");
    }
    let foreign = invitations.list_recipients(keys::with(&key[2], listing(&made.name))).await;
    refused(foreign, Code::NotFound, "INVITATION_NOT_FOUND");
    // Without an address of their own: the link says who it is, and proves it.
    let accept = messages::accept(&shown.recipients[1].invitation_token, "cleo");
    let accepted = service.redemptions().accept_invitation(keys::with(&key[0], accept)).await.unwrap().into_inner();
    assert_eq!(accepted.acceptance.unwrap().email, "c@b.org");
    let states: Vec<_> = list_with(&service, &key[0], &made.name).await.iter().map(Recipient::state).collect();
    assert_eq!(states, [RecipientState::Open, RecipientState::Accepted]);
    service.stop().await;
}

async fn list_with(service: &Service, key: &str, parent: &str) -> Vec<Recipient> {
    let listed = service.invitations().list_recipients(keys::with(key, listing(parent))).await;
    listed.unwrap().into_inner().recipients
}

async fn links_without_an_email_address_prove_none(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = generals::create(&service, into_team(&[email("a@b.org"), internal("u-2")])).await;
    let theirs = list(&service, listing(&made.name)).await.remove(1).invitation_token;
    service.redemptions().preview_invitation(messages::preview(&theirs)).await.unwrap();
    let accept = messages::accept_as(&theirs, "somebody", "a@b.org", false);
    refused(service.redemptions().accept_invitation(accept).await, Code::PermissionDenied, "EMAIL_NOT_VERIFIED");
    service.redemptions().decline_invitation(messages::decline(&theirs)).await.unwrap();
    let states: Vec<_> = list(&service, listing(&made.name)).await.iter().map(Recipient::state).collect();
    assert_eq!(states, [RecipientState::Open, RecipientState::Declined], "it tells who declines");
    service.stop().await;
}

async fn recipient_is_found_by_its_name_alone(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation_for(&["ann@example.org"])).await;
    let general = made.name.replace("connectionInvitations", "invitations");
    for parent in [&made.name, &general] {
        let listed = list(&service, listing(parent)).await;
        assert_eq!(listed.len(), 1);
        assert_eq!(get(&service, &listed[0].name).await.unwrap(), listed[0]);
    }
    let plain = messages::create(&service, messages::invitation()).await;
    assert!(list(&service, listing(&plain.name)).await.is_empty(), "a link for anyone is meant for nobody");
    let other_kind = listing(&made.name.replace("connectionInvitations", "userInvitations"));
    refused(service.invitations().list_recipients(other_kind).await, Code::NotFound, "INVITATION_NOT_FOUND");
    let missing = listing("invitations/01920000-0000-7000-8000-000000000000");
    refused(service.invitations().list_recipients(missing).await, Code::NotFound, "INVITATION_NOT_FOUND");
    refused(get(&service, &format!("{general}/recipients/2")).await, Code::NotFound, "RECIPIENT_NOT_FOUND");
    for name in
        ["".to_owned(), general.clone(), format!("{general}/recipients/0"), format!("{}/recipients/1", made.name)]
    {
        let status = refused(get(&service, &name).await, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(violated(&status), ["name"], "{name}");
    }
    service.stop().await;
}

async fn bound_key_sees_recipients_of_its_hosts_alone(database: TestDatabase) {
    let credentials = [("ours", "*", Some(HOST)), ("ours", "*", Some(OTHER_HOST)), ("ours", "*", None)];
    let (service, key) = keys::start_bound(&database, &credentials).await;
    let mut create = keys::with(&key[0], guests::creation(guests::guest("ann@example.org")));
    guests::add(&mut create, HOST, HOST);
    let made = service.guests().create_guest_invitation(create).await.unwrap().into_inner();
    let listed = list_with(&service, &key[0], &made.name).await;
    let get = pb::GetRecipientRequest { name: listed[0].name.clone() };
    let mut invitations = service.invitations();
    assert_eq!(invitations.get_recipient(keys::with(&key[0], get.clone())).await.unwrap().into_inner(), listed[0]);
    refused(invitations.get_recipient(keys::with(&key[1], get.clone())).await, Code::NotFound, "RECIPIENT_NOT_FOUND");
    let foreign = invitations.list_recipients(keys::with(&key[1], listing(&made.name))).await;
    refused(foreign, Code::NotFound, "INVITATION_NOT_FOUND");

    // By a grant it reads them, but no link, with which it could accept for the host.
    let organization_grant = Some(pb::OrganizationGrant {
        requester_organization_id: OTHER_HOST.to_owned(),
        target_organization_id: HOST.to_owned(),
        permissions: ["guest_invitations.read", "guest_invitations.write"].map(str::to_owned).to_vec(),
        ..Default::default()
    });
    let grant = pb::CreateOrganizationGrantRequest { organization_grant, ..Default::default() };
    service.access().create_organization_grant(keys::with(&key[2], grant)).await.unwrap();
    let hidden = pb::TokenVisibility::PermissionMissing as i32;
    let without_link = Recipient {
        invitation_token: String::new(),
        invitation_uri: String::new(),
        token_visibility: hidden,
        ..listed[0].clone()
    };
    assert_eq!(list_with(&service, &key[1], &made.name).await, std::slice::from_ref(&without_link));
    assert_eq!(invitations.get_recipient(keys::with(&key[1], get)).await.unwrap().into_inner(), without_link);
    let get = pb::GetInvitationRequest { name: format!("invitations/{}", made.uid) };
    let seen = invitations.get_invitation(keys::with(&key[1], get.clone())).await.unwrap().into_inner();
    assert_eq!((seen.invitation_token.as_str(), seen.token_visibility), ("", hidden));
    for own in [0, 2] {
        let seen = invitations.get_invitation(keys::with(&key[own], get.clone())).await.unwrap().into_inner();
        assert!(seen.invitation_token.starts_with("inv_"), "{own}");
    }
    service.stop().await;
}
