//! Permits that accounts get in turns, for what calls of many accounts share, such as connections.
//!
//! The next permit goes to the account that has the fewest among those that wait, and among equals to the one that has
//! waited longest for its turn. An account may be kept from taking all permits while no other is there: one that comes
//! later then waits for none of the first one's calls. A call that finds a permit waits for nothing and allocates nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::error::StoreError;
use crate::domain::value::text::AccountId;

/// The permits that an account may have for each one that it leaves free.
const PERMITS_PER_FREE: usize = 3;

/// The rules by which accounts get permits.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct TurnRules {
    /// The number of permits.
    pub(in crate::store) permits: usize,
    /// Whether an account leaves a quarter of the permits free, for others to come.
    pub(in crate::store) leaves_some: bool,
    /// The number of calls of one account that may wait.
    pub(in crate::store) waiting: usize,
}

/// The permits. Clones share them.
#[derive(Clone, Debug)]
pub(in crate::store) struct Turns(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    rules: TurnRules,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// The accounts that have permits or wait for some.
    accounts: HashMap<AccountId, Share>,
    /// The accounts that wait, in the order of their turns.
    turns: VecDeque<AccountId>,
}

#[derive(Debug, Default)]
struct Share {
    held: usize,
    waiting: VecDeque<oneshot::Sender<Turn>>,
}

/// A permit, which is given back when it is dropped.
#[derive(Debug)]
pub(in crate::store) struct Turn {
    account: AccountId,
    /// `None` if nothing is given back, since nobody took the permit.
    of: Option<Arc<Shared>>,
}

impl Turns {
    /// Creates permits of which none is taken.
    pub(in crate::store) fn new(rules: TurnRules) -> Self {
        let state = State { free: rules.permits.max(1), accounts: HashMap::new(), turns: VecDeque::new() };
        Self(Arc::new(Shared { rules, state: Mutex::new(state) }))
    }

    /// Waits for a permit. It is refused at once if as many calls of the account wait as may.
    pub(in crate::store) async fn take(&self, account: &AccountId) -> Result<Turn, StoreError> {
        let turn = {
            let mut state = self.0.state();
            if state.may_take(account, self.0.rules) {
                state.hold(account);
                return Ok(self.0.turn(account));
            }
            state.wait(account, self.0.rules).ok_or(StoreError::Busy)?
        };
        // The sender is dropped with the permits only.
        turn.await.map_err(|_| StoreError::Busy)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(self: &Arc<Self>, account: &AccountId) -> Turn {
        Turn { account: account.clone(), of: Some(Arc::clone(self)) }
    }

    /// Hands the free permits to calls that wait.
    fn hand_out(self: &Arc<Self>, state: &mut State) {
        while let Some(account) = state.next(self.rules) {
            while let Some(waiting) = state.accounts.get_mut(&account).and_then(|share| share.waiting.pop_front()) {
                match waiting.send(self.turn(&account)) {
                    Ok(()) => {
                        state.hold(&account);
                        break;
                    }
                    // The call was given up. Giving the permit back would need the lock that is held here.
                    Err(mut turn) => turn.of = None,
                }
            }
            state.end_turn(account);
        }
    }
}

impl State {
    /// Returns whether a call gets a permit without waiting.
    fn may_take(&self, account: &AccountId, rules: TurnRules) -> bool {
        let share = self.accounts.get(account);
        self.has_one_for(share.map_or(0, |share| share.held), rules)
            && share.is_none_or(|share| share.waiting.is_empty())
    }

    fn has_one_for(&self, held: usize, rules: TurnRules) -> bool {
        let left = self.free.saturating_sub(1);
        self.free > 0 && (held == 0 || !rules.leaves_some || held < PERMITS_PER_FREE.saturating_mul(left))
    }

    fn hold(&mut self, account: &AccountId) {
        self.free -= 1;
        match self.accounts.get_mut(account) {
            Some(share) => share.held += 1,
            None => drop(self.accounts.insert(account.clone(), Share { held: 1, ..Share::default() })),
        }
    }

    /// Lets a call wait; `None` if too many of its account do.
    fn wait(&mut self, account: &AccountId, rules: TurnRules) -> Option<oneshot::Receiver<Turn>> {
        let share = self.accounts.entry(account.clone()).or_default();
        if share.waiting.len() >= rules.waiting {
            share.waiting.retain(|waiting| !waiting.is_closed());
        }
        if share.waiting.len() >= rules.waiting {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        share.waiting.push_back(sender);
        if share.waiting.len() == 1 && !self.turns.contains(account) {
            self.turns.push_back(account.clone());
        }
        Some(receiver)
    }

    /// Takes the account whose turn it is out of the order; `None` if there is no permit for any that waits.
    fn next(&mut self, rules: TurnRules) -> Option<AccountId> {
        let held = |account: &AccountId| self.accounts.get(account).map_or(0, |share| share.held);
        let waiting = self.turns.iter().map(held).enumerate();
        let (place, held) = waiting.min_by_key(|(_, held)| *held)?;
        if self.has_one_for(held, rules) { self.turns.remove(place) } else { None }
    }

    /// Puts an account that still waits behind the others.
    fn end_turn(&mut self, account: AccountId) {
        match self.accounts.get(&account) {
            Some(share) if !share.waiting.is_empty() => self.turns.push_back(account),
            Some(share) if share.held == 0 => drop(self.accounts.remove(&account)),
            _ => {}
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(of) = self.of.take() else { return };
        let mut state = of.state();
        state.free += 1;
        if let Some(share) = state.accounts.get_mut(&self.account) {
            share.held -= 1;
            if share.held == 0 && share.waiting.is_empty() {
                state.accounts.remove(&self.account);
            }
        }
        of.hand_out(&mut state);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::task::Poll;

    use super::*;

    type Waiting = Pin<Box<dyn Future<Output = Result<Turn, StoreError>> + Send>>;

    fn account(id: &str) -> AccountId {
        AccountId::parse(id).unwrap()
    }

    fn turns(permits: usize, leaves_some: bool, waiting: usize) -> Turns {
        Turns::new(TurnRules { permits, leaves_some, waiting })
    }

    /// Asks for a permit, and returns the call once it waits or has ended.
    async fn ask(turns: &Turns, id: &str) -> (Waiting, Option<Result<Turn, StoreError>>) {
        let (turns, account) = (turns.clone(), account(id));
        let mut waiting: Waiting = Box::pin(async move { turns.take(&account).await });
        let polled = poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context))).await;
        match polled {
            Poll::Ready(result) => (waiting, Some(result)),
            Poll::Pending => (waiting, None),
        }
    }

    async fn taken(turns: &Turns, id: &str) -> Turn {
        ask(turns, id).await.1.unwrap_or_else(|| panic!("{id} waits")).unwrap()
    }

    async fn waits(turns: &Turns, id: &str) -> Waiting {
        let (waiting, ended) = ask(turns, id).await;
        assert!(ended.is_none(), "{id}: {ended:?}");
        waiting
    }

    async fn is_served(waiting: &mut Waiting) -> bool {
        matches!(poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context))).await, Poll::Ready(Ok(_)))
    }

    /// Takes all that an account gets without waiting.
    async fn all(turns: &Turns, id: &str) -> Vec<Turn> {
        let mut held = Vec::new();
        while let (_, Some(Ok(turn))) = ask(turns, id).await {
            held.push(turn);
        }
        held
    }

    #[tokio::test(crate = "crate::limit")]
    async fn account_leaves_permits_free_for_others_to_come() {
        for (permits, alone, second) in [(1, 1, 0), (2, 1, 1), (3, 2, 1), (4, 3, 1), (8, 6, 1), (16, 12, 3)] {
            let turns = turns(permits, true, 9);
            let first = all(&turns, "evil").await;
            let other = all(&turns, "other").await;
            assert_eq!((first.len(), other.len()), (alone, second), "{permits}");
        }
        assert_eq!(all(&turns(4, false, 9), "busy").await.len(), 4);
    }

    #[tokio::test(crate = "crate::limit")]
    async fn next_permit_goes_to_the_account_with_the_fewest() {
        let turns = turns(3, false, 99);
        let mut held = vec![taken(&turns, "evil").await, taken(&turns, "evil").await, taken(&turns, "one").await];
        let mut evil = waits(&turns, "evil").await;
        let (mut one, mut two) = (waits(&turns, "one").await, waits(&turns, "two").await);
        drop(held.remove(0));
        let second = (&mut two).await.unwrap();
        assert!(!is_served(&mut evil).await && !is_served(&mut one).await, "two had none");
        drop(held.remove(0));
        assert!(is_served(&mut evil).await, "it has none, and one has one");
        assert!(is_served(&mut one).await, "what evil got was given back at once");
        drop((second, held));
        assert!(turns.0.state().accounts.is_empty(), "nothing is kept of accounts without calls");
    }

    #[tokio::test(crate = "crate::limit")]
    async fn equal_accounts_get_one_permit_after_the_other() {
        let turns = turns(1, false, 99);
        let mut held = taken(&turns, "first").await;
        let mut waiting = Vec::new();
        for id in ["a", "a", "a", "b", "c", "c"] {
            waiting.push((id, waits(&turns, id).await));
        }
        let mut order = Vec::new();
        while !waiting.is_empty() {
            drop(held);
            let mut next = None;
            for (place, (_, call)) in waiting.iter_mut().enumerate() {
                if let Poll::Ready(turn) = poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await {
                    next = Some((place, turn.unwrap()));
                    break;
                }
            }
            let (place, turn) = next.unwrap();
            order.push(waiting.remove(place).0);
            held = turn;
        }
        assert_eq!(order, ["a", "b", "c", "a", "c", "a"]);
    }

    #[tokio::test(crate = "crate::limit")]
    async fn calls_of_an_account_that_wait_are_counted_while_they_wait() {
        let turns = turns(1, false, 2);
        let held = taken(&turns, "evil").await;
        let (first, second) = (waits(&turns, "evil").await, waits(&turns, "evil").await);
        assert!(matches!(ask(&turns, "evil").await.1, Some(Err(StoreError::Busy))));
        let other = waits(&turns, "other").await;
        drop((first, other));
        let mut third = waits(&turns, "evil").await;
        assert!(matches!(ask(&turns, "evil").await.1, Some(Err(StoreError::Busy))));
        drop(second);
        drop(held);
        assert!(is_served(&mut third).await, "calls that were given up are passed over");
        let state = turns.0.state();
        assert_eq!((state.free, state.accounts.len()), (1, 0));
    }

    #[tokio::test(crate = "crate::limit")]
    async fn permit_that_arrives_at_a_call_given_up_goes_on() {
        let turns = turns(1, false, 2);
        let held = taken(&turns, "a").await;
        let (given_up, mut next) = (waits(&turns, "b").await, waits(&turns, "c").await);
        drop(held);
        assert!(!is_served(&mut next).await, "it is b's turn");
        drop(given_up);
        assert!(is_served(&mut next).await);
    }
}
