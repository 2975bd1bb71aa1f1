//! The tables that are written directly, without a command, or by a command for itself.

/// The grants between organizations: one may act for the other.
pub(in crate::store) mod organization_grant {
    use sea_orm::entity::prelude::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
    #[sea_orm(table_name = "organization_grant")]
    pub(in crate::store) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) id: Uuid,
        pub(in crate::store) requester_id: Uuid,
        pub(in crate::store) target_id: Uuid,
        pub(in crate::store) permissions: Json,
        pub(in crate::store) revision: i64,
        pub(in crate::store) creator: String,
        pub(in crate::store) created_at: i64,
        pub(in crate::store) updated_at: i64,
    }

    without_relations!();
}

/// The API keys, each as its hash.
pub(in crate::store) mod api_key {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "api_key")]
    pub(in crate::store) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) id: Uuid,
        pub(in crate::store) key_id: String,
        pub(in crate::store) display_name: String,
        /// The SHA-256 of the key in hexadecimal digits.
        pub(in crate::store) hash: String,
        pub(in crate::store) permissions: Json,
        /// A list of roles, or null for any.
        pub(in crate::store) grantable_roles: Json,
        pub(in crate::store) organization_id: Option<Uuid>,
        pub(in crate::store) expires_at: Option<i64>,
        pub(in crate::store) revoked_at: Option<i64>,
        /// The hour of the last use.
        pub(in crate::store) last_used_at: Option<i64>,
        pub(in crate::store) revision: i64,
        /// The position of the last change among those of all keys.
        pub(in crate::store) position: i64,
        pub(in crate::store) creator: String,
        pub(in crate::store) created_at: i64,
        pub(in crate::store) updated_at: i64,
    }

    without_relations!();
}

/// The codes that clients requested for addresses. The table contains neither codes nor addresses: codes are derived from
/// `id` by the key `key_id`, addresses and clients are kept as keyed hashes.
pub(in crate::store) mod verification {
    use sea_orm::entity::prelude::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
    #[sea_orm(table_name = "verification")]
    pub(in crate::store) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) invitation_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) address_mac: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) client_mac: String,
        pub(in crate::store) id: Uuid,
        pub(in crate::store) key_id: i32,
        /// The number of characters of the code.
        pub(in crate::store) length: i32,
        /// The number of wrong tries of its client.
        pub(in crate::store) tries: i32,
        pub(in crate::store) created_at: i64,
        /// The moment at which the code was first used.
        pub(in crate::store) used_at: Option<i64>,
        /// The number of requests since `asked_since`.
        pub(in crate::store) asked: i32,
        pub(in crate::store) asked_since: i64,
        /// Whether the address is that of a recipient.
        pub(in crate::store) invited: bool,
    }

    without_relations!();
}

/// The endpoints that events are posted to. The secrets are encrypted.
pub(in crate::store) mod webhook_endpoint {
    use sea_orm::entity::prelude::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
    #[sea_orm(table_name = "webhook_endpoint")]
    pub(in crate::store) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) id: Uuid,
        pub(in crate::store) uri: String,
        pub(in crate::store) event_types: Json,
        pub(in crate::store) format: String,
        pub(in crate::store) disabled_at: Option<i64>,
        pub(in crate::store) disabled_reason: Option<String>,
        pub(in crate::store) secret: String,
        pub(in crate::store) previous_secret: Option<String>,
        pub(in crate::store) previous_until: Option<i64>,
        pub(in crate::store) failing_since: Option<i64>,
        pub(in crate::store) revision: i64,
        pub(in crate::store) creator: String,
        pub(in crate::store) created_at: i64,
        pub(in crate::store) updated_at: i64,
        /// Events up to this position are not posted to it.
        pub(in crate::store) since_position: i64,
        /// The moment of the last test, which limits the next one.
        pub(in crate::store) tested_at: Option<i64>,
        /// The moment until which nothing is posted to it, since its last answer took long; `None` if it came soon.
        pub(in crate::store) rests_until: Option<i64>,
    }

    without_relations!();
}

/// One event to be posted to one endpoint. A row is pending while `due_at` is set.
pub(in crate::store) mod webhook_message {
    use sea_orm::entity::prelude::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
    #[sea_orm(table_name = "webhook_message")]
    pub(in crate::store) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) id: Uuid,
        pub(in crate::store) endpoint_id: Uuid,
        pub(in crate::store) invitation_id: Uuid,
        pub(in crate::store) sequence: i64,
        pub(in crate::store) occurred_at: i64,
        pub(in crate::store) state: String,
        pub(in crate::store) due_at: Option<i64>,
        pub(in crate::store) lease: Option<Uuid>,
        pub(in crate::store) attempts: i32,
        pub(in crate::store) first_tried_at: Option<i64>,
    }

    without_relations!();
}

/// Requests to an endpoint, and their results.
pub(in crate::store) mod webhook_attempt {
    use sea_orm::entity::prelude::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
    #[sea_orm(table_name = "webhook_attempt")]
    pub(in crate::store) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) endpoint_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) id: Uuid,
        pub(in crate::store) webhook_id: Uuid,
        pub(in crate::store) invitation_id: Uuid,
        pub(in crate::store) sequence: i64,
        pub(in crate::store) attempted_at: i64,
        pub(in crate::store) http_status: Option<i32>,
        pub(in crate::store) error: Option<String>,
        pub(in crate::store) duration_millis: i32,
    }

    without_relations!();
}

/// The addresses that nothing is sent to. Commands add those that bounces and complaints lead to.
pub(in crate::store) mod suppression {
    use sea_orm::entity::prelude::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
    #[sea_orm(table_name = "suppression")]
    pub(in crate::store) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) id: Uuid,
        /// The normalised address, or a keyed hash of it once it is erased.
        pub(in crate::store) address_key: String,
        pub(in crate::store) masked_email: String,
        pub(in crate::store) reason: String,
        /// The invitation and the message that led to it.
        pub(in crate::store) invitation_id: Option<Uuid>,
        pub(in crate::store) delivery_id: Option<Uuid>,
        pub(in crate::store) creator: String,
        pub(in crate::store) created_at: i64,
    }

    without_relations!();
}

/// The fingerprints of the keys in use. A key belongs to all accounts.
pub(in crate::store) mod key_check {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "key_check")]
    pub(in crate::store) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) id: i32,
        pub(in crate::store) fingerprint: String,
        pub(in crate::store) signed_at: Option<i64>,
        pub(in crate::store) retired_at: Option<i64>,
    }

    without_relations!();
}
