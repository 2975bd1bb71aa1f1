//! Many at once: limits hold and a serial order exists, on one store and over two replicas.

use std::collections::BTreeSet;
use std::sync::Arc;

use invitation_service::clock::Clock;
use invitation_service::domain::command::{AcceptInvitation, Action, Command, CreateInvitation};
use invitation_service::domain::group::Group;
use invitation_service::domain::invitation::refusal::Refusal;
use invitation_service::domain::invitation::{EngagementType, Invitation};
use invitation_service::domain::kind::connection::NewConnection;
use invitation_service::store::{ExecuteError, ExecutorOptions, Store};

use crate::support::build::commands::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::on_both;

on_both!(
    migrated:
    exactly_as_many_accept_as_may,
    one_subject_many_times_at_once_has_one_acceptance,
    accepting_and_revoking_at_once_has_a_serial_order,
    accepting_and_rotating_at_once_has_a_serial_order,
    created_connection_belongs_to_one_acceptance,
    groups_in_opposite_order_end_without_an_error,
);

/// One store on SQLite, two replicas with several lanes each on PostgreSQL.
pub(crate) async fn replicas(database: &TestDatabase) -> Vec<Store> {
    let clock = Clock::manual(NEW_YEAR);
    let options = ExecutorOptions { lanes: 3, ..options(Group::run) };
    let mut stores = vec![store_with(database, &clock, &options).await];
    if database.url().starts_with("postgres") {
        stores.push(store_with(database, &clock, &options).await);
    }
    stores
}

/// Deals commands out to the replicas and runs them all at once.
pub(crate) async fn deal(stores: &[Store], commands: impl IntoIterator<Item = Command>) -> Vec<Answer> {
    let stores = stores.iter().cycle().cloned();
    all_at_once(stores.zip(commands)).await
}

async fn exactly_as_many_accept_as_may(database: TestDatabase) {
    let stores = replicas(&database).await;
    let made = created(&stores[0], CreateInvitation { max_uses: Some(50), ..link() }).await;
    let answers = deal(&stores, (0..400).map(|n| command(accept(&made, &format!("subject {n}"))))).await;
    let fulfilled = ExecuteError::Refused(Refusal::InvitationFulfilled);
    for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert_eq!(*error, fulfilled);
    }
    let accepted: BTreeSet<_> =
        answers.iter().flatten().map(|executed| executed.acceptance.clone().unwrap().subject).collect();
    assert_eq!(accepted.len(), 50);
    let found = read(&stores[0], made.id).await;
    assert_eq!(found.facts.use_count, 50);
    assert_eq!(found.acceptances.into_iter().map(|acceptance| acceptance.subject).collect::<BTreeSet<_>>(), accepted);
    let story = story(&stores[0], made.id).await;
    assert_eq!(story.len(), 52);
    assert_eq!(story.last(), Some(&"fulfilled"));
}

async fn one_subject_many_times_at_once_has_one_acceptance(database: TestDatabase) {
    let stores = replicas(&database).await;
    let made = created(&stores[0], link()).await;
    let answers = deal(&stores, (0..100).map(|_| command(accept(&made, "ann")))).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|executed| !executed.already_accepted).count(), 1);
    let ids: BTreeSet<_> = answers.iter().map(|executed| executed.acceptance.clone().unwrap().id).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(story(&stores[0], made.id).await, ["created", "accepted"]);
    assert_eq!(read(&stores[0], made.id).await.facts.use_count, 1);
}

/// Accepts, and in their midst something that ends them; returns the answers to the accepts.
async fn against(stores: &[Store], made: &Invitation, ending: Action) -> Vec<Answer> {
    let mut commands: Vec<Command> = (0..60).map(|n| command(accept(made, &format!("subject {n}")))).collect();
    commands.insert(30, command(ending));
    let mut answers = deal(stores, commands).await;
    answers.remove(30).unwrap();
    answers
}

async fn in_serial_order(ending: fn(&Invitation) -> Action, refusal: Refusal, name: &str, database: TestDatabase) {
    let stores = replicas(&database).await;
    for _ in 0..5 {
        let made = created(&stores[0], link()).await;
        let answers = against(&stores, &made, ending(&made)).await;
        let accepted = answers.iter().filter(|answer| answer.is_ok()).count();
        for error in answers.into_iter().filter_map(Result::err) {
            assert_eq!(error, ExecuteError::Refused(refusal.clone()));
        }
        let story = story(&stores[0], made.id).await;
        assert_eq!(story.len(), accepted + 2);
        assert_eq!(story.last(), Some(&name), "nobody gets in behind it");
        assert_eq!(read(&stores[0], made.id).await.facts.use_count as usize, accepted);
    }
}

async fn accepting_and_revoking_at_once_has_a_serial_order(database: TestDatabase) {
    in_serial_order(revoke, Refusal::InvitationRevoked, "revoked", database).await;
}

async fn accepting_and_rotating_at_once_has_a_serial_order(database: TestDatabase) {
    let rotate = |made: &Invitation| resend(made, true, None);
    in_serial_order(rotate, Refusal::InvitationNotFound, "resent", database).await;
}

async fn created_connection_belongs_to_one_acceptance(database: TestDatabase) {
    let stores = replicas(&database).await;
    let made = created(&stores[0], link()).await;
    let commands = (0..40).map(|n| {
        let connection = NewConnection { id: COMPANY, datasource_name: String::new(), status: String::new() };
        let accept = accept_by(&made, acceptor(&format!("subject {n}")));
        command(Action::Accept(Box::new(AcceptInvitation { created_connection: Some(connection), ..accept })))
    });
    let answers = deal(&stores, commands).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for error in answers.into_iter().filter_map(Result::err) {
        assert_eq!(error, ExecuteError::Refused(Refusal::CreatedConnectionExists(COMPANY)));
    }
    assert_eq!(story(&stores[0], made.id).await, ["created", "accepted"]);
}

async fn groups_in_opposite_order_end_without_an_error(database: TestDatabase) {
    let stores = replicas(&database).await;
    let mut invitations: Vec<Arc<Invitation>> = Vec::new();
    for _ in 0..12 {
        invitations.push(created(&stores[0], link()).await);
    }
    for round in 0..8 {
        let forth = invitations.iter().map(|made| (made, "forth"));
        let back = invitations.iter().rev().map(|made| (made, "back"));
        let mut commands = Vec::new();
        for ((forth, a), (back, b)) in forth.zip(back) {
            for (store, made, who) in [(&stores[0], forth, a), (stores.last().unwrap(), back, b)] {
                commands.push((store.clone(), command(accept(made, &format!("{who} {round}")))));
                commands.push((store.clone(), command(record(made, EngagementType::View))));
                commands.push((store.clone(), command(resend(made, false, None))));
            }
        }
        for answer in all_at_once(commands).await {
            answer.unwrap();
        }
    }
    for made in &invitations {
        let found = read(&stores[0], made.id).await;
        assert_eq!((found.facts.use_count, found.engagement.views, found.revision), (16, 16, 33));
        assert_eq!(events(&stores[0], made.id).await.len(), 49);
    }
}
