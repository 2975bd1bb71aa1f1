//! What is a guest invitation's own: the organizations on both sides.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A guest invitation's part of an invitation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestDetails {
    /// The organization that invites.
    pub host_organization_id: Uuid,
    /// The organization that the guest belongs to, as the host knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_organization_id: Option<Uuid>,
    /// That organization's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_organization_name: Option<String>,
    /// How it was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<GuestAcceptance>,
}

/// How a guest invitation was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestAcceptance {
    /// The organization that is the guest from now on, where the acceptor said which.
    pub guest_organization_id: Option<Uuid>,
    /// Whether a system accepted for it, instead of a person who held the link.
    pub by_system: bool,
}

/// Returns the subject of an acceptance by the system.
pub fn system_subject(guest_organization_id: Uuid) -> String {
    format!("system:{guest_organization_id}")
}
