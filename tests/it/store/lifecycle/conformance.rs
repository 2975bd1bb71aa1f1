//! Invitations are read back as they were decided.

use invitation_service::domain::kind::shared::SharedDetails;
use std::collections::BTreeMap;
use std::time::Duration;

use invitation_service::domain::command::{
    AcceptInvitation, Action, Command, CreateInvitation, OnConflict, RecordCreatedConnection,
};
use invitation_service::domain::invitation::acceptance::Acceptor;
use invitation_service::domain::invitation::refusal::Refusal;
use invitation_service::domain::invitation::state::State;
use invitation_service::domain::invitation::{Engagement, EngagementType};
use invitation_service::domain::kind::Details;
use invitation_service::domain::kind::connection::{
    ConnectionDetails, ConnectionPurpose, Country, Datasource, HttpUrl, NewConnection, Prefill, StartDate, UtilityType,
};
use invitation_service::domain::value::email::Email;
use invitation_service::domain::value::id::{AcceptanceId, IdSeed};
use invitation_service::entropy::Entropy;
use invitation_service::store::ExecuteError;
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use crate::support::build::commands::*;
use crate::support::database::TestDatabase;
use crate::support::on_both;

on_both!(
    migrated:
    every_field_is_read_back_as_it_was_created,
    thousand_recipients_are_read_back_in_order,
    acceptance_is_read_back_with_all_data_of_the_person,
    created_connection_can_be_added_and_changed,
    declining_persists_recipient_by_recipient,
    revoking_and_resending_persist,
    engagement_is_counted_beside_the_invitation,
    newest_hundred_acceptances_come_with_an_invitation,
    open_recipient_gets_one_message_per_send,
);

/// Text that breaks what is put together from strings.
const ODD: &str = "a\"b'c\\d\\\"e`$1 %_ {}[]?:😀\u{202e}\u{fffd} ä $$ \\u0000 --;";

fn prefilled() -> CreateInvitation {
    let prefill = Prefill {
        datasource: Some(Datasource::Url(HttpUrl::parse("https://x.example/?q=%27\"&a=\\").unwrap())),
        initial_sites: vec![Uuid::from_u128(2), Uuid::from_u128(1)],
        utility_types: vec![UtilityType::Water, UtilityType::NaturalGas],
        country: Some(Country::parse("DE").unwrap()),
        connection_owner_email: Some(Email::parse("Ö'wner@Exämple.org").unwrap()),
        data_collection_start_date: Some(StartDate::parse("2024-02-29").unwrap()),
    };
    let purpose = ConnectionPurpose::CreateConnection { prefill: Some(prefill) };
    CreateInvitation {
        details: Details::Connection(ConnectionDetails {
            company_id: COMPANY,
            purpose,
            shared: SharedDetails::default(),
        }),
        max_uses: Some(i32::MAX.cast_unsigned()),
        expiry: after(3_155_760_000),
        recipients: vec![email("Jürgen+tag@EXÄMPLE.org").into(), email("o'neil@x.org").into()],
        mails: true,
        labels: BTreeMap::from([(ODD.to_owned(), ODD.to_owned()), ("empty".to_owned(), String::new())]),
        on_conflict: OnConflict::Allow,
    }
}

fn reconnect(connection_id: Uuid) -> CreateInvitation {
    let purpose = ConnectionPurpose::EditConnection { connection_id };
    CreateInvitation {
        details: Details::Connection(ConnectionDetails {
            company_id: COMPANY,
            purpose,
            shared: SharedDetails::default(),
        }),
        ..link()
    }
}

async fn every_field_is_read_back_as_it_was_created(database: TestDatabase) {
    let (store, _) = store(&database).await;
    for invitation in [link(), prefilled(), reconnect(Uuid::from_u128(u128::MAX))] {
        let mut by_odd_people = command(create(invitation));
        by_odd_people.actor = ODD.to_owned();
        let made = store.executor().execute(by_odd_people, None).await.unwrap().invitation;
        assert_eq!(read(&store, made.id).await, *made);
        assert_eq!(made.creator, ODD);
        let events = events(&store, made.id).await;
        assert_eq!((events.len(), events[0].event.actor.as_str()), (1, ODD));
    }
}

async fn thousand_recipients_are_read_back_in_order(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let made = created(&store, CreateInvitation { recipients: emails(1_000), mails: true, ..link() }).await;
    let found = read(&store, made.id).await;
    assert_eq!(found, *made);
    assert!((1..=1_000).eq(found.recipients.iter().map(|recipient| recipient.ordinal)));
    assert_eq!(found.deliveries, 1_000);
}

async fn acceptance_is_read_back_with_all_data_of_the_person(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let made = created(&store, CreateInvitation { recipients: emails(2), ..link() }).await;
    clock.advance(Duration::from_micros(1_234_567));
    let person = Acceptor {
        email: Some(email("person.1@example.org").into()),
        email_verified: true,
        phone: Some("+4930123456".to_owned()),
        display_name: Some(ODD.to_owned()),
        existing_user: Some(false),
        ..acceptor(ODD)
    };
    let connection = NewConnection { id: COMPANY, datasource_name: ODD.to_owned(), status: String::new() };
    let accept = AcceptInvitation { created_connection: Some(connection), ..accept_by(&made, person) };
    let executed = store.executor().execute(command(Action::Accept(Box::new(accept))), None).await.unwrap();
    let acceptance = executed.acceptance.unwrap();
    let found = read(&store, made.id).await;
    assert_eq!(found.acceptances, std::slice::from_ref(&acceptance));
    assert_eq!((acceptance.recipient, acceptance.accepted_at), (Some(2), clock.now()));
    assert_eq!(found.recipients[0].accepted_at, None);
    assert_eq!(found.recipients[1].accepted_at, Some(clock.now()));
    assert_eq!((found.facts.use_count, found.facts.accepted_at, found.revision), (1, Some(clock.now()), 2));
    assert_eq!((found.created_at, found.updated_at), (made.created_at, clock.now()));
    assert_eq!(story(&store, made.id).await, ["created", "accepted"]);
}

async fn created_connection_can_be_added_and_changed(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let made = created(&store, link()).await;
    let accepted = store.executor().execute(command(accept(&made, "ann")), None).await.unwrap().acceptance.unwrap();
    let update = |status: &str, acceptance: Option<AcceptanceId>| {
        command(Action::RecordCreatedConnection(RecordCreatedConnection {
            target: target(&made),
            connection_id: COMPANY,
            datasource_name: acceptance.map(|_| "Stadtwerke".to_owned()),
            status: Some(status.to_owned()),
            acceptance,
        }))
    };
    let missing = store.executor().execute(update("NEW", None), None).await.unwrap_err();
    assert_eq!(missing, ExecuteError::Refused(Refusal::CreatedConnectionNotFound(COMPANY)));
    let added = store.executor().execute(update("NEW", Some(accepted.id)), None).await.unwrap().invitation;
    assert_eq!(read(&store, made.id).await, *added);
    let added_at = clock.now();
    clock.advance(Duration::from_secs(1));
    let changed = store.executor().execute(update("DONE", None), None).await.unwrap().invitation;
    let found = read(&store, made.id).await;
    assert_eq!(found, *changed);
    let created = found.acceptances[0].created_connection.clone().unwrap();
    assert_eq!((created.connection.status.as_str(), created.created_at), ("DONE", added_at));
    assert_eq!(created.connection.datasource_name, "Stadtwerke", "what is not given stays");
    assert_eq!(story(&store, made.id).await, ["created", "accepted", "updated", "updated"]);
}

async fn declining_persists_recipient_by_recipient(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let made = created(&store, CreateInvitation { recipients: emails(2), ..link() }).await;
    let unclear = store.executor().execute(command(decline(&made, 0)), None).await.unwrap_err();
    assert_eq!(unclear, ExecuteError::Refused(Refusal::RecipientUnknown));
    let once = store.executor().execute(command(decline(&made, 2)), None).await.unwrap().invitation;
    let found = read(&store, made.id).await;
    assert_eq!(found, *once);
    assert_eq!((found.recipients[0].declined_at, found.recipients[1].declined_at), (None, Some(clock.now())));
    assert_eq!(found.state_at(clock.now()), State::Active);
    let twice = store.executor().execute(command(decline(&made, 1)), None).await.unwrap().invitation;
    assert_eq!(read(&store, made.id).await, *twice);
    assert_eq!(twice.state_at(clock.now()), State::Declined);
    let events = events(&store, made.id).await;
    assert_eq!(payload(&events[1])["recipient"], 2);
    assert_eq!(payload(&events[1])["reason"], "no time");
}

async fn revoking_and_resending_persist(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let made = created(&store, CreateInvitation { expiry: after(60), ..link() }).await;
    clock.advance(Duration::from_secs(60));
    assert_eq!(read(&store, made.id).await.state_at(clock.now()), State::Expired);
    let renewed =
        store.executor().execute(command(resend(&made, true, Some(seconds(90)))), None).await.unwrap().invitation;
    let found = read(&store, made.id).await;
    assert_eq!(found, *renewed);
    assert_eq!((found.generation, found.key_id, found.state_at(clock.now())), (1, 7, State::Active));
    let stale = store.executor().execute(command(accept(&made, "ann")), None).await.unwrap_err();
    assert_eq!(stale, ExecuteError::Refused(Refusal::InvitationNotFound), "the old link died with the rotation");
    let revoked = store.executor().execute(command(revoke(&made)), None).await.unwrap().invitation;
    let found = read(&store, made.id).await;
    assert_eq!(found, *revoked);
    assert_eq!((found.facts.revoked_at, found.state_at(clock.now())), (Some(clock.now()), State::Revoked));
    assert_eq!(story(&store, made.id).await, ["created", "resent", "revoked"]);
}

async fn engagement_is_counted_beside_the_invitation(database: TestDatabase) {
    use EngagementType::{Click, Unfurl, View};
    let (store, _) = store(&database).await;
    let made = created(&store, link()).await;
    for engagement in [View, View, Click, View, Unfurl, Click] {
        store.executor().execute(command(record(&made, engagement)), None).await.unwrap();
    }
    let found = read(&store, made.id).await;
    assert_eq!(found.engagement, Engagement { views: 3, clicks: 2, unfurls: 1 });
    assert_eq!((found.revision, found.updated_at), (made.revision, made.updated_at), "the etag stays");
    let story = story(&store, made.id).await;
    assert_eq!(story, ["created", "viewed", "viewed", "clicked", "viewed", "unfurled", "clicked"]);
}

async fn newest_hundred_acceptances_come_with_an_invitation(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let made = created(&store, link()).await;
    for n in 0..103 {
        clock.advance(Duration::from_millis(1));
        let seed = IdSeed::new(clock.now(), Entropy::system().bytes());
        let accept = Command { seed, ..command(accept(&made, &format!("subject {n}"))) };
        store.executor().execute(accept, None).await.unwrap();
    }
    let found = read(&store, made.id).await;
    let subjects: Vec<&str> = found.acceptances.iter().map(|acceptance| acceptance.subject.0.as_str()).collect();
    let newest: Vec<String> = (3..103).rev().map(|n| format!("subject {n}")).collect();
    assert_eq!(subjects, newest);
    assert_eq!(found.facts.use_count, 103);
    let bare = store.primary().get_invitation(&reach(), made.id, false).await.unwrap().unwrap().found;
    assert!(bare.acceptances.is_empty(), "nobody asked for them");
    let revoked = store.executor().execute(command(revoke(&made)), None).await.unwrap().invitation;
    assert_eq!(revoked.acceptances, found.acceptances, "a command by name answers with them");
}

async fn open_recipient_gets_one_message_per_send(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let mailed = created(&store, CreateInvitation { recipients: emails(3), mails: true, ..link() }).await;
    let silent = created(&store, CreateInvitation { recipients: emails(3), ..link() }).await;
    store.executor().execute(command(decline(&mailed, 2)), None).await.unwrap();
    for invitation in [&mailed, &silent] {
        store.executor().execute(command(resend(invitation, false, None)), None).await.unwrap();
    }
    assert_eq!(read(&store, mailed.id).await.deliveries, 5);
    assert_eq!(read(&store, silent.id).await.deliveries, 0);
    let sql = "SELECT recipient, count(*) AS messages FROM outbox GROUP BY recipient ORDER BY recipient";
    let rows = database.connect().await.query_all_raw(sea_orm::Statement::from_string(backend(&database), sql)).await;
    let count = |row: &sea_orm::QueryResult| (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap());
    let counts: Vec<(i32, i64)> = rows.unwrap().iter().map(count).collect();
    assert_eq!(counts, [(1, 2), (2, 1), (3, 2)]);
}

fn backend(database: &TestDatabase) -> sea_orm::DbBackend {
    if database.url().starts_with("sqlite") { sea_orm::DbBackend::Sqlite } else { sea_orm::DbBackend::Postgres }
}
