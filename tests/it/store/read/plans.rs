//! Pages of grown lists are read from an index in their order: first and late ones, whatever the list, by plans that were made
//! on new tables, for a role that owns nothing.

use invitation_service::clock::Clock;
use invitation_service::domain::group::Group;
use invitation_service::domain::invitation::recipient::{Address, AddressType};
use invitation_service::domain::invitation::state::State;
use invitation_service::domain::kind::{Kind, Scope, organization_scope};
use invitation_service::domain::reach::Reach;
use invitation_service::store::{Cursor, InvitationQuery, Order, Page, SortKey, Store};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::build::*;
use crate::support::build::commands::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::explain::{Execution, Executions};
use crate::support::postgres::reader_role;

const PAGE: u64 = 51;
const SCAN: u64 = 1_000;

/// The number of rows that may come out of one node of a plan: as many as are looked at from two sources.
const MOST_ROWS: u64 = 2 * SCAN + PAGE;

/// The number of pages of tables and indexes a statement may look at: a few for each row it looks at or returns. To walk a whole
/// list it takes more.
const MOST_PAGES: u64 = 8 * SCAN;

/// 30,000 invitations of one account, a microsecond apart. The oldest tenth is users'; of ten others four or five are guests',
/// four general ones, and one is a connection's; each is meant for one of 6,000 addresses, but for the general ones, half of
/// which are meant for one person; of these some have one group.
const GROW: &str = "
    INSERT INTO invitation SELECT 'acme', gen_random_uuid(), kind, scope_type, scope_id, NULL, 'x', 1, 0,
        NEW_YEAR + 1000000 + n, NULL, NULL, NULL, 1, 0, 7, false, CASE kind
            WHEN 'user' THEN '{\"inviter\":\"ann\"}'
            WHEN 'guest' THEN '{\"host_organization_id\":\"01920000-0000-7000-8000-000000000b05\"}'
            WHEN 'general' THEN '{\"usage\":\"single_use\",\"scope\":null,\"inviter\":null}'
            ELSE '{\"company_id\":\"01920000-0000-7000-8000-000000000b05\",\"purpose\":{\"create_connection\":{}}}' END::jsonb,
        NEW_YEAR + n, NEW_YEAR + n * 7919 % 30000, NULL, NULL, CASE WHEN n % 3 = 0 THEN n END, NULL,
        NEW_YEAR + n * 6007 % 30000, NEW_YEAR + n * 5003 % 30000, 'x', CASE kind WHEN 'general' THEN 'inviter-1' END,
        NULL, 'person' || n % 6000 || '@example.org'
    FROM (SELECT n, CASE WHEN n <= 3000 THEN 'user' ELSE (ARRAY['guest', 'guest', 'guest', 'guest', 'guest', 'general', 'general', 'general', 'general',
            'connection'])[1 + n % 10] END AS kind FROM generate_series(1, 30000) n) kinds,
        LATERAL (SELECT CASE kind WHEN 'user' THEN '' WHEN 'guest' THEN 'organization' WHEN 'general' THEN 'team'
            ELSE 'company' END AS scope_type, CASE kind WHEN 'user' THEN ''
            WHEN 'guest' THEN '01920000-0000-7000-8000-000000000b05' ELSE (n / 10 % 2)::text END AS scope_id) scopes;
    INSERT INTO recipient SELECT 'acme', id, 1, CASE WHEN kind = 'general' THEN 'internal' ELSE 'email' END,
        CASE WHEN kind = 'general' THEN 'ann' ELSE sort_email END, CASE WHEN kind = 'general' THEN 'ann' ELSE sort_email END,
        NULL, NULL, NULL, NULL, NULL, created_at FROM invitation WHERE kind <> 'general' OR created_at % 2 = 0;
    INSERT INTO recipient SELECT 'acme', id, 2, 'email', 'hot@example.com', 'hot@example.com', NULL, NULL, NULL, NULL, NULL,
        created_at FROM invitation WHERE kind = 'connection';
    INSERT INTO invitation_group SELECT 'acme', id, 'team', '2', created_at FROM invitation
        WHERE kind = 'general' AND created_at % 3 = 0;
    INSERT INTO autojoin_domain SELECT 'acme', 'example.com', id, created_at FROM invitation
        WHERE kind = 'general' AND created_at % 5 = 0;
    INSERT INTO label (account_id, invitation_id, key, value, created_at)
        SELECT 'acme', id, 'all', 'x', created_at FROM invitation;
    INSERT INTO label (account_id, invitation_id, key, value, created_at)
        SELECT 'acme', id, 'rare', 'x', created_at FROM invitation WHERE created_at % 10000 = 7";

/// A list that is read.
enum List {
    Query(Box<InvitationQuery>),
    /// Of one host.
    OfHost(Box<InvitationQuery>),
    Open(Address),
}

fn lists() -> Vec<(String, List)> {
    let page = InvitationQuery { limit: PAGE, scan: Some(SCAN), ..InvitationQuery::default() };
    let labels = |keys: &[&str]| keys.iter().map(|key| ((*key).to_owned(), "x".to_owned())).collect();
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
        ("resource", InvitationQuery { resource_id: Some(HOST), ..page.clone() }),
        ("unknown creator", InvitationQuery { creator: Some("nobody".to_owned()), ..page.clone() }),
        ("unknown widget", InvitationQuery { widget_configuration_id: Some("none".to_owned()), ..page.clone() }),
        ("rare state", InvitationQuery { states: vec![State::Declined], ..page.clone() }),
        ("rare state in a scope", InvitationQuery { states: vec![State::Declined], scope: scope("0"), ..page.clone() }),
        ("common label", InvitationQuery { labels: labels(&["all"]), ..page.clone() }),
        ("rare label", InvitationQuery { labels: labels(&["rare"]), ..page.clone() }),
        ("two labels", InvitationQuery { labels: labels(&["all", "rare"]), ..page.clone() }),
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
    for ascending in [false, true] {
        let of_host = InvitationQuery { ascending, ..page.clone() };
        lists.push((format!("of a host {ascending}"), List::OfHost(Box::new(of_host))));
    }
    let hot = address(AddressType::Email, "hot@example.com");
    lists.push(("open".to_owned(), List::Open(hot)));
    lists
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn pages_of_grown_lists_read_little_more_than_their_rows() {
    let Some(owner) = TestDatabase::postgres().await else { return };
    let database = owner.without_statistics().await;
    let clock = Clock::manual(NEW_YEAR);
    let store = Store::start(database.open_with(&clock, 1).await, &options(Group::run));
    for (_, list) in lists() {
        read_page(&store, &list, None).await;
        read_page(&store, &list, Some(middle(&list))).await;
    }
    let grow = GROW.replace("NEW_YEAR", &NEW_YEAR.micros().to_string());
    owner.connect().await.execute_unprepared(&grow).await.unwrap();
    // The second wall looks up the invitation of each row for whoever is bound to organizations.
    let most_pages = if reader_role().is_some() { 2 * MOST_PAGES } else { MOST_PAGES };
    let (mut watched, mut late) = (Executions::of(&database), Vec::new());
    for (name, list) in lists() {
        for after in [None, Some(middle(&list))] {
            let (position, found) = (after.is_some(), read_page(&store, &list, after).await);
            // The plan of a connection's last statement is logged when the next one begins.
            store.last_position().await.unwrap();
            for Execution { rows, pages, plan, .. } in watched.take() {
                // The other orders are of what changes, and sort the guests of one host.
                if rows > MOST_ROWS || pages > most_pages {
                    late.push(format!("{name}, late {position}: {rows} rows, {pages} pages for {found}\n{plan}"));
                }
            }
        }
    }
    assert!(late.is_empty(), "{}", late.join("\n"));
}

/// Some place far from both ends of a list.
fn middle(list: &List) -> Cursor {
    let (order, users) = match list {
        List::Query(query) | List::OfHost(query) => (query.order, query.kinds == [Kind::User]),
        List::Open(_) => (Order::CreateTime, false),
    };
    let key = match order {
        Order::Email => SortKey::Text("person5@example.org".to_owned()),
        _ => SortKey::Number(NEW_YEAR.micros() + if users { 1_500 } else { 15_000 }),
    };
    Cursor { key, frozen: NEW_YEAR.micros(), ..Cursor::of_id(Uuid::from_u128(u128::MAX / 2)) }
}

async fn read_page(store: &Store, list: &List, after: Option<Cursor>) -> usize {
    match list {
        List::Query(query) => {
            let query = InvitationQuery { after, ..(**query).clone() };
            store.primary().list_invitations(&reach(), &query).await.unwrap().len()
        }
        List::OfHost(query) => {
            let query = InvitationQuery { after, ..(**query).clone() };
            let reach = Reach::of_hosts(account(), vec![HOST]);
            store.primary().list_invitations(&reach, &query).await.unwrap().len()
        }
        List::Open(address) => {
            let page = Page { limit: PAGE, scan: Some(SCAN), after, ..Page::default() };
            store.primary().list_open_invitations(&reach(), std::slice::from_ref(address), &page).await.unwrap().len()
        }
    }
}
