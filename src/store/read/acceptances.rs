//! Reads of acceptances: one by its name, and pages of one invitation's, by age.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, DbBackend, EntityTrait as _, QueryFilter, QueryOrder as _, QuerySelect as _, QueryTrait as _,
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
use crate::store::sql::entity::acceptance::{Column, Entity, Model};
use crate::store::sql::error::StoreError;
use crate::store::sql::row::row_from;
use crate::store::sql::rows_param::{in_index, json_object, nil_uuid};
use crate::store::{Reads, TimeRange};

/// The filters of a list of acceptances.
#[derive(Clone, Debug)]
pub struct AcceptanceFilter {
    /// Only those by this subject, of which one at most of an invitation is not undone.
    pub subject: Option<Subject>,
    /// Only those in one of these states; empty means all.
    pub states: Vec<AcceptanceState>,
    /// The moment at which they are in these states.
    pub now: Timestamp,
    /// Only acceptances of this span.
    pub accepted: TimeRange,
}

impl Default for AcceptanceFilter {
    fn default() -> Self {
        let (subject, states, accepted) = (None, Vec::new(), TimeRange::default());
        Self { subject, states, now: Timestamp::from_micros(0), accepted }
    }
}

/// A page of the acceptances of an invitation.
#[derive(Clone, Debug)]
pub struct AcceptanceQuery {
    /// The invitation.
    pub invitation: InvitationId,
    /// The kind that the invitation has to have; `None` for any kind.
    pub kind: Option<Kind>,
    /// The filters.
    pub filter: AcceptanceFilter,
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
        let filter = AcceptanceFilter::default();
        Self { invitation, kind: None, filter, ascending: false, limit, after: None }
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
        let (owner, filter) = (owner(reach, query.invitation, query.kind), &query.filter);
        let backend = self.database.backend();
        // Ids sort by age. One subject is looked up; all are read in their order.
        let own = match filter.subject {
            Some(_) => in_index(backend, "subject", Column::AccountId, reach.account().as_str()),
            None => Column::AccountId.eq(reach.account().as_str()),
        };
        let (mark, mut moments) = (if backend == DbBackend::Postgres { "$1" } else { "?" }, Vec::new());
        let states = filter.in_states(backend, "acceptance", || {
            moments.push(filter.now.micros());
            mark.to_owned()
        });
        let states = states.map(|states| Expr::cust_with_values(states, moments));
        let page = Entity::find()
            .filter(own)
            .filter(Column::InvitationId.eq(query.invitation.0))
            .apply_if(filter.subject.as_ref(), |page, subject| page.filter(Column::Subject.eq(&subject.0)))
            .apply_if(states, QueryFilter::filter)
            .apply_if(query.after.as_ref(), |page, cursor| page.filter(behind(Column::Id, cursor.id, query.ascending)))
            .apply_if(filter.accepted.start, |page, start| page.filter(Column::AcceptedAt.gte(start.micros())))
            .apply_if(filter.accepted.end, |page, end| page.filter(Column::AcceptedAt.lt(end.micros())))
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

impl AcceptanceFilter {
    /// Returns the condition for an acceptance of a table to be in one of the states; `None` if all are. It is the rule of
    /// `Acceptance::state_at`. `now` is called for each mention of the moment.
    pub(in crate::store) fn in_states(
        &self,
        backend: DbBackend,
        table: &str,
        mut now: impl FnMut() -> String,
    ) -> Option<String> {
        let nil = nil_uuid(backend);
        let condition = |state: &AcceptanceState| match state {
            AcceptanceState::Active => {
                let until = format!("{table}.grant_expire_at");
                format!("{table}.released_at IS NULL AND ({until} IS NULL OR {until} > {})", now())
            }
            AcceptanceState::Expired => {
                format!("{table}.released_at IS NULL AND {table}.grant_expire_at <= {}", now())
            }
            AcceptanceState::Released => {
                format!("{table}.released_at IS NOT NULL AND {table}.undone_id <> {nil}")
            }
            AcceptanceState::Ended => format!("{table}.released_at IS NOT NULL AND {table}.undone_id = {nil}"),
        };
        let any: Vec<_> = self.states.iter().map(condition).collect();
        (!any.is_empty()).then(|| format!("({})", any.join(" OR ")))
    }
}
