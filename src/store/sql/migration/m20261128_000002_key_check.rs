//! The keys that processes had in their rings, by what may be known of a key, so that a ring which lacks a key in use, or has
//! another under its id, is noticed.

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
        run(manager, "DROP TABLE key_check").await
    }
}

/// A key is of all accounts.
const UP: &str = "
CREATE TABLE key_check (
    id integer NOT NULL, fingerprint {text} NOT NULL, first_seen_at bigint NOT NULL, signed_at bigint, retired_at bigint,
    PRIMARY KEY (id)
)
";
