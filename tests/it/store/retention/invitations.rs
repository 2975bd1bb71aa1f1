//! Invitations that ended long ago go as a whole, and nothing of them is left but their events.

use std::time::Duration;

use invitation_service::domain::command::{Action, Command, CreateInvitation, OnConflict};
use invitation_service::domain::invitation::event::EventFilter;
use invitation_service::domain::invitation::refusal::Refusal;
use invitation_service::domain::invitation::slot::Slot;
use invitation_service::domain::invitation::{EngagementType, Invitation};
use invitation_service::domain::kind::{Details, Scope};
use invitation_service::domain::reach::Reach;
use invitation_service::domain::value::id::IdSeed;
use invitation_service::store::{
    DeliveryQuery, EventQuery, ExecuteError, InvitationQuery, PositionedEvent, PruneTurn, Store,
};
use sea_orm::{ConnectionTrait, TransactionTrait};
use uuid::Uuid;

use super::{DAY, MINUTE, MONTH, TABLES, all, count, other, reach_of, revoked, run};
use crate::store::plans_make::new_verification;
use crate::support::build::commands::*;
use crate::support::build::kinds::*;
use crate::support::database::TestDatabase;
use crate::support::on_both;

on_both!(
    migrated:
    ended_invitation_leaves_nothing_but_its_events,
    invitation_goes_by_the_time_since_its_end,
    deleted_invitation_is_as_if_it_had_never_been,
    retry_about_a_deleted_invitation_finds_none,
    invitation_with_a_pending_message_is_kept,
    backlog_of_ended_invitations_is_deleted_in_chunks,
    walk_goes_on_where_the_last_turn_stopped,
    bound_watcher_still_sees_events_of_a_deleted_invitation,
    unreadable_invitation_is_kept_and_holds_up_no_other,
    emptied_auto_join_is_kept_until_it_is_deleted,
);

async fn prune(store: &Store) -> u64 {
    let pruned = store.maintenance().prune_ended_invitations(MONTH, &mut PruneTurn::lasting(MINUTE)).await.unwrap();
    assert_eq!(pruned, all(pruned.rows));
    pruned.rows
}

async fn run_for(store: &Store, action: Action) -> std::sync::Arc<Invitation> {
    store.executor().execute(command(action), None).await.unwrap().invitation
}

/// One invitation with rows in every table, for an address that no other has. It is left open.
async fn one_of_each(store: &Store, name: &str) -> Vec<std::sync::Arc<Invitation>> {
    let address = format!("{name}@example.org");
    let labels = [("a".to_owned(), "b".to_owned())].into();
    let mut wide = general(team("red"), OnConflict::Reject, &[mail(&address), internal(name)]);
    if let Details::General(details) = &mut wide.details {
        details.groups = vec![Scope::new("team", "red"), Scope::new("team", name), Scope::new("team", name)];
    }
    let wide = created(store, CreateInvitation { labels, mails: true, ..wide }).await;
    run_for(store, record(&wide, EngagementType::View)).await;
    let seed = IdSeed::new(wide.created_at, wide.id.0.into_bytes());
    store.request_verification(&wide, &new_verification(&wide, &seed, wide.created_at)).await.unwrap().unwrap();
    let guest = created(store, guest(&address)).await;
    let user = created(store, user(&address)).await;
    let used = created(store, CreateInvitation { max_uses: Some(9), ..link() }).await;
    run_for(store, accept(&used, name)).await;
    let joining = run_for(store, sync(name, &["a.org", "b.org"])).await;
    vec![wide, guest, user, used, joining]
}

/// All rows but those of events, as texts.
async fn rows(database: &TestDatabase) -> Vec<String> {
    let mut rows = Vec::new();
    for table in TABLES {
        let key = if table == "invitation" { "id" } else { "invitation_id" };
        let text = if database.url().starts_with("sqlite") { format!("hex({key})") } else { format!("{key}::text") };
        rows.extend(texts(database, &format!("SELECT '{table} ' || {text} FROM {table} ORDER BY 1")).await);
    }
    rows
}

async fn ended_invitation_leaves_nothing_but_its_events(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    one_of_each(&store, "bob").await;
    // They stay open.
    run(&database, "UPDATE invitation SET expire_at = NULL").await;
    let kept = rows(&database).await;
    let ended = one_of_each(&store, "ann").await;
    for made in &ended {
        run_for(&store, revoke(made)).await;
    }
    run(&database, "UPDATE outbox SET state = 'sent', due_at = NULL WHERE due_at IS NOT NULL").await;
    let events = count(&database, "event").await;
    clock.advance(MONTH);
    assert_eq!(prune(&store).await, 0, "they ended a month ago, and not longer");
    clock.advance(DAY);
    assert_eq!(prune(&store).await, 5);
    assert_eq!(rows(&database).await, kept);
    assert_eq!(count(&database, "event").await, events);
    for table in ["verification", "verification_budget"] {
        let own = if table == "verification" { 1 } else { 2 };
        assert_eq!(count(&database, table).await, own, "{table}");
    }
    assert_eq!(prune(&store).await, 0);
}

async fn invitation_goes_by_the_time_since_its_end(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let brief = created(&store, guest("ann@example.org")).await;
    let expired = created(&store, CreateInvitation { expiry: after(20 * 86_400), ..user("ann@example.org") }).await;
    let used = created(&store, CreateInvitation { max_uses: Some(1), ..link() }).await;
    let open = created(&store, link()).await;
    let archived = created(&store, guest("bob@example.org")).await;
    run(&database, "UPDATE outbox SET state = 'sent', due_at = NULL").await;
    clock.advance(10 * DAY);
    run_for(&store, accept(&used, "ann")).await;
    run_for(&store, archive(&archived, true)).await;
    clock.advance(20 * DAY + Duration::from_secs(601));
    assert_eq!(prune(&store).await, 1, "the one that expired after ten minutes and was left alone");
    assert!(store.primary().get_invitation(&reach(), brief.id, false).await.unwrap().is_none());
    clock.advance(10 * DAY);
    assert_eq!(prune(&store).await, 2, "the used one, and the one that was archived after its end");
    for gone in [&used, &archived] {
        assert!(store.primary().get_invitation(&reach(), gone.id, false).await.unwrap().is_none());
    }
    run_for(&store, resend(&expired, false, Some(seconds(600)))).await;
    run(&database, "UPDATE outbox SET state = 'sent', due_at = NULL").await;
    clock.advance(29 * DAY);
    assert_eq!(prune(&store).await, 0, "it was renewed");
    clock.advance(2 * DAY);
    assert_eq!(prune(&store).await, 1);
    assert_eq!(read(&store, open.id).await.revision, 1, "it never ends");
}

async fn deleted_invitation_is_as_if_it_had_never_been(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let made = created(&store, guest("ann@example.org")).await;
    let foreign = Command { reach: reach_of(&other()), ..command(create(guest("ann@example.org"))) };
    let foreign = store.executor().execute(foreign, None).await.unwrap().invitation;
    run(&database, "UPDATE outbox SET state = 'sent', due_at = NULL").await;
    run(&database, "UPDATE invitation SET expire_at = NULL WHERE account_id = 'bert'").await;
    clock.advance(2 * MONTH);
    assert_eq!(prune(&store).await, 1);
    assert!(store.primary().get_invitation(&reach(), made.id, true).await.unwrap().is_none());
    assert!(
        store
            .primary()
            .list_invitations(&reach(), &InvitationQuery { limit: 10, ..Default::default() })
            .await
            .unwrap()
            .is_empty()
    );
    assert!(store.primary().list_deliveries(&reach(), &DeliveryQuery::of(made.id, 10)).await.unwrap().is_none());
    let query = EventQuery { ascending: true, ..EventQuery::of(made.id, 10) };
    assert!(store.primary().list_events(&reach(), &query).await.unwrap().is_none());
    for action in [
        accept(&made, "ann"),
        decline(&made, 1),
        revoke(&made),
        resend(&made, false, None),
        archive(&made, true),
        record(&made, EngagementType::View),
    ] {
        let refused = store.executor().execute(command(action), None).await.unwrap_err();
        assert_eq!(refused, ExecuteError::Refused(Refusal::InvitationNotFound));
    }
    let new = created(&store, guest("ann@example.org")).await;
    let versions = texts(&database, "SELECT 'version ' || version FROM slot WHERE account_id = 'acme'").await;
    assert_eq!(versions, [format!("version {}", Slot::first_version(new.created_at))], "no version occurs twice");
    let other = store.primary().get_invitation(&reach_of(&other()), foreign.id, false).await.unwrap().unwrap();
    assert_eq!(other.found.recipients.len(), 1);
}

async fn retry_about_a_deleted_invitation_finds_none(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let made = created(&store, link()).await;
    run_for(&store, revoke(&made)).await;
    clock.advance(MONTH + DAY);
    let again = || retryable("Revoke", "again", 1, revoke(&made));
    store.executor().execute(again(), None).await.expect("what is revoked stays so");
    assert_eq!(prune(&store).await, 1, "a call that changed nothing is no change");
    assert_eq!(count(&database, "request").await, 1);
    let replayed = store.executor().execute(again(), None).await.unwrap_err();
    assert_eq!(replayed, ExecuteError::Refused(Refusal::InvitationNotFound));
}

async fn invitation_with_a_pending_message_is_kept(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let made = created(&store, user("ann@example.org")).await;
    run_for(&store, revoke(&made)).await;
    clock.advance(MONTH + DAY);
    let claimed = store.claim_deliveries(Uuid::from_u128(1), DAY, 1, "").await.unwrap().remove(0);
    assert_eq!(prune(&store).await, 0, "its message is being sent");
    assert!(store.cancel_delivery(&claimed, "it is revoked").await.unwrap());
    if database.url().starts_with("postgres") {
        let admin = database.connect().await;
        let lock = admin.begin().await.unwrap();
        lock.execute_unprepared("SELECT 1 FROM invitation FOR UPDATE").await.unwrap();
        assert_eq!(prune(&store).await, 0, "somebody changes it");
        lock.rollback().await.unwrap();
    }
    assert_eq!(prune(&store).await, 1);
    assert_eq!(count(&database, "outbox").await, 0);
}

async fn backlog_of_ended_invitations_is_deleted_in_chunks(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let (ended, open) = (revoked(&store, &database, "ann@example.org").await, created(&store, link()).await);
    clock.advance(MONTH + DAY);
    let sqlite = database.url().starts_with("sqlite");
    let id = if sqlite { "unhex(printf('%032x', n))" } else { "lpad(to_hex(n), 32, '0')::uuid" };
    let of = |id: Uuid| if sqlite { format!("x'{}'", id.simple()) } else { format!("'{id}'::uuid") };
    // Copies of an open and of an ended invitation, over several accounts, one of which has nothing but open ones.
    let columns =
        "kind, scope_type, scope_id, creator, max_uses, use_count, expire_at, revoked_at, revision, generation,
        key_id, mails, details, created_at, updated_at, updater, sort_email, repeats";
    let copy = format!(
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 2500)
        INSERT INTO invitation (account_id, id, {columns})
        SELECT CASE n % 2 WHEN 0 THEN 'open' ELSE 'account ' || (n % 3) END, {id}, {columns} FROM numbers
        JOIN invitation i ON i.id = CASE n % 2 WHEN 0 THEN {open} ELSE {ended} END AND i.account_id = 'acme'",
        open = of(open.id.0),
        ended = of(ended.0),
    );
    assert_eq!(run(&database, &copy).await, 2_500);
    let (maintenance, mut short) = (store.maintenance(), PruneTurn::lasting(Duration::ZERO));
    let first = maintenance.prune_ended_invitations(MONTH, &mut short).await.unwrap();
    assert!(!first.is_done && first.rows > 0 && first.rows < 1_251, "a turn ends behind a chunk: {first:?}");
    assert_eq!(count(&database, "prune_walk").await, 1, "the next turn goes on behind it");
    assert_eq!(prune(&store).await, 1_251 - first.rows);
    assert_eq!(count(&database, "invitation").await, 1_251);
    assert_eq!(count(&database, "invitation WHERE revoked_at IS NOT NULL").await, 0);
    assert_eq!(prune(&store).await, 0);
}

async fn walk_goes_on_where_the_last_turn_stopped(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    for account in [account(), other()] {
        let made = Command { reach: reach_of(&account), ..command(create(link())) };
        let made = store.executor().execute(made, None).await.unwrap().invitation;
        let revoke = Command { reach: reach_of(&account), ..command(revoke(&made)) };
        store.executor().execute(revoke, None).await.unwrap();
    }
    clock.advance(MONTH + DAY);
    let id = if database.url().starts_with("sqlite") {
        "x'ffffffffffffffffffffffffffffffff'"
    } else {
        "'ffffffff-ffff-ffff-ffff-ffffffffffff'"
    };
    run(&database, &format!("INSERT INTO prune_walk (name, account_id, id) VALUES ('invitation', 'acme', {id})")).await;
    assert_eq!(prune(&store).await, 1);
    assert_eq!(texts(&database, "SELECT account_id FROM invitation").await, ["acme"]);
    assert_eq!(prune(&store).await, 1, "the next turn begins at the beginning");
}

async fn bound_watcher_still_sees_events_of_a_deleted_invitation(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let made = created(&store, guest("ann@example.org")).await;
    created(&store, CreateInvitation { expiry: None, ..link() }).await;
    store.sequence().await.unwrap();
    run(&database, "UPDATE outbox SET state = 'sent', due_at = NULL").await;
    clock.advance(2 * MONTH);
    assert_eq!(prune(&store).await, 1);
    for (host, seen) in [(HOST, 1), (COMPANY, 0)] {
        let reach = Reach::of_hosts(account(), vec![host]);
        let batch = store.events_behind(&reach, &EventFilter::default(), 0, 10).await.unwrap();
        assert_eq!(batch.events.len(), seen);
        assert!(batch.events.iter().all(|event| event.event.event.invitation == made.id));
    }
    let all = store.all_events_behind(0, 10).await.unwrap().events;
    let host = |event: &PositionedEvent| (event.event.event.invitation == made.id).then_some(HOST);
    assert!(all.len() == 2 && all.iter().all(|event| event.host == host(event)), "{all:?}");
}

async fn unreadable_invitation_is_kept_and_holds_up_no_other(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    revoked(&store, &database, "ann@example.org").await;
    run(&database, "UPDATE invitation SET kind = 'of a newer program'").await;
    revoked(&store, &database, "bob@example.org").await;
    clock.advance(MONTH + DAY);
    assert_eq!(prune(&store).await, 1);
    assert_eq!((count(&database, "invitation").await, count(&database, "recipient").await), (1, 1));
}

async fn emptied_auto_join_is_kept_until_it_is_deleted(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let made = run_for(&store, sync("red", &["a.org"])).await;
    run_for(&store, sync("red", &[])).await;
    clock.advance(MONTH + DAY);
    assert_eq!(prune(&store).await, 0);
    let back = run_for(&store, sync("red", &["b.org"])).await;
    assert_eq!((back.id, back.facts.emptied_at), (made.id, None), "a sync gives it domains again");
    run_for(&store, sync("red", &[])).await;
    run(&database, "UPDATE invitation SET deleted_at = updated_at").await;
    clock.advance(MONTH + DAY);
    assert_eq!(prune(&store).await, 1);
}
