//! One index that can find an acceptance by its subject, and one by the connection it created.
//!
//! Indexes that begin alike look alike to a planner whose statistics come from another day: of two that begin with account and
//! invitation it may take the one that reads every acceptance of a link. A key of one expression leaves it no choice. The
//! order by age needs no index of its own, since ids sort by age.

use sea_orm_migration::prelude::*;

use super::{named, run};

pub(in crate::store) struct Migration;

named!(Migration);

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, DOWN).await
    }
}

const UP: &str = "
DROP INDEX acceptance_by_subject;
DROP INDEX acceptance_by_connection;
DROP INDEX acceptance_by_age;
CREATE UNIQUE INDEX acceptance_by_subject ON acceptance (account_id, ({uuid_text:invitation_id} || ' ' || subject));
CREATE UNIQUE INDEX acceptance_by_connection
    ON acceptance (account_id, ({uuid_text:invitation_id} || ' ' || {uuid_text:created_connection_id}))
    WHERE created_connection_id IS NOT NULL
";

const DOWN: &str = "
DROP INDEX acceptance_by_subject;
DROP INDEX acceptance_by_connection;
CREATE UNIQUE INDEX acceptance_by_subject ON acceptance (account_id, invitation_id, subject);
CREATE UNIQUE INDEX acceptance_by_connection ON acceptance (account_id, invitation_id, created_connection_id)
    WHERE created_connection_id IS NOT NULL;
CREATE INDEX acceptance_by_age ON acceptance (account_id, invitation_id, accepted_at, id)
";
