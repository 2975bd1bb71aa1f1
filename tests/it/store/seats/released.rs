//! The seats of acceptances that are undone, ended or expired, and of such that count again.

use std::collections::BTreeMap;

use invitation_service::background::expiry::ExpiryWalk;
use invitation_service::domain::command::{AcceptanceTarget, Command, ReleaseAcceptance, UpdateAcceptance};
use invitation_service::domain::invitation::acceptance::{Acceptance, AcceptanceState, ReleaseMode};
use invitation_service::domain::invitation::state::State;
use invitation_service::domain::value::time::Timestamp;
use invitation_service::store::AcceptanceQuery;
use sea_orm::TransactionTrait as _;
use uuid::Uuid;

use super::*;
use ReleaseMode::{End, Undo};

on_both!(
    migrated:
    releases_give_back_exactly_what_was_taken,
    undo_opens_no_more_than_there_are_seats,
    told_expiry_gives_the_seat_back_and_an_extension_needs_one,
    only_acceptances_that_count_have_seats_when_a_count_begins,
    release_while_a_count_begins_leaves_no_seat_behind,
    release_leaves_a_seat_that_changes_meanwhile,
);

fn target_of(acceptance: &Acceptance) -> AcceptanceTarget {
    AcceptanceTarget { invitation: acceptance.invitation, id: acceptance.id, etag: None }
}

fn release(acceptance: &Acceptance, mode: ReleaseMode) -> Action {
    Action::ReleaseAcceptance(ReleaseAcceptance { target: target_of(acceptance), mode, reason: None })
}

async fn accepted(store: &Store, made: &Invitation, subject: &str) -> Acceptance {
    run(store, accept(made, subject)).await.unwrap().acceptance.unwrap()
}

/// The subjects of the acceptances that count, of some invitations.
async fn counting(store: &Store, made: &[Invitation], now: Timestamp) -> BTreeSet<String> {
    let mut subjects = BTreeSet::new();
    for made in made {
        let query = AcceptanceQuery::of(made.id, 1_000);
        let all = store.primary().list_acceptances(&reach(), &query).await.unwrap().unwrap();
        let active = all.into_iter().filter(|made| made.state_at(now) == AcceptanceState::Active);
        subjects.extend(active.map(|made| made.subject.0));
    }
    subjects
}

async fn links(store: &Store, count: usize, create: fn() -> CreateInvitation) -> Vec<Invitation> {
    let mut links = Vec::new();
    for _ in 0..count {
        links.push(Invitation::clone(&*created(store, create()).await));
    }
    links
}

async fn releases_give_back_exactly_what_was_taken(database: TestDatabase) {
    let (stores, clock) = replicas(&database).await;
    let (store, key) = (&stores[0], company());
    set(store, &key, Some(37), false).await;
    let made = links(store, 10, link).await;
    let subject = |n: usize| format!("subject {}", n % 60);
    let accepts = |from: usize| (from..from + 150).map(|n| command(accept(&made[n % 7 + n % 3], &subject(n))));
    let mut known = BTreeMap::new();
    for round in 0..3 {
        // Whoever has several acceptances keeps the seat until the last of them is over; people come while others leave.
        let acceptances: Vec<Acceptance> = known.values().cloned().collect();
        let releases = acceptances.iter().enumerate().filter(|(n, _)| n % 3 > 0);
        let releases = releases.map(|(n, made)| command(release(made, if n % 3 == 1 { Undo } else { End })));
        let commands: Vec<Command> = accepts(round * 40).chain(releases).collect();
        let answers = deal(&stores, commands).await;
        for answer in answers {
            match answer {
                Ok(executed) => {
                    let made = executed.acceptance.clone().unwrap();
                    known.insert(made.id, made);
                }
                Err(ExecuteError::Refused(
                    Refusal::ScopeFull(_) | Refusal::AcceptanceEnded | Refusal::AcceptanceReleased,
                )) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        let seated = seated(store, &key).await;
        assert_eq!(seated, counting(store, &made, clock.now()).await, "who is in has a seat, and nobody else");
        assert_eq!(check_counts(store, &key).await.occupied, i64::try_from(seated.len()).unwrap());
        assert!(seated.len() <= 37);
    }
    for made in known.values().cloned().collect::<Vec<_>>() {
        run(store, release(&made, Undo)).await.unwrap();
    }
    assert_eq!(check_counts(store, &key).await.occupied, 0);
    assert_eq!(rows(&database, "seat").await, 0);
}

async fn undo_opens_no_more_than_there_are_seats(database: TestDatabase) {
    let (stores, clock) = replicas(&database).await;
    let (store, key) = (&stores[0], company());
    set(store, &key, Some(1), true).await;
    let made = created(store, uses(1)).await;
    let counts = async || {
        let scope = check_counts(store, &key).await;
        (scope.occupied, scope.reserved(), scope.over_by())
    };
    let ann = accepted(store, &made, "ann").await;
    run(store, release(&ann, Undo)).await.unwrap();
    assert_eq!(counts().await, (0, 1, 0), "the seat is reserved for the next one again");
    let ann = accepted(store, &made, "ann").await;
    vacate(store, &key, &["ann"]).await;
    let rival = created(store, uses(1)).await;
    run(store, release(&ann, Undo)).await.unwrap();
    let closed = read(store, made.id).await;
    assert_eq!((closed.state_at(clock.now()), closed.facts.use_count), (State::Fulfilled, 0), "its seat is promised");
    assert_eq!(counts().await, (0, 1, 0));
    accepted(store, &rival, "bob").await;

    // Undone acceptances and new invitations want the same seats at once: no more is promised than there is.
    let guests: Vec<_> = (0..10).map(|n| format!("guest {n}")).collect();
    set(store, &key, Some(21), true).await;
    occupy(store, &key, &guests.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let made = links(store, 10, || uses(1)).await;
    let mut undone = Vec::new();
    for (made, guest) in made.iter().zip(&guests) {
        undone.push(command(release(&accepted(store, made, guest).await, Undo)));
    }
    assert_eq!(counts().await, (11, 0, 0));
    let creates = (0..10).map(|_| command(create(uses(1))));
    let answers = deal(&stores, undone.into_iter().zip(creates).flat_map(|(undo, create)| [undo, create])).await;
    assert!(answers.iter().step_by(2).all(Result::is_ok), "an undo never fails: {answers:?}");
    fitted(&answers);
    assert_eq!(counts().await, (11, 10, 0));
}

async fn told_expiry_gives_the_seat_back_and_an_extension_needs_one(database: TestDatabase) {
    let (stores, clock) = replicas(&database).await;
    let (store, key) = (&stores[0], company());
    set(store, &key, Some(1), false).await;
    let mut for_a_minute = link();
    for_a_minute.details.shared_mut().grant_ttl = Some(seconds(60));
    let [short, long] = [created(store, for_a_minute).await, created(store, link()).await];
    let tell = async || ExpiryWalk::new(store.clone(), Uuid::from_u128(1)).record_expiries().await.unwrap();
    let extend = async |acceptance: &Acceptance| {
        let grant_expire_at = Some(Some(clock.now().plus(seconds(60))));
        run(store, Action::UpdateAcceptance(UpdateAcceptance { target: target_of(acceptance), grant_expire_at })).await
    };
    let ann = accepted(store, &short, "ann").await;
    clock.advance(Duration::from_secs(60));
    assert!(is_full(&run(store, accept(&long, "bob")).await), "it is not told yet");
    extend(&ann).await.unwrap();
    assert_eq!(tell().await, Some(0));
    assert_eq!(check_counts(store, &key).await.occupied, 1);

    clock.advance(Duration::from_secs(60));
    assert_eq!(tell().await, Some(1));
    assert_eq!(check_counts(store, &key).await.occupied, 0);
    let bob = accepted(store, &long, "bob").await;
    assert!(is_full(&extend(&ann).await), "another has the seat by now");
    run(store, release(&bob, End)).await.unwrap();
    extend(&ann).await.unwrap();
    assert_eq!(seated(store, &key).await, ["ann".to_owned()].into());
    // A person who is in by another acceptance stays.
    accepted(store, &long, "ann").await;
    clock.advance(Duration::from_secs(60));
    assert_eq!(tell().await, Some(1));
    assert_eq!(check_counts(store, &key).await.occupied, 1);
    extend(&ann).await.unwrap();
    run(store, release(&ann, End)).await.unwrap();
    assert_eq!(check_counts(store, &key).await.occupied, 1);
}

async fn only_acceptances_that_count_have_seats_when_a_count_begins(database: TestDatabase) {
    let (stores, clock) = replicas(&database).await;
    let (store, key) = (&stores[0], company());
    let mut for_a_minute = link();
    for_a_minute.details.shared_mut().grant_ttl = Some(seconds(60));
    let [short, long] = [created(store, for_a_minute).await, created(store, link()).await];
    let [ann, bob] = [accepted(store, &long, "ann").await, accepted(store, &long, "bob").await];
    let cid = accepted(store, &short, "cid").await;
    accepted(store, &long, "dan").await;
    run(store, release(&ann, End)).await.unwrap();
    run(store, release(&bob, Undo)).await.unwrap();
    clock.advance(Duration::from_secs(60));
    accepted(store, &short, "eve").await;
    assert_eq!(set(store, &key, Some(2), false).await.occupied, 2);
    assert_eq!(seated(store, &key).await, ["dan", "eve"].map(str::to_owned).into());
    run(store, release(&cid, End)).await.unwrap();
    assert_eq!(check_counts(store, &key).await.occupied, 2);
}

async fn release_while_a_count_begins_leaves_no_seat_behind(database: TestDatabase) {
    let (stores, clock) = replicas(&database).await;
    for round in 0..4 {
        let (scope, key) =
            (team(&format!("t{round}")), ScopeKey::new(&account(), &team(&format!("t{round}")).unwrap()));
        let mut made = Vec::new();
        let mut releases = Vec::new();
        for n in 0..12 {
            let one = created(&stores[0], general(scope.clone(), OnConflict::Allow, &[])).await;
            let acceptance = accepted(&stores[0], &one, &format!("subject {n}")).await;
            releases.push(command(release(&acceptance, if n % 2 == 0 { Undo } else { End })));
            made.push(Invitation::clone(&*one));
        }
        let (answers, _) = tokio::join!(deal(&stores, releases), set(&stores[0], &key, Some(5), round % 2 == 0));
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        assert_eq!(seated(&stores[0], &key).await, counting(&stores[0], &made, clock.now()).await);
        let scope = check_counts(&stores[0], &key).await;
        assert_eq!(scope.occupied, 0);
        if round % 2 == 0 {
            let mut open = 0;
            for made in &made {
                let found = read(&stores[0], made.id).await;
                open += i64::from(found.state_at(clock.now()) == State::Active);
            }
            assert_eq!(scope.reserved(), open, "each that is open again holds its seat");
        }
    }
}

/// The statement that saves a release waits for a row that another transaction has changed, and looks at it again.
async fn release_leaves_a_seat_that_changes_meanwhile(database: TestDatabase) {
    if database.url().starts_with("sqlite") {
        // Nobody else writes.
        return;
    }
    let (stores, _) = replicas(&database).await;
    let (store, key) = (stores[0].clone(), company());
    set(&store, &key, Some(5), false).await;
    let made = created(&store, link()).await;
    // Another change, or another seat of the same person.
    let changes = ["version = version + 1, by_caller = true", "id = gen_random_uuid(), by_caller = true"];
    for (number, change) in changes.into_iter().enumerate() {
        let subject = format!("subject {number}");
        let acceptance = accepted(&store, &made, &subject).await;
        let other = database.connect().await;
        let transaction = other.begin().await.unwrap();
        let sql = format!("UPDATE seat SET {change} WHERE subject = '{subject}'");
        transaction.execute_unprepared(&sql).await.unwrap();
        let releasing = tokio::spawn({
            let store = store.clone();
            async move { run(&store, release(&acceptance, Undo)).await }
        });
        let waiting =
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        while sum(&database, waiting).await == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        transaction.commit().await.unwrap();
        releasing.await.unwrap().unwrap();
        assert!(seated(&store, &key).await.contains(&subject), "{change}");
        assert_eq!(check_counts(&store, &key).await.occupied, i64::try_from(number + 1).unwrap());
    }
}
