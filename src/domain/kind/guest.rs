//! The guest kind: the organizations on both sides.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::general::RecipientMatch;
use super::shared::SharedDetails;
use super::{Kind, KindRules, Lifetime, NO_CONNECTION, RecipientLimits, Scope, organization_scope};
use crate::domain::invitation::acceptance::{Acceptance, AcceptedBy};
use crate::domain::invitation::email_rule::Binding;
use crate::domain::invitation::recipient::Recipient;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::slot::SlotKey;
use crate::domain::value::rule::Invalid;
use crate::domain::value::text::AccountId;

/// The limits of the time for which a guest invitation can be accepted.
pub(super) const LIFETIME: Lifetime =
    Lifetime { never_rule: Some("must not be set: a guest invitation has to expire"), ..Lifetime::UNLIMITED };

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
    /// The acceptance, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<GuestAcceptance>,
    /// The fields that every kind has.
    #[serde(flatten)]
    pub shared: SharedDetails,
}

impl KindRules for GuestDetails {
    fn kind(&self) -> Kind {
        Kind::Guest
    }

    fn shared(&self) -> &SharedDetails {
        &self.shared
    }

    fn shared_mut(&mut self) -> &mut SharedDetails {
        &mut self.shared
    }

    fn scope(&self, _account: &AccountId) -> Option<Scope> {
        Some(organization_scope(self.host_organization_id).named(self.shared.scope_display_name.as_ref()))
    }

    fn groups(&self) -> &[Scope] {
        &[]
    }

    fn resource_id(&self) -> Option<Uuid> {
        None
    }

    fn roles(&self) -> &[String] {
        &[]
    }

    fn host(&self) -> Option<Uuid> {
        Some(self.host_organization_id)
    }

    fn organization_name(&self) -> &str {
        self.parent_organization_name.as_deref().unwrap_or_default()
    }

    fn slots(&self, people: &[String]) -> Vec<SlotKey> {
        let host = self.host_organization_id;
        people.iter().map(|person| SlotKey::bounded(format!("guest {host} {person}"))).collect()
    }

    fn recipient_limits(&self) -> &'static RecipientLimits {
        &RecipientLimits::ONE
    }

    fn binding(&self, _recipients: &[Recipient]) -> Binding<'_> {
        Binding::Recipients(RecipientMatch::Exact)
    }

    fn admits_systems(&self) -> bool {
        true
    }

    fn accepted_by(&self, by_system: bool) -> AcceptedBy {
        if by_system { AcceptedBy::System } else { AcceptedBy::Guest }
    }

    fn check_guest_organization(&self, _organization: Option<Uuid>) -> Result<(), Refusal> {
        Ok(())
    }

    fn guest_organization(&self) -> Option<Uuid> {
        self.accepted.and_then(|accepted| accepted.guest_organization_id)
    }

    fn note_acceptance(&mut self, acceptance: &Acceptance) {
        self.accepted = Some(GuestAcceptance {
            guest_organization_id: acceptance.guest_organization_id,
            by_system: acceptance.accepted_by == AcceptedBy::System,
        });
    }

    fn forget_acceptance(&mut self) {
        self.accepted = None;
    }

    fn check_created_connection(&self) -> Result<(), Invalid> {
        Err(NO_CONNECTION)
    }

    fn mail_name(&self) -> &'static str {
        "guest"
    }
}

/// The acceptance of a guest invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestAcceptance {
    /// The organization that becomes the guest, if the acceptor named one.
    pub guest_organization_id: Option<Uuid>,
    /// Whether a system accepted for it, instead of a person who had the link.
    pub by_system: bool,
}

/// The beginning of the subject of a system that accepts for its organization. No person's subject has it.
pub const SYSTEM_SUBJECT: &str = "system:";

/// Returns the subject of an acceptance by the system.
pub fn system_subject(guest_organization_id: Uuid) -> String {
    format!("{SYSTEM_SUBJECT}{guest_organization_id}")
}
