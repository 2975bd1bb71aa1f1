//! GetInvitation: the general face of each kind, and names of the wrong one.

use invitation_service::pb;
use invitation_service::pb::invitation::Details;
use invitation_service::pb::{InvitationKind, InvitationType};
use tonic::Code;

use crate::contract::raw::told;
use crate::contract::request;
use crate::support::build::guests::{HOST, OTHER_HOST, guest, of};
use crate::support::build::messages::Expiring;
use crate::support::build::users::user;
use crate::support::build::{guests, messages, users};
use crate::support::database::TestDatabase;
use crate::support::expect::refused;
use crate::support::on_both;
use crate::support::service::Service;

on_both!(migrated: each_kind_shows_what_its_own_service_was_given, name_of_another_kind_is_not_found_by_any_service,);

fn email(value: &str) -> pb::Target {
    messages::target(pb::TargetType::Email, value)
}

async fn each_kind_shows_what_its_own_service_was_given(database: TestDatabase) {
    let service = Service::start(&database).await;
    let wanted = pb::UserInvitation {
        inviter: Some(pb::Inviter { display_name: "Bob".to_owned(), ..Default::default() }),
        roles: vec!["owner".to_owned()],
        labels: [("team".to_owned(), "north".to_owned())].into(),
        ..user("Ann@example.org")
    };
    let made = users::create(&service, wanted).await;
    let face = messages::get_general(&service, &made.name).await;
    assert_eq!((face.kind(), &face.typed_name), (InvitationKind::User, &made.name));
    assert_eq!(face.name, format!("invitations/{}", made.uid));
    assert_eq!((face.invitation_type(), face.max_uses), (InvitationType::SingleUse, Some(1)));
    assert_eq!(face.targets, [email("Ann@example.org")]);
    assert_eq!(face.scope, Some(messages::scope("account", "default")), "it is into the account itself");
    assert_eq!(face.inviter, Some(pb::Inviter { display_name: "Bob".to_owned(), ..Default::default() }));
    assert_eq!((&face.roles, &face.labels), (&made.roles, &made.labels));
    assert_eq!((&face.invitation_token, &face.invitation_uri), (&made.invitation_token, &made.invitation_uri));
    assert_eq!((&face.etag, face.expire_time()), (&made.etag, made.expire_time()));
    assert_eq!((face.mailed, face.updater.as_str()), (true, "anonymous"));
    let details = pb::UserDetails { invited_email: "Ann@example.org".to_owned() };
    assert!(face.details == Some(Details::UserDetails(details)));

    let wanted = pb::GuestInvitation {
        parent_organization_id: OTHER_HOST.to_owned(),
        parent_organization_name: "Parent".to_owned(),
        ..guest("Kim@example.org")
    };
    let made = guests::create(&service, wanted).await;
    let face = messages::get_general(&service, &made.name).await;
    assert_eq!((face.kind(), &face.typed_name), (InvitationKind::Guest, &made.name));
    assert_eq!((face.invitation_type(), face.max_uses), (InvitationType::SingleUse, Some(1)));
    assert_eq!((face.targets, face.roles.len()), (vec![email("Kim@example.org")], 0));
    assert_eq!(face.scope, Some(messages::scope("organization", HOST)));
    assert_eq!((face.inviter, face.archived), (None, Some(false)));
    assert_eq!((&face.etag, &face.invitation_token), (&made.etag, &made.invitation_token));
    let details = pb::GuestDetails {
        host_organization_id: HOST.to_owned(),
        email: "Kim@example.org".to_owned(),
        status: made.status,
        first_sent_time: made.first_sent_time,
        last_sent_time: made.last_sent_time,
        guest_organization_id: String::new(),
        parent_organization_id: OTHER_HOST.to_owned(),
        parent_organization_name: "Parent".to_owned(),
    };
    assert!(face.details == Some(Details::GuestDetails(details)));

    let made = messages::create(&service, messages::invitation_for(&["ann@example.org"])).await;
    let face = messages::get_general(&service, &made.name).await;
    assert_eq!((face.kind(), face.invitation_type()), (InvitationKind::Connection, InvitationType::MultiUse));
    let Some(Details::ConnectionDetails(details)) = face.details else { panic!("no details") };
    assert_eq!((details.company_id.as_str(), face.targets), (messages::COMPANY, vec![email("ann@example.org")]));
    service.stop().await;
}

async fn name_of_another_kind_is_not_found_by_any_service(database: TestDatabase) {
    let service = Service::start(&database).await;
    let known = request::known(&service, None, messages::COMPANY).await;
    let uid = |name: &str| name.split_once('/').unwrap().1.to_owned();
    let connection = format!("connectionInvitations/{}", known.id);
    let nobody = "invitations/01920000-0000-7000-8000-000000000000".to_owned();
    let get = |name: String| {
        let mut invitations = service.invitations();
        async move { invitations.get_invitation(pb::GetInvitationRequest { name }).await.map(drop) }
    };
    let missing = told(&get(nobody).await.unwrap_err());
    let collections = ["connectionInvitations", "userInvitations", "guestInvitations", "invitations"];
    for right in [&connection, &known.user, &known.guest, &known.general] {
        for collection in collections {
            let name = format!("{collection}/{}", uid(right));
            let fits = name == *right || collection == "invitations";
            let answer = get(name.clone()).await;
            assert_eq!(answer.is_ok(), fits, "{name} of {right}");
            if let Err(status) = answer {
                assert_eq!(told(&status), missing);
                let list = pb::ListEventsRequest { parent: name, ..Default::default() };
                refused(service.events().list_events(list).await, Code::NotFound, "INVITATION_NOT_FOUND");
            }
        }
        // A service for one kind takes its own names and the general one, of its own kind alone.
        for name in [right.clone(), format!("invitations/{}", uid(right))] {
            let user = users::try_get(&service, &name).await.map(drop);
            let request = pb::GetGuestInvitationRequest { name: name.clone(), ..Default::default() };
            let guest = service.guests().get_guest_invitation(of(HOST, request)).await.map(drop);
            let request = pb::GetConnectionInvitationRequest { name };
            let connected = service.connections().get_connection_invitation(request).await.map(drop);
            for (answer, own) in [(user, &known.user), (guest, &known.guest), (connected, &connection)] {
                assert_eq!(answer.is_ok(), right == own);
                if let Err(status) = answer {
                    assert_eq!(told(&status), missing);
                }
            }
        }
    }
    service.stop().await;
}
