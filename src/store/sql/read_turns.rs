//! The turns in which accounts get connections for their reads.

use super::error::StoreError;
use super::turns::{Turn, TurnRules, Turns};
use crate::domain::value::text::AccountId;

/// The calls of one account that may wait for a connection, by the connections of their kind of read.
const WAITING_SHORT: usize = 64;
const WAITING_LISTS: usize = 16;
/// The watches of one account that may wait to read on: as many as there may be.
const WAITING_WATCHES: usize = 500;

/// The turns of each kind of read. Clones share them.
#[derive(Clone, Debug)]
pub(in crate::store) struct ReadTurns {
    short: Turns,
    lists: Turns,
    catch_ups: Turns,
}

impl ReadTurns {
    /// Shares a number of connections.
    pub(in crate::store) fn new(max_connections: u32) -> Self {
        let connections = usize::try_from(max_connections).unwrap_or(1).max(1);
        let rules = |permits: usize, leaves_some, waiting| TurnRules { permits: permits.max(1), leaves_some, waiting };
        Self {
            short: Turns::new(rules(connections, false, connections * WAITING_SHORT)),
            lists: Turns::new(rules(connections / 2, true, connections * WAITING_LISTS)),
            catch_ups: Turns::new(rules(connections / 4, true, WAITING_WATCHES)),
        }
    }

    /// Waits for a connection for a read of few rows. Such reads may have all connections, also of one account: each of
    /// them ends soon, and then it is another account's turn.
    pub(in crate::store) async fn short(&self, account: &AccountId) -> Result<Turn, StoreError> {
        self.short.take(account).await
    }

    /// Waits for a connection for a list. Lists have half of the connections between them: one may take long, and short
    /// reads have to find a connection all the same.
    pub(in crate::store) async fn list(&self, account: &AccountId) -> Result<Turn, StoreError> {
        self.lists.take(account).await
    }

    /// Waits for a connection to read stored events for a watch. It is one of those for lists, of which watches have at most
    /// half.
    pub(in crate::store) async fn catch_up(&self, account: &AccountId) -> Result<[Turn; 2], StoreError> {
        // Nobody waits here with the permit for a list, so no two wait for each other.
        let own = self.catch_ups.take(account).await?;
        Ok([own, self.lists.take(account).await?])
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn account(id: &str) -> AccountId {
        AccountId::parse(id).unwrap()
    }

    /// Takes what a kind of read gets without waiting.
    fn all<T>(take: impl AsyncFn() -> Result<T, StoreError>) -> Vec<T> {
        std::iter::from_fn(|| take().now_or_never()?.ok()).collect()
    }

    #[test]
    fn reads_of_one_account_leave_connections_for_another() {
        for (connections, lists, catch_ups, short) in [(2, 1, 1, 2), (4, 1, 1, 4), (8, 3, 1, 8), (16, 6, 3, 16)] {
            let (turns, evil) = (ReadTurns::new(connections), account("evil"));
            let caught_up = all(|| turns.catch_up(&evil));
            assert_eq!(caught_up.len(), catch_ups, "{connections}");
            let listed = all(|| turns.list(&evil));
            assert_eq!(listed.len(), lists - catch_ups, "watches and lists share: {connections}");
            assert_eq!(all(|| turns.short(&evil)).len(), short, "{connections}");
            let other = turns.list(&account("other")).now_or_never();
            assert_eq!(other.is_some(), connections > 2, "another finds one, where there are two: {connections}");
        }
    }
}
