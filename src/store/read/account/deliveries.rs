//! The messages of all invitations of an account, by the time of their creation.

use sea_orm::QueryResult;

use super::{AccountPage, AccountRows, Key, Look, Params, params_of, reached};
use crate::domain::delivery::{Delivery, DeliveryState, Purpose};
use crate::domain::invitation::recipient::AddressType;
use crate::domain::reach::Reach;
use crate::store::read::filter::in_range;
use crate::store::sql::entity::outbox::Entity;
use crate::store::sql::error::StoreError;
use crate::store::sql::row::{delivery_from, row_from};
use crate::store::{Reads, TimeRange};

/// The states of the messages that nobody got, which have an index of their own.
const UNDELIVERED: [DeliveryState; 3] = [DeliveryState::Bounced, DeliveryState::Failed, DeliveryState::Suppressed];

/// A page of the messages of an account.
#[derive(Clone, Debug, Default)]
pub struct AccountDeliveries {
    /// Only messages in these states; empty means all.
    pub states: Vec<DeliveryState>,
    /// Only messages that were created in this span.
    pub created: TimeRange,
    /// The page.
    pub page: AccountPage,
}

/// A message, and the address that it goes to, if it is still known.
#[derive(Clone, Debug)]
pub struct ListedDelivery {
    /// The message.
    pub delivery: Delivery,
    /// The address as it was given.
    pub address: Option<String>,
}

impl AccountDeliveries {
    fn look<'a>(&self, reach: &Reach, more: &'a str, params: &mut Params) -> Look<'a> {
        let mut span = in_range("t.created_at", self.created, params);
        let is_undelivered = !self.states.is_empty() && self.states.iter().all(|state| UNDELIVERED.contains(state));
        if is_undelivered {
            // SQLite takes the index only if the statement has the very condition of it.
            let any = UNDELIVERED.map(|state| format!("t.state = '{}'", state.code()));
            span.push(format!("({})", any.join(" OR ")));
        }
        let is_whole_index = is_undelivered && UNDELIVERED.iter().all(|state| self.states.contains(state));
        let mut chosen = Vec::from_iter(reached(reach, params));
        if !self.states.is_empty() && !is_whole_index {
            let states = params.list(self.states.iter().map(|state| state.code()));
            chosen.push(format!("t.state || '' IN ({states})"));
        }
        Look {
            table: "outbox",
            names: &["id"],
            tag: if is_undelivered { "undelivered" } else { "age" },
            order: &[Key::Number("created_at"), Key::Id("id")],
            span,
            may_be_few: !chosen.is_empty(),
            chosen,
            more,
        }
    }
}

/// Returns the column for the address of the recipient of message `t`, or of the inviter if it is a notice.
fn known_email() -> String {
    let notices: Vec<_> = Purpose::ALL.into_iter().filter(|purpose| purpose.is_notice()).map(Purpose::code).collect();
    format!(
        ", CASE WHEN t.purpose IN ('{notices}') THEN (SELECT i.details->'inviter'->>'email' FROM invitation i
                WHERE i.account_id = t.account_id AND i.id = t.invitation_id)
            ELSE (SELECT r.original FROM recipient r WHERE r.account_id = t.account_id AND r.invitation_id = t.invitation_id
                AND r.ordinal = t.recipient AND r.recipient_type = '{email}' LIMIT 1) END AS known_email",
        notices = notices.join("', '"),
        email = AddressType::Email.code()
    )
}

impl Reads {
    /// Reads a page of the messages of all invitations within a reach.
    pub async fn list_account_deliveries(
        &self,
        reach: &Reach,
        query: &AccountDeliveries,
    ) -> Result<AccountRows<ListedDelivery>, StoreError> {
        let (mut params, more) = (params_of(reach), known_email());
        let look = query.look(reach, &more, &mut params);
        self.look(reach, (&look, &query.page), params, |row| listed(row).map(Some)).await
    }
}

fn listed(row: &QueryResult) -> Result<ListedDelivery, StoreError> {
    let (_, delivery) = row_from::<Entity>(row).and_then(delivery_from)?;
    let own = delivery.message.address.as_ref().map(|email| email.original().to_owned());
    let address = own.or(row.try_get("", "known_email")?);
    Ok(ListedDelivery { delivery, address })
}

#[cfg(test)]
pub(super) mod tests {
    use sea_orm::DbBackend;

    use super::*;

    pub(in super::super) fn sql(backend: DbBackend, reach: &Reach, page: &AccountPage) -> String {
        let query = AccountDeliveries { states: vec![DeliveryState::Bounced], ..AccountDeliveries::default() };
        let (mut params, more) = (params_of(reach), known_email());
        query.look(reach, &more, &mut params).sql(backend, page, &mut params)
    }
}
