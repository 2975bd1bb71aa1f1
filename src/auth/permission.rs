//! The permissions. The table of requests names the one that an RPC needs.

/// A permission of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Create, revoke, resend and update connection invitations.
    ConnectionInvitationsWrite,
    /// Get and list connection invitations.
    ConnectionInvitationsRead,
    /// Create, delete and resend user invitations.
    UserInvitationsWrite,
    /// Get and list user invitations.
    UserInvitationsRead,
    /// Create, update, resend, revoke and accept guest invitations.
    GuestInvitationsWrite,
    /// Get and list guest invitations.
    GuestInvitationsRead,
    /// Create general invitations; revoke, resend and sync those of every kind.
    InvitationsWrite,
    /// Create and delete connections by which one organization may act for another.
    OrganizationConnectionsWrite,
    /// List connections by which one organization may act for another.
    OrganizationConnectionsRead,
    /// Get and list invitations of every kind.
    InvitationsRead,
    /// Preview, accept and decline through a link, and count the engagement with it.
    InvitationsRedeem,
    /// Read the audit trail.
    EventsRead,
    /// List messages and their states.
    DeliveriesRead,
    /// Report the delivery of messages, and replay failed ones.
    DeliveriesWrite,
    /// Get and list webhook endpoints and the attempts at them.
    WebhooksRead,
    /// Create, update and delete webhook endpoints, see their new secrets, and redeliver events.
    WebhooksWrite,
    /// See tokens and links in the results of reads.
    TokensRead,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 17] = [
        Self::ConnectionInvitationsWrite,
        Self::ConnectionInvitationsRead,
        Self::UserInvitationsWrite,
        Self::UserInvitationsRead,
        Self::GuestInvitationsWrite,
        Self::GuestInvitationsRead,
        Self::InvitationsWrite,
        Self::OrganizationConnectionsWrite,
        Self::OrganizationConnectionsRead,
        Self::InvitationsRead,
        Self::InvitationsRedeem,
        Self::EventsRead,
        Self::DeliveriesRead,
        Self::DeliveriesWrite,
        Self::WebhooksRead,
        Self::WebhooksWrite,
        Self::TokensRead,
    ];

    /// Returns the name in the configuration and in errors.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConnectionInvitationsWrite => "connection_invitations.write",
            Self::ConnectionInvitationsRead => "connection_invitations.read",
            Self::UserInvitationsWrite => "user_invitations.write",
            Self::UserInvitationsRead => "user_invitations.read",
            Self::GuestInvitationsWrite => "guest_invitations.write",
            Self::GuestInvitationsRead => "guest_invitations.read",
            Self::InvitationsWrite => "invitations.write",
            Self::OrganizationConnectionsWrite => "organization_connections.write",
            Self::OrganizationConnectionsRead => "organization_connections.read",
            Self::InvitationsRead => "invitations.read",
            Self::InvitationsRedeem => "invitations.redeem",
            Self::EventsRead => "events.read",
            Self::DeliveriesRead => "deliveries.read",
            Self::DeliveriesWrite => "deliveries.write",
            Self::WebhooksRead => "webhooks.read",
            Self::WebhooksWrite => "webhooks.write",
            Self::TokensRead => "tokens.read",
        }
    }

    /// Returns whether it only allows to read.
    pub fn is_read(self) -> bool {
        self.name().ends_with(".read")
    }

    /// Returns the permissions of a configured name; `*` stands for all.
    pub fn from_name(name: &str) -> Option<Vec<Self>> {
        if name == "*" {
            return Some(Self::ALL.into());
        }
        Self::ALL.into_iter().find(|permission| permission.name() == name).map(|permission| vec![permission])
    }
}
