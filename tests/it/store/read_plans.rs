//! Pages of grown lists are read from an index in their order: first and late ones, whatever the list.

use invitation_service::domain::details::{Kind, Scope, organization_scope};
use invitation_service::domain::recipient::{Address, AddressType};
use invitation_service::domain::state::State;
use invitation_service::store::{Cursor, InvitationQuery, Order, Page, SortKey, Store};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, QueryResult, Statement};
use uuid::Uuid;

use super::make::*;
use super::read_make::*;
use crate::harness::database::{NEW_YEAR, TestDatabase};

const PAGE: u64 = 51;

/// How many rows a page may read, all tables and indexes together: each of its rows, its place in an index or two, and what is
/// shown with it, from two sources at most.
const MOST: i64 = 6 * 51;

/// The same where addresses have to be compared: some hundred fit, or a ninth of those looked at does.
const MOST_BY_ADDRESS: i64 = 1_000;

/// 100,000 invitations of one account, a microsecond apart. The oldest tenth is users'; of ten others four or five are guests',
/// four general ones, and one is a connection's; each is meant for one of 20,000 addresses, but for the general ones, half of which are meant for
/// one person; of these some have one group.
const GROW: &str = "
    INSERT INTO invitation SELECT 'acme', gen_random_uuid(), kind, scope_type, scope_id, NULL, 'x', 1, 0,
        NEW_YEAR + 1000000 + n, NULL, NULL, NULL, 1, 0, 7, false, CASE kind
            WHEN 'user' THEN '{\"inviter\":\"ann\"}'
            WHEN 'guest' THEN '{\"host_organization_id\":\"01920000-0000-7000-8000-000000000b05\"}'
            WHEN 'general' THEN '{\"usage\":\"single_use\",\"scope\":null,\"inviter\":null}'
            ELSE '{\"company_id\":\"01920000-0000-7000-8000-000000000b05\",\"purpose\":{\"create_connection\":{}}}' END::jsonb,
        NEW_YEAR + n, NEW_YEAR + n * 7919 % 100000, NULL, NULL, CASE WHEN n % 3 = 0 THEN n END, NULL,
        NEW_YEAR + n * 6007 % 100000, NEW_YEAR + n * 5003 % 100000, 'x', CASE kind WHEN 'general' THEN 'inviter-1' END,
        NULL, 'person' || n % 20000 || '@example.org'
    FROM (SELECT n, CASE WHEN n <= 10000 THEN 'user' ELSE (ARRAY['guest', 'guest', 'guest', 'guest', 'guest', 'general', 'general', 'general', 'general',
            'connection'])[1 + n % 10] END AS kind FROM generate_series(1, 100000) n) kinds,
        LATERAL (SELECT CASE kind WHEN 'user' THEN '' WHEN 'guest' THEN 'organization' WHEN 'general' THEN 'team'
            ELSE 'company' END AS scope_type, CASE kind WHEN 'user' THEN ''
            WHEN 'guest' THEN '01920000-0000-7000-8000-000000000b05' ELSE (n / 10 % 2)::text END AS scope_id) scopes;
    INSERT INTO recipient SELECT 'acme', id, 1, CASE WHEN kind = 'general' THEN 'internal' ELSE 'email' END,
        CASE WHEN kind = 'general' THEN 'ann' ELSE sort_email END, CASE WHEN kind = 'general' THEN 'ann' ELSE sort_email END,
        1, NULL, NULL, NULL, NULL, created_at FROM invitation WHERE kind <> 'general' OR created_at % 2 = 0;
    INSERT INTO recipient SELECT 'acme', id, 2, 'email', 'hot@example.com', 'hot@example.com', 1, NULL, NULL, NULL, NULL,
        created_at FROM invitation WHERE kind = 'connection';
    INSERT INTO invitation_group SELECT 'acme', id, 'team', '2', created_at FROM invitation
        WHERE kind = 'general' AND created_at % 3 = 0;
    INSERT INTO autojoin_domain SELECT 'acme', 'example.com', id, created_at FROM invitation
        WHERE kind = 'general' AND created_at % 5 = 0";

/// What is read.
enum List {
    Query(Box<InvitationQuery>),
    Open(Address),
}

fn lists() -> Vec<(String, List)> {
    let page = InvitationQuery { limit: PAGE, ..InvitationQuery::default() };
    let scope = |id: &str| Some(Scope::new("team", id));
    let target = |sort, value: &str| Some(address(sort, value));
    let guests = InvitationQuery { kinds: vec![Kind::Guest], scope: Some(organization_scope(HOST)), ..page.clone() };
    let users = InvitationQuery { kinds: vec![Kind::User], ..page.clone() };
    let everyone = InvitationQuery { states: vec![State::Active, State::Expired], ..page.clone() };
    let mut lists = vec![
        ("age", page.clone()),
        ("age and states", everyone),
        ("scope and groups", InvitationQuery { scope: scope("0"), ..page.clone() }),
        ("groups alone", InvitationQuery { scope: scope("2"), ..page.clone() }),
        ("inviter", InvitationQuery { inviter_user_id: Some("inviter-1".to_owned()), ..page.clone() }),
        ("common target", InvitationQuery { target: target(AddressType::Internal, "ann"), ..page.clone() }),
        ("hot target", InvitationQuery { target: target(AddressType::Email, "hot@example.com"), ..page.clone() }),
        ("rare target", InvitationQuery { target: target(AddressType::Email, "person9@example.org"), ..page.clone() }),
        ("users", users.clone()),
        ("users by beginning", InvitationQuery { email_prefix: Some("person199".to_owned()), ..users.clone() }),
        ("user", InvitationQuery { target: target(AddressType::Email, "person10@example.org"), ..users }),
        ("guests by part", InvitationQuery { email_query: Some("1@".to_owned()), ..guests.clone() }),
    ];
    // The other orders are of what changes: they sort the guests of one host.
    for order in [Order::CreateTime, Order::Email, Order::FirstSent] {
        lists.push(("guests", InvitationQuery { order, ..guests.clone() }));
    }
    let both = lists.into_iter().flat_map(|(name, query)| {
        let ascending = InvitationQuery { ascending: true, ..query.clone() };
        [query, ascending].map(|query| (format!("{name} {:?} {}", query.order, query.ascending), query))
    });
    let mut lists: Vec<_> = both.map(|(name, query)| (name, List::Query(Box::new(query)))).collect();
    let hot = address(AddressType::Email, "hot@example.com");
    lists.push(("open".to_owned(), List::Open(hot)));
    lists
}

#[tokio::test(crate = "crate::harness::limit")]
async fn pages_of_grown_lists_read_little_more_than_their_rows() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let (store, _) = store(&database).await;
    let admin = database.connect().await;
    admin.execute_unprepared(&GROW.replace("NEW_YEAR", &NEW_YEAR.micros().to_string())).await.unwrap();
    // As the service itself does with a table that has grown.
    for table in ["invitation", "recipient", "invitation_group", "autojoin_domain"] {
        admin.execute_unprepared(&format!("ANALYZE {table}")).await.unwrap();
    }
    store.close().await;
    let mut late = Vec::new();
    for (name, list) in lists() {
        for after in [None, Some(middle(&list))] {
            let position = if after.is_some() { "late" } else { "first" };
            rows_read(&admin, &database).await;
            let (store, _) = super::make::store(&database).await;
            let rows = read_page(&store, &list, after).await;
            store.close().await;
            let read = rows_read(&admin, &database).await;
            let most = if name.contains("users by") || name.contains("by part") { MOST_BY_ADDRESS } else { MOST };
            if read > most || (rows == 0 && position == "first") {
                late.push(format!("{name}, {position} page: {read} rows were read for {rows}"));
            }
        }
    }
    assert!(late.is_empty(), "{late:#?}");
}

/// Some place far from both ends of a list.
fn middle(list: &List) -> Cursor {
    let (order, users) = match list {
        List::Query(query) => (query.order, query.kinds == [Kind::User]),
        List::Open(_) => (Order::CreateTime, false),
    };
    let key = match order {
        Order::Email => SortKey::Text("person5@example.org".to_owned()),
        _ => SortKey::Number(NEW_YEAR.micros() + if users { 5_000 } else { 50_000 }),
    };
    Cursor { key, frozen: NEW_YEAR.micros(), ..Cursor::of_id(Uuid::from_u128(u128::MAX / 2)) }
}

async fn read_page(store: &Store, list: &List, after: Option<Cursor>) -> usize {
    match list {
        List::Query(query) => {
            let query = InvitationQuery { after, ..(**query).clone() };
            store.list_invitations(&account(), &query).await.unwrap().len()
        }
        List::Open(address) => {
            let page = Page { limit: PAGE, after, ..Page::default() };
            store.list_open_invitations(&account(), address, &page).await.unwrap().len()
        }
    }
}

/// Returns how many rows of tables and indexes were read since it was last asked. Servers of connections report what they
/// have done, at the latest when they end.
async fn rows_read(admin: &DatabaseConnection, database: &TestDatabase) -> i64 {
    let connected = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'invitation-service'";
    while number(&one(admin, connected).await) > 0 {
        tokio::task::yield_now().await;
    }
    // A connection of its own, whose own picture of the statistics is new.
    let looking = database.connect().await;
    let sql = "SELECT ((SELECT sum(seq_tup_read) FROM pg_stat_user_tables) +
        (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes))::bigint";
    let read = number(&one(&looking, sql).await);
    one(&looking, "SELECT pg_stat_reset() IS NULL").await;
    looking.close().await.unwrap();
    read
}

async fn one(admin: &DatabaseConnection, sql: &str) -> QueryResult {
    admin.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap().unwrap()
}

fn number(row: &QueryResult) -> i64 {
    row.try_get_by_index(0).unwrap()
}
