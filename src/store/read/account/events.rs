//! The events of all invitations of an account, in the one order of all events: that of their commits.

use sea_orm::{DbBackend, QueryResult};

use super::{AccountPage, AccountRows, Key, Look, Params, params_of};
use crate::domain::invitation::event::{Event, EventFilter};
use crate::domain::reach::Reach;
use crate::store::read::filter::in_range;
use crate::store::read::positions::{chosen_sql, host_of};
use crate::store::sql::entity::event::Entity;
use crate::store::sql::error::StoreError;
use crate::store::sql::row::row_from;
use crate::store::{PositionRange, Reads, TimeRange};

/// A page of the events of an account.
#[derive(Clone, Debug, Default)]
pub struct AccountEvents {
    /// The filter.
    pub filter: EventFilter,
    /// Only events of this span.
    pub time: TimeRange,
    /// The positions that all events of the span have.
    pub positions: PositionRange,
    /// The page.
    pub page: AccountPage,
}

/// The organization that hosts the invitation of event `t`, if one does.
const HOST: &str = ", (SELECT i.scope_id FROM invitation i WHERE t.kind = 'guest' AND i.account_id = t.account_id
    AND i.id = t.invitation_id LIMIT 1) AS host";

impl AccountEvents {
    fn look(&self, backend: DbBackend, reach: &Reach, params: &mut Params) -> Look<'static> {
        let mut span = vec!["t.position IS NOT NULL".to_owned()];
        let PositionRange { after, until } = self.positions;
        let ends = after.map(|after| (">", after)).into_iter().chain(until.map(|until| ("<=", until)));
        span.extend(ends.map(|(compare, position)| format!("t.position {compare} {}", params.push(position))));
        let filter = self.filter.clone().within(reach);
        let may_be_few = !filter.is_all();
        let mut chosen = in_range("t.occurred_at", self.time, params);
        chosen.push(chosen_sql(backend, "t", &filter, params));
        Look {
            table: "event",
            names: &["invitation_id", "sequence"],
            tag: "position",
            order: &[Key::Number("position")],
            span,
            chosen,
            may_be_few,
            more: HOST,
        }
    }
}

impl Reads {
    /// Reads a page of the events of all invitations within a reach, those without a position excepted.
    pub async fn list_account_events(
        &self,
        reach: &Reach,
        query: &AccountEvents,
    ) -> Result<AccountRows<Event>, StoreError> {
        let mut params = params_of(reach);
        let look = query.look(self.database.backend(), reach, &mut params);
        self.look(reach, (&look, &query.page), params, |row| within(reach, row)).await
    }
}

/// Reads an event, if the reach includes its invitation, which may be deleted.
fn within(reach: &Reach, row: &QueryResult) -> Result<Option<Event>, StoreError> {
    let event = row_from::<Entity>(row).and_then(Event::try_from)?;
    let host = row.try_get::<Option<String>>("", "host")?.or_else(|| host_of(&event));
    let is_within = reach.includes(host.and_then(|host| host.parse().ok()));
    Ok(Some(event).filter(|_| is_within))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::invitation::event::EventType;

    pub(in super::super) fn sql(backend: DbBackend, reach: &Reach, page: &AccountPage) -> String {
        let filter = EventFilter { types: vec![EventType::Accepted.into()], ..EventFilter::default() };
        let positions = PositionRange { after: Some(1), until: Some(9) };
        let query = AccountEvents { filter, positions, ..AccountEvents::default() };
        let mut params = params_of(reach);
        query.look(backend, reach, &mut params).sql(backend, page, &mut params)
    }
}
