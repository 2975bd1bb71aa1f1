//! The views that are all that the role for reads of calls sees (`store.reader_role`): of each table, the rows of the accounts and
//! organizations that a statement has named ([`read_scope`](crate::store::sql::database::read_scope)).
//!
//! They are no policies of row-level security. Below a policy, PostgreSQL uses an index only for conditions of functions that it calls
//! leakproof, which the concatenation and `coalesce` of our indexes are not: a page of a list read every row of the table. Views
//! have no such limit, and neither the owner of the tables nor a dump of them is concerned.

use data_encoding::HEXLOWER;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};
use sha2::{Digest as _, Sha256};

use super::turn::{self, DEALLOCATE};
use crate::store::sql::database::read_scope::{ACCOUNTS, HOSTS};
use crate::store::sql::error::StoreError;

/// The rows of a table that a view shows.
#[derive(Clone, Copy)]
enum RowFilter {
    /// All: none belongs to an account.
    All,
    /// The rows of the named accounts.
    OfAccount,
    /// The invitations of the named accounts; where organizations are named, the guest invitations that those host.
    Invitations,
    /// The rows of such an invitation.
    OfInvitation,
    /// The events of such an invitation, also of one that is deleted.
    Events,
}

/// Every table of which a call reads. Keys and grants of organizations have no invitation: the statements tell whose they are.
const VIEWS: [(&str, RowFilter); 27] = [
    ("invitation", RowFilter::Invitations),
    ("label", RowFilter::OfInvitation),
    ("recipient", RowFilter::OfInvitation),
    ("invitation_group", RowFilter::OfInvitation),
    ("acceptance", RowFilter::OfInvitation),
    ("slot", RowFilter::OfInvitation),
    ("autojoin_domain", RowFilter::OfInvitation),
    ("engagement", RowFilter::OfInvitation),
    ("event", RowFilter::Events),
    ("outbox", RowFilter::OfInvitation),
    ("verification", RowFilter::OfInvitation),
    ("verification_budget", RowFilter::OfInvitation),
    ("request", RowFilter::OfAccount),
    ("pruned_events", RowFilter::OfAccount),
    ("webhook_endpoint", RowFilter::OfAccount),
    ("webhook_message", RowFilter::OfAccount),
    ("webhook_attempt", RowFilter::OfAccount),
    ("organization_grant", RowFilter::OfAccount),
    ("api_key", RowFilter::OfAccount),
    ("erasure", RowFilter::OfAccount),
    ("suppression", RowFilter::OfAccount),
    ("quota", RowFilter::OfAccount),
    ("quota_hold", RowFilter::OfAccount),
    ("scope_settings", RowFilter::OfAccount),
    ("seat", RowFilter::OfAccount),
    ("seat_hold", RowFilter::OfAccount),
    ("follower", RowFilter::All),
];

/// The reason why nothing can be read as a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString)]
pub enum RoleProblem {
    /// A login with the name of the role would be in its place.
    #[strum(serialize = "the role can log in: take one that cannot, and no name of a login")]
    IsLogin,
    /// There is no such role.
    #[strum(serialize = "there is no such role: run `migrate` with the setting")]
    Missing,
    /// A table has no view, or one without all of its columns.
    #[strum(serialize = "views, or columns of them, are missing: run `migrate` with the setting")]
    Incomplete,
    /// The role has not all of its grants.
    #[strum(serialize = "the role may not read every view: run `migrate` with the setting")]
    Ungranted,
    /// The login of the service cannot become the role.
    #[strum(serialize = "the login is no member of the role: GRANT it to the login")]
    NoMember,
}

/// Creates the role if there is none, and its views if they are not those of this release. The role has no login: that of the service
/// becomes it.
pub(in crate::store) async fn create(db: &DatabaseConnection, role: &str) -> Result<(), StoreError> {
    let mut attempts = turn::Attempts::default();
    while let Err(error) = create_in_turn(db, role).await {
        attempts.pause(error).await?;
    }
    Ok(())
}

async fn create_in_turn(db: &DatabaseConnection, role: &str) -> Result<(), StoreError> {
    let transaction = turn::begin(db).await?;
    // A notice for each view that is not there yet would be logged.
    transaction.execute_unprepared("SET LOCAL client_min_messages = warning").await?;
    transaction.execute_unprepared(&create_role(role)).await?;
    let problem = problem(&transaction, role).await?;
    if problem == Some(RoleProblem::IsLogin) {
        return Err(StoreError::Role(RoleProblem::IsLogin));
    }
    // Whoever reads would have to wait for the change of a view.
    let is_done = matches!(problem, None | Some(RoleProblem::NoMember));
    if !is_done || !are_of_this_release(&transaction, role).await? {
        transaction.execute_unprepared(&create_schema(role)).await?;
        for (name, view) in definitions(role) {
            // A view keeps the columns that the table had when it was created.
            let sql = format!("DROP VIEW IF EXISTS {name}; CREATE VIEW {name} AS {view}");
            transaction.execute_unprepared(&sql).await?;
        }
        transaction.execute_unprepared(&grant(role)).await?;
    }
    transaction.execute_unprepared(DEALLOCATE).await?;
    transaction.commit().await?;
    Ok(())
}

/// Returns the name of the schema of a role. It is not that of the role: `search_path` begins with the name of whoever logs in, so the
/// views would be in the place of the tables for a login of that name.
pub(in crate::store::sql) fn schema(role: &str) -> String {
    format!(r#""{role}_views""#)
}

/// Returns the reason why a login cannot read as a role, if there is one. Views of a newer release have more columns.
pub(in crate::store) async fn problem(db: &impl ConnectionTrait, role: &str) -> Result<Option<RoleProblem>, DbErr> {
    let (schema, tables) = (schema(role), VIEWS.map(|(table, _)| format!("('{table}')")).join(", "));
    let [is_login, missing, incomplete, ungranted, no_member] = [
        RoleProblem::IsLogin,
        RoleProblem::Missing,
        RoleProblem::Incomplete,
        RoleProblem::Ungranted,
        RoleProblem::NoMember,
    ]
    .map(|problem| problem.to_string());
    let sql = format!(
        "WITH reader AS MATERIALIZED (SELECT oid, rolcanlogin FROM pg_roles WHERE rolname = '{role}'),
        of AS MATERIALIZED (
            SELECT to_regclass(name) AS known, c.oid AS view FROM (VALUES {tables}) AS named(name)
            LEFT JOIN pg_class c ON c.relname = name AND c.relnamespace = to_regnamespace('{schema}')
        )
        SELECT CASE
            WHEN (SELECT rolcanlogin FROM reader) THEN '{is_login}'
            WHEN NOT EXISTS (SELECT FROM reader) THEN '{missing}'
            WHEN EXISTS (
                SELECT FROM of JOIN pg_attribute a ON a.attrelid = of.known AND a.attnum > 0 AND NOT a.attisdropped
                WHERE NOT EXISTS (SELECT FROM pg_attribute v WHERE v.attrelid = of.view AND v.attname = a.attname)
            ) THEN '{incomplete}'
            WHEN EXISTS (
                SELECT FROM reader, of WHERE NOT has_schema_privilege(reader.oid, to_regnamespace('{schema}')::oid, 'USAGE')
                    OR NOT has_table_privilege(reader.oid, of.view, 'SELECT')
            ) THEN '{ungranted}'
            WHEN NOT (SELECT pg_has_role(reader.oid, 'MEMBER') FROM reader) THEN '{no_member}'
        END"
    );
    let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
    let text: Option<String> = row.map(|row| row.try_get_by_index(0)).transpose()?.flatten();
    Ok(text.map(|text| text.parse().unwrap_or(RoleProblem::Incomplete)))
}

/// Returns whether the views are those that this release creates.
pub(in crate::store) async fn are_of_this_release(db: &impl ConnectionTrait, role: &str) -> Result<bool, DbErr> {
    let known = format!("obj_description(to_regnamespace('{}'), 'pg_namespace')", schema(role));
    let sql = format!("SELECT coalesce({known} = '{}', false)", fingerprint(role));
    let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
    row.map_or(Ok(false), |row| row.try_get_by_index(0))
}

/// Reads of a view as the role does.
pub(in crate::store) async fn read_one(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    db.query_one_raw(Statement::from_string(DbBackend::Postgres, "SELECT name FROM follower LIMIT 1")).await.map(drop)
}

/// Returns the names of the views with their queries.
fn definitions(role: &str) -> [(String, String); VIEWS.len()] {
    VIEWS.map(|(table, rows)| {
        (format!("{}.{table}", schema(role)), format!("SELECT t.* FROM {table} t WHERE {}", condition(rows)))
    })
}

fn fingerprint(role: &str) -> String {
    let mut hash = Sha256::new();
    for (name, view) in definitions(role) {
        hash.update(format!("{name} {view};"));
    }
    format!("invitation-service {}", HEXLOWER.encode(&hash.finalize()[..16]))
}

/// The roles belong to all databases of the server, where another one may be creating it. Whoever migrates may be allowed to grant it
/// to nobody; then it was granted to whoever needs it.
fn create_role(role: &str) -> String {
    format!(
        r#"DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN CREATE ROLE "{role}" NOLOGIN; END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END $$;
        DO $$ BEGIN
            IF NOT pg_has_role(current_user, '{role}', 'MEMBER') THEN GRANT "{role}" TO CURRENT_USER; END IF;
        EXCEPTION WHEN insufficient_privilege THEN NULL;
        END $$"#
    )
}

/// Whoever may create no schema may have been given one.
fn create_schema(role: &str) -> String {
    let schema = schema(role);
    format!("DO $$ BEGIN IF to_regnamespace('{schema}') IS NULL THEN CREATE SCHEMA {schema}; END IF; END $$")
}

fn grant(role: &str) -> String {
    let schema = schema(role);
    format!(
        r#"GRANT USAGE ON SCHEMA {schema} TO "{role}"; GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO "{role}";
        COMMENT ON SCHEMA {schema} IS '{}'"#,
        fingerprint(role)
    )
}

/// Returns the condition for row `t` of a table to be shown. None of them fits an index, so no plan changes, and all are thought to
/// be true of nearly every row.
fn condition(rows: RowFilter) -> String {
    let account = is_named("t.account_id", ACCOUNTS);
    let of_guest = |invitation: &str| {
        format!("{invitation}.kind = 'guest' AND {}", is_named(&format!("{invitation}.scope_id"), HOSTS))
    };
    // In a condition the kind would fit the index of guests. Without the limit, all invitations might be read into a hash table.
    let of_invitation = format!(
        "(SELECT {} FROM invitation i WHERE i.account_id = t.account_id AND i.id = t.invitation_id LIMIT 1)",
        of_guest("i")
    );
    let hosted = match rows {
        RowFilter::All => return "true".to_owned(),
        RowFilter::OfAccount => return account,
        RowFilter::Invitations => of_guest("t"),
        RowFilter::OfInvitation => of_invitation,
        RowFilter::Events => {
            let told = is_named("(t.data->'scope'->>'id')", HOSTS);
            format!("{of_invitation} OR t.kind = 'guest' AND {told}")
        }
    };
    // A bare condition on the kind would make the planner take the index of guests.
    format!(
        "{account} AND CASE WHEN coalesce(current_setting('{HOSTS}', true), '') = '' THEN 1 WHEN {hosted} THEN 1 ELSE 0 END <> 0"
    )
}

/// Returns the condition for a setting to name what a column has; a setting that was not made names nothing.
fn is_named(column: &str, setting: &str) -> String {
    format!(r"position(E'\n' || {column} || E'\n' IN current_setting('{setting}', true)) <> 0")
}
