//! The lists over all invitations of an account, page by page, compared with the model.

use invitation_service::domain::reach::Reach;
use invitation_service::domain::value::text::AccountId;
use invitation_service::store::{
    AccountAcceptances, AccountDeliveries, AccountEvents, AccountPage, AccountRecipients, AccountRows, StoreError,
};

use super::commands::accounts;
use super::world::World;

/// The rows of a page: few, so that lists have many of them.
const LIMIT: u64 = 7;

/// Follows a list from page to page.
async fn follow<T>(ascending: bool, read: impl AsyncFn(AccountPage) -> Result<AccountRows<T>, StoreError>) -> Vec<T> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let found = read(AccountPage { ascending, limit: LIMIT, after }).await.unwrap();
        assert!(found.rows.len() as u64 <= LIMIT);
        all.extend(found.rows.into_iter().map(|(_, row)| row));
        after = found.goes_on;
        if after.is_none() {
            return all;
        }
    }
}

impl World {
    /// Compares the lists of every account, once all events have their positions.
    pub(super) async fn compare_lists(&self) {
        for account in accounts() {
            for ascending in [true, false] {
                self.compare_lists_of(&account, ascending).await;
            }
        }
    }

    async fn compare_lists_of(&self, account: &AccountId, ascending: bool) {
        let (reads, reach) = (self.stores[0].primary(), Reach::of_account(account.clone()));
        let directed = |mut ids: Vec<String>| {
            if !ascending {
                ids.reverse();
            }
            ids
        };
        let listed = follow(ascending, async |page| {
            reads.list_account_deliveries(&reach, &AccountDeliveries { page, ..Default::default() }).await
        });
        let listed: Vec<_> = listed.await.iter().map(|row| row.delivery.message.id.to_string()).collect();
        let own = self.model.outbox.iter().filter(|((owner, _), _)| owner == account);
        let mut own: Vec<_> = own.map(|((_, id), message)| (message.delivery.message.created_at, *id)).collect();
        own.sort_unstable();
        assert_eq!(listed, directed(own.iter().map(|(_, id)| id.to_string()).collect()), "messages of {account:?}");

        let listed = follow(ascending, async |page| {
            reads.list_account_acceptances(&reach, &AccountAcceptances { page, ..Default::default() }).await
        });
        let listed: Vec<_> = listed.await.iter().map(|row| row.id.0.to_string()).collect();
        let own = self.model.acceptances.iter().filter(|(_, (owner, _))| owner == account);
        assert_eq!(listed, directed(own.map(|(id, _)| id.0.to_string()).collect()), "acceptances of {account:?}");

        let listed = follow(ascending, async |page| {
            reads.list_account_recipients(&reach, &AccountRecipients { page, ..Default::default() }).await
        });
        let place = |row: &invitation_service::store::ListedRecipient| {
            format!("{} {}", row.link.invitation.0, row.recipient.ordinal)
        };
        let listed: Vec<_> = listed.await.iter().map(place).collect();
        let mut own: Vec<_> = self.model.invitations.values().filter(|own| own.account == *account).collect();
        own.sort_unstable_by_key(|own| (own.created_at, own.id));
        let ordinals = own.into_iter().flat_map(|own| own.recipients.iter().map(|one| (own.id, one.ordinal)));
        let own = directed(ordinals.map(|(id, ordinal)| format!("{} {ordinal}", id.0)).collect());
        assert_eq!(listed, own, "recipients of {account:?}");

        let listed = follow(ascending, async |page| {
            reads.list_account_events(&reach, &AccountEvents { page, ..Default::default() }).await
        });
        let listed: Vec<_> = listed.await.iter().map(|row| row.event.id.to_string()).collect();
        let own = self.model.events.values().flatten().filter(|placed| placed.event.account == *account);
        let mut own: Vec<_> = own.map(|placed| (placed.position, placed.event.id.to_string())).collect();
        own.sort_unstable();
        assert_eq!(listed, directed(own.into_iter().map(|(_, id)| id).collect()), "events of {account:?}");
    }
}
