//! The ground of all suites: a database of one's own on either backend, and a service in this process with a clock that
//! is moved by hand.

pub(crate) mod build;
pub(crate) mod certificates;
pub(crate) mod codes;
pub(crate) mod database;
pub(crate) mod expect;
pub(crate) mod explain;
pub(crate) mod folder;
pub(crate) mod gate;
pub(crate) mod jwt;
pub(crate) mod limit;
pub(crate) mod nats;
pub(crate) mod network;
pub(crate) mod pace;
pub(crate) mod pooler;
pub(crate) mod postgres;
pub(crate) mod proxy;
mod scram;
pub(crate) mod service;

/// Makes two tests of one suite function: on SQLite and on PostgreSQL. The function takes an empty [`database::TestDatabase`];
/// after `migrated:` the one on PostgreSQL has the schema at its head, which is quicker for whoever needs it there anyway.
macro_rules! on_both {
    (migrated: $($tests:tt)+) => { $crate::support::on_both! { @migrated_postgres $($tests)+ } };
    (@$postgres:ident $($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        mod $name {
            use $crate::support::database::TestDatabase;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
            async fn on_sqlite() {
                super::$name(TestDatabase::sqlite()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
            async fn on_postgres() {
                if let Some(database) = TestDatabase::$postgres().await {
                    super::$name(database).await;
                }
            }
        }
    )+};
    ($($tests:tt)+) => { $crate::support::on_both! { @postgres $($tests)+ } };
}
pub(crate) use on_both;
