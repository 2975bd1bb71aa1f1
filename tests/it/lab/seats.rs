//! A plain model of seats, and the steps that callers take about them beside the commands.

use std::collections::{BTreeMap, BTreeSet};

use invitation_service::domain::group::loaded::Loaded;
use invitation_service::domain::invitation::acceptance::{Acceptance, Subject};
use invitation_service::domain::kind::{Scope, company_scope};
use invitation_service::domain::seat::{HOLD_GRACE, ScopeKey, ScopeSeats, Seat, SeatHold, SeatSave};
use invitation_service::domain::value::id::{AcceptanceId, IdSeed, InvitationId};
use invitation_service::domain::value::text::AccountId;
use invitation_service::domain::value::time::Timestamp;
use invitation_service::store::{ScopeUpdate, ScopeUpdated, SeatsWritten, WriteOnce};
use serde_json::Value;
use uuid::Uuid;

use super::commands::accounts;
use super::faults::Fault;
use super::model::Model;
use super::rows::{at, id, maybe, text};
use super::turns::without_fault;
use super::world::World;
use crate::support::build::commands::COMPANY;

/// The scopes that count their seats.
#[derive(Clone, Debug, Default)]
pub(super) struct Seating {
    pub(super) scopes: BTreeMap<ScopeKey, ScopeSeats>,
    seats: BTreeMap<(Uuid, Subject), (AccountId, Seat)>,
    holds: BTreeMap<(AccountId, InvitationId, Timestamp), (Uuid, u32)>,
}

impl Seating {
    pub(super) fn load_into(&self, loaded: &mut Loaded, now: Timestamp) {
        let is_over =
            |until: Timestamp| until.micros() <= now.micros() - i64::try_from(HOLD_GRACE.as_micros()).unwrap();
        for (key, scope) in &self.scopes {
            let over = self.holds.iter().filter(|((_, _, until), (id, _))| *id == scope.id && is_over(*until));
            let lapsed = over.map(|(_, (_, uses))| i64::from(*uses)).sum();
            loaded.put_scope(key.clone(), ScopeSeats { lapsed, ..scope.clone() });
        }
        for ((scope, subject), (_, seat)) in &self.seats {
            loaded.set_seat(*scope, subject.clone(), Some(seat.clone()));
        }
        for ((_, invitation, until), (_, uses)) in self.holds.iter().filter(|((_, _, until), _)| !is_over(*until)) {
            loaded.set_hold(*invitation, Some(SeatHold { uses: *uses, open_until: *until }));
        }
    }

    pub(super) fn apply(&mut self, save: SeatSave) {
        for ((account, scope, subject), change) in save.seats {
            match change.after {
                None => drop(self.seats.remove(&(scope, subject))),
                Some(seat) => {
                    let version = change.before.map_or(1, |before| before.version + 1);
                    self.seats.insert((scope, subject), (account, Seat { version, ..seat }));
                }
            }
        }
        for (key, hold) in save.holds {
            match hold.uses {
                Some(uses) => drop(self.holds.insert(key, (hold.scope, uses))),
                None => drop(self.holds.remove(&key)),
            }
        }
        for ((_, id), charge) in save.charges {
            let scope = self.scopes.values_mut().find(|scope| scope.id == id).unwrap();
            assert_eq!(scope.revision, charge.revision, "the settings are those of the decision");
            scope.occupied += charge.occupied;
            scope.held += charge.held;
            assert!(scope.occupied <= charge.most_occupied, "more people than seats");
        }
    }

    pub(super) fn add_rows(&self, add: &mut impl FnMut(&'static str, &[Option<String>])) {
        for (key, scope) in &self.scopes {
            let names = [text(key.account.as_str()), id(scope.id), text(&key.scope_type), text(&key.scope_id)];
            let counts = [maybe(scope.seats), text(scope.occupied), text(scope.held), text(0), text(scope.revision)];
            add("scope_settings", &[&names[..], &counts].concat());
        }
        for ((scope, subject), (account, seat)) in &self.seats {
            let holders = seat.holders.iter();
            let holders = holders.map(|holder| Value::from(format!("{}/{}", holder.invitation.0, holder.acceptance.0)));
            let holders = Value::from_iter(holders).to_string();
            let names = [text(account.as_str()), id(*scope), text(&subject.0), id(seat.id)];
            add(
                "seat",
                &[&names[..], &[text(u8::from(seat.by_caller)), at(Some(seat.occupied_at)), Some(holders)]].concat(),
            );
        }
        for ((account, invitation, until), (scope, uses)) in &self.holds {
            let until = at(Some(*until));
            add("seat_hold", &[text(account.as_str()), id(invitation.0), until, id(*scope), text(uses)]);
        }
    }

    /// A release and a told expiry give the seat back, and an acceptance that is made again needs one.
    pub(super) fn check(&self, acceptances: &BTreeMap<AcceptanceId, (AccountId, Acceptance)>) {
        for ((_, subject), (_, seat)) in &self.seats {
            assert!(seat.by_caller || !seat.holders.is_empty(), "nothing holds the seat of {subject:?}");
            let ids: BTreeSet<_> = seat.holders.iter().map(|holder| holder.acceptance).collect();
            assert_eq!(ids.len(), seat.holders.len(), "each acceptance holds the seat of {subject:?} once");
            for (_, held) in ids.iter().map(|id| &acceptances[id]) {
                let is_over = held.grant_told_at.is_some() && held.grant_told_at == held.grant_expire_at;
                assert!(held.release.is_none() && !is_over, "{subject:?} has a seat by what counts no longer");
                assert_eq!(held.subject, *subject, "the seat is that of the person who accepted");
            }
        }
        for scope in self.scopes.values() {
            let people = self.seats.keys().filter(|(id, _)| *id == scope.id).count();
            assert_eq!(scope.occupied, i64::try_from(people).unwrap(), "the people in the seats of a scope");
            let held = self.holds.values().filter(|(id, _)| *id == scope.id).map(|(_, uses)| i64::from(*uses));
            assert_eq!(scope.held, held.sum::<i64>(), "what is held in a scope");
        }
    }
}

impl Model {
    /// Does what new settings do. PostgreSQL raises the revisions of what may be accepted when a scope begins to reserve.
    fn set_scope(&mut self, key: &ScopeKey, seats: Option<i64>, reserve_open: bool, now: Timestamp, raises: bool) {
        let scope = self.seating.scopes.get_mut(key).unwrap();
        let (id, begins) = (scope.id, reserve_open && !scope.reserve_open);
        let is_change = (scope.seats, scope.reserve_open) != (seats, reserve_open);
        scope.revision += i64::from(is_change);
        (scope.seats, scope.reserve_open) = (seats, reserve_open);
        if !reserve_open {
            self.seating.holds.retain(|_, (scope, _)| *scope != id);
        }
        let of_scope = self.invitations.values_mut().filter(|invitation| {
            let scope = invitation.details.scope(&invitation.account);
            scope.is_some_and(|scope| ScopeKey::new(&invitation.account, &scope) == *key)
        });
        for invitation in of_scope.filter(|_| begins) {
            let facts = &invitation.facts;
            let ended = facts.revoked_at.or(facts.declined_at).is_some();
            if raises && (!ended || facts.use_count > 0) {
                std::sync::Arc::make_mut(invitation).revision += 1;
            }
            if let Some(hold) = SeatHold::of(invitation, now) {
                let place = (invitation.account.clone(), invitation.id, hold.open_until);
                self.seating.holds.insert(place, (id, hold.uses));
            }
        }
        let held = self.seating.holds.values().filter(|(scope, _)| *scope == id).map(|(_, uses)| i64::from(*uses));
        self.seating.scopes.get_mut(key).unwrap().held = held.sum();
    }
}

impl World {
    /// Two scopes of each account count their seats from the beginning: a team, and the company of the links.
    pub(super) async fn begin_to_seat(&mut self) {
        let scopes = [Scope::new("team", "t1"), company_scope(COMPANY)];
        let keys =
            accounts().into_iter().flat_map(|account| scopes.clone().map(|scope| ScopeKey::new(&account, &scope)));
        for key in keys.collect::<Vec<_>>() {
            let update = ScopeUpdate { seats: Some(Some(4)), reserve_open: Some(self.random.chance(50)) };
            let new_id = Uuid::from_bytes(self.random.bytes());
            let set = self.store().update_scope(&key, update, (None, new_id), &WriteOnce::default()).await.unwrap();
            let ScopeUpdated::Done(scope) = set else { panic!("{set:?}") };
            self.model.seating.scopes.insert(key, scope);
        }
    }

    /// Settings change, or somebody comes or leaves beside the invitations.
    pub(super) async fn seats(&mut self, fault: Option<&Fault>) {
        let scopes: Vec<_> = self.model.seating.scopes.keys().cloned().collect();
        let key = self.random.pick(&scopes);
        match self.random.below(3) {
            0 => self.set_seats(&key, fault).await,
            1 => self.sit(&key, fault).await,
            _ => self.leave(&key, fault).await,
        }
    }

    async fn set_seats(&mut self, key: &ScopeKey, fault: Option<&Fault>) {
        let (seats, reserve_open) = (self.random.pick(&[None, Some(1), Some(3), Some(9)]), self.random.chance(50));
        self.told.note(format!("seats {seats:?} in {key:?}, reserved: {reserve_open}"));
        let (store, now, raises) = (self.store(), self.clock.now(), self.is_postgres());
        let update = ScopeUpdate { seats: Some(seats), reserve_open: Some(reserve_open) };
        let once = WriteOnce::default();
        let result = self.under(fault, store.update_scope(key, update, (None, Uuid::nil()), &once)).await;
        let mut after = self.model.clone();
        after.set_scope(key, seats, reserve_open, now, raises);
        match without_fault(result, fault) {
            Some(done) => {
                assert!(matches!(done, ScopeUpdated::Done(_)), "{done:?}");
                self.model = after;
            }
            None => self.one_of(vec![after, self.model.clone()]).await,
        }
    }

    async fn sit(&mut self, key: &ScopeKey, fault: Option<&Fault>) {
        let subject = Subject(self.random.pick(&["ann", "bob", "cid", "dan"]).to_owned());
        self.told.note(format!("{subject:?} comes to {key:?}"));
        let (store, now) = (self.store(), self.clock.now());
        let (seed, once) = (IdSeed::new(now, self.random.bytes()), WriteOnce::default());
        let people = BTreeSet::from([subject.clone()]);
        let result = self.under(fault, store.occupy_seats(key, &people, (&seed, now), &once)).await;
        let mut loaded = Loaded::empty(now);
        self.model.seating.load_into(&mut loaded, now);
        let mut after = self.model.clone();
        let scope = after.seating.scopes.get_mut(key).unwrap();
        let known = after.seating.seats.get(&(scope.id, subject.clone())).cloned();
        let new = Seat { id: seed.nth(1), holders: Vec::new(), by_caller: true, occupied_at: now, version: 1 };
        let seat = known.as_ref().map_or(new, |(_, seat)| Seat {
            version: seat.version + i64::from(!seat.by_caller),
            by_caller: true,
            ..seat.clone()
        });
        let fits = known.is_some() || loaded.scope(key).unwrap().available() != Some(0);
        if fits {
            scope.occupied += i64::from(known.is_none());
            after.seating.seats.insert((scope.id, subject), (key.account.clone(), seat));
        }
        match without_fault(result, fault) {
            Some(done) => {
                assert_eq!(matches!(done, SeatsWritten::Done(..)), fits, "{done:?}");
                self.model = after;
            }
            None => self.one_of(vec![after, self.model.clone()]).await,
        }
    }

    async fn leave(&mut self, key: &ScopeKey, fault: Option<&Fault>) {
        let id = self.model.seating.scopes[key].id;
        let seated: Vec<_> = self.model.seating.seats.keys().filter(|(scope, _)| *scope == id).cloned().collect();
        let Some((_, subject)) = self.random.pick_late(&seated) else { return };
        self.told.note(format!("{subject:?} leaves {key:?}"));
        let (store, now, once) = (self.store(), self.clock.now(), WriteOnce::default());
        let people = BTreeSet::from([subject.clone()]);
        let result = self.under(fault, store.vacate_seats(key, &people, now, &once)).await;
        let mut after = self.model.clone();
        after.seating.seats.remove(&(id, subject));
        after.seating.scopes.get_mut(key).unwrap().occupied -= 1;
        match without_fault(result, fault) {
            Some(done) => {
                assert!(matches!(done, SeatsWritten::Done(1, _)), "{done:?}");
                self.model = after;
            }
            None => self.one_of(vec![after, self.model.clone()]).await,
        }
    }
}
