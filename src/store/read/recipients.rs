//! Reads of recipients: one by its ordinal, and pages of one invitation's, each with what their link is made of and how far the
//! latest message to them has come.

use sea_orm::sea_query::{
    CommonTableExpression, Condition, Expr, ExprTrait as _, JoinType, Order, Query, WindowStatement,
};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QueryResult, QuerySelect as _,
    QueryTrait as _,
};
use uuid::Uuid;

use super::unreadable::FullPage;
use super::{Cursor, behind, order, owner, page_of_owner};
use crate::domain::delivery::{DeliveryState, Purpose};
use crate::domain::invitation::recipient::{AddressType, Recipient, RecipientState};
use crate::domain::kind::Kind;
use crate::domain::reach::Reach;
use crate::domain::secret::token::Claims;
use crate::domain::value::id::InvitationId;
use crate::store::Reads;
use crate::store::sql::entity::recipient::{Column, Entity};
use crate::store::sql::entity::{invitation, outbox};
use crate::store::sql::error::StoreError;
use crate::store::sql::row::{recipient_from, row_from};
use crate::store::sql::rows_param::in_index;

/// The filters of a list of recipients.
#[derive(Clone, Debug)]
pub struct RecipientQuery {
    /// The invitation.
    pub invitation: InvitationId,
    /// The kind that the invitation has to have; `None` for any kind.
    pub kind: Option<Kind>,
    /// Only the recipient with this ordinal.
    pub ordinal: Option<u16>,
    /// Only recipients in one of these states; `None` for any state.
    pub states: Option<Vec<RecipientState>>,
    /// Whether the lowest ordinal comes first, instead of the highest.
    pub ascending: bool,
    /// The most rows.
    pub limit: u64,
    /// The place behind which the list continues.
    pub after: Option<Cursor>,
}

impl RecipientQuery {
    /// Returns the query for all recipients of an invitation, the lowest ordinal first.
    pub fn of(invitation: InvitationId, limit: u64) -> Self {
        Self { invitation, kind: None, ordinal: None, states: None, ascending: true, limit, after: None }
    }
}

/// A recipient, with what is shown beside it.
#[derive(Clone, Debug)]
pub struct ListedRecipient {
    /// The recipient.
    pub recipient: Recipient,
    /// The kind of the invitation.
    pub kind: Kind,
    /// The organization that hosts the invitation, if one does.
    pub host: Option<Uuid>,
    /// The claims of the recipient's own link.
    pub link: Claims,
    /// The state of the latest message with the link to the recipient that was not cancelled.
    pub last_delivery: Option<DeliveryState>,
}

impl Reads {
    /// Reads a page of an invitation's recipients; `None` if the reach includes no such invitation.
    pub async fn list_recipients(
        &self,
        reach: &Reach,
        query: &RecipientQuery,
    ) -> Result<Option<Vec<ListedRecipient>>, StoreError> {
        let (mut query, mut page) = (query.clone(), FullPage::new(query.limit));
        loop {
            let Some(found) = self.recipients_of(reach, &query).await? else { return Ok(None) };
            let Some(read_on) = page.add(query.limit, found)? else { return Ok(Some(page.into_rows())) };
            query = RecipientQuery { after: Some(read_on.after), limit: read_on.limit, ..query };
        }
    }

    /// Reads recipients, each with the place behind which the list continues. Returns `None` if the reach includes no
    /// such invitation.
    async fn recipients_of(
        &self,
        reach: &Reach,
        query: &RecipientQuery,
    ) -> Result<Option<Vec<(Cursor, Result<ListedRecipient, StoreError>)>>, StoreError> {
        let owner = owner(reach, query.invitation, query.kind);
        let page = Entity::find()
            .filter(Column::AccountId.eq(reach.account().as_str()))
            .filter(Column::InvitationId.eq(query.invitation.0))
            .apply_if(query.ordinal, |page, ordinal| page.filter(Column::Ordinal.eq(i32::from(ordinal))))
            .apply_if(query.states.as_deref(), |page, states| page.filter(in_states(states)))
            .apply_if(query.after.as_ref(), |page, cursor| {
                page.filter(behind(Column::Ordinal, cursor.key.clone(), query.ascending))
            })
            .order_by(Column::Ordinal, order(query.ascending))
            .limit(query.limit);
        let mut select = page_of_owner(owner, page, (Column::Ordinal, order(query.ascending)));
        select
            .expr_as(Expr::col(("owner", invitation::Column::Kind)), "owner_kind")
            .expr_as(Expr::col(("owner", invitation::Column::ScopeId)), "owner_scope_id")
            .expr_as(Expr::col(("owner", invitation::Column::Generation)), "owner_generation")
            .expr_as(Expr::col(("owner", invitation::Column::KeyId)), "owner_key_id")
            .expr_as(Expr::col(("latest", outbox::Column::State)), "latest_state")
            .join(
                JoinType::LeftJoin,
                "latest",
                Expr::col(("latest", outbox::Column::Recipient))
                    .eq(Expr::col(("page", Column::Ordinal)))
                    .and(Expr::col(("latest", "place")).eq(1)),
            );
        let select = select.with_cte(self.latest_messages(reach, query)).to_owned();
        let rows = self.database.list(reach, self.database.backend().build(&select)).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let mut found = Vec::new();
        for row in rows {
            let Some(ordinal) = row.try_get::<Option<i32>>("", "ordinal")? else { continue };
            let cursor = Cursor { key: super::SortKey::Number(ordinal.into()), ..Cursor::of_ordinal(0) };
            found.push((cursor, listed(&row, query.invitation)));
        }
        Ok(Some(found))
    }

    /// Returns the messages that bring a recipient of the invitation the link, numbered from the latest one on. They are read once,
    /// however many recipients there are. A reminder brings the link only once it is tried.
    fn latest_messages(&self, reach: &Reach, query: &RecipientQuery) -> CommonTableExpression {
        use outbox::Column as Message;
        let [invitation, reminder] = [Purpose::Invitation, Purpose::Reminder].map(Purpose::code);
        let tried = Message::Purpose.eq(reminder).and(Message::Attempts.gt(0));
        let mut latest_first = WindowStatement::partition_by(Message::Recipient);
        latest_first.order_by(Message::CreatedAt, Order::Desc).order_by(Message::Id, Order::Desc);
        let messages = Query::select()
            .columns([Message::Recipient, Message::State])
            .expr_window_as(Expr::cust("row_number()"), latest_first, "place")
            .from(outbox::Entity)
            .and_where(in_index(self.database.backend(), "invitation", Message::AccountId, reach.account().as_str()))
            .and_where(Message::InvitationId.eq(query.invitation.0))
            .and_where(Message::Purpose.eq(invitation).or(tried))
            .and_where(Message::State.ne(DeliveryState::Cancelled.code()))
            .and_where_option(query.ordinal.map(|ordinal| Message::Recipient.eq(i32::from(ordinal))))
            .take();
        CommonTableExpression::new().table_name("latest").query(messages).to_owned()
    }
}

/// Returns the condition for recipients in one of some states; none is in one of no states.
fn in_states(states: &[RecipientState]) -> Condition {
    let (none, gone) = (Column::Ordinal.is_in(Vec::<i32>::new()), [AddressType::Erased, AddressType::Removed]);
    let gone = gone.map(AddressType::code);
    states.iter().fold(Condition::any().add(none), |any, state| {
        any.add(match state {
            RecipientState::Open => Column::AcceptedAt
                .is_null()
                .and(Column::DeclinedAt.is_null())
                .and(Column::RecipientType.is_not_in(gone)),
            RecipientState::Removed => {
                Column::AcceptedAt.is_null().and(Column::DeclinedAt.is_null()).and(Column::RecipientType.is_in(gone))
            }
            RecipientState::Accepted => Column::AcceptedAt.is_not_null(),
            RecipientState::Declined => Column::AcceptedAt.is_null().and(Column::DeclinedAt.is_not_null()),
        })
    })
}

/// Reads a recipient with what is shown beside it.
pub(super) fn listed(row: &QueryResult, invitation: InvitationId) -> Result<ListedRecipient, StoreError> {
    let corrupt =
        |column, problem| StoreError::Corrupt { table: "invitation", column, row: invitation.0.to_string(), problem };
    let recipient = row_from::<Entity>(row).and_then(recipient_from)?;
    let kind: String = row.try_get("", "owner_kind")?;
    let (generation, key_id): (i32, i32) = (row.try_get("", "owner_generation")?, row.try_get("", "owner_key_id")?);
    let link = Claims {
        key_id: u8::try_from(key_id).map_err(|_| corrupt("key_id", "is out of range"))?,
        invitation,
        generation: u16::try_from(generation).map_err(|_| corrupt("generation", "is out of range"))?,
        recipient: recipient.ordinal,
    };
    let latest: Option<String> = row.try_get("", "latest_state")?;
    let kind = Kind::from_code(&kind).ok_or_else(|| corrupt("kind", "is not a kind"))?;
    let scope: Option<String> = row.try_get("", "owner_scope_id")?;
    Ok(ListedRecipient {
        recipient,
        kind,
        host: scope.filter(|_| kind == Kind::Guest).and_then(|id| id.parse().ok()),
        link,
        last_delivery: latest.as_deref().and_then(DeliveryState::from_code),
    })
}
