//! Lists: their filters, orders and pages.

use invitation_service::domain::kind::shared::SharedDetails;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use invitation_service::domain::command::{Command, CreateInvitation, Expiry, ExpiryTime};
use invitation_service::domain::invitation::EngagementType;
use invitation_service::domain::invitation::event::{EventType, EventTypeFilter};
use invitation_service::domain::invitation::recipient::Address;
use invitation_service::domain::invitation::state::State;
use invitation_service::domain::kind::connection::{ConnectionDetails, ConnectionPurpose};
use invitation_service::domain::kind::{Details, Kind, company_scope};
use invitation_service::domain::value::email::Email;
use invitation_service::domain::value::id::InvitationId;
use invitation_service::store::{Cursor, EventQuery, InvitationQuery, Store};
use uuid::Uuid;

use crate::support::build::commands::*;
use crate::support::database::TestDatabase;
use crate::support::on_both;

on_both!(
    migrated:
    filters_find_what_has_all_that_they_ask_for,
    list_walked_while_rows_change_and_appear_has_each_row_once,
    moment_of_the_first_page_judges_all_pages,
    pages_of_events_have_each_event_once_in_both_orders,
);

fn all() -> InvitationQuery {
    InvitationQuery { limit: 1_000, ..InvitationQuery::default() }
}

async fn ids(store: &Store, query: InvitationQuery) -> Vec<InvitationId> {
    let rows = store.primary().list_invitations(&reach(), &query).await.unwrap();
    rows.iter().map(|row| row.found.id).collect()
}

async fn filters_find_what_has_all_that_they_ask_for(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let (company, connection) = (Uuid::from_u128(77), Uuid::from_u128(78));
    let purpose = ConnectionPurpose::EditConnection { connection_id: connection };
    let labels = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let email = |value: &str| Email::parse(value).unwrap();
    let plain = created(&store, CreateInvitation { labels: labels(&[("a", "%"), ("b", "2")]), ..link() }).await.id;
    clock.advance(Duration::from_secs(1));
    let details =
        Details::Connection(ConnectionDetails { company_id: company, purpose, shared: SharedDetails::default() });
    let repair = CreateInvitation {
        details,
        labels: labels(&[("a", "x")]),
        recipients: vec![email("ann@exämple.org").into()],
        ..link()
    };
    let by_other = Command { actor: "other's \"key\"".to_owned(), ..command(create(repair)) };
    let repair = store.executor().execute(by_other, None).await.unwrap().invitation;
    clock.advance(Duration::from_secs(1));
    let mailed = CreateInvitation { recipients: emails(3), labels: labels(&[("a", "x"), ("b", "2")]), ..link() };
    let mailed = created(&store, mailed).await.id;
    store.executor().execute(command(revoke(&repair)), None).await.unwrap();
    let repair = repair.id;

    let label = |pairs| InvitationQuery { labels: labels(pairs), ..all() };
    let target = |value| InvitationQuery { target: Some(Address::Email(email(value))), ..all() };
    let state = |states| InvitationQuery { states, ..all() };
    for (number, (query, wanted)) in [
        (all(), vec![mailed, repair, plain]),
        (InvitationQuery { ascending: true, ..all() }, vec![plain, repair, mailed]),
        (InvitationQuery { limit: 2, ..all() }, vec![mailed, repair]),
        (InvitationQuery { limit: 2, ascending: true, ..all() }, vec![plain, repair]),
        (InvitationQuery { kinds: vec![Kind::Connection], ..all() }, vec![mailed, repair, plain]),
        (InvitationQuery { scope: Some(company_scope(company)), ..all() }, vec![repair]),
        (InvitationQuery { scope: Some(company_scope(COMPANY)), ..all() }, vec![mailed, plain]),
        (InvitationQuery { resource_id: Some(connection), ..all() }, vec![repair]),
        (InvitationQuery { resource_id: Some(company), ..all() }, vec![]),
        (InvitationQuery { creator: Some("other's \"key\"".to_owned()), ..all() }, vec![repair]),
        (InvitationQuery { creator: Some("%".to_owned()), ..all() }, vec![]),
        (target("ANN@xn--exmple-cua.org"), vec![repair]),
        (target("person.2@example.ORG"), vec![mailed]),
        (target("person.3@example.org"), vec![]),
        (label(&[("a", "x")]), vec![mailed, repair]),
        (label(&[("a", "x"), ("b", "2")]), vec![mailed]),
        (label(&[("b", "2")]), vec![mailed, plain]),
        (label(&[("a", "%")]), vec![plain]),
        (label(&[("a", "2")]), vec![]),
        (state(vec![State::Revoked]), vec![repair]),
        (state(vec![State::Active, State::Declined]), vec![mailed, plain]),
        (InvitationQuery { scope: Some(company_scope(COMPANY)), ..target("ann@exämple.org") }, vec![]),
        (InvitationQuery { states: vec![State::Revoked], ..label(&[("a", "x")]) }, vec![repair]),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(ids(&store, query).await, wanted, "query {number}");
    }
}

async fn list_walked_while_rows_change_and_appear_has_each_row_once(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    for ascending in [false, true] {
        let mut there = BTreeSet::new();
        for n in 0..40 {
            // Many of the same moment, so that the id has to tell them apart.
            clock.advance(Duration::from_micros(u64::from(n % 8 == 0)));
            there.insert(created(&store, link()).await.id);
        }
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let query = InvitationQuery { ascending, limit: 7, after, ..InvitationQuery::default() };
            let page = store.primary().list_invitations(&reach(), &query).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(Cursor::of_invitation(last));
            seen.extend(page.iter().map(|row| row.found.id));
            for row in [&page[0], last] {
                store.executor().execute(command(record(&row.found, EngagementType::View)), None).await.unwrap();
                drop(store.executor().execute(command(revoke(&row.found)), None).await);
            }
            if seen.len() < 200 {
                created(&store, link()).await;
            }
        }
        let distinct: BTreeSet<InvitationId> = seen.iter().copied().collect();
        assert_eq!(distinct.len(), seen.len(), "no row is seen twice");
        assert!(there.is_subset(&distinct), "no row that was there throughout is missed");
    }
}

async fn moment_of_the_first_page_judges_all_pages(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    for _ in 0..4 {
        created(
            &store,
            CreateInvitation { expiry: Some(Expiry { time: ExpiryTime::After(seconds(60)), field: "ttl" }), ..link() },
        )
        .await;
    }
    let active = InvitationQuery { states: vec![State::Active], limit: 2, ..InvitationQuery::default() };
    let first = store.primary().list_invitations(&reach(), &active).await.unwrap();
    clock.advance(Duration::from_secs(61));
    let after = first.last().map(Cursor::of_invitation);
    let second =
        store.primary().list_invitations(&reach(), &InvitationQuery { after, ..active.clone() }).await.unwrap();
    assert_eq!((first.len(), second.len()), (2, 2));
    for row in &second {
        assert_eq!((row.now, row.found.state_at(row.now)), (first[0].now, State::Active));
    }
    assert!(
        store.primary().list_invitations(&reach(), &active).await.unwrap().is_empty(),
        "a new list is of a new moment"
    );
}

async fn pages_of_events_have_each_event_once_in_both_orders(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let made = created(&store, link()).await;
    for _ in 0..5 {
        store.executor().execute(command(record(&made, EngagementType::View)), None).await.unwrap();
        store.executor().execute(command(record(&made, EngagementType::Click)), None).await.unwrap();
    }
    for (ascending, types, wanted) in [
        (true, vec![], (1..=11).collect::<Vec<i64>>()),
        (false, vec![], (1..=11).rev().collect()),
        (true, vec![EventType::Clicked], vec![3, 5, 7, 9, 11]),
        (false, vec![EventType::Created, EventType::Viewed], vec![10, 8, 6, 4, 2, 1]),
        (true, vec![EventType::Revoked], vec![]),
    ] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let query = EventQuery {
                kind: Some(Kind::Connection),
                types: types.iter().map(|chosen| EventTypeFilter::from(*chosen)).collect(),
                ascending,
                after,
                ..EventQuery::of(made.id, 3)
            };
            let page = store.primary().list_events(&reach(), &query).await.unwrap().unwrap();
            let Some(last) = page.last() else { break };
            after = Some(Cursor::of_event(last));
            seen.extend(page.iter().map(|event| event.sequence));
        }
        assert_eq!(seen, wanted);
    }
}
