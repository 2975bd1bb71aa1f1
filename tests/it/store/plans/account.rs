//! The lists over all invitations of an account.

use invitation_service::domain::delivery::DeliveryState;
use invitation_service::domain::value::time::Timestamp;
use invitation_service::store::{
    AcceptanceFilter, AccountAcceptances, AccountDeliveries, AccountEvents, AccountPage, AccountRecipients, TimeRange,
};

use super::Desk;
use crate::support::build::commands::reach;

pub(super) async fn lists(desk: &mut Desk) {
    let reads = desk.store.primary().clone();
    let spans = [TimeRange::default(), TimeRange { start: Some(Timestamp::from_micros(1)), end: None }];
    for (ascending, span) in [false, true].into_iter().zip(spans) {
        let mut page = AccountPage { ascending, limit: 10, after: None };
        for _ in 0..2 {
            let query = AccountDeliveries { created: span, page: page.clone(), ..Default::default() };
            let found = reads.list_account_deliveries(&reach(), &query).await.unwrap();
            assert!(!found.rows.is_empty());
            page.after = found.goes_on;
        }
        desk.check("list messages of an account").await;
        let states = vec![DeliveryState::Bounced, DeliveryState::Failed, DeliveryState::Suppressed];
        let page = AccountPage { ascending, limit: 10, after: None };
        let query = AccountDeliveries { states, created: span, page: page.clone() };
        reads.list_account_deliveries(&reach(), &query).await.unwrap();
        desk.check("list messages that nobody got").await;
        let filter = AcceptanceFilter { accepted: span, ..AcceptanceFilter::default() };
        let query = AccountAcceptances { filter, page: page.clone() };
        assert!(!reads.list_account_acceptances(&reach(), &query).await.unwrap().rows.is_empty());
        desk.check("list acceptances of an account").await;
        let query = AccountRecipients { created: span, page: page.clone(), ..Default::default() };
        assert!(!reads.list_account_recipients(&reach(), &query).await.unwrap().rows.is_empty());
        desk.check("list recipients of an account").await;
        let positions = desk.store.positions_of(reach().account(), span).await.unwrap();
        desk.check("find the positions of a span").await;
        let query = AccountEvents { time: span, positions, page, ..Default::default() };
        assert!(!reads.list_account_events(&reach(), &query).await.unwrap().rows.is_empty());
        desk.check("list events of an account").await;
    }
}
