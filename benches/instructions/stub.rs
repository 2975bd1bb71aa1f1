//! A connection that takes statements and answers with rows that were recorded before.
//!
//! The rows come from the service's own schema and load, on a SQLite file that is filled before anything is counted. So a load
//! that reads other columns needs no change here.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use invitation_service::clock::Clock;
use invitation_service::domain::command::Command;
use invitation_service::domain::group::Save;
use invitation_service::store::Database;
use invitation_service::store::measured::GroupStatements;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, Statement};

use crate::commands::NOW;

/// The answers to the statements that follow, in their order.
#[derive(Default)]
pub(crate) struct Stub {
    answers: Mutex<VecDeque<Vec<QueryResult>>>,
}

impl Stub {
    /// Returns a stub that answers a number of loads for `commands`, as a database does that has saved `changes`.
    pub(crate) async fn answering_loads(changes: &Save, commands: &[Command], loads: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("recorded.db");
        let opened = Database::sqlite(&path, 1, Duration::from_secs(60), Clock::manual(NOW));
        let database = opened.await.expect("a database");
        database.maintenance().migrate().await.expect("the schema");
        database.close().await;
        let sqlite = sea_orm::Database::connect(format!("sqlite://{}", path.display())).await.expect("a connection");
        let texts = GroupStatements::new(DbBackend::Sqlite);
        texts.save(&sqlite, changes, NOW).await.expect("a save");
        let recorder = Recorder { sqlite, recorded: Self::default() };
        for _ in 0..loads {
            texts.load(&recorder, commands, NOW).await.expect("a load");
        }
        recorder.sqlite.close().await.expect("a connection that closes");
        recorder.recorded
    }

    /// Panics if answers are left: then the cases have sent fewer statements than SQLite was sent.
    pub(crate) fn assert_all_answered(&self) {
        assert!(self.answers.lock().expect("a stub").is_empty(), "not all answers were asked for");
    }

    fn answer(&self) -> Vec<QueryResult> {
        self.answers.lock().expect("a stub").pop_front().expect("an answer")
    }
}

#[async_trait]
impl ConnectionTrait for Stub {
    /// Statements are composed as for a server. Their rows are read in the same way on both databases.
    fn get_database_backend(&self) -> DbBackend {
        DbBackend::Postgres
    }

    async fn execute_raw(&self, _: Statement) -> Result<ExecResult, DbErr> {
        Err(DbErr::Custom("the stub executes nothing".to_owned()))
    }

    async fn execute_unprepared(&self, _: &str) -> Result<ExecResult, DbErr> {
        Err(DbErr::Custom("the stub executes nothing".to_owned()))
    }

    /// A save that met no conflict has nothing to answer.
    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        black_box(&statement);
        Ok(None)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        black_box(&statement);
        Ok(self.answer())
    }
}

/// Passes statements on to SQLite, twice: the rows can be read once, and are kept for the stub.
struct Recorder {
    sqlite: DatabaseConnection,
    recorded: Stub,
}

#[async_trait]
impl ConnectionTrait for Recorder {
    fn get_database_backend(&self) -> DbBackend {
        DbBackend::Sqlite
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.sqlite.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.sqlite.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.sqlite.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let rows = self.sqlite.query_all_raw(statement.clone()).await?;
        self.recorded.answers.lock().expect("a stub").push_back(rows);
        self.sqlite.query_all_raw(statement).await
    }
}
