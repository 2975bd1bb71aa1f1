//! The scopes that count their seats, the people in them and what open invitations hold, which commands and callers write.

/// The scopes whose seats are counted.
pub(in crate::store) mod scope_settings {
    use sea_orm::entity::prelude::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
    #[sea_orm(table_name = "scope_settings")]
    pub(in crate::store) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) id: Uuid,
        pub(in crate::store) scope_type: String,
        pub(in crate::store) scope_id: String,
        pub(in crate::store) seats: Option<i64>,
        pub(in crate::store) reserve_open: bool,
        pub(in crate::store) occupied: i64,
        /// The seats that open invitations hold, and those that they held until an expiry which has passed.
        pub(in crate::store) held: i64,
        /// The part of `held` whose rows were deleted after their expiry.
        pub(in crate::store) lapsed: i64,
        pub(in crate::store) revision: i64,
        /// The moment at which those were counted who had accepted before; `None` until then.
        pub(in crate::store) counted_at: Option<i64>,
    }

    without_relations!();
}

/// The people who have a seat in a scope.
pub(in crate::store) mod seat {
    use sea_orm::entity::prelude::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
    #[sea_orm(table_name = "seat")]
    pub(in crate::store) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) scope_uid: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) subject: String,
        pub(in crate::store) id: Uuid,
        /// The ids of the acceptances that it is held by.
        pub(in crate::store) holders: Json,
        /// Whether the caller has recorded it by itself.
        pub(in crate::store) by_caller: bool,
        pub(in crate::store) occupied_at: i64,
        pub(in crate::store) version: i64,
    }

    without_relations!();
}

/// The seats that open invitations reserve.
pub(in crate::store) mod seat_hold {
    use sea_orm::entity::prelude::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
    #[sea_orm(table_name = "seat_hold")]
    pub(in crate::store) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) invitation_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) open_until: i64,
        pub(in crate::store) scope_uid: Uuid,
        pub(in crate::store) uses: i32,
    }

    without_relations!();
}
