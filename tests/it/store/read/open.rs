//! The invitations that one invitee can accept, and the auto-joins behind them.

use std::time::Duration;

use invitation_service::domain::command::CreateInvitation;
use invitation_service::domain::invitation::recipient::{Address, AddressType};
use invitation_service::domain::kind::Scope;
use invitation_service::domain::reach::Reach;
use invitation_service::domain::value::id::InvitationId;
use invitation_service::domain::value::time::Timestamp;
use invitation_service::store::{Cursor, Page, Store};

use super::build::*;
use crate::support::build::commands::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::on_both;

on_both!(
    migrated:
    open_invitations_are_active_ones_and_domain_auto_joins,
    auto_join_of_a_scope_is_the_one_that_was_not_revoked,
);

async fn open(store: &Store, address: &Address, page: &Page) -> Vec<InvitationId> {
    let rows = store.primary().list_open_invitations(&reach(), std::slice::from_ref(address), page).await.unwrap();
    rows.iter().map(|row| row.found.id).collect()
}

async fn open_invitations_are_active_ones_and_domain_auto_joins(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let connection = database.connect().await;
    let ann = address(AddressType::Email, "Ann@Example.org");
    let scope = Scope::new("team", "1");
    let allowed = CreateInvitation {
        recipients: vec![email("ann@example.org").into(), email("bob@example.org").into()],
        ..link()
    };
    let mut wanted = Vec::new();
    for round in 0..3 {
        clock.advance(Duration::from_micros(u64::from(round % 2 == 0)));
        let scope = Scope::new("team", round);
        let made = [
            created(&store, allowed.clone()).await.id,
            created(&store, general(&scope, &[], std::slice::from_ref(&ann))).await.id,
            autojoined(&store, &scope, "example.org").await,
        ];
        wanted.extend(made.map(|id| (clock.now(), id)));
    }
    let expire_at = Timestamp::from_micros(NEW_YEAR.micros() + 60_000_000);
    for create in [user("ann@example.org"), guest("ann@example.org", expire_at)] {
        wanted.push((clock.now(), created(&store, create).await.id));
    }

    // These are not open to her.
    autojoined(&store, &Scope::new("site", "1"), "sub.example.org").await;
    created(&store, general(&scope, &[], &[address(AddressType::Internal, "ann@example.org")])).await;
    foreign(&store, allowed.clone()).await;
    let revoked = created(&store, allowed.clone()).await;
    store.executor().execute(command(revoke(&revoked)), None).await.unwrap();
    let declined = created(&store, allowed.clone()).await;
    store.executor().execute(command(decline(&declined, 1)), None).await.unwrap();
    let emptied = autojoined(&store, &Scope::new("site", "2"), "example.org").await;
    set(&database, &connection, emptied, "emptied_at = 5").await;

    wanted.sort();
    let ascending: Vec<_> = wanted.iter().map(|(_, id)| *id).collect();
    for (ascends, wanted) in [(true, ascending.clone()), (false, ascending.iter().copied().rev().collect())] {
        for limit in [1, 3, 100] {
            let mut page = Page { ascending: ascends, limit, ..Page::default() };
            let mut seen = Vec::new();
            loop {
                let rows =
                    store.primary().list_open_invitations(&reach(), std::slice::from_ref(&ann), &page).await.unwrap();
                let Some(last) = rows.last() else { break };
                page.after = Some(Cursor::of_invitation(last));
                seen.extend(rows.iter().map(|row| row.found.id));
            }
            assert_eq!(seen, wanted, "{ascends} {limit}");
        }
    }
    let page = Page { limit: 100, ..Page::default() };
    let bob = address(AddressType::Email, "bob@example.org");
    assert_eq!(
        open(&store, &bob, &page).await.len(),
        7,
        "three links, three auto-joins, and the one that she declined"
    );
    let carol = address(AddressType::Email, "carol@sub.example.org");
    assert_eq!(open(&store, &carol, &page).await.len(), 1, "domains are compared whole");
    assert_eq!(open(&store, &address(AddressType::Internal, "ann@example.org"), &page).await.len(), 1);
    clock.advance(Duration::from_secs(60));
    assert_eq!(open(&store, &ann, &page).await.len(), ascending.len() - 1, "one has expired");
}

async fn auto_join_of_a_scope_is_the_one_that_was_not_revoked(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let connection = database.connect().await;
    let scope = Scope::new("te'am", "\"1\" ");
    assert!(store.primary().find_autojoin(&reach(), &scope).await.unwrap().is_none());
    let scope = Scope::new("team", "\"1\" ");
    let made = autojoined(&store, &scope, "example.org").await;
    let find = async || store.primary().find_autojoin(&reach(), &scope).await.unwrap().map(|read| read.found.id);
    assert_eq!(find().await, Some(made));
    set(&database, &connection, made, "emptied_at = 5").await;
    assert_eq!(find().await, Some(made), "a sync brings it back");
    set(&database, &connection, made, "revoked_at = 6, emptied_at = NULL").await;
    assert_eq!(find().await, None);
    let other = invitation_service::domain::value::text::AccountId::parse("Acme").unwrap();
    assert!(store.primary().find_autojoin(&Reach::of_account(other.clone()), &scope).await.unwrap().is_none());
}
