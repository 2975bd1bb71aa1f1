//! request_ids beside the commands: of what is written without one, looked up and remembered in the transaction that does it,
//! and of calls over many invitations, which are remembered before their first command.

use sea_orm::{ConnectionTrait, Statement, Value};
use uuid::Uuid;

use super::Store;
use super::executor::load::{parse_json, text};
use super::read::invitations::read_clock;
use super::sql::entity::request;
use super::sql::error::StoreError;
use super::sql::row::{request_from, request_row};
use super::sql::rows_param::{Columns, clock, values_of};
use crate::domain::command::Request;
use crate::domain::group::loaded::Remembered;
use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;

/// What is known of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing, or it has no id.
    New,
    /// It succeeded before.
    Done {
        /// The id of the invitation or endpoint.
        about: Uuid,
        /// The number of things it changed, where that was remembered.
        changed: Option<i64>,
    },
    /// Another one had its id.
    Another,
}

/// The state of a call over many invitations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownCall {
    /// Nothing.
    New,
    /// It has begun, and may have been interrupted.
    Begun {
        /// When: what came later is none of its business.
        at: Timestamp,
    },
    /// It is finished.
    Finished {
        /// The number of invitations it changed.
        changed: u64,
    },
    /// Another call had its request_id.
    Another,
}

/// The row of a call, or the first of its parts: nothing but a space follows the id in the key of a part.
const OF_CALL: &str = "q.account_id = $1 AND q.method = $2 AND q.request_id >= $3 AND q.request_id < $4";

impl Store {
    /// Looks a call over many invitations up.
    pub async fn find_call(&self, account: &AccountId, request: &Request) -> Result<KnownCall, StoreError> {
        let backend = self.database.backend();
        let json = text(backend, &Columns::of::<request::Entity>().json_of(backend, "q"));
        let sql = format!(
            "SELECT {json} AS body, (SELECT min(q.created_at) FROM request q WHERE {OF_CALL}) AS begun_at
            FROM request q WHERE {OF_CALL} ORDER BY q.request_id LIMIT 1"
        );
        let select = Statement::from_sql_and_values(backend, sql, call_values(account, request));
        let Some(row) = self.database.read.query_one_raw(select).await? else { return Ok(KnownCall::New) };
        let (key, remembered) = request_from(parse_json(&row.try_get::<String>("", "body")?, "request")?)?;
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
            // Perhaps only its parts are there.
            KnownCall::Begun { at } => Some(at.micros()),
            KnownCall::Finished { .. } | KnownCall::Another => return Ok(known),
        };
        let Some(digest) = request.digests.first() else { return Ok(known) };
        let backend = self.database.backend();
        let sql = format!(
            "INSERT INTO request (account_id, method, request_id, key_id, mac, invitation_id, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, {}) ON CONFLICT DO NOTHING",
            clock(backend, 7)
        );
        let key = request.call_key(account);
        let values: [Value; 7] = [
            account.as_str().into(),
            key.method.into(),
            key.id.into(),
            i32::from(digest.key_id).into(),
            digest.hex().into(),
            Uuid::nil().into(),
            read_clock(&self.database, begun_at).into(),
        ];
        self.database.write.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
        self.find_call(account, request).await
    }

    /// Finishes a call: from now on it is answered as it was at first. Returns how many invitations it has changed, now and
    /// before it was interrupted.
    pub async fn finish_call(&self, account: &AccountId, request: &Request) -> Result<u64, StoreError> {
        let sql =
            "UPDATE request SET changed = (SELECT count(*) FROM request q WHERE q.account_id = $1 AND q.method = $2
                AND q.request_id > $3 AND q.request_id < $4 AND coalesce(q.changed, 1) > 0)
            WHERE account_id = $1 AND method = $2 AND request_id = $3 AND changed IS NULL";
        let backend = self.database.backend();
        let update = Statement::from_sql_and_values(backend, sql, call_values(account, request));
        self.database.write.execute_raw(update).await?;
        match self.find_call(account, request).await? {
            KnownCall::Finished { changed } => Ok(changed),
            KnownCall::New | KnownCall::Begun { .. } | KnownCall::Another => Err(StoreError::Conflict),
        }
    }

    /// Returns the invitations that the parts of a call have changed, the newest first.
    pub async fn changed_by_call(
        &self,
        account: &AccountId,
        request: &Request,
    ) -> Result<Vec<InvitationId>, StoreError> {
        let sql = format!(
            "SELECT q.invitation_id FROM request q WHERE {OF_CALL} AND q.request_id <> $3 AND coalesce(q.changed, 1) > 0
            ORDER BY q.invitation_id DESC"
        );
        let values = call_values(account, request);
        let select = Statement::from_sql_and_values(self.database.backend(), sql, values);
        let rows = self.database.read.query_all_raw(select).await?;
        let ids = rows.iter().map(|row| row.try_get_by_index::<Uuid>(0).map(InvitationId));
        Ok(ids.collect::<Result<_, _>>()?)
    }
}

/// The parameters of [`OF_CALL`].
fn call_values(account: &AccountId, request: &Request) -> [Value; 4] {
    let key = request.call_key(account);
    // The character behind the space.
    let end = format!("{}!", key.id);
    [account.as_str().into(), key.method.into(), key.id.into(), end.into()]
}

/// Looks a request up.
pub(super) async fn recall<C: ConnectionTrait>(
    db: &C,
    account: &AccountId,
    request: Option<&Request>,
) -> Result<Known, StoreError> {
    let Some(request) = request else { return Ok(Known::New) };
    let backend = db.get_database_backend();
    let json = text(backend, &Columns::of::<request::Entity>().json_of(backend, "q"));
    let sql =
        format!("SELECT {json} AS body FROM request q WHERE q.account_id = $1 AND q.method = $2 AND q.request_id = $3");
    let key = request.key(account);
    let values: [Value; 3] = [account.as_str().into(), key.method.into(), key.id.into()];
    let Some(row) = db.query_one_raw(Statement::from_sql_and_values(backend, sql, values)).await? else {
        return Ok(Known::New);
    };
    let (_, remembered) = request_from(parse_json(&row.try_get::<String>("", "body")?, "request")?)?;
    let done = Known::Done { about: remembered.invitation.0, changed: remembered.changed };
    Ok(if request.has_digest(&remembered.digest) { done } else { Known::Another })
}

/// Remembers a request, what it was about and, where that is not simply one, how many things it changed. Returns whether
/// nobody else has remembered one of its id meanwhile, without which nothing of it may be committed.
pub(super) async fn remember<C: ConnectionTrait>(
    db: &C,
    account: &AccountId,
    request: Option<&Request>,
    (about, changed): (Uuid, Option<i64>),
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some((request, digest)) = request.and_then(|request| Some((request, *request.digests.first()?))) else {
        return Ok(true);
    };
    let remembered = Remembered { digest, invitation: InvitationId(about), acceptance: None, at: now, changed };
    let values = values_of(&request_row(&request.key(account), &remembered));
    let places: Vec<String> = (1..=values.len()).map(|place| format!("${place}")).collect();
    let sql = format!(
        "INSERT INTO request ({}) VALUES ({}) ON CONFLICT DO NOTHING",
        Columns::of::<request::Entity>().names(),
        places.join(", ")
    );
    let insert = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    Ok(db.execute_raw(insert).await?.rows_affected() > 0)
}
