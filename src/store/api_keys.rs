//! API keys. They change no invitation, so they are written as they are, without a command. Each change has a position among the
//! changes of all keys, by which every process follows them ([`followed`]).

pub(super) mod followed;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, EntityTrait as _, IntoActiveModel as _,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait as _, Select, Statement,
};
use serde_json::Value as Json;
use uuid::Uuid;

use super::events::notifications::Topic;
use super::read::unreadable::FullPage;
use super::read::{Cursor, behind, order};
use super::requests::{Known, WriteOnce, recall, remember};
use super::sql::entity::api_key::{Column, Entity, Model};
use super::sql::error::StoreError;
use super::sql::retry::retry;
use super::sql::row::rows_with_id;
use super::sql::rows_param::in_index;
use super::{Database, Reads, Store};
use crate::domain::api_key::{ApiKeyRecord, ChangeRefusal, Powers};
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;

/// The name of a key, and who may see it.
#[derive(Clone, Copy, Debug)]
pub struct ApiKeyName<'a> {
    /// The account.
    pub account: &'a AccountId,
    /// The id in the name.
    pub key_id: &'a str,
    /// The only organization whose keys are seen; `None` for all keys.
    pub within: Option<Uuid>,
}

/// The filters of a list of keys, by age.
#[derive(Clone, Debug, Default)]
pub struct ApiKeyQuery {
    /// Only keys that are bound to this organization.
    pub organization: Option<Uuid>,
    /// Whether revoked keys are listed too.
    pub revoked: bool,
    /// Whether the oldest come first, instead of the newest.
    pub ascending: bool,
    /// The most rows.
    pub limit: u64,
    /// The place behind which the list continues.
    pub after: Option<Cursor>,
}

/// The result of creating a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiKeyCreated {
    /// The key was created.
    Created,
    /// The same request created it before. Holds the key as it is now.
    Replayed(Box<ApiKeyRecord>),
    /// The account has, or had, a key with this id.
    AlreadyExists,
    /// The account has as many keys in force as it may, or more: this number of them.
    TooMany(u64),
    /// Another request had this request_id.
    RequestIdReused,
}

/// The result of changing a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiKeyChanged {
    /// The key was changed to this one, or would be, if it is a dry run.
    Changed(Box<ApiKeyRecord>),
    /// Nothing had to be changed, or the same request changed it before.
    Unchanged(Box<ApiKeyRecord>),
    /// There is no such key.
    NotFound,
    /// The key is not changed.
    Refused(ChangeRefusal),
    /// The change would put an expired key in force again, and the account has as many as it may, or more: this number of them.
    TooMany(u64),
    /// Another request had this request_id.
    RequestIdReused,
}

impl Database {
    /// Creates a key, once per request_id, unless the account has `most` keys in force. `None` is no limit.
    pub async fn create_api_key(
        &self,
        account: &AccountId,
        key: &ApiKeyRecord,
        once: &WriteOnce,
        most: Option<u32>,
    ) -> Result<ApiKeyCreated, StoreError> {
        retry(|| async {
            let transaction = self.begin_write_with_lock_wait().await?;
            // Another call that creates a key waits here for this one; its next statement sees the result of this one.
            let position = next_position(&transaction).await?;
            match recall(&transaction, account, once.request.as_ref()).await? {
                Known::Another => return Ok(ApiKeyCreated::RequestIdReused),
                Known::Done { about, .. } => {
                    let found = one(&transaction, Entity::find_by_id((account.as_str().to_owned(), about))).await?;
                    let found = found.ok_or(StoreError::Conflict)?;
                    return Ok(ApiKeyCreated::Replayed(Box::new(found)));
                }
                Known::New => {}
            }
            let now = self.clock.now().max(key.created_at);
            if let Some(used) = used_up(&transaction, account, most, now).await? {
                return Ok(ApiKeyCreated::TooMany(used));
            }
            let insert = Entity::insert(row_of(account, key, position).into_active_model());
            let insert = insert.on_conflict(OnConflict::new().do_nothing().to_owned());
            if insert.exec_without_returning(&transaction).await? == 0 {
                return Ok(ApiKeyCreated::AlreadyExists);
            }
            if !once.validate_only {
                remember(&transaction, account, once.request.as_ref(), (key.id, None), key.created_at).await?;
                transaction.commit().await?;
            }
            Ok(ApiKeyCreated::Created)
        })
        .await
    }
}

impl Store {
    /// Creates a key, once per request_id, unless the account has `most` keys in force. `None` is no limit.
    pub async fn create_api_key(
        &self,
        account: &AccountId,
        key: &ApiKeyRecord,
        once: &WriteOnce,
        most: Option<u32>,
    ) -> Result<ApiKeyCreated, StoreError> {
        let created = self.database.create_api_key(account, key, once, most).await?;
        if !once.validate_only {
            self.notifications.notify(Topic::ApiKey);
        }
        Ok(created)
    }

    /// Changes a key to the result of `decide`, once per request_id; `None` from `decide` leaves it as it is. No change puts a key in
    /// force again while the account has `most` of them.
    pub async fn change_api_key(
        &self,
        name: ApiKeyName<'_>,
        once: &WriteOnce,
        most: Option<u32>,
        decide: impl Fn(&ApiKeyRecord) -> Result<Option<ApiKeyRecord>, ChangeRefusal>,
    ) -> Result<ApiKeyChanged, StoreError> {
        let account = name.account;
        let changed = retry(|| async {
            let transaction = self.database.begin_write_with_lock_wait().await?;
            // The lock precedes the look-up of the request: the same call that is under way has then finished.
            let found = one(&transaction, self.named(name).lock_exclusive()).await?;
            let known = recall(&transaction, account, once.request.as_ref()).await?;
            if known == Known::Another {
                return Ok(ApiKeyChanged::RequestIdReused);
            }
            let Some(before) = found else { return Ok(ApiKeyChanged::NotFound) };
            if matches!(known, Known::Done { about, .. } if about == before.id) {
                return Ok(ApiKeyChanged::Unchanged(Box::new(before)));
            }
            let decided = match decide(&before) {
                Err(refusal) => return Ok(ApiKeyChanged::Refused(refusal)),
                Ok(decided) => decided,
            };
            let id = before.id;
            if let Some(after) = &decided {
                let position = next_position(&transaction).await?;
                // The key may have expired while the call waited for its row.
                let now = self.database.clock.now().max(after.updated_at);
                let revives = after.is_in_force(now) && !before.is_in_force(now);
                let most = most.filter(|_| revives);
                if let Some(used) = used_up(&transaction, account, most, now).await? {
                    return Ok(ApiKeyChanged::TooMany(used));
                }
                if !once.validate_only {
                    save(&transaction, account, after, position).await?;
                }
            }
            let changed = match &decided {
                Some(after) => ApiKeyChanged::Changed(Box::new(after.clone())),
                None => ApiKeyChanged::Unchanged(Box::new(before)),
            };
            if once.validate_only {
                return Ok(changed);
            }
            remember(&transaction, account, once.request.as_ref(), (id, None), self.database.clock.now()).await?;
            transaction.commit().await?;
            Ok(changed)
        })
        .await?;
        if !once.validate_only {
            self.notifications.notify(Topic::ApiKey);
        }
        Ok(changed)
    }

    fn named(&self, name: ApiKeyName<'_>) -> Select<Entity> {
        self.primary.named(name)
    }
}

impl Reads {
    /// Reads a key, if the caller may see it.
    pub async fn get_api_key(&self, name: ApiKeyName<'_>) -> Result<Option<ApiKeyRecord>, StoreError> {
        let _turn = self.database.read_turns.short(name.account).await?;
        one(&self.database.reading_for(name.account), self.named(name)).await
    }

    /// Reads a page of keys.
    pub async fn list_api_keys(
        &self,
        account: &AccountId,
        query: &ApiKeyQuery,
    ) -> Result<Vec<ApiKeyRecord>, StoreError> {
        let (mut query, mut page) = (query.clone(), FullPage::new(query.limit));
        loop {
            let own = match query.organization {
                Some(_) => in_index(self.database.backend(), "organization", Column::AccountId, account.as_str()),
                None => Column::AccountId.eq(account.as_str()),
            };
            let mut select = Entity::find()
                .filter(own)
                .apply_if(query.organization, |select, id| select.filter(Column::OrganizationId.eq(id)))
                .apply_if(query.after.as_ref(), |select, cursor| {
                    select.filter(behind(Column::Id, cursor.id, query.ascending))
                })
                .order_by(Column::Id, order(query.ascending))
                .limit(query.limit);
            if !query.revoked {
                select = select.filter(Column::RevokedAt.is_null());
            }
            let found = {
                let _turn = self.database.read_turns.list(account).await?;
                rows_with_id(&self.database.reading_for(account), select).await?
            };
            let found = found.into_iter().map(|(id, row)| (Cursor::of_id(id), row.and_then(ApiKeyRecord::try_from)));
            let Some(read_on) = page.add(query.limit, found.collect())? else { return Ok(page.into_rows()) };
            query = ApiKeyQuery { after: Some(read_on.after), limit: read_on.limit, ..query };
        }
    }

    /// Counts the keys of an account that are in force at a moment.
    pub async fn count_api_keys(&self, account: &AccountId, now: Timestamp) -> Result<u64, StoreError> {
        let _turn = self.database.read_turns.short(account).await?;
        count_in_force(&self.database.reading_for(account), account, now).await
    }

    fn named(&self, name: ApiKeyName<'_>) -> Select<Entity> {
        Entity::find()
            .filter(in_index(self.database.backend(), "key-id", Column::AccountId, name.account.as_str()))
            .filter(Column::KeyId.eq(name.key_id))
            .apply_if(name.within, |select, organization| select.filter(Column::OrganizationId.eq(organization)))
    }
}

/// Takes the position of a change, and keeps those of later changes waiting until the transaction ends: positions become visible in
/// their order.
async fn next_position(db: &impl ConnectionTrait) -> Result<i64, StoreError> {
    let sql = "UPDATE api_key_position SET position = position + 1 WHERE id = 1 RETURNING position";
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    let row = row.ok_or_else(|| StoreError::Refused("the row of api_key_position is missing".to_owned()))?;
    Ok(row.try_get("", "position")?)
}

/// Writes the changed key, which is locked. The hour of its last use is not written: others note it meanwhile.
async fn save(
    db: &impl ConnectionTrait,
    account: &AccountId,
    key: &ApiKeyRecord,
    position: i64,
) -> Result<(), StoreError> {
    let mut row = row_of(account, key, position).into_active_model().reset_all();
    row.not_set(Column::LastUsedAt);
    row.update(db).await?;
    Ok(())
}

/// Returns the number of an account's keys that are in force at a moment, if it is no less than the most there may be. Whoever has taken a
/// position is alone with it, so nobody adds another key meanwhile.
async fn used_up(
    db: &impl ConnectionTrait,
    account: &AccountId,
    most: Option<u32>,
    now: Timestamp,
) -> Result<Option<u64>, StoreError> {
    let Some(most) = most else { return Ok(None) };
    let used = count_in_force(db, account, now).await?;
    Ok((used >= most.into()).then_some(used))
}

/// Counts the keys of an account that are in force at a moment. There are two counts, since an index has no place for keys without expiry
/// behind those with one. The index has keys that were revoked too: one without them would fit lists as well, and be read for them.
async fn count_in_force(db: &impl ConnectionTrait, account: &AccountId, now: Timestamp) -> Result<u64, StoreError> {
    let mut number = 0;
    for in_force in [Column::ExpiresAt.is_null(), Column::ExpiresAt.gt(now.micros())] {
        let own = in_index(db.get_database_backend(), "in-force", Column::AccountId, account.as_str());
        let select = Entity::find().filter(own).filter(Expr::cust("coalesce(revoked_at, 0) = 0")).filter(in_force);
        number += select.count(db).await?;
    }
    Ok(number)
}

async fn one(db: &impl ConnectionTrait, select: Select<Entity>) -> Result<Option<ApiKeyRecord>, StoreError> {
    let found = rows_with_id(db, select).await?.pop();
    found.map(|(_, row)| row.and_then(ApiKeyRecord::try_from)).transpose()
}

/// Returns a hash as its column has it.
fn digits(hash: &[u8; 32]) -> String {
    HEXLOWER.encode(hash)
}

fn parse_digits(digits: &str) -> Option<[u8; 32]> {
    HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?.try_into().ok()
}

fn row_of(account: &AccountId, key: &ApiKeyRecord, position: i64) -> Model {
    Model {
        account_id: account.as_str().to_owned(),
        id: key.id,
        key_id: key.key_id.clone(),
        display_name: key.display_name.clone(),
        hash: digits(&key.hash),
        permissions: key.powers.permissions.clone().into(),
        grantable_roles: key.powers.grantable_roles.clone().map_or(Json::Null, Json::from),
        organization_id: key.organization,
        expires_at: key.powers.expires_at.map(Timestamp::micros),
        revoked_at: key.revoked_at.map(Timestamp::micros),
        last_used_at: key.last_used_at.map(Timestamp::micros),
        revision: key.revision,
        position,
        creator: key.creator.clone(),
        created_at: key.created_at.micros(),
        updated_at: key.updated_at.micros(),
    }
}

impl TryFrom<Model> for ApiKeyRecord {
    type Error = StoreError;

    fn try_from(row: Model) -> Result<Self, StoreError> {
        let corrupt = |column: &'static str, problem: &'static str| StoreError::Corrupt {
            table: "api_key",
            column,
            row: row.id.to_string(),
            problem,
        };
        let permissions = serde_json::from_value(row.permissions);
        let permissions = permissions.map_err(|_| corrupt("permissions", "is not a list of texts"))?;
        // Roles that cannot be read must not become any role.
        let grantable_roles = serde_json::from_value(row.grantable_roles);
        let grantable_roles = grantable_roles.map_err(|_| corrupt("grantable_roles", "is not a list of texts"))?;
        let hash = parse_digits(&row.hash).ok_or_else(|| corrupt("hash", "is not a SHA-256"))?;
        let at = |micros: Option<i64>| micros.map(Timestamp::from_micros);
        Ok(Self {
            id: row.id,
            key_id: row.key_id,
            display_name: row.display_name,
            hash,
            powers: Powers { permissions, grantable_roles, expires_at: at(row.expires_at) },
            organization: row.organization_id,
            revoked_at: at(row.revoked_at),
            last_used_at: at(row.last_used_at),
            revision: row.revision,
            creator: row.creator,
            created_at: Timestamp::from_micros(row.created_at),
            updated_at: Timestamp::from_micros(row.updated_at),
        })
    }
}
