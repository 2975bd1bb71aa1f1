//! An invitation and what is saved with it: the tables that commands write.

/// Facts, counters of use, and the columns that are searched. Details are JSON and are never searched.
pub(in crate::store) mod invitation {
    use sea_orm::entity::prelude::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
    #[sea_orm(table_name = "invitation")]
    pub(in crate::store) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) id: Uuid,
        pub(in crate::store) kind: String,
        pub(in crate::store) scope_type: String,
        pub(in crate::store) scope_id: String,
        pub(in crate::store) resource_id: Option<Uuid>,
        pub(in crate::store) creator: String,
        pub(in crate::store) max_uses: Option<i32>,
        pub(in crate::store) use_count: i32,
        pub(in crate::store) expire_at: Option<i64>,
        pub(in crate::store) accepted_at: Option<i64>,
        pub(in crate::store) declined_at: Option<i64>,
        pub(in crate::store) revoked_at: Option<i64>,
        pub(in crate::store) revision: i64,
        pub(in crate::store) generation: i32,
        pub(in crate::store) key_id: i32,
        pub(in crate::store) mails: bool,
        pub(in crate::store) details: Json,
        pub(in crate::store) created_at: i64,
        pub(in crate::store) updated_at: i64,
        pub(in crate::store) accepted_elsewhere_at: Option<i64>,
        pub(in crate::store) emptied_at: Option<i64>,
        pub(in crate::store) archived_at: Option<i64>,
        pub(in crate::store) deleted_at: Option<i64>,
        pub(in crate::store) first_sent_at: Option<i64>,
        pub(in crate::store) last_sent_at: Option<i64>,
        pub(in crate::store) updater: String,
        pub(in crate::store) inviter_user_id: Option<String>,
        pub(in crate::store) widget_configuration_id: Option<String>,
        pub(in crate::store) sort_email: String,
        pub(in crate::store) expiry_told_at: Option<i64>,
        pub(in crate::store) repeats: Json,
    }

    without_relations!();
}

/// The people and systems that an invitation is meant for. `value` is the normalised address, `original` the given one.
pub(in crate::store) mod recipient {
    use sea_orm::entity::prelude::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
    #[sea_orm(table_name = "recipient")]
    pub(in crate::store) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) invitation_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) ordinal: i32,
        pub(in crate::store) recipient_type: String,
        pub(in crate::store) value: String,
        pub(in crate::store) original: String,
        pub(in crate::store) accepted_at: Option<i64>,
        pub(in crate::store) declined_at: Option<i64>,
        pub(in crate::store) display_name: Option<String>,
        pub(in crate::store) avatar_uri: Option<String>,
        pub(in crate::store) existing_user: Option<bool>,
        pub(in crate::store) created_at: i64,
        /// The moment until which a general invitation is open, if nothing has ended it; the largest number for no end.
        pub(in crate::store) open_until: Option<i64>,
    }

    without_relations!();
}

/// The caller's own labels, which lists can be filtered by.
pub(in crate::store) mod label {
    use sea_orm::entity::prelude::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
    #[sea_orm(table_name = "label")]
    pub(in crate::store) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) invitation_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) key: String,
        pub(in crate::store) value: String,
        /// The moment of the invitation's creation.
        pub(in crate::store) created_at: i64,
    }

    without_relations!();
}

/// The groups of general invitations, except the one that is the scope.
pub(in crate::store) mod invitation_group {
    use sea_orm::entity::prelude::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
    #[sea_orm(table_name = "invitation_group")]
    pub(in crate::store) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) scope_type: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) scope_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) created_at: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) invitation_id: Uuid,
    }

    without_relations!();
}

/// One row for each invitation and subject that accepted it, and one for each acceptance that was undone.
pub(in crate::store) mod acceptance {
    use sea_orm::entity::prelude::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
    #[sea_orm(table_name = "acceptance")]
    pub(in crate::store) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) invitation_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) id: Uuid,
        pub(in crate::store) subject: String,
        pub(in crate::store) recipient: Option<i32>,
        pub(in crate::store) created_connection_id: Option<Uuid>,
        pub(in crate::store) accepted_at: i64,
        pub(in crate::store) details: Json,
        /// The address in the form in which it is searched for.
        pub(in crate::store) email_key: Option<String>,
        /// Nil, and the acceptance's own id once it was undone: so its subject is free for another one.
        pub(in crate::store) undone_id: Uuid,
        /// The moment at which it was undone or ended.
        pub(in crate::store) released_at: Option<i64>,
        /// The moment from which it counts no longer.
        pub(in crate::store) grant_expire_at: Option<i64>,
        /// The last such moment of which an event tells.
        pub(in crate::store) grant_told_at: Option<i64>,
    }

    without_relations!();
}

/// The slots: at most one ACTIVE invitation has each; the row names the invitation that took it last.
pub(in crate::store) mod slot {
    use sea_orm::entity::prelude::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
    #[sea_orm(table_name = "slot")]
    pub(in crate::store) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) key: String,
        pub(in crate::store) invitation_id: Uuid,
        pub(in crate::store) version: i64,
    }

    without_relations!();
}

/// The domains whose addresses join a scope.
pub(in crate::store) mod autojoin_domain {
    use sea_orm::entity::prelude::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
    #[sea_orm(table_name = "autojoin_domain")]
    pub(in crate::store) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) domain: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) created_at: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) invitation_id: Uuid,
    }

    without_relations!();
}

/// The request_ids that succeeded, or whose calls have begun, with a keyed hash of their bodies.
pub(in crate::store) mod request {
    use sea_orm::entity::prelude::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
    #[sea_orm(table_name = "request")]
    pub(in crate::store) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) method: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) request_id: String,
        pub(in crate::store) key_id: i32,
        pub(in crate::store) mac: String,
        /// The invitation or webhook endpoint that it was about; nil for a call over several invitations.
        pub(in crate::store) invitation_id: Uuid,
        pub(in crate::store) acceptance_id: Option<Uuid>,
        pub(in crate::store) created_at: i64,
        /// The number of rows it changed, if that is not simply one; NULL also for a call that is not finished.
        pub(in crate::store) changed: Option<i64>,
    }

    without_relations!();
}

/// Counters beside the invitation, so that scanners never touch its row. One of them numbers its events.
pub(in crate::store) mod engagement {
    use sea_orm::entity::prelude::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
    #[sea_orm(table_name = "engagement")]
    pub(in crate::store) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) invitation_id: Uuid,
        pub(in crate::store) views: i64,
        pub(in crate::store) clicks: i64,
        pub(in crate::store) unfurls: i64,
        pub(in crate::store) last_sequence: i64,
    }

    without_relations!();
}

/// The audit trail, numbered per invitation.
pub(in crate::store) mod event {
    use sea_orm::entity::prelude::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
    #[sea_orm(table_name = "event")]
    pub(in crate::store) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) invitation_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) sequence: i64,
        pub(in crate::store) id: Uuid,
        pub(in crate::store) kind: String,
        pub(in crate::store) event_type: String,
        pub(in crate::store) occurred_at: i64,
        pub(in crate::store) actor: String,
        pub(in crate::store) request_id: Option<String>,
        pub(in crate::store) data: Json,
        pub(in crate::store) position: Option<i64>,
    }

    without_relations!();
}

/// Messages to people, those to be sent and those that were sent. They hold no link: it is derived when the message is
/// sent. A row is pending while `due_at` is set.
pub(in crate::store) mod outbox {
    use sea_orm::entity::prelude::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
    #[sea_orm(table_name = "outbox")]
    pub(in crate::store) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) id: Uuid,
        pub(in crate::store) invitation_id: Uuid,
        pub(in crate::store) recipient: i32,
        pub(in crate::store) created_at: i64,
        pub(in crate::store) purpose: String,
        pub(in crate::store) state: String,
        pub(in crate::store) due_at: Option<i64>,
        pub(in crate::store) planned_at: Option<i64>,
        pub(in crate::store) lease: Option<Uuid>,
        pub(in crate::store) attempts: i32,
        pub(in crate::store) last_error: Option<String>,
        pub(in crate::store) sent_at: Option<i64>,
        pub(in crate::store) address: Option<String>,
        pub(in crate::store) address_key: Option<String>,
        pub(in crate::store) about: Option<Uuid>,
        pub(in crate::store) moment: Option<i64>,
        /// The span that queued it, if that is traced (W3C).
        pub(in crate::store) traceparent: Option<String>,
    }

    without_relations!();
}

/// The parts of their accounts' quotas that open invitations hold.
pub(in crate::store) mod quota_hold {
    use sea_orm::entity::prelude::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
    #[sea_orm(table_name = "quota_hold")]
    pub(in crate::store) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) invitation_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in crate::store) open_until: i64,
        pub(in crate::store) invitees: i32,
    }

    without_relations!();
}
