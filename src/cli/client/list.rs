//! `list`: invitations of every kind, by the filters of ListInvitations.

use clap::Args;
use serde_json::{Map, Value, json};

use super::failure::Failure;
use super::flags::{label, labels, past, put, scope, span, target, words};
use super::output::INVITATION;
use super::{Run, Session};
use crate::domain::value::time::Timestamp;

/// The flags of `list`. All filters that are given must hold.
#[derive(Clone, Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Number of invitations to list; all of them, if it is not given.
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
    /// Begin with the oldest.
    #[arg(long)]
    oldest_first: bool,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Filters")]
struct FilterArgs {
    /// Only invitations of this kind; can be given several times.
    #[arg(long = "kind", value_name = "KIND", value_parser = words("InvitationKind"))]
    kinds: Vec<String>,
    /// Only invitations in this state; can be given several times.
    #[arg(long = "state", value_name = "STATE", value_parser = words("InvitationState"))]
    states: Vec<String>,
    /// Only invitations for this address: an e-mail address, a phone number, or internal: and an id.
    #[arg(long, value_name = "ADDRESS", value_parser = target)]
    target: Option<Value>,
    /// Only invitations into this scope, as the scope or as a group.
    #[arg(long, value_name = "TYPE:ID", value_parser = scope)]
    scope: Option<Value>,
    /// Only invitations of this inviter.
    #[arg(long, value_name = "USER_ID")]
    inviter: Option<String>,
    /// Only invitations that this credential created, such as apiKeys/ci.
    #[arg(long, value_name = "NAME")]
    creator: Option<String>,
    /// Only invitations with this label; can be given several times.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Only invitations of this type; can be given several times.
    #[arg(long = "type", value_name = "TYPE", value_parser = words("InvitationType"))]
    types: Vec<String>,
    /// Only invitations of this subtype.
    #[arg(long, value_name = "TEXT")]
    subtype: Option<String>,
    /// Only archived invitations, or only the others.
    #[arg(long, value_name = "BOOL")]
    archived: Option<bool>,
    /// Only invitations that were created then or later: a moment, or a time ago such as 2h.
    #[arg(long, value_name = "MOMENT", value_parser = past)]
    created_since: Option<Timestamp>,
    /// Only invitations that were created before.
    #[arg(long, value_name = "MOMENT", value_parser = past)]
    created_until: Option<Timestamp>,
    /// Only invitations that expire then or later.
    #[arg(long, value_name = "MOMENT", value_parser = past)]
    expires_since: Option<Timestamp>,
    /// Only invitations that expire before.
    #[arg(long, value_name = "MOMENT", value_parser = past)]
    expires_until: Option<Timestamp>,
}

impl FilterArgs {
    fn into_json(self) -> Value {
        let mut filter = Map::new();
        put(&mut filter, "kinds", Some(self.kinds));
        put(&mut filter, "states", Some(self.states));
        put(&mut filter, "target", self.target);
        put(&mut filter, "scope", self.scope);
        put(&mut filter, "inviter_user_id", self.inviter);
        put(&mut filter, "creator", self.creator);
        put(&mut filter, "labels", labels(self.labels));
        put(&mut filter, "invitation_types", Some(self.types));
        put(&mut filter, "subtype", self.subtype);
        put(&mut filter, "archived", self.archived);
        put(&mut filter, "create_time", span(self.created_since, self.created_until));
        put(&mut filter, "expire_time", span(self.expires_since, self.expires_until));
        Value::Object(filter)
    }
}

impl Run for ListArgs {
    async fn run(self, session: &mut Session) -> Result<(), Failure> {
        let Self { filter, limit, oldest_first } = self;
        let order = if oldest_first { "create_time" } else { "create_time desc" };
        // The whole of each invitation is for programs.
        let view = if session.output.is_json() { "full" } else { "basic" };
        let request = json!({"filter": filter.into_json(), "order_by": order, "view": view});
        session.list("InvitationService.ListInvitations", request, limit, INVITATION).await
    }
}
