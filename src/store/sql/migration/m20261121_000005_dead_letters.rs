//! An index of the messages that were given up, so that whoever queues them again does not read all there ever were.

use sea_orm_migration::prelude::*;

use super::{named, run};

pub(in crate::store) struct Migration;

named!(Migration);

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "CREATE INDEX outbox_failed ON outbox (account_id, created_at, id) WHERE state = 'failed'").await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "DROP INDEX outbox_failed").await
    }
}
