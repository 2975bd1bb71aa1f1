//! The recipients of all invitations of an account: the invitations by age, and those of each by their ordinals.
//!
//! Both orders have an index already, so a page goes along the invitations and looks the recipients of each up.

use sea_orm::{DbBackend, QueryResult, Statement};
use uuid::Uuid;

use super::{AccountPage, AccountRows, OWN, params_of};
use crate::domain::delivery::{DeliveryState, Purpose};
use crate::domain::invitation::recipient::{AddressType, RecipientState};
use crate::domain::kind::Kind;
use crate::domain::reach::{Extent, Reach};
use crate::domain::value::id::InvitationId;
use crate::store::read::filter::in_range;
use crate::store::read::recipients::listed;
use crate::store::read::unreadable::skip_unreadable;
use crate::store::read::{Cursor, Params, SortKey, direction};
use crate::store::sql::error::StoreError;
use crate::store::sql::rows_param::by_index;
use crate::store::{ListedRecipient, Reads, TimeRange};

/// The most invitations that a page looks at in search of recipients that its filters let through.
const MAX_LOOK: u64 = 1_000;

/// A page of the recipients of an account.
#[derive(Clone, Debug, Default)]
pub struct AccountRecipients {
    /// Only recipients in one of these states; `None` for any state.
    pub states: Option<Vec<RecipientState>>,
    /// Only recipients of invitations that were created in this span.
    pub created: TimeRange,
    /// The page.
    pub page: AccountPage,
}

impl AccountRecipients {
    /// Returns the most invitations that are looked at. Most of them have a recipient.
    fn scan(&self, reach: &Reach) -> u64 {
        let may_be_few = self.states.is_some() || !reach.is_whole();
        if may_be_few { MAX_LOOK.max(self.page.limit) } else { self.page.limit }
    }

    /// Returns the statement. Its first row has the number of invitations that were looked at and the last of them, also if no
    /// recipient is shown.
    fn sql(&self, backend: DbBackend, reach: &Reach, params: &mut Params) -> String {
        let (compare, order) = direction(!self.page.ascending);
        let (_, backwards) = direction(self.page.ascending);
        let mut looked = vec![by_index(backend, "age", "i", OWN)];
        looked.extend(in_range("i.created_at", self.created, params));
        let mut shown = vec![format!("r.account_id = {OWN} AND r.invitation_id = l.id")];
        if let Some(Cursor { key, id, ordinal, .. }) = &self.page.after {
            let (at, id) = (params.push(key.clone()), params.push(*id));
            // The invitation of the last recipient may have more of them.
            let or_equal = if ordinal.is_some() { "=" } else { "" };
            looked.push(format!("(i.created_at, i.id) {compare}{or_equal} ({at}, {id})"));
            shown.extend(
                ordinal.map(|ordinal| {
                    format!("(l.id <> {id} OR r.ordinal {compare} {})", params.push(i32::from(ordinal)))
                }),
            );
        }
        shown.extend(hosted(reach, params));
        shown.extend(self.states.as_deref().map(in_states));
        let limit = params.push(self.page.limit.cast_signed());
        let shown = format!("SELECT r.* FROM recipient r WHERE {}", shown.join(" AND "));
        let recipients = if backend == DbBackend::Postgres {
            format!("looked l CROSS JOIN LATERAL ({shown} ORDER BY r.ordinal {order} LIMIT {limit}) r")
        } else {
            let (_, conditions) = shown.split_once(" WHERE ").unwrap_or_default();
            format!("looked l CROSS JOIN recipient r ON {conditions}")
        };
        let place = |alias: &str, order: &str| format!("{alias}.owner_created_at {order}, {alias}.owner_id {order}");
        let end = |column: &str| {
            format!("(SELECT l.{column} FROM looked l ORDER BY l.created_at {backwards}, l.id {backwards} LIMIT 1)")
        };
        format!(
            "WITH looked AS MATERIALIZED (
                SELECT i.id, i.created_at, i.kind, i.scope_id, i.generation, i.key_id FROM invitation i WHERE {looked}
                ORDER BY i.created_at {order}, i.id {order} LIMIT {scan}),
            page AS MATERIALIZED (
                SELECT r.*, l.id AS owner_id, l.created_at AS owner_created_at, l.kind AS owner_kind,
                    l.scope_id AS owner_scope_id, l.generation AS owner_generation, l.key_id AS owner_key_id
                FROM {recipients} ORDER BY l.created_at {order}, l.id {order}, r.ordinal {order} LIMIT {limit}),
            latest AS MATERIALIZED ({latest})
            SELECT (SELECT count(*) FROM looked) AS looked, {end_at} AS end_at, {end_id} AS end_id, p.*,
                m.state AS latest_state
            FROM (SELECT 1 AS one) o LEFT JOIN page p ON 1 = 1
            LEFT JOIN latest m ON m.invitation_id = p.owner_id AND m.recipient = p.ordinal AND m.place = 1
            ORDER BY {by_page}, p.ordinal {order}",
            looked = looked.join(" AND "),
            scan = params.push(self.scan(reach).cast_signed()),
            latest = latest_sql(backend),
            end_at = end("created_at"),
            end_id = end("id"),
            by_page = place("p", order),
        )
    }
}

/// Returns the statement for the messages that bring the recipients of a page the link, numbered from the latest one on.
fn latest_sql(backend: DbBackend) -> String {
    let [invitation, reminder] = [Purpose::Invitation, Purpose::Reminder].map(Purpose::code);
    let own = format!(
        "{own} AND o.invitation_id = q.owner_id AND (o.purpose = '{invitation}' OR o.purpose = '{reminder}' AND o.attempts > 0)
            AND o.state || '' <> '{cancelled}'",
        own = by_index(backend, "invitation", "o", OWN),
        cancelled = DeliveryState::Cancelled.code(),
    );
    let messages = if backend == DbBackend::Postgres {
        // The OFFSET keeps PostgreSQL from reading all messages for a hash join.
        format!("CROSS JOIN LATERAL (SELECT o.* FROM outbox o WHERE {own} OFFSET 0) o")
    } else {
        format!("CROSS JOIN outbox o ON {own}")
    };
    format!(
        "SELECT o.invitation_id, o.recipient, o.state, row_number() OVER (
                PARTITION BY o.invitation_id, o.recipient ORDER BY o.created_at DESC, o.id DESC) AS place
            FROM (SELECT DISTINCT owner_id FROM page) q {messages}"
    )
}

/// Returns the condition for invitation `l` to be within a reach, beyond that of its account; `None` if all are.
fn hosted(reach: &Reach, params: &mut Params) -> Option<String> {
    match reach.extent() {
        Extent::Account => None,
        Extent::Hosts(hosts) => {
            let hosts = params.list(hosts.iter().map(ToString::to_string));
            Some(format!("l.kind = '{}' AND l.scope_id IN ({hosts})", Kind::Guest.code()))
        }
        Extent::Person(..) => Some("1 = 0".to_owned()),
    }
}

/// Returns the condition for recipient `r` to be in one of some states; none is in one of no states.
fn in_states(states: &[RecipientState]) -> String {
    let gone = [AddressType::Erased, AddressType::Removed].map(|gone| format!("'{}'", gone.code())).join(", ");
    let state = |state: &RecipientState| match state {
        RecipientState::Open => {
            format!("r.accepted_at IS NULL AND r.declined_at IS NULL AND r.recipient_type NOT IN ({gone})")
        }
        RecipientState::Removed => {
            format!("r.accepted_at IS NULL AND r.declined_at IS NULL AND r.recipient_type IN ({gone})")
        }
        RecipientState::Accepted => "r.accepted_at IS NOT NULL".to_owned(),
        RecipientState::Declined => "r.accepted_at IS NULL AND r.declined_at IS NOT NULL".to_owned(),
    };
    let states: Vec<_> = std::iter::once("1 = 0".to_owned()).chain(states.iter().map(state)).collect();
    format!("({})", states.join(" OR "))
}

impl Reads {
    /// Reads a page of the recipients of all invitations within a reach.
    pub async fn list_account_recipients(
        &self,
        reach: &Reach,
        query: &AccountRecipients,
    ) -> Result<AccountRows<ListedRecipient>, StoreError> {
        let (backend, mut params) = (self.database.backend(), params_of(reach));
        let sql = query.sql(backend, reach, &mut params);
        let found = self.database.list(reach, Statement::from_sql_and_values(backend, sql, params.0)).await?;
        let (mut rows, mut last, mut picked) = (Vec::new(), None, 0);
        for row in &found {
            let Some(ordinal) = row.try_get::<Option<i32>>("", "ordinal")? else { continue };
            let cursor = Cursor { ordinal: u16::try_from(ordinal).ok(), ..place(row, "owner_created_at", "owner_id")? };
            let shown = skip_unreadable(listed(row, InvitationId(cursor.id)))?;
            rows.extend(shown.map(|shown| (cursor.clone(), shown)));
            (last, picked) = (Some(cursor), picked + 1);
        }
        let Some(first) = found.first() else { return Ok(AccountRows { rows, goes_on: None }) };
        let has_looked_at_all = first.try_get::<i64>("", "looked")?.cast_unsigned() < query.scan(reach);
        let goes_on = match last {
            last if picked >= query.page.limit => last,
            _ if has_looked_at_all => None,
            _ => Some(place(first, "end_at", "end_id")?),
        };
        Ok(AccountRows { rows, goes_on })
    }
}

/// Returns the place behind an invitation.
fn place(row: &QueryResult, at: &str, id: &str) -> Result<Cursor, StoreError> {
    let key = SortKey::Number(row.try_get("", at)?);
    Ok(Cursor { key, ..Cursor::of_id(row.try_get::<Uuid>("", id)?) })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn sql(backend: DbBackend, reach: &Reach, page: &AccountPage) -> String {
        let page =
            AccountPage { after: page.after.clone().map(|after| Cursor { ordinal: Some(1), ..after }), ..page.clone() };
        let query =
            AccountRecipients { states: Some(vec![RecipientState::Open]), page, ..AccountRecipients::default() };
        let mut params = params_of(reach);
        query.sql(backend, reach, &mut params)
    }
}
