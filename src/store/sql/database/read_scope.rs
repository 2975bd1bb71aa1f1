//! Reads of calls, behind a second wall where PostgreSQL has a role for them (`store.reader_role`): a statement sees no rows but those
//! of the accounts and organizations that it reads for, whatever conditions it has or lacks.
//!
//! The role sees nothing but views ([`views`]), which show the rows that two settings of the
//! session name. A statement makes the settings by itself, so that the wall takes no round trip: PostgreSQL evaluates a condition
//! that is the same for all rows once, before it looks for the first.

use std::sync::Arc;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement};
use uuid::Uuid;

use super::Database;
use crate::domain::reach::{Extent, Reach};
use crate::domain::value::text::AccountId;
use crate::store::sql::Pool;
use crate::store::sql::error::StoreError;
use crate::store::sql::migration::views;

/// The setting that names the accounts, each between two line feeds.
pub(in crate::store::sql) const ACCOUNTS: &str = "invitation.accounts";
/// The setting that names the organizations in the same way; empty for all.
pub(in crate::store::sql) const HOSTS: &str = "invitation.hosts";

/// The rows that a caller may see: all of an account, or those of some organizations. A person has no wall of their own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) struct ReadScope {
    /// The account.
    pub(in crate::store) account: AccountId,
    /// The organizations; `None` for the whole account.
    pub(in crate::store) hosts: Option<Arc<[Uuid]>>,
}

impl From<&AccountId> for ReadScope {
    fn from(account: &AccountId) -> Self {
        Self { account: account.clone(), hosts: None }
    }
}

impl From<&Reach> for ReadScope {
    fn from(reach: &Reach) -> Self {
        let hosts = match reach.extent() {
            Extent::Hosts(hosts) => Some(Arc::clone(hosts)),
            Extent::Account | Extent::Person(..) => None,
        };
        Self { account: reach.account().clone(), hosts }
    }
}

/// The settings that say which rows a statement may see.
#[derive(Debug, PartialEq, Eq)]
struct ScopeSettings {
    accounts: String,
    hosts: String,
}

impl ScopeSettings {
    fn of(ReadScope { account, hosts }: &ReadScope) -> Self {
        let hosts = hosts.as_ref().map(|hosts| lines(hosts.iter().map(Uuid::to_string)));
        Self { hosts: hosts.unwrap_or_default(), ..Self::of_accounts([account]) }
    }

    fn of_accounts<'a>(accounts: impl IntoIterator<Item = &'a AccountId>) -> Self {
        Self { accounts: lines(accounts.into_iter().map(AccountId::as_str)), hosts: String::new() }
    }
}

/// Puts each name between two line feeds, which no name has.
fn lines(names: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    names.into_iter().fold("\n".to_owned(), |all, name| all + name.as_ref() + "\n")
}

/// The connections for one read, whose statement sees no more than it may. It changes nothing.
pub(in crate::store) struct ReadingFor<'a> {
    pool: &'a Pool,
    /// The settings that its statement makes; `None` if there is no second wall.
    settings: Option<ScopeSettings>,
}

impl Database {
    /// Returns the connections for a read on behalf of a caller.
    pub(in crate::store) fn reading_for(&self, scope: impl Into<ReadScope>) -> ReadingFor<'_> {
        self.reading(|| ScopeSettings::of(&scope.into()))
    }

    /// Returns the connections for a read on behalf of callers who may each see a whole account.
    pub(in crate::store) fn reading_for_accounts<'a>(
        &self,
        accounts: impl IntoIterator<Item = &'a AccountId>,
    ) -> ReadingFor<'_> {
        self.reading(|| ScopeSettings::of_accounts(accounts))
    }

    fn reading(&self, settings: impl FnOnce() -> ScopeSettings) -> ReadingFor<'_> {
        match &self.reader {
            Some(pool) => ReadingFor { pool, settings: Some(settings()) },
            None => ReadingFor { pool: &self.read, settings: None },
        }
    }

    /// Tries to read as a call does.
    pub(in crate::store) async fn try_reader(&self) -> Result<(), StoreError> {
        match &self.reader {
            Some(pool) => Ok(views::read_one(pool).await?),
            None => Ok(()),
        }
    }

    /// Returns whether reads of calls have a second wall.
    pub(in crate::store) fn has_second_wall(&self) -> bool {
        self.reader.is_some()
    }
}

/// Returns a statement that says first what it may see. Its rows keep their order, which a statement around them that does not sort
/// leaves as it is.
fn behind_wall(statement: Statement, settings: &ScopeSettings) -> Statement {
    let Statement { sql, values, db_backend } = statement;
    let mut values = values.map(|values| values.0).unwrap_or_default();
    values.extend([settings.accounts.as_str().into(), settings.hosts.as_str().into()]);
    let (accounts, hosts) = (values.len() - 1, values.len());
    let sql = format!(
        "SELECT seen.* FROM ({sql}) AS seen
        WHERE (SELECT set_config('{ACCOUNTS}', ${accounts}, true) || set_config('{HOSTS}', ${hosts}, true)) IS NOT NULL"
    );
    Statement::from_sql_and_values(db_backend, sql, values)
}

impl ReadingFor<'_> {
    fn statement(&self, statement: Statement) -> Statement {
        match &self.settings {
            Some(settings) => behind_wall(statement, settings),
            None => statement,
        }
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for ReadingFor<'_> {
    fn get_database_backend(&self) -> DbBackend {
        self.pool.get_database_backend()
    }

    async fn execute_raw(&self, _: Statement) -> Result<ExecResult, DbErr> {
        Err(DbErr::Custom(NO_CHANGE.to_owned()))
    }

    async fn execute_unprepared(&self, _: &str) -> Result<ExecResult, DbErr> {
        Err(DbErr::Custom(NO_CHANGE.to_owned()))
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.pool.query_one_raw(self.statement(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.pool.query_all_raw(self.statement(statement)).await
    }
}

const NO_CHANGE: &str = "a read on behalf of a caller changes nothing";

#[cfg(test)]
mod tests {
    use super::*;

    fn account(id: &str) -> AccountId {
        AccountId::parse(id).unwrap()
    }

    #[test]
    fn statement_says_what_it_may_see_behind_its_own_values() {
        let host = Uuid::from_u128(7);
        let reach = Reach::of_hosts(account("acme"), vec![host]);
        let plain = Statement::from_sql_and_values(DbBackend::Postgres, "SELECT $1 AS a", [1.into()]);
        let Statement { sql, values, .. } = behind_wall(plain, &ScopeSettings::of(&ReadScope::from(&reach)));
        assert!(sql.contains("(SELECT $1 AS a)") && sql.contains("$2, true") && sql.contains("$3, true"), "{sql}");
        assert_eq!(values.unwrap().0, vec![1.into(), "\nacme\n".into(), format!("\n{host}\n").into()]);
        let seen = ScopeSettings::of(&ReadScope::from(reach.account()));
        let none = behind_wall(Statement::from_string(DbBackend::Postgres, "SELECT 1"), &seen);
        assert!(none.sql.contains("$1, true") && none.sql.contains("$2, true"));
        assert_eq!(none.values.unwrap().0, vec!["\nacme\n".into(), "".into()]);
    }

    #[test]
    fn no_name_can_be_taken_for_another() {
        let seen = ScopeSettings::of_accounts([&account("b"), &account("ab")]);
        assert_eq!(seen.accounts, "\nb\nab\n");
        let nobody = ScopeSettings::of(&ReadScope::from(&Reach::of_hosts(account("b"), vec![])));
        assert_eq!(nobody.hosts, "\n", "no organization is not all of them");
        for id in ["a\nb", "\n", "a\n"] {
            assert!(AccountId::parse(id).is_err(), "{id:?}");
        }
    }
}
