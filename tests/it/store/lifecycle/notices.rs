//! The messages to the inviter when somebody accepts.

use invitation_service::clock::Clock;
use invitation_service::domain::command::{CreateInvitation, OnConflict};
use invitation_service::domain::decide::Context;
use invitation_service::domain::group::Group;
use invitation_service::domain::kind::Details;
use invitation_service::domain::kind::shared::Inviter;
use invitation_service::store::ExecutorOptions;
use sea_orm::{ConnectionTrait, QueryResult, Statement};
use uuid::Uuid;

use crate::support::build::commands::*;
use crate::support::build::kinds::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::on_both;

on_both!(migrated: acceptance_sends_one_notice_that_counts_as_no_delivery);

async fn acceptance_sends_one_notice_that_counts_as_no_delivery(database: TestDatabase) {
    let own = options(Group::run);
    let options = ExecutorOptions { context: Context { acceptance_notice: true, ..own.context.clone() }, ..own };
    let store = store_with(&database, &Clock::manual(NEW_YEAR), &options).await;
    let mut create = general(team("red"), OnConflict::Allow, &[mail("ann@example.org")]);
    if let Details::General(details) = &mut create.details {
        details.shared.inviter = Some(Inviter { email: Some(email("Ada@Example.org")), ..Inviter::default() });
    }
    let made = created(&store, CreateInvitation { mails: false, ..create }).await;
    let accepted = store.executor().execute(command(accept_as(&made, "ann", "ann@example.org")), None).await.unwrap();
    store.executor().execute(command(accept_as(&made, "ann", "ann@example.org")), None).await.unwrap();
    let database = database.connect().await;
    let sql = "SELECT recipient, address, about FROM outbox WHERE purpose = 'acceptance_notice' AND due_at IS NOT NULL";
    let rows = database.query_all_raw(Statement::from_string(database.get_database_backend(), sql)).await.unwrap();
    let row = |row: &QueryResult| -> (i32, String, Uuid) {
        (row.try_get("", "recipient").unwrap(), row.try_get("", "address").unwrap(), row.try_get("", "about").unwrap())
    };
    let about = accepted.acceptance.unwrap().id.0;
    assert_eq!(rows.iter().map(row).collect::<Vec<_>>(), [(0, "Ada@Example.org".to_owned(), about)]);
    assert_eq!(read(&store, made.id).await.deliveries, 0);
}
