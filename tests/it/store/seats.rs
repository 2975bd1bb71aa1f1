//! Seats of scopes: exact over replicas, one for each person, held by open invitations, and given back.

mod released;

use std::collections::BTreeSet;
use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::domain::command::{Action, CreateInvitation, EraseRecipient, OnConflict};
use invitation_service::domain::group::Group;
use invitation_service::domain::invitation::Invitation;
use invitation_service::domain::invitation::acceptance::Subject;
use invitation_service::domain::invitation::refusal::Refusal;
use invitation_service::domain::kind::company_scope;
use invitation_service::domain::seat::{ScopeKey, ScopeSeats};
use invitation_service::domain::value::given_email::GivenEmail;
use invitation_service::domain::value::id::IdSeed;
use invitation_service::entropy::Entropy;
use invitation_service::store::{
    ExecuteError, ExecutorOptions, InvitationQuery, ScopeUpdate, ScopeUpdated, SeatQuery, SeatsWritten, Store,
    WriteOnce,
};

use sea_orm::{ConnectionTrait, Statement};

use crate::store::executor::races::deal;
use crate::support::build::commands::*;
use crate::support::build::kinds::{accept_as, general, mail, team};
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::on_both;

on_both!(
    migrated:
    exactly_as_many_people_get_in_as_there_are_seats,
    same_person_many_times_at_once_has_one_seat,
    open_invitations_never_promise_more_than_there_is,
    people_beside_invitations_take_the_same_seats,
    reserved_seat_is_kept_for_its_invitation,
    expired_invitation_gives_back_what_it_reserved,
    settings_count_those_who_accepted_before,
    settings_that_change_meanwhile_are_those_that_count,
    erased_person_gives_the_seat_back,
    nothing_is_written_where_no_scope_has_settings,
    lapsed_holds_are_swept_and_stay_out_of_the_counts,
);

/// One store on SQLite, two replicas with several lanes each on PostgreSQL.
async fn replicas(database: &TestDatabase) -> (Vec<Store>, Clock) {
    let clock = Clock::manual(NEW_YEAR);
    let options = ExecutorOptions { lanes: 8, ..options(Group::run) };
    let mut stores = vec![store_with(database, &clock, &options).await];
    if database.url().starts_with("postgres") {
        stores.push(store_with(database, &clock, &options).await);
    }
    (stores, clock)
}

/// The scope of all links.
fn company() -> ScopeKey {
    ScopeKey::new(&account(), &company_scope(COMPANY))
}

async fn set(store: &Store, key: &ScopeKey, seats: Option<i64>, reserve_open: bool) -> ScopeSeats {
    let update = ScopeUpdate { seats: Some(seats), reserve_open: Some(reserve_open) };
    let id = IdSeed::new(NEW_YEAR, Entropy::system().bytes()).nth(0);
    match store.update_scope(key, update, (None, id), &WriteOnce::default()).await.unwrap() {
        ScopeUpdated::Done(seats) => seats,
        other => panic!("{other:?}"),
    }
}

async fn scope(store: &Store, key: &ScopeKey) -> ScopeSeats {
    store.primary().find_scope(key).await.unwrap().unwrap()
}

/// The people in the seats of a scope.
async fn seated(store: &Store, key: &ScopeKey) -> BTreeSet<String> {
    let query = SeatQuery { limit: 10_000, ..SeatQuery::default() };
    let seats = store.primary().list_seats(key, &query).await.unwrap();
    seats.into_iter().map(|(subject, _)| subject.0).collect()
}

fn people(names: &[&str]) -> BTreeSet<Subject> {
    names.iter().map(|name| Subject((*name).to_owned())).collect()
}

async fn occupy(store: &Store, key: &ScopeKey, names: &[&str]) -> SeatsWritten {
    let seed = IdSeed::new(NEW_YEAR, Entropy::system().bytes());
    store.occupy_seats(key, &people(names), (&seed, NEW_YEAR), &WriteOnce::default()).await.unwrap()
}

async fn vacate(store: &Store, key: &ScopeKey, names: &[&str]) -> u64 {
    let done = store.vacate_seats(key, &people(names), NEW_YEAR, &WriteOnce::default()).await.unwrap();
    let SeatsWritten::Done(freed, _) = done else { panic!("{done:?}") };
    freed
}

fn is_full(answer: &Answer) -> bool {
    matches!(answer, Err(ExecuteError::Refused(Refusal::ScopeFull(_))))
}

/// Asserts that nothing was refused but for want of a seat, and returns how many commands were not.
fn fitted(answers: &[Answer]) -> usize {
    assert!(answers.iter().all(|answer| answer.is_ok() || is_full(answer)), "{answers:?}");
    answers.iter().filter(|answer| answer.is_ok()).count()
}

async fn run(store: &Store, action: Action) -> Answer {
    store.executor().execute(command(action), None).await
}

fn uses(most: u32) -> CreateInvitation {
    CreateInvitation { max_uses: Some(most), ..link() }
}

/// The counts of a scope are what its rows say.
async fn check_counts(store: &Store, key: &ScopeKey) -> ScopeSeats {
    let scope = scope(store, key).await;
    assert_eq!(scope.occupied, i64::try_from(seated(store, key).await.len()).unwrap());
    scope
}

async fn exactly_as_many_people_get_in_as_there_are_seats(database: TestDatabase) {
    let (stores, _) = replicas(&database).await;
    set(&stores[0], &company(), Some(37), false).await;
    let mut invitations = Vec::new();
    for _ in 0..50 {
        invitations.push(created(&stores[0], link()).await);
    }
    let accepts = (0..1_000).map(|n| command(accept(&invitations[n % 50], &format!("subject {n}"))));
    let answers = deal(&stores, accepts.collect::<Vec<_>>()).await;
    assert_eq!(fitted(&answers), 37);
    assert_eq!(check_counts(&stores[0], &company()).await.occupied, 37);
    let mut used = 0;
    for made in &invitations {
        used += read(&stores[0], made.id).await.facts.use_count;
    }
    assert_eq!(used, 37, "a refused accept consumes no use");
    // Whoever has a seat may accept anything else in the scope, also while it is full.
    let inside = answers.iter().flatten().next().unwrap().acceptance.clone().unwrap();
    for made in &invitations[..3] {
        run(&stores[0], accept(made, &inside.subject.0)).await.unwrap();
    }
    assert_eq!(check_counts(&stores[0], &company()).await.occupied, 37);
}

async fn same_person_many_times_at_once_has_one_seat(database: TestDatabase) {
    let (stores, _) = replicas(&database).await;
    set(&stores[0], &company(), Some(2), false).await;
    let mut invitations = Vec::new();
    for _ in 0..100 {
        invitations.push(created(&stores[0], link()).await);
    }
    let accepts: Vec<_> = invitations.iter().map(|made| command(accept(made, "ann"))).collect();
    let answers = deal(&stores, accepts).await;
    assert_eq!(fitted(&answers), 100, "one person needs one seat");
    assert_eq!(check_counts(&stores[0], &company()).await.occupied, 1);
    let query = SeatQuery { limit: 10, ..SeatQuery::default() };
    let seats = stores[0].primary().list_seats(&company(), &query).await.unwrap();
    assert_eq!(seats[0].1.holders.len(), 100, "all acceptances hold the seat");
}

async fn open_invitations_never_promise_more_than_there_is(database: TestDatabase) {
    let (stores, _) = replicas(&database).await;
    set(&stores[0], &company(), Some(37), true).await;
    let answers = deal(&stores, (0..60).map(|_| command(create(uses(2)))).collect::<Vec<_>>()).await;
    assert_eq!(fitted(&answers), 18, "18 invitations for two promise 36 seats");
    let scope = check_counts(&stores[0], &company()).await;
    assert_eq!((scope.occupied, scope.reserved(), scope.available()), (0, 36, Some(1)));
    // A link for any number reserves nothing, and may take what is left.
    let open = created(&stores[0], link()).await;
    let answers = deal(&stores, (0..5).map(|n| command(accept(&open, &format!("any {n}")))).collect::<Vec<_>>()).await;
    assert_eq!(fitted(&answers), 1);
    let made: Vec<_> = deal(&stores, [command(create(uses(1)))]).await;
    assert_eq!(fitted(&made), 0);
    // Ends and creates at once: whatever the order, never more than there is.
    let made: Vec<_> = answers_of(&stores, 18).await;
    let mixed = made.iter().flat_map(|made| [command(revoke(made)), command(create(uses(2)))]);
    fitted(&deal(&stores, mixed.collect::<Vec<_>>()).await);
    let scope = check_counts(&stores[0], &company()).await;
    assert!(scope.fits() && scope.reserved() % 2 == 0, "{scope:?}");
    let held = sum(&database, "SELECT CAST(coalesce(sum(uses), 0) AS bigint) FROM seat_hold").await;
    assert_eq!(held, scope.reserved());
}

/// Returns the open invitations for two.
async fn answers_of(stores: &[Store], count: usize) -> Vec<Invitation> {
    let query = InvitationQuery { limit: 100, ..InvitationQuery::default() };
    let listed = stores[0].primary().list_invitations(&reach(), &query).await.unwrap().rows;
    let for_two = listed.into_iter().map(|read| read.found).filter(|found| found.facts.max_uses == Some(2));
    let found: Vec<_> = for_two.collect();
    assert_eq!(found.len(), count);
    found
}

async fn people_beside_invitations_take_the_same_seats(database: TestDatabase) {
    let (stores, _) = replicas(&database).await;
    let key = company();
    assert_eq!(occupy(&stores[0], &key, &["ann", "bob"]).await, {
        let scope = scope(&stores[0], &key).await;
        assert_eq!((scope.seats, scope.occupied), (None, 2), "counted without a limit");
        SeatsWritten::Done(2, Some(scope))
    });
    set(&stores[0], &key, Some(4), false).await;
    let SeatsWritten::Done(taken, _) = occupy(&stores[0], &key, &["bob", "cid"]).await else { panic!("no room") };
    assert_eq!(taken, 1, "bob had a seat");
    let made = created(&stores[0], link()).await;
    run(&stores[0], accept(&made, "ann")).await.unwrap();
    run(&stores[0], accept(&made, "dan")).await.unwrap();
    assert!(is_full(&run(&stores[0], accept(&made, "eve")).await));
    let refused = occupy(&stores[0], &key, &["ann", "eve"]).await;
    assert!(matches!(refused, SeatsWritten::Full(Refusal::ScopeFull(_))), "{refused:?}");
    assert_eq!(seated(&stores[0], &key).await, ["ann", "bob", "cid", "dan"].map(str::to_owned).into());
    // Whoever has left gives the seat back, whatever it was held by.
    assert_eq!(vacate(&stores[0], &key, &["ann", "dan", "nobody"]).await, 2);
    run(&stores[0], accept(&made, "eve")).await.unwrap();
    let scope = check_counts(&stores[0], &key).await;
    assert_eq!((scope.occupied, scope.available()), (3, Some(1)));
    // Many at once, by invitations and beside them.
    let accepts = (0..10).map(|n| command(accept(&made, &format!("subject {n}"))));
    let beside = occupy(&stores[0], &key, &["fay"]);
    let (answers, beside) = tokio::join!(deal(&stores, accepts.collect::<Vec<_>>()), beside);
    let others = usize::from(matches!(beside, SeatsWritten::Done(..)));
    assert_eq!(fitted(&answers) + others, 1);
    assert_eq!(check_counts(&stores[0], &key).await.occupied, 4);
}

async fn reserved_seat_is_kept_for_its_invitation(database: TestDatabase) {
    let (stores, _) = replicas(&database).await;
    let (store, key) = (&stores[0], company());
    let early = created(store, uses(2)).await;
    let forever = created(store, link()).await;
    assert_eq!(set(store, &key, Some(3), true).await.reserved(), 2, "what was open before holds its seats too");
    run(store, accept(&forever, "ann")).await.unwrap();
    assert!(is_full(&run(store, accept(&forever, "bob")).await), "the others are reserved");
    run(store, accept(&early, "bob")).await.unwrap();
    let found = check_counts(store, &key).await;
    assert_eq!((found.occupied, found.reserved()), (2, 1));
    // Whoever has a seat uses the invitation up without a seat, and so gives the reserved one back.
    run(store, accept(&early, "ann")).await.unwrap();
    let found = check_counts(store, &key).await;
    assert_eq!((found.occupied, found.reserved(), found.available()), (2, 0, Some(1)));
    // A revocation gives back what is left; an expiry that moves takes nothing more.
    let made = created(store, CreateInvitation { expiry: after(600), ..uses(1) }).await;
    assert!(is_full(&run(store, create(uses(1))).await));
    run(store, resend(&made, false, Some(seconds(900)))).await.unwrap();
    assert_eq!(scope(store, &key).await.reserved(), 1);
    run(store, revoke(&made)).await.unwrap();
    assert_eq!(scope(store, &key).await.reserved(), 0);
    // Nothing is reserved any more once that is switched off, and everything again with the next switch.
    created(store, CreateInvitation { expiry: after(600), ..uses(1) }).await;
    assert_eq!(set(store, &key, Some(3), false).await.reserved(), 0);
    assert_eq!(set(store, &key, Some(3), true).await.reserved(), 1);
    // Fewer seats than are occupied throw nobody out, and let nobody in.
    let low = set(store, &key, Some(1), true).await;
    assert_eq!((low.occupied, low.reserved(), low.available(), low.over_by()), (2, 1, Some(0), 2));
    assert!(is_full(&run(store, accept(&forever, "eve")).await));
}

async fn expired_invitation_gives_back_what_it_reserved(database: TestDatabase) {
    let (stores, clock) = replicas(&database).await;
    let (store, key) = (&stores[0], company());
    set(store, &key, Some(1), true).await;
    let made = created(store, CreateInvitation { expiry: after(600), ..uses(1) }).await;
    assert!(is_full(&run(store, create(uses(1))).await));
    clock.advance(Duration::from_secs(601));
    assert!(is_full(&run(store, create(uses(1))).await), "not before a minute has passed");
    // Renewed at once, it keeps its seat.
    run(store, resend(&made, false, Some(seconds(600)))).await.unwrap();
    assert_eq!(scope(store, &key).await.reserved(), 1);
    clock.advance(Duration::from_secs(700));
    assert_eq!(scope(store, &key).await.reserved(), 0);
    let other = run(store, create(uses(1))).await.unwrap().invitation;
    assert!(is_full(&run(store, resend(&made, false, Some(seconds(600)))).await), "its seat is another's by now");
    run(store, revoke(&other)).await.unwrap();
    run(store, resend(&made, false, Some(seconds(600)))).await.unwrap();
    assert_eq!(scope(store, &key).await.reserved(), 1);
}

async fn settings_count_those_who_accepted_before(database: TestDatabase) {
    let (stores, _) = replicas(&database).await;
    let (store, key) = (&stores[0], company());
    let [first, second] = [created(store, link()).await, created(store, link()).await];
    for (made, subject) in [(&first, "ann"), (&second, "ann"), (&first, "bob")] {
        run(store, accept(made, subject)).await.unwrap();
    }
    assert!(store.primary().find_scope(&key).await.unwrap().is_none());
    let other = ScopeKey::new(&account(), &team("t1").unwrap());
    assert_eq!(set(store, &other, Some(1), false).await.occupied, 0, "another scope");
    assert_eq!(set(store, &key, Some(2), false).await.occupied, 2);
    assert_eq!(seated(store, &key).await, ["ann", "bob"].map(str::to_owned).into());
    assert!(is_full(&run(store, accept(&second, "cid")).await));
    run(store, accept(&second, "bob")).await.unwrap();
    // While people accept: whoever is in has a seat.
    let key = other;
    let made = created(store, general(team("t1"), OnConflict::Allow, &[])).await;
    let made = [made, created(store, general(team("t1"), OnConflict::Allow, &[])).await];
    let accepts = made.iter().map(|made| command(accept(made, &made.id.0.to_string())));
    let (answers, _) = tokio::join!(deal(&stores, accepts.collect::<Vec<_>>()), set(store, &key, Some(1), true));
    let occupied = check_counts(store, &key).await.occupied;
    assert_eq!(fitted(&answers), usize::try_from(occupied).unwrap(), "nobody is in without a seat");
}

async fn settings_that_change_meanwhile_are_those_that_count(database: TestDatabase) {
    let (stores, _) = replicas(&database).await;
    let key = company();
    let made = created(&stores[0], link()).await;
    for round in 0..5 {
        let subject = |n: usize| format!("round {round} {n}");
        let before = store_occupied(&stores[0], &key).await;
        let accepts: Vec<_> = (0..60).map(|n| command(accept(&made, &subject(n)))).collect();
        let least = before + 5;
        let (answers, _) = tokio::join!(deal(&stores, accepts), set(&stores[0], &key, Some(least), false));
        fitted(&answers);
        let scope = check_counts(&stores[0], &key).await;
        // Those who came before the change may be more than it allows; nobody has come after it.
        let late: Vec<_> = (100..110).map(|n| command(accept(&made, &subject(n)))).collect();
        let room = usize::try_from((least - scope.occupied).max(0)).unwrap();
        assert_eq!(fitted(&deal(&stores, late).await), room.min(10));
        set(&stores[0], &key, None, false).await;
    }
}

async fn store_occupied(store: &Store, key: &ScopeKey) -> i64 {
    store.primary().find_scope(key).await.unwrap().map_or(0, |scope| scope.occupied)
}

async fn erased_person_gives_the_seat_back(database: TestDatabase) {
    let (stores, _) = replicas(&database).await;
    let (store, key) = (&stores[0], ScopeKey::new(&account(), &team("t1").unwrap()));
    set(store, &key, Some(1), false).await;
    let invite = |address: &str| general(team("t1"), OnConflict::Allow, &[mail(address)]);
    let made = created(store, invite("ann@example.org")).await;
    run(store, accept_as(&made, "ann", "ann@example.org")).await.unwrap();
    let other = created(store, invite("bob@example.org")).await;
    assert!(is_full(&run(store, accept_as(&other, "bob", "bob@example.org")).await));
    let email = GivenEmail::parse("ann@example.org").unwrap();
    run(store, Action::EraseRecipient(EraseRecipient { invitation: made.id, acceptance: None, email })).await.unwrap();
    assert_eq!(check_counts(store, &key).await.occupied, 0);
    run(store, accept_as(&other, "bob", "bob@example.org")).await.unwrap();
}

async fn nothing_is_written_where_no_scope_has_settings(database: TestDatabase) {
    let (stores, _) = replicas(&database).await;
    let made = created(&stores[0], uses(3)).await;
    run(&stores[0], accept(&made, "ann")).await.unwrap();
    run(&stores[0], revoke(&made)).await.unwrap();
    for table in ["scope_settings", "seat", "seat_hold"] {
        assert_eq!(rows(&database, table).await, 0, "{table}");
    }
}

async fn lapsed_holds_are_swept_and_stay_out_of_the_counts(database: TestDatabase) {
    let (stores, clock) = replicas(&database).await;
    let (store, key) = (&stores[0], company());
    set(store, &key, Some(5), true).await;
    for _ in 0..2 {
        created(store, CreateInvitation { expiry: after(600), ..uses(2) }).await;
    }
    created(store, uses(1)).await;
    assert_eq!(scope(store, &key).await.reserved(), 5);
    let maintenance = store.maintenance();
    clock.advance(Duration::from_secs(600 + 71));
    assert_eq!(scope(store, &key).await.reserved(), 1);
    assert_eq!(maintenance.prune_quotas().await.unwrap(), 0, "a process may be a little behind");
    clock.advance(Duration::from_secs(61));
    assert_eq!(maintenance.prune_quotas().await.unwrap(), 2);
    assert_eq!((rows(&database, "seat_hold").await, scope(store, &key).await.reserved()), (1, 1));
    created(store, uses(4)).await;
    assert!(is_full(&run(store, create(uses(1))).await));
}

async fn rows(database: &TestDatabase, table: &str) -> i64 {
    sum(database, &format!("SELECT count(*) FROM {table}")).await
}

async fn sum(database: &TestDatabase, sql: &str) -> i64 {
    let connection = database.connect().await;
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let row = connection.query_one_raw(statement).await.unwrap().unwrap();
    let count = row.try_get_by_index(0).unwrap();
    connection.close().await.unwrap();
    count
}
