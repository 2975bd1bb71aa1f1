//! request_ids of what is written without a command: looked up and remembered in the transaction that does it.

use sea_orm::{ConnectionTrait, Statement, Value};
use uuid::Uuid;

use super::entity::request;
use super::error::StoreError;
use super::load::{parse_json, text};
use super::row::{request_from, request_row};
use super::set::{Columns, values_of};
use crate::domain::command::{Request, RequestKey};
use crate::domain::id::InvitationId;
use crate::domain::loaded::Remembered;
use crate::domain::text::AccountId;
use crate::domain::time::Timestamp;

/// What is known of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing, or it has no id.
    New,
    /// It succeeded before, and this is what it was about.
    Done(Uuid),
    /// Another one had its id.
    Another,
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
    let values: [Value; 3] = [account.as_str().into(), request.method.into(), request.id.as_str().into()];
    let Some(row) = db.query_one_raw(Statement::from_sql_and_values(backend, sql, values)).await? else {
        return Ok(Known::New);
    };
    let (_, remembered) = request_from(parse_json(&row.try_get::<String>("", "body")?, "request")?)?;
    Ok(if request.digests.contains(&remembered.digest) { Known::Done(remembered.invitation.0) } else { Known::Another })
}

/// Remembers a request and what it was about; returns whether nobody else has remembered one of its id meanwhile, without
/// which nothing of it may be committed.
pub(super) async fn remember<C: ConnectionTrait>(
    db: &C,
    account: &AccountId,
    request: Option<&Request>,
    about: Uuid,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some((request, digest)) = request.and_then(|request| Some((request, *request.digests.first()?))) else {
        return Ok(true);
    };
    let key = RequestKey { account: account.clone(), method: request.method.to_owned(), id: request.id.clone() };
    let remembered = Remembered { digest, invitation: InvitationId(about), acceptance: None, at: now };
    let values = values_of(&request_row(&key, &remembered));
    let places: Vec<String> = (1..=values.len()).map(|place| format!("${place}")).collect();
    let sql = format!(
        "INSERT INTO request ({}) VALUES ({}) ON CONFLICT DO NOTHING",
        Columns::of::<request::Entity>().names(),
        places.join(", ")
    );
    let insert = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    Ok(db.execute_raw(insert).await?.rows_affected() > 0)
}
