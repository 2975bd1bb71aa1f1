//! Rows that a newer release has written, beside rows that this release has: every reader serves the neighbours.

use invitation_service::domain::kind::shared::SharedDetails;
use std::time::Duration;

use invitation_service::background::expiry::ExpiryWalk;
use invitation_service::clock::Clock;
use invitation_service::domain::command::{Action, CreateInvitation};
use invitation_service::domain::group::Group;
use invitation_service::domain::invitation::Invitation;
use invitation_service::domain::invitation::event::{Event, EventFilter, EventType};
use invitation_service::domain::invitation::recipient::AddressType;
use invitation_service::domain::kind::connection::{ConnectionDetails, ConnectionPurpose, NewConnection};
use invitation_service::domain::kind::{Details, Kind, Scope};
use invitation_service::domain::value::id::InvitationId;
use invitation_service::store::{
    AcceptanceQuery, Cursor, DeliveryQuery, EventQuery, ExecuteError, InvitationQuery, Order, Page, Read, Store,
    StoreError,
};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use uuid::Uuid;

use crate::store::read::build::{HOST, address, general, guest, user};
use crate::support::build::commands::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::on_both;

on_both!(migrated: invitation_that_cannot_be_read_is_missing_from_every_list,
    event_of_an_unknown_type_is_carried_on_as_text,
    event_that_cannot_be_read_is_skipped,
    acceptance_that_cannot_be_read_is_skipped,
    delivery_that_cannot_be_read_is_missing_from_the_list,
    command_fails_alone_whose_invitation_cannot_be_read,
    expiry_is_told_beside_an_invitation_that_cannot_be_read,
    fields_of_a_newer_release_survive_a_write,
    page_is_full_behind_a_hundred_unreadable_rows,
);

pub(crate) async fn set(raw: &DatabaseConnection, sql: &str, id: InvitationId) {
    let statement = Statement::from_sql_and_values(raw.get_database_backend(), sql, [id.0.into()]);
    assert!(raw.execute_raw(statement).await.unwrap().rows_affected() > 0, "{sql}");
}

/// The changes that make an invitation unreadable. No text of a `jsonb` column is broken JSON.
pub(crate) fn damages(raw: &DatabaseConnection) -> Vec<&'static str> {
    let mut all = vec![
        "UPDATE invitation SET kind = 'from_the_future' WHERE id = $1",
        "UPDATE invitation SET details = '[1]' WHERE id = $1",
        "UPDATE recipient SET recipient_type = 'from_the_future' WHERE invitation_id = $1",
        "UPDATE recipient SET original = 'no address' WHERE invitation_id = $1",
    ];
    if raw.get_database_backend() == DbBackend::Sqlite {
        all.push("UPDATE invitation SET details = '{broken' WHERE id = $1");
    }
    all
}

/// Reads a list as a caller does, two at a time: one row beyond the page tells whether there is another page.
async fn listed(store: &Store, query: &InvitationQuery, page: Reader<'_>) -> Vec<InvitationId> {
    let (mut ids, mut query) = (Vec::new(), InvitationQuery { limit: 3, ..query.clone() });
    loop {
        let rows = page.read(store, &query).await.unwrap();
        let last = rows.iter().take(2).next_back().map(|(_, cursor)| cursor.clone());
        ids.extend(rows.iter().take(2).map(|(id, _)| *id));
        if rows.len() < 3 {
            return ids;
        }
        query.after = last;
    }
}

#[derive(Clone, Copy, Debug)]
enum Reader<'a> {
    List,
    Names,
    Open(&'a str),
}

impl Reader<'_> {
    async fn read(self, store: &Store, query: &InvitationQuery) -> Result<Vec<(InvitationId, Cursor)>, StoreError> {
        let row = |read: Read<Invitation>| (read.found.id, Cursor::of_invitation_by(query.order, &read));
        Ok(match self {
            Self::List => store.primary().list_invitations(&reach(), query).await?.into_iter().map(row).collect(),
            Self::Names => {
                let names = store.list_names(&reach(), query).await?;
                names.into_iter().map(|name| (name.id, name.cursor)).collect()
            }
            Self::Open(email) => {
                let (limit, after) = (query.limit, query.after.clone());
                let page = Page { ascending: query.ascending, limit, after, ..Page::default() };
                let to = address(AddressType::Email, email);
                store.primary().list_open_invitations(&reach(), &[to], &page).await?.into_iter().map(row).collect()
            }
        })
    }
}

async fn invitation_that_cannot_be_read_is_missing_from_every_list(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let raw = database.connect().await;
    let scope = Scope::new("team", "t1");
    let expire_at = NEW_YEAR.plus(seconds(3_600));
    let mut users = Vec::new();
    for (number, damage) in damages(&raw).into_iter().enumerate() {
        let to = format!("ann{number}@example.org");
        let team = Scope::new("team", number);
        let email = address(AddressType::Email, &to);
        let mut made: Vec<Vec<InvitationId>> = Vec::new();
        for row in 0..5 {
            let one = |kind: &str| format!("{kind}{number}x{row}@example.org");
            let general = general(&team, &[&scope], std::slice::from_ref(&email));
            let mut ids = Vec::new();
            for create in [mailed_to(&to), general, user(&one("user")), guest(&one("guest"), expire_at)] {
                clock.advance(Duration::from_millis(1));
                ids.push(created(&store, create).await.id);
            }
            made.push(ids);
        }
        for victim in &made[2] {
            set(&raw, damage, *victim).await;
        }
        // Oldest first, with the victims in the middle.
        let of = |kinds: &[usize]| -> Vec<InvitationId> {
            let rows = made.iter().enumerate().filter(|(row, _)| *row != 2);
            rows.flat_map(|(_, ids)| kinds.iter().map(|kind| ids[*kind])).collect()
        };
        users.extend(of(&[2]));
        let ascending = InvitationQuery { ascending: true, ..InvitationQuery::default() };
        let by_target = InvitationQuery { target: Some(email.clone()), ..ascending.clone() };
        let company = Some(Scope::new("company", COMPANY));
        let organization = Some(Scope::new("organization", HOST));
        let prefix = Some(format!("guest{number}x"));
        for (wanted, reader, query) in [
            (of(&[0, 1]), Reader::List, by_target.clone()),
            (of(&[0, 1]), Reader::Open(&to), by_target.clone()),
            (of(&[0]), Reader::List, InvitationQuery { scope: company, ..by_target.clone() }),
            (of(&[1]), Reader::List, InvitationQuery { scope: Some(team), ..ascending.clone() }),
            (users.clone(), Reader::List, InvitationQuery { kinds: vec![Kind::User], ..ascending.clone() }),
            (
                of(&[3]),
                Reader::List,
                InvitationQuery { scope: organization, order: Order::Email, email_prefix: prefix, ..ascending },
            ),
        ] {
            assert_eq!(listed(&store, &query, reader).await, wanted, "{damage}: {query:?}");
        }
        let names = listed(&store, &by_target, Reader::Names).await;
        assert!(of(&[0, 1]).iter().all(|id| names.contains(id)), "{damage}: {names:?}");
        let read = store.primary().get_invitation(&reach(), made[2][0], true).await;
        assert!(matches!(read, Err(StoreError::Corrupt { .. })), "{damage}: {read:?}");
    }
    store.close().await;
}

/// A connection invitation that is mailed to an address.
fn mailed_to(to: &str) -> CreateInvitation {
    let (purpose, shared) = (ConnectionPurpose::CreateConnection { prefill: None }, SharedDetails::default());
    let details = Details::Connection(ConnectionDetails { company_id: COMPANY, purpose, shared });
    CreateInvitation { details, recipients: vec![email(to).into()], ..link() }
}

async fn page_is_full_behind_a_hundred_unreadable_rows(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let raw = database.connect().await;
    let first = created(&store, link()).await.id;
    clock.advance(Duration::from_millis(1));
    let creates = (0..230).map(|_| (store.clone(), command(create(link()))));
    let victims: Vec<_> = all_at_once(creates).await.into_iter().map(|made| made.unwrap().invitation.id).collect();
    clock.advance(Duration::from_millis(1));
    let last = created(&store, link()).await.id;
    raw.execute_unprepared("UPDATE invitation SET kind = 'from_the_future'").await.unwrap();
    for id in [first, last] {
        set(&raw, "UPDATE invitation SET kind = 'connection' WHERE id = $1", id).await;
    }
    assert_eq!(victims.len(), 230);
    let query = InvitationQuery { ascending: true, ..InvitationQuery::default() };
    assert_eq!(listed(&store, &query, Reader::List).await, [first, last]);
    // A name can be read whatever the rest of its invitation is.
    assert_eq!(listed(&store, &query, Reader::Names).await.len(), 232);
    store.close().await;
}

fn of(invitation: InvitationId) -> EventQuery {
    EventQuery { ascending: true, ..EventQuery::of(invitation, 2) }
}

async fn event_of_an_unknown_type_is_carried_on_as_text(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let raw = database.connect().await;
    let made = created(&store, link()).await;
    store.executor().execute(command(revoke(&made)), None).await.unwrap();
    let future = "UPDATE event SET event_type = 'invitation.transferred', kind = 'unheard_of' WHERE sequence = 1 AND invitation_id = $1";
    set(&raw, future, made.id).await;
    store.sequence().await.unwrap();
    let names = |events: Vec<Event>| events.iter().map(|event| event.event.type_name().to_owned()).collect::<Vec<_>>();
    let wanted = ["invitation.transferred", "invitation.revoked"];
    assert_eq!(names(store.primary().list_events(&reach(), &of(made.id)).await.unwrap().unwrap()), wanted);
    let own = store.events_behind(&reach(), &EventFilter::default(), 0, 10).await.unwrap();
    for batch in [store.all_events_behind(0, 10).await.unwrap(), own] {
        assert_eq!(names(batch.events.iter().map(|one| one.event.clone()).collect()), wanted);
    }
    store.close().await;
}

async fn event_that_cannot_be_read_is_skipped(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let raw = database.connect().await;
    let mut damages = vec!["data = '[]'", "event_type = 'Not A Type'", "kind = ''"];
    if raw.get_database_backend() == DbBackend::Sqlite {
        damages.push("data = '{broken'");
    }
    let mut begin = 0;
    for damage in damages {
        let made = created(&store, link()).await;
        store.executor().execute(command(resend(&made, true, None)), None).await.unwrap();
        store.executor().execute(command(revoke(&made)), None).await.unwrap();
        store.sequence().await.unwrap();
        let sql = format!("UPDATE event SET {damage} WHERE sequence = 2 AND invitation_id = $1");
        set(&raw, &sql, made.id).await;
        let types =
            |events: Vec<Event>| events.iter().map(|event| event.event.event_type.known().unwrap()).collect::<Vec<_>>();
        let wanted = [EventType::Created, EventType::Revoked];
        let listed = store.primary().list_events(&reach(), &of(made.id)).await.unwrap();
        assert_eq!(types(listed.unwrap()), wanted, "{damage}");
        let mut followed = (Vec::new(), begin);
        loop {
            // One at a time: a batch of nothing but an event that cannot be read moves its follower on.
            let batch = store.all_events_behind(followed.1, 1).await.unwrap();
            assert_eq!(batch.after, followed.1);
            followed.0.extend(batch.events.iter().map(|one| one.event.clone()));
            followed.1 = batch.until;
            if batch.is_last {
                break;
            }
        }
        assert_eq!(types(followed.0), wanted, "{damage}");
        let own = store.events_behind(&reach(), &EventFilter::default(), begin, 10).await.unwrap();
        assert_eq!((own.events.len(), own.until, own.is_last), (2, begin + 3, true), "{damage}");
        assert_eq!(std::mem::replace(&mut begin, followed.1) + 3, followed.1, "{damage}");
    }
    store.close().await;
}

async fn acceptance_that_cannot_be_read_is_skipped(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let raw = database.connect().await;
    let made = created(&store, link()).await;
    for subject in ["ann", "bob", "cid"] {
        clock.advance(Duration::from_secs(1));
        store.executor().execute(command(accept(&made, subject)), None).await.unwrap();
    }
    set(&raw, "UPDATE acceptance SET details = '[1]' WHERE subject = 'bob' AND invitation_id = $1", made.id).await;
    let query = AcceptanceQuery { ascending: true, ..AcceptanceQuery::of(made.id, 2) };
    let listed = store.primary().list_acceptances(&reach(), &query).await.unwrap().unwrap();
    let mut subjects: Vec<_> = listed.iter().map(|acceptance| acceptance.subject.0.as_str()).collect();
    subjects.sort_unstable();
    assert_eq!(subjects, ["ann", "cid"]);
    let read = store.primary().get_invitation(&reach(), made.id, true).await.unwrap().unwrap().found;
    assert_eq!(read.acceptances.len(), 2);
    store.executor().execute(command(accept(&made, "dan")), None).await.unwrap();
    let again = store.executor().execute(command(accept(&made, "bob")), None).await.unwrap_err();
    assert!(matches!(again, ExecuteError::Internal(_)), "{again:?}");
    store.close().await;
}

async fn delivery_that_cannot_be_read_is_missing_from_the_list(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let raw = database.connect().await;
    for damage in ["purpose = 'from_the_future'", "state = 'from_the_future'", "recipient = -1"] {
        let mut mailed = mailed_to("ann@example.org");
        (mailed.recipients, mailed.mails) = (emails(4), true);
        let made = created(&store, mailed).await;
        let all = DeliveryQuery { ascending: true, ..DeliveryQuery::of(made.id, 10) };
        let before = store.primary().list_deliveries(&reach(), &all).await.unwrap().unwrap().1;
        assert_eq!(before.len(), 4);
        let sql = format!("UPDATE outbox SET {damage} WHERE id = $1");
        set(&raw, &sql, InvitationId(before[1].message.id)).await;
        let page = DeliveryQuery { limit: 2, ..all };
        let first = store.primary().list_deliveries(&reach(), &page).await.unwrap().unwrap().1;
        let ids: Vec<Uuid> = first.iter().map(|delivery| delivery.message.id).collect();
        assert_eq!(ids, [before[0].message.id, before[2].message.id], "{damage}");
    }
    store.close().await;
}

async fn command_fails_alone_whose_invitation_cannot_be_read(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let raw = database.connect().await;
    for damage in damages(&raw) {
        let mut made = Vec::new();
        for _ in 0..40 {
            made.push(created(&store, mailed_to("ann@example.org")).await);
        }
        set(&raw, damage, made[17].id).await;
        let commands = made.iter().map(|invitation| (store.clone(), command(revoke(invitation))));
        for (number, answer) in all_at_once(commands).await.into_iter().enumerate() {
            match answer {
                Err(ExecuteError::Internal(_)) if number == 17 => {}
                Ok(_) if number != 17 => {}
                other => panic!("{damage}: command {number}: {other:?}"),
            }
        }
    }
    store.close().await;
}

async fn expiry_is_told_beside_an_invitation_that_cannot_be_read(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let raw = database.connect().await;
    let mut made = Vec::new();
    for number in 0..damages(&raw).len() * 2 + 1 {
        let mut create = mailed_to("ann@example.org");
        create.expiry = after(60 + number as u64);
        made.push(created(&store, create).await.id);
    }
    for (number, damage) in damages(&raw).into_iter().enumerate() {
        set(&raw, damage, made[number * 2 + 1]).await;
    }
    clock.advance(Duration::from_secs(600));
    let told = ExpiryWalk::new(store.clone(), Uuid::from_u128(1)).record_expiries().await.unwrap();
    assert_eq!(told, Some(damages(&raw).len() + 1));
    for id in made.iter().step_by(2) {
        assert_eq!(story(&store, *id).await, ["created", "expired"]);
    }
    store.close().await;
}

async fn fields_of_a_newer_release_survive_a_write(database: TestDatabase) {
    let clock = Clock::manual(NEW_YEAR);
    let store = store_with(&database, &clock, &options(Group::run)).await;
    let raw = database.connect().await;
    let is_postgres = raw.get_database_backend() == DbBackend::Postgres;
    let details = async |table: &str, id: Uuid| {
        let text = if is_postgres { "details::text" } else { "details" };
        let sql = format!("SELECT {text} AS details FROM {table} WHERE id = $1");
        let statement = Statement::from_sql_and_values(raw.get_database_backend(), sql, [id.into()]);
        let row = raw.query_one_raw(statement).await.unwrap().unwrap();
        serde_json::from_str::<serde_json::Value>(&row.try_get::<String>("", "details").unwrap()).unwrap()
    };
    let write = async |table: &str, id: Uuid, details: &serde_json::Value| {
        let cast = if is_postgres { "::jsonb" } else { "" };
        let sql = format!("UPDATE {table} SET details = $2{cast} WHERE id = $1");
        let values = [id.into(), details.to_string().into()];
        raw.execute_raw(Statement::from_sql_and_values(raw.get_database_backend(), sql, values)).await.unwrap();
    };
    let team = Scope::new("team", "t1");
    let to = address(AddressType::Email, "ann@example.org");
    let creates = [
        link(),
        user("ann@example.org"),
        guest("ann@example.org", NEW_YEAR.plus(seconds(600))),
        general(&team, &[&team], &[to]),
    ];
    for create in creates {
        let made = created(&store, create).await;
        let mut stored = details("invitation", made.id.0).await;
        stored["from_the_future"] = serde_json::json!({"kept": [1, 2]});
        for (name, mut value) in stored.as_object_mut().unwrap() {
            if name == "template_variables" {
                continue;
            }
            if name == "purpose" {
                // The name of its field tells the variant, so further fields are within.
                value = &mut value["create_connection"];
            }
            if let Some(object) = value.as_object_mut() {
                object.insert(format!("more_of_{name}"), true.into());
            }
            if let Some(first) = value.as_array_mut().and_then(|list| list.first_mut()?.as_object_mut()) {
                first.insert("more".to_owned(), true.into());
            }
        }
        write("invitation", made.id.0, &stored).await;
        let read = store.primary().get_invitation(&reach(), made.id, true).await.unwrap().unwrap();
        assert_eq!(read.found.details, made.details, "what is not known is not seen");
        store.executor().execute(command(resend(&made, true, None)), None).await.unwrap();
        assert_eq!(details("invitation", made.id.0).await, stored);
        store.executor().execute(command(revoke(&made)), None).await.unwrap();
        assert_eq!(details("invitation", made.id.0).await, stored);
    }

    let made = created(&store, link()).await;
    let mut accepting = accept_by(&made, acceptor("ann"));
    let connection =
        NewConnection { id: Uuid::from_u128(0xc), datasource_name: "meter".to_owned(), status: "new".to_owned() };
    accepting.created_connection = Some(connection.clone());
    let accept = Action::Accept(Box::new(accepting));
    let acceptance = store.executor().execute(command(accept), None).await.unwrap().acceptance.unwrap();
    let mut stored = details("acceptance", acceptance.id.0).await;
    stored["from_the_future"] = "kept".into();
    stored["created_connection"]["from_the_future"] = "kept".into();
    write("acceptance", acceptance.id.0, &stored).await;
    let connection = NewConnection { status: "done".to_owned(), ..connection };
    let update = recorded(&made, connection, None);
    store.executor().execute(command(Action::RecordCreatedConnection(update)), None).await.unwrap();
    stored["created_connection"]["status"] = "done".into();
    stored["revision"] = 2.into();
    assert_eq!(details("acceptance", acceptance.id.0).await, stored);
    store.close().await;
}
