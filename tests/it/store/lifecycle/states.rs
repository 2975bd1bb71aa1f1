//! The state filter in SQL, the deletion of what has ended, and the rule in Rust say the same.

use std::collections::BTreeSet;
use std::time::Duration;

use invitation_service::domain::invitation::state::{Facts, State};
use invitation_service::domain::value::id::InvitationId;
use invitation_service::domain::value::time::Timestamp;
use invitation_service::store::{InvitationQuery, PruneTurn, Store};
use sea_orm::ConnectionTrait;

use crate::support::build::commands::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::on_both;

on_both!(
    migrated:
    state_filter_agrees_with_the_domain_over_all_facts,
    deletion_agrees_with_the_domain_over_all_facts,
);

/// Every combination of what matters at a moment: below, at and above each limit, and each of the facts that end an invitation.
fn combinations(moment: Timestamp) -> Vec<Facts> {
    let near = |offset: i64| Some(Timestamp::from_micros(moment.micros() + offset));
    let uses = [(None, 0), (None, 1), (Some(1), 0), (Some(1), 1), (Some(2), 0), (Some(2), 1), (Some(2), 2)];
    let mut all = Vec::new();
    for (max_uses, use_count) in uses {
        for expire_at in [None, near(-1), near(0), near(1)] {
            for bits in 0..1_u8 << 5 {
                let fact = |bit: u8| near(-5).filter(|_| bits & 1 << bit != 0);
                all.push(Facts {
                    use_count,
                    accepted_at: fact(0),
                    declined_at: fact(1),
                    revoked_at: fact(2),
                    accepted_elsewhere_at: fact(3),
                    emptied_at: fact(4),
                    ..Facts::new(max_uses, expire_at)
                });
            }
        }
    }
    all
}

/// Makes an invitation for each set of facts.
async fn made(store: &Store, database: &TestDatabase, facts: Vec<Facts>) -> Vec<(InvitationId, Facts)> {
    let connection = database.connect().await;
    let made = all_at_once(facts.iter().map(|_| (store.clone(), command(create(link()))))).await;
    let mut rows: Vec<(InvitationId, Facts)> = Vec::new();
    let sql = |value: Option<i64>| value.map_or("NULL".to_owned(), |value| value.to_string());
    for (made, facts) in made.into_iter().zip(facts) {
        let id = made.unwrap().invitation.id;
        let at = |moment: Option<Timestamp>| sql(moment.map(Timestamp::micros));
        let quote =
            if database.url().starts_with("sqlite") { format!("x'{}'", id.0.simple()) } else { format!("'{}'", id.0) };
        let update = format!(
            "UPDATE invitation SET max_uses = {}, use_count = {}, expire_at = {}, accepted_at = {}, declined_at = {},
            revoked_at = {}, accepted_elsewhere_at = {}, emptied_at = {} WHERE id = {quote}",
            sql(facts.max_uses.map(i64::from)),
            facts.use_count,
            at(facts.expire_at),
            at(facts.accepted_at),
            at(facts.declined_at),
            at(facts.revoked_at),
            at(facts.accepted_elsewhere_at),
            at(facts.emptied_at),
        );
        assert_eq!(connection.execute_unprepared(&update).await.unwrap().rows_affected(), 1);
        rows.push((id, facts));
    }
    rows
}

async fn state_filter_agrees_with_the_domain_over_all_facts(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let rows = made(&store, &database, combinations(NEW_YEAR)).await;
    for subset in 0..1_u8 << State::ALL.len() {
        let states: Vec<State> = State::ALL
            .into_iter()
            .enumerate()
            .filter(|(bit, _)| subset & 1 << bit != 0)
            .map(|(_, state)| state)
            .collect();
        let query = InvitationQuery { states: states.clone(), limit: 2_000, ..InvitationQuery::default() };
        let found = store.primary().list_invitations(&reach(), &query).await.unwrap();
        let wanted =
            rows.iter().filter(|(_, facts)| states.is_empty() || states.contains(&facts.state_at(clock.now())));
        let wanted: BTreeSet<InvitationId> = wanted.map(|(id, _)| *id).collect();
        assert_eq!(found.iter().map(|row| row.found.id).collect::<BTreeSet<_>>(), wanted, "{states:?}");
        for row in &found {
            let (_, facts) = rows.iter().find(|(id, _)| *id == row.found.id).unwrap();
            assert_eq!(row.found.facts, *facts, "the facts are read back");
        }
    }
}

async fn deletion_agrees_with_the_domain_over_all_facts(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    // Ids have milliseconds: the invitations have to be older than that.
    let moment = NEW_YEAR.later(Duration::from_secs(1));
    let rows = made(&store, &database, combinations(moment)).await;
    let half = rows.len() / 2;
    for (order, updated_at) in [("", moment.micros() - 1), ("DESC", moment.micros())] {
        let update = format!(
            "UPDATE invitation SET updated_at = {updated_at}
            WHERE id IN (SELECT id FROM invitation ORDER BY id {order} LIMIT {half})"
        );
        assert_eq!(database.connect().await.execute_unprepared(&update).await.unwrap().rows_affected(), half as u64);
    }
    let mut wanted = BTreeSet::new();
    for (id, _) in &rows {
        wanted.extend(Some(read(&store, *id).await).filter(|found| !found.ended_before(moment)).map(|found| found.id));
    }
    let age = Duration::from_secs(86_400);
    clock.advance(age + Duration::from_secs(1));
    let pruned = store
        .maintenance()
        .prune_ended_invitations(age, &mut PruneTurn::lasting(Duration::from_secs(60)))
        .await
        .unwrap();
    assert_eq!((pruned.is_done, pruned.rows), (true, (rows.len() - wanted.len()) as u64));
    let query = InvitationQuery { limit: 2_000, ..InvitationQuery::default() };
    let kept = store.primary().list_invitations(&reach(), &query).await.unwrap();
    assert_eq!(kept.iter().map(|row| row.found.id).collect::<BTreeSet<_>>(), wanted);
}
