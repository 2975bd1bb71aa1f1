//! Pages of an invitation's acceptances.

use std::time::Duration;

use invitation_service::domain::command::Command;
use invitation_service::domain::invitation::Invitation;
use invitation_service::domain::kind::Kind;
use invitation_service::domain::reach::Reach;
use invitation_service::domain::value::id::IdSeed;
use invitation_service::domain::value::text::AccountId;
use invitation_service::entropy::Entropy;
use invitation_service::store::{AcceptanceQuery, Cursor};

use crate::support::build::commands::*;
use crate::support::database::TestDatabase;
use crate::support::on_both;

on_both!(migrated: acceptances_are_paged_newest_first_for_their_account_alone);

async fn acceptances_are_paged_newest_first_for_their_account_alone(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let (made, other) = (created(&store, link()).await, created(&store, link()).await);
    // Ids begin with the moment their command came.
    let accept_now = async |made: &Invitation, subject: &str| {
        let seed = IdSeed::new(clock.now(), Entropy::system().bytes());
        store
            .executor()
            .execute(Command { seed, ..command(accept(made, subject)) }, None)
            .await
            .unwrap()
            .acceptance
            .unwrap()
    };
    let mut wanted = Vec::new();
    for n in 0..10_u64 {
        clock.advance(Duration::from_secs(1));
        wanted.push(accept_now(&made, &format!("person {n}")).await);
        accept_now(&other, &format!("person {n}")).await;
    }
    wanted.reverse();
    let mut query = AcceptanceQuery { kind: Some(Kind::Connection), ..AcceptanceQuery::of(made.id, 4) };
    let mut seen = Vec::new();
    loop {
        let page = store.primary().list_acceptances(&reach(), &query).await.unwrap().unwrap();
        let Some(last) = page.last() else { break };
        query.after = Some(Cursor::of_acceptance(last));
        seen.extend(page);
        // Acceptances that arrive while the list is read are newer than all that is left of it.
        clock.advance(Duration::from_secs(1));
        accept_now(&made, &format!("late {}", seen.len())).await;
    }
    assert_eq!(seen, wanted);

    let query = AcceptanceQuery { after: None, ascending: true, ..query };
    let oldest = store.primary().list_acceptances(&reach(), &query).await.unwrap().unwrap();
    assert_eq!(oldest, wanted.iter().rev().take(4).cloned().collect::<Vec<_>>());
    let after = oldest.get(1).map(Cursor::of_acceptance);
    let next = AcceptanceQuery { after, ..query.clone() };
    let next = store.primary().list_acceptances(&reach(), &next).await.unwrap().unwrap();
    assert_eq!(next[..2], oldest[2..]);
    let wrong = AcceptanceQuery { kind: Some(Kind::Guest), ..query.clone() };
    assert!(store.primary().list_acceptances(&reach(), &wrong).await.unwrap().is_none());
    let foreign = AccountId::parse("Acme").unwrap();
    assert!(store.primary().list_acceptances(&Reach::of_account(foreign.clone()), &query).await.unwrap().is_none());
    let unused = AcceptanceQuery { invitation: created(&store, link()).await.id, ..query };
    assert!(store.primary().list_acceptances(&reach(), &unused).await.unwrap().unwrap().is_empty());
}
