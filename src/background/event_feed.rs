//! The newest events for all in this process who follow them: read once, and tested once for all followers of an account with
//! the same filter. A follower is woken by an event that it wants, and costs nothing until there is one.
//!
//! Chosen events are kept for followers that are a little behind; a follower that is further behind reads from the database.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::periodic_task::{PeriodicTask, TickResult};
use crate::domain::invitation::event::EventFilter;
use crate::domain::value::text::AccountId;
use crate::store::{EventBatch, PositionedEvent, Store, StoreError, Topic};

/// The batches that are kept, and the events that one may have: the most that is in memory, however far a follower is behind.
const MAX_BATCHES: usize = 32;
const MAX_EVENTS: u64 = 256;
/// The most events that a follower takes at once: a slow one keeps no more in memory.
const MAX_TAKEN: usize = 256;
/// The interval at which it looks without a notification.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Hands out the newest events. Clones hand out the same.
#[derive(Clone, Debug, Default)]
pub struct EventFeed(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The position up to which events were read; `None` while nothing is read.
    at: Option<i64>,
    /// The newest batches with events for a group.
    batches: VecDeque<Batch>,
    groups: HashMap<u64, Group>,
    /// The groups of each account.
    accounts: HashMap<AccountId, Vec<u64>>,
    last_group: u64,
}

/// The events of a batch, for each group that wants some.
#[derive(Debug)]
struct Batch {
    until: i64,
    chosen: HashMap<u64, Vec<Arc<PositionedEvent>>>,
}

/// The followers of an account with the same filter.
#[derive(Debug)]
struct Group {
    account: AccountId,
    filter: EventFilter,
    followers: usize,
    /// The position behind which no event for the group is missing.
    complete_from: i64,
    notified: watch::Sender<()>,
}

/// A follower of the feed.
#[derive(Debug)]
pub struct Following {
    feed: EventFeed,
    group: u64,
    notified: watch::Receiver<()>,
}

/// The events for a follower, in order, and the position up to which there are no others.
#[derive(Debug)]
pub struct Taken {
    /// The events.
    pub events: Vec<Arc<PositionedEvent>>,
    /// The position up to which the follower has everything with them.
    pub until: i64,
}

impl EventFeed {
    /// Creates a feed without followers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Follows the events of an account that a filter chooses, from now on. There may be a gap before the first.
    pub fn follow(&self, account: &AccountId, filter: &EventFilter) -> Following {
        let mut state = self.state();
        let known = state.accounts.get(account).into_iter().flatten().copied();
        let known =
            known.into_iter().find(|group| state.groups.get(group).is_some_and(|group| group.filter == *filter));
        let group = known.unwrap_or_else(|| state.add(account, filter));
        let notified = match state.groups.get_mut(&group) {
            Some(group) => {
                group.followers += 1;
                group.notified.subscribe()
            }
            // The group was found, or added, under the same lock.
            None => watch::Sender::new(()).subscribe(),
        };
        drop(state);
        Following { feed: self.clone(), group, notified }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the position behind which to read on; `None` without followers, or if nothing was read since there were none.
    fn begin(&self) -> Option<Option<i64>> {
        let mut state = self.state();
        if state.groups.is_empty() {
            (state.at, state.batches) = (None, VecDeque::new());
            return None;
        }
        Some(state.at)
    }

    fn publish(&self, batch: &EventBatch) {
        self.state().publish(batch);
    }
}

impl State {
    fn add(&mut self, account: &AccountId, filter: &EventFilter) -> u64 {
        self.last_group += 1;
        let group = Group {
            account: account.clone(),
            filter: filter.clone(),
            followers: 0,
            complete_from: self.at.unwrap_or_default(),
            notified: watch::Sender::new(()),
        };
        self.groups.insert(self.last_group, group);
        self.accounts.entry(account.clone()).or_default().push(self.last_group);
        self.last_group
    }

    /// Gives each group its events of a batch.
    fn publish(&mut self, batch: &EventBatch) {
        if self.at.is_none() {
            // A follower that began before may have to read what was between.
            for group in self.groups.values_mut() {
                group.complete_from = batch.after;
                group.notified.send_replace(());
            }
        }
        self.at = Some(batch.until);
        let mut chosen: HashMap<u64, Vec<_>> = HashMap::new();
        for event in &batch.events {
            for number in self.accounts.get(&event.event.event.account).into_iter().flatten() {
                if self.groups.get(number).is_some_and(|group| group.filter.matches(&event.event.event)) {
                    chosen.entry(*number).or_default().push(Arc::clone(event));
                }
            }
        }
        if chosen.is_empty() {
            return;
        }
        for group in chosen.keys().filter_map(|number| self.groups.get(number)) {
            group.notified.send_replace(());
        }
        self.batches.push_back(Batch { until: batch.until, chosen });
        if self.batches.len() > MAX_BATCHES
            && let Some(oldest) = self.batches.pop_front()
        {
            for number in oldest.chosen.keys() {
                if let Some(group) = self.groups.get_mut(number) {
                    group.complete_from = group.complete_from.max(oldest.until);
                }
            }
        }
    }

    fn remove(&mut self, number: u64) {
        let Some(group) = self.groups.remove(&number) else { return };
        self.batches.iter_mut().for_each(|batch| drop(batch.chosen.remove(&number)));
        if let Some(groups) = self.accounts.get_mut(&group.account) {
            groups.retain(|own| *own != number);
            if groups.is_empty() {
                self.accounts.remove(&group.account);
            }
        }
    }
}

impl Following {
    /// Waits until there is an event that [`Following::take`] has not returned.
    pub async fn changed(&mut self) {
        if self.notified.changed().await.is_err() {
            // Its group lasts as long as it does.
            std::future::pending::<()>().await;
        }
    }

    /// Takes the events behind a position; `None` if some are to be read from the database.
    pub fn take(&mut self, position: i64) -> Option<Taken> {
        let state = self.feed.state();
        let Some(at) = state.at else { return Some(Taken { events: Vec::new(), until: position }) };
        if state.groups.get(&self.group).is_none_or(|group| position < group.complete_from) {
            self.notified.mark_unchanged();
            return None;
        }
        let newer = state.batches.iter().filter(|batch| batch.until > position);
        let own = newer.filter_map(|batch| batch.chosen.get(&self.group)).flatten();
        let mut events: Vec<_> = own.filter(|event| event.position > position).take(MAX_TAKEN + 1).cloned().collect();
        if events.len() > MAX_TAKEN {
            events.truncate(MAX_TAKEN);
            return Some(Taken { until: events.last().map_or(position, |last| last.position), events });
        }
        self.notified.mark_unchanged();
        Some(Taken { events, until: position.max(at) })
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut state = self.feed.state();
        let Some(group) = state.groups.get_mut(&self.group) else { return };
        group.followers -= 1;
        if group.followers == 0 {
            state.remove(self.group);
        }
    }
}

/// Reads new events and hands them out while there are followers, until stopped.
pub async fn run(store: Store, feed: EventFeed, stop: CancellationToken) {
    let notified = Some(store.notifications().subscribe(Topic::Position));
    let task = PeriodicTask { name: "event_feed", notified, gather: Duration::ZERO, interval: POLL_INTERVAL, stop };
    task.run(|| read(&store, &feed)).await;
}

/// Hands out the events behind the last ones; at first, only the position from which it goes on.
async fn read(store: &Store, feed: &EventFeed) -> Result<TickResult, StoreError> {
    let Some(at) = feed.begin() else { return Ok(TickResult::Done) };
    let batch = match at {
        Some(after) => store.all_events_behind(after, MAX_EVENTS).await?,
        None => {
            let last = store.last_position().await?;
            EventBatch { after: last, until: last, is_last: true, time: None, pruned_until: 0, events: Vec::new() }
        }
    };
    feed.publish(&batch);
    Ok(if batch.is_last { TickResult::Done } else { TickResult::More })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::invitation::event::{Event, EventType, StoredEvent};
    use crate::domain::invitation::state::State as InvitationState;
    use crate::domain::kind::Kind;
    use crate::domain::value::id::InvitationId;
    use crate::domain::value::time::Timestamp;

    fn account(id: &str) -> AccountId {
        AccountId::parse(id).unwrap()
    }

    fn event(account_id: &str, event_type: EventType, position: i64) -> Arc<PositionedEvent> {
        let event = StoredEvent {
            id: Uuid::nil(),
            account: account(account_id),
            invitation: InvitationId(Uuid::nil()),
            kind: Kind::Connection.into(),
            event_type: event_type.into(),
            time: Timestamp::from_micros(0),
            actor: String::new(),
            request_id: None,
            state: InvitationState::Active.into(),
            scope: None,
            pass_through: None,
            payload: None,
        };
        let event = Event { event, sequence: 1, position: Some(position), traceparent: None };
        Arc::new(PositionedEvent { event, position, host: None })
    }

    fn of(event_type: EventType) -> EventFilter {
        EventFilter { types: vec![event_type.into()], ..EventFilter::default() }
    }

    /// Hands out events whose positions begin behind `after`.
    fn publish(feed: &EventFeed, after: i64, events: &[(&str, EventType)]) -> i64 {
        let events =
            (after + 1..).zip(events).map(|(position, (account, event_type))| event(account, *event_type, position));
        let events: Vec<_> = events.collect();
        let until = after + i64::try_from(events.len()).unwrap();
        feed.publish(&EventBatch { after, until, is_last: true, time: None, pruned_until: 0, events });
        until
    }

    fn is_woken(following: &Following) -> bool {
        following.notified.has_changed().unwrap()
    }

    /// Takes what is there: the positions of the events, and the position that was reached.
    fn take(following: &mut Following, position: i64) -> Option<(Vec<i64>, i64)> {
        let Taken { events, until } = following.take(position)?;
        Some((events.iter().map(|event| event.position).collect(), until))
    }

    #[test]
    fn follower_is_woken_by_what_it_wants_alone() {
        use EventType::{Accepted, Expired, Viewed};
        let feed = EventFeed::new();
        let mut viewed = feed.follow(&account("a"), &of(Viewed));
        let mut never = feed.follow(&account("a"), &of(Expired));
        let mut other = feed.follow(&account("b"), &EventFilter::default());
        assert_eq!(take(&mut viewed, 5), Some((vec![], 5)), "nothing is known before the first look");
        publish(&feed, 10, &[]);
        assert!(is_woken(&viewed) && is_woken(&never), "some may have begun before the feed");
        assert_eq!(take(&mut viewed, 5), None);
        assert_eq!(take(&mut never, 10), Some((vec![], 10)));
        other.take(10);
        publish(&feed, 10, &[("a", Viewed), ("a", Accepted), ("a", Viewed)]);
        publish(&feed, 13, &[("b", Viewed)]);
        assert!(is_woken(&viewed) && is_woken(&other) && !is_woken(&never));
        assert_eq!(take(&mut viewed, 10), Some((vec![11, 13], 14)));
        assert_eq!(take(&mut viewed, 12), Some((vec![13], 14)), "part of a batch is known already");
        assert_eq!(take(&mut other, 10), Some((vec![14], 14)));
        assert_eq!(take(&mut never, 10), Some((vec![], 14)), "it gets on without an event");
        assert!(!is_woken(&viewed));
    }

    #[test]
    fn follower_that_missed_an_event_reads_from_the_database() {
        use EventType::{Accepted, Expired, Viewed};
        let feed = EventFeed::new();
        let mut slow = feed.follow(&account("a"), &of(Viewed));
        let mut rare = feed.follow(&account("a"), &of(Accepted));
        let mut at = publish(&feed, 0, &[]);
        at = publish(&feed, at, &[("a", Accepted)]);
        for _ in 0..MAX_BATCHES {
            at = publish(&feed, at, &[("a", Viewed), ("a", Expired)]);
        }
        assert_eq!(feed.state().batches.len(), MAX_BATCHES);
        assert_eq!(take(&mut rare, 0), None, "its event is no longer kept");
        assert_eq!(take(&mut rare, 1), Some((vec![], at)), "it has missed none");
        assert_eq!(take(&mut slow, 0).map(|(events, until)| (events.len(), until)), Some((MAX_BATCHES, at)));
        at = publish(&feed, at, &[("a", Viewed)]);
        assert_eq!((take(&mut slow, 0), take(&mut slow, 3)), (None, Some(((4..=at).step_by(2).collect(), at))));
    }

    #[test]
    fn follower_takes_few_events_at_once_until_it_has_all() {
        let feed = EventFeed::new();
        let mut slow = feed.follow(&account("a"), &EventFilter::default());
        let mut at = publish(&feed, 0, &[]);
        for _ in 0..3 {
            at = publish(&feed, at, &[("a", EventType::Viewed); 200]);
        }
        let mut taken = Vec::new();
        while is_woken(&slow) {
            let (events, until) = take(&mut slow, taken.last().copied().unwrap_or_default()).unwrap();
            assert!(events.len() <= MAX_TAKEN && events.last() == Some(&until));
            taken.extend(events);
        }
        assert_eq!(taken, (1..=at).collect::<Vec<_>>());
    }

    #[test]
    fn followers_with_the_same_filter_share_one_test() {
        use EventType::Viewed;
        let feed = EventFeed::new();
        assert_eq!(feed.begin(), None);
        let mut followers: Vec<_> = (0..3).map(|_| feed.follow(&account("a"), &of(Viewed))).collect();
        let other = feed.follow(&account("b"), &of(Viewed));
        assert_eq!(feed.state().groups.len(), 2);
        assert_eq!(feed.begin(), Some(None));
        publish(&feed, 7, &[("a", Viewed), ("b", Viewed)]);
        assert_eq!(feed.begin(), Some(Some(9)));
        for follower in &mut followers {
            assert_eq!(take(follower, 7), Some((vec![8], 9)));
        }
        let mut late = feed.follow(&account("a"), &EventFilter::default());
        assert_eq!((take(&mut late, 8), take(&mut late, 9)), (None, Some((vec![], 9))), "it begins behind the feed");
        drop((followers, late));
        assert_eq!(feed.state().batches[0].chosen.len(), 1, "nothing is kept for who is gone");
        drop(other);
        assert_eq!(feed.begin(), None);
        let state = feed.state();
        assert!(state.accounts.is_empty() && state.batches.is_empty() && state.at.is_none());
    }
}
