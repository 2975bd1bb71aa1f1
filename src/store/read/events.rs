//! Reads of the audit trail: pages of one invitation's events.

use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait as _,
};

use super::unreadable::FullPage;
use super::{Cursor, behind, order, owner, page_of_owner};
use crate::domain::invitation::event::{Event, EventTypeFilter};
use crate::domain::kind::Kind;
use crate::domain::reach::Reach;
use crate::domain::value::id::InvitationId;
use crate::store::sql::entity::event::{Column, Entity};
use crate::store::sql::error::StoreError;
use crate::store::sql::row::row_from;
use crate::store::{Reads, TimeRange};

/// The filters and the order of a list of an invitation's events.
#[derive(Clone, Debug)]
pub struct EventQuery {
    /// The invitation.
    pub invitation: InvitationId,
    /// The kind that the invitation has to have; `None` for any kind.
    pub kind: Option<Kind>,
    /// Only these types and families; empty means all.
    pub types: Vec<EventTypeFilter>,
    /// Only events of this span.
    pub time: TimeRange,
    /// Whether the oldest come first, instead of the newest.
    pub ascending: bool,
    /// The most rows.
    pub limit: u64,
    /// The place behind which the list continues.
    pub after: Option<Cursor>,
}

impl EventQuery {
    /// Returns the query for all events of an invitation, the newest first.
    pub fn of(invitation: InvitationId, limit: u64) -> Self {
        let (kind, types, time, ascending, after) = (None, Vec::new(), TimeRange::default(), false, None);
        Self { invitation, kind, types, time, ascending, limit, after }
    }
}

impl Reads {
    /// Reads a page of events; `None` if the reach includes no such invitation.
    pub async fn list_events(&self, reach: &Reach, query: &EventQuery) -> Result<Option<Vec<Event>>, StoreError> {
        let (mut query, mut page) = (query.clone(), FullPage::new(query.limit));
        loop {
            let Some(found) = self.events_of(reach, &query).await? else { return Ok(None) };
            let Some(read_on) = page.add(query.limit, found)? else { return Ok(Some(page.into_rows())) };
            query = EventQuery { after: Some(read_on.after), limit: read_on.limit, ..query };
        }
    }

    /// Reads events, each with the place behind which the list continues. Returns `None` if the reach includes no
    /// such invitation.
    async fn events_of(
        &self,
        reach: &Reach,
        query: &EventQuery,
    ) -> Result<Option<Vec<(Cursor, Result<Event, StoreError>)>>, StoreError> {
        let owner = owner(reach, query.invitation, query.kind);
        let mut page = Entity::find()
            .filter(Column::AccountId.eq(reach.account().as_str()))
            .filter(Column::InvitationId.eq(query.invitation.0))
            .apply_if(query.after.as_ref(), |page, cursor| {
                page.filter(behind(Column::Sequence, cursor.key.clone(), query.ascending))
            })
            .apply_if(query.time.start, |page, start| page.filter(Column::OccurredAt.gte(start.micros())))
            .apply_if(query.time.end, |page, end| page.filter(Column::OccurredAt.lt(end.micros())))
            .order_by(Column::Sequence, order(query.ascending))
            .limit(query.limit);
        if !query.types.is_empty() {
            page = page.filter(query.types.iter().fold(Condition::any(), |any, wanted| {
                any.add(match wanted {
                    EventTypeFilter::Type(event_type) => Column::EventType.eq(event_type.name()),
                    EventTypeFilter::Family(family) => Column::EventType.starts_with(family.prefix()),
                })
            }));
        }
        let select = page_of_owner(owner, page, (Column::Sequence, order(query.ascending)));
        let rows = self.database.list(reach, self.database.backend().build(&select)).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let mut found = Vec::new();
        for row in rows {
            let Some(sequence) = row.try_get::<Option<i64>>("", "sequence")? else { continue };
            found.push((Cursor::behind_event(sequence), row_from::<Entity>(&row).and_then(Event::try_from)));
        }
        Ok(Some(found))
    }
}
