//! The save: everything a group changes, in one commit, and only if what it was decided on still holds.
//!
//! Its texts are in [`super::save_sql`]; this module makes the rows that are their parameters.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement, Value};
use uuid::Uuid;

use super::entity::{event, recipient};
use super::error::StoreError;
use super::row;
use super::save_sql::{SaveSql, engagement_columns, event_columns, update_columns};
use super::set::{Set, values_of};
use crate::domain::group::{Save, Update};
use crate::domain::id::InvitationId;
use crate::domain::invitation::Engagement;
use crate::domain::time::Timestamp;

/// What is added to the counters beside an invitation.
struct Counts<'a> {
    account_id: &'a str,
    engagement: Engagement,
    events: i64,
}

/// Returns the sets of a save, in the order of [`super::save_sql::sets`].
fn sets(save: &Save) -> [Set; 12] {
    let created = || save.created.values().map(AsRef::as_ref);
    let recipients = created().flat_map(|invitation| {
        invitation.recipients.iter().map(move |recipient| row::recipient_row(invitation, recipient))
    });
    let outbox = save.deliveries.iter().map(|(invitation, delivery)| row::outbox_row(invitation, delivery));
    let (created_events, events, counts) = number_events(save);
    let accepted = save.accepted.values().map(|(invitation, accepted)| row::acceptance_row(invitation, accepted));
    let reaccepted = save.reaccepted.values().map(|(invitation, changed)| row::acceptance_row(invitation, changed));
    [
        /* 1 */ Set::of(created().map(row::invitation_row)),
        /* 2 */ Set::of(created().flat_map(row::label_rows)),
        /* 3 */ Set::of(recipients),
        /* 4 */ Set::of(created_events.into_iter()),
        /* 5 */ Set::of(outbox),
        /* 6 */ Set::of(save.requests.iter().map(|(key, remembered)| row::request_row(key, remembered))),
        /* 7 */ Set::new(update_columns(), save.updated.values().map(update_row)),
        /* 8 */ Set::of(save.updated.values().flat_map(changed_recipients)),
        /* 9 */ Set::of(accepted),
        /* 10 */ Set::of(reaccepted),
        /* 11 */ Set::new(engagement_columns(), counts.iter().map(counts_row)),
        /* 12 */ Set::new(event_columns(), events.into_iter()),
    ]
}

fn update_row(update: &Update) -> Vec<Value> {
    let mut row = values_of(&row::invitation_row(&update.invitation));
    row.extend([update.loaded_revision.into(), update.unexpired.into()]);
    row
}

fn counts_row((id, counts): (&InvitationId, &Counts<'_>)) -> [Value; 6] {
    let Counts { account_id, engagement: Engagement { views, clicks, unfurls }, events } = counts;
    [(*account_id).into(), id.0.into(), (*views).into(), (*clicks).into(), (*unfurls).into(), (*events).into()]
}

fn changed_recipients(update: &Update) -> impl Iterator<Item = recipient::Model> {
    let changed =
        update.invitation.recipients.iter().filter(|recipient| update.recipients.contains(&recipient.ordinal));
    changed.map(|recipient| row::recipient_row(&update.invitation, recipient))
}

/// Splits the events into those that make an invitation, which are number 1, and the others, which are numbered from the
/// invitation's counter; returns also what is added to the counters. Until the database knows where it begins, the sequence
/// of an event is how many of the save come behind it.
fn number_events(save: &Save) -> (Vec<event::Model>, Vec<Vec<Value>>, BTreeMap<InvitationId, Counts<'_>>) {
    let (mut firsts, mut others) = (Vec::new(), Vec::new());
    let mut counts: BTreeMap<InvitationId, Counts<'_>> = BTreeMap::new();
    let mut made = BTreeSet::new();
    for event in &save.events {
        if save.created.contains_key(&event.invitation) && made.insert(event.invitation) {
            firsts.push(row::event_row(event, 1));
            continue;
        }
        let count = counts.entry(event.invitation).or_insert_with(|| Counts {
            account_id: event.account.as_str(),
            engagement: save.engagement.get(&event.invitation).copied().unwrap_or_default(),
            events: 0,
        });
        count.events += 1;
        others.push((event, count.events));
    }
    let others = others.into_iter().map(|(event, number)| {
        let total = counts.get(&event.invitation).map_or(0, |count| count.events);
        let mut row = values_of(&row::event_row(event, 0));
        row.push((total - number).into());
        row
    });
    (firsts, others.collect(), counts)
}

/// Makes new invitations on PostgreSQL without having loaded anything, and returns which of them it made.
pub(super) async fn create(
    db: &DatabaseConnection,
    sql: &str,
    save: &Save,
) -> Result<BTreeSet<InvitationId>, StoreError> {
    let values = sets(save).into_iter().take(6).flat_map(|set| set.params(DbBackend::Postgres));
    let rows = db.query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await?;
    let ids = rows.iter().map(|row| row.try_get_by_index::<Uuid>(0).map(InvitationId));
    Ok(ids.collect::<Result<_, _>>()?)
}

/// Saves what a group changes; [`StoreError::Conflict`] if what it was decided on no longer holds.
pub(super) async fn save<C: ConnectionTrait>(
    db: &C,
    sql: &SaveSql,
    save: &Save,
    clock: Option<Timestamp>,
) -> Result<(), StoreError> {
    let sets = sets(save);
    match sql {
        SaveSql::Postgres { save, .. } => {
            let values = sets.into_iter().flat_map(|set| set.params(DbBackend::Postgres));
            let values = values.chain([clock.map(Timestamp::micros).into()]);
            db.query_one_raw(Statement::from_sql_and_values(DbBackend::Postgres, save, values)).await?;
        }
        SaveSql::Sqlite(statements) => {
            let mut sets = sets.map(Some);
            for (index, (sql, set)) in statements.iter().enumerate() {
                let Some(set) = sets[set - 1].take().filter(|set| !set.is_empty()) else { continue };
                let values = set.params(DbBackend::Sqlite);
                let done = db.execute_raw(Statement::from_sql_and_values(DbBackend::Sqlite, sql, values)).await?;
                // The first statement is the update that is guarded by the revisions.
                if index == 0 && done.rows_affected() != save.updated.len() as u64 {
                    return Err(StoreError::Conflict);
                }
            }
        }
    }
    Ok(())
}
