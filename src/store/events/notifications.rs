//! Tasks that wait for rows are notified when there are new ones: in this process at once, after the commit, and in the
//! others through [`super::listener`].

use tokio::sync::watch;

/// The type of the rows that a notification is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Messages that are due.
    Outbox,
    /// Events without a position, which the process that has committed them numbers.
    Event,
    /// Events with a position.
    Position,
    /// Events to be posted to endpoints.
    Webhook,
    /// API keys that have changed.
    ApiKey,
}

impl Topic {
    /// All topics.
    pub const ALL: [Self; 5] = [Self::Outbox, Self::Event, Self::Position, Self::Webhook, Self::ApiKey];

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Notifies and subscribes. Clones share the topics.
#[derive(Clone, Debug)]
pub struct Notifications {
    topics: [watch::Sender<()>; Topic::ALL.len()],
    /// The topics that were notified here and not yet sent to other processes.
    pending: watch::Sender<u8>,
}

impl Notifications {
    /// Creates topics without notifications.
    pub fn new() -> Self {
        Self { topics: Topic::ALL.map(|_| watch::Sender::new(())), pending: watch::Sender::new(0) }
    }

    /// Notifies that there may be new rows. Costs next to nothing, and waits for no subscriber.
    pub fn notify(&self, topic: Topic) {
        self.notify_local(topic);
        self.pending.send_modify(|pending| *pending |= topic.bit());
    }

    /// Notifies this process only, as for a notification that another process has sent.
    pub(in crate::store) fn notify_local(&self, topic: Topic) {
        self.topics[topic as usize].send_replace(());
    }

    /// Returns a receiver of the notifications from now on: those that arrive between two waits are not lost, but count
    /// as one.
    pub fn subscribe(&self, topic: Topic) -> watch::Receiver<()> {
        self.topics[topic as usize].subscribe()
    }

    /// Returns a receiver that is notified when there are topics to be sent to other processes.
    pub(in crate::store) fn subscribe_remote(&self) -> watch::Receiver<u8> {
        self.pending.subscribe()
    }

    /// Returns the topics to be sent to other processes, once.
    pub(in crate::store) fn take_pending(&self) -> Vec<Topic> {
        let mut taken = 0;
        self.pending.send_if_modified(|pending| {
            taken = std::mem::take(pending);
            false
        });
        Topic::ALL.into_iter().filter(|topic| taken & topic.bit() != 0).collect()
    }
}

impl Default for Notifications {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_notification_is_passed_on_once_and_a_remote_one_is_not() {
        let notifications = Notifications::new();
        let (outbox, pending) = (notifications.subscribe(Topic::Outbox), notifications.subscribe_remote());
        notifications.notify_local(Topic::Outbox);
        assert!(outbox.has_changed().unwrap() && !pending.has_changed().unwrap());
        assert_eq!(notifications.take_pending(), []);
        for topic in [Topic::Webhook, Topic::Event, Topic::Webhook] {
            notifications.notify(topic);
        }
        assert!(pending.has_changed().unwrap());
        assert_eq!(notifications.take_pending(), [Topic::Event, Topic::Webhook]);
        assert_eq!(notifications.take_pending(), []);
    }
}
