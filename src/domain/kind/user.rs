//! The user kind: the roles that the person joins with.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::general::RecipientMatch;
use super::shared::SharedDetails;
use super::{Kind, KindRules, Lifetime, NO_CONNECTION, RecipientLimits, Scope, account_scope, no_guest_organization};
use crate::domain::invitation::acceptance::{Acceptance, AcceptedBy};
use crate::domain::invitation::email_rule::Binding;
use crate::domain::invitation::recipient::Recipient;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::slot::SlotKey;
use crate::domain::value::rule::Invalid;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Ttl;

/// The limits of the time for which a user invitation can be accepted.
pub(super) const LIFETIME: Lifetime = Lifetime {
    longest: Ttl::YEAR,
    ttl_rule: "must be at most 365 days for a user invitation",
    time_rule: "must be in the future, at most 365 days ahead for a user invitation",
    never_rule: Some("must not be set: a user invitation has to expire"),
};

/// A user invitation's part of an invitation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserDetails {
    /// The roles the person gets, in the account's own words.
    #[serde(default)]
    pub roles: Vec<String>,
    /// The fields that every kind has.
    #[serde(flatten)]
    pub shared: SharedDetails,
}

impl KindRules for UserDetails {
    fn kind(&self) -> Kind {
        Kind::User
    }

    fn shared(&self) -> &SharedDetails {
        &self.shared
    }

    fn shared_mut(&mut self) -> &mut SharedDetails {
        &mut self.shared
    }

    fn scope(&self, account: &AccountId) -> Option<Scope> {
        Some(account_scope(account).named(self.shared.scope_display_name.as_ref()))
    }

    fn groups(&self) -> &[Scope] {
        &[]
    }

    fn resource_id(&self) -> Option<Uuid> {
        None
    }

    fn roles(&self) -> &[String] {
        &self.roles
    }

    fn host(&self) -> Option<Uuid> {
        None
    }

    fn organization_name(&self) -> &str {
        ""
    }

    fn slots(&self, people: &[String]) -> Vec<SlotKey> {
        people.iter().map(|person| SlotKey::bounded(format!("user {person}"))).collect()
    }

    fn recipient_limits(&self) -> &'static RecipientLimits {
        &RecipientLimits::ONE
    }

    fn binding(&self, _recipients: &[Recipient]) -> Binding<'_> {
        Binding::Recipients(RecipientMatch::Exact)
    }

    fn admits_systems(&self) -> bool {
        false
    }

    fn accepted_by(&self, _by_system: bool) -> AcceptedBy {
        AcceptedBy::User
    }

    fn check_guest_organization(&self, organization: Option<Uuid>) -> Result<(), Refusal> {
        no_guest_organization(organization)
    }

    fn guest_organization(&self) -> Option<Uuid> {
        None
    }

    fn note_acceptance(&mut self, _acceptance: &Acceptance) {}

    fn forget_acceptance(&mut self) {}

    fn check_created_connection(&self) -> Result<(), Invalid> {
        Err(NO_CONNECTION)
    }

    fn mail_name(&self) -> &'static str {
        "user"
    }
}
