//! What is a general invitation's own: groups, scope, and what its maker gets back unchanged.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Scope;
use crate::domain::value::email::Email;

/// A general invitation's part of an invitation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeneralDetails {
    /// How it is meant to be used.
    pub usage: Usage,
    /// What it lets people into; none when its maker named neither a scope nor a group.
    pub scope: Option<Scope>,
    /// Whether the maker named the scope; else it is the first group.
    #[serde(default)]
    pub explicit_scope: bool,
    /// The groups it lets people into.
    #[serde(default)]
    pub groups: Vec<Scope>,
    /// Who invites.
    pub inviter: Option<Inviter>,
    /// The roles an acceptor gets, in the account's own words.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Whether it keeps others from inviting the same targets into the same scope while it is ACTIVE.
    #[serde(default)]
    pub exclusive: bool,
    /// Which addresses count as a target's.
    #[serde(default)]
    pub recipient_match: RecipientMatch,
    /// The domains whose addresses may join, in ASCII; only for [`Usage::Autojoin`].
    #[serde(default)]
    pub domains: Vec<String>,
    /// What is kept for its maker and means nothing to this service.
    #[serde(flatten)]
    pub kept: Kept,
}

/// How an invitation is meant to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Usage {
    /// By one person, once; the targets are addresses of that person.
    SingleUse,
    /// By several people.
    MultiUse,
    /// By whoever has an address in one of its domains.
    Autojoin,
}

/// Which addresses count as the invited ones.
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

/// Who invites.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Inviter {
    /// The caller's own id of the person.
    pub user_id: String,
    /// Their address.
    pub email: Option<Email>,
    /// Their name for people.
    pub display_name: Option<String>,
    /// Their picture.
    pub avatar_uri: Option<String>,
}

/// What is kept for the maker of an invitation. JSON is kept as the text it came as, which no database rewrites.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// Through which door it came in.
    pub source: Option<String>,
    /// The maker's own sort.
    pub subtype: Option<String>,
    /// The widget it was made with.
    pub widget_configuration_id: Option<String>,
    /// The deployment it was made in.
    pub deployment_id: Option<String>,
    /// The project it was made in.
    pub project_id: Option<String>,
    /// A JSON object.
    pub attributes: Option<String>,
    /// A JSON object.
    pub configuration_attributes: Option<String>,
    /// A JSON object.
    pub metadata: Option<String>,
    /// What the texts of messages are filled with.
    pub template_variables: BTreeMap<String, String>,
    /// What a preview of the link shows.
    pub unfurl_config: Option<UnfurlConfig>,
    /// Returned in every event.
    pub pass_through: Option<String>,
}

/// What a preview of the link shows. Empty means unset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UnfurlConfig {
    /// The title.
    pub title: String,
    /// The text.
    pub description: String,
    /// The picture.
    pub image_uri: String,
    /// The sort of object, in the words of Open Graph.
    pub sort: String,
    /// The site's name.
    pub site_name: String,
}
