//! The fields that updates set, and what followers of events are told of them.

use std::collections::BTreeMap;
use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::{ConnectionInvitation, Invitation, UserInvitation};
use prost_types::value::Kind as Json;
use prost_types::{Struct, Value};
use tonic::Code;
use tonic_types::StatusExt as _;

use super::{of_connection, of_general, of_user};
use crate::support::build::generals::{email, into_team};
use crate::support::build::messages::{self, Expiring, scope};
use crate::support::build::{generals, users};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    roles_change_and_acceptances_keep_theirs,
    words_and_maps_change_whole_or_by_key,
    used_up_link_opens_again_with_more_uses,
    what_was_read_can_be_sent_back_and_nothing_else_changes,
    expiry_moves_both_ways_but_not_into_the_past,
    groups_change_beside_a_named_scope,
    event_tells_what_has_changed_from_what_to_what,
    every_kind_is_archived_and_taken_out,
);

fn text(value: &str) -> String {
    value.to_owned()
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| (text(key), text(value))).collect()
}

fn data(pairs: &[(&str, &str)]) -> Option<Struct> {
    let value = |value: &str| Value { kind: Some(Json::StringValue(text(value))) };
    Some(Struct { fields: pairs.iter().map(|(key, entry)| (text(key), value(entry))).collect() })
}

async fn of(service: &Service, invitation: Invitation, paths: &[&str]) -> Result<Invitation, tonic::Status> {
    let answer = service.invitations().update_invitation(of_general(invitation, paths)).await;
    answer.map(|answer| answer.into_inner().read())
}

/// A link for several people.
async fn link(service: &Service, max_uses: Option<i32>) -> Invitation {
    let invitation_type = pb::InvitationType::MultiUse.into();
    generals::create(service, Invitation { invitation_type, max_uses, ..into_team(&[]) }).await
}

async fn roles_change_and_acceptances_keep_theirs(database: TestDatabase) {
    let service = Service::start(&database).await;
    let roles = |names: &[&str]| names.iter().map(|name| text(name)).collect::<Vec<_>>();
    let made = users::create(&service, UserInvitation { roles: roles(&["admin"]), ..users::user("ann@b.org") }).await;
    service.clock.advance(Duration::from_secs(1));
    let named = UserInvitation { name: made.name.clone(), roles: roles(&["viewer", "viewer"]), ..Default::default() };
    let changed = service.users().update_user_invitation(of_user(named, &["roles"])).await.unwrap().into_inner();
    assert_eq!((&changed.roles, &changed.invitation_token), (&roles(&["viewer"]), &made.invitation_token));
    assert_eq!(users::get(&service, &made.name).await, changed.read());
    let accept = messages::accept_as(&made.invitation_token, "ann", "ann@b.org", true);
    let accepted = service.redemptions().accept_invitation(accept).await.unwrap().into_inner();
    assert_eq!(accepted.acceptance.unwrap().roles, roles(&["viewer"]));
    let late = UserInvitation { name: made.name.clone(), roles: roles(&["owner"]), ..Default::default() };
    let answer = service.users().update_user_invitation(of_user(late, &[])).await;
    refused(answer, Code::FailedPrecondition, "INVITATION_FULFILLED");

    let many = link(&service, None).await;
    let accept = |subject: &str| messages::accept(&many.invitation_token, subject);
    service.redemptions().accept_invitation(accept("ann")).await.unwrap();
    let renamed = Invitation { name: many.name.clone(), roles: roles(&["editor"]), ..Default::default() };
    of(&service, renamed, &[]).await.unwrap();
    service.clock.advance(Duration::from_secs(1));
    service.redemptions().accept_invitation(accept("bob")).await.unwrap();
    let given = messages::get_general(&service, &many.name).await.acceptances;
    assert_eq!(given.into_iter().map(|given| given.roles).collect::<Vec<_>>(), [roles(&["editor"]), vec![]]);
    service.stop().await;
}

async fn words_and_maps_change_whole_or_by_key(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = Invitation {
        labels: labels(&[("a", "1"), ("b", "2"), ("my key", "3")]),
        metadata: data(&[("x", "1"), ("y", "2")]),
        template_variables: labels(&[("name", "Ann")]),
        message: text("Hello"),
        locale: text("de"),
        ..into_team(&[email("ann@b.org")])
    };
    let made = generals::create(&service, made).await;
    let given = Invitation {
        name: made.name.clone(),
        labels: labels(&[("a", "5"), ("c", "6"), ("d", "7")]),
        metadata: data(&[("x", "9"), ("z", "8")]),
        template_variables: labels(&[("team", "Red")]),
        message: text("Welcome"),
        ..Default::default()
    };
    let paths =
        ["labels.a", "labels.`my key`", "labels.c", "metadata.x", "metadata.y", "template_variables.team", "locale"];
    let changed = of(&service, given.clone(), &paths).await.unwrap();
    assert_eq!(changed.labels, labels(&[("a", "5"), ("b", "2"), ("c", "6")]));
    assert_eq!((changed.metadata, &changed.message, &changed.locale), (data(&[("x", "9")]), &made.message, &text("")));
    assert_eq!(changed.template_variables, labels(&[("name", "Ann"), ("team", "Red")]));
    let whole = of(&service, given.clone(), &["labels", "metadata", "message"]).await.unwrap();
    assert_eq!((&whole.labels, &whole.metadata, &whole.message), (&given.labels, &given.metadata, &given.message));
    let listed = async |label: (&str, &str)| {
        let filter = Some(pb::InvitationFilter { labels: labels(&[label]), ..Default::default() });
        let request = pb::ListInvitationsRequest { filter, ..Default::default() };
        service.invitations().list_invitations(request).await.unwrap().into_inner().invitations.len()
    };
    assert_eq!((listed(("b", "2")).await, listed(("d", "7")).await), (0, 1), "lists go by the present labels");
    let inviter = pb::Inviter { user_id: text("u-7"), display_name: text("Ida"), ..Default::default() };
    let renamed = Invitation {
        name: made.name.clone(),
        inviter: Some(inviter),
        scope: Some(pb::Scope { display_name: text("Red team"), ..Default::default() }),
        redirect_uri: text("https://app.example/welcome"),
        ..Default::default()
    };
    let renamed = of(&service, renamed, &["inviter", "scope.display_name", "redirect_uri"]).await.unwrap();
    assert_eq!(renamed.scope, Some(pb::Scope { display_name: text("Red team"), ..scope("team", "red") }));
    let preview = service.redemptions().preview_invitation(messages::preview(&made.invitation_token)).await;
    let preview = preview.unwrap().into_inner();
    assert_eq!(
        (preview.inviter.unwrap().display_name, preview.scope.unwrap().display_name),
        (text("Ida"), text("Red team"))
    );
    for (paths, field) in
        [(&["labels."][..], "update_mask.paths[0]"), (&["labels", "nonsense"], "update_mask.paths[1]")]
    {
        let status = refused(of(&service, given.clone(), paths).await, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(violated(&status), [field]);
    }
    let long = "k".repeat(64);
    let status = refused(
        of(&service, given.clone(), &[&format!("labels.{long}")]).await,
        Code::InvalidArgument,
        "INVALID_FIELD",
    );
    assert_eq!(violated(&status), ["invitation.labels"]);
    let many: Vec<_> = (0..64).map(|number| format!("labels.k{number}")).collect();
    let more = many.iter().map(|path| (path.trim_start_matches("labels."), "v")).collect::<Vec<_>>();
    let more = Invitation { labels: labels(&more), ..given };
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let status = refused(of(&service, more, &many).await, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["invitation.labels"], "67 would be too many");
    service.stop().await;
}

async fn used_up_link_opens_again_with_more_uses(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = link(&service, Some(2)).await;
    let accept = async |subject: &str| {
        service.redemptions().accept_invitation(messages::accept(&made.invitation_token, subject)).await
    };
    accept("ann").await.unwrap();
    accept("bob").await.unwrap();
    refused(accept("cid").await, Code::FailedPrecondition, "INVITATION_FULFILLED");
    let uses = async |max_uses: Option<i32>| {
        of(&service, Invitation { name: made.name.clone(), max_uses, ..Default::default() }, &["max_uses"]).await
    };
    let status = refused(uses(Some(1)).await, Code::FailedPrecondition, "MAX_USES_BELOW_USE_COUNT");
    assert_eq!(status.get_details_error_info().unwrap().metadata["use_count"], "2");
    let raised = uses(Some(3)).await.unwrap();
    assert_eq!((raised.state(), raised.use_count, raised.max_uses), (pb::InvitationState::Active, 2, Some(3)));
    accept("cid").await.unwrap();
    assert_eq!(uses(None).await.unwrap().max_uses, None, "without limit");
    accept("dan").await.unwrap();
    let closed = uses(Some(4)).await.unwrap();
    assert_eq!(closed.state(), pb::InvitationState::Fulfilled);
    assert!(generals::happened(&service, &made.name).await.ends_with(&[text("updated"), text("fulfilled")]));
    let single = generals::create(&service, into_team(&[email("ann@b.org")])).await;
    let many = Invitation { name: single.name, max_uses: Some(2), ..Default::default() };
    let status = refused(of(&service, many, &[]).await, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["invitation.max_uses"]);
    service.stop().await;
}

async fn what_was_read_can_be_sent_back_and_nothing_else_changes(database: TestDatabase) {
    let service = Service::start(&database).await;
    let general = Invitation { source: text("widget"), subtype: text("news"), ..into_team(&[email("ann@b.org")]) };
    let general = generals::create(&service, general).await;
    let user = users::create(&service, users::user("ann@b.org")).await;
    let connection = messages::create(&service, messages::invitation_for(&["a@b.org", "c@b.org"])).await;
    for paths in [&[][..], &["*"]] {
        assert_eq!(of(&service, general.clone(), paths).await.unwrap(), general);
        let same = service.users().update_user_invitation(of_user(user.clone(), paths)).await.unwrap().into_inner();
        assert_eq!(same.read(), user);
        let never = pb::connection_invitation::Expiration::Never(());
        let sent = ConnectionInvitation { expiration: Some(never), ..connection.clone() };
        let same = service.connections().update_connection_invitation(of_connection(sent, paths)).await;
        assert_eq!(same.unwrap().into_inner().read(), connection);
    }
    let moved = Invitation { scope: Some(scope("team", "blue")), ..general.clone() };
    let fewer = ConnectionInvitation { allowed_emails: vec![text("a@b.org")], ..connection.clone() };
    for (invitation, field) in [
        (moved, "invitation.scope"),
        (Invitation { targets: vec![email("bob@b.org")], ..general.clone() }, "invitation.targets"),
        (Invitation { source: text("api"), ..general.clone() }, "invitation.source"),
        (
            Invitation { invitation_type: pb::InvitationType::MultiUse.into(), ..general.clone() },
            "invitation.invitation_type",
        ),
        (
            Invitation { recipient_match: pb::RecipientMatch::Any.into(), ..general.clone() },
            "invitation.recipient_match",
        ),
        (Invitation { pass_through: text("x"), ..general.clone() }, "invitation.pass_through"),
    ] {
        let status = refused(of(&service, invitation.clone(), &[]).await, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(violated(&status), [field]);
        assert!(of(&service, invitation, &["labels"]).await.is_ok(), "a mask says that the others do not matter");
    }
    let status = service.connections().update_connection_invitation(of_connection(fewer, &[])).await;
    let status = refused(status, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["connection_invitation.allowed_emails"]);
    assert_eq!(generals::happened(&service, &general.name).await, ["created"], "nothing has left a trace");
    service.stop().await;
}

async fn expiry_moves_both_ways_but_not_into_the_past(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = link(&service, None).await;
    use pb::invitation::Expiration;
    let expiring = async |expiration: Option<Expiration>, path: &str| {
        of(&service, Invitation { name: made.name.clone(), expiration, ..Default::default() }, &[path]).await
    };
    let ttl = |seconds| messages::seconds(seconds).map(Expiration::Ttl);
    let at = |seconds| messages::at(seconds).map(Expiration::ExpireTime);
    assert_eq!(expiring(ttl(120), "ttl").await.unwrap().expire_time(), messages::at(120), "sooner");
    assert_eq!(expiring(at(9_000), "expire_time").await.unwrap().expire_time(), messages::at(9_000), "later");
    assert_eq!(expiring(Some(Expiration::Never(())), "never").await.unwrap().expire_time(), None);
    for (expiration, path, field) in [
        (at(0), "expire_time", "invitation.expire_time"),
        (at(-1), "expire_time", "invitation.expire_time"),
        (ttl(59), "ttl", "invitation.ttl"),
        (None, "never", "invitation.expire_time"),
    ] {
        let status = refused(expiring(expiration, path).await, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(violated(&status), [field]);
    }
    expiring(ttl(60), "ttl").await.unwrap();
    service.clock.advance(Duration::from_secs(60));
    let back = expiring(ttl(60), "ttl").await.unwrap();
    assert_eq!(back.state(), pb::InvitationState::Active, "an expired one is renewed");
    let user = users::create(&service, users::user("ann@b.org")).await;
    use pb::user_invitation::Expiration as OfUser;
    for (expiration, field) in [
        (OfUser::Never(()), "user_invitation.never"),
        (messages::seconds(400 * 86_400).map(OfUser::Ttl).unwrap(), "user_invitation.ttl"),
    ] {
        let given = UserInvitation { name: user.name.clone(), expiration: Some(expiration), ..Default::default() };
        let answer = service.users().update_user_invitation(of_user(given, &[])).await;
        assert_eq!(violated(&refused(answer, Code::InvalidArgument, "INVALID_FIELD")), [field]);
    }
    service.stop().await;
}

async fn groups_change_beside_a_named_scope(database: TestDatabase) {
    let service = Service::start(&database).await;
    let groups = |ids: &[&str]| ids.iter().map(|id| scope("team", id)).collect::<Vec<_>>();
    let named = generals::create(&service, Invitation { groups: groups(&["1", "2"]), ..into_team(&[]) }).await;
    let implied = generals::create(&service, Invitation { groups: groups(&["5", "6"]), ..Default::default() }).await;
    let set = async |name: &str, ids: &[&str]| {
        of(&service, Invitation { name: text(name), groups: groups(ids), ..Default::default() }, &["groups"]).await
    };
    let changed = set(&named.name, &["2", "3"]).await.unwrap();
    assert_eq!((changed.groups, changed.scope), (groups(&["2", "3"]), named.scope));
    let found = async |id: &str| {
        let request = pb::ListInvitationsRequest { filter: generals::in_scope("team", id), ..Default::default() };
        service.invitations().list_invitations(request).await.unwrap().into_inner().invitations.len()
    };
    assert_eq!([found("1").await, found("2").await, found("3").await], [0, 1, 1]);
    let status = refused(set(&implied.name, &["6"]).await, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["invitation.groups"]);
    service.stop().await;
}

async fn event_tells_what_has_changed_from_what_to_what(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = Invitation {
        labels: labels(&[("wave", "1"), ("mail", "ann@b.org")]),
        message: text("Hello, ann@b.org"),
        invitation_type: pb::InvitationType::MultiUse.into(),
        max_uses: Some(3),
        ..into_team(&[email("ann@b.org"), email("bob@b.org")])
    };
    let made = generals::create(&service, made).await;
    let given = Invitation {
        name: made.name.clone(),
        labels: labels(&[("wave", "2"), ("mail", "kim@b.org")]),
        message: text("Hello, kim@b.org"),
        max_uses: Some(20),
        ..Default::default()
    };
    let request = pb::UpdateInvitationRequest {
        add_targets: vec![email("kim@b.org")],
        remove_recipients: vec![super::recipient(&made.name, 1)],
        send_email: Some(true),
        ..of_general(given, &[])
    };
    service.invitations().update_invitation(request).await.unwrap();
    let events = messages::events(&service, &made.name).await;
    let told = events.iter().find(|event| event.r#type == "invitation.updated").unwrap();
    assert!(!format!("{told:?}").contains('@'), "no address in {told:?}");
    let Some(pb::event::Payload::Updated(told)) = &told.payload else { panic!("{told:?}") };
    assert_eq!(told.fields, ["max_uses", "labels", "message", "recipients"]);
    let number = |number| Some(Value { kind: Some(Json::NumberValue(number)) });
    let string = |value: &str| Some(Value { kind: Some(Json::StringValue(text(value))) });
    let change = |field: &str, old_value, new_value| pb::FieldChange { field: text(field), old_value, new_value };
    let wanted = [
        change("max_uses", number(3.0), number(20.0)),
        change("labels.mail", None, None),
        change("labels.wave", string("1"), string("2")),
    ];
    assert_eq!(told.changes, wanted);
    let recipients = (told.added_recipients.as_slice(), told.removed_recipients.as_slice(), told.mailed_count);
    assert_eq!(recipients, (&[super::recipient(&made.name, 3)][..], &[super::recipient(&made.name, 1)][..], 1));
    service.stop().await;
}

async fn every_kind_is_archived_and_taken_out(database: TestDatabase) {
    let service = Service::start(&database).await;
    let user = users::create(&service, users::user("ann@b.org")).await;
    let connection = messages::create(&service, messages::invitation()).await;
    let general = generals::create(&service, into_team(&[])).await;
    let exists = users::try_create(&service, users::user("ann@b.org")).await;
    refused(exists, Code::AlreadyExists, "INVITATION_EXISTS");
    for flag in [true, false] {
        let archived = Some(flag);
        let given = UserInvitation { name: user.name.clone(), archived, ..Default::default() };
        let of_users = service.users().update_user_invitation(of_user(given, &[])).await.unwrap().into_inner();
        let given = ConnectionInvitation { name: connection.name.clone(), archived, ..Default::default() };
        let request = of_connection(given, &[]);
        let shown = service.connections().update_connection_invitation(request).await.unwrap().into_inner();
        let given = Invitation { name: general.name.clone(), archived, ..Default::default() };
        let whole = of(&service, given, &[]).await.unwrap();
        assert_eq!([of_users.archived, shown.archived, whole.archived], [archived; 3]);
        assert_eq!(whole.archive_time.is_some(), flag);
    }
    assert!(generals::happened(&service, &general.name).await.ends_with(&[text("archived"), text("unarchived")]));
    let new = UserInvitation { archived: Some(true), ..users::user("bob@b.org") };
    let status = refused(users::try_create(&service, new).await, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["user_invitation.archived"]);
    service.stop().await;
}
