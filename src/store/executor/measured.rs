//! Loading and saving a group on any connection, for the counted cases (`benches/instructions.rs`) alone.

use sea_orm::{ConnectionTrait, DbBackend};

use super::load::{LoadPart, load, load_texts};
use super::save::save;
use super::save_sql::SaveSql;
use crate::domain::command::Command;
use crate::domain::group::Save;
use crate::domain::group::loaded::Loaded;
use crate::domain::quota::Quotas;
use crate::domain::value::time::Timestamp;
use crate::store::sql::error::StoreError;
use crate::store::sql::texts::StatementTexts;

/// The texts of the statements, as a lane keeps them.
#[expect(missing_debug_implementations, reason = "nobody prints it")]
pub struct GroupStatements {
    load: StatementTexts<LoadPart>,
    save: SaveSql,
}

impl GroupStatements {
    /// Returns the texts for one database.
    pub fn new(backend: DbBackend) -> Self {
        Self { load: load_texts(backend), save: SaveSql::new(backend) }
    }

    /// Loads what a group that is shared by several callers reads.
    pub async fn load<C: ConnectionTrait>(
        &self,
        db: &C,
        commands: &[Command],
        clock: Timestamp,
    ) -> Result<Loaded, StoreError> {
        load(db, &self.load, commands.iter(), true, &Quotas::NONE, Some(clock)).await
    }

    /// Saves what a group has changed.
    pub async fn save<C: ConnectionTrait>(&self, db: &C, changes: &Save, clock: Timestamp) -> Result<(), StoreError> {
        save(db, &self.save, changes, Some(clock)).await
    }
}
