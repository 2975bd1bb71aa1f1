//! The permissions of the role that logs in to PostgreSQL, and the statements that give it those that it lacks.

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::Maintenance;
use crate::store::sql::error::StoreError;
use crate::store::sql::migration::TABLES;

/// The most tables that a text names.
const MAX_NAMED: usize = 3;
const NEEDED: &str = "SELECT, INSERT, UPDATE, DELETE";

/// The permissions of a role in the schema that its statements are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants {
    /// The role.
    pub role: String,
    /// The schema; `None` if the role may use none of its `search_path`.
    pub schema: Option<String>,
    /// Whether the role may create tables in it, as migrations do.
    pub may_create: bool,
    /// The owner of the tables, if there are any.
    pub owner: Option<String>,
    search_path: String,
    /// The tables in which the role may not do everything that the service does.
    lacking: Vec<String>,
}

impl Grants {
    /// Returns the permission that the service lacks, and the statements that grant it.
    pub fn problem(&self) -> Option<String> {
        let Self { role, schema, search_path, lacking, .. } = self;
        let Some(schema) = schema else {
            return Some(format!(
                "role {role} may use no schema of its search_path ({search_path}), or there is none: GRANT USAGE ON SCHEMA public TO \
                 {role}"
            ));
        };
        if lacking.is_empty() {
            return None;
        }
        let mut named = lacking[..lacking.len().min(MAX_NAMED)].join(", ");
        if lacking.len() > MAX_NAMED {
            named += ", ...";
        }
        Some(format!(
            "role {role} lacks permissions in {} tables of schema {schema} ({named}): as their owner, GRANT USAGE ON SCHEMA {schema} TO \
             {role}; GRANT {NEEDED} ON ALL TABLES IN SCHEMA {schema} TO {role}; ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT \
             {NEEDED} ON TABLES TO {role}",
            lacking.len()
        ))
    }

    /// Returns the reason why the role cannot migrate, if it is known.
    pub fn problem_of_migration(&self) -> Option<String> {
        let Self { role, schema, may_create, owner, .. } = self;
        let Some(schema) = schema else { return self.problem() };
        match owner {
            Some(owner) if owner != role => Some(format!(
                "the tables belong to role {owner}, and this is role {role}: migrate as {owner}, or GRANT {owner} TO {role}"
            )),
            _ if !may_create => Some(format!(
                "role {role} may create no tables in schema {schema}: GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}, or make it the \
                 owner of the database"
            )),
            Some(_) | None => None,
        }
    }
}

impl Maintenance {
    /// Returns the permissions of the role that logs in; `None` on SQLite, which has no roles.
    pub async fn grants(&self) -> Result<Option<Grants>, StoreError> {
        if self.0.backend() != DbBackend::Postgres {
            return Ok(None);
        }
        let row = self.0.upkeep.query_one_raw(Statement::from_string(DbBackend::Postgres, sql())).await?;
        let row = row.ok_or_else(|| StoreError::Refused("the query for permissions returned no row".to_owned()))?;
        let lacking: Option<String> = row.try_get("", "lacking")?;
        Ok(Some(Grants {
            role: row.try_get("", "role")?,
            schema: row.try_get("", "schema")?,
            may_create: row.try_get("", "may_create")?,
            owner: row.try_get("", "owner")?,
            search_path: row.try_get("", "search_path")?,
            lacking: lacking
                .into_iter()
                .flat_map(|names| names.split(',').map(str::to_owned).collect::<Vec<_>>())
                .collect(),
        }))
    }

    /// Adds to an error what the database says about its reason: the permissions that are missing, or why there is no connection.
    pub async fn explain(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Forbidden(said) => {
                let grants = self.grants().await.ok().flatten();
                let problem = grants.and_then(|grants| grants.problem()).unwrap_or_else(|| self.of_role(&said));
                StoreError::Forbidden(problem)
            }
            StoreError::Unavailable(_) | StoreError::Slow => match self.0.try_connect(super::READINESS_LIMIT).await {
                Ok(()) => error,
                Err(failure) => StoreError::Unavailable(failure.to_string()),
            },
            other => other,
        }
    }

    /// Adds to the error of a migration which permission is missing.
    pub(super) async fn explain_migration(&self, error: StoreError) -> StoreError {
        let StoreError::Forbidden(said) = error else { return error };
        let problem = self.grants().await.ok().flatten().and_then(|grants| grants.problem_of_migration());
        let said = self.of_role(&said);
        StoreError::Forbidden(problem.map_or(said.clone(), |problem| format!("{said}: {problem}")))
    }

    fn of_role(&self, said: &str) -> String {
        match self.0.place() {
            Some(place) => format!("{place}, database {}, role {}: {said}", place.database, place.role),
            None => said.to_owned(),
        }
    }
}

fn sql() -> String {
    let tables = TABLES.map(|table| format!("('{table}')")).join(", ");
    let may = |privilege: &str| format!("has_table_privilege(to_regclass(t.name), '{privilege}')");
    let all = NEEDED.split(", ").map(may).collect::<Vec<_>>().join(" AND ");
    format!(
        "SELECT current_user::text AS role, current_schema()::text AS schema, current_setting('search_path') AS search_path,
            coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_create,
            (SELECT pg_get_userbyid(relowner)::text FROM pg_class WHERE oid = to_regclass('seaql_migrations')) AS owner,
            (SELECT string_agg(t.name, ',' ORDER BY t.name) FROM (VALUES {tables}) AS t(name)
                WHERE to_regclass(t.name) IS NOT NULL
                AND CASE WHEN t.name = 'seaql_migrations' THEN NOT {select} ELSE NOT ({all}) END) AS lacking",
        select = may("SELECT")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants() -> Grants {
        Grants {
            role: "app".to_owned(),
            schema: Some("public".to_owned()),
            may_create: true,
            owner: None,
            search_path: "public".to_owned(),
            lacking: Vec::new(),
        }
    }

    #[test]
    fn problems_name_the_role_and_the_grant() {
        assert_eq!((grants().problem(), grants().problem_of_migration()), (None, None));
        let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let lacks = Grants { lacking: named(&["a", "b", "c", "d"]), ..grants() }.problem().unwrap();
        assert!(lacks.contains("4 tables") && lacks.contains("(a, b, c, ...)"), "{lacks}");
        assert!(
            lacks.contains("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app"),
            "{lacks}"
        );
        let none = Grants { schema: None, ..grants() };
        assert!(none.problem().unwrap().contains("GRANT USAGE ON SCHEMA"));
        assert_eq!(none.problem(), none.problem_of_migration());
        let other = Grants { owner: Some("boss".to_owned()), ..grants() }.problem_of_migration().unwrap();
        assert!(other.contains("migrate as boss"), "{other}");
        let closed = Grants { may_create: false, ..grants() }.problem_of_migration().unwrap();
        assert!(closed.contains("GRANT USAGE, CREATE ON SCHEMA public TO app"), "{closed}");
    }
}
