//! Every field of user, guest and general invitations is read back as it was created, and groups are found by their rows.

use invitation_service::domain::kind::shared::{Inviter, RedirectUri, SharedDetails};
use std::collections::BTreeMap;

use invitation_service::domain::command::{
    AcceptInvitation, Action, CreateInvitation, DeleteInvitation, Expiry, ExpiryTime, JsonUpdate, MapUpdate,
    OnConflict, UpdateInvitation, UpdatedFields,
};
use invitation_service::domain::invitation::recipient::{Address, NewRecipient, Recipient};
use invitation_service::domain::kind::general::{CallerData, GeneralDetails, RecipientMatch, UnfurlConfig, Usage};
use invitation_service::domain::kind::guest::GuestDetails;
use invitation_service::domain::kind::user::UserDetails;
use invitation_service::domain::kind::{Details, Scope};
use invitation_service::store::BatchMode;
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use crate::support::build::commands::*;
use crate::support::build::kinds::{texts as texts_of, *};
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::on_both;

on_both!(
    migrated:
    every_field_of_every_kind_is_read_back_as_it_was_created,
    groups_have_a_row_each_but_for_the_scope,
    guest_invitation_is_read_back_as_it_was_changed,
    whole_update_is_read_back_and_found,
    guest_acceptance_is_read_back_by_person_and_by_system,
    deleted_user_invitation_is_read_back_deleted_and_revoked,
);

/// Text that breaks what is put together from strings.
const ODD: &str = "a\"b'c\\d\\\"e`$1 %_ {}[]?:😀\u{202e}\u{fffd} ä $$ \\u0000 --;";
/// JSON that no database would give back as it is: order, spaces, numbers, a key twice, escapes.
const JSON: &str =
    "{ \"b\":1.0,\"a\" : [1e3, -0, 12345678901234567890.10], \"b\":\"\\u00e4\\ud83d\\ude00\", \"\":null }";

fn odd() -> Option<String> {
    Some(ODD.to_owned())
}

fn named(scope_type: &str, id: &str, name: Option<&str>) -> Scope {
    Scope { display_name: name.map(str::to_owned), ..Scope::new(scope_type, id) }
}

fn addressed(address: Address, display_name: Option<String>, avatar_uri: Option<String>) -> NewRecipient {
    NewRecipient { address, display_name, avatar_uri, existing_user: None }
}

fn full_general() -> CreateInvitation {
    let caller_data = CallerData {
        source: Some("api".to_owned()),
        subtype: odd(),
        widget_configuration_id: odd(),
        deployment_id: odd(),
        project_id: odd(),
        attributes: Some(JSON.to_owned()),
        configuration_attributes: Some("{}".to_owned()),
        template_variables: BTreeMap::from([(ODD.to_owned(), ODD.to_owned()), ("z".to_owned(), String::new())]),
        unfurl_config: Some(UnfurlConfig {
            title: ODD.to_owned(),
            sort: "website".to_owned(),
            ..UnfurlConfig::default()
        }),
        pass_through: odd(),
    };
    let details = GeneralDetails {
        usage: Usage::MultiUse,
        scope: Some(named(ODD, ODD, Some(ODD))),
        explicit_scope: true,
        groups: vec![named("team", "red", Some("Red")), named("team", "blue", None)],
        roles: vec![ODD.to_owned(), "second".to_owned()],
        exclusive: true,
        recipient_match: RecipientMatch::Domain,
        domains: Vec::new(),
        caller_data,
        shared: full_shared(),
    };
    CreateInvitation {
        details: Details::General(Box::new(details)),
        max_uses: Some(3),
        expiry: Some(Expiry { time: ExpiryTime::At(NEW_YEAR.plus(seconds(61))), field: "expire_time" }),
        recipients: vec![
            addressed(mail("Jürgen+tag@EXÄMPLE.org"), odd(), Some("https://x.example/a.png".to_owned())),
            addressed(Address::Phone("+4930123456".to_owned()), odd(), None),
            NewRecipient { existing_user: Some(true), ..addressed(Address::Internal(ODD.to_owned()), None, None) },
            NewRecipient { existing_user: Some(false), ..addressed(Address::Share(String::new()), None, None) },
            addressed(Address::Share(ODD.to_owned()), None, odd()),
        ],
        mails: true,
        labels: BTreeMap::from([(ODD.to_owned(), ODD.to_owned()), ("empty".to_owned(), String::new())]),
        on_conflict: OnConflict::Reject,
    }
}

fn full_shared() -> SharedDetails {
    SharedDetails {
        inviter: Some(Inviter {
            user_id: ODD.to_owned(),
            email: Some(email("Ö'wner@Exämple.org")),
            display_name: odd(),
            avatar_uri: Some("https://x.example/?q=%27".to_owned()),
        }),
        scope_display_name: odd(),
        message: odd(),
        locale: Some("de-AT".to_owned()),
        redirect_uri: RedirectUri::parse("app:/x?q=%27").ok(),
        metadata: Some(JSON.to_owned()),
        grant_ttl: Some(seconds(315_576_000)),
        // A create decides on it.
        replaced: Vec::new(),
    }
}

/// Nothing but what has to be there; what may be empty is.
fn bare_general() -> CreateInvitation {
    let mut details = details(None, false);
    details.shared.inviter = Some(Inviter::default());
    details.caller_data.unfurl_config = Some(UnfurlConfig::default());
    let recipients = vec![recipient(Address::Share(String::new()))];
    CreateInvitation { details: Details::General(Box::new(details)), recipients, ..link() }
}

fn full_guest() -> CreateInvitation {
    let details = GuestDetails {
        host_organization_id: HOST,
        parent_organization_id: Some(Uuid::from_u128(u128::MAX)),
        parent_organization_name: odd(),
        accepted: None,
        shared: full_shared(),
    };
    CreateInvitation { details: Details::Guest(details), ..guest("Bob@EXÄMPLE.org") }
}

fn full_user() -> CreateInvitation {
    let details = UserDetails { roles: vec![ODD.to_owned(), "b".to_owned()], shared: full_shared() };
    CreateInvitation { details: Details::User(details), ..user("Ann.O'Neil+x@EXÄMPLE.org") }
}

async fn every_field_of_every_kind_is_read_back_as_it_was_created(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let all = [full_general(), bare_general(), full_guest(), guest("b@b.org"), full_user(), user("a@b.org")];
    for invitation in all {
        let mut by_odd_people = command(create(invitation.clone()));
        by_odd_people.actor = ODD.to_owned();
        let made = store.executor().execute(by_odd_people, None).await.unwrap().invitation;
        assert_eq!(read(&store, made.id).await, *made);
        assert_eq!(made.details, invitation.details);
        let wanted = (1..).zip(&invitation.recipients).map(|(ordinal, new)| Recipient::new(ordinal, new.clone()));
        assert_eq!(made.recipients, wanted.collect::<Vec<_>>());
        let events = events(&store, made.id).await;
        let kept = made.details.general().and_then(|details| details.caller_data.pass_through.as_deref());
        assert_eq!(events[0].event.pass_through.as_deref(), kept);
    }
    for (table, column) in [
        ("invitation", "inviter_user_id"),
        ("invitation", "widget_configuration_id"),
        ("recipient", "display_name"),
        ("recipient", "avatar_uri"),
        ("event", "request_id"),
    ] {
        let empty = texts(&database, &format!("SELECT {column} FROM {table} WHERE {column} = ''")).await;
        assert!(empty.is_empty(), "{table}.{column} is missing rather than empty");
    }
}

async fn groups_have_a_row_each_but_for_the_scope(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let groups = |names: &[(&str, &str)]| -> Vec<Scope> {
        names.iter().map(|(kind, id)| named(kind, id, Some("a name"))).collect()
    };
    // With and without a load before the save.
    for on_conflict in [OnConflict::Allow, OnConflict::Reject] {
        for (number, (scope, names, rows)) in [
            (
                team("red"),
                &[("team", "red"), ("team", "blue"), ("squad", "red")] as &[_],
                &["squad red", "team blue"] as &[_],
            ),
            (team("red"), &[("team", "blue"), ("team", "blue")], &["team blue"]),
            (None, &[("team", "blue")], &["team blue"]),
            (team("red"), &[("team", "red")], &[]),
            (team("red"), &[], &[]),
        ]
        .into_iter()
        .enumerate()
        {
            let mut invitation = general(scope, on_conflict, &[internal(&format!("{on_conflict:?} {number}"))]);
            if let Details::General(details) = &mut invitation.details {
                details.groups = groups(names);
            }
            let made = created(&store, invitation).await;
            assert_eq!(read(&store, made.id).await, *made);
            let sql = "SELECT g.scope_type || ' ' || g.scope_id FROM invitation_group g JOIN invitation i
                ON i.account_id = g.account_id AND i.id = g.invitation_id AND i.created_at = g.created_at ORDER BY 1";
            assert_eq!(texts(&database, sql).await, rows, "{on_conflict:?} {number}");
            database.connect().await.execute_unprepared("DELETE FROM invitation_group").await.unwrap();
        }
    }
}

/// Labels and groups are rows of their own, and the number of uses and the inviter are columns.
async fn whole_update_is_read_back_and_found(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let texts = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let details = GeneralDetails {
        groups: vec![named("team", "2", None), named("team", "3", None)],
        ..details(team("1"), false)
    };
    let made = CreateInvitation {
        details: Details::General(Box::new(GeneralDetails { usage: Usage::MultiUse, ..details })),
        max_uses: Some(3),
        labels: texts(&[("a", "1"), ("b", "2"), (ODD, ODD)]),
        recipients: vec![recipient(mail("ann@example.org")), recipient(mail("bob@example.org"))],
        ..link()
    };
    let made = created(&store, made).await;
    clock.advance(std::time::Duration::from_secs(1));
    let odd_text = || Some(odd());
    let labels = [("a", Some("3")), ("b", None), ("c", Some(ODD))];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.map(str::to_owned)));
    let inviter = Inviter { user_id: "u-7".to_owned(), display_name: odd(), ..Inviter::default() };
    let fields = UpdatedFields {
        expiry: Some(Expiry { time: ExpiryTime::At(NEW_YEAR.plus(seconds(9_000))), field: "expire_time" }),
        max_uses: Some(None),
        archived: Some(true),
        roles: Some(vec![ODD.to_owned(), "owner".to_owned()]),
        groups: Some(vec![named("team", "3", Some(ODD)), named("team", "4", None), named("team", "1", None)]),
        labels: Some(MapUpdate::Entries(labels.into())),
        inviter: Some(Some(inviter)),
        scope_display_name: odd_text(),
        message: odd_text(),
        locale: Some(Some("de".to_owned())),
        metadata: Some(JsonUpdate::Whole(Some(JSON.to_owned()))),
        attributes: Some(JsonUpdate::Entries([("a".to_owned(), Some(serde_json::json!(ODD)))].into())),
        template_variables: Some(MapUpdate::Whole(texts(&[("name", ODD)]))),
        ..UpdatedFields::default()
    };
    let known = NewRecipient { existing_user: Some(true), display_name: odd(), ..recipient(mail("bob@example.org")) };
    let added = vec![recipient(mail("kim@example.org")), known, recipient(internal("u-9"))];
    let update = UpdateInvitation { fields, added, removed: vec![1], ..updating(&made) };
    let update = command(Action::Update(Box::new(update)));
    let changed = store.executor().execute(update, None).await.unwrap().invitation;
    assert_eq!(read(&store, made.id).await, *changed);
    assert_eq!(changed.recipients.len(), 4);
    let rows = async |sql: &str| texts_of(&database, sql).await;
    assert_eq!(rows("SELECT scope_id FROM invitation_group ORDER BY scope_id").await, ["3", "4"]);
    assert_eq!(rows("SELECT inviter_user_id FROM invitation").await, ["u-7"]);
    let none = UpdatedFields {
        groups: Some(Vec::new()),
        labels: Some(MapUpdate::Whole(texts(&[]))),
        max_uses: Some(Some(5)),
        ..UpdatedFields::default()
    };
    // In one group with a label that is set again, and with one that comes and goes.
    let label = |value: Option<&str>| {
        let labels = MapUpdate::Entries([("c".to_owned(), value.map(str::to_owned))].into());
        set(&made, UpdatedFields { labels: Some(labels), ..UpdatedFields::default() })
    };
    let group = [set(&made, none), label(Some("5")), label(None), label(Some("6"))].map(command);
    let answers = store.executor().execute_all(group.into(), BatchMode::Atomic, None).await.unwrap();
    let last = answers.into_iter().last().unwrap().unwrap().invitation;
    assert_eq!(read(&store, made.id).await, *last);
    assert_eq!(last.labels, texts(&[("c", "6")]));
    assert!(rows("SELECT scope_id FROM invitation_group").await.is_empty());
}

async fn guest_invitation_is_read_back_as_it_was_changed(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let made = created(&store, full_guest()).await;
    let update = |expiry, archived, parent_id, parent_name: Option<Option<String>>| {
        let (parent_organization_id, parent_organization_name) = (parent_id, parent_name);
        let fields = UpdatedFields {
            expiry,
            archived,
            parent_organization_id,
            parent_organization_name,
            ..UpdatedFields::default()
        };
        command(set(&made, fields))
    };
    let later = Some(Expiry { time: ExpiryTime::At(NEW_YEAR.plus(seconds(9_000))), field: "expire_time" });
    for change in [
        update(later, Some(true), Some(None), Some(None)),
        update(None, Some(false), Some(Some(COMPANY)), Some(odd())),
        update(None, None, None, Some(Some("b".to_owned()))),
    ] {
        clock.advance(std::time::Duration::from_secs(1));
        let by_other = invitation_service::domain::command::Command { actor: "other".to_owned(), ..change };
        let changed = store.executor().execute(by_other, None).await.unwrap().invitation;
        assert_eq!(read(&store, made.id).await, *changed);
        assert_eq!((changed.creator.as_str(), changed.updater.as_str()), ("tester", "other"));
    }
    let found = read(&store, made.id).await;
    assert_eq!((found.archived_at, found.facts.expire_at), (None, Some(NEW_YEAR.plus(seconds(9_000)))));
    clock.advance(std::time::Duration::from_secs(1));
    let sent = store.executor().execute(command(resend(&made, false, None)), None).await.unwrap().invitation;
    assert_eq!(read(&store, made.id).await, *sent);
    assert_eq!((sent.first_sent_at, sent.last_sent_at), (Some(NEW_YEAR), Some(clock.now())));
}

async fn guest_acceptance_is_read_back_by_person_and_by_system(database: TestDatabase) {
    let (store, _) = store(&database).await;
    for by_system in [false, true] {
        let made = created(&store, guest("ann@example.org")).await;
        let mut person = acceptor("ann");
        person.email = Some(email("ann@example.org").into()).filter(|_| !by_system);
        person.email_verified = true;
        let accept = AcceptInvitation { guest_organization_id: Some(COMPANY), by_system, ..accept_by(&made, person) };
        let executed = store.executor().execute(command(Action::Accept(Box::new(accept))), None).await.unwrap();
        let found = read(&store, made.id).await;
        assert_eq!(found.details, executed.invitation.details);
        assert_eq!(found.acceptances, [executed.acceptance.unwrap()]);
        assert_eq!(found.acceptances[0].guest_organization_id, Some(COMPANY));
    }
}

async fn deleted_user_invitation_is_read_back_deleted_and_revoked(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let made = created(&store, full_user()).await;
    let delete = Action::Delete(DeleteInvitation { target: target(&made) });
    let deleted = store.executor().execute(command(delete), None).await.unwrap().invitation;
    assert_eq!(read(&store, made.id).await, *deleted);
    assert_eq!((deleted.deleted_at, deleted.facts.revoked_at), (Some(clock.now()), Some(clock.now())));
    created(&store, full_user()).await;
}
