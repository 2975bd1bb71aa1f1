//! The look-ups of scopes and their seats.

use std::collections::BTreeSet;

use invitation_service::domain::invitation::acceptance::Subject;
use invitation_service::domain::kind::company_scope;
use invitation_service::domain::seat::ScopeKey;
use invitation_service::domain::value::id::IdSeed;
use invitation_service::store::{ScopeUpdate, SeatQuery, WriteOnce};
use uuid::Uuid;

use super::Desk;
use crate::support::build::commands::{COMPANY, accept, account, command, create, created, link};
use invitation_service::domain::command::CreateInvitation;

pub(super) async fn steps(desk: &mut Desk) {
    let now = desk.clock.now();
    let key = ScopeKey::new(&account(), &company_scope(Uuid::from_u128(COMPANY.as_u128() + 1)));
    let seed = IdSeed::new(now, [9; 16]);
    let once = WriteOnce::default();
    for reserve_open in [true, false] {
        let update = ScopeUpdate { seats: Some(Some(1_000_000)), reserve_open: Some(reserve_open) };
        desk.store.update_scope(&key, update, (None, seed.nth(0)), &once).await.unwrap();
        desk.check("settings of a scope").await;
    }
    let people = BTreeSet::from([Subject("ann".to_owned())]);
    desk.store.occupy_seats(&key, &people, (&seed, now), &once).await.unwrap();
    desk.store.vacate_seats(&key, &people, now, &once).await.unwrap();
    desk.check("people in seats").await;
    for ascending in [true, false] {
        let query = SeatQuery { limit: 10, ascending, ..SeatQuery::default() };
        desk.store.primary().list_seats(&key, &query).await.unwrap();
    }
    desk.check("list of seats").await;
    let update = ScopeUpdate { seats: None, reserve_open: Some(true) };
    desk.store.update_scope(&key, update, (None, seed.nth(0)), &once).await.unwrap();
    let into_scope = || {
        let mut made = link();
        if let invitation_service::domain::kind::Details::Connection(details) = &mut made.details {
            details.company_id = Uuid::from_u128(COMPANY.as_u128() + 1);
        }
        CreateInvitation { max_uses: Some(2), ..made }
    };
    let made = created(&desk.store, into_scope()).await;
    for subject in ["bob", "cid"] {
        desk.store.executor().execute(command(accept(&made, subject)), None).await.unwrap();
    }
    desk.store.executor().execute(command(create(into_scope())), None).await.unwrap();
    desk.check("seats of an accept").await;
}
