//! Commands beside invitations that a newer release has written: they are decided without them.

use invitation_service::domain::command::OnConflict;
use invitation_service::domain::invitation::refusal::Refusal;
use invitation_service::store::ExecuteError;

use super::future::{damages, set};
use crate::support::build::commands::*;
use crate::support::build::kinds::{accept_as, general, mail, team, user};
use crate::support::database::TestDatabase;
use crate::support::on_both;

on_both!(
    migrated:
    accept_succeeds_beside_an_unreadable_invitation,
    create_is_decided_without_an_unreadable_rival,
    slot_of_an_unreadable_invitation_stays_taken,
);

async fn accept_succeeds_beside_an_unreadable_invitation(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let raw = database.connect().await;
    for (number, damage) in damages(&raw).into_iter().enumerate() {
        let ann = format!("ann{number}@example.org");
        let one = || general(team("blue"), OnConflict::Allow, &[mail(&ann)]);
        let (made, beside, unreadable) =
            (created(&store, one()).await, created(&store, one()).await, created(&store, one()).await);
        set(&raw, damage, unreadable.id).await;
        store.executor().execute(command(accept_as(&made, &ann, &ann)), None).await.unwrap();
        assert_eq!(story(&store, made.id).await[1], "accepted", "{damage}");
        assert_eq!(story(&store, beside.id).await.len(), 2, "it is fulfilled: {damage}");
        assert_eq!(story(&store, unreadable.id).await, ["created"], "{damage}");
    }
    store.close().await;
}

async fn create_is_decided_without_an_unreadable_rival(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let raw = database.connect().await;
    for (number, damage) in damages(&raw).into_iter().enumerate() {
        let ann = mail(&format!("ann{number}@example.org"));
        let one = |on_conflict| general(team("red"), on_conflict, std::slice::from_ref(&ann));
        let unreadable = created(&store, one(OnConflict::Allow)).await;
        set(&raw, damage, unreadable.id).await;
        for on_conflict in [OnConflict::ReturnExisting, OnConflict::Replace] {
            let made = store.executor().execute(command(create(one(on_conflict))), None).await.unwrap().invitation;
            assert_ne!(made.id, unreadable.id, "{damage}");
        }
        assert_eq!(story(&store, unreadable.id).await, ["created"], "{damage}");
    }
    store.close().await;
}

async fn slot_of_an_unreadable_invitation_stays_taken(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let raw = database.connect().await;
    for (number, damage) in damages(&raw).into_iter().enumerate() {
        let ann = format!("ann{number}@example.org");
        let holder = created(&store, user(&ann)).await;
        set(&raw, damage, holder.id).await;
        match store.executor().execute(command(create(user(&ann))), None).await {
            Err(ExecuteError::Refused(Refusal::InvitationExists(id, _))) => assert_eq!(id, holder.id, "{damage}"),
            other => panic!("{damage}: {other:?}"),
        }
    }
    store.close().await;
}
