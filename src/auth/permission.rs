//! The permissions, and the one table that says which of them an RPC needs.

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

    /// Returns the permissions that a configured name stands for; `*` stands for all.
    pub fn from_name(name: &str) -> Option<Vec<Self>> {
        if name == "*" {
            return Some(Self::ALL.into());
        }
        Self::ALL.into_iter().find(|permission| permission.name() == name).map(|permission| vec![permission])
    }
}

/// Every RPC of this service by the path it is called by, and what it needs.
pub const TABLE: [(&str, Permission); 55] = [
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
    ("/invitation.v1.UserInvitationService/CreateUserInvitation", Permission::UserInvitationsWrite),
    ("/invitation.v1.UserInvitationService/GetUserInvitation", Permission::UserInvitationsRead),
    ("/invitation.v1.UserInvitationService/ListUserInvitations", Permission::UserInvitationsRead),
    ("/invitation.v1.UserInvitationService/DeleteUserInvitation", Permission::UserInvitationsWrite),
    ("/invitation.v1.UserInvitationService/ResendUserInvitation", Permission::UserInvitationsWrite),
    ("/invitation.v1.GuestInvitationService/CreateGuestInvitation", Permission::GuestInvitationsWrite),
    ("/invitation.v1.GuestInvitationService/GetGuestInvitation", Permission::GuestInvitationsRead),
    ("/invitation.v1.GuestInvitationService/ListGuestInvitations", Permission::GuestInvitationsRead),
    ("/invitation.v1.GuestInvitationService/UpdateGuestInvitation", Permission::GuestInvitationsWrite),
    ("/invitation.v1.GuestInvitationService/ResendGuestInvitation", Permission::GuestInvitationsWrite),
    ("/invitation.v1.GuestInvitationService/RevokeGuestInvitation", Permission::GuestInvitationsWrite),
    ("/invitation.v1.GuestInvitationService/AcceptGuestInvitation", Permission::GuestInvitationsWrite),
    ("/invitation.v1.InvitationService/CreateInvitation", Permission::InvitationsWrite),
    ("/invitation.v1.InvitationService/BatchCreateInvitations", Permission::InvitationsWrite),
    ("/invitation.v1.InvitationService/ListAcceptances", Permission::InvitationsRead),
    ("/invitation.v1.InvitationService/ListOpenInvitations", Permission::InvitationsRead),
    ("/invitation.v1.InvitationService/AcceptInvitations", Permission::InvitationsRedeem),
    ("/invitation.v1.InvitationService/DeclineInvitation", Permission::InvitationsRedeem),
    ("/invitation.v1.InvitationService/RevokeInvitation", Permission::InvitationsWrite),
    ("/invitation.v1.InvitationService/RevokeScopeInvitations", Permission::InvitationsWrite),
    ("/invitation.v1.InvitationService/ResendInvitation", Permission::InvitationsWrite),
    ("/invitation.v1.InvitationService/SyncInternalInvitation", Permission::InvitationsWrite),
    ("/invitation.v1.InvitationService/GetAutojoin", Permission::InvitationsRead),
    ("/invitation.v1.InvitationService/SyncAutojoin", Permission::InvitationsWrite),
    ("/invitation.v1.AccessService/CreateOrganizationConnection", Permission::OrganizationConnectionsWrite),
    ("/invitation.v1.AccessService/ListOrganizationConnections", Permission::OrganizationConnectionsRead),
    ("/invitation.v1.AccessService/DeleteOrganizationConnection", Permission::OrganizationConnectionsWrite),
    ("/invitation.v1.EventService/ListEvents", Permission::EventsRead),
    ("/invitation.v1.EventService/WatchEvents", Permission::EventsRead),
    ("/invitation.v1.RedemptionService/SendVerificationCode", Permission::InvitationsRedeem),
    ("/invitation.v1.RedemptionService/VerifyEmail", Permission::InvitationsRedeem),
    ("/invitation.v1.DeliveryService/ListDeliveries", Permission::DeliveriesRead),
    ("/invitation.v1.DeliveryService/ReportDeliveryStatus", Permission::DeliveriesWrite),
    ("/invitation.v1.DeliveryService/ReplayDeliveries", Permission::DeliveriesWrite),
    ("/invitation.v1.WebhookService/CreateWebhookEndpoint", Permission::WebhooksWrite),
    ("/invitation.v1.WebhookService/GetWebhookEndpoint", Permission::WebhooksRead),
    ("/invitation.v1.WebhookService/ListWebhookEndpoints", Permission::WebhooksRead),
    ("/invitation.v1.WebhookService/UpdateWebhookEndpoint", Permission::WebhooksWrite),
    ("/invitation.v1.WebhookService/DeleteWebhookEndpoint", Permission::WebhooksWrite),
    ("/invitation.v1.WebhookService/RotateWebhookSecret", Permission::WebhooksWrite),
    ("/invitation.v1.WebhookService/ListWebhookAttempts", Permission::WebhooksRead),
    ("/invitation.v1.WebhookService/RedeliverEvents", Permission::WebhooksWrite),
];

/// Returns what an RPC needs; none for a path that is not in the table, which is then no RPC of this service.
pub fn needed_by(path: &str) -> Option<Permission> {
    TABLE.iter().find(|(known, _)| *known == path).map(|(_, permission)| *permission)
}
