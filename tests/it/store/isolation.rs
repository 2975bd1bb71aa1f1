//! What one account has is nothing to another.

use invitation_service::domain::command::{Action, Command, UpdateCreatedConnection};
use invitation_service::domain::connection::NewConnection;
use invitation_service::domain::invitation::EngagementType;
use invitation_service::domain::refusal::Refusal;
use invitation_service::domain::text::AccountId;
use invitation_service::store::{EventQuery, ExecuteError, InvitationQuery};

use super::make::*;
use crate::harness::database::TestDatabase;
use crate::harness::on_both;

on_both!(another_account_sees_and_changes_nothing, request_ids_of_two_accounts_do_not_meet);

async fn another_account_sees_and_changes_nothing(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let made = created(&store, link()).await;
    let acceptance = store.execute(command(accept(&made, "ann")), None).await.unwrap().acceptance.unwrap();
    let before = read(&store, made.id).await;
    let other = AccountId::parse("Acme").unwrap();

    assert!(store.get_invitation(&other, made.id, true).await.unwrap().is_none());
    let query = InvitationQuery { limit: 10, ..InvitationQuery::default() };
    assert!(store.list_invitations(&other, &query).await.unwrap().is_empty());
    assert_eq!(store.list_invitations(&account(), &query).await.unwrap().len(), 1, "the owner sees it");
    let events =
        EventQuery { invitation: made.id, kind: None, types: Vec::new(), ascending: true, limit: 10, after: None };
    assert!(store.list_events(&other, &events).await.unwrap().is_none());

    let connection = NewConnection { id: COMPANY, datasource_name: String::new(), status: String::new() };
    let update = UpdateCreatedConnection { target: target(&made), connection, acceptance: Some(acceptance.id) };
    for action in [
        accept(&made, "ann"),
        accept(&made, "bob"),
        decline(&made, 0),
        revoke(&made),
        resend(&made, true, None),
        record(&made, EngagementType::View),
        Action::UpdateCreatedConnection(update),
    ] {
        let foreign = Command { account: other.clone(), ..command(action) };
        let refused = store.execute(foreign, None).await.unwrap_err();
        assert_eq!(refused, ExecuteError::Refused(Refusal::InvitationNotFound));
    }
    assert_eq!(read(&store, made.id).await, before);
    assert_eq!(story(&store, made.id).await, ["created", "accepted"]);
}

async fn request_ids_of_two_accounts_do_not_meet(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let ours = retryable("Create", "same", 1, create(link()));
    let theirs =
        Command { account: AccountId::parse("other").unwrap(), ..retryable("Create", "same", 2, create(link())) };
    let ours = store.execute(ours, None).await.unwrap().invitation;
    let theirs = store.execute(theirs, None).await.unwrap().invitation;
    assert_ne!(ours.id, theirs.id);
    assert!(store.get_invitation(&theirs.account, theirs.id, false).await.unwrap().is_some());
}
