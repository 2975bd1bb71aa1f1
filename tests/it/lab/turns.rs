//! Steps of what works beside the calls: sequencer, followers, claims and what becomes of them, reminders, expiry.

use std::time::Duration;

use invitation_service::background::expiry::ExpiryWalk;
use invitation_service::domain::command::{Action, Command, SettleDelivery};
use invitation_service::domain::delivery::{DeliveryEnd, DeliveryState};
use invitation_service::domain::reach::Reach;
use invitation_service::domain::value::grantable_roles::GrantableRoles;
use invitation_service::domain::value::id::IdSeed;
use invitation_service::domain::value::text::AccountId;
use invitation_service::store::{BatchMode, ClaimedDelivery, RedeliveryQuery, StoreError, WriteOnce};
use sea_orm::{ConnectionTrait, Statement};
use uuid::Uuid;

use super::commands::{Lease, accounts, brief};
use super::explain::{Call, End};
use super::faults::Fault;
use super::model::Model;
use super::rows;
use super::world::World;
use crate::support::gate;

const LEASE: Duration = Duration::from_secs(30);

/// Makes of the end of a step that failed without a fault a failure of the test.
pub(super) fn without_fault<T>(result: Option<Result<T, StoreError>>, fault: Option<&Fault>) -> Option<T> {
    match result {
        Some(Ok(value)) => Some(value),
        Some(Err(error)) => {
            assert!(fault.is_some(), "a step failed without a fault: {error}");
            None
        }
        None => None,
    }
}

impl World {
    /// Positions are given without a gap, to all events that had none.
    pub(super) async fn sequence(&mut self, fault: Option<&Fault>) {
        self.told.note("sequence");
        let store = self.store();
        let result = self.under(fault, store.sequence()).await;
        let mut after = self.model.clone();
        let waiting = after.place();
        match without_fault(result, fault) {
            Some(numbered) if fault.is_none() || numbered.is_some() => {
                assert_eq!(numbered, Some(waiting), "how many events had no position");
                self.model = after;
            }
            Some(_) | None => self.one_of(vec![after, self.model.clone()]).await,
        }
    }

    /// A follower reads on from where it was and sees the next events, each once.
    pub(super) async fn follow(&mut self) {
        let index = self.random.below(self.cursors.len());
        let (after, limit) = (self.cursors[index], 1 + self.random.below(9));
        self.told.note(format!("follower {index} reads {limit} behind {after}"));
        let store = self.store();
        let batch = store.all_events_behind(after, limit as u64).await.unwrap();
        let read: Vec<_> = batch.events.iter().map(|event| (event.position, event.event.event.id)).collect();
        let mut behind = self.model.behind(after);
        behind.truncate(limit);
        assert_eq!(read, behind, "the events behind {after}");
        assert_eq!(batch.is_last, read.len() < limit);
        self.cursors[index] = batch.until;
        let last = behind.last().map_or(after, |(position, _)| *position);
        assert_eq!(batch.until, if batch.is_last { self.model.position } else { last });
    }

    /// Messages are claimed only when they are due, by one at a time.
    pub(super) async fn claim(&mut self, fault: Option<&Fault>) {
        let lease = Uuid::from_bytes(self.random.bytes());
        let (limit, after) = (1 + self.random.below(4), self.random.pick(&["", "acme"]));
        self.told.note(format!("claim {limit} behind {after:?}"));
        let store = self.store();
        let result =
            self.under(fault, store.claim_deliveries(lease, LEASE, u32::try_from(limit).unwrap(), after)).await;
        match without_fault(result, fault) {
            Some(claimed) => {
                let due = self.due().len();
                assert!(claimed.len() <= limit && claimed.is_empty() == (due == 0), "{} of {due}", claimed.len());
                self.claimed(lease, claimed.iter().map(|claimed| (claimed.account.clone(), id_of(claimed))).collect());
            }
            None => {
                let claimed = self.holds(lease).await;
                self.claimed(lease, claimed);
            }
        }
        if fault.is_some() {
            self.compare().await;
        }
    }

    fn due(&self) -> Vec<(AccountId, Uuid)> {
        let now = self.clock.now();
        let due = self
            .model
            .outbox
            .iter()
            .filter(|(_, message)| !message.planned && message.delivery.due_at.is_some_and(|due_at| due_at <= now));
        due.map(|(key, _)| key.clone()).collect()
    }

    /// The messages that are claimed under a lease, by the database's own word.
    async fn holds(&self, lease: Uuid) -> Vec<(AccountId, Uuid)> {
        let backend = self.control.get_database_backend();
        let sql = "SELECT account_id, id FROM outbox WHERE lease = $1";
        let statement = Statement::from_sql_and_values(backend, sql, [lease.into()]);
        let rows = self.control.query_all_raw(statement).await.unwrap();
        let key = |row: &sea_orm::QueryResult| {
            let account: String = row.try_get("", "account_id").unwrap();
            (AccountId::parse(&account).unwrap(), row.try_get("", "id").unwrap())
        };
        rows.iter().map(key).collect()
    }

    fn claimed(&mut self, lease: Uuid, claimed: Vec<(AccountId, Uuid)>) {
        let (now, due) = (self.clock.now(), self.due());
        for key in claimed {
            assert!(due.contains(&key), "{key:?} is claimed though it is not due");
            let delivery = &mut self.model.outbox.get_mut(&key).unwrap().delivery;
            delivery.state = DeliveryState::Sending;
            delivery.lease = Some(lease);
            delivery.attempts += 1;
            delivery.due_at = Some(now.later(LEASE));
            self.leases.push((key.0, key.1, lease));
        }
    }

    /// A message is released or cancelled by nobody but the holder of its lease.
    pub(super) async fn give_back(&mut self, fault: Option<&Fault>) {
        let Some((account, id, lease)) = self.random.pick_late(&self.leases) else { return };
        let cancels = self.random.chance(30);
        self.told.note(format!("give back {id}, cancels: {cancels}, lease {lease}"));
        let mut delivery = self.model.outbox[&(account.clone(), id)].delivery.clone();
        delivery.lease = Some(lease);
        let claimed = ClaimedDelivery { account: account.clone(), delivery, traceparent: None };
        let store = self.store();
        let (delay, counts) = (Duration::from_secs(5), self.random.chance(50));
        let work = async {
            if cancels {
                store.cancel_delivery(&claimed, "no reason").await
            } else {
                store.release_delivery(&claimed, delay, counts, "it broke").await
            }
        };
        let result = self.under(fault, work).await;
        let mut after = self.model.clone();
        let holds = after.give_back(&(account, id, lease), cancels, counts, self.clock.now().later(delay));
        match without_fault(result, fault) {
            Some(done) => {
                assert_eq!(done, holds, "whether the lease was held");
                self.model = after;
            }
            None => self.one_of(vec![after, self.model.clone()]).await,
        }
    }

    /// Reminders whose time has come are put among the messages that are due.
    pub(super) async fn plan(&mut self, fault: Option<&Fault>) {
        self.told.note("plan");
        let store = self.store();
        let result = self.under(fault, store.plan_deliveries()).await;
        let (mut after, now) = (self.model.clone(), self.clock.now());
        let mut planned = 0;
        for message in after.outbox.values_mut() {
            if message.planned && message.delivery.due_at.is_some_and(|due_at| due_at <= now) {
                message.planned = false;
                planned += 1;
            }
        }
        match without_fault(result, fault) {
            Some(moved) => {
                assert_eq!(moved, planned, "how many reminders had their time");
                self.model = after;
            }
            None => self.one_of(vec![after, self.model.clone()]).await,
        }
    }

    /// Messages that were given up are queued again.
    pub(super) async fn replay(&mut self) {
        let (account, now) = (self.random.pick(&accounts()), self.clock.now());
        self.told.note(format!("replay {account:?}"));
        let store = self.store();
        let queued = store
            .redeliver_deliveries(
                &Reach::of_account(account.clone()),
                &RedeliveryQuery::default(),
                &WriteOnce::default(),
            )
            .await
            .unwrap();
        let mut failed = 0;
        for (_, message) in self.model.outbox.iter_mut().filter(|((owner, _), _)| *owner == account) {
            if message.delivery.state == DeliveryState::Failed {
                message.delivery.state = DeliveryState::Queued;
                message.delivery.due_at = Some(now);
                message.delivery.attempts = 0;
                failed += 1;
            }
        }
        assert_eq!(queued, Some(failed), "how many had been given up");
    }

    /// A suppression is lifted, so that its address is mailed again.
    pub(super) async fn lift(&mut self, fault: Option<&Fault>) {
        let suppressions: Vec<_> = self.model.suppressions.iter().collect();
        let Some(((account, key), suppression)) = self.random.pick_late(&suppressions) else { return };
        let (account, key, id) = (account.clone(), key.clone(), suppression.id);
        self.told.note(format!("lift {id}"));
        let store = self.store();
        let once = WriteOnce::default();
        let result = self.under(fault, store.delete_suppression(&account, id, &once, |_| Ok(()))).await;
        let mut after = self.model.clone();
        after.suppressions.remove(&(account, key));
        match without_fault(result, fault) {
            Some(done) => {
                assert_eq!(done, Ok(()), "the suppression is there");
                self.model = after;
            }
            None => self.one_of(vec![after, self.model.clone()]).await,
        }
    }

    /// Of every expiry an event tells once. One that could not be told because of a fault is told by the next walk, here that of
    /// a process that knows nothing of the last.
    pub(super) async fn expire(&mut self, fault: Option<&Fault>) {
        self.told.note("expire");
        let index = self.random.below(self.stores.len());
        let (store, holder) = (self.stores[index].clone(), Uuid::from_u128(index as u128 + 1));
        let untold = self.model.untold(self.clock.now());
        let mut walk = ExpiryWalk::new(store, holder);
        let result = self.under(fault, walk.record_expiries()).await;
        match without_fault(result, fault) {
            // The other replica has the lease.
            Some(None) if fault.is_none() => assert!(self.is_postgres(), "nobody else could have the lease"),
            Some(Some(told)) if fault.is_none() => {
                assert_eq!(told, untold.len(), "how many had expired untold");
                for command in &untold {
                    self.tell(command);
                }
            }
            Some(_) | None => {
                let is = rows::read(&self.control).await;
                for command in &untold {
                    let before = self.model.clone();
                    self.tell(command);
                    let told = &self.model.events[&command.invitation().unwrap()].last().unwrap().event;
                    let told = told.id.simple().to_string();
                    if !is["event"].iter().any(|line| line.contains(&told)) {
                        self.model = before;
                    }
                }
            }
        }
        self.compare().await;
    }

    fn tell(&mut self, command: &Command) {
        let (_, save) = self.run(std::slice::from_ref(command));
        self.model.apply(save);
    }

    /// A lease ends and another replica claims the message between decision and save of its settle.
    pub(super) async fn late_settle(&mut self) {
        self.clock.advance(LEASE + Duration::from_millis(1));
        let held = |lease: &&Lease| {
            let message = self.model.outbox.get(&(lease.0.clone(), lease.1));
            message.is_some_and(|message| message.delivery.lease == Some(lease.2))
        };
        let held: Vec<_> = self.leases.iter().filter(held).cloned().collect();
        let Some((account, delivery, lease)) = self.random.pick_late(&held) else { return };
        let seed = IdSeed::new(self.clock.now(), self.random.bytes());
        let action = Action::SettleDelivery(SettleDelivery { delivery, lease, end: DeliveryEnd::Sent });
        let command = Command {
            reach: Reach::of_account(account),
            actor: gate::actor(),
            grantable_roles: GrantableRoles::default(),
            request: None,
            seed,
            action,
        };
        self.told.note(format!("late settle {}", brief(&command)));
        let mut gate = gate::gate(&command.actor);
        let (first, second) = (self.stores[0].clone(), self.stores[1].clone());
        let task = tokio::spawn({
            let command = command.clone();
            async move { End::of_one(first.executor().execute(command, None).await) }
        });
        assert!(gate.decided().await, "the lease is still its");
        let new = Uuid::from_bytes(self.random.bytes());
        let claimed = second.claim_deliveries(new, LEASE, 50, "").await.unwrap();
        drop(gate);
        let end = task.await.unwrap();
        // In any order that explains both, the claim comes first where it took the message.
        self.claimed(new, claimed.iter().map(|claimed| (claimed.account.clone(), id_of(claimed))).collect());
        self.understand(vec![Call { commands: vec![command], mode: BatchMode::Independent, end }], None).await;
    }
}

fn id_of(claimed: &ClaimedDelivery) -> Uuid {
    claimed.delivery.message.id
}

impl Model {
    /// Releases or cancels a message, if the lease is the one that holds it.
    fn give_back(
        &mut self,
        (account, id, lease): &Lease,
        cancels: bool,
        counts: bool,
        later: invitation_service::domain::value::time::Timestamp,
    ) -> bool {
        let delivery = &mut self.outbox.get_mut(&(account.clone(), *id)).unwrap().delivery;
        if delivery.lease != Some(*lease) {
            return false;
        }
        delivery.lease = None;
        if cancels {
            delivery.state = DeliveryState::Cancelled;
            (delivery.due_at, delivery.last_error) = (None, Some("no reason".to_owned()));
            delivery.attempts -= 1;
        } else {
            delivery.state = DeliveryState::Queued;
            (delivery.due_at, delivery.last_error) = (Some(later), Some("it broke".to_owned()));
            delivery.attempts -= u32::from(!counts);
        }
        true
    }
}
