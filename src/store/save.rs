//! The save: everything a group changes, in one commit, and only if what it was decided on still holds.
//!
//! Its texts are in [`super::save_sql`]; this module makes the rows that are their parameters.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement, Value};
use serde::Serialize;
use uuid::Uuid;

use super::entity::{event, invitation, recipient};
use super::error::StoreError;
use super::load::json_param;
use super::row;
use super::save_sql::SaveSql;
use crate::domain::group::{Save, Update};
use crate::domain::id::InvitationId;
use crate::domain::time::Timestamp;

/// A changed invitation as a row, with what it is guarded by.
#[derive(Serialize)]
struct UpdateRow {
    #[serde(flatten)]
    row: invitation::Model,
    loaded_revision: i64,
    unexpired: bool,
}

/// What is added to the counters beside an invitation, as a row.
#[derive(Serialize)]
struct EngagementRow<'a> {
    account_id: &'a str,
    invitation_id: Uuid,
    views: i64,
    clicks: i64,
    unfurls: i64,
    events: i64,
}

/// An event as a row: `sequence` counts within the save, from behind, until the database knows where it begins.
#[derive(Serialize)]
struct EventRow {
    #[serde(flatten)]
    row: event::Model,
    before_last: i64,
}

/// Returns the parameters of a save. Their places in the list are the numbers that the texts know them by.
fn params(save: &Save) -> Result<[Value; 12], StoreError> {
    let created = || save.created.values().map(AsRef::as_ref);
    let recipients = created().flat_map(|invitation| {
        invitation.recipients.iter().map(move |recipient| row::recipient_row(invitation, recipient))
    });
    let outbox = save.deliveries.iter().map(|(invitation, delivery)| row::outbox_row(invitation, delivery));
    let (created_events, events, counts) = number_events(save);
    let accepted = save.accepted.values().map(|(invitation, accepted)| row::acceptance_row(invitation, accepted));
    let reaccepted = save.reaccepted.values().map(|(invitation, changed)| row::acceptance_row(invitation, changed));
    Ok([
        /* 1 */ rows(created().map(row::invitation_row))?,
        /* 2 */ rows(created().flat_map(row::label_rows))?,
        /* 3 */ rows(recipients)?,
        /* 4 */ rows(created_events.into_iter())?,
        /* 5 */ rows(outbox)?,
        /* 6 */ rows(save.requests.iter().map(|(key, remembered)| row::request_row(key, remembered)))?,
        /* 7 */ rows(save.updated.values().map(update_row))?,
        /* 8 */ rows(save.updated.values().flat_map(changed_recipients))?,
        /* 9 */ rows(accepted)?,
        /* 10 */ rows(reaccepted)?,
        /* 11 */ rows(counts.into_iter())?,
        /* 12 */ rows(events.into_iter())?,
    ])
}

fn rows<T: Serialize>(rows: impl Iterator<Item = T>) -> Result<Value, StoreError> {
    json_param(&rows.collect::<Vec<_>>())
}

fn update_row(update: &Update) -> UpdateRow {
    let Update { invitation, loaded_revision, unexpired, recipients: _ } = update;
    UpdateRow { row: row::invitation_row(invitation), loaded_revision: *loaded_revision, unexpired: *unexpired }
}

fn changed_recipients(update: &Update) -> impl Iterator<Item = recipient::Model> {
    let changed =
        update.invitation.recipients.iter().filter(|recipient| update.recipients.contains(&recipient.ordinal));
    changed.map(|recipient| row::recipient_row(&update.invitation, recipient))
}

/// Splits the events into those that make an invitation, which are number 1, and the others, which are numbered from the
/// invitation's counter; returns also what is added to the counters.
fn number_events(save: &Save) -> (Vec<event::Model>, Vec<EventRow>, Vec<EngagementRow<'_>>) {
    let (mut firsts, mut others) = (Vec::new(), Vec::new());
    let mut counts: BTreeMap<InvitationId, EngagementRow<'_>> = BTreeMap::new();
    let mut made = BTreeSet::new();
    for event in &save.events {
        if save.created.contains_key(&event.invitation) && made.insert(event.invitation) {
            firsts.push(row::event_row(event, 1));
            continue;
        }
        let count = counts.entry(event.invitation).or_insert_with(|| {
            let engagement = save.engagement.get(&event.invitation).copied().unwrap_or_default();
            EngagementRow {
                account_id: event.account.as_str(),
                invitation_id: event.invitation.0,
                views: engagement.views,
                clicks: engagement.clicks,
                unfurls: engagement.unfurls,
                events: 0,
            }
        });
        count.events += 1;
        others.push(EventRow { row: row::event_row(event, 0), before_last: count.events });
    }
    for other in &mut others {
        let total = counts.get(&InvitationId(other.row.invitation_id)).map_or(0, |count| count.events);
        other.before_last = total - other.before_last;
    }
    (firsts, others, counts.into_values().collect())
}

/// Makes new invitations on PostgreSQL without having loaded anything, and returns which of them it made.
pub(super) async fn create(
    db: &DatabaseConnection,
    sql: &str,
    save: &Save,
) -> Result<BTreeSet<InvitationId>, StoreError> {
    let values = params(save)?.into_iter().take(6);
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
    let values = params(save)?;
    match sql {
        SaveSql::Postgres { save, .. } => {
            let values = values.into_iter().chain([clock.map(Timestamp::micros).into()]);
            db.query_one_raw(Statement::from_sql_and_values(DbBackend::Postgres, save, values)).await?;
        }
        SaveSql::Sqlite(statements) => {
            for (index, (sql, params)) in statements.iter().enumerate() {
                let used: Vec<Value> = params.iter().map(|param| values[param - 1].clone()).collect();
                if used.contains(&Value::from("[]")) {
                    continue;
                }
                let done = db.execute_raw(Statement::from_sql_and_values(DbBackend::Sqlite, sql, used)).await?;
                // The first statement is the update that is guarded by the revisions.
                if index == 0 && done.rows_affected() != save.updated.len() as u64 {
                    return Err(StoreError::Conflict);
                }
            }
        }
    }
    Ok(())
}
