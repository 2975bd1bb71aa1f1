//! The general kind: groups, scope, and the data that its creator gets back unchanged.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::shared::SharedDetails;
use super::{Kind, KindRules, NO_CONNECTION, RecipientLimits, Scope, no_guest_organization};
use crate::domain::invitation::acceptance::{Acceptance, AcceptedBy};
use crate::domain::invitation::email_rule::Binding;
use crate::domain::invitation::recipient::{Address, Recipient};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::slot::SlotKey;
use crate::domain::value::rule::Invalid;
use crate::domain::value::text::AccountId;

/// A general invitation's part of an invitation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeneralDetails {
    /// The usage.
    pub usage: Usage,
    /// The scope, `None` if the creator named neither a scope nor a group.
    pub scope: Option<Scope>,
    /// Whether the creator named the scope; else it is the first group.
    #[serde(default)]
    pub explicit_scope: bool,
    /// The groups that it admits people to.
    #[serde(default)]
    pub groups: Vec<Scope>,
    /// The roles an acceptor gets, in the account's own words.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Whether it keeps others from inviting the same targets into the same scope while it is ACTIVE.
    #[serde(default)]
    pub exclusive: bool,
    /// The addresses that count as a target's.
    #[serde(default)]
    pub recipient_match: RecipientMatch,
    /// The domains whose addresses may join, in ASCII; only for [`Usage::Autojoin`].
    #[serde(default)]
    pub domains: Vec<String>,
    /// The creator's own data, which mean nothing to this service.
    #[serde(flatten)]
    pub caller_data: CallerData,
    /// The fields that every kind has.
    #[serde(flatten)]
    pub shared: SharedDetails,
}

impl KindRules for GeneralDetails {
    fn kind(&self) -> Kind {
        Kind::General
    }

    fn shared(&self) -> &SharedDetails {
        &self.shared
    }

    fn shared_mut(&mut self) -> &mut SharedDetails {
        &mut self.shared
    }

    fn scope(&self, _account: &AccountId) -> Option<Scope> {
        self.scope.clone()
    }

    fn groups(&self) -> &[Scope] {
        &self.groups
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
        match (&self.scope, self.usage) {
            (Some(scope), Usage::Autojoin) => vec![SlotKey::autojoin(scope)],
            (scope, Usage::SingleUse | Usage::MultiUse) if self.exclusive => {
                let scope = SlotKey::scope(scope.as_ref());
                people.iter().map(|person| SlotKey::bounded(format!("general {scope} {person}"))).collect()
            }
            (_, Usage::SingleUse | Usage::MultiUse | Usage::Autojoin) => Vec::new(),
        }
    }

    fn recipient_limits(&self) -> &'static RecipientLimits {
        const LIMITS: RecipientLimits =
            RecipientLimits { least: 0, most: 100, rule: "must leave the invitation at most 100 targets" };
        const NO_TARGETS: RecipientLimits =
            RecipientLimits { least: 0, most: 0, rule: "must be empty: an auto-join has domains in place of targets" };
        match self.usage {
            Usage::SingleUse | Usage::MultiUse => &LIMITS,
            Usage::Autojoin => &NO_TARGETS,
        }
    }

    fn binding(&self, recipients: &[Recipient]) -> Binding<'_> {
        let binds = |recipient: &Recipient| matches!(recipient.address, Address::Email(_) | Address::Internal(_));
        match self.usage {
            Usage::Autojoin => Binding::Domains(&self.domains),
            Usage::SingleUse if recipients.iter().any(binds) => Binding::Recipients(self.recipient_match),
            Usage::SingleUse | Usage::MultiUse => Binding::Open,
        }
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
        "general"
    }
}

/// The usage of an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Usage {
    /// One person accepts it once; the targets are addresses of that person.
    SingleUse,
    /// Several people accept it.
    MultiUse,
    /// Every person with an address in one of its domains accepts it.
    Autojoin,
}

/// The addresses that count as the invited ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecipientMatch {
    /// The address itself.
    #[default]
    Exact,
    /// Any address in the same domain.
    Domain,
    /// Any address.
    Any,
}

/// The data of a general invitation's creator. JSON is kept as the original text, which no database rewrites.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CallerData {
    /// The channel through which it was created.
    pub source: Option<String>,
    /// The creator's own type.
    pub subtype: Option<String>,
    /// The widget that it was created with.
    pub widget_configuration_id: Option<String>,
    /// The deployment that it was created in.
    pub deployment_id: Option<String>,
    /// The project that it was created in.
    pub project_id: Option<String>,
    /// A JSON object.
    pub attributes: Option<String>,
    /// A JSON object.
    pub configuration_attributes: Option<String>,
    /// The template variables of messages.
    pub template_variables: BTreeMap<String, String>,
    /// The preview of the link.
    pub unfurl_config: Option<UnfurlConfig>,
    /// A text that every event returns.
    pub pass_through: Option<String>,
}

/// The preview of a link. Empty means unset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UnfurlConfig {
    /// The title.
    pub title: String,
    /// The text.
    pub description: String,
    /// The picture.
    pub image_uri: String,
    /// The type of object, as Open Graph names it.
    pub sort: String,
    /// The site's name.
    pub site_name: String,
}
