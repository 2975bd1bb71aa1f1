//! request_ids beside the commands: of writes without a command, looked up and remembered in the transaction of the
//! write, and of calls over many invitations, which are remembered before their first command.

use std::collections::BTreeSet;

use sea_orm::sea_query::{Condition, Expr, ExprTrait as _, Func, OnConflict, Query};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, IntoActiveModel as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, QueryTrait as _,
};
use uuid::Uuid;

use super::Store;
use super::read::invitations::read_clock;
use super::read::reached;
use super::sql::entity::request::{Column, Entity};
use super::sql::entity::{acceptance, invitation};
use super::sql::error::StoreError;
use super::sql::row::{request_from, request_row, row_from};
use super::sql::rows_param::present;
use crate::domain::command::Request;
use crate::domain::group::loaded::Remembered;
use crate::domain::invitation::acceptance::Acceptance;
use crate::domain::reach::Reach;
use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;

/// The way in which something is written without a command: once per request_id, or not at all.
#[derive(Clone, Debug, Default)]
pub struct WriteOnce {
    /// The idempotency key, if the caller sent one.
    pub request: Option<Request>,
    /// Whether the write is decided only, and the answer is that of the write.
    pub validate_only: bool,
}

/// The state of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// The request is new, or has no id.
    New,
    /// The request succeeded before.
    Done {
        /// The id of the invitation or endpoint.
        about: Uuid,
        /// The number of rows it changed, if that was remembered.
        changed: Option<i64>,
    },
    /// Another request had this id.
    Another,
}

/// The state of a call over many invitations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownCall {
    /// The call is new.
    New,
    /// The call has begun, and may have been interrupted.
    Begun {
        /// The moment at which it began: it does not cover invitations from later on.
        at: Timestamp,
    },
    /// The call is finished.
    Finished {
        /// The number of invitations it changed.
        changed: u64,
    },
    /// Another call had its request_id.
    Another,
}

/// The invitations that a call has answered so far.
#[derive(Clone, Debug, Default)]
pub struct AnsweredParts {
    /// Those that its parts were about, the newest first, whether or not these have changed something.
    pub ids: Vec<InvitationId>,
    /// Those that its acceptances have closed.
    pub closed: BTreeSet<InvitationId>,
}

impl Store {
    /// Looks up a call over many invitations.
    pub async fn find_call(&self, account: &AccountId, request: &Request) -> Result<KnownCall, StoreError> {
        let begun_at = Query::select()
            .expr(Func::min(Expr::col(Column::CreatedAt)))
            .from(Entity)
            .cond_where(of_call(account, request))
            .take();
        // The row of the call, or the first of its parts.
        let select = Entity::find()
            .expr_as(begun_at, "begun_at")
            .filter(of_call(account, request))
            .order_by_asc(Column::RequestId)
            .limit(1);
        let _turn = self.database.read_turns.short(account).await?;
        let Some(row) = self.database.reading_for(account).query_one(select.as_query()).await? else {
            return Ok(KnownCall::New);
        };
        let (key, remembered) = request_from(row_from::<Entity>(&row)?)?;
        if !request.has_digest(&remembered.digest) {
            return Ok(KnownCall::Another);
        }
        let finished = remembered.changed.filter(|_| key == request.call_key(account));
        Ok(match finished.map(u64::try_from) {
            Some(Ok(changed)) => KnownCall::Finished { changed },
            // A release that remembered the parts alone began with the first of them.
            _ => KnownCall::Begun { at: Timestamp::from_micros(row.try_get("", "begun_at")?) },
        })
    }

    /// Remembers a call over many invitations before it changes the first, unless it is known.
    pub async fn begin_call(&self, account: &AccountId, request: &Request) -> Result<KnownCall, StoreError> {
        let known = self.find_call(account, request).await?;
        let begun_at = match known {
            KnownCall::New => None,
            // There may be rows of the parts alone.
            KnownCall::Begun { at } => Some(at.micros()),
            KnownCall::Finished { .. } | KnownCall::Another => return Ok(known),
        };
        let Some(digest) = request.digests.first() else { return Ok(known) };
        let key = request.call_key(account);
        let row = [
            (Column::AccountId, account.as_str().into()),
            (Column::Method, key.method.into()),
            (Column::RequestId, key.id.into()),
            (Column::KeyId, i32::from(digest.key_id).into()),
            (Column::Mac, digest.hex().into()),
            (Column::InvitationId, Uuid::nil().into()),
            (Column::CreatedAt, present(read_clock(&self.database, begun_at))),
        ];
        let (columns, values): (Vec<Column>, Vec<Expr>) = row.into_iter().unzip();
        let mut insert = Query::insert();
        insert.into_table(Entity).columns(columns).values_panic(values);
        insert.on_conflict(OnConflict::new().do_nothing().to_owned());
        self.database.write.execute(&insert).await?;
        self.find_call(account, request).await
    }

    /// Finishes a call: from now on it gets the same answer as at first. Returns the number of invitations that it has
    /// changed, now and before it was interrupted. Of two attempts at the call that run at once, the last to finish counts.
    pub async fn finish_call(&self, account: &AccountId, request: &Request) -> Result<u64, StoreError> {
        let changed = Query::select()
            .expr(Expr::col(Column::InvitationId).count())
            .from(Entity)
            .cond_where(changed_parts(account, request))
            .take();
        let key = request.call_key(account);
        let update = Entity::update_many()
            .col_expr(Column::Changed, Expr::from(changed))
            .filter(Column::AccountId.eq(account.as_str()))
            .filter(Column::Method.eq(key.method))
            .filter(Column::RequestId.eq(key.id));
        update.exec(&self.database.write).await?;
        match self.find_call(account, request).await? {
            KnownCall::Finished { changed } => Ok(changed),
            KnownCall::New | KnownCall::Begun { .. } | KnownCall::Another => Err(StoreError::Conflict),
        }
    }

    /// Forgets a call, with its parts, if none of them has changed an invitation. A part that is saved meanwhile stays, and a retry
    /// goes on from it.
    pub async fn forget_unchanged_call(&self, account: &AccountId, request: &Request) -> Result<(), StoreError> {
        let changed =
            Query::select().expr(Expr::val(1_i32)).from(Entity).cond_where(changed_parts(account, request)).take();
        let unchanged = Condition::not(Condition::all().add(Expr::exists(changed)));
        let delete = Entity::delete_many().filter(of_call(account, request)).filter(unchanged);
        delete.exec(&self.database.write).await?;
        Ok(())
    }

    /// Returns the invitations within a reach that the parts of a call have changed, the newest first, up to a number of them.
    pub async fn changed_by_call(
        &self,
        reach: &Reach,
        request: &Request,
        most: Option<u64>,
    ) -> Result<Vec<InvitationId>, StoreError> {
        let select = Entity::find()
            .select_only()
            .column(Column::InvitationId)
            .filter(changed_parts(reach.account(), request))
            .apply_if((!reach.is_whole()).then_some(()), |select, ()| {
                let reached = reached(reach).select_only().column(invitation::Column::Id);
                select.filter(Column::InvitationId.in_subquery(reached.into_query()))
            })
            .order_by_desc(Column::InvitationId)
            .limit(most);
        let _turn = self.database.read_turns.short(reach.account()).await?;
        let ids = select.into_tuple::<Uuid>().all(&self.database.reading_for(reach)).await?;
        Ok(ids.into_iter().map(InvitationId).collect())
    }

    /// Returns the invitations of an account that a call has answered so far.
    pub async fn answered_by_call(&self, account: &AccountId, request: &Request) -> Result<AnsweredParts, StoreError> {
        let parts = || Entity::find().select_only().filter(parts(account, request));
        let of_parts = |column| parts().column(column).filter(Column::AcceptanceId.is_not_null()).into_query();
        let made = acceptance::Entity::find()
            .filter(acceptance::Column::AccountId.eq(account.as_str()))
            .filter(acceptance::Column::InvitationId.in_subquery(of_parts(Column::InvitationId)))
            .filter(acceptance::Column::Id.in_subquery(of_parts(Column::AcceptanceId)));
        let newest = parts().column(Column::InvitationId).order_by_desc(Column::InvitationId);
        let _turn = self.database.read_turns.short(account).await?;
        let db = self.database.reading_for(account);
        let ids: Vec<Uuid> = newest.into_tuple().all(&db).await?;
        if ids.is_empty() {
            return Ok(AnsweredParts::default());
        }
        let made = made.all(&db).await?.into_iter().map(Acceptance::try_from).collect::<Result<Vec<_>, _>>()?;
        let closed = made.into_iter().flat_map(|made| made.closed).collect();
        Ok(AnsweredParts { ids: ids.into_iter().map(InvitationId).collect(), closed })
    }
}

/// Returns the condition for the row of a call and those of its parts: the key of a part has a space after the id,
/// which no id contains.
fn of_call(account: &AccountId, request: &Request) -> Condition {
    let key = request.call_key(account);
    // The character behind the space.
    let end = format!("{}!", key.id);
    Condition::all()
        .add(Column::AccountId.eq(account.as_str()))
        .add(Column::Method.eq(key.method))
        .add(Column::RequestId.gte(key.id))
        .add(Column::RequestId.lt(end))
}

/// Returns the condition for the parts of a call.
fn parts(account: &AccountId, request: &Request) -> Condition {
    of_call(account, request).add(Column::RequestId.ne(request.call_key(account).id))
}

/// Returns the condition for the parts of a call that changed an invitation.
fn changed_parts(account: &AccountId, request: &Request) -> Condition {
    parts(account, request).add(Expr::col(Column::Changed).if_null(1_i64).gt(0_i64))
}

/// Looks up a request.
pub(super) async fn recall<C: ConnectionTrait>(
    db: &C,
    account: &AccountId,
    request: Option<&Request>,
) -> Result<Known, StoreError> {
    let Some(request) = request else { return Ok(Known::New) };
    let key = request.key(account);
    let select = Entity::find_by_id((account.as_str().to_owned(), key.method, key.id));
    let Some(row) = db.query_one(select.as_query()).await? else { return Ok(Known::New) };
    let (_, remembered) = request_from(row_from::<Entity>(&row)?)?;
    let done = Known::Done { about: remembered.invitation.0, changed: remembered.changed };
    Ok(if request.has_digest(&remembered.digest) { done } else { Known::Another })
}

/// Remembers a request, the row that it was about and, if that is not simply one, the number of rows it changed.
/// Returns [`StoreError::Conflict`] if another call has remembered its id meanwhile; then nothing of it may be committed.
pub(super) async fn remember<C: ConnectionTrait>(
    db: &C,
    account: &AccountId,
    request: Option<&Request>,
    (about, changed): (Uuid, Option<i64>),
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some((request, digest)) = request.and_then(|request| Some((request, *request.digests.first()?))) else {
        return Ok(());
    };
    let remembered = Remembered { digest, invitation: InvitationId(about), acceptance: None, at: now, changed };
    let insert = Entity::insert(request_row(&request.key(account), &remembered).into_active_model());
    let insert = insert.on_conflict(OnConflict::new().do_nothing().to_owned());
    if insert.exec_without_returning(db).await? > 0 { Ok(()) } else { Err(StoreError::Conflict) }
}
