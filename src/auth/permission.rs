//! The permissions, and the one table that says which of them an RPC needs.

/// What a credential may be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Make, revoke, resend and update connection invitations.
    ConnectionInvitationsWrite,
    /// Get and list connection invitations.
    ConnectionInvitationsRead,
    /// Get and list invitations of every kind.
    InvitationsRead,
    /// Preview, accept and decline through a link, and count what people do with it.
    InvitationsRedeem,
    /// Read the audit trail.
    EventsRead,
    /// See tokens and links in what is read.
    TokensRead,
}

impl Permission {
    /// Every permission there is.
    pub const ALL: [Self; 6] = [
        Self::ConnectionInvitationsWrite,
        Self::ConnectionInvitationsRead,
        Self::InvitationsRead,
        Self::InvitationsRedeem,
        Self::EventsRead,
        Self::TokensRead,
    ];

    /// Returns the name that configuration and errors use.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConnectionInvitationsWrite => "connection_invitations.write",
            Self::ConnectionInvitationsRead => "connection_invitations.read",
            Self::InvitationsRead => "invitations.read",
            Self::InvitationsRedeem => "invitations.redeem",
            Self::EventsRead => "events.read",
            Self::TokensRead => "tokens.read",
        }
    }

    /// Returns the permissions that a configured name stands for; `*` stands for all.
    pub fn from_name(name: &str) -> Option<Vec<Self>> {
        if name == "*" {
            return Some(Self::ALL.into());
        }
        Self::ALL.into_iter().find(|permission| permission.name() == name).map(|permission| vec![permission])
    }
}

/// Every RPC of this service by the path it is called by, and what it needs.
pub const TABLE: [(&str, Permission); 14] = [
    ("/invitation.v1.ConnectionInvitationService/CreateConnectionInvitation", Permission::ConnectionInvitationsWrite),
    ("/invitation.v1.ConnectionInvitationService/CreateReconnectInvitation", Permission::ConnectionInvitationsWrite),
    ("/invitation.v1.ConnectionInvitationService/GetConnectionInvitation", Permission::ConnectionInvitationsRead),
    ("/invitation.v1.ConnectionInvitationService/ListConnectionInvitations", Permission::ConnectionInvitationsRead),
    ("/invitation.v1.ConnectionInvitationService/RevokeConnectionInvitation", Permission::ConnectionInvitationsWrite),
    ("/invitation.v1.ConnectionInvitationService/ResendConnectionInvitation", Permission::ConnectionInvitationsWrite),
    ("/invitation.v1.ConnectionInvitationService/UpdateCreatedConnection", Permission::ConnectionInvitationsWrite),
    ("/invitation.v1.RedemptionService/PreviewInvitation", Permission::InvitationsRedeem),
    ("/invitation.v1.RedemptionService/AcceptInvitation", Permission::InvitationsRedeem),
    ("/invitation.v1.RedemptionService/DeclineInvitation", Permission::InvitationsRedeem),
    ("/invitation.v1.RedemptionService/RecordEngagement", Permission::InvitationsRedeem),
    ("/invitation.v1.InvitationService/GetInvitation", Permission::InvitationsRead),
    ("/invitation.v1.InvitationService/ListInvitations", Permission::InvitationsRead),
    ("/invitation.v1.EventService/ListEvents", Permission::EventsRead),
];

/// Returns what an RPC needs; none for a path that is not in the table, which is then no RPC of this service.
pub fn needed_by(path: &str) -> Option<Permission> {
    TABLE.iter().find(|(known, _)| *known == path).map(|(_, permission)| *permission)
}
