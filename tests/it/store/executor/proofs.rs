//! The proof of an address, which serves one subject however many replicas are asked at once.

use invitation_service::domain::command::{AcceptInvitation, Action, Command, CreateInvitation};
use invitation_service::domain::invitation::Invitation;
use invitation_service::domain::invitation::refusal::Refusal;
use invitation_service::domain::secret::verification::EmailProof;
use invitation_service::store::ExecuteError;
use uuid::Uuid;

use super::races::{deal, replicas};
use crate::support::build::commands::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::on_both;

on_both!(
    migrated:
    of_many_subjects_with_one_proof_one_accepts,
    proof_stays_used_after_a_restart,
);

fn proof(id: u128) -> EmailProof {
    EmailProof::new(Uuid::from_u128(id), email("person.0@example.org"), NEW_YEAR)
}

fn accept_with(made: &Invitation, subject: &str, proof: EmailProof) -> Command {
    let accept = accept_by(made, acceptor(subject));
    command(Action::Accept(Box::new(AcceptInvitation { proof: Some(proof), ..accept })))
}

/// Whether addresses bind the invitation or not.
async fn of_many_subjects_with_one_proof_one_accepts(database: TestDatabase) {
    let stores = replicas(&database).await;
    for (round, recipients) in (0..4).map(|round| (round, emails(usize::from(round < 3)))) {
        let made = created(&stores[0], CreateInvitation { recipients, ..link() }).await;
        let id = 100 + round;
        let subjects: Vec<String> = (0..30).map(|n| format!("subject {n}")).collect();
        let answers = deal(&stores, subjects.iter().map(|subject| accept_with(&made, subject, proof(id)))).await;
        let accepted: Vec<_> = answers.iter().flatten().map(|executed| executed.acceptance.clone().unwrap()).collect();
        let [accepted] = accepted.as_slice() else { panic!("{} accepted", accepted.len()) };
        for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            assert_eq!(*error, ExecuteError::Refused(Refusal::EmailProofUsed));
        }
        let again = deal(&stores, [accept_with(&made, &accepted.subject.0, proof(id))]).await.remove(0).unwrap();
        assert!(again.already_accepted);
        let other = deal(&stores, [accept_with(&made, "other", proof(200 + id))]).await.remove(0);
        other.expect("another proof of the same address is another subject's");
        assert_eq!(read(&stores[0], made.id).await.facts.use_count, 2);
    }
}

async fn proof_stays_used_after_a_restart(database: TestDatabase) {
    let (first, _) = store(&database).await;
    let made = created(&first, CreateInvitation { recipients: emails(1), ..link() }).await;
    first.executor().execute(accept_with(&made, "ann", proof(1)), None).await.unwrap();
    first.close().await;
    let (second, _) = store(&database).await;
    let refused = second.executor().execute(accept_with(&made, "bob", proof(1)), None).await.unwrap_err();
    assert_eq!(refused, ExecuteError::Refused(Refusal::EmailProofUsed));
    let again = second.executor().execute(accept_with(&made, "ann", proof(1)), None).await.unwrap();
    assert!(again.already_accepted);
}
