//! The views that are all that the role for reads of calls sees (`store.reader_role`): of each table, the rows of the accounts and
//! organizations that a statement has named ([`within`](crate::store::sql::database::within)).
//!
//! They are no policies of row-level security. Below a policy, PostgreSQL uses an index only for conditions of functions that it calls
//! leakproof, which the concatenation and `coalesce` of our indexes are not: a page of a list read every row of the table. Views
//! have no such limit, and neither the owner of the tables nor a dump of them is concerned.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement, TransactionTrait};

use crate::store::sql::database::within::{ACCOUNTS, HOSTS};

/// The rows of a table that a view shows.
#[derive(Clone, Copy)]
enum Shown {
    /// All: none belongs to an account.
    All,
    /// Those of the accounts.
    OfAccount,
    /// Those of the accounts that the organizations host.
    Invitations,
    /// Those that belong to such an invitation.
    OfInvitation,
    /// The same, also of invitations that are deleted.
    Events,
}

/// Every table of which a call reads. Keys and grants of organizations have no invitation: the statements tell whose they are.
const VIEWS: [(&str, Shown); 23] = [
    ("invitation", Shown::Invitations),
    ("label", Shown::OfInvitation),
    ("recipient", Shown::OfInvitation),
    ("invitation_group", Shown::OfInvitation),
    ("acceptance", Shown::OfInvitation),
    ("slot", Shown::OfInvitation),
    ("autojoin_domain", Shown::OfInvitation),
    ("engagement", Shown::OfInvitation),
    ("event", Shown::Events),
    ("outbox", Shown::OfInvitation),
    ("verification", Shown::OfInvitation),
    ("verification_budget", Shown::OfInvitation),
    ("request", Shown::OfAccount),
    ("pruned_events", Shown::OfAccount),
    ("webhook_endpoint", Shown::OfAccount),
    ("webhook_message", Shown::OfAccount),
    ("webhook_attempt", Shown::OfAccount),
    ("organization_grant", Shown::OfAccount),
    ("api_key", Shown::OfAccount),
    ("erasure", Shown::OfAccount),
    ("quota", Shown::OfAccount),
    ("quota_hold", Shown::OfAccount),
    ("follower", Shown::All),
];

/// Creates the role if there is none, and its views if they are not those of this release. The role has no login: that of the service
/// becomes it.
pub(in crate::store) async fn make(db: &DatabaseConnection, role: &str) -> Result<(), DbErr> {
    let transaction = db.begin().await?;
    // The lock ends with the transaction: several processes may migrate at once.
    transaction.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({})", super::MIGRATION_LOCK)).await?;
    let views =
        VIEWS.map(|(table, shown)| format!("{role}.{table} AS SELECT t.* FROM {table} t WHERE {}", condition(shown)));
    let fingerprint = fingerprint(&transaction, &views.join(";")).await?;
    if known_fingerprint(&transaction, role).await?.as_ref() == Some(&fingerprint)
        && are_made(&transaction, role).await?
    {
        // Whoever reads would have to wait for the change of a view.
        return transaction.rollback().await;
    }
    transaction.execute_unprepared(&create_role(role)).await?;
    transaction.execute_unprepared(&format!("CREATE SCHEMA IF NOT EXISTS {role}")).await?;
    for ((table, _), view) in VIEWS.iter().zip(views) {
        // A view keeps the columns that the table had when it was made.
        let sql = format!("DROP VIEW IF EXISTS {role}.{table}; CREATE VIEW {view}");
        transaction.execute_unprepared(&sql).await?;
    }
    let rest = format!(
        "GRANT USAGE ON SCHEMA {role} TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA {role} TO {role};
        COMMENT ON SCHEMA {role} IS '{fingerprint}'"
    );
    transaction.execute_unprepared(&rest).await?;
    transaction.commit().await
}

/// Returns whether every table that a call reads has a view with all of its columns.
pub(in crate::store) async fn are_made(db: &impl ConnectionTrait, role: &str) -> Result<bool, DbErr> {
    let tables = VIEWS.map(|(table, _)| format!("('{table}')")).join(", ");
    let sql = format!(
        "SELECT NOT EXISTS (
            SELECT FROM (VALUES {tables}) AS of(name) JOIN pg_attribute a ON a.attrelid = to_regclass(of.name)
            WHERE a.attnum > 0 AND NOT a.attisdropped AND NOT EXISTS (
                SELECT FROM pg_attribute v WHERE v.attrelid = to_regclass('{role}.' || of.name) AND v.attname = a.attname))"
    );
    let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
    row.map_or(Ok(false), |row| row.try_get_by_index(0))
}

async fn fingerprint(db: &impl ConnectionTrait, views: &str) -> Result<String, DbErr> {
    let sql =
        Statement::from_sql_and_values(DbBackend::Postgres, "SELECT 'invitation-service ' || md5($1)", [views.into()]);
    let row = db.query_one_raw(sql).await?;
    row.map_or_else(|| Ok(String::new()), |row| row.try_get_by_index(0))
}

async fn known_fingerprint(db: &impl ConnectionTrait, role: &str) -> Result<Option<String>, DbErr> {
    let sql = format!("SELECT obj_description(to_regnamespace('{role}'), 'pg_namespace')");
    let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
    row.map_or(Ok(None), |row| row.try_get_by_index(0))
}

/// The roles belong to all databases of the server, where another one may be creating it.
fn create_role(role: &str) -> String {
    format!(
        "DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
                CREATE ROLE {role} NOLOGIN;
                GRANT {role} TO CURRENT_USER;
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END $$"
    )
}

/// Returns the condition for row `t` of a table to be shown. None of them fits an index, so no plan changes, and all are thought to
/// be true of nearly every row.
fn condition(shown: Shown) -> String {
    let account = is_named("t.account_id", ACCOUNTS);
    let of_guest = |invitation: &str| {
        format!("{invitation}.kind = 'guest' AND {}", is_named(&format!("{invitation}.scope_id"), HOSTS))
    };
    // In a condition the kind would fit the index of guests. Without the limit, all invitations might be read into a hash table.
    let of_invitation = format!(
        "(SELECT {} FROM invitation i WHERE i.account_id = t.account_id AND i.id = t.invitation_id LIMIT 1)",
        of_guest("i")
    );
    let hosted = match shown {
        Shown::All => return "true".to_owned(),
        Shown::OfAccount => return account,
        Shown::Invitations => of_guest("t"),
        Shown::OfInvitation => of_invitation,
        Shown::Events => {
            let told = is_named("(t.data->'scope'->>'id')", HOSTS);
            format!("{of_invitation} OR t.kind = 'guest' AND {told}")
        }
    };
    format!(
        "{account} AND CASE WHEN coalesce(current_setting('{HOSTS}', true), '') = '' THEN 1 WHEN {hosted} THEN 1 ELSE 0 END <> 0"
    )
}

/// Returns the condition for a setting to name what a column has; a setting that was not made names nothing.
fn is_named(column: &str, setting: &str) -> String {
    format!(r"position(E'\n' || {column} || E'\n' IN current_setting('{setting}', true)) <> 0")
}
