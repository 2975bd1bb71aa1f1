//! The rows that a command has to read: those that it names, and those that follow from what was read.

use uuid::Uuid;

use super::{Command, CreateInvitation, OpenSearch, ReadSet};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::Subject;
use crate::domain::invitation::slot::SlotKey;
use crate::domain::quota::Quotas;
use crate::domain::seat::ScopeKey;
use crate::domain::value::email::Email;

impl Command {
    /// Returns the rows that its decision needs, apart from its remembered request.
    pub fn read_set(&self) -> ReadSet {
        self.rules().read_set()
    }

    /// Returns the same rows, with the counts of quotas.
    pub fn read_set_with(&self, quotas: &Quotas) -> ReadSet {
        ReadSet { quotas: quotas.keys(self), ..self.read_set() }
    }

    /// Returns the same rows, with the suppressions of the addresses that it mails and the seats of the scope that it invites into. A
    /// create that needs nothing else needs no load: its save looks whether an address is suppressed, or the scope reserves seats.
    pub fn whole_read_set(&self, quotas: &Quotas) -> ReadSet {
        let created = self.rules().create().and_then(|create| create.details.scope(self.account()));
        let scopes = created.into_iter().collect();
        ReadSet { suppressions: quotas.suppression_keys(self), scopes, ..self.read_set_with(quotas) }
    }

    /// Returns the further rows that its decision needs, which depend on the loaded invitation; most commands have
    /// none.
    pub fn second_read_set(&self, loaded: &Loaded, quotas: &Quotas) -> ReadSet {
        let of_delivery =
            || Some(loaded.delivery(self.account(), self.rules().may_suppress()?).ok()?.message.invitation);
        let id = self.invitation().or_else(of_delivery);
        let invitation = id.and_then(|id| loaded.invitation(self.account(), id).ok());
        invitation.map_or_else(ReadSet::default, |invitation| ReadSet {
            quotas: quotas.second_keys(self, invitation),
            suppressions: quotas.second_suppression_keys(self, loaded, invitation),
            found: loaded.unread(&self.rules().to_reopen(loaded)),
            seats: self.seats_moved(loaded, invitation),
            ..self.rules().second_read_set(invitation, loaded.now)
        })
    }

    /// Returns the slots of the invitations that it may open again, which the second load has read.
    pub fn third_read_set(&self, loaded: &Loaded) -> ReadSet {
        let closed = self.rules().to_reopen(loaded).into_iter();
        let closed = closed.filter_map(|id| loaded.invitation(self.account(), id).ok());
        let slots = closed.flat_map(|closed| SlotKey::of(&closed.details, closed.addresses())).collect();
        ReadSet { slots, ..ReadSet::default() }
    }

    /// Returns the addresses that it names itself and mails: those of a create, and those that an update adds.
    pub fn mailed(&self) -> impl Iterator<Item = &Email> {
        let rules = self.rules();
        let created = rules.create().filter(|create| create.mails).into_iter().flat_map(CreateInvitation::emails);
        let invited = rules.invited().iter().filter(move |_| rules.mails_invited());
        created.chain(invited.filter_map(|invited| invited.address.email()))
    }

    /// Returns the people whose seats may be given back or taken by it, if the scope counts any.
    fn seats_moved(&self, loaded: &Loaded, invitation: &Invitation) -> Vec<(Uuid, Subject)> {
        if !loaded.has_scopes() || !self.rules().may_move_seats() {
            return Vec::new();
        }
        let scope = invitation.details.scope(&invitation.account);
        let scope = scope.and_then(|scope| loaded.scope(&ScopeKey::new(&invitation.account, &scope)));
        let Some(scope) = scope else { return Vec::new() };
        let moved = match self.read_set().acceptance {
            Some(named) => Vec::from_iter(loaded.acceptance(invitation.id, named).cloned()),
            None => loaded.acceptances_of(invitation),
        };
        moved.into_iter().map(|acceptance| (scope.id, acceptance.subject)).collect()
    }

    /// Returns the invitations that its search has found, that its decision needs, and that are not read yet.
    pub fn found_to_read(&self, loaded: &Loaded) -> ReadSet {
        let found = self.search(loaded).map(|search| loaded.rivals(self.account(), &search));
        let found = found.filter(|rivals| !(rivals.is_crowded && loaded.is_shared()));
        let found = found.map_or_else(Vec::new, |rivals| self.rules().found_to_read(loaded, &rivals));
        ReadSet { found: loaded.unread(&found), ..ReadSet::default() }
    }

    /// Returns whether its search has found more than a command may compare in a group of several callers' commands.
    pub fn outgrows_shared_group(&self, loaded: &Loaded) -> bool {
        self.search(loaded).is_some_and(|search| loaded.rivals(self.account(), &search).is_crowded)
    }

    fn search(&self, loaded: &Loaded) -> Option<OpenSearch> {
        // Most groups search for nothing.
        let search = || self.read_set().open_search.or_else(|| self.second_read_set(loaded, &Quotas::NONE).open_search);
        loaded.has_searched().then(search).flatten()
    }
}
