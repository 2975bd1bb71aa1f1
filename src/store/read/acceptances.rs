//! Reads of acceptances: one by its name, and pages of one invitation's, by age.

use sea_orm::{
    ColumnTrait as _, Condition, DbBackend, EntityTrait as _, QueryFilter, QueryOrder as _, QuerySelect as _,
    QueryTrait as _,
};
use serde::Deserialize;
use uuid::Uuid;

use super::rows::Lookup;
use super::unreadable::FullPage;
use super::{Cursor, behind, order, owner, page_of_owner};
use crate::domain::invitation::acceptance::{Acceptance, AcceptanceState, Subject};
use crate::domain::kind::Kind;
use crate::domain::reach::Reach;
use crate::domain::value::id::{AcceptanceId, InvitationId};
use crate::domain::value::time::Timestamp;
use crate::store::Reads;
use crate::store::sql::entity::acceptance::{Column, Entity, Model};
use crate::store::sql::error::StoreError;
use crate::store::sql::row::row_from;
use crate::store::sql::rows_param::{in_index, json_object};

/// The filters of a list of acceptances.
#[derive(Clone, Debug)]
pub struct AcceptanceQuery {
    /// The invitation.
    pub invitation: InvitationId,
    /// The kind that the invitation has to have; `None` for any kind.
    pub kind: Option<Kind>,
    /// Only those by this subject, of which one at most is not undone.
    pub subject: Option<Subject>,
    /// Only those in one of these states at a moment; empty means all.
    pub states: (Vec<AcceptanceState>, Timestamp),
    /// Whether the oldest come first, instead of the newest.
    pub ascending: bool,
    /// The most rows.
    pub limit: u64,
    /// The place behind which the list continues.
    pub after: Option<Cursor>,
}

impl AcceptanceQuery {
    /// Returns the query for all acceptances of an invitation, the newest first.
    pub fn of(invitation: InvitationId, limit: u64) -> Self {
        Self {
            invitation,
            kind: None,
            subject: None,
            states: (Vec::new(), Timestamp::from_micros(0)),
            ascending: false,
            limit,
            after: None,
        }
    }
}

/// An acceptance that is looked up, and the host of its invitation.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::store) struct HostedAcceptance {
    acceptance: Model,
    host: Option<Uuid>,
}

impl HostedAcceptance {
    /// Looks up acceptances by their invitation and their id.
    pub(in crate::store) fn lookup(backend: DbBackend) -> Lookup<2> {
        let whole = Lookup::of::<Entity>(backend, [Column::InvitationId, Column::Id]);
        let quote = if backend == DbBackend::Postgres { "to_json" } else { "json_quote" };
        let host = format!(
            "(SELECT {quote}(i.scope_id) FROM invitation i
            WHERE i.account_id = t.account_id AND i.id = t.invitation_id AND i.kind = '{}')",
            Kind::Guest.code()
        );
        let body = json_object(backend, &[("acceptance", whole.body), ("host", host)]);
        Lookup { body, ..whole }
    }
}

impl Reads {
    /// Reads a page of acceptances by age; `None` if the reach includes no such invitation.
    pub async fn list_acceptances(
        &self,
        reach: &Reach,
        query: &AcceptanceQuery,
    ) -> Result<Option<Vec<Acceptance>>, StoreError> {
        let (mut query, mut page) = (query.clone(), FullPage::new(query.limit));
        loop {
            let Some(found) = self.acceptances_of(reach, &query).await? else { return Ok(None) };
            let Some(read_on) = page.add(query.limit, found)? else { return Ok(Some(page.into_rows())) };
            query = AcceptanceQuery { after: Some(read_on.after), limit: read_on.limit, ..query };
        }
    }

    /// Reads an acceptance of an invitation, if the reach includes it.
    pub async fn get_acceptance(
        &self,
        reach: &Reach,
        invitation: InvitationId,
        id: AcceptanceId,
    ) -> Result<Option<Acceptance>, StoreError> {
        let found = self.acceptances.read(reach, [invitation.0, id.0]).await?;
        let found = found.filter(|found| reach.includes(found.host));
        found.map(|found| Acceptance::try_from(found.acceptance)).transpose()
    }

    /// Reads acceptances, each with the place behind which the list continues. Returns `None` if the account has no
    /// such invitation.
    async fn acceptances_of(
        &self,
        reach: &Reach,
        query: &AcceptanceQuery,
    ) -> Result<Option<Vec<(Cursor, Result<Acceptance, StoreError>)>>, StoreError> {
        let owner = owner(reach, query.invitation, query.kind);
        // Ids sort by age.
        // One subject is looked up; all are read in their order.
        let own = match query.subject {
            Some(_) => in_index(self.database.backend(), "subject", Column::AccountId, reach.account().as_str()),
            None => Column::AccountId.eq(reach.account().as_str()),
        };
        let page = Entity::find()
            .filter(own)
            .filter(Column::InvitationId.eq(query.invitation.0))
            .apply_if(query.subject.as_ref(), |page, subject| page.filter(Column::Subject.eq(&subject.0)))
            .apply_if(in_states(&query.states.0, query.states.1), QueryFilter::filter)
            .apply_if(query.after.as_ref(), |page, cursor| page.filter(behind(Column::Id, cursor.id, query.ascending)))
            .order_by(Column::Id, order(query.ascending))
            .limit(query.limit);
        let select = page_of_owner(owner, page, (Column::Id, order(query.ascending)));
        let rows = self.database.list(reach, self.database.backend().build(&select)).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let mut found = Vec::new();
        for row in rows {
            let Some(id) = row.try_get::<Option<Uuid>>("", "id")? else { continue };
            found.push((Cursor::of_id(id), row_from::<Entity>(&row).and_then(Acceptance::try_from)));
        }
        Ok(Some(found))
    }
}

/// Returns the condition for an acceptance to be in one of some states at a moment; `None` if all are. It is the rule of
/// `Acceptance::state_at`.
fn in_states(states: &[AcceptanceState], now: Timestamp) -> Option<Condition> {
    let stands = || Condition::all().add(Column::ReleasedAt.is_null());
    let ended = || Condition::all().add(Column::ReleasedAt.is_not_null());
    let condition = |state: &AcceptanceState| match state {
        AcceptanceState::Active => {
            let never = Column::GrantExpireAt.is_null();
            stands().add(Condition::any().add(never).add(Column::GrantExpireAt.gt(now.micros())))
        }
        AcceptanceState::Expired => stands().add(Column::GrantExpireAt.lte(now.micros())),
        AcceptanceState::Released => ended().add(Column::UndoneId.ne(Uuid::nil())),
        AcceptanceState::Ended => ended().add(Column::UndoneId.eq(Uuid::nil())),
    };
    let any = states.iter().map(condition).fold(Condition::any(), Condition::add);
    (!states.is_empty()).then_some(any)
}
