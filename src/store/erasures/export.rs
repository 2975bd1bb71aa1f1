//! The reads of an export: the invitations that a person has something in, and what of each is theirs.

use std::collections::BTreeSet;

use sea_orm::sea_query::{Condition, Expr};
use sea_orm::{
    ColumnTrait as _, DbBackend, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    QueryTrait as _, Statement, Value,
};
use uuid::Uuid;

use crate::domain::delivery::Delivery;
use crate::domain::invitation::acceptance::Acceptance;
use crate::domain::invitation::event::Event;
use crate::domain::value::id::{AcceptanceId, InvitationId};
use crate::domain::value::text::AccountId;
use crate::store::Reads;
use crate::store::read::direction;
use crate::store::read::unreadable::skip_unreadable;
use crate::store::sql::entity::{acceptance, event, outbox};
use crate::store::sql::error::StoreError;
use crate::store::sql::row::{delivery_from, row_from};
use crate::store::sql::rows_param::{by_index, in_index};

/// The most events, messages and acceptances of a person that are read of one invitation.
const MOST: u64 = 1_000;

impl Reads {
    /// Reads the ids of the next invitations that are addressed to a person, or that they accepted, in the order of ids, which is that
    /// of creation.
    pub async fn person_invitations(
        &self,
        account: &AccountId,
        address: &str,
        (after, ascending, limit): (Option<Uuid>, bool, u64),
    ) -> Result<Vec<InvitationId>, StoreError> {
        let backend = self.database.backend();
        let (compare, order) = direction(!ascending);
        let behind = if after.is_some() { format!("AND t.invitation_id {compare} $4") } else { String::new() };
        let sql = format!(
            "SELECT t.invitation_id FROM recipient t WHERE {recipients} AND t.recipient_type = 'email' AND t.value = $2 {behind}
            UNION SELECT t.invitation_id FROM acceptance t WHERE {acceptances} AND t.email_key = $2 {behind}
            ORDER BY 1 {order} LIMIT $3",
            recipients = by_index(backend, "address", "t", "$1"),
            acceptances = by_index(backend, "email", "t", "$1"),
        );
        let mut values: Vec<Value> = vec![account.as_str().into(), address.into(), limit.cast_signed().into()];
        values.extend(after.map(Value::from));
        let rows = self.database.list_of_account(account, Statement::from_sql_and_values(backend, sql, values)).await?;
        rows.iter().map(|row| Ok(InvitationId(row.try_get("", "invitation_id")?))).collect()
    }

    /// Reads the acceptances of an invitation with an address, or by some of its recipients.
    pub async fn person_acceptances(
        &self,
        account: &AccountId,
        invitation: InvitationId,
        (address, recipients): (&str, &BTreeSet<u16>),
    ) -> Result<Vec<Acceptance>, StoreError> {
        use acceptance::Column;
        let by_recipient = Column::Recipient.is_in(recipients.iter().copied().map(i32::from));
        let select = acceptance::Entity::find()
            .filter(Column::AccountId.eq(account.as_str()))
            .filter(Column::InvitationId.eq(invitation.0))
            .filter(Condition::any().add(Column::EmailKey.eq(address)).add(by_recipient))
            .order_by_asc(Column::Id)
            .limit(MOST);
        let rows = self.database.list_of_account(account, self.database.backend().build(select.as_query())).await?;
        let read =
            rows.iter().map(|row| skip_unreadable(row_from::<acceptance::Entity>(row).and_then(Acceptance::try_from)));
        Ok(read.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// Reads the messages of an invitation to some of its recipients.
    pub async fn person_messages(
        &self,
        account: &AccountId,
        invitation: InvitationId,
        recipients: &BTreeSet<u16>,
    ) -> Result<Vec<Delivery>, StoreError> {
        use outbox::Column;
        let backend = self.database.backend();
        let select = outbox::Entity::find()
            .filter(in_index(backend, "invitation", Column::AccountId, account.as_str()))
            .filter(Column::InvitationId.eq(invitation.0))
            .filter(Column::Recipient.is_in(recipients.iter().copied().map(i32::from)))
            .order_by_asc(Column::CreatedAt)
            .limit(MOST);
        let rows = self.database.list_of_account(account, backend.build(select.as_query())).await?;
        let read = rows.iter().map(|row| skip_unreadable(row_from::<outbox::Entity>(row).and_then(delivery_from)));
        Ok(read.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().map(|(_, delivery)| delivery).collect())
    }

    /// Reads the events of an invitation that are about some of its recipients or acceptances, and all of them if it is `whole`.
    pub async fn person_events(
        &self,
        account: &AccountId,
        invitation: InvitationId,
        (recipients, acceptances, whole): (&BTreeSet<u16>, &BTreeSet<AcceptanceId>, bool),
    ) -> Result<Vec<Event>, StoreError> {
        use event::Column;
        let field = |name: &str| match self.database.backend() {
            DbBackend::Postgres => format!("(data #>> '{{payload,{name}}}')"),
            _ => format!("CAST(json_extract(data, '$.payload.{name}') AS text)"),
        };
        // The ids and numbers are this service's own, so they need no parameters.
        let listed = |ids: Vec<String>| ids.iter().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(", ");
        let recipients = listed(recipients.iter().map(ToString::to_string).collect());
        let acceptances = listed(acceptances.iter().map(|id| id.0.to_string()).collect());
        let mut about = Vec::new();
        about.extend((!recipients.is_empty()).then(|| format!("{} IN ({recipients})", field("recipient"))));
        about.extend((!acceptances.is_empty()).then(|| format!("{} IN ({acceptances})", field("acceptance"))));
        if about.is_empty() && !whole {
            return Ok(Vec::new());
        }
        let about = if whole { "true".to_owned() } else { format!("({})", about.join(" OR ")) };
        let select = event::Entity::find()
            .filter(Column::AccountId.eq(account.as_str()))
            .filter(Column::InvitationId.eq(invitation.0))
            .filter(Expr::cust(about))
            .order_by_asc(Column::Sequence)
            .limit(MOST);
        let rows = self.database.list_of_account(account, self.database.backend().build(select.as_query())).await?;
        let read = rows.iter().map(|row| skip_unreadable(row_from::<event::Entity>(row).and_then(Event::try_from)));
        Ok(read.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }
}
