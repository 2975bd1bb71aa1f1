//! The parts of a save: their order, their columns and their names.

use sea_orm::sea_query::ColumnType::{BigInteger, Boolean, Text, Uuid as UuidType};

use super::erase::erased_columns;
use super::messages::{removed_columns, replacing_columns, settled_columns};
use super::quotas::{quota_columns, released_columns, resized_columns};
use super::seats::{freed_hold_columns, scope_columns, unseat_columns};
use crate::store::sql::entity::{
    acceptance, autojoin_domain, event, invitation, invitation_group, label, outbox, quota_hold, recipient, request,
    seat, seat_hold, slot, suppression,
};
use crate::store::sql::rows_param::Columns;
use crate::store::sql::texts::StatementPart;

/// The sets of rows that a save consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) enum Part {
    /// New invitations.
    Invitations,
    /// The labels of the new invitations.
    Labels,
    /// The recipients of the new invitations, and the new ones of others.
    Recipients,
    /// The groups of the new invitations, and the new ones of others.
    Groups,
    /// The first events of the new invitations.
    FirstEvents,
    /// Messages to be sent.
    Outbox,
    /// Requests to be remembered.
    Requests,
    /// The addresses that a create without a load mails: if one of them is suppressed, nothing is created.
    Mailed,
    /// Changed invitations, with the conditions for their update.
    Updates,
    /// Changed recipients.
    Answers,
    /// Changed acceptances. They come before new ones: one that is undone frees its subject.
    Reacceptances,
    /// New acceptances.
    Acceptances,
    /// Slots that are taken.
    Slots,
    /// Domains that join from now on.
    Joining,
    /// Domains that no longer join.
    Leaving,
    /// Changed messages, with the conditions for their update.
    DeliveryUpdates,
    /// Messages that replace those which are queued.
    Replacing,
    /// Increments of counters.
    Counts,
    /// Events that are numbered by the counters.
    Events,
    /// Slots that are given up, because the address in their keys was erased or removed.
    Freed,
    /// Labels that are removed.
    Unlabelled,
    /// Labels of invitations that exist which are new or have another value.
    Relabelled,
    /// Groups that invitations no longer admit people to.
    Ungrouped,
    /// Recipients who are removed, whose messages are cancelled.
    Removed,
    /// The invitations whose stored events lose the data of a person.
    ErasedEvents,
    /// The invitations whose messages lose the address of a person.
    ErasedMessages,
    /// Parts of quotas that are given back.
    Released,
    /// Parts of quotas that open invitations hold.
    Taken,
    /// Parts of quotas that get another size.
    Resized,
    /// Additions to counts of quotas, with the most that there may be.
    Quotas,
    /// New suppressions of addresses.
    Suppressions,
    /// Seats that are taken.
    Seats,
    /// Seats that are held by other acceptances than before.
    Reseats,
    /// Seats that are free again.
    Unseats,
    /// Seats that open invitations hold.
    SeatHolds,
    /// Seats that invitations no longer hold.
    FreedHolds,
    /// Additions to the counts of scopes, with the most that there may be.
    Scopes,
    /// The invitations that something is counted for and that stay as they are: on PostgreSQL another process may have
    /// deleted them since they were loaded.
    Unchanged,
}

impl Part {
    /// The parts of creates without a load, in the order of their parameters.
    pub(in crate::store) const OF_CREATES: &[Self] = &[
        Self::Invitations,
        Self::Labels,
        Self::Recipients,
        Self::Groups,
        Self::FirstEvents,
        Self::Outbox,
        Self::Requests,
        Self::Mailed,
    ];

    /// All parts of a save on a load, in the order of their parameters.
    pub(in crate::store) const ALL: &[Self] = &[
        Self::Invitations,
        Self::Labels,
        Self::Recipients,
        Self::Groups,
        Self::FirstEvents,
        Self::Outbox,
        Self::Requests,
        Self::Updates,
        Self::Answers,
        Self::Reacceptances,
        Self::Acceptances,
        Self::Slots,
        Self::Joining,
        Self::Leaving,
        Self::DeliveryUpdates,
        Self::Replacing,
        Self::Counts,
        Self::Events,
        Self::Freed,
        Self::Unlabelled,
        Self::Relabelled,
        Self::Ungrouped,
        Self::Removed,
        Self::ErasedEvents,
        Self::ErasedMessages,
        Self::Released,
        Self::Taken,
        Self::Resized,
        Self::Quotas,
        Self::Suppressions,
        Self::Seats,
        Self::Reseats,
        Self::Unseats,
        Self::SeatHolds,
        Self::FreedHolds,
        Self::Scopes,
        Self::Unchanged,
    ];

    /// Returns the columns of the part.
    pub(in crate::store) fn columns(self) -> Columns {
        match self {
            Self::Invitations => Columns::of::<invitation::Entity>(),
            Self::Labels | Self::Relabelled => Columns::of::<label::Entity>(),
            Self::Recipients | Self::Answers => Columns::of::<recipient::Entity>(),
            Self::Groups | Self::Ungrouped => Columns::of::<invitation_group::Entity>(),
            Self::FirstEvents => Columns::of::<event::Entity>(),
            Self::Outbox => Columns::of::<outbox::Entity>(),
            Self::Requests => Columns::of::<request::Entity>(),
            Self::Updates => {
                Columns::of::<invitation::Entity>().and([("loaded_revision", BigInteger), ("unexpired", Boolean)])
            }
            Self::Acceptances | Self::Reacceptances => Columns::of::<acceptance::Entity>(),
            Self::Slots => Columns::of::<slot::Entity>(),
            Self::Joining | Self::Leaving => Columns::of::<autojoin_domain::Entity>(),
            Self::DeliveryUpdates => settled_columns(),
            Self::Replacing => replacing_columns(),
            Self::Counts => engagement_columns(),
            Self::Events => Columns::of::<event::Entity>().and([("before_last", BigInteger)]),
            Self::Freed | Self::Unlabelled => {
                Columns::list([("account_id", Text), ("invitation_id", UuidType), ("key", Text)])
            }
            Self::ErasedEvents | Self::ErasedMessages => erased_columns(),
            Self::Removed => removed_columns(),
            Self::Released => released_columns(),
            Self::Resized => resized_columns(),
            Self::Taken => Columns::of::<quota_hold::Entity>(),
            Self::Quotas => quota_columns(),
            Self::Mailed => Columns::list([("account_id", Text), ("address_key", Text)]),
            Self::Suppressions => Columns::of::<suppression::Entity>(),
            Self::Seats | Self::Reseats => Columns::of::<seat::Entity>(),
            Self::Unseats => unseat_columns(),
            Self::SeatHolds => Columns::of::<seat_hold::Entity>(),
            Self::FreedHolds => freed_hold_columns(),
            Self::Scopes => scope_columns(),
            Self::Unchanged => Columns::list([("account_id", Text), ("invitation_id", UuidType)]),
        }
    }

    /// Returns whether the save is a conflict if not every row of the part finds the row that it updates.
    pub(in crate::store) fn is_guarded(self) -> bool {
        let of_seats = matches!(self, Self::Seats | Self::Reseats | Self::Unseats | Self::FreedHolds | Self::Scopes);
        of_seats || matches!(self, Self::Updates | Self::Slots | Self::DeliveryUpdates | Self::Suppressions)
    }

    /// Returns whether SQLite runs the statement of the part for each row by itself: it would look a set of such keys up by their
    /// first columns alone, and many invitations may be found by one group.
    pub(in crate::store) fn is_row_by_row(self) -> bool {
        matches!(self, Self::Ungrouped | Self::Unseats)
    }

    /// Returns the name of the part in a statement.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Invitations => "invitation",
            Self::Labels => "label",
            Self::Recipients => "recipient",
            Self::Groups => "group",
            Self::FirstEvents => "first_event",
            Self::Outbox => "outbox",
            Self::Requests => "request",
            Self::Updates => "update",
            Self::Answers => "answer",
            Self::Acceptances => "acceptance",
            Self::Reacceptances => "reacceptance",
            Self::Slots => "slot",
            Self::Joining => "joining",
            Self::Leaving => "leaving",
            Self::DeliveryUpdates => "delivery",
            Self::Replacing => "replacing",
            Self::Counts => "count",
            Self::Events => "event",
            Self::Freed => "freed",
            Self::Unlabelled => "unlabelled",
            Self::Relabelled => "relabelled",
            Self::Ungrouped => "ungrouped",
            Self::Removed => "removed",
            Self::ErasedEvents => "erased_event",
            Self::ErasedMessages => "erased_message",
            Self::Released => "released",
            Self::Taken => "held",
            Self::Resized => "resized",
            Self::Quotas => "quota",
            Self::Mailed => "mailed",
            Self::Suppressions => "suppression",
            Self::Seats => "seat",
            Self::Reseats => "reseat",
            Self::Unseats => "unseat",
            Self::SeatHolds => "seat_hold",
            Self::FreedHolds => "freed_hold",
            Self::Scopes => "scope",
            Self::Unchanged => "unchanged",
        }
    }
}

impl StatementPart for Part {
    fn columns(self) -> Option<Columns> {
        Some(Part::columns(self))
    }
}

fn engagement_columns() -> Columns {
    Columns::list([
        ("account_id", Text),
        ("invitation_id", UuidType),
        ("views", BigInteger),
        ("clicks", BigInteger),
        ("unfurls", BigInteger),
        ("events", BigInteger),
    ])
}
