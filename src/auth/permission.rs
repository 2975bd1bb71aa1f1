//! The permissions. The table of requests names the one that an RPC needs.

/// What a credential may be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Make, revoke, resend and update connection invitations.
    ConnectionInvitationsWrite,
    /// Get and list connection invitations.
    ConnectionInvitationsRead,
    /// Make, delete and resend user invitations.
    UserInvitationsWrite,
    /// Get and list user invitations.
    UserInvitationsRead,
    /// Make, update, resend, revoke and accept guest invitations.
    GuestInvitationsWrite,
    /// Get and list guest invitations.
    GuestInvitationsRead,
    /// Make general invitations; revoke, resend and sync those of every kind.
    InvitationsWrite,
    /// Say which organization may act for which other.
    OrganizationConnectionsWrite,
    /// List which organization may act for which other.
    OrganizationConnectionsRead,
    /// Get and list invitations of every kind.
    InvitationsRead,
    /// Preview, accept and decline through a link, and count what people do with it.
    InvitationsRedeem,
    /// Read the audit trail.
    EventsRead,
    /// List messages and what became of them.
    DeliveriesRead,
    /// Report what became of messages, and queue those again that were given up.
    DeliveriesWrite,
    /// Get and list webhook endpoints and what was posted to them.
    WebhooksRead,
    /// Make, change and delete webhook endpoints, see their new secrets, and have events posted again.
    WebhooksWrite,
    /// See tokens and links in what is read.
    TokensRead,
}

impl Permission {
    /// Every permission there is.
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

    /// Returns the name that configuration and errors use.
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

    /// Returns the permissions that a configured name stands for; `*` stands for all.
    pub fn from_name(name: &str) -> Option<Vec<Self>> {
        if name == "*" {
            return Some(Self::ALL.into());
        }
        Self::ALL.into_iter().find(|permission| permission.name() == name).map(|permission| vec![permission])
    }
}
