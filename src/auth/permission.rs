//! The permissions. The table of requests names the one that an RPC needs.

use strum::{EnumString, IntoStaticStr, VariantArray};

use super::caller::Caller;
use crate::domain::reach::person::Relation;
use crate::domain::value::word;

/// The credential that an RPC requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Required {
    /// Any valid credential, whatever its permissions.
    AnyCredential,
    /// A credential with this permission.
    Permission(Permission),
    /// A credential with this permission, or a person, about the invitations that stand in this relation to them.
    PermissionOrSelf(Permission, Relation),
}

/// The name of the one permission that a person has, which no other credential can have.
pub const SELF: &str = "self";

impl Required {
    /// Returns the permission, if one is required of a credential that is not a person's.
    pub fn permission(self) -> Option<Permission> {
        match self {
            Self::AnyCredential => None,
            Self::Permission(permission) | Self::PermissionOrSelf(permission, _) => Some(permission),
        }
    }

    /// Returns the relation to a person of the invitations that they may call about; `None` if persons may not call, or are told
    /// of no invitation.
    pub fn relation(self) -> Option<Relation> {
        match self {
            Self::AnyCredential | Self::Permission(_) => None,
            Self::PermissionOrSelf(_, relation) => Some(relation),
        }
    }

    /// Returns the permission that a caller lacks, if they lack it. A person has none but `self`.
    pub fn lacked_by(self, caller: &Caller) -> Option<Permission> {
        let is_open = self.relation().is_some() && caller.person().is_some();
        self.permission().filter(|permission| !is_open && !caller.may(*permission))
    }
}

/// A permission of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray)]
pub enum Permission {
    /// Create, revoke, resend and update connection invitations.
    #[strum(serialize = "connection_invitations.write")]
    ConnectionInvitationsWrite,
    /// Get and list connection invitations.
    #[strum(serialize = "connection_invitations.read")]
    ConnectionInvitationsRead,
    /// Create, delete and resend user invitations.
    #[strum(serialize = "user_invitations.write")]
    UserInvitationsWrite,
    /// Get and list user invitations.
    #[strum(serialize = "user_invitations.read")]
    UserInvitationsRead,
    /// Create, update, resend, revoke and accept guest invitations.
    #[strum(serialize = "guest_invitations.write")]
    GuestInvitationsWrite,
    /// Get and list guest invitations.
    #[strum(serialize = "guest_invitations.read")]
    GuestInvitationsRead,
    /// Create general invitations; revoke, resend and sync those of every kind.
    #[strum(serialize = "invitations.write")]
    InvitationsWrite,
    /// Show what is left of the limits on invitations.
    #[strum(serialize = "quota.read")]
    QuotaRead,
    /// Create, update and delete grants by which one organization may act for another.
    #[strum(serialize = "organization_grants.write")]
    OrganizationGrantsWrite,
    /// Get and list grants by which one organization may act for another.
    #[strum(serialize = "organization_grants.read")]
    OrganizationGrantsRead,
    /// Create API keys with powers of one's own, change them within these, and revoke any.
    #[strum(serialize = "api_keys.write")]
    ApiKeysWrite,
    /// Get and list API keys, without the keys themselves.
    #[strum(serialize = "api_keys.read")]
    ApiKeysRead,
    /// Get and list invitations of every kind.
    #[strum(serialize = "invitations.read")]
    InvitationsRead,
    /// Preview, accept and decline through a link, and count the engagement with it.
    #[strum(serialize = "invitations.redeem")]
    InvitationsRedeem,
    /// Accept and decline by name for a person who is not among those invited.
    #[strum(serialize = "invitations.accept")]
    InvitationsAccept,
    /// Undo acceptances, end them, and change for how long they count.
    #[strum(serialize = "acceptances.write")]
    AcceptancesWrite,
    /// Read the audit trail.
    #[strum(serialize = "events.read")]
    EventsRead,
    /// List messages and their states.
    #[strum(serialize = "deliveries.read")]
    DeliveriesRead,
    /// Report the delivery of messages, and queue failed ones again.
    #[strum(serialize = "deliveries.write")]
    DeliveriesWrite,
    /// Get, look up and list suppressed addresses.
    #[strum(serialize = "suppressions.read")]
    SuppressionsRead,
    /// Suppress addresses, and lift that.
    #[strum(serialize = "suppressions.write")]
    SuppressionsWrite,
    /// Get and list webhook endpoints and the attempts at them.
    #[strum(serialize = "webhooks.read")]
    WebhooksRead,
    /// Create, update and delete webhook endpoints, see their new secrets, and redeliver events.
    #[strum(serialize = "webhooks.write")]
    WebhooksWrite,
    /// Export the data of a person.
    #[strum(serialize = "privacy.read")]
    PrivacyRead,
    /// Erase the data of a person.
    #[strum(serialize = "privacy.write")]
    PrivacyWrite,
    /// See tokens and links in the results of reads.
    #[strum(serialize = "tokens.read")]
    TokensRead,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; Self::VARIANTS.len()] = word::array(Self::VARIANTS);

    /// Returns the name in the configuration and in errors.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Returns whether it only allows to read.
    pub fn is_read(self) -> bool {
        self.name().ends_with(".read")
    }

    /// Returns the text for a name that is no permission: those that are like it, or else all.
    pub(crate) fn unknown(name: &str) -> String {
        let (area, action) = name.split_once('.').unwrap_or((name, ""));
        let begins = |known: &str, given: &str| {
            let length = given.len().min(known.len()).min(4);
            length > 0 && known.as_bytes()[..length].eq_ignore_ascii_case(&given.as_bytes()[..length])
        };
        let near = |permission: &&str| {
            permission.split_once('.').is_some_and(|(its_area, its_action)| {
                begins(its_area, area) && (action.is_empty() || begins(its_action, action))
            })
        };
        let known = Self::ALL.map(Self::name);
        let alike: Vec<&str> = known.iter().copied().filter(near).collect();
        let same_area = || known.iter().copied().filter(|known| begins(known, area)).collect::<Vec<_>>();
        let alike = if alike.is_empty() { same_area() } else { alike };
        if alike.is_empty() {
            format!("there is no permission {name:?}: it must be \"*\" or one of {}", known.join(", "))
        } else {
            format!("there is no permission {name:?}: did you mean {}?", alike.join(" or "))
        }
    }

    /// Returns the permissions of a configured name; `*` stands for all.
    pub fn from_name(name: &str) -> Option<Vec<Self>> {
        if name == "*" {
            return Some(Self::ALL.into());
        }
        name.parse().ok().map(|permission| vec![permission])
    }
}
