//! The save: writes everything a group changes in one commit, and only if the rows that its decisions depend on are
//! unchanged.
//!
//! The SQL texts are in [`super::save_sql`]; this module builds the rows that are their parameters.

mod seats;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};
use uuid::Uuid;

use super::load::quotas::account_of;
use super::save_sql::{Part, SaveSql};
use crate::domain::erasure::ErasedRows;
use crate::domain::group::{Save, SettledDelivery, Update};
use crate::domain::invitation::recipient::Recipient;
use crate::domain::invitation::slot::SlotKey;
use crate::domain::invitation::{Engagement, Invitation};
use crate::domain::quota::Addition;
use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::store::sql::entity::{autojoin_domain, event, invitation_group, label, outbox, quota_hold, recipient};
use crate::store::sql::error::StoreError;
use crate::store::sql::rows_param::{RowsParam, values_of};
use crate::store::sql::texts::StatementTexts;
use crate::store::sql::{Pool, row};
use seats::{freed_hold_row, scope_row, seat_hold_row, seat_rows, unseat_row};

/// The increments of the counters beside an invitation.
struct Counts<'a> {
    account_id: &'a str,
    engagement: Engagement,
    events: i64,
}

/// Returns the parameters of some parts of a save, in their order.
fn sets(save: &Save, parts: &[Part]) -> Vec<RowsParam> {
    let (first_events, events, counts) = number_events(save);
    let (mut first_events, mut events) = (Some(first_events), Some(events));
    let created = || save.created.values().map(AsRef::as_ref);
    let updates = || save.updated.values();
    let acceptance = |(invitation, acceptance): &(Arc<Invitation>, _)| row::acceptance_row(invitation, acceptance);
    let set = |part: &Part| match part {
        Part::Invitations => RowsParam::of(created().map(row::invitation_row)),
        Part::Labels => RowsParam::of(created().flat_map(row::label_rows)),
        Part::Recipients => {
            RowsParam::of(created().flat_map(recipient_rows).chain(updates().flat_map(added_recipients)))
        }
        Part::Groups => RowsParam::of(created().flat_map(row::group_rows).chain(updates().flat_map(added_groups))),
        Part::FirstEvents => RowsParam::of(first_events.take().into_iter().flatten()),
        Part::Outbox => RowsParam::of(outbox_rows(save)),
        Part::Requests => {
            RowsParam::of(save.requests.iter().map(|(key, remembered)| row::request_row(key, remembered)))
        }
        Part::Updates => RowsParam::new(part.columns(), save.updated.values().map(update_row)),
        Part::Answers => RowsParam::of(save.updated.values().flat_map(changed_recipients)),
        Part::Acceptances => RowsParam::of(save.accepted.values().map(acceptance)),
        Part::Reacceptances => RowsParam::of(save.reaccepted.values().map(acceptance)),
        Part::Slots => {
            RowsParam::of(save.slots.iter().map(|((account, key), slot)| row::slot_row(account, key, *slot)))
        }
        Part::Joining => RowsParam::of(domain_rows(save, true)),
        Part::Leaving => RowsParam::of(domain_rows(save, false)),
        Part::DeliveryUpdates => RowsParam::new(part.columns(), save.settled.iter().map(settled_row)),
        Part::Replacing => RowsParam::new(part.columns(), save.replacing.iter().map(replacing_row)),
        Part::Counts => RowsParam::new(part.columns(), counts.iter().map(counts_row)),
        Part::Events => RowsParam::new(part.columns(), events.take().into_iter().flatten()),
        Part::Freed => RowsParam::new(part.columns(), save.erasures.slots.iter().map(freed_row)),
        Part::Unlabelled => RowsParam::new(part.columns(), updates().flat_map(removed_labels)),
        Part::Relabelled => RowsParam::of(updates().flat_map(changed_labels)),
        Part::Ungrouped => RowsParam::of(updates().flat_map(removed_groups)),
        Part::Removed => RowsParam::new(part.columns(), save.removed.iter().map(removed_row)),
        Part::ErasedEvents | Part::ErasedMessages => {
            RowsParam::new(part.columns(), save.erasures.rows.iter().map(erased_row))
        }
        Part::Released => RowsParam::new(part.columns(), save.quotas.released.iter().map(released_row)),
        Part::Taken => RowsParam::of(save.quotas.taken.iter().map(hold_row)),
        Part::Resized => RowsParam::new(part.columns(), save.quotas.resized.iter().map(resized_row)),
        Part::Quotas => RowsParam::new(part.columns(), save.quotas.additions.values().map(quota_row)),
        Part::Mailed => RowsParam::new(part.columns(), save.quotas.mailed.iter().map(mailed_row)),
        Part::Suppressions => {
            let rows = save.suppressions.iter();
            RowsParam::of(rows.map(|((account, _), suppression)| row::suppression_row(account, suppression)))
        }
        Part::Seats => RowsParam::of(seat_rows(save, false)),
        Part::Reseats => RowsParam::of(seat_rows(save, true)),
        Part::Unseats => RowsParam::new(part.columns(), save.seats.seats.iter().filter_map(unseat_row)),
        Part::SeatHolds => RowsParam::of(save.seats.holds.iter().filter_map(seat_hold_row)),
        Part::FreedHolds => RowsParam::new(part.columns(), save.seats.holds.iter().filter_map(freed_hold_row)),
        Part::Scopes => RowsParam::new(part.columns(), save.seats.charges.iter().map(scope_row)),
        Part::Unchanged => RowsParam::new(part.columns(), unchanged_rows(save, &counts)),
    };
    parts.iter().map(set).collect()
}

fn outbox_rows(save: &Save) -> impl Iterator<Item = outbox::Model> {
    save.deliveries.iter().map(|(about, delivery)| {
        if let Some(reason) = save.cancelled.get(&delivery.id) {
            row::cancelled_outbox_row(about, delivery, reason)
        } else if let Some(reason) = save.quotas.suppressed.get(&delivery.id) {
            row::suppressed_outbox_row(about, delivery, reason)
        } else {
            row::outbox_row(about, delivery)
        }
    })
}

fn replacing_row(((invitation, recipient), (account, id)): (&(InvitationId, u16), &(AccountId, Uuid))) -> [Value; 4] {
    [account.as_str().into(), invitation.0.into(), i32::from(*recipient).into(), (*id).into()]
}

fn removed_row(((invitation, recipient), account): (&(InvitationId, u16), &AccountId)) -> [Value; 3] {
    [account.as_str().into(), invitation.0.into(), i32::from(*recipient).into()]
}

fn resized_row(((account, id, until), invitees): (&(AccountId, InvitationId, Timestamp), &u32)) -> [Value; 4] {
    [account.as_str().into(), id.0.into(), until.micros().into(), i32::try_from(*invitees).unwrap_or(i32::MAX).into()]
}

fn released_row((account, id, until): &(AccountId, InvitationId, Timestamp)) -> [Value; 3] {
    [account.as_str().into(), id.0.into(), until.micros().into()]
}

fn mailed_row((account, key): &(AccountId, String)) -> [Value; 2] {
    [account.as_str().into(), key.as_str().into()]
}

fn hold_row(((account, id, until), invitees): (&(AccountId, InvitationId, Timestamp), &u32)) -> quota_hold::Model {
    quota_hold::Model {
        account_id: account.as_str().to_owned(),
        invitation_id: id.0,
        open_until: until.micros(),
        invitees: i32::try_from(*invitees).unwrap_or(i32::MAX),
    }
}

/// The statement adds the numbers of holds by itself, since it knows which it has found.
fn quota_row(addition: &Addition) -> [Value; 5] {
    let Addition { key, period, net, by_holds, most } = addition;
    let added = if *by_holds { 0 } else { *net };
    [account_of(key).into(), key.key.as_str().into(), period.micros().into(), added.into(), (*most).into()]
}

fn recipient_rows(invitation: &Invitation) -> impl Iterator<Item = recipient::Model> {
    invitation.recipients.iter().map(move |recipient| row::recipient_row(invitation, recipient))
}

/// Returns the domains that join from now on, or those that no longer do.
fn domain_rows(save: &Save, joining: bool) -> impl Iterator<Item = autojoin_domain::Model> {
    let changed = save.domains.iter().filter(move |(_, (_, joins))| *joins == joining);
    changed.map(|((_, domain), (invitation, _))| row::domain_row(invitation, domain))
}

fn update_row(update: &Update) -> Vec<Value> {
    let mut row = values_of(row::invitation_row(&update.invitation));
    row.extend([update.loaded_revision.into(), update.unexpired.into()]);
    row
}

fn settled_row(((account, id), settled): (&(AccountId, Uuid), &SettledDelivery)) -> [Value; 7] {
    let SettledDelivery { delivery, loaded_state, loaded_lease } = settled;
    [
        account.as_str().into(),
        (*id).into(),
        delivery.state.code().into(),
        loaded_state.code().into(),
        (*loaded_lease).into(),
        delivery.last_error.clone().into(),
        delivery.sent_at.map(Timestamp::micros).into(),
    ]
}

fn freed_row(((account, key), invitation): (&(AccountId, SlotKey), &InvitationId)) -> [Value; 3] {
    [account.as_str().into(), invitation.0.into(), key.0.as_str().into()]
}

/// Returns the labels that an invitation had and has no longer.
fn removed_labels(update: &Update) -> impl Iterator<Item = [Value; 3]> {
    let Update { before, invitation, .. } = update;
    let gone = before.iter().flat_map(|before| before.labels.keys());
    let gone = gone.filter(|key| !invitation.labels.contains_key(*key));
    gone.map(|key| [invitation.account.as_str().into(), invitation.id.0.into(), key.as_str().into()])
}

/// Returns the labels that are new or have another value.
fn changed_labels(update: &Update) -> impl Iterator<Item = label::Model> {
    let known = update.before.as_ref().map(|before| &before.labels);
    let is_same = move |row: &label::Model| known.is_some_and(|known| known.get(&row.key) == Some(&row.value));
    row::label_rows(&update.invitation).filter(move |row| !is_same(row))
}

/// Returns the groups that an invitation is found by from now on.
fn added_groups(update: &Update) -> Vec<invitation_group::Model> {
    groups_beside(Some(&update.invitation), update.before.as_ref())
}

/// Returns the groups that an invitation is no longer found by.
fn removed_groups(update: &Update) -> Vec<invitation_group::Model> {
    groups_beside(update.before.as_ref(), Some(&update.invitation))
}

fn groups_beside(of: Option<&Arc<Invitation>>, but: Option<&Arc<Invitation>>) -> Vec<invitation_group::Model> {
    // Most updates leave them alone.
    if of.zip(but).is_none_or(|(of, but)| of.details.groups() == but.details.groups()) {
        return Vec::new();
    }
    let others: Vec<_> = but.into_iter().flat_map(|but| row::group_rows(but)).collect();
    of.into_iter().flat_map(|of| row::group_rows(of)).filter(|row| !others.contains(row)).collect()
}

/// Returns the row of an erasure. A list is a text with a line for each entry, since no entry has a line end.
fn erased_row((invitation, (account, rows)): (&InvitationId, &(AccountId, ErasedRows))) -> [Value; 8] {
    let ErasedRows { recipients, acceptances, actors, addresses, is_whole, drops_words } = rows;
    [
        account.as_str().into(),
        invitation.0.into(),
        lines(recipients).into(),
        lines(acceptances.iter().map(|id| id.0)).into(),
        lines(actors).into(),
        lines(addresses).into(),
        (*is_whole).into(),
        (*drops_words).into(),
    ]
}

fn lines<T: ToString>(entries: impl IntoIterator<Item = T>) -> String {
    entries.into_iter().fold("\n".to_owned(), |lines, entry| lines + &entry.to_string() + "\n")
}

fn counts_row((id, counts): (&InvitationId, &Counts<'_>)) -> [Value; 6] {
    let Counts { account_id, engagement: Engagement { views, clicks, unfurls }, events } = counts;
    [(*account_id).into(), id.0.into(), (*views).into(), (*clicks).into(), (*unfurls).into(), (*events).into()]
}

/// Returns the keys of the invitations that something is counted for and that the save neither creates nor updates: nothing
/// else makes sure that they exist.
fn unchanged_rows(save: &Save, counts: &BTreeMap<InvitationId, Counts<'_>>) -> impl Iterator<Item = [Value; 2]> {
    let is_saved = |id: &InvitationId| save.updated.contains_key(id) || save.created.contains_key(id);
    let unchanged = counts.iter().filter(move |(id, _)| !is_saved(id));
    unchanged.map(|(id, counts)| [counts.account_id.into(), id.0.into()])
}

/// Returns the rows of recipients that exist and change.
fn changed_recipients(update: &Update) -> impl Iterator<Item = recipient::Model> {
    let is_changed =
        |recipient: &&Recipient| update.recipients.contains(&recipient.ordinal) && !update.is_added(recipient);
    let changed = update.invitation.recipients.iter().filter(is_changed);
    changed.map(|recipient| row::recipient_row(&update.invitation, recipient))
}

/// Returns the rows of recipients that are new.
fn added_recipients(update: &Update) -> impl Iterator<Item = recipient::Model> {
    let added = update.invitation.recipients.iter().filter(|recipient| update.is_added(recipient));
    added.map(|recipient| row::recipient_row(&update.invitation, recipient))
}

/// Splits the events into those that create an invitation, which are number 1, and the others, which are numbered from
/// the invitation's counter; also returns the increments of the counters. Until the database knows the first number,
/// the sequence of an event is the number of events of the save that follow it.
fn number_events(save: &Save) -> (Vec<event::Model>, Vec<Vec<Value>>, BTreeMap<InvitationId, Counts<'_>>) {
    let (mut firsts, mut others) = (Vec::new(), Vec::new());
    let mut counts: BTreeMap<InvitationId, Counts<'_>> = BTreeMap::new();
    let mut numbered = BTreeSet::new();
    for event in &save.events {
        if save.created.contains_key(&event.invitation) && numbered.insert(event.invitation) {
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
        let mut row = values_of(row::event_row(event, 0));
        row.push((total - number).into());
        row
    });
    (firsts, others.collect(), counts)
}

/// Returns the statement for the parts of a save that have rows.
fn statement(texts: &StatementTexts<Part>, save: &Save, parts: &'static [Part], clock: Option<Timestamp>) -> Statement {
    let mut sets: BTreeMap<Part, RowsParam> = parts.iter().copied().zip(sets(save, parts)).collect();
    let needed = sets.iter().filter(|(_, set)| set.len() > 0).map(|(part, _)| *part).collect();
    let (parts, text) = texts.text(needed);
    let rows = parts.iter().filter_map(|part| sets.remove(part)).flat_map(|set| set.params(DbBackend::Postgres));
    let mut values: Vec<Value> = rows.collect();
    if parts.contains(&Part::Updates) {
        values.push(clock.map(Timestamp::micros).into());
    }
    Statement::from_sql_and_values(DbBackend::Postgres, &*text, values)
}

/// Creates new invitations on PostgreSQL without a load, and returns the ids of those that were created.
pub(in crate::store) async fn create(
    db: &Pool,
    texts: &StatementTexts<Part>,
    save: &Save,
) -> Result<BTreeSet<InvitationId>, StoreError> {
    if save.created.is_empty() {
        return Ok(BTreeSet::new());
    }
    let rows = db.query_all_raw(statement(texts, save, Part::OF_CREATES, None)).await?;
    let ids = rows.iter().map(|row| row.try_get_by_index::<Uuid>(0).map(InvitationId));
    Ok(ids.collect::<Result<_, _>>()?)
}

/// Saves the changes of a group. Returns [`StoreError::Conflict`] if rows that its decisions depend on have changed.
pub(in crate::store) async fn save<C: ConnectionTrait>(
    db: &C,
    sql: &SaveSql,
    save: &Save,
    clock: Option<Timestamp>,
) -> Result<(), StoreError> {
    match sql {
        SaveSql::Postgres { save: texts, .. } => {
            db.query_one_raw(statement(texts, save, Part::ALL, clock)).await?;
        }
        SaveSql::Sqlite(statements) => {
            for ((part, sqls), set) in statements.iter().zip(sets(save, Part::ALL)) {
                if part.is_row_by_row() {
                    for row in set.apart() {
                        save_set(db, *part, sqls, row).await?;
                    }
                } else {
                    save_set(db, *part, sqls, set).await?;
                }
            }
        }
    }
    Ok(())
}

/// Runs the statements of one part on SQLite, unless it has no rows.
async fn save_set<C: ConnectionTrait>(db: &C, part: Part, sqls: &[String], set: RowsParam) -> Result<(), StoreError> {
    let (rows, Some((sql, before))) = (set.len(), sqls.split_last()) else { return Ok(()) };
    if rows == 0 {
        return Ok(());
    }
    let values = set.params(DbBackend::Sqlite);
    for sql in before {
        db.execute_raw(Statement::from_sql_and_values(DbBackend::Sqlite, sql, values.clone())).await?;
    }
    let done = db.execute_raw(Statement::from_sql_and_values(DbBackend::Sqlite, sql, values)).await?;
    if part.is_guarded() && done.rows_affected() != rows as u64 {
        return Err(StoreError::Conflict);
    }
    Ok(())
}
