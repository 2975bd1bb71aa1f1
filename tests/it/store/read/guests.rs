//! The lists of guest invitations: every order, ties, filters, pages and totals.

use std::collections::BTreeSet;
use std::time::Duration;

use invitation_service::domain::invitation::Invitation;
use invitation_service::domain::invitation::recipient::Recipient;
use invitation_service::domain::kind::{Kind, organization_scope};
use invitation_service::domain::value::id::InvitationId;
use invitation_service::domain::value::time::Timestamp;
use invitation_service::store::{Cursor, GuestStatus, InvitationQuery, Order, Store};
use sea_orm::{ConnectionTrait, DatabaseConnection};

use super::build::*;
use crate::support::build::commands::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::on_both;

on_both!(
    migrated:
    every_order_is_that_of_its_key_and_of_ids_in_both_directions,
    statuses_expiry_and_archive_are_filters_of_their_own,
    row_is_seen_where_its_key_is_while_the_list_is_walked,
    total_is_that_of_the_moment_of_its_list,
);

fn guests() -> InvitationQuery {
    InvitationQuery { kinds: vec![Kind::Guest], scope: Some(organization_scope(HOST)), ..all() }
}

fn later(seconds: i64) -> Timestamp {
    Timestamp::from_micros(NEW_YEAR.micros() + seconds * 1_000_000)
}

/// Makes guest invitations with few distinct values of everything, some of them unset.
async fn mixed(database: &TestDatabase, store: &Store, connection: &DatabaseConnection) -> Vec<Invitation> {
    for n in 0..24_i64 {
        let made = created(store, guest(&format!("guest{n}@example.org"), later(1_000 + n % 5))).await.id;
        let unless = |unset: bool, value: i64| if unset { "NULL".to_owned() } else { value.to_string() };
        let columns = format!(
            "created_at = created_at + {}, updated_at = updated_at + {}, sort_email = '{}@example.org',
            first_sent_at = {}, last_sent_at = {}, accepted_at = {}, archived_at = {}",
            n % 3,
            n % 7,
            ["a", "a_", "b", "é"][usize::try_from(n % 4).unwrap()],
            unless(n % 4 == 0, 50 + n % 2),
            unless(n % 6 == 0, 60 + n % 3),
            unless(n % 2 == 0, 70 + n % 5),
            unless(n % 3 != 0, 80 + n % 2),
        );
        set(database, connection, made, &columns).await;
        let address = format!(
            "UPDATE recipient SET value = (SELECT sort_email FROM invitation WHERE id = {id}),
            original = (SELECT sort_email FROM invitation WHERE id = {id}) WHERE invitation_id = {id}",
            id = literal(database, made.0)
        );
        connection.execute_unprepared(&address).await.unwrap();
    }
    created(store, user("not@example.org")).await;
    foreign(store, guest("foreign@example.org", later(1_000))).await;
    let rows = store.primary().list_invitations(&reach(), &guests()).await.unwrap();
    rows.into_iter().map(|row| row.found).collect()
}

/// The column of each order, written down once more.
fn key(order: Order, invitation: &Invitation) -> (String, i64) {
    let moment = match order {
        Order::Email => {
            let email = invitation.recipients.iter().find_map(Recipient::email).unwrap();
            return (email.key().to_owned(), 0);
        }
        Order::CreateTime => Some(invitation.created_at),
        Order::FirstSent => invitation.first_sent_at,
        Order::LastSent => invitation.last_sent_at,
        Order::Expire => invitation.facts.expire_at,
        Order::Accept => invitation.facts.accepted_at,
        Order::Archive => invitation.archived_at,
        Order::Update => Some(invitation.updated_at),
    };
    (String::new(), moment.map_or(i64::MAX, Timestamp::micros))
}

async fn every_order_is_that_of_its_key_and_of_ids_in_both_directions(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let rows = mixed(&database, &store, &database.connect().await).await;
    assert_eq!(rows.len(), 24);
    for order in Order::ALL {
        let mut wanted: Vec<_> = rows.iter().map(|row| (key(order, row), row.id)).collect();
        wanted.sort();
        let mut wanted: Vec<InvitationId> = wanted.into_iter().map(|(_, id)| id).collect();
        for ascending in [true, false] {
            if !ascending {
                wanted.reverse();
            }
            let query = InvitationQuery { order, ascending, ..guests() };
            assert_eq!(ids(&store, &query).await, wanted, "{order:?} {ascending}");
            assert_eq!(walk(&store, &query, 5).await, wanted, "{order:?} {ascending} in pages");
            let skipping = InvitationQuery { skip: 3, ..query.clone() };
            assert_eq!(walk(&store, &skipping, 5).await, wanted[3..], "{order:?} {ascending} from the fourth");
            // Without the index of guests the same order, whatever the kinds.
            let everybody = InvitationQuery { kinds: Vec::new(), ..query };
            assert_eq!(walk(&store, &everybody, 7).await, wanted, "{order:?} {ascending} of any kind");
        }
    }
}

async fn statuses_expiry_and_archive_are_filters_of_their_own(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let connection = database.connect().await;
    let mut made = Vec::new();
    for (n, columns) in [
        "use_count = 0",
        "use_count = 1, accepted_at = 5, details = '{\"host_organization_id\":\"01920000-0000-7000-8000-000000000b05\",
            \"accepted\":{\"guest_organization_id\":null,\"by_system\":false}}'",
        "use_count = 1, accepted_at = 5, details = '{\"host_organization_id\":\"01920000-0000-7000-8000-000000000b05\",
            \"accepted\":{\"guest_organization_id\":null,\"by_system\":true}}'",
        "archived_at = 7",
        "use_count = 1, accepted_at = 5, archived_at = 7",
    ]
    .into_iter()
    .enumerate()
    {
        clock.advance(Duration::from_secs(1));
        let expire_at = later(if n % 2 == 0 { 1_000 } else { 2_000 });
        let id = created(&store, guest(&format!("guest{n}@example.org"), expire_at)).await.id;
        set(&database, &connection, id, columns).await;
        made.push(id);
    }
    clock.advance(Duration::from_secs(995));
    let statuses = |statuses: &[GuestStatus]| InvitationQuery { guest_statuses: statuses.to_vec(), ..guests() };
    use GuestStatus::{AcceptedByGuest, AcceptedBySystem, Sent};
    for (query, wanted) in [
        (statuses(&[Sent]), vec![3, 0]),
        (statuses(&[AcceptedByGuest]), vec![4, 1]),
        (statuses(&[AcceptedBySystem]), vec![2]),
        (statuses(&[AcceptedBySystem, Sent]), vec![3, 2, 0]),
        (statuses(&[Sent, AcceptedByGuest, AcceptedBySystem]), vec![4, 3, 2, 1, 0]),
        (InvitationQuery { archived: Some(true), ..guests() }, vec![4, 3]),
        (InvitationQuery { archived: Some(false), ..guests() }, vec![2, 1, 0]),
        (InvitationQuery { expired: Some(true), ..guests() }, vec![4, 2, 0]),
        (InvitationQuery { expired: Some(false), ..guests() }, vec![3, 1]),
        (InvitationQuery { archived: Some(true), expired: Some(true), ..statuses(&[AcceptedByGuest]) }, vec![4]),
        (InvitationQuery { email_query: Some("guest2@".to_owned()), ..guests() }, vec![2]),
    ] {
        let wanted: Vec<_> = wanted.into_iter().map(|index: usize| made[index]).collect();
        assert_eq!(ids(&store, &query).await, wanted, "{query:?}");
        assert_eq!(store.primary().count_invitations(&reach(), &query, 100).await.unwrap().found, wanted.len() as u64);
        assert_eq!(store.list_names(&reach(), &query).await.unwrap().len(), wanted.len());
    }
}

async fn row_is_seen_where_its_key_is_while_the_list_is_walked(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let connection = database.connect().await;
    let mut made = Vec::new();
    for n in 0..10 {
        let id = created(&store, guest(&format!("guest{n}@example.org"), later(1_000))).await.id;
        set(&database, &connection, id, &format!("updated_at = {}", 10 * n)).await;
        made.push(id);
    }
    let query = InvitationQuery { order: Order::Update, ascending: true, limit: 4, ..guests() };
    let first = store.primary().list_invitations(&reach(), &query).await.unwrap();
    // One that was seen is changed and comes again; one that was not goes to the place it now has, or is passed by.
    set(&database, &connection, made[0], "updated_at = 75").await;
    set(&database, &connection, made[5], "updated_at = 500").await;
    set(&database, &connection, made[6], "updated_at = 1").await;
    let after = first.last().map(|row| Cursor::of_invitation_by(Order::Update, row));
    let rest = walk(&store, &InvitationQuery { after, ..query }, 4).await;
    let wanted: Vec<_> = [4, 7, 0, 8, 9, 5].into_iter().map(|index: usize| made[index]).collect();
    assert_eq!(rest, wanted);
    assert_eq!(rest.iter().collect::<BTreeSet<_>>().len(), rest.len());
}

async fn total_is_that_of_the_moment_of_its_list(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    for n in 0..6 {
        created(&store, guest(&format!("guest{n}@example.org"), later(100 * (n + 1)))).await;
    }
    clock.advance(Duration::from_secs(250));
    let expired = InvitationQuery { expired: Some(true), limit: 1, ..guests() };
    let total = store.primary().count_invitations(&reach(), &expired, 100).await.unwrap();
    assert_eq!(total.found, 2);
    clock.advance(Duration::from_secs(100));
    let frozen = InvitationQuery { at: Some(total.now), ..expired.clone() };
    let first = store.primary().list_invitations(&reach(), &frozen).await.unwrap();
    assert_eq!(first[0].now, total.now);
    let cursor = Cursor { total: Some(total.found), ..Cursor::of_invitation(&first[0]) };
    let kept: Cursor = serde_json::from_str(&serde_json::to_string(&cursor).unwrap()).unwrap();
    assert_eq!(kept, cursor);
    let next = InvitationQuery { after: Some(kept), skip: 7, ..expired.clone() };
    assert_eq!(
        store.primary().count_invitations(&reach(), &next, 100).await.unwrap().found,
        2,
        "pages of a list have one total"
    );
    assert_eq!(store.primary().count_invitations(&reach(), &expired, 100).await.unwrap().found, 3);
}
