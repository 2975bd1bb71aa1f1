//! The fields of an invitation that an update changes.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::told::Told;
use crate::domain::command::{ENTRY_BYTES, Expiry, ExpiryTime, text_bytes};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::kind::connection::{ConnectionDetails, ConnectionPurpose, Prefill};
use crate::domain::kind::general::{CallerData, GeneralDetails, UnfurlConfig, Usage};
use crate::domain::kind::guest::GuestDetails;
use crate::domain::kind::shared::{Inviter, RedirectUri};
use crate::domain::kind::{Details, Scope};
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::text::MAX_JSON_BYTES;
use crate::domain::value::time::{Timestamp, Ttl};

/// The new values of fields. A field that is `None` stays as it is; an inner `None` clears it.
#[derive(Clone, Debug, Default)]
pub struct UpdatedFields {
    /// The expiry.
    pub expiry: Option<Expiry>,
    /// The most acceptances; the inner `None` stands for any number.
    pub max_uses: Option<Option<u32>>,
    /// Whether it is archived.
    pub archived: Option<bool>,
    /// The roles an acceptor gets from now on.
    pub roles: Option<Vec<String>>,
    /// The groups that it admits people to.
    pub groups: Option<Vec<Scope>>,
    /// The caller's own labels.
    pub labels: Option<MapUpdate>,
    /// The inviter.
    pub inviter: Option<Option<Inviter>>,
    /// The name of the scope for people.
    pub scope_display_name: Option<Option<String>>,
    /// The inviter's message.
    pub message: Option<Option<String>>,
    /// The language of its mail.
    pub locale: Option<Option<String>>,
    /// The address that the caller's page sends the person to.
    pub redirect_uri: Option<Option<RedirectUri>>,
    /// The time for which an acceptance counts, from now on.
    pub grant_ttl: Option<Option<Ttl>>,
    /// The caller's own data that holders of the link see.
    pub metadata: Option<JsonUpdate>,
    /// The values that the form of a new connection starts with.
    pub prefill: Option<Option<Prefill>>,
    /// The guest's parent organization.
    pub parent_organization_id: Option<Option<Uuid>>,
    /// Its name.
    pub parent_organization_name: Option<Option<String>>,
    /// The caller's own data about a general invitation.
    pub attributes: Option<JsonUpdate>,
    /// The caller's own data about the configuration of its widget.
    pub configuration_attributes: Option<JsonUpdate>,
    /// The variables of its mail.
    pub template_variables: Option<MapUpdate>,
    /// The preview of its link.
    pub unfurl_config: Option<Option<UnfurlConfig>>,
}

/// The new entries of a map of texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapUpdate {
    /// All entries.
    Whole(BTreeMap<String, String>),
    /// Some entries; `None` removes one.
    Entries(BTreeMap<String, Option<String>>),
}

/// The new fields of a JSON object, which is kept as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonUpdate {
    /// The whole object; `None` removes it.
    Whole(Option<String>),
    /// Some of its fields; `None` removes one.
    Entries(BTreeMap<String, Option<Value>>),
}

impl MapUpdate {
    fn on(&self, present: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        match self {
            Self::Whole(entries) => entries.clone(),
            Self::Entries(changed) => {
                let kept = present.iter().filter(|(key, _)| !changed.contains_key(*key));
                let set = changed.iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
                kept.chain(set).map(|(key, value)| (key.clone(), value.clone())).collect()
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Whole(entries) => entries.len(),
            Self::Entries(changed) => changed.len(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Whole(entries) => entries.iter().map(|(key, value)| text_bytes([key, value])).sum(),
            Self::Entries(changed) => {
                changed.iter().map(|(key, value)| text_bytes([key].into_iter().chain(value))).sum()
            }
        }
    }
}

impl JsonUpdate {
    pub(super) fn on(&self, present: Option<&String>) -> Result<Option<String>, Invalid> {
        let changed = match self {
            Self::Whole(text) => return Ok(text.clone()),
            Self::Entries(changed) => changed,
        };
        // The stored text is an object, since it was parsed as one.
        let stored = present.and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok());
        let mut fields = stored.clone().unwrap_or_default();
        for (key, value) in changed {
            match value {
                Some(value) => drop(fields.insert(key.clone(), value.clone())),
                None => drop(fields.remove(key)),
            }
        }
        // The present text stays as it was written if nothing in it changes.
        if stored.unwrap_or_default() == fields {
            return Ok(present.cloned());
        }
        let text = Value::Object(fields).to_string();
        if text.len() > MAX_JSON_BYTES {
            return Err(Invalid::new(FieldRule::TooLong, "must have at most 16 KiB as JSON"));
        }
        Ok(Some(text))
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Whole(text) => text_bytes(text),
            Self::Entries(changed) => {
                let value = |value: &Option<Value>| value.as_ref().map_or(0, |value| value.to_string().len());
                changed.iter().map(|(key, entry)| ENTRY_BYTES + key.len() + value(entry)).sum()
            }
        }
    }
}

impl UpdatedFields {
    /// Returns the most rows beside the invitation that the fields write.
    pub(super) fn rows(&self) -> usize {
        self.labels.as_ref().map_or(0, MapUpdate::len) + self.groups.as_ref().map_or(0, Vec::len)
    }

    /// Returns the bytes of its lists and of its JSON.
    pub(super) fn bytes(&self) -> usize {
        let scope = |scope: &Scope| ENTRY_BYTES + scope.scope_type.len() + scope.id.len();
        let maps = [&self.labels, &self.template_variables].into_iter().flatten().map(MapUpdate::bytes);
        let objects = [&self.metadata, &self.attributes, &self.configuration_attributes];
        let objects = objects.into_iter().flatten().map(JsonUpdate::bytes);
        let texts = [&self.message, &self.scope_display_name, &self.parent_organization_name];
        text_bytes(self.roles.iter().flatten())
            + self.groups.iter().flatten().map(scope).sum::<usize>()
            + maps.chain(objects).sum::<usize>()
            + text_bytes(texts.into_iter().flatten().flatten())
    }

    /// Sets the fields but for the flag, and returns what has changed.
    pub(super) fn apply(&self, invitation: &mut Invitation, now: Timestamp) -> Result<Told, Refusal> {
        let mut told = Told::of(invitation.details.kind());
        self.apply_expiry(invitation, &mut told, now)?;
        self.apply_max_uses(invitation, &mut told)?;
        if let Some(update) = &self.labels {
            let labels = update.on(&invitation.labels);
            told.check_entries("labels", labels.len())?;
            told.labels(&invitation.labels, &labels);
            invitation.labels = labels;
        }
        self.apply_shared(invitation, &mut told)?;
        match &mut invitation.details {
            Details::Connection(details) => self.apply_connection(details, &mut told)?,
            Details::User(details) => told.roles(&mut details.roles, self.roles.as_ref()),
            Details::Guest(details) => self.apply_guest(details, &mut told),
            Details::General(details) => self.apply_general(details, &mut told)?,
        }
        Ok(told)
    }

    fn apply_expiry(&self, invitation: &mut Invitation, told: &mut Told, now: Timestamp) -> Result<(), Refusal> {
        // The present expiry is no change, even where it has passed.
        let present = invitation.facts.expire_at.map_or(ExpiryTime::Never, ExpiryTime::At);
        let Some(expiry) = self.expiry.filter(|expiry| expiry.time != present) else { return Ok(()) };
        if invitation.details.usage() == Some(Usage::Autojoin) {
            let invalid = Invalid::new(FieldRule::NotAllowed, "must not be set: an auto-join never expires");
            return Err(Refusal::InvalidField { field: expiry.field, invalid });
        }
        let expire_at = expiry.at(now, invitation.details.kind().lifetime())?;
        told.expiry(invitation.facts.expire_at, expire_at);
        invitation.facts.expire_at = expire_at;
        Ok(())
    }

    fn apply_max_uses(&self, invitation: &mut Invitation, told: &mut Told) -> Result<(), Refusal> {
        let Some(max_uses) = self.max_uses else { return Ok(()) };
        let description = match (invitation.details.usage(), max_uses) {
            // Unset is the only number that it can have.
            (Some(Usage::SingleUse), None | Some(1)) | (Some(Usage::Autojoin), None) => return Ok(()),
            (Some(Usage::SingleUse), Some(_)) => "must be 1 or unset: the invitation is SINGLE_USE, which stays",
            (Some(Usage::Autojoin), Some(_)) => "must not be set: an auto-join has no limit",
            (Some(Usage::MultiUse) | None, _) => {
                told.number("max_uses", invitation.facts.max_uses, max_uses);
                invitation.facts.max_uses = max_uses;
                return Ok(());
            }
        };
        Err(told.invalid("max_uses", FieldRule::Conflicts, description))
    }

    fn apply_shared(&self, invitation: &mut Invitation, told: &mut Told) -> Result<(), Refusal> {
        let is_general = invitation.details.general().is_some();
        let shared = invitation.details.shared_mut();
        told.inviter(&mut shared.inviter, self.inviter.as_ref());
        if !is_general {
            told.text("scope_display_name", &mut shared.scope_display_name, self.scope_display_name.as_ref());
        }
        told.silent("message", &mut shared.message, self.message.as_ref());
        told.text("locale", &mut shared.locale, self.locale.as_ref());
        told.redirect(&mut shared.redirect_uri, self.redirect_uri.as_ref());
        told.grant_ttl(&mut shared.grant_ttl, self.grant_ttl);
        told.json("metadata", &mut shared.metadata, self.metadata.as_ref())
    }

    fn apply_connection(&self, details: &mut ConnectionDetails, told: &mut Told) -> Result<(), Refusal> {
        match (&mut details.purpose, &self.prefill) {
            (ConnectionPurpose::CreateConnection { prefill }, new) => {
                told.silent("prefill", prefill, new.as_ref());
                Ok(())
            }
            (ConnectionPurpose::EditConnection { .. }, Some(Some(_))) => {
                let description = "must not be set: this invitation is to repair an existing connection";
                Err(told.invalid("prefill", FieldRule::NotAllowed, description))
            }
            (ConnectionPurpose::EditConnection { .. }, Some(None) | None) => Ok(()),
        }
    }

    fn apply_guest(&self, details: &mut GuestDetails, told: &mut Told) {
        told.id("parent_organization_id", &mut details.parent_organization_id, self.parent_organization_id);
        let name = &mut details.parent_organization_name;
        told.text("parent_organization_name", name, self.parent_organization_name.as_ref());
    }

    fn apply_general(&self, details: &mut GeneralDetails, told: &mut Told) -> Result<(), Refusal> {
        told.roles(&mut details.roles, self.roles.as_ref());
        if let Some(groups) = &self.groups {
            set_groups(details, groups, told)?;
        }
        if let Some(name) = &self.scope_display_name {
            set_scope_name(details, name.as_ref(), told)?;
        }
        let CallerData { attributes, configuration_attributes, template_variables, unfurl_config, .. } =
            &mut details.caller_data;
        told.json("attributes", attributes, self.attributes.as_ref())?;
        told.json("configuration_attributes", configuration_attributes, self.configuration_attributes.as_ref())?;
        if let Some(update) = &self.template_variables {
            let variables = update.on(template_variables);
            told.check_entries("template_variables", variables.len())?;
            told.silent("template_variables", template_variables, Some(&variables));
        }
        told.silent("unfurl_config", unfurl_config, self.unfurl_config.as_ref());
        Ok(())
    }
}

/// Sets the groups. Where the first of them is the scope, they stay the same ones: other groups would move the invitation to
/// another scope, with its slots.
fn set_groups(details: &mut GeneralDetails, groups: &[Scope], told: &mut Told) -> Result<(), Refusal> {
    let is_same = details.groups.len() == groups.len()
        && details.groups.iter().zip(groups).all(|(present, group)| present.is(group));
    if !details.explicit_scope {
        if !is_same {
            let description =
                "must stay as they are: the invitation names no scope, so that the first of its groups is it";
            return Err(told.invalid("groups", FieldRule::Conflicts, description));
        }
        if let (Some(scope), Some(first)) = (&mut details.scope, groups.first()) {
            scope.display_name.clone_from(&first.display_name);
        }
    }
    told.groups(&mut details.groups, groups);
    Ok(())
}

/// Sets the name of the scope, which is also that of the group that it is.
fn set_scope_name(details: &mut GeneralDetails, name: Option<&String>, told: &mut Told) -> Result<(), Refusal> {
    let Some(scope) = &mut details.scope else {
        let description = "must not be set: the invitation has no scope";
        let refused = |_| Err(told.invalid("scope.display_name", FieldRule::NotAllowed, description));
        return name.map_or(Ok(()), refused);
    };
    told.text("scope.display_name", &mut scope.display_name, Some(&name.cloned()));
    if let (false, Some(first)) = (details.explicit_scope, details.groups.first_mut()) {
        first.display_name = name.cloned();
    }
    Ok(())
}
