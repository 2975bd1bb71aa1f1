//! Steps that are calls: one at a time, several at once, and races between two replicas.

use futures_util::future::join_all;
use invitation_service::domain::command::Command;
use invitation_service::domain::reach::Reach;
use invitation_service::store::BatchMode;

use super::commands::{Chooser, brief};
use super::explain::{Call, End, Evidence, complaint};
use super::faults::Fault;
use super::rows;
use super::world::World;
use crate::support::gate;

impl World {
    fn command(&mut self) -> Command {
        let (sent, now) = (std::mem::take(&mut self.sent), self.clock.now());
        let mut chooser = Chooser { random: &mut self.random, model: &self.model, leases: &self.leases, now };
        let command = chooser.command(&sent);
        self.sent = sent;
        if command.request.is_some() {
            self.sent.push(command.clone());
        }
        command
    }

    /// One call of one command, or of several that hang together.
    pub(super) async fn call(&mut self, fault: Option<&Fault>) {
        let mode = self.random.pick(&[
            BatchMode::Independent,
            BatchMode::Independent,
            BatchMode::Independent,
            BatchMode::Together,
            BatchMode::Atomic,
            BatchMode::DryRun,
        ]);
        let count = if mode == BatchMode::Independent { 1 } else { 1 + self.random.below(3) };
        let commands: Vec<_> = (0..count).map(|_| self.command()).collect();
        self.told.note(format!("{mode:?} {:?}", commands.iter().map(brief).collect::<Vec<_>>()));
        let store = self.store();
        let call = {
            let commands = commands.clone();
            async move {
                match mode {
                    BatchMode::Independent => End::of_one(store.executor().execute(commands[0].clone(), None).await),
                    BatchMode::Together | BatchMode::Atomic | BatchMode::DryRun => {
                        End::of_all(store.executor().execute_all(commands, mode, None).await)
                    }
                }
            }
        };
        let end = self.under(fault, call).await.unwrap_or(End::Unknown);
        self.understand(vec![Call { commands, mode, end }], fault).await;
    }

    /// Several calls at the same time, over all stores.
    pub(super) async fn several(&mut self, fault: Option<&Fault>) {
        let mut calls = Vec::new();
        for _ in 0..2 + self.random.below(3) {
            let command = self.command();
            calls.push((self.store(), command));
        }
        self.told.note(format!("at once {:?}", calls.iter().map(|(_, command)| brief(command)).collect::<Vec<_>>()));
        // Not tasks of their own: a caller that leaves must not send its command later.
        let all = join_all(
            calls
                .clone()
                .into_iter()
                .map(|(store, command)| async move { End::of_one(store.executor().execute(command, None).await) }),
        );
        let ends = self.under(fault, all).await.unwrap_or_else(|| vec![End::Unknown; calls.len()]);
        let calls = calls.into_iter().zip(ends);
        let calls =
            calls.map(|((_, command), end)| Call { commands: vec![command], mode: BatchMode::Independent, end });
        self.understand(calls.collect(), fault).await;
    }

    /// Another replica changes the same invitation between the load and the save of a command.
    pub(super) async fn race(&mut self) {
        let existing: Vec<_> = self.model.invitations.values().cloned().collect();
        let Some(about) = self.random.pick_late(&existing) else { return };
        let mut chooser = self.chooser();
        let mut slow = chooser.command_about(&about);
        let quick = chooser.command_about(&about);
        slow.actor = gate::actor();
        self.told.note(format!("race {} against {}", brief(&slow), brief(&quick)));
        let mut held = gate::gate(&slow.actor);
        let (first, second) = (self.stores[0].clone(), self.stores[1].clone());
        let task = tokio::spawn({
            let slow = slow.clone();
            async move { End::of_one(first.executor().execute(slow, None).await) }
        });
        held.decided().await;
        let quick_end = End::of_one(second.executor().execute(quick.clone(), None).await);
        drop(held);
        let ends = [(slow, task.await.unwrap()), (quick, quick_end)];
        let calls = ends.map(|(command, end)| Call { commands: vec![command], mode: BatchMode::Independent, end });
        self.understand(calls.to_vec(), None).await;
    }

    /// Finds what explains the answers, without a fault all of them, and goes on from there.
    pub(super) async fn understand(&mut self, calls: Vec<Call>, fault: Option<&Fault>) {
        for call in calls.iter().filter(|_| fault.is_none()) {
            match &call.end {
                End::Answered(_) | End::Refused(_) => {}
                End::Failed(error) => panic!("a call failed without a fault: {error:?}"),
                End::Unknown => panic!("a call failed without a fault"),
            }
        }
        // The answers of a single call leave no choice; the rows are compared now and then.
        let certain = fault.is_none() && calls.len() == 1;
        let rows = if certain { None } else { Some(rows::read(&self.control).await) };
        let (context, now, at_once) = (&self.context, self.clock.now(), calls.len() > 1);
        let evidence = Evidence { context, now, rows: rows.as_ref(), at_once };
        let Some(model) = evidence.explain(&self.model, &calls) else {
            panic!("no order of the calls explains what came of them:\n{}", complaint(&self.model, &calls, &evidence))
        };
        self.model = model;
        self.read_back(&calls).await;
    }

    /// An invitation that was answered can be read at once, of any store.
    async fn read_back(&mut self, calls: &[Call]) {
        let store = self.store();
        for call in calls {
            let End::Answered(answers) = &call.end else { continue };
            let about = answers.iter().flatten().map(|executed| &executed.invitation);
            for invitation in about.filter(|invitation| self.model.invitations.contains_key(&invitation.id)) {
                let found = store
                    .primary()
                    .get_invitation(&Reach::of_account(invitation.account.clone()), invitation.id, true)
                    .await
                    .unwrap();
                assert_eq!(found.map(|found| found.found), Some(self.model.view(invitation.id)));
            }
        }
    }
}
