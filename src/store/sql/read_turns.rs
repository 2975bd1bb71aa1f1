//! The turns in which accounts get connections for their reads.

use std::num::NonZero;
use std::thread::available_parallelism;

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
    /// Shares connections to a server: lists may have half of them.
    pub(in crate::store) fn of_server(max_connections: u32) -> Self {
        Self::new(max_connections, usize::MAX)
    }

    /// Shares connections to a file. A list keeps a processor busy, so more at once than there are processors would only make
    /// short reads wait for one, and their pages take memory.
    pub(in crate::store) fn of_file(max_connections: u32) -> Self {
        let processors = available_parallelism().map_or(1, NonZero::get);
        // One account never has all turns, so one alone would get none.
        Self::new(max_connections, processors.max(2))
    }

    fn new(max_connections: u32, most_lists: usize) -> Self {
        let connections = usize::try_from(max_connections).unwrap_or(1).max(1);
        let lists = most_lists.min(connections / 2);
        let rules = |permits: usize, leaves_some, waiting| TurnRules { permits: permits.max(1), leaves_some, waiting };
        Self {
            short: Turns::new(rules(connections, false, connections * WAITING_SHORT)),
            lists: Turns::new(rules(lists, true, connections * WAITING_LISTS)),
            catch_ups: Turns::new(rules(lists / 2, true, WAITING_WATCHES)),
        }
    }

    /// Waits for a connection for a read of few rows. Such reads may have all connections, also of one account: each of
    /// them ends soon, and then it is another account's turn.
    pub(in crate::store) async fn short(&self, account: &AccountId) -> Result<Turn, StoreError> {
        self.short.take(account).await
    }

    /// Waits for a connection for a list. Lists have at most half of the connections between them: one may take long, and short
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
        let rows = [
            (2, 9, 1, 1, 2),
            (4, 9, 1, 1, 4),
            (8, 9, 3, 1, 8),
            (16, 9, 6, 3, 16),
            (16, 2, 1, 1, 16),
            (16, 4, 3, 1, 16),
        ];
        for (connections, most, lists, catch_ups, short) in rows {
            let (turns, evil) = (ReadTurns::new(connections, most), account("evil"));
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
