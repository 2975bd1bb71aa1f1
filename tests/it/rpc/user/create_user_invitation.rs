//! CreateUserInvitation: what is made, what is refused, and that an address is invited once at a time.

use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::{InvitationState, InvitationStatus};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::rpc::redemption::keys;
use crate::support::build::messages::Expiring;
use crate::support::build::users::{create, creation, deletion, resending, try_create, user};
use crate::support::build::{messages, users};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    unset_field_has_its_default_and_a_set_one_comes_back,
    address_has_one_active_invitation_however_it_is_spelled,
    address_is_free_again_after_an_end_or_an_expiry,
    only_the_person_invited_accepts_and_gets_the_roles,
);

const WEEK: i64 = 7 * 24 * 3_600;

async fn unset_field_has_its_default_and_a_set_one_comes_back(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = create(&service, user("Ann@Ex\u{e4}mple.org")).await;
    assert_eq!(made.name, format!("userInvitations/{}", made.uid));
    assert_eq!((made.state(), made.invited_email.as_str()), (InvitationState::Active, "Ann@Ex\u{e4}mple.org"));
    assert_eq!(made.expire_time(), messages::at(WEEK), "seven days");
    assert_eq!((made.inviter.as_ref(), made.creator.as_str()), (None, "anonymous"), "nobody is named");
    assert_eq!((made.updater.as_str(), made.accept_time), ("anonymous", None));
    assert_eq!(made.invitation_uri, format!("http://localhost:8080/join/{}", made.invitation_token));
    assert_eq!(users::get(&service, &made.name).await, made);
    let general = messages::get_general(&service, &made.name).await;
    assert_eq!((general.status(), general.delivery_count), (InvitationStatus::Queued, 1), "it is mailed");

    let wanted = pb::UserInvitation {
        inviter: Some(pb::Inviter { display_name: "Bob <script>".to_owned(), ..Default::default() }),
        roles: ["owner", "Reader of \u{1f512}", "owner"].map(str::to_owned).into(),
        expiration: messages::seconds(60).map(pb::user_invitation::Expiration::Ttl),
        labels: [("team".to_owned(), "north".to_owned())].into(),
        ..user("bob@example.org")
    };
    let silent = pb::CreateUserInvitationRequest { send_email: Some(false), ..creation(wanted.clone()) };
    let made = service.users().create_user_invitation(silent).await.unwrap().into_inner();
    assert_eq!((&made.inviter, &made.roles[..], &made.labels), (&wanted.inviter, &wanted.roles[..2], &wanted.labels));
    assert_eq!((made.expire_time(), made.mailed), (messages::at(60), false));
    let general = messages::get_general(&service, &made.name).await;
    assert_eq!((general.status(), general.delivery_count), (InvitationStatus::Shared, 0), "nothing is mailed");
    assert!(general.delivery_channels.is_empty());
    let resent = service.users().resend_user_invitation(resending(&made.name)).await.unwrap().into_inner();
    assert!(!resent.mailed);
    assert_eq!(messages::get_general(&service, &made.name).await.delivery_count, 0, "not on a resend either");
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn value_beyond_a_limit_is_refused_at_its_field() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let roles = |count: usize| (0..count).map(|number| format!("role-{number}")).collect::<Vec<_>>();
    let ttl = |seconds| pb::UserInvitation {
        expiration: messages::seconds(seconds).map(pb::user_invitation::Expiration::Ttl),
        ..user("ann@example.org")
    };
    let year = 365 * 24 * 3_600;
    let with_roles = |roles: Vec<String>| pb::UserInvitation { roles, ..user("ann@example.org") };
    let long = pb::UserInvitation {
        inviter: Some(pb::Inviter { display_name: "a".repeat(301), ..Default::default() }),
        ..user("ann@example.org")
    };
    let cases = [
        (user("ann"), "invited_email"),
        (user(&format!("{}@example.org", "a".repeat(250))), "invited_email"),
        (ttl(59), "ttl"),
        (ttl(-60), "ttl"),
        (ttl(year + 1), "ttl"),
        (ttl(i64::MAX), "ttl"),
        (with_roles(roles(51)), "roles"),
        (with_roles(vec![String::new()]), "roles[0]"),
        (with_roles(vec!["owner".to_owned(), "a".repeat(201)]), "roles[1]"),
        (long, "inviter.display_name"),
    ];
    for (user, field) in cases {
        let status = refused(try_create(&service, user).await, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(violated(&status), [format!("user_invitation.{field}")]);
    }
    let listed = service.users().list_user_invitations(pb::ListUserInvitationsRequest::default()).await.unwrap();
    assert!(listed.into_inner().user_invitations.is_empty(), "nothing was made");
    create(&service, with_roles(roles(50))).await;
    let made = create(&service, pb::UserInvitation { invited_email: "bob@example.org".to_owned(), ..ttl(year) }).await;
    assert_eq!(made.expire_time(), messages::at(year));
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn whoever_calls_with_a_key_has_to_say_who_invites() {
    let database = TestDatabase::sqlite();
    let (service, key) = keys::start(&database, &[("ours", "*")]).await;
    let mut users = service.users();
    let unsaid = users.create_user_invitation(keys::with(&key[0], creation(user("ann@example.org")))).await;
    assert_eq!(
        violated(&refused(unsaid, Code::InvalidArgument, "INVALID_FIELD")),
        ["user_invitation.inviter.display_name"]
    );
    let said = pb::UserInvitation {
        inviter: Some(pb::Inviter { display_name: "users/bob".to_owned(), ..Default::default() }),
        ..user("ann@example.org")
    };
    let made = users.create_user_invitation(keys::with(&key[0], creation(said.clone()))).await.unwrap().into_inner();
    assert_eq!((made.inviter, made.creator.as_str()), (said.inviter, "apiKeys/key-0"));
    service.stop().await;
}

/// Asserts that an address is taken by the invitation of a name.
async fn taken(service: &Service, email: &str, name: &str) {
    let status = refused(try_create(service, user(email)).await, Code::AlreadyExists, "INVITATION_EXISTS");
    let details = status.get_error_details();
    assert_eq!(details.resource_info().unwrap().resource_name, name);
    assert_eq!(details.error_info().unwrap().metadata["invitation"], name);
    assert!(!status.message().contains('@'), "an address is not repeated");
}

async fn address_has_one_active_invitation_however_it_is_spelled(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = create(&service, user("J\u{f6}rg@ex\u{e4}mple.org")).await;
    for email in ["j\u{f6}rg@ex\u{e4}mple.org", " JO\u{308}RG@XN--EXMPLE-CUA.ORG "] {
        taken(&service, email, &made.name).await;
    }
    for other in ["j\u{f6}rg+x@ex\u{e4}mple.org", "j\u{f6}rg@sub.ex\u{e4}mple.org", "jorg@ex\u{e4}mple.org"] {
        create(&service, user(other)).await;
    }
    // An invitation of another kind takes no place.
    messages::create(&service, messages::invitation_for(&["kim@example.org"])).await;
    create(&service, user("kim@example.org")).await;
    assert_eq!(messages::event_types(&service, &made.name).await, ["invitation.created"]);

    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let mut users = service.users();
        calls.spawn(async move { users.create_user_invitation(creation(user("once@example.org"))).await });
    }
    let (won, lost): (Vec<_>, Vec<_>) = calls.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 19));
    for answer in lost {
        refused(answer, Code::AlreadyExists, "INVITATION_EXISTS");
    }
    service.stop().await;
}

async fn address_is_free_again_after_an_end_or_an_expiry(database: TestDatabase) {
    let service = Service::start(&database).await;
    let email = "ann@example.org";
    let first = create(&service, user(email)).await;
    service.users().delete_user_invitation(deletion(&first.name)).await.unwrap();
    let second = create(&service, user(email)).await;
    taken(&service, email, &second.name).await;
    let accept = messages::accept(&messages::mailed_token(&second.uid, 1), "ann");
    service.redemptions().accept_invitation(accept).await.unwrap();
    let third = create(
        &service,
        pb::UserInvitation {
            expiration: messages::seconds(60).map(pb::user_invitation::Expiration::Ttl),
            ..user(email)
        },
    )
    .await;
    let decline = messages::decline(&third.invitation_token);
    service.redemptions().decline_invitation(decline).await.unwrap();
    let fourth = create(
        &service,
        pb::UserInvitation {
            expiration: messages::seconds(60).map(pb::user_invitation::Expiration::Ttl),
            ..user(email)
        },
    )
    .await;
    service.clock.advance(Duration::from_micros(59_999_999));
    taken(&service, email, &fourth.name).await;
    service.clock.advance(Duration::from_micros(1));
    let fifth = create(&service, user(email)).await;
    taken(&service, email, &fifth.name).await;
    service.stop().await;
}

async fn only_the_person_invited_accepts_and_gets_the_roles(database: TestDatabase) {
    let service = Service::start(&database).await;
    let roles = vec!["owner".to_owned(), "reader".to_owned()];
    let made = create(&service, pb::UserInvitation { roles: roles.clone(), ..user("ann@example.org") }).await;
    let mut redemptions = service.redemptions();
    let eve = messages::accept_as(&made.invitation_token, "eve", "eve@example.org", true);
    refused(redemptions.accept_invitation(eve).await, Code::PermissionDenied, "EMAIL_NOT_ALLOWED");
    let unproven = messages::accept_as(&made.invitation_token, "ann", "ann@example.org", false);
    refused(redemptions.accept_invitation(unproven).await, Code::PermissionDenied, "EMAIL_NOT_VERIFIED");
    for (kind_input, field) in [
        (messages::created(messages::CONNECTION), "created_connection"),
        (messages::as_guest(messages::CONNECTION), "guest_organization_id"),
    ] {
        let accept = pb::AcceptInvitationRequest {
            kind_input,
            ..messages::accept_as(&made.invitation_token, "ann", "ann@example.org", true)
        };
        let status = refused(redemptions.accept_invitation(accept).await, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(violated(&status), [field]);
    }
    service.clock.advance(Duration::from_secs(5));
    let accept = messages::accept_as(&made.invitation_token, "ann", "Ann@EXAMPLE.org", true);
    let accepted = redemptions.accept_invitation(accept).await.unwrap().into_inner();
    let acceptance = accepted.acceptance.unwrap();
    assert_eq!((acceptance.roles, acceptance.guest_organization_id.as_str()), (roles, ""));
    let read = users::get(&service, &made.name).await;
    assert_eq!((read.state(), read.accept_time), (InvitationState::Fulfilled, messages::at(5)));
    assert_ne!(read.etag, made.etag);
    service.stop().await;
}
