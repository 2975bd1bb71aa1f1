//! The acceptances of all invitations of an account, by age.

use std::time::Duration;

use sea_orm::DbBackend;

use super::{AccountPage, AccountRows, Key, Look, Params, params_of, reached};
use crate::domain::invitation::acceptance::Acceptance;
use crate::domain::reach::Reach;
use crate::domain::value::id::least_id;
use crate::store::Reads;
use crate::store::read::acceptances::AcceptanceFilter;
use crate::store::read::filter::in_range;
use crate::store::sql::entity::acceptance::Entity;
use crate::store::sql::error::StoreError;
use crate::store::sql::row::row_from;

/// The time by which an acceptance may be later than its id says: commands wait for their commit at most so long.
const DISORDER: Duration = Duration::from_secs(60);

/// A page of the acceptances of an account.
#[derive(Clone, Debug, Default)]
pub struct AccountAcceptances {
    /// The filters.
    pub filter: AcceptanceFilter,
    /// The page.
    pub page: AccountPage,
}

impl AccountAcceptances {
    fn look(&self, backend: DbBackend, reach: &Reach, params: &mut Params) -> Look<'static> {
        let AcceptanceFilter { subject, now, accepted, .. } = &self.filter;
        // Ids sort by age, and a little of either side of the span is looked at.
        let start = accepted.start.map(|start| (">=", least_id(start.earlier(DISORDER))));
        let end = accepted.end.map(|end| ("<", least_id(end.later(DISORDER))));
        let ends = start.into_iter().chain(end);
        let span = ends.map(|(compare, id)| format!("t.id {compare} {}", params.push(id))).collect();
        let mut chosen = Vec::from_iter(reached(reach, params));
        chosen.extend(subject.as_ref().map(|subject| format!("t.subject = {}", params.push(subject.0.as_str()))));
        chosen.extend(self.filter.in_states(backend, "t", || params.push(now.micros())));
        let may_be_few = !chosen.is_empty();
        chosen.extend(in_range("t.accepted_at", *accepted, params));
        Look {
            table: "acceptance",
            names: &["invitation_id", "id"],
            tag: "age",
            order: &[Key::Id("id")],
            span,
            chosen,
            may_be_few,
            more: "",
        }
    }
}

impl Reads {
    /// Reads a page of the acceptances of all invitations within a reach.
    pub async fn list_account_acceptances(
        &self,
        reach: &Reach,
        query: &AccountAcceptances,
    ) -> Result<AccountRows<Acceptance>, StoreError> {
        let mut params = params_of(reach);
        let look = query.look(self.database.backend(), reach, &mut params);
        let read = |row: &_| row_from::<Entity>(row).and_then(Acceptance::try_from).map(Some);
        self.look(reach, (&look, &query.page), params, read).await
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::invitation::acceptance::AcceptanceState;
    use crate::domain::value::time::Timestamp;
    use crate::store::TimeRange;

    pub(in super::super) fn sql(backend: DbBackend, reach: &Reach, page: &AccountPage) -> String {
        let accepted = TimeRange { start: Some(Timestamp::from_micros(1)), end: None };
        let filter =
            AcceptanceFilter { accepted, states: vec![AcceptanceState::Active], ..AcceptanceFilter::default() };
        let query = AccountAcceptances { filter, ..AccountAcceptances::default() };
        let mut params = params_of(reach);
        query.look(backend, reach, &mut params).sql(backend, page, &mut params)
    }
}
