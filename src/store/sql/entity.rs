//! The tables as SeaORM entities: the one list of columns, from which statements and JSON rows are built.
//!
//! Rows are not the domain: [`super::row`] converts between them. Timestamps are microseconds since 1970.

/// Ends the module of a table. Rows of one aggregate are loaded together, and others stand for themselves, so no table has
/// relations.
macro_rules! without_relations {
    () => {
        #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
        pub(in crate::store) enum Relation {}

        impl ActiveModelBehavior for ActiveModel {}
    };
}

mod aggregate;
pub(in crate::store) mod erasure;
mod plain;
mod seats;

pub(in crate::store) use aggregate::{
    acceptance, autojoin_domain, engagement, event, invitation, invitation_group, label, outbox, quota_hold, recipient,
    request, slot,
};
pub(in crate::store) use plain::{
    api_key, key_check, organization_grant, suppression, verification, webhook_attempt, webhook_endpoint,
    webhook_message,
};
pub(in crate::store) use seats::{scope_settings, seat, seat_hold};
